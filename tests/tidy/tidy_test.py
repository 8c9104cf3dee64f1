#!/usr/bin/env python3
"""What a machine can decide of how the code reads. Each rule is a case; a case lists every breach.

Reads the workspace itself, not a copy: Bazel runs it locally and never from a cache.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, ROOT)

from tests.kit import cases  # noqa: E402

FILE_LINES_MAX = 600
TEST_LINES_MAX = 900  # a test is a list: it is read in parts
FUNCTION_LINES_GOOD = 70
FUNCTION_LINES_MAX = 100

# A call and what to use in its place.
BANNED = {
    "strcpy": "span_of and memcpy, or snprintf",
    "strcat": "buffer_append_text",
    "sprintf": "snprintf or buffer_print",
    "vsprintf": "vsnprintf",
    "strtok": "span_find",
    "atoi": "strtoul with its end checked",
    "gets": "fgets",
    "alloca": "an arena",
    "rand": "base/random.h",
    "srand": "base/random.h",
}

# Which file may include which library: the one door to each.
LIBRARIES = [
    (r"cmocka\.h", r"tests/kit/cases\.h"),
    (r"lmdb\.h", r"storage/trail/\w+\.[ch]"),
    (r"grpc/.*", r"base/rpc/.*"),
    (r"openssl/.*", r"base/(crypto|certificate)\w*\.[ch]|base/rpc/.*|tests/bench/api_bench\.c"),
    (r"yyjson\.h", r"base/json\.[ch]"),
    (r"zlib\.h", r"base/gzip\w*\.[ch]"),
    (r"libdeflate\.h", r"base/(gzip|hash)\w*\.[ch]"),
    (r"isa-l/.*", r"base/gzip_writer\.c"),
    (r"zstd\.h|zdict\.h", r"base/zstd\w*\.[ch]"),
    (r"microhttpd\.h", r"base/http_server\w*\.[ch]"),
    (r"curl/curl\.h", r"base/http_client\.c"),
    (r"expat\.h", r"base/xml\.c"),
    (r"gnutls/.*", r"base/http_tls\w*\.[ch]"),
    (r"cyaml/.*|yaml\.h", r"base/config\w*\.[ch]"),
    (r"xxhash\.h|xxh_x86dispatch\.h", r"base/hash\w*\.[ch]"),
    (r"protobuf-c/.*", r"proto/.*"),
    (r"sqlite3\.h", r"tests/bench/.*"),
    (r"valgrind/.*|sanitizer/.*", r".*"),
    (r"dlfcn\.h", r".*_test\.c"),
]

# Which rooms a room's files may include; tests may include all, and unit tests tests/kit.
ROOMS = {
    "base": {"base"},
    "event": {"base", "event"},
    "proto": {"proto"},
    "storage": {"base", "event", "storage"},
    "query": {"base", "event", "storage", "query"},
    "verify": {"base", "event", "verify"},
    "agent": {"base", "event", "proto", "agent"},
    "collector": {"base", "event", "proto", "storage", "query", "collector"},
    "cli": {"base", "event", "proto", "storage", "query", "verify", "agent", "cli"},
    "tests": {"base", "event", "proto", "storage", "query", "agent", "collector", "verify", "cli", "tests"},
}

# Files of a room that are only built into its tests and benches.
TEST_FILE = re.compile(r"_(test|bench|fixture|test_kit)\.[ch]$|/test_\w+\.[ch]$")

SYSTEM_HEADER = re.compile(
    r"(sys|netinet|arpa|net|linux)/\w+\.h"
    r"|(argp|assert|ctype|dirent|endian|errno|fcntl|float|fnmatch|ftw|getopt|glob|grp|inttypes|limits|locale"
    r"|malloc|math|netdb|poll|pthread|pty|pwd|regex|sched|semaphore|setjmp|signal|spawn|stdalign"
    r"|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings|termios|threads|time"
    r"|unistd|wchar|cpuid|x86intrin|immintrin|emmintrin)\.h"
)


def walk(*endings):
    """Paths below the root, relative, without what is generated or not ours."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        relative = os.path.relpath(folder, ROOT)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith("bazel-")
            and name not in (".git", ".cache", "__pycache__")
            and os.path.join(relative, name) not in ("tests/data", "./bazel-out")
        )
        for name in sorted(files):
            if name.endswith(endings):
                found.append(os.path.normpath(os.path.join(relative, name)))
    return found


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def strip_comments(text):
    """Code without comments and without what stands in quotes; lines stay where they are."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)


def expect_none(problems):
    assert not problems, "\n  " + "\n  ".join(problems)


def includes_of(path):
    """(line number, header, whether in angle brackets) of each include."""
    for number, line in enumerate(read(path).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if match:
            yield number, match.group(2), match.group(1) == "<"


def test_formatted():
    files = walk(".c", ".h")
    run = subprocess.run(
        ["clang-format", "--dry-run", *files], cwd=ROOT, capture_output=True, text=True
    )
    places = sorted(set(re.findall(r"^(\S+?):\d+:\d+: (?:warning|error)", run.stderr, re.M)))
    expect_none([f"{place}: not formatted: ./dev fmt" for place in places])


def test_prototypes_have_comments():
    problems = []
    for path in walk(".h"):
        if path.endswith("_internal.h"):
            continue
        paragraph_good = False
        continued = False
        depth = 0
        for number, line in enumerate(read(path).splitlines(), 1):
            code = strip_comments(line)
            if not line.strip():
                paragraph_good = False
            elif line.startswith("//"):
                paragraph_good = True
            elif depth == 0 and not continued and re.match(r"[A-Za-z_][\w\s\*]*\(?.*\w\(", code):
                is_type = re.match(r"(struct|enum|union)\s+\w+\s*\{", code) or "=" in code
                # A definition in a header shows what it does.
                is_type = is_type or code.startswith("static inline")
                if not is_type and not paragraph_good:
                    problems.append(f"{path}:{number}: no comment above this prototype")
            continued = bool(code.strip()) and depth == 0 and not re.search(r"[;}{]\s*$", code)
            continued = continued and not line.startswith(("#", "//"))
            depth += code.count("{") - code.count("}")
    expect_none(problems)


def test_headers_say_what_they_are():
    problems = []
    for path in walk(".h"):
        first = read(path).split("\n", 1)[0]
        if not first.startswith(f"// {os.path.basename(path)}: "):
            problems.append(f'{path}:1: begin with "// {os.path.basename(path)}: what it is"')
    expect_none(problems)


def test_own_header_comes_first():
    problems = []
    for path in walk(".c"):
        header = path[:-2] + ".h"
        if not os.path.exists(os.path.join(ROOT, header)):
            continue
        first = next(includes_of(path), (1, "nothing", False))
        if first[1] != header:
            problems.append(f'{path}:{first[0]}: include "{header}" first, not {first[1]}')
    expect_none(problems)


def test_no_source_is_included():
    expect_none(
        [
            f"{path}:{number}: includes {header}: include its header"
            for path in walk(".c", ".h")
            for number, header, _ in includes_of(path)
            if header.endswith(".c")
        ]
    )


def test_banned_calls():
    pattern = re.compile(r"\b(" + "|".join(BANNED) + r")\s*\(")
    problems = []
    for path in walk(".c", ".h"):
        for number, line in enumerate(strip_comments(read(path)).splitlines(), 1):
            for match in pattern.finditer(line):
                name = match.group(1)
                problems.append(f"{path}:{number}: {name}: use {BANNED[name]}")
    expect_none(problems)


def test_asserts_stay_on():
    problems = []
    for path in walk(".c", ".h", "BUILD", ".bzl", ".bazelrc"):
        for number, line in enumerate(read(path).splitlines(), 1):
            if re.search(r"\bNDEBUG\b|-DNDEBUG", line) and not line.lstrip().startswith(("#", "//")):
                problems.append(f"{path}:{number}: asserts are never compiled out")
    expect_none(problems)


def test_each_library_has_one_door():
    problems = []
    for path in walk(".c", ".h"):
        for number, header, is_system in includes_of(path):
            if not is_system or SYSTEM_HEADER.fullmatch(header):
                continue
            doors = [door for name, door in LIBRARIES if re.fullmatch(name, header)]
            if not doors:
                problems.append(f"{path}:{number}: <{header}> is in no table of tests/tidy")
            elif not any(re.fullmatch(door, path) for door in doors):
                problems.append(f"{path}:{number}: <{header}> may only be included by {doors[0]}")
    expect_none(problems)


def test_rooms_look_one_way():
    problems = []
    for path in walk(".c", ".h"):
        room = path.split("/")[0]
        if room not in ROOMS:
            problems.append(f"{path}: in no room of tests/tidy")
            continue
        for number, header, is_system in includes_of(path):
            if is_system:
                continue
            target = header.split("/")[0]
            kit = header.startswith("tests/kit/") and TEST_FILE.search(path)
            if target not in ROOMS[room] and not kit:
                problems.append(f"{path}:{number}: {room} may not include {header}")
            if room == "cli" and target == "agent" and not re.match(
                r"agent/(source/|spool|uplink|agent\.h|agent_config\.h|patience\.h)", header
            ):
                problems.append(f"{path}:{number}: of the agent, cli may only see its path of events")
    expect_none(problems)


def test_only_append_writes_the_trail():
    allowed = re.compile(r"storage/.*|collector/append/.*|collector/main.*|cli/restore.*|tests/.*")
    expect_none(
        [
            f"{path}:{number}: only collector/append (and cli's restore) may write the trail"
            for path in walk(".c", ".h")
            for number, header, _ in includes_of(path)
            if header == "storage/trail/trail.h" and not allowed.fullmatch(path) and "_test" not in path
        ]
    )


def functions_of(path):
    """(first line, name, lines) of each function definition in formatted code."""
    lines = strip_comments(read(path)).splitlines()
    start, head = None, ""
    for number, line in enumerate(lines, 1):
        if start is not None:
            if line.startswith("}"):
                yield start, re.sub(r".*?(\w+)\s*\(.*", r"\1", head), number - start + 1
                start, head = None, ""
            continue
        if line.startswith(("#", "}")) or not line.strip() or line.rstrip().endswith(";"):
            head = ""
            continue
        if not line.startswith((" ", "\t")):
            head = ""
        head += " " + line.strip()
        if line.rstrip().endswith("{") and "(" in head and "=" not in head.split("(")[0]:
            start = number
        elif line.rstrip().endswith("{"):
            head = ""


def test_functions_fit_a_screen():
    problems = []
    for path in walk(".c", ".h"):
        for number, name, size in functions_of(path):
            if size > FUNCTION_LINES_MAX:
                problems.append(f"{path}:{number}: {name} has {size} lines: make it two")
            elif size > FUNCTION_LINES_GOOD:
                print(f"{path}:{number}: {name} has {size} lines")
    expect_none(problems)


def test_files_fit_a_reader():
    problems = []
    for path in walk(".c", ".h"):
        text = read(path)
        lines = text.count("\n")
        maximum = TEST_LINES_MAX if path.endswith("_test.c") else FILE_LINES_MAX
        if lines > maximum and "one file because" not in text.lower():
            problems.append(
                f"{path}: {lines} lines: make it two, or say why it is 'one file because ...'"
            )
    expect_none(problems)


def test_nothing_is_left_for_later():
    words = ["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK", "not " + "implemented"]
    pattern = re.compile(r"\b(" + "|".join(words) + r")\b")
    problems = []
    for path in walk(".c", ".h", ".py", ".sh", ".md", ".proto", "BUILD", ".bzl", "dev"):
        for number, line in enumerate(read(path).splitlines(), 1):
            if pattern.search(line):
                problems.append(f"{path}:{number}: {line.strip()[:80]}")
    expect_none(problems)


def test_no_machine_paths():
    pattern = re.compile(r"(^|[^A-Za-z0-9_.])/(root|home|work)/")
    problems = []
    for path in walk(".c", ".h", ".py", ".sh", ".md", ".proto", "BUILD", ".bzl", ".bazelrc", "dev"):
        for number, line in enumerate(read(path).splitlines(), 1):
            if pattern.search(line) and "(root|home" not in line:
                problems.append(f"{path}:{number}: {line.strip()[:80]}")
    expect_none(problems)


def test_metrics_are_documented():
    """Names in code and in docs/telemetry.md are the same set."""
    pattern = re.compile(r'"(orgtrail_(?:agent|collector|store|query|rpc|base)\w*)"')
    in_code = {}
    for path in walk(".c", ".h"):
        if path.startswith("tests/") or path.endswith("_test.c"):
            continue
        for name in pattern.findall(read(path)):
            in_code.setdefault(name, path)
    page = "docs/telemetry.md"
    exists = os.path.exists(os.path.join(ROOT, page))
    in_docs = set(re.findall(r"`(orgtrail_\w+)", read(page))) if exists else set()
    problems = [f"{in_code[name]}: {name} is not in {page}" for name in sorted(in_code)
                if name not in in_docs]
    problems += [f"{page}: no code has {name}" for name in sorted(in_docs) if name not in in_code]
    expect_none(problems)


OWN_EVENT = re.compile(r'"((?:[A-Z][a-z]+){2,})"')
MESSAGE = re.compile(r'\bLOG\(\s*(?:LOG_\w+|[^",()]+),\s*([^"();,]*(?:"[^"]*"[\s:]*)+)')


def messages_of(text):
    """The texts of a source's log lines, up to what varies."""
    for line in MESSAGE.findall(text):
        for message in re.findall(r'"([^"]*)"', re.sub(r'"\s*\n\s*"', "", line)):
            yield message.split(":")[0]


