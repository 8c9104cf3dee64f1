#!/usr/bin/env python3
"""The stock verifier, `aws cloudtrail validate-logs`, on trails that a collector delivers to a folder and
serves itself: what it accepts, and what it says of each tampering."""

import datetime
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.deliver.delivery import BUCKET, HOME, Delivering, count, flow, gzip, json, now, summary  # noqa: E402
from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()


def feed(service, events, times=1):
    """Brings events in after logging has begun."""
    agent = service.organization.enroll("--organization")
    agent.deliver([event.text for event in events])
    service.organization.wait_received(len(events) * times)
    return agent


def selected(events, accounts=None, regions=None):
    """The records that a trail of all management events delivers."""
    return [
        event.text for event in events
        if event.category == "Management" and (accounts is None or event.account in accounts)
        and (regions is None or event.region in regions)
    ]


def wait_delivered(service, arn, records, seconds=60):
    """Waits until as many of them are there, and checks that they are these, each once."""

    def mine():
        return [record for record, _ in service.records() if b"orgtrail.local" not in record]

    flow.wait_until("the records", lambda: len(mine()) >= len(records), seconds, 0.3)
    assert count(mine()) == count(records), (len(mine()), len(records))


def test_an_organization_trail_is_valid():
    with Delivering(events=[], accounts=all_accounts()) as service:
        arn = service.make_trail(IsOrganizationTrail=True)
        events = api.load_events()
        feed(service, events)
        wait_delivered(service, arn, selected(events))
        service.wait_digest(arn)
        service.call("stop_logging", Name=arn)
        flow.wait_until(
            "the last digest",
            lambda: not any("deliver-" in line for line in followers(service)), 30, 0.2,
        )
        pairs = {(key.split("/")[2], key.split("/")[4]) for key in service.digests()}
        listed = 0
        for account, region in sorted(pairs):
            printed = service.validate(arn, account=account, region=region)
            found = summary(printed)
            assert found["digest"][0] == found["digest"][1] > 0, printed
            valid, of = found.get("log", (0, 0))
            assert valid == of, printed
            listed += of
        # Temporary credentials read what their key reads, and nothing without their token.
        session = service.begin_session()
        listing = service.aws("s3", "ls", "--recursive", f"s3://{BUCKET}/AWSLogs/", key=session).splitlines()
        assert len(listing) >= len(service.files()) + len(service.digests()), len(listing)
        service.aws("s3", "ls", f"s3://{BUCKET}/AWSLogs/", key=session._replace(token="x"), code=255)
        # Each file is in one digest.
        assert listed == len(service.files()), (listed, len(service.files()))


def all_accounts():
    return sorted({event.account for event in api.load_events()})


def followers(service):
    return service.organization.run(
        "follower", "list", "--config", service.organization.config_path
    ).stdout.splitlines()


cases.run("validate", globals())
