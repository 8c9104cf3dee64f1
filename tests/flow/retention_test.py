#!/usr/bin/env python3
"""Days that go: what is told, what is left, and that nothing of them comes back."""

import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, expect_counts, make  # noqa: E402
from tests.kit import cases  # noqa: E402

DAY_S = 24 * 60 * 60


def make_day(ago, first, count):
    """Records of one day, so many days before today."""
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - ago * DAY_S))
    return [
        make(number, eventTime=f"{day}T00:{number % 3600 // 60:02}:{number % 60:02}Z")
        for number in range(first, first + count)
    ]


def lookup_others(organization):
    return sorted(line for line in organization.export() if b"orgtrail.local" not in line)


def test_a_day_that_went_is_not_stored_again():
    old, kept = make_day(5, 1, 700), make_day(2, 1001, 300) + make_day(0, 2001, 200)
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.deliver(old[:400])
        agent.append(old[400:] + kept)
        organization.wait_received(len(old) + len(kept))
        assert lookup_others(organization) == sorted(old + kept)
        agent.stop()
        organization.collector.stop()
        text = organization.read_settings()
        organization.write_settings(text.replace("\nstore:\n", "\nstore:\n  retention_days: 3\n"))
        organization.start_collector()
        dropped = flow.wait_until("a day goes", lambda: organization.own_events("DayDropped"))
        details = dropped[0]["serviceEventDetails"]
        assert len(dropped) == 1, dropped
        assert details["day"] == old[0].decode().partition('"eventTime":"')[2][:10], details
        assert (details["events"], details["retentionDays"]) == (len(old), 3), details
        # The days between have no events and go a moment later, which would cut an export short.
        kept_from_s = (int(time.time()) // DAY_S - 3) * DAY_S
        flow.wait_until(
            lambda: f"kept from {kept_from_s}: {organization.status()['upkeep']}",
            lambda: organization.status()["upkeep"]["retained_from_s"] == kept_from_s,
        )
        assert lookup_others(organization) == sorted(kept)
        status = organization.status()
        assert status["upkeep"]["dropped_events"] == len(old), status["upkeep"]

        # The same agent brings it again, and one that was never here, from files and from a log.
        before = status["total"]
        agent.start()
        agent.append(old)
        other = organization.enroll("-a", SHOP, "-g", "second")
        other.deliver(old)
        other.append(old)
        organization.wait_received(before["received"] + 3 * len(old))
        total = organization.status()["total"]
        assert total["stored"] == before["stored"], (before, total)
        assert total["expired"] - before["expired"] == 3 * len(old), (before, total)
        expect_counts(total, quarantined=0, duplicates=before["duplicates"])
        assert lookup_others(organization) == sorted(kept)
        assert organization.status()["upkeep"]["dropped_events"] == len(old)
        # What is not of that day is taken as ever.
        agent.append(kept[:10] + make_day(1, 3001, 5))
        organization.wait_received(total["received"] + 15)
        expect_counts(
            organization.status()["total"],
            stored=total["stored"] + 5,
            duplicates=total["duplicates"] + 10,
        )
        organization.check()


if __name__ == "__main__":
    cases.run("retention_test", globals())
