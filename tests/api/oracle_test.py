#!/usr/bin/env python3
"""LookupEvents against a linear scan of the source files: random questions, each answered page by page.

The files come in through an agent. A question is any account or narrowed key, a region or what stands for many, a time
range to the second, attributes whose values stand in the files or in none, a category and a size of pages. What is
expected is found in Python, in the files' own JSON. SEED and QUESTIONS choose others.
"""

import collections
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

import botocore.exceptions  # noqa: E402

SEED = int(os.environ.get("SEED", "1"))
QUESTIONS = int(os.environ.get("QUESTIONS", "400"))

PLAIN = ("EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource", "AccessKeyId")
MORE = ("AccountId", "Region", "ErrorCode", "SourceIp", "SharedEventId", "IdentityArn", "IdentityType", "EventType")
CATEGORIES = {None: "Management", "management": "Management", "data": "Data", "insight": "Insight",
              "networkactivity": "NetworkActivity", "all": None}
OF_INSIGHTS = ("EventId", "EventName", "EventSource")

# What calls of these names are about: the member of requestParameters or responseElements, and the type of what it
# names. Written from AWS's documentation of each call, not from event/subject.c.
ABOUT = {
    ("ssm", "DeleteParameter"): [("name", "AWS::SSM::Parameter")],
    ("ssm", "PutParameter"): [("name", "AWS::SSM::Parameter")],
    ("secretsmanager", "CreateSecret"): [("name", "AWS::SecretsManager::Secret"), ("arn", "AWS::SecretsManager::Secret")],
    ("secretsmanager", "DeleteSecret"): [("secretId", "AWS::SecretsManager::Secret")],
    ("iam", "CreateRole"): [("roleName", "AWS::IAM::Role"), ("role.arn", "AWS::IAM::Role")],
    ("iam", "DeleteRole"): [("roleName", "AWS::IAM::Role")],
    ("iam", "AttachRolePolicy"): [("roleName", "AWS::IAM::Role"), ("policyArn", "AWS::IAM::Policy")],
    ("iam", "PutRolePolicy"): [("roleName", "AWS::IAM::Role")],
    ("iam", "CreateUser"): [("userName", "AWS::IAM::User"), ("user.arn", "AWS::IAM::User")],
    ("iam", "DeleteLoginProfile"): [("userName", "AWS::IAM::User")],
    ("iam", "CreateAccessKey"): [("userName", "AWS::IAM::User"), ("accessKey.accessKeyId", "AWS::IAM::AccessKey")],
    ("iam", "AddRoleToInstanceProfile"): [("instanceProfileName", "AWS::IAM::InstanceProfile")],
    ("sts", "AssumeRole"): [("roleArn", "AWS::IAM::Role"), ("credentials.accessKeyId", "AWS::IAM::AccessKey"),
                            ("assumedRoleUser.arn", "AWS::STS::AssumedRole")],
    ("ec2", "CreateVpc"): [("vpc.vpcId", "AWS::EC2::VPC")],
    ("ec2", "CreateSubnet"): [("vpcId", "AWS::EC2::VPC"), ("subnet.subnetId", "AWS::EC2::Subnet")],
    ("ec2", "CreateRouteTable"): [("routeTable.routeTableId", "AWS::EC2::RouteTable")],
    ("ec2", "AttachInternetGateway"): [("internetGatewayId", "AWS::EC2::InternetGateway"), ("vpcId", "AWS::EC2::VPC")],
    ("ec2", "RunInstances"): [("instancesSet.items.imageId", "AWS::EC2::Ami"),
                              ("instancesSet.items.instanceId", "AWS::EC2::Instance")],
    ("ec2", "DeleteNatGateway"): [("DeleteNatGatewayRequest.NatGatewayId", "AWS::EC2::NatGateway")],
    ("ec2", "CreateVolume"): [("volumeId", "AWS::EC2::Volume")],
    ("ec2", "ModifySnapshotAttribute"): [("snapshotId", "AWS::EC2::Snapshot")],
    ("ec2", "CreateTags"): [("resourcesSet.items.resourceId", None)],
    ("s3", "CreateBucket"): [("bucketName", "AWS::S3::Bucket")],
    ("s3", "DeleteBucket"): [("bucketName", "AWS::S3::Bucket")],
    ("lambda", "CreateFunction20150331"): [("functionName", "AWS::Lambda::Function")],
    ("cloudtrail", "StopLogging"): [("name", "AWS::CloudTrail::Trail")],
    ("cloudtrail", "DeleteTrail"): [("name", "AWS::CloudTrail::Trail")],
    ("rds", "CreateDBInstance"): [("dBInstanceIdentifier", "AWS::RDS::DBInstance")],
    ("guardduty", "UpdateDetector"): [("detectorId", "AWS::GuardDuty::Detector")],
    ("logs", "CreateLogGroup"): [("logGroupName", "AWS::Logs::LogGroup")],
    ("ssm", "SendCommand"): [("instanceIds", "AWS::EC2::Instance"), ("documentName", "AWS::SSM::Document")],
    ("autoscaling", "CreateAutoScalingGroup"): [("autoScalingGroupName", "AWS::AutoScaling::AutoScalingGroup")],
}


