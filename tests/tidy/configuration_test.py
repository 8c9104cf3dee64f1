#!/usr/bin/env python3
"""docs/configuration.md says what the programs say of their settings.

Without arguments a test. `bazel run //tests/tidy:configuration_test -- --write` writes the page.
"""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, ROOT)

from tests.kit import cases  # noqa: E402

PAGE = os.path.join(ROOT, "docs/configuration.md")
HEAD = """# Settings

Every setting of both daemons, as `orgtrail-collector --settings` and `orgtrail-agent --settings` print them
from the schema that their files are checked against. Paths count from the file's folder, sizes are numbers
with `KiB`, `MiB`, `GiB` or `TiB` or nothing behind them. Unknown keys and wrong values are refused with file
and line; `--check` says whether a file and what it names are good.
"""
PROGRAMS = (("collector.yaml", "collector/orgtrail-collector"), ("agent.yaml", "agent/orgtrail-agent"))


def make_page():
    page = HEAD
    for name, program in PROGRAMS:
        run = subprocess.run([program, "--settings"], capture_output=True, text=True, check=True)
        page += f"\n## {name}\n\n{run.stdout}"
    return page


def test_the_page_is_what_the_programs_say():
    with open(PAGE, encoding="utf-8") as file:
        written = file.read()
    assert written == make_page(), (
        "docs/configuration.md is out of date: bazel run //tests/tidy:configuration_test -- --write"
    )


if "--write" in sys.argv:
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(make_page())
else:
    cases.run("configuration", globals())
