#!/usr/bin/env python3
"""Trails, selectors, tags and delegated administrators through unmodified clients.

The steps of trail_steps.py by boto3, and some of them by the aws CLI and the SDK for JavaScript; those that moto knows too
against moto, to compare what answers are made of. Each call is an event of the trail.
"""

import json
import os
import re
import sys
from datetime import datetime, timezone

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.api import service as api  # noqa: E402
from tests.api import trail_steps as steps  # noqa: E402
from tests.api.shapes import compare, shape_of  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

import boto3  # noqa: E402
from botocore import xform_name  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

# What moto answers otherwise: + is moto's alone, - ours.
MOTO_DIFFERS = {
    "GetTrailStatus": {"+LatestDeliveryTime"},  # moto delivers; nothing is delivered here
    "GetTrail": {"-Trail.HomeRegion", "-Trail.RecursiveLogging"},  # members of CloudTrail's model
    "CreateTrail": {"-RecursiveLogging"},
    "UpdateTrail": {"-RecursiveLogging"},
    "DescribeTrails": {"-trailList[].RecursiveLogging"},
    # moto answers both forms, one of them empty.
    "GetEventSelectors": {"+AdvancedEventSelectors", "+EventSelectors"},
}

class Refused(Exception):
    """An error of the service: its name and text."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


def call_boto3(client, operation, parameters):
    try:
        answer = getattr(client, xform_name(operation))(**parameters)
    except ClientError as error:
        raise Refused(error.response["Error"]["Code"], error.response["Error"]["Message"]) from None
    del answer["ResponseMetadata"]
    return answer


def read_cli(answer):
    """What the aws CLI printed: its times are numbers, its complaint is a text."""
    if isinstance(answer, str):
        found = re.search(r"An error occurred \((\w+)\) when calling the \w+ operation.*?: (.*)", answer)
        assert found, answer
        raise Refused(*found.groups())
    for name, value in answer.items():
        if name.endswith("Time") and isinstance(value, (int, float)):
            answer[name] = datetime.fromtimestamp(value, timezone.utc)
    return answer


def read_node(printed):
    """What client.mjs printed: its times are texts."""
    if "error" in printed:
        raise Refused(printed["error"], printed["message"])
    answer = printed["answer"]
    answer.pop("$metadata", None)
    for name in ("StartLoggingTime", "StopLoggingTime"):
        if name in answer:
            answer[name] = datetime.fromisoformat(answer[name].replace("Z", "+00:00"))
    return answer


def run(all_steps, call):
    """Makes each call and checks what comes; the answers' shapes, or the names of errors."""
    found = []
    for who, operation, parameters, wanted in all_steps:
        try:
            answer = call(who, operation, parameters)
        except Refused as error:
            assert error.code == wanted, f"{operation} {parameters}: {error}, not {wanted}"
            found.append(error.code)
            continue
        assert not isinstance(wanted, str), f"{operation} {parameters}: {answer}, not {wanted}"
        if wanted is not None:
            try:
                wanted(answer)
            except AssertionError as error:
                raise AssertionError(f"{operation} {parameters}: {error}") from None
        found.append(shape_of(answer))
    return found


class Service(api.Service):
    """Without events, with an administrator's key of each account."""

    def __init__(self):
        super().__init__(events=[], accounts=[steps.SHOP, steps.BANK], management=steps.OWNER)
        self.owners = {
            account: self.make_key("tester", "--account", account, "--role", "admin")
            for account in (steps.OWNER, steps.SHOP, steps.BANK)
        }
        self.clients = {}

    def call(self, who, operation, parameters):
        if who not in self.clients:
            account, region = who
            self.clients[who] = self.boto(self.owners[account], region)
        return call_boto3(self.clients[who], operation, parameters)

    def call_by_node(self, who, operation, parameters):
        account, region = who
        return read_node(self.node(operation, parameters, key=self.owners[account], region=region))

    def by_cli(self, program):
        """Calls by this aws CLI."""

        def call(who, operation, parameters):
            account, region = who
            given = [xform_name(operation, "-"), "--cli-input-json", json.dumps(parameters)]
            return read_cli(self.cli(program, *given, key=self.owners[account], region=region))

        return call


