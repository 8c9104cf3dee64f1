#!/usr/bin/env python3
"""Counts what one `bazel test` did, from its build event file and the tests' own XML.

usage: results.py EVENTS_FILE BAZEL_EXIT_CODE

Prints each failed case with the end of its log and each skipped one with its reason, then a last line
"PASSED FAILED SKIPPED". A test that did not build, crashed or timed out counts as one failed case; so does a
build that failed otherwise. A case that cannot run on this machine counts as skipped and as nothing else.
"""

import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from urllib.parse import unquote, urlparse

LOG_LINES = 60


def read_events(path):
    """What was to be tested, what came of it, and what did not build."""
    wanted, outputs, broken = set(), {}, []
    if not os.path.exists(path):
        return wanted, outputs, broken
    for line in open(path, encoding="utf-8", errors="replace"):
        if not line.strip():
            continue
        event = json.loads(line)
        name = event.get("id", {})
        if "targetConfigured" in name and event.get("configured", {}).get("testSize"):
            wanted.add(name["targetConfigured"]["label"])
        if "testResult" in name and "testResult" in event:
            outputs[name["testResult"]["label"]] = event["testResult"]
        if "targetCompleted" in name and not event.get("completed", {}).get("success"):
            broken.append(name["targetCompleted"]["label"])
    return wanted, outputs, broken


def output_path(result, name):
    for output in result.get("testActionOutput", []):
        if output.get("name") == name and "uri" in output:
            return unquote(urlparse(output["uri"]).path)
    return None


def read_cases(path):
    """(passed, names of failed, names of skipped) of one XML; nothing if it is missing or no XML."""
    passed, failed, skipped = 0, [], []
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, TypeError, ElementTree.ParseError):
        return passed, failed, skipped
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(case.get("name", "?"))
        elif case.find("skipped") is not None:
            reason = case.find("skipped").get("message") or "cannot run here"
            skipped.append(f"{case.get('classname', '?')}.{case.get('name', '?')}: {reason}")
        else:
            passed += 1
    return passed, failed, skipped


def print_log(path):
    if path is None or not os.path.exists(path):
        return
    lines = open(path, encoding="utf-8", errors="replace").read().splitlines()
    # What matters of a long log: the lines that say what failed, and its end.
    for line in lines[:-LOG_LINES]:
        if re.search(r"ERROR|FAILED|\[\s*FAILED|Error:|runtime error|Sanitizer", line):
            print("    " + line)
    for line in lines[-LOG_LINES:]:
        print("    " + line)


def main():
    wanted, outputs, broken = read_events(sys.argv[1])
    code = int(sys.argv[2])
    total_passed = total_failed = total_skipped = 0
    for label in sorted(wanted | set(outputs)):
        result = outputs.get(label)
        if result is None:
            print(f"FAILED {label}: did not build or did not run")
            total_failed += 1
            continue
        passed, failed, skipped = read_cases(output_path(result, "test.xml"))
        for name in skipped:
            print(f"skipped {name}")
        total_skipped += len(skipped)
        good = result.get("status") == "PASSED"
        if good and not failed:
            # A test without an XML of its own is one case.
            total_passed += passed if passed or skipped else 1
            continue
        print(f"FAILED {label}: {', '.join(failed) or result.get('status', '?').lower()}")
        print_log(output_path(result, "test.log"))
        total_passed += passed
        total_failed += max(len(failed), 1)
    # What is no test has no cases: all of it that did not build is one failure.
    others = sorted(label for label in set(broken) if label not in wanted)
    if others:
        print(f"FAILED build: {len(others)} targets did not build: {', '.join(others[:10])}")
        total_failed += 1
    # Bazel answers 0 for good, 4 for nothing to test: whatever else went wrong must be counted.
    if code not in (0, 4) and total_failed == 0:
        print(f"FAILED bazel: exit code {code}")
        total_failed += 1
    print(f"{total_passed} {total_failed} {total_skipped}")


main()
