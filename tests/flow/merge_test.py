#!/usr/bin/env python3
"""What becomes of an event that several agents report, and of one that no agent may report."""

import json
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import BANK, OWNER, SHOP, expect_counts, make  # noqa: E402
from tests.kit import cases  # noqa: E402

REGIONS = [
    *(f"us-{place}" for place in ("east-1", "east-2", "west-1", "west-2")),
    *(f"eu-{place}" for place in ("west-1", "west-2", "west-3", "central-1", "north-1")),
    *(f"ap-{place}" for place in ("south-1", "northeast-1", "northeast-2", "northeast-3")),
    *("ap-southeast-1", "ap-southeast-2", "ca-central-1", "sa-east-1"),
]


def make_organization():
    organization = flow.Organization(accounts=[SHOP, BANK], management=OWNER)
    organization.start_collector()
    return organization


def test_17_regions_report_one_global_event():
    event = make(eventSource="iam.amazonaws.com", eventName="CreateRole", awsRegion="us-east-1")
    with make_organization() as organization:
        agents = [organization.enroll("-a", SHOP, "-r", region) for region in REGIONS]
        assert len(agents) == 17
        for agent in agents:
            agent.append([event])
        status = organization.wait_received(17, seconds=60)
        expect_counts(status["total"], stored=1, duplicates=16, quarantined=0, global_reported=17)
        for agent in agents:
            expect_counts(organization.agent_status(agent), received=1, global_reported=1)
        assert organization.lookup("--global") == [event.decode()]
        assert organization.check() == 1


def test_same_values_in_other_bytes_are_one_event():
    event = make(1)
    members = json.loads(event)
    reordered = json.dumps(dict(reversed(list(members.items())))).encode()
    escaped = event.replace(b"ana", b"\\u0061na")
    with make_organization() as organization:
        first, second = (organization.enroll("-a", SHOP, "-g", name) for name in ("a", "b"))
        first.append([event])
        organization.wait_received(1)
        second.append([reordered, escaped, event])
        status = organization.wait_received(4)
        expect_counts(status["total"], stored=1, duplicates=1, variants=2, quarantined=0, conflicts=0)
        expect_counts(organization.agent_status(second), stored=0, duplicates=1, variants=2)
        assert organization.export() == [event]


def test_who_asks_for_what_is_not_there_is_told():
    """A mistyped region or account looks like "nothing happened" otherwise."""
    with make_organization() as organization:
        agents = {SHOP: organization.enroll("-a", SHOP), BANK: organization.enroll("-a", BANK)}
        for number, region in enumerate(REGIONS[:10]):
            agents[SHOP].append([make(number, awsRegion=region)])
        agents[BANK].append([make(20, awsRegion="eu-west-1", recipientAccountId=BANK)])
        organization.wait_received(11)
        # Readers see coverage when the collector has saved it.
        organization.collector.stop()
        store = organization.store

        def ask(*conditions, command=("lookup",), form=("--output", "ndjson")):
            done = organization.run(*command, store, *form, *conditions)
            assert done.stdout == "", done.stdout
            return [line for line in done.stderr.splitlines() if line.startswith("No event of the ")]

        near = "us-east-1, us-west-1, us-east-2, us-west-2, eu-west-1, eu-west-2, eu-west-3"
        said = ask("--region", "us-esat-1")
        assert len(said) == 1, said
        assert said[0].startswith(f"No event of the region us-esat-1 is in the trail; known: {near}"), said
        assert said[0].endswith(" and others."), said
        account = SHOP[:-1] + "9"
        assert ask("--account", account) == [
            f"No event of the account {account} is in the trail; known: {SHOP}, {BANK}."
        ]
        assert len(ask("--account", account, "--region", "us-esat-1")) == 2
        # What is there, but not together, is no mistake of this kind.
        assert ask("--account", BANK, "--region", "us-east-1") == []
        form = ("--format", "ndjson")
        assert ask("--region", "us-esat-1", command=("export", "-"), form=form) == said


def test_other_values_are_an_alarm():
    event = make(2)
    forged = event.replace(b"203.0.113.7", b"203.0.113.8")
    with make_organization() as organization:
        first, second = (organization.enroll("-a", SHOP, "-g", name) for name in ("a", "b"))
        first.append([event])
        organization.wait_received(1)
        second.append([forged, forged])
        status = organization.wait_received(3)
        expect_counts(status["total"], stored=1, quarantined=2, conflicts=2)
        (entry,) = organization.quarantine("conflict")
        assert entry["text"].encode() == forged and entry["count"] == 2, entry
        assert entry["agent"] == second.uri
        (alarm,) = organization.own_events("EventConflict")
        details = alarm["serviceEventDetails"]
        assert details["agent"] == second.uri and details["account"] == SHOP, details
        assert details["conflictEventId"] == json.loads(event)["eventID"], details
        assert alarm["recipientAccountId"] == OWNER
        assert event.decode() in organization.lookup("--account", SHOP)
        assert forged.decode() not in organization.lookup()