class Room:
    service = None


def service():
    if Room.service is None:
        Room.service = api.Service()
    return Room.service


def at(value, path):
    """The texts at a path of names, in all elements of lists on the way."""
    if isinstance(value, list):
        return [text for item in value for text in at(item, path)]
    if not path:
        return [value] if isinstance(value, str) and value else []
    return at(value.get(path[0]), path[1:]) if isinstance(value, dict) else []


def values_of(event, key):
    record = event.record
    identity = record.get("userIdentity") or {}
    if key in PLAIN:
        return event.values(key)
    value = {
        "AccountId": event.account,
        "Region": event.region,
        "ErrorCode": record.get("errorCode"),
        "SourceIp": record.get("sourceIPAddress"),
        "SharedEventId": record.get("sharedEventID"),
        "IdentityArn": identity.get("arn"),
        "IdentityType": identity.get("type"),
        "EventType": record.get("eventType"),
    }[key]
    return [value] if value else []


# --- who asks, and whose events a region shows


def make_asker(account, only=()):
    given = ["--account", account] if account else []
    given += ["--only", ",".join(only)] if only else []
    name = f"of-{account or 'all'}-{len(only)}"
    key = service().make_key(name, *given)
    own = only[0] if len(only) == 1 else account or api.flow.MANAGEMENT
    sees = set(only) if only else {account} if account not in (None, api.flow.MANAGEMENT) else None
    return {"key": key, "own": own, "sees": sees}


def see(asker, region):
    """(accounts, region) that a region shows the asker; None: all. False: it may not."""
    def allowed(account):
        return asker["sees"] is None or account in asker["sees"]

    if region == "all-regions":
        return {asker["own"]}, None
    if region == "organization" or region.startswith("organization-"):
        if asker["sees"] is not None and len(asker["sees"]) == 1 and not asker.get("is_narrowed"):
            return False
        return asker["sees"], region.removeprefix("organization").removeprefix("-") or None
    if region.startswith("account-"):
        account, _, rest = region.removeprefix("account-").partition("-")
        return ({account}, rest or None) if allowed(account) else False
    return {asker["own"]}, region


def ask(asker, region, given, size, enough):
    """Pages until there are no more, or enough events; each but the last is full. And whether it is all."""
    clients = asker.setdefault("clients", {})
    if region not in clients:
        clients[region] = service().boto(asker["key"], region)
    client = clients[region]
    found, token = [], None
    while True:
        more = {"NextToken": token} if token else {}
        answer = client.lookup_events(**given, **more, **({"MaxResults": size} if size else {}))
        found += answer["Events"]
        token = answer.get("NextToken")
        if not token:
            return found, True
        if len(found) > enough:
            return found, False
        assert len(answer["Events"]) == (size or 50), len(answer["Events"])


def matches(event, question):
    accounts, region = question["view"]
    return (
        (accounts is None or event.account in accounts)
        and (region is None or event.region == region)
        and (question["category"] is None or event.category == question["category"])
        and all(value in values_of(event, key) for key, value in question["attributes"])
        and (question["start"] is None or event.seconds >= question["start"])
        and (question["end"] is None or event.seconds <= question["end"])
    )


def is_own(answered):
    """Of the collector itself: in no file."""
    return answered["EventSource"] == api.OWN


def make_question(scans, askers, regions, by_key):
    asker = scans.choice(askers)
    own = [event.region for event in service().events if event.account == asker["own"]]
    region = scans.choice(scans.choice([regions, own or regions]))
    accounts = [asker["own"]] if asker["sees"] is None else sorted(asker["sees"])
    account = scans.choice(accounts + [event.account for event in scans.sample(service().events, 2)])
    region = region.replace("ACCOUNT", account)
    is_beyond = region.startswith(("all-regions", "account-", "organization"))
    category = scans.choice([None, None, None, None, "management", "all", "all", "data", "insight"])
    keys = OF_INSIGHTS if category == "insight" else PLAIN + MORE if is_beyond else PLAIN
    view = see(asker, region)
    # What the region says already is not said again.
    said = {"AccountId"} if not region.startswith("organization") else set()
    said |= {"Region"} if view and view[1] else set()
    keys = [key for key in keys if key not in said]
    count = scans.choice([0, 1, 1, 1, 1, 2, 3]) if is_beyond else scans.choice([0, 1, 1, 1])
    keys = scans.sample(keys, min(count, len(keys)))
    # Of one event, so that something is found, or of any.
    shown = [e for e in service().events if view and (view[0] is None or e.account in view[0])
             and (view[1] is None or e.region == view[1])] or service().events
    event = scans.choice(shown)
    attributes = []
    for key in keys:
        values = values_of(event, key) if scans.random() < 0.9 else scans.choice(by_key[key])
        if scans.random() < 0.03:
            values = ["false" if key == "ReadOnly" else "no such value"]
        if values:
            attributes.append((key, scans.choice(list(values))))
    times = sorted(scans.choice(shown).seconds + scans.choice([-1, 0, 0, 0, 1]) for _ in range(2))
    if scans.random() < 0.7:
        times = [min(times[0], event.seconds), max(times[1], event.seconds)]
    return {
        "asker": asker, "region": region, "view": view, "category": CATEGORIES[category], "named": category,
        "attributes": attributes,
        "start": times[0] if scans.random() < 0.5 else None,
        "end": times[1] if scans.random() < 0.5 else None,
        "size": scans.choice([None, 50, 49, 20, 7, 3]),
    }


