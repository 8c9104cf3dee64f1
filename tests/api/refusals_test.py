#!/usr/bin/env python3
"""What is refused, and pages of a history that grows: by each client that AWS has, with the same answers."""

import json
import os
import re
import shutil
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

import botocore.auth  # noqa: E402
import botocore.compat  # noqa: E402
import botocore.exceptions  # noqa: E402
from botocore import xform_name  # noqa: E402

SHOP, OTHER = "123837392027", "347283850106"  # as in clients_test.py
CLI = {"PyPI's CLI": os.path.join(api.CLIENTS, "python/bin/aws"), "Debian's CLI": "/usr/bin/aws"}
PAGE = 3  # many pages: events come between them


class Refused(Exception):
    """The name of an error that a client told, and all it said."""

    def __init__(self, code, said):
        super().__init__(f"{code}: {said}")
        self.code, self.said = code, str(said)


class Room:
    service = None
    member = None


def service():
    if Room.service is None:
        Room.service = api.Service()
        # The CLI's own check of a request would keep some of what is wrong from us.
        folder = os.path.join(Room.service.organization.base, ".aws")
        os.makedirs(folder)
        with open(os.path.join(folder, "config"), "w", encoding="ascii") as file:
            file.write("[default]\nparameter_validation = false\n")
        Room.member = Room.service.make_key("member", "--account", SHOP)
    return Room.service


# --- one call by each client: its answer, or Refused


def by_boto(operation, given, key, region="us-east-1", ahead_s=0):
    import datetime

    kept = botocore.auth.get_current_datetime
    ahead = datetime.timedelta(seconds=ahead_s)
    botocore.auth.get_current_datetime = lambda *more: kept(*more) + ahead
    try:
        return getattr(service().boto(key, region), xform_name(operation))(**given)
    except botocore.exceptions.ClientError as error:
        raise Refused(error.response["Error"]["Code"], error) from None
    finally:
        botocore.auth.get_current_datetime = kept


def by_cli(program):
    def call(operation, given, key, region="us-east-1", ahead_s=0):
        arguments = [xform_name(operation, "-"), "--cli-input-json", json.dumps(given)]
        if operation == "LookupEvents":
            arguments.append("--no-paginate")
        if ahead_s != 0:
            arguments.append("--no-verify-ssl")  # a certificate of today is not valid yet
        answer = service().cli(program, *arguments, key=key, region=region, ahead_s=ahead_s)
        if isinstance(answer, dict):
            return answer
        found = re.search(r"An error occurred \((\w+)\) when calling the \w+ operation", answer)
        assert found, answer
        raise Refused(found.group(1), answer)

    return call


def by_node(operation, given, key, region="us-east-1", ahead_s=0):
    printed = service().node(operation, given, key, region, skew_ms=1000 * ahead_s)
    if "error" in printed:
        raise Refused(printed["error"], printed["message"])
    return printed["answer"]


def clients():
    """(name, call) of those that this machine has."""
    yield "boto3", by_boto
    for name, program in CLI.items():
        if os.path.exists(program):
            yield name, by_cli(program)
    if shutil.which("node"):
        yield "JavaScript", by_node


def attributes(*pairs):
    return [{"AttributeKey": key, "AttributeValue": value} for key, value in pairs]


def test_what_is_wrong_has_the_same_name_for_each_client():
    made, member = service().make_key, Room.member
    disabled, deleted = made("disabled", "--account", SHOP), made("deleted", "--account", SHOP)
    service().keys("disable", disabled.id)
    service().keys("delete", deleted.id)
    other = made("other", "--account", OTHER)
    token = by_boto("LookupEvents", {"MaxResults": 10}, member)["NextToken"]
    follow = {"MaxResults": 10, "NextToken": token}
    look, unknown = "LookupEvents", "UnrecognizedClientException"
    name = attributes(("EventName", "CreateUser"))
    wrong = [
        # Keys.
        (look, {}, api.Key(member.id, member.secret[::-1]), "us-east-1", "InvalidSignatureException"),
        (look, {}, api.Key("AKIAAAAAAAAAAAAAAAAA", member.secret), "us-east-1", unknown),
        (look, {}, disabled, "us-east-1", unknown),
        (look, {}, deleted, "us-east-1", unknown),
        (look, {}, member, f"account-{OTHER}", "AccessDeniedException"),
        (look, {}, member, f"account-{OTHER}-eu-west-1", "AccessDeniedException"),
        (look, {}, member, "organization", "AccessDeniedException"),
        ("CreateTrail", {"Name": "mine", "S3BucketName": "a-bucket"}, member, "us-east-1", "AccessDeniedException"),
        # Parameters.
        (look, {"MaxResults": 0}, member, "us-east-1", "InvalidMaxResultsException"),
        (look, {"MaxResults": 51}, member, "us-east-1", "InvalidMaxResultsException"),
        (look, {"LookupAttributes": name + attributes(("ReadOnly", "true"))}, member, "us-east-1",
         "InvalidLookupAttributesException"),
        (look, {"LookupAttributes": attributes(("Nonsense", "x"))}, member, "us-east-1",
         "InvalidLookupAttributesException"),
        (look, {"StartTime": 2000000000, "EndTime": 1999999999}, member, "us-east-1", "InvalidTimeRangeException"),
        (look, {"EventCategory": "nonsense"}, member, "us-east-1", "InvalidEventCategoryException"),
        # A token of another question, page size, region or key, and none at all.
        (look, {**follow, "LookupAttributes": name}, member, "us-east-1", "InvalidNextTokenException"),
        (look, {**follow, "MaxResults": 11}, member, "us-east-1", "InvalidNextTokenException"),
        (look, {**follow, "EndTime": 2000000000}, member, "us-east-1", "InvalidNextTokenException"),
        (look, follow, member, "eu-west-1", "InvalidNextTokenException"),
        (look, follow, other, "us-east-1", "InvalidNextTokenException"),
        (look, {"NextToken": "nonsense"}, member, "us-east-1", "InvalidNextTokenException"),
        # Trails.
        ("GetTrail", {"Name": "never"}, None, "us-east-1", "TrailNotFoundException"),
        ("ListChannels", {}, None, "us-east-1", "UnsupportedOperationException"),
    ]
    ids = None
    for client, call in clients():
        # A CLI takes a second to start: the two of them share.
        mine = {"PyPI's CLI": wrong[::2], "Debian's CLI": wrong[1::2]}.get(client, wrong)
        for operation, given, key, region, code in mine:
            try:
                answer = call(operation, given, key, region)
            except Refused as error:
                assert error.code == code, (client, operation, given, region, error)
                continue
            raise AssertionError((client, operation, given, region, str(answer)[:300]))
        # The token was good all the while.
        events = [event["EventId"] for event in call(look, follow, member)["Events"]]
        assert len(events) == 10 and events == (ids or events), (client, events)
        ids = events


