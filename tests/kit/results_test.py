#!/usr/bin/env python3
"""tools/results.py and tests/kit/cases.py: what counts as passed, failed and skipped."""

import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, ROOT)

from tests.kit import cases  # noqa: E402

CASES = """
import sys
sys.path.insert(0, {root!r})
from tests.kit import cases

def test_one(): {one}
def test_two(): {two}

cases.run("sample", globals())
"""


def run_cases(folder, name, one, two):
    """Runs a Python test of two cases; what Bazel would say of it."""
    xml = os.path.join(folder, name + ".xml")
    script = CASES.format(root=ROOT, one=one, two=two)
    run = subprocess.run([sys.executable, "-B", "-c", script], env={**os.environ, "XML_OUTPUT_FILE": xml},
                         capture_output=True, text=True, check=False)
    return {
        "id": {"testResult": {"label": f"//x:{name}"}},
        "testResult": {
            "status": "PASSED" if run.returncode == 0 else "FAILED",
            "testActionOutput": [{"name": "test.xml", "uri": "file://" + xml}],
        },
    }


def count(*events, code=0):
    """What results.py prints of these events, its last line apart."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        for event in events:
            file.write(json.dumps(event) + "\n")
        file.flush()
        run = subprocess.run([sys.executable, "-B", os.path.join(ROOT, "tools/results.py"), file.name, str(code)],
                             capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    return lines[:-1], lines[-1]


def test_a_skipped_case_is_not_passed():
    with tempfile.TemporaryDirectory() as folder:
        skip = "raise cases.Skipped('no such disk here')"
        lines, counts = count(run_cases(folder, "half", "pass", skip), run_cases(folder, "none", skip, skip))
    assert counts == "1 0 3", counts
    assert lines == [
        "skipped sample.test_two: no such disk here",
        "skipped sample.test_one: no such disk here",
        "skipped sample.test_two: no such disk here",
    ], lines


def test_a_failed_case_is_one():
    with tempfile.TemporaryDirectory() as folder:
        lines, counts = count(run_cases(folder, "bad", "pass", "assert False"), code=3)
    assert counts == "1 1 0", counts
    assert lines[0] == "FAILED //x:bad: test_two", lines


def test_what_has_no_cases_is_one():
    passed = {"id": {"testResult": {"label": "//x:plain"}}, "testResult": {"status": "PASSED"}}
    broken = {"id": {"targetConfigured": {"label": "//x:gone"}}, "configured": {"testSize": "SMALL"}}
    assert count(passed)[1] == "1 0 0"
    lines, counts = count(passed, broken, code=1)
    assert counts == "1 1 0" and "//x:gone" in lines[0], lines
    assert count(code=1)[1] == "0 1 0"


cases.run("results", globals())