def sources_of(*rooms):
    return [path for path in walk(".c") if path.startswith(rooms) and not path.endswith("_test.c")]


def test_reasons_are_those_of_the_collector():
    record = re.findall(r'\[RECORD_[A-Z_]+\] = "([a-z_]+)"', read("event/record.c"))
    admit = re.findall(r'return "([a-z_]+)";', read("collector/admit/admit.c"))
    named = read("query/refused.c").split("reasons[] = {")[1].split("};")[0]
    assert set(re.findall(r'"([a-z_]+)"', named)) == set(record + admit) - {"good"}, named


def test_operations_are_those_of_the_api():
    """docs/api.md has each operation of the collector, and says of each whether it is answered."""
    page = read("docs/api.md")
    rows = re.findall(r'\{"(\w+)", "(\w+)", (?:true|false), (\w+)\}', read("collector/api/operations.c"))
    assert len({row[:2] for row in rows}) == len(rows), "an operation stands there twice"
    in_code = {name: "refused" if run == "NULL" else "answered"
               for service, name, run in rows if service == "cloudtrail"}
    in_docs = dict(re.findall(r"^\| `(\w+)` \| (answered|refused) \|", page, re.M))
    assert len(in_code) == 60, len(in_code)
    assert in_docs == in_code, sorted(set(in_docs.items()) ^ set(in_code.items()))
    others = {(service, name) for service, name, run in rows if service != "cloudtrail"}
    section = page.partition("## Other services")[2].partition("\n## ")[0]
    assert others == set(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section, re.M)), others