def test_a_clock_that_is_off_is_told_to_each_client():
    for client, call in clients():
        # Five minutes either way are good.
        for ahead_s in (-240, 240):
            assert len(call("LookupEvents", {"MaxResults": 1}, Room.member, ahead_s=ahead_s)["Events"]) == 1
        for ahead_s, said in ((-3600, "Signature expired"), (3600, "Signature not yet current")):
            try:
                answer = call("LookupEvents", {"MaxResults": 1}, Room.member, ahead_s=ahead_s)
            except Refused as error:
                assert client != "JavaScript", error
                assert error.code == "InvalidSignatureException" and said in error.said, (client, error)
                continue
            # It finds the time in the answer's Date and tries again.
            assert client == "JavaScript" and len(answer["Events"]) == 1, (client, ahead_s)
            assert answer["$metadata"]["attempts"] == 2, answer["$metadata"]


def pages_by_boto(key):
    found = []
    for page in service().boto(key, "eu-west-1").get_paginator("lookup_events").paginate(
            PaginationConfig={"PageSize": PAGE}):
        found += page["Events"]
    return found


def pages_by_cli(program):
    return lambda key: service().cli(
        program, "lookup-events", "--page-size", str(PAGE), key=key, region="eu-west-1")["Events"]


def pages_by_node(key):
    return service().node("LookupEvents", {"MaxResults": PAGE}, key, "eu-west-1", pages=True)["answer"]["Events"]


class Arrivals(threading.Thread):
    """Events that come one after the other, newer than all, older than all and in their midst, until it is over."""

    def __init__(self, template, first, times):
        super().__init__(daemon=True)
        self.template, self.first, self.times = template, first, times
        self.come = []
        self.is_over = False

    def run(self):
        while not self.is_over:
            number = len(self.come)
            text = self.template.text.replace(
                self.template.id.encode(), f"{self.first:08d}-{number:04d}-4000-8000-000000000000".encode())
            text = text.replace(self.template.time.encode(), self.times[number % len(self.times)])
            count = service().organization.status()["total"]["received"]
            service().agent.deliver([text])
            service().organization.wait_received(count + 1)
            self.come.append(api.Event(text))


def test_each_client_pages_through_a_history_that_grows():
    key = service().make_key("pager", "--account", OTHER)
    ways = [("boto3", pages_by_boto)]
    ways += [(name, pages_by_cli(program)) for name, program in CLI.items() if os.path.exists(program)]
    ways += [("JavaScript", pages_by_node)] if shutil.which("node") else []
    template = service().expect(OTHER, "eu-west-1")[0]
    for number, (client, pages) in enumerate(ways):
        before = service().expect(OTHER, "eu-west-1")
        assert len(before) > 800
        times = (b"2026-01-01T00:00:00Z", b"2001-01-01T00:00:00Z", before[400].time.encode())
        arrivals = Arrivals(template, number, times)
        arrivals.start()
        # Some have come before its first page, all others after it: what it shows is the trail at that moment.
        api.flow.wait_until("the first ones", lambda some=arrivals: len(some.come) >= 3)
        found = [event["EventId"] for event in pages(key)]
        arrivals.is_over = True
        arrivals.join()
        come = len(found) - len(before)
        assert 3 <= come <= len(arrivals.come), (client, come, len(arrivals.come))
        then = sorted(before + arrivals.come[:come], key=lambda event: event.order, reverse=True)
        assert found == [event.id for event in then], client
        assert len(arrivals.come) >= come + 2, f"{client}: hardly anything came meanwhile"
        service().events += arrivals.come


def test_it_ends_in_order():
    assert service().organization.collector.stop() == 0
    assert service().organization.check() > len(service().events)
    service().organization.end()


if __name__ == "__main__":
    cases.run("refusals_test", globals(), only=os.environ.get("ONLY"))
