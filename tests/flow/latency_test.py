#!/usr/bin/env python3
"""How long a line appended to a followed file takes until the operator's command shows it."""

import os
import random
import select
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make  # noqa: E402
from tests.kit import cases  # noqa: E402

SAMPLES = 60
PAUSE_SECONDS = (0.05, 0.15)  # idle: each line finds nothing under way
MIDDLE_MS_MAX = 100  # the bench holds p99 to this; a busy test machine only the middle


def measure(agent, tail, number):
    """Milliseconds from the append to the line on the follower's output."""
    record = make(number)
    began = time.monotonic()
    agent.append([record])
    ready, _, _ = select.select([tail.stdout], [], [], 10)
    assert ready, f"line {number} was not shown within 10 s"
    line = tail.stdout.readline()
    assert line == record + b"\n", line
    return 1000 * (time.monotonic() - began)


def test_line_to_lookup():
    draw = random.Random(1)
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append([make(0)])
        organization.wait_received(1)
        arguments = ["tail", "-f", "-n", "0", "--output", "ndjson", organization.store]
        with subprocess.Popen(
            [organization.program, *arguments],
            stdout=subprocess.PIPE,
            bufsize=0,
            preexec_fn=flow.end_with_parent,
        ) as tail:
            time.sleep(0.3)
            times = []
            for number in range(1, SAMPLES + 1):
                time.sleep(draw.uniform(*PAUSE_SECONDS))
                times.append(measure(agent, tail, number))
            tail.terminate()
        times.sort()
        middle, late = times[SAMPLES // 2], times[int(SAMPLES * 0.99)]
        print(f"idle latency of {SAMPLES}: p50 {middle:.0f} ms, p99 {late:.0f} ms")
        assert middle < MIDDLE_MS_MAX, f"p50 {middle:.0f} ms"
        assert organization.lookup("--event-id", "60d1e5aa-0000-4000-9000-00000000003c")


if __name__ == "__main__":
    cases.run("latency_test", globals())