def test_findings_are_explained():
    """docs/verify.md has each kind of finding with its weight."""
    rows = re.findall(r'^    \{"([a-z-]+)", FINDING_([A-Z]+),', read("verify/finding.c"), re.M)
    told = re.findall(r"^\| `([a-z-]+)` \| (fault|unchecked|note) \|", read("docs/verify.md"), re.M)
    assert len(rows) > 20 and told == [(name, weight.lower()) for name, weight in rows], set(rows) ^ set(told)


def test_operators_find_what_they_are_told():
    """Own events, alarms and log lines stand in docs/operations.md, and own events in records.md."""
    page = " ".join(read("docs/operations.md").split())
    records = read("docs/records.md").partition("## Own events")[2]
    listed = {name for line in records.splitlines() if line.startswith("| `")
              for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    methods = set(re.findall(r"rpc (\w+)", read("proto/control.proto")))
    # An API call's event has the operation's name: those are not listed one by one. Errors of AWS
    # look the same.
    sources = [path for path in sources_of("collector/")
               if not path.startswith(tuple(f"collector/{room}/" for room in ("api", "cloudwatch", "deliver", "notify")))
               or path == "collector/api/service.c"]
    in_code = {name for path in sources for name in OWN_EVENT.findall(read(path))}
    in_code -= methods
    problems = [f"docs/records.md: {name} is not there" for name in sorted(in_code - listed)]
    problems += [f"docs/records.md: no code has {name}" for name in sorted(listed - in_code)]
    alarms = re.findall(r"alert: (\w+)", read("packaging/prometheus/orgtrail.rules.yml"))
    assert len(in_code) > 20 and len(alarms) > 20, (in_code, alarms)
    for name in sorted(in_code) + alarms:
        if f"`{name}`" not in page:
            problems.append(f"docs/operations.md: {name} is not there")
    shown = re.findall(r'"ALARM +%" PRI\w+ " ([a-z ]+)', read("query/status.c"))
    shown += re.findall(r'print_alarm\([^;"]+"[^"]+",\s*"([^":]+)', read("query/status.c"))
    shown += re.findall(r'return "([^":]+)', read("collector/server/server.c"))
    assert len(shown) > 11, shown
    problems += [f"docs/operations.md: status says: {text}" for text in shown if text not in page]
    lines = 0
    for path in sources_of("agent/", "collector/"):
        for message in messages_of(read(path)):
            lines += 1
            if message not in page:
                problems.append(f"{path}: docs/operations.md lacks the message: {message}")
    assert lines > 50, lines
    expect_none(problems)


def read_constants():
    """Name -> the expressions that enums and #defines of the rooms give it."""
    constants = {}
    for path in walk(".c", ".h"):
        if path.startswith("tests/") or TEST_FILE.search(path):
            continue
        text = strip_comments(read(path))
        for name, value in re.findall(r"\b([A-Z][A-Z0-9_]+) = ([^,;{}=]+?)\s*[,}]", text) + re.findall(
            r"^#define ([A-Z][A-Z0-9_]+) +(.+?)$", text, re.M
        ):
            constants.setdefault(name, set()).add(" ".join(value.split()))
    return constants


def evaluate(expression, constants):
    """A constant expression of C as a number; None if it is none."""
    expression = re.sub(r"\(u?int\d+_t\)|\(size_t\)", "", expression)
    expression = re.sub(r"U?INT\d+_C\((\w+)\)", r"\1", expression)
    expression = re.sub(r"\b(0x[0-9a-fA-F]+|\d+)[uUlL]*\b", r"\1", expression)
    for name in set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", expression)):
        values = {evaluate(value, constants) for value in constants.get(name, ())}
        if len(values) != 1 or None in values:
            return None
        expression = re.sub(rf"\b{name}\b", str(values.pop()), expression)
    if not re.fullmatch(r"[\d\s()+*/<-]+", expression):
        return None
    return eval(expression.replace("/", "//"))  # digits and operators only


UNITS = {"KiB": 1 << 10, "Ki": 1 << 10, "MiB": 1 << 20, "Mi": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
         "ms": 1, "s": 1000, "min": 60000, "h": 3600000, "minute": 60000}


def quantities_of(text):
    """The numbers a person reads there, sizes in bytes, times in ms; those of days stay days."""
    found = set()
    for number, power, unit in re.findall(r"\b(\d[\d,]*|a)(?:\^(\d+))? ?([A-Za-z]+)?", text):
        if number == "a" and unit != "minute":
            continue
        value = 1 if number == "a" else int(number.replace(",", ""))
        found.add(value ** int(power or 1) * UNITS.get(unit, 1))
    return found


def test_limits_are_what_the_code_says():
    """A constant named in docs/limits.md stands behind its value: "64 MiB (`TRAIL_COMMIT_SIZE_MAX`)"."""
    page = "docs/limits.md"
    constants = read_constants()
    problems, compared = [], 0
    for number, line in enumerate(read(page).splitlines(), 1):
        for cell in line.split("|"):
            for text, names in re.findall(r"([^()]*)\(([^()]*)\)", cell):
                for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", names):
                    values = {evaluate(value, constants) for value in constants.get(name, ())}
                    compared += 1
                    if not values:
                        problems.append(f"{page}:{number}: no code has {name}")
                    elif not values & quantities_of(text):
                        problems.append(f"{page}:{number}: {name} is {values}, not \"{text.strip()}\"")
    assert compared > 30, "the page names hardly any constant: has its form changed?"
    expect_none(problems)


def test_links_resolve():
    problems = []
    for path in walk(".md"):
        text = re.sub(r"```.*?```", lambda match: re.sub(r"[^\n]", " ", match.group(0)),
                      read(path), flags=re.S)
        for number, line in enumerate(text.splitlines(), 1):
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"[a-z]+:|#", target):
                    continue
                file = os.path.join(ROOT, os.path.dirname(path), target.split("#")[0])
                if not os.path.exists(file):
                    problems.append(f"{path}:{number}: {target} does not exist")
    expect_none(problems)


