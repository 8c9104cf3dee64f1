#!/usr/bin/env python3
"""Trails with a log group: what moto's CloudWatch Logs has is what the sources had, byte for byte; a store that fails in
every way gets each event, and more than once only where the documentation says so; what is wrong is told."""

import json
import os
import random
import sys
import time
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

from tests.deliver.delivery import HOME, OWN, count, flow, now  # noqa: E402
from tests.deliver.logs_delivery import KEY, DeliveringToLogs, FailingLogs, foreign, target  # noqa: E402
from tests.s3 import servers  # noqa: E402

EVENTS = api.load_events()
ACCOUNTS = sorted({event.account for event in EVENTS})
SELECTED = [event.text for event in EVENTS if event.category == "Management"]
REFUSALS = ["unavailable", "throttled", "internal", "sequence", "already", "no"]


def make_event(size=0, **members):
    """An event of an account that the data has, with so many bytes of parameters."""
    record = dict(
        eventVersion="1.11", eventID=str(uuid.uuid4()), eventTime="2024-05-01T00:00:00Z", eventType="AwsApiCall",
        eventSource="ec2.amazonaws.com", eventName="RunInstances", awsRegion=HOME, recipientAccountId=ACCOUNTS[0],
        userIdentity=dict(type="Root", accountId=ACCOUNTS[0]), managementEvent=True, eventCategory="Management",
        readOnly=False, requestParameters={"userData": "x\u00e9\"\\/" * (size // 7)}, **members)
    return api.Event(json.dumps(record, ensure_ascii=False).encode())


def error_of(service, arn):
    return service.status(arn).get("LatestCloudWatchLogsDeliveryError", "")


def wait_error(service, arn, words, seconds=60):
    flow.wait_until(lambda: f"the error {words}, not {error_of(service, arn)!r}",
                    lambda: words in error_of(service, arn), seconds, 0.2)


def wait_messages(read, wanted, seconds=120):
    flow.wait_until(lambda: f"{len(wanted)} messages, not {len(foreign(read()))}",
                    lambda: len(foreign(read())) >= len(wanted), seconds, 0.3)


def followers(service):
    return service.organization.run("follower", "list", "--config", service.organization.config_path).stdout


class Group:
    """A group of moto's, read with boto3."""

    def __init__(self, server, name):
        self.client, self.name = server.boto3("logs"), name

    def make(self):
        self.client.create_log_group(logGroupName=self.name)
        return self

    def streams(self):
        found = {}
        for page in self.client.get_paginator("describe_log_streams").paginate(logGroupName=self.name):
            for stream in page["logStreams"]:
                found[stream["logStreamName"]] = self.events(stream["logStreamName"])
        return found

    def events(self, stream):
        events, token = [], None
        while True:
            asked = dict(logGroupName=self.name, logStreamName=stream, startFromHead=True)
            page = self.client.get_log_events(**asked, **({"nextToken": token} if token else {}))
            if not page["events"]:
                return events
            events += page["events"]
            token = page["nextForwardToken"]

    def messages(self):
        return [event["message"].encode() for events in self.streams().values() for event in events]


def open_moto():
    return servers.Moto(key=KEY)


def test_moto_has_what_the_sources_had():
    large = make_event(300 * 1024)
    assert 300000 < len(large.text) < 400000
    with open_moto() as moto, DeliveringToLogs(moto.port, events=[], accounts=ACCOUNTS) as service:
        whole, shop = Group(moto, "whole").make(), Group(moto, "/of/one_account.#1").make()
        arn = service.make_trail(IsOrganizationTrail=True, **target(whole.name))
        one = service.make_trail("one", IsMultiRegionTrail=False, S3KeyPrefix="one", **target(shop.name))
        before = time.time() * 1000
        service.feed(EVENTS + [large])
        wait_messages(whole.messages, SELECTED + [large.text])
        streams = whole.streams()
        found = [event["message"].encode() for events in streams.values() for event in events]
        assert count(foreign(found)) == count(SELECTED + [large.text])
        # Each is in the stream of its account and region, at the time of its delivery.
        for stream, events in streams.items():
            for event in events:
                record = json.loads(event["message"])
                region = record.get("awsRegion") or "none"
                wanted = f"{flow.ORGANIZATION}_{record['recipientAccountId']}_CloudTrail_{region}"
                assert stream == wanted, (stream, wanted)
                assert before - 60000 < event["timestamp"] < time.time() * 1000 + 1000, event["timestamp"]
        status = service.status(arn)
        assert abs((now() - status["LatestCloudWatchLogsDeliveryTime"]).total_seconds()) < 120, status
        assert "LatestCloudWatchLogsDeliveryError" not in status, status
        # What a trail of one account and region has.
        service.call("add_tags", ResourceId=one, TagsList=[{"Key": "a", "Value": "b"}])
        flow.wait_until("own events", lambda: any(b"AddTags" in message for message in shop.messages()), 60, 0.3)
        assert list(shop.streams()) == [f"{flow.MANAGEMENT}_CloudTrail_{HOME}"], list(shop.streams())
        wanted = [event.text for event in EVENTS if event.category == "Management"
                  and (event.account, event.region) == (flow.MANAGEMENT, HOME)] + [large.text]
        wait_messages(shop.messages, wanted)
        found = foreign(shop.messages())
        assert count(found) == count(wanted), (len(found), len(wanted))
        flow.wait_until(
            "the metric and the groups agree",
            lambda: service.metric("orgtrail_collector_log_group_events_total")
            == len(whole.messages()) + len(shop.messages()), 30, 0.3)
        # The session ends with the call that ended it, and a new one begins behind it.
        service.call("stop_logging", Name=arn)
        flow.wait_until("the end of the session", lambda: "logs-org-" not in followers(service), 60, 0.3)
        ended = whole.messages()
        stops = [message for message in ended if OWN in message and b'"eventName":"StopLogging"' in message]
        assert len(stops) == 1, stops
        service.feed([make_event()])
        again = make_event()
        service.call("start_logging", Name=arn)
        service.feed([again])
        flow.wait_until("the event of the new session", lambda: again.text in whole.messages(), 60, 0.3)
        assert len(foreign(whole.messages())) == len(foreign(ended)) + 1
        # A group that a trail gets, loses and gets again has what comes while it is there.
        service.call("update_trail", Name=arn, CloudWatchLogsLogGroupArn="", CloudWatchLogsRoleArn="")
        service.organization.collector.wait_for_message("a trail has no log group any more")
        missed = make_event()
        service.feed([missed])
        service.call("update_trail", Name=arn, **target(whole.name))
        last = make_event()
        service.feed([last])
        flow.wait_until("the event after the update", lambda: last.text in whole.messages(), 60, 0.3)
        assert missed.text not in whole.messages()
        # What is left of a trail that is gone is nothing.
        service.call("delete_trail", Name=arn)
        service.call("delete_trail", Name=one)
        flow.wait_until("no follower", lambda: "logs-" not in followers(service), 60, 0.3)


def test_missing_group_is_told_until_it_is_made():
    groups = f', groups: ["la*", "own"]'
    with open_moto() as moto, DeliveringToLogs(moto.port, events=[], accounts=ACCOUNTS, logs=groups) as service:
        group = Group(moto, "later")
        arn = service.make_trail(IsOrganizationTrail=True, **target(group.name))
        service.feed(EVENTS[:200])
        wanted = [event.text for event in EVENTS[:200] if event.category == "Management"]
        wait_error(service, arn, f"ResourceNotFoundException: make the log group later in {HOME}")
        service.organization.collector.wait_for_message("make the log group later")
        # Files are delivered meanwhile.
        service.wait_records(wanted)
        assert "LatestDeliveryError" not in service.status(arn)
        # What comes while a round waits, up to the call that ends logging, belongs to it too.
        behind = make_event()
        service.feed([behind])
        service.call("stop_logging", Name=arn)
        group.make()
        wanted.append(behind.text)
        wait_messages(group.messages, wanted)
        flow.wait_until("the end of the session", lambda: "logs-org-" not in followers(service), 60, 0.3)
        assert count(foreign(group.messages())) == count(wanted)
        assert any(b'"eventName":"StopLogging"' in message for message in group.messages())
        assert error_of(service, arn) == ""
        service.call("start_logging", Name=arn)
        # A group elsewhere is not called at all.
        service.call("update_trail", Name=arn, CloudWatchLogsLogGroupArn=target("x")[
            "CloudWatchLogsLogGroupArn"].replace(HOME, "eu-west-1"), CloudWatchLogsRoleArn=target("x")["CloudWatchLogsRoleArn"])
        wait_error(service, arn, "WrongRegion: the log group is in eu-west-1")
        # Nor is one that the settings do not have, whatever the key can write to.
        other = Group(moto, "other")
        other.make()
        service.call("update_trail", Name=arn, **target(other.name))
        wait_error(service, arn, "NotAllowed: delivery.logs.groups does not have the log group other")
        assert other.messages() == []
        service.call("update_trail", Name=arn, **target(group.name))
        flow.wait_until("no error", lambda: error_of(service, arn) == "", 60, 0.3)
        # A key that is wrong, and right again without a restart.
        servers.write_credentials(service.organization.base, KEY[0], "another")
        service.call("add_tags", ResourceId=arn, TagsList=[{"Key": "a", "Value": "b"}])
        wait_error(service, arn, "HTTP 403: correct the key in the credentials file, or allow")
        servers.write_credentials(service.organization.base, *KEY)
        flow.wait_until("no error", lambda: error_of(service, arn) == "", 90, 0.3)


def test_failing_store_gets_each_event_once():
    """Whatever is refused is not there, and is sent again; what is there already is not."""
    chance = random.Random(1)
    with FailingLogs() as logs, DeliveringToLogs(logs.port, events=[], accounts=ACCOUNTS) as service:
        arn = service.make_trail(IsOrganizationTrail=True, **target("trail"))
        logs.plan = [(None, chance.choice(REFUSALS)) for _ in range(24)]
        for failure in ("cut", "refused", "strange"):
            logs.plan.insert(chance.randrange(len(logs.plan)), (None, failure))
        service.feed(EVENTS)
        wait_messages(logs.messages, SELECTED)
        assert count(foreign(logs.messages())) == count(SELECTED)
        assert not logs.breaches, logs.breaches[:5]
        assert "CreateLogStream" in logs.calls and logs.sequenced > 0
        flow.wait_until("no error", lambda: error_of(service, arn) == "", 60, 0.3)
        for failure, words in (("denied", "AccessDeniedException: allow logs:CreateLogStream and logs:PutLogEvents"),
                               ("throttled", "ThrottlingException: it is tried again: Rate exceeded"),
                               ("refused", "RejectedLogEvents: the store takes no event of this time"),
                               ("cut", "Unreachable: 127.0.0.1"), ("strange", "HTTP 418")):
            logs.always = {"trail": failure}
            service.call("add_tags", ResourceId=arn, TagsList=[{"Key": failure, "Value": "x"}])
            wait_error(service, arn, words)
            logs.always = {}
            flow.wait_until("no error", lambda: error_of(service, arn) == "", 90, 0.3)
        assert count(foreign(logs.messages())) == count(SELECTED)
        # An event that is refused for its time while others are taken is left out, counted and told.
        logs.plan = [("trail", "partly")]
        pair = [make_event(), make_event()]
        service.feed(pair)
        wait_error(service, arn, "RejectedLogEvents: 1 events were left out since logging began")
        assert service.metric("orgtrail_collector_log_group_left_out_events_total") == 1
        flow.wait_until("own event", lambda: service.organization.own_events("EventsLeftOut"))
        details = service.organization.own_events("EventsLeftOut")[0]["serviceEventDetails"]
        assert details["reason"] == "RejectedLogEvents" and "bytes" not in details, details
        assert not logs.breaches, logs.breaches[:5]


def test_lost_answers_and_kills_repeat_events_and_lose_none():
    with FailingLogs() as logs, DeliveringToLogs(logs.port, events=[], accounts=ACCOUNTS) as service:
        service.make_trail(IsOrganizationTrail=True, **target("trail"))
        # The answer to a batch is lost: this batch, and nothing else, is there twice.
        mixed = random.Random(2).sample(EVENTS, len(EVENTS))
        first, rest = mixed[:300], mixed[300:]
        wanted = [event.text for event in first if event.category == "Management"]
        logs.plan = [(None, "lost")]
        service.feed(first)
        flow.wait_until("the first", lambda: set(wanted) <= set(logs.messages()), 60, 0.3)
        lost = logs.batches[0]
        messages = foreign(logs.messages())
        assert len(wanted) <= len(messages) <= len(wanted) + lost, (len(messages), len(wanted), lost)
        # It is killed while a batch hangs, and after batches that were taken.
        for _ in range(4):
            part, rest = rest[:800], rest[800:]
            wanted += [event.text for event in part if event.category == "Management"]
            before = logs.hanging
            logs.plan = [(None, "no")] * 3 + [(None, "hang")]
            service.feed(part)
            flow.wait_until("a call that hangs", lambda: logs.hanging > before, 60, 0.1)
            service.organization.collector.kill()
            logs.plan = []
            service.organization.start_collector()
            flow.wait_until("all", lambda: set(wanted) <= set(logs.messages()), 90, 0.3)
        most = max(count(foreign(logs.messages())).values())
        assert most <= 1 + 1 + 4, most
        assert not set(foreign(logs.messages())) - set(wanted)
        assert not logs.breaches, logs.breaches[:5]


def test_events_too_large_are_told():
    large, small = make_event(300 * 1024), make_event()
    with FailingLogs() as logs, DeliveringToLogs(
        logs.port, events=[], accounts=ACCOUNTS, logs=", event_size_max: 256KiB") as service:
        arn = service.make_trail(IsOrganizationTrail=True, **target("trail"))
        assert "LatestCloudWatchLogsDeliveryError" not in service.status(arn)
        service.feed([large, small])
        flow.wait_until("the small one", lambda: small.text in logs.messages(), 60, 0.3)
        assert large.text not in logs.messages()
        wait_error(service, arn, f"of {len(large.text)} bytes: the log group takes 262144")
        assert error_of(service, arn).startswith("EventTooLarge: 1 events were left out since logging began")
        assert service.metric("orgtrail_collector_log_group_left_out_events_total") == 1
        organization = service.organization
        organization.collector.wait_for_message("events are too large for a log group")
        flow.wait_until("own event", lambda: organization.own_events("EventsLeftOut"))
        details = [event["serviceEventDetails"] for event in organization.own_events("EventsLeftOut")]
        assert len(details) == 1 and details[0]["follower"].startswith("logs-org-"), details
        assert details[0]["reason"] == "EventTooLarge" and details[0]["sinceLoggingBegan"] == 1, details
        assert details[0]["bytes"] == len(large.text) and details[0]["sequence"] > 0, details
        words = "1 event was left out of a log group since the start"
        assert f"WARNING      {words}" in organization.run("status", organization.store).stdout
        warnings = organization.status()["collector"]["warnings"]
        assert any(line.startswith(words) for line in warnings), warnings
        # The file has it.
        service.wait_records([large.text, small.text])


def test_eight_that_hang_hold_no_other_up():
    with FailingLogs([f"hang-{number}" for number in range(8)] + ["good"]) as logs, DeliveringToLogs(
        logs.port, events=[], accounts=ACCOUNTS) as service:
        logs.always = {f"hang-{number}": "hang" for number in range(8)}
        for number in range(8):
            client = service.boto(region=("eu-west-1", HOME)[number % 2])
            trail = client.create_trail(Name=f"hang-{number}", S3BucketName="trail-logs", S3KeyPrefix=f"{number}",
                                        IsOrganizationTrail=True, **target(f"hang-{number}"))
            client.start_logging(Name=trail["TrailARN"])
        few = [make_event(), make_event()]
        other = api.Event(few[1].text.replace(f'"{HOME}"'.encode(), b'"eu-west-1"'))
        service.feed([few[0], other])
        flow.wait_until(lambda: f"eight that hang, not {logs.hanging}", lambda: logs.hanging >= 8, 60, 0.2)
        service.make_trail("good", IsOrganizationTrail=True, S3KeyPrefix="good", **target("good"))
        began = time.monotonic()
        service.feed(EVENTS)
        flow.wait_until("the good one", lambda: len(foreign(logs.messages("good"))) >= len(SELECTED), 25, 0.2)
        print(f"{len(SELECTED)} events beside 8 that hang: {time.monotonic() - began:.1f} s", flush=True)
        assert count(foreign(logs.messages("good"))) == count(SELECTED)
        # What hangs does not keep the collector from ending.
        began = time.monotonic()
        assert service.organization.collector.stop() == 0
        assert time.monotonic() - began < 15


if __name__ == "__main__":
    cases.run("logs", globals(), os.environ.get("ONLY"))
