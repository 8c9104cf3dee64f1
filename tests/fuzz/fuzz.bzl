"""fuzz_target: a libFuzzer program for clang, and a test that replays its corpus in every build."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

def fuzz_target(name, deps, data = []):
    """NAME.c with LLVMFuzzerTestOneInput; corpus/NAME holds its inputs.

    Makes `NAME` (build it with --config=fuzz) and `NAME_replay_test`.
    """
    cc_library(
        name = name + "_target",
        testonly = True,
        srcs = [name + ".c"],
        deps = deps,
        alwayslink = True,
    )
    cc_binary(
        name = name,
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = [":" + name + "_target"],
    )
    cc_test(
        name = name + "_replay_test",
        size = "small",
        srcs = ["replay.c"],
        args = ["tests/fuzz/corpus/" + name],
        data = data + native.glob(["corpus/" + name + "/*"]),
        deps = [
            ":" + name + "_target",
            "//tests/kit:cases",
        ],
    )