def test_scripts_parse():
    problems = []
    for path in walk(".sh") + ["dev", ".ci/run"]:
        run = subprocess.run(["bash", "-n", path], cwd=ROOT, capture_output=True, text=True)
        if run.returncode != 0:
            problems.append(f"{path}: {run.stderr.strip()}")
    for path in walk(".py"):
        try:
            compile(read(path), path, "exec")
        except SyntaxError as error:
            problems.append(f"{path}:{error.lineno}: {error.msg}")
    expect_none(problems)


def test_rules_find_breaches():
    """The rules that read code by themselves, on code that breaks them."""
    assert "rand" not in strip_comments('// rand()\nx = "rand()";')
    assert strip_comments("a // b\nc").count("\n") == 1
    sample = "static bool long_one(int a,\n                     int b) {\n    return a;\n}\n"
    path = os.path.join(os.environ.get("TEST_TMPDIR", "/tmp"), "tidy_sample.c")
    with open(path, "w", encoding="utf-8") as file:
        file.write(sample)
    found = list(functions_of(path))
    assert found == [(2, "long_one", 3)], found
    assert evaluate("(uint64_t)FOUR << 10", {"FOUR": {"2 * 2"}}) == 4096
    assert evaluate("sizeof(x)", {}) is None
    assert quantities_of("8,192 entries, 64 MiB or 2^48, one a minute") == {8192, 64 << 20, 1 << 48, 60000}


cases.run("tidy", globals())