def test_random_questions():
    scans = random.Random(SEED)
    known = service().events
    accounts = sorted({event.account for event in known})
    some = scans.sample(accounts, 3)
    askers = [make_asker(None), make_asker(None, some), make_asker(some[0]), *[make_asker(a) for a in
              [account for account, _ in collections.Counter(e.account for e in known).most_common(3)]]]
    askers[1]["is_narrowed"] = True
    regions = sorted({event.region for event in known}) + ["us-east-1"] * 4 + ["eu-west-1"] * 2
    regions += ["all-regions", "account-ACCOUNT", "account-ACCOUNT-us-east-1", "organization-us-east-1",
                "organization"] * 8
    by_key = {key: [found for found in (values_of(event, key) for event in known) if found] for key in PLAIN + MORE}
    by_key = {key: found or [["none"]] for key, found in by_key.items()}
    kinds = collections.Counter()
    for number in range(QUESTIONS):
        question = make_question(scans, askers, regions, by_key)
        told = {name: value for name, value in question.items() if name != "asker"}
        given = {"LookupAttributes": [{"AttributeKey": key, "AttributeValue": value}
                                      for key, value in question["attributes"]]}
        for name, member in (("start", "StartTime"), ("end", "EndTime"), ("named", "EventCategory")):
            if question[name] is not None:
                given[member] = question[name]
        wanted = [event for event in known if question["view"] and matches(event, question)]
        wanted.sort(key=lambda event: event.order, reverse=True)
        # All pages of thousands of events take long: of one question in twelve.
        enough = 8 * (question["size"] or 50) if number % 12 else 1 << 30
        size = question["size"] if number % 12 or len(wanted) < 300 else None
        try:
            found, is_all = ask(question["asker"], question["region"], given, size, enough)
        except botocore.exceptions.ClientError as error:
            said = error.response["Error"]["Code"]
            assert question["view"] is False and said == "AccessDeniedException", (number, told, said)
            kinds["refused"] += 1
            continue
        assert question["view"] is not False, (number, told)
        try:
            foreign = [event for event in found if not is_own(event)]
            api.assert_events(foreign, wanted if is_all else wanted[: len(foreign)])
        except AssertionError as error:
            raise AssertionError(f"SEED={SEED}, question {number}: {told}: {error}") from None
        kinds["nothing" if not wanted else "something"] += 1
        kinds["pages"] += len(found) > (size or 50)
        kinds["combined"] += len(question["attributes"]) > 1 and bool(wanted)
    print(f"oracle: {dict(kinds)}")
    if QUESTIONS >= 400:
        assert kinds["something"] > QUESTIONS / 3 and min(kinds.values()) > 5, kinds


def test_what_calls_are_about():
    """The names and types that the documentation of a call says, each shown and found by a lookup."""
    client = service().boto(region="organization")
    seen = set()
    for event in service().events:
        about = ABOUT.get((event.source.removesuffix(".amazonaws.com"), event.name))
        if about is None or event.category != "Management":
            continue
        shown = event.resources + event.subjects
        names = {name for _, name in shown} | {name.split(":")[-1].split("/")[-1] for _, name in shown if name}
        for path, type_ in about:
            for part in (event.record.get("requestParameters"), event.record.get("responseElements")):
                for name in at(part, path.split(".")):
                    assert name in names, (event.source, event.name, path, name, shown)
                    assert type_ is None or type_ in {t for t, _ in shown}, (event.name, type_, shown)
                    if (event.name, path) in seen:
                        continue
                    seen.add((event.name, path))
                    for key, value in (("ResourceName", name), ("ResourceType", type_)):
                        if value is None:
                            continue
                        attributes = [{"AttributeKey": key, "AttributeValue": value},
                                      {"AttributeKey": "EventId", "AttributeValue": event.id}]
                        found = client.lookup_events(LookupAttributes=attributes)["Events"]
                        assert [e["EventId"] for e in found] == [event.id], (key, value, event.id)
    assert len(seen) > 30, len(seen)


def test_it_ends_in_order():
    assert service().organization.collector.stop() == 0
    service().organization.check()
    service().organization.end()


if __name__ == "__main__":
    cases.run("oracle_test", globals(), only=os.environ.get("ONLY"))
