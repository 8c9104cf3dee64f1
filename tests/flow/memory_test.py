#!/usr/bin/env python3
"""The agent's memory stays flat whatever waits: a backlog lies in files and in the spool.

BACKLOG_MB in the environment makes it another size than 310: 1000 nearly fill the spool of the default size.
"""

import glob
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make  # noqa: E402
from tests.kit import cases  # noqa: E402

MB = 1000 * 1000
FLAT_MB = 25  # of memory that is the agent's own: neither programs nor files mapped
BACKLOG_MB = int(os.environ.get("BACKLOG_MB", "310"))
WAIT_SECONDS = 200 * BACKLOG_MB // 310

RECORD_SIZE = 8 * 1000
# 200 MB in one log, and files of 10 MB: the largest that are inflated whole have 10 MiB.
FILES, FILE_RECORDS = 12, 1200
LINES = BACKLOG_MB * MB // RECORD_SIZE - FILES * FILE_RECORDS


def make_records(first, count):
    """Large records, quickly: of one text only the number differs."""
    # Of one byte it would inflate as a bomb does, and be refused.
    filler = os.urandom(RECORD_SIZE // 2).hex()
    before, after = make(0, requestParameters={"filler": filler}).split(b"000000000000")
    return [b"%s%012x%s" % (before, number, after) for number in range(first, first + count)]


def read_own_mb(agent):
    with open(f"/proc/{agent.process.pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024 / MB
    raise AssertionError("no RssAnon: an old kernel")


def measure_spool(agent):
    # Segments that are being replaced lie beside them under other names.
    return sum(os.path.getsize(path) for path in glob.glob(f"{agent.spool}/*.segment"))


def watch(agent, what, condition):
    """Waits; returns the most memory seen meanwhile, in MB."""
    peak = 0

    def look():
        nonlocal peak
        peak = max(peak, read_own_mb(agent))
        return condition()

    flow.wait_until(what, look, WAIT_SECONDS)
    return peak


def test_memory_is_flat_while_a_backlog_waits_and_drains():
    total = LINES + FILES * FILE_RECORDS
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP, is_started=False)
        organization.collector.stop()
        agent.append(make_records(1, LINES))
        for file in range(FILES):
            agent.deliver(make_records(1 + LINES + file * FILE_RECORDS, FILE_RECORDS))
        agent.start()
        size = total * RECORD_SIZE
        filling = watch(agent, "all in the spool", lambda: measure_spool(agent) > size)
        organization.start_collector()
        draining = watch(
            agent,
            lambda: f"all stored: {organization.status()['total']}",
            lambda: organization.status()["total"]["stored"] >= total,
        )
        organization.wait_received(total)
        print(f"own memory at most {filling:.1f} MB while filling, {draining:.1f} MB while draining")
        assert filling < FLAT_MB and draining < FLAT_MB, (filling, draining)


if __name__ == "__main__":
    cases.run("memory_test", globals())
