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
from tests.api import trail_errors as errors  # noqa: E402
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
    # The roster knows no mail address, nor how and when an account came.
    "DescribeOrganization": {"+Organization.MasterAccountEmail"},
    "ListAccounts": {"+Accounts[].Email", "+Accounts[].JoinedMethod", "+Accounts[].JoinedTimestamp"},
    "DescribeAccount": {"+Account.Email", "+Account.JoinedMethod", "+Account.JoinedTimestamp"},
}

class Refused(Exception):
    """An error of the service: its name and text."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


def call_boto3(client, operation, parameters, asked=None):
    """asked: where each call's operation and the name of its error go, by the id that the answer has."""
    asked = {} if asked is None else asked
    try:
        answer = getattr(client, xform_name(operation))(**parameters)
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        asked[error.response["ResponseMetadata"]["RequestId"]] = (operation, code)
        raise Refused(code, message) from None
    asked[answer.pop("ResponseMetadata")["RequestId"]] = (operation, None)
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
        self.asked = {}

    def call(self, who, operation, parameters):
        if who not in self.clients:
            account, region = who
            self.clients[who] = self.boto(self.owners[account], region)
        return call_boto3(self.clients[who], operation, parameters, self.asked)

    def check_events(self):
        """That each call is one event of the trail, with who called and what came of it."""
        def find():
            found = [event for event in self.organization.own_events() if event.get("requestID") in self.asked]
            return found if len(found) >= len(self.asked) else None

        found = api.flow.wait_until("an event of each call", find, 10, 0.5)
        told = {event["requestID"]: (event["eventName"], event.get("errorCode")) for event in found}
        assert len(found) == len(told) and told == self.asked, set(told.items()) ^ set(self.asked.items())
        for event in found:
            is_read = event["eventName"].startswith(("Get", "List", "Describe", "StartQuery"))
            assert event["readOnly"] is is_read and event["sourceIPAddress"] == "127.0.0.1", event
            assert event["userIdentity"]["userName"] == "tester" and "Boto3" in event["userAgent"], event

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
        # Those that changed something are durable before they are answered.
        created = service.organization.own_events("CreateTrail")
        good = [event for event in created if "errorCode" not in event]
        wanted = [step for step in steps.LIFE + steps.RULES
                  if step[1] == "CreateTrail" and not isinstance(step[3], str)]
        assert len(good) == len(wanted), f"{len(good)} events of {len(wanted)}"
        event = next(event for event in good if event["requestParameters"]["name"] == "many")
        assert event["userIdentity"]["accountId"] == steps.OWNER, event
        assert event["userIdentity"]["userName"] == "tester", event
        assert event["responseElements"]["trailARN"] == steps.arn("many"), event
        service.check_events()
        # And so are the trails: the next collector has them.
        kept = steps.create("kept", IsMultiRegionTrail=True)
        service.call(steps.owner, "CreateTrail", kept)
        service.organization.collector.kill()
        service.organization.start_collector()
        run([(steps.owner, "GetTrail", {"Name": "kept"}, steps.trail_has(IsMultiRegionTrail=True))],
            service.call)


def read_source(path):
    with open(os.path.join(os.path.dirname(os.path.dirname(api.HERE)), path), encoding="utf-8") as file:
        return file.read()


def read_never():
    """The errors that docs/api.md says never come."""
    said = re.search(r"(?s)Errors of CloudTrail that never come.*?\n\n", read_source("docs/api.md")).group(0)
    return {name + "Exception" for name in re.findall(r"`(\w+)`", said)} - {"ExceptionException"}


