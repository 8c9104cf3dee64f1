"""Runs the cases of one Python test and counts them for Bazel, as tests/kit/cases.c does for C.

A case is a function without parameters whose name begins with test_. It fails by raising.
"""

import os
import sys
import time
import traceback
from xml.sax.saxutils import quoteattr


TEXT_MAX = 2000  # characters of a failure: some compare whole stores


class Skipped(Exception):
    """Raised by a case that cannot run on this machine; the text says why."""


def run(name, namespace, only=None):
    """Runs every test_ function of a module's globals(), in the order written. Exits."""
    cases = [
        (key, value)
        for key, value in namespace.items()
        if key.startswith("test_") and callable(value) and (only is None or only in key)
    ]
    assert cases, f"{name} has no cases"
    outcomes = []
    for key, case in cases:
        began = time.monotonic()
        failure = skipped = None
        try:
            case()
        except Skipped as reason:
            skipped = str(reason)
            print(f"[ SKIPPED  ] {key}: {reason}", flush=True)
        except BaseException as error:
            failure = f"{type(error).__name__}: {error}"[:TEXT_MAX]
            print(traceback.format_exc()[: 2 * TEXT_MAX], flush=True)
            if isinstance(error, KeyboardInterrupt):
                raise
        outcomes.append((key, time.monotonic() - began, failure, skipped))
        if skipped is None:
            print(f"[ {'FAILED  ' if failure else '      OK'} ] {key}", flush=True)
    failed = sum(1 for outcome in outcomes if outcome[2])
    left_out = sum(1 for outcome in outcomes if outcome[3] is not None)
    passed = len(outcomes) - failed - left_out
    print(f"{name}: {passed} of {len(outcomes)} cases passed, {left_out} skipped")
    write_xml(name, outcomes, failed)
    sys.exit(1 if failed else 0)


def write_xml(name, outcomes, failed):
    path = os.environ.get("XML_OUTPUT_FILE")
    if not path:
        return
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    lines.append(
        f'  <testsuite name={quoteattr(name)} tests="{len(outcomes)}" failures="{failed}" errors="0">'
    )
    for key, seconds, failure, skipped in outcomes:
        inner = f"<failure message={quoteattr(failure)}/>" if failure else ""
        if skipped is not None:
            inner = f"<skipped message={quoteattr(skipped)}/>"
        lines.append(
            f"    <testcase classname={quoteattr(name)} name={quoteattr(key)}"
            f' time="{seconds:.3f}">{inner}</testcase>'
        )
    lines += ["  </testsuite>", "</testsuites>", ""]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
