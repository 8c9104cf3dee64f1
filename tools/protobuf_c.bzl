"""protobuf_c_library: C from a .proto by protoc-c, since Bazel's own proto rules need a download."""

load("@rules_cc//cc:defs.bzl", "cc_library")

def _generate_impl(ctx):
    stem = ctx.file.src.basename[:-len(".proto")]
    source = ctx.actions.declare_file(stem + ".pb-c.c")
    header = ctx.actions.declare_file(stem + ".pb-c.h")
    ctx.actions.run(
        executable = "protoc-c",
        arguments = ["--c_out=" + source.dirname, "-I" + ctx.file.src.dirname, ctx.file.src.path],
        inputs = [ctx.file.src],
        outputs = [source, header],
        use_default_shell_env = True,
        mnemonic = "ProtocC",
    )
    return [OutputGroupInfo(source = depset([source]), header = depset([header]))]

_generate = rule(
    implementation = _generate_impl,
    attrs = {"src": attr.label(allow_single_file = [".proto"], mandatory = True)},
)

def protobuf_c_library(name, src, visibility):
    """A cc_library `name` with STEM.pb-c.h, included by its path from the workspace."""
    _generate(name = name + "_generated", src = src)
    native.filegroup(name = name + "_source", srcs = [name + "_generated"], output_group = "source")
    native.filegroup(name = name + "_header", srcs = [name + "_generated"], output_group = "header")
    cc_library(
        name = name,
        srcs = [name + "_source"],
        hdrs = [name + "_header"],
        copts = ["-w"],
        visibility = visibility,
        deps = ["//third_party/system:protobuf_c"],
    )