def test_every_documented_error():
    """Of each operation on trails those that botocore's model of CloudTrail lists come, or there is a reason."""
    with Service() as service:
        run(errors.ERRORS, service.call)
        service.check_events()
        model = service.clients[steps.owner].meta.service_model
    never = read_never()
    all_steps = steps.LIFE + steps.RULES + errors.ERRORS
    shown = {(operation, wanted) for _, operation, _, wanted in all_steps if isinstance(wanted, str)}
    missing, superfluous = [], []
    for operation in sorted({operation for _, operation, _, wanted in all_steps
                             if wanted != "UnsupportedOperationException"}):
        for name in (shape.name for shape in model.operation_model(operation).error_shapes):
            pair = (operation, name)
            ways = [pair in shown, name in never, name in errors.ELSEWHERE, pair in errors.NOT_OF]
            if not any(ways):
                missing.append(pair)
            if (pair in shown and name in never) or (pair in errors.NOT_OF and pair in shown):
                superfluous.append(pair)
    assert not missing, f"neither shown nor explained: {missing}"
    assert not superfluous, f"said never to come: {superfluous}"
    for name, path in errors.ELSEWHERE.items():
        assert name in read_source(path), f"{path} has no {name}"


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


def compare_answers(asked, ours, theirs):
    """Lines that say where the two differ, beyond what is known."""
    problems = []
    for (operation, parameters), our, their in zip(asked, ours, theirs, strict=True):
        if isinstance(our, str) or isinstance(their, str):
            if our != their:
                problems.append(f"{operation} {parameters}: {our} and {their}")
            continue
        differs = set(compare(our, their)) - MOTO_DIFFERS.get(operation, set())
        if differs:
            problems.append(f"{operation} {parameters}: {sorted(differs)}")
    return problems


def moto_client(name, region):
    return boto3.client(name, region_name=region, aws_access_key_id="x", aws_secret_access_key="x")


def test_moto_answers_alike():
    from moto import mock_aws
    from moto.cloudtrail.responses import CloudTrailResponse

    with Service() as service:
        ours = run(steps.LIFE, service.call)
        known = service.clients[steps.owner].meta.service_model.operation_names
    # Each operation that moto has is among the steps.
    has = {name for name in known if hasattr(CloudTrailResponse, xform_name(name))}
    assert has and has == {step[1] for step in steps.LIFE}, has ^ {step[1] for step in steps.LIFE}
    os.environ["MOTO_ACCOUNT_ID"] = steps.OWNER
    theirs = []
    with mock_aws():
        moto_client("s3", steps.AWAY).create_bucket(Bucket=steps.BUCKET)
        for (_, region), operation, parameters, _ in steps.LIFE:
            try:
                theirs.append(shape_of(call_boto3(moto_client("cloudtrail", region), operation, parameters)))
            except Refused as error:
                theirs.append(error.code)
    problems = compare_answers([step[1:3] for step in steps.LIFE], ours, theirs)
    assert not problems, "\n".join(problems)


def test_moto_knows_the_other_services_alike():
    from moto import mock_aws

    def ask(organizations, sts):
        """The shapes of the answers of what docs/api.md has of other services."""
        account = call_boto3(organizations, "ListAccounts", {})["Accounts"][0]["Id"]
        asked = [(organizations, "DescribeOrganization", {}), (organizations, "ListAccounts", {}),
                 (organizations, "DescribeAccount", {"AccountId": account}),
                 (organizations, "DescribeAccount", {"AccountId": "999999999999"}),
                 (sts, "GetCallerIdentity", {}), (sts, "GetSessionToken", {"DurationSeconds": 900})]
        found = []
        for client, operation, parameters in asked:
            try:
                found.append(shape_of(call_boto3(client, operation, parameters)))
            except Refused as error:
                found.append(error.code)
        return [(operation, parameters) for _, operation, parameters in asked], found

    with Service() as service:
        key = service.owners[steps.OWNER]
        asked, ours = ask(service.boto(key, "us-east-1", "organizations"), service.boto(key, steps.HOME, "sts"))
    named = set(re.findall(r"^\| `(?:organizations|sts)` \| `(\w+)`", read_source("docs/api.md"), re.MULTILINE))
    assert named == {operation for operation, _ in asked}, named
    with mock_aws():
        organizations = moto_client("organizations", "us-east-1")
        organizations.create_organization(FeatureSet="ALL")
        _, theirs = ask(organizations, moto_client("sts", steps.HOME))
    problems = compare_answers(asked, ours, theirs)
    assert not problems, "\n".join(problems)


if __name__ == "__main__":
    cases.run("trails_test", globals())