def test_same_id_at_another_time_is_another_event():
    events = [make(3), make(3, eventTime="2026-03-01T10:00:01Z"), make(3, recipientAccountId=BANK)]
    with make_organization() as organization:
        agent = organization.enroll("--organization")
        agent.append(events)
        status = organization.wait_received(3)
        expect_counts(status["total"], stored=3, duplicates=0, quarantined=0)


def test_what_no_agent_may_report():
    good = make(10)
    refused = {
        "identity": [make(11, recipientAccountId=BANK), make(12, awsRegion="us-west-2")],
        "reserved_source": [
            make(13, eventSource="orgtrail.local"),
            make(14, eventSource="OrgTrail.Local"),
        ],
        "future": [make(15, eventTime="2099-01-01T00:00:00Z")],
    }
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, "-r", "eu-west-1")
        agent.append([record for records in refused.values() for record in records] + [good])
        status = organization.wait_received(6)
        expect_counts(status["total"], stored=1, quarantined=5)
        for reason, records in refused.items():
            found = sorted(entry["text"].encode() for entry in organization.quarantine(reason))
            assert found == sorted(records), reason
        details = " ".join(entry["detail"] for entry in organization.quarantine())
        for said in (BANK, SHOP, "us-west-2", "eu-west-1", "orgtrail.local", "2099-01-01"):
            assert said in details, f"{said} is not said: {details}"
        violation = organization.own_events("IdentityViolation")[-1]["serviceEventDetails"]
        assert violation["agent"] == agent.uri and violation["count"] >= 1, violation
        assert organization.lookup("--account", SHOP) == [good.decode()]
        metrics = organization.fetch("/metrics")
        assert re.search(r'quarantined_events_total\{reason="identity"\} 2\n', metrics), metrics
        assert 'reason="good"' not in metrics, metrics


def test_unknown_account_waits_for_the_roster():
    with make_organization() as organization:
        agent = organization.enroll("--organization")
        unlisted = make(20, recipientAccountId="444444444444")
        agent.append([unlisted])
        organization.wait_received(1)
        # A bucket of the organization may know an account before the roster does.
        assert organization.lookup("--account", "444444444444") == [unlisted.decode()]

        organization.collector.stop()
        text = organization.read_settings().replace("  accounts:", "  unknown: quarantine\n  accounts:")
        organization.write_settings(text)
        organization.start_collector()
        agent.append([make(21, recipientAccountId="444444444444")])
        organization.wait_received(2, seconds=60)
        (entry,) = organization.quarantine("unknown_account")
        assert "444444444444" in entry["detail"] and "roster" in entry["detail"], entry


def test_account_of_records_that_name_none():
    without = ("recipientAccountId",)
    no_identity = ("recipientAccountId", "userIdentity")
    other = {"type": "AWSAccount", "accountId": BANK}
    with make_organization() as organization:
        regional = organization.enroll("-a", SHOP, "-r", "eu-west-1")
        regional.append([make(30, without=without, userIdentity=other)])
        whole = organization.enroll("--organization")
        whole.append([make(31, without=without, userIdentity=other), make(32, without=no_identity)])
        whole.deliver(
            [make(33, without=no_identity)],
            f"AWSLogs/o-example123/{SHOP}/CloudTrail/eu-west-1/2026/03/01/x.json.gz",
        )
        status = organization.wait_received(4)
        expect_counts(status["total"], stored=3, quarantined=1)
        ids = {
            account: sorted(
                json.loads(text)["eventID"][-2:] for text in organization.lookup("--account", account)
            )
            for account in (SHOP, BANK)
        }
        assert ids == {SHOP: ["1e", "21"], BANK: ["1f"]}, ids
        (entry,) = organization.quarantine("no_account")
        assert entry["text"].encode() == make(32, without=no_identity)


def test_ids_that_are_missing_or_no_uuid():
    without = ("eventID",)
    nameless = make(0, without=without)
    other = make(0, without=without, eventName="StopInstances")
    texts = [make(0, eventID="1"), make(0, eventID="01"), make(0, eventID="é" * 128)]
    bad = [make(0, eventID=""), make(0, eventID="x" * 257), make(0, eventID=7), make(0, eventID=None)]
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append([nameless, other, nameless, *texts, texts[0], *bad])
        status = organization.wait_received(11)
        expect_counts(status["total"], stored=5, duplicates=2, quarantined=4)
        assert len(organization.quarantine("bad_event_id")) == 4
        assert organization.lookup("--event-id", "01") == [texts[1].decode()]
        # Beside them the collector's own event of the refusals.
        stored = [line for line in organization.export() if b"orgtrail.local" not in line]
        assert sorted(stored) == sorted([nameless, other, *texts])


if __name__ == "__main__":
    cases.run("merge_test", globals())