def test_every_step_by_boto3():
    with Service() as service:
        run(steps.LIFE + steps.RULES, service.call)
        # Each is an event; those that changed something are durable before they are answered.
        created = service.organization.own_events("CreateTrail")
        good = [event for event in created if "errorCode" not in event]
        wanted = [step for step in steps.LIFE + steps.RULES
                  if step[1] == "CreateTrail" and not isinstance(step[3], str)]
        assert len(good) == len(wanted), f"{len(good)} events of {len(wanted)}"
        event = next(event for event in good if event["requestParameters"]["name"] == "many")
        assert event["userIdentity"]["accountId"] == steps.OWNER, event
        assert event["userIdentity"]["userName"] == "tester", event
        assert event["responseElements"]["trailARN"] == steps.arn("many"), event
        # And so are the trails: the next collector has them.
        kept = steps.create("kept", IsMultiRegionTrail=True)
        service.call(steps.owner, "CreateTrail", kept)
        service.organization.collector.kill()
        service.organization.start_collector()
        run([(steps.owner, "GetTrail", {"Name": "kept"}, steps.trail_has(IsMultiRegionTrail=True))],
            service.call)


def test_a_reader_changes_nothing():
    with Service() as service:
        reader = service.make_key("reader", "--account", steps.OWNER, "--role", "read")
        client = service.boto(reader, steps.HOME)
        for operation, parameters in (
            ("CreateTrail", steps.create("one")),
            ("AddTags", {"ResourceId": steps.arn("one"), "TagsList": [{"Key": "a"}]}),
            ("RegisterOrganizationDelegatedAdmin", {"MemberAccountId": steps.SHOP}),
        ):
            try:
                raise AssertionError(call_boto3(client, operation, parameters))
            except Refused as error:
                assert error.code == "AccessDeniedException", error
        assert call_boto3(client, "ListTrails", {}) == {"Trails": []}


def test_the_organization():
    with Service() as service:
        organizations = service.boto(service.owners[steps.OWNER], "us-east-1", "organizations")
        described = call_boto3(organizations, "DescribeOrganization", {})["Organization"]
        assert described["Id"] == service.organization.name, described
        assert described["MasterAccountId"] == steps.OWNER, described
        listed = [account["Id"]
                  for page in organizations.get_paginator("list_accounts").paginate(
                      PaginationConfig={"PageSize": 2})
                  for account in page["Accounts"]]
        assert sorted(listed) == [steps.OWNER, steps.SHOP, steps.BANK], listed
        for account in (steps.OWNER, steps.SHOP):
            sts = service.boto(service.owners[account], steps.HOME, "sts")
            caller = call_boto3(sts, "GetCallerIdentity", {})
            assert caller["Account"] == account, caller
            assert caller["Arn"] == f"arn:aws:iam::{account}:user/tester", caller
        member = service.boto(service.owners[steps.SHOP], "us-east-1", "organizations")
        assert call_boto3(member, "DescribeOrganization", {})["Organization"] == described
        try:
            raise AssertionError(call_boto3(member, "ListAccounts", {}))
        except Refused as error:
            assert error.code == "AccessDeniedException", error


def short_life():
    """The life of one trail of the steps, and an error."""
    of_one = [step for step in steps.LIFE
              if "one" in (step[2].get("Name"), step[2].get("TrailName"))]
    assert of_one[-1][1] == "DeleteTrail", of_one
    wrong = (steps.owner, "CreateTrail", steps.create("ab"), "InvalidTrailNameException")
    return [*of_one[:-1], wrong, of_one[-1]]


def test_a_life_by_the_cli_and_javascript():
    with Service() as service:
        # PyPI's and Debian's, which is four years older.
        for program in (os.path.join(api.CLIENTS, "python/bin/aws"), "/usr/bin/aws"):
            if os.path.exists(program):
                run(short_life(), service.by_cli(program))
        run(short_life(), service.call_by_node)


def test_moto_answers_alike():
    from moto import mock_aws

    with Service() as service:
        ours = run(steps.LIFE, service.call)
    os.environ["MOTO_ACCOUNT_ID"] = steps.OWNER
    secret = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    theirs = []
    with mock_aws():
        boto3.client("s3", region_name=steps.AWAY, **secret).create_bucket(Bucket=steps.BUCKET)
        for (_, region), operation, parameters, _ in steps.LIFE:
            client = boto3.client("cloudtrail", region_name=region, **secret)
            try:
                theirs.append(shape_of(call_boto3(client, operation, parameters)))
            except Refused as error:
                theirs.append(error.code)
    problems = []
    for (_, operation, parameters, _), our, their in zip(steps.LIFE, ours, theirs):
        if isinstance(our, str) or isinstance(their, str):
            if our != their:
                problems.append(f"{operation} {parameters}: {our} and {their}")
            continue
        differs = set(compare(our, their)) - MOTO_DIFFERS.get(operation, set())
        if differs:
            problems.append(f"{operation} {parameters}: {sorted(differs)}")
    assert not problems, "\n".join(problems)


if __name__ == "__main__":
    cases.run("trails_test", globals())
