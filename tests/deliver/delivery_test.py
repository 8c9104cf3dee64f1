#!/usr/bin/env python3
"""What trails deliver: which events, each once, whatever crashes or stands in the way."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.deliver import delivery  # noqa: E402
from tests.deliver.delivery import BUCKET, Delivering, flow, now  # noqa: E402
from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

OWNER = flow.MANAGEMENT
SHOP, BANK = "123456789123", "347283850106"
ROUNDS = 50 if os.environ.get("ORGTRAIL_LONG") else 8  # of kills


def add_buckets(service, *names):
    for name in names:
        os.makedirs(os.path.join(service.buckets, name))


def test_each_trail_has_its_events():
    events = api.load_events()
    accounts = sorted({event.account for event in events} | {OWNER})
    trails = {
        "all-of-all": dict(IsOrganizationTrail=True),
        "one-account": dict(),
        "one-region": dict(IsOrganizationTrail=True, IsMultiRegionTrail=False),
        "no-globals": dict(
            IsOrganizationTrail=True, IsMultiRegionTrail=False, IncludeGlobalServiceEvents=False
        ),
        "selected": dict(IsOrganizationTrail=True),
    }
    selectors = [
        {"Name": "writes of ec2 and iam", "FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Management"]},
            {"Field": "readOnly", "Equals": ["false"]},
            {"Field": "eventSource", "Equals": ["ec2.amazonaws.com", "iam.amazonaws.com"]}]},
        {"Name": "objects", "FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Data"]},
            {"Field": "resources.type", "Equals": ["AWS::S3::Object"]}]},
    ]
    with Delivering(events=[], accounts=accounts) as service:
        add_buckets(service, *trails)
        arns = {}
        for name, settings in trails.items():
            arns[name] = service.call(
                "create_trail", **{"Name": name, "S3BucketName": name, "IsMultiRegionTrail": True, **settings}
            )["TrailARN"]
        service.call("put_event_selectors", TrailName=arns["selected"],
                     AdvancedEventSelectors=selectors)
        for arn in arns.values():
            service.call("start_logging", Name=arn)
        service.feed(events)
        management = [event for event in events if event.category == "Management"]
        one_region = [event.text for event in management if event.region == "us-east-1"]
        everywhere = set(service.organization.export("--global"))
        wanted = {
            "all-of-all": [event.text for event in management],
            "one-account": [event.text for event in management if event.account == OWNER],
            "one-region": one_region,
            "no-globals": [text for text in one_region if text not in everywhere],
            "selected": [
                event.text for event in events
                if (event.category == "Management" and event.read_only == "false"
                    and event.source in ("ec2.amazonaws.com", "iam.amazonaws.com"))
                or (event.category == "Data"
                    and any(r.get("type") == "AWS::S3::Object" for r in event.record.get("resources") or []))
            ],
        }
        assert 0 < len(wanted["no-globals"]) < len(one_region), len(wanted["no-globals"])
        for name, records in wanted.items():
            service.wait_records(records, bucket=name)
            service.check_records(records, bucket=name)
            # Layouts: the organization's folder where the trail is the organization's.
            keys = list(service.files(bucket=name))
            is_organization = trails[name].get("IsOrganizationTrail", False)
            assert all(("/o-example123/" in key) == is_organization for key in keys), keys[:3]
            status = service.status(arns[name])
            assert status["LatestDeliveryTime"] > service.began and "LatestDeliveryError" not in status
        # Validation was not asked for.
        assert not any(service.digests(name) for name in trails)
        # The own events of the API are the management account's; the trail's own stop is the last.
        for arn in arns.values():
            service.call("stop_logging", Name=arn)
        flow.wait_until("the end", lambda: not service.follower_names(), 60, 0.2)
        own = [json.loads(record) for record, _ in service.records("one-account")
               if delivery.OWN in record]
        stopped = [event["requestParameters"]["name"].rpartition("/")[2] for event in own
                   if event["eventName"] == "StopLogging"]
        assert sorted(stopped) == ["all-of-all", "one-account"], stopped


def make_event(source, name, resource=None, is_read=False, category="Data"):
    """An event like those of the files, of something that none of them has."""
    record = {
        "eventVersion": "1.08", "userIdentity": {"type": "IAMUser", "accountId": BANK, "userName": "selected"},
        "eventTime": "2026-03-01T00:00:00Z", "eventSource": source, "eventName": name, "awsRegion": "us-east-1",
        "readOnly": is_read, "eventID": str(uuid.uuid4()), "eventType": "AwsApiCall",
        "managementEvent": category == "Management", "recipientAccountId": BANK, "eventCategory": category,
    }
    if resource:
        record["resources"] = [dict(zip(("type", "ARN"), resource))]
    return api.Event(json.dumps(record).encode())


def test_selectors_decide_what_is_in_the_files():
    """The example of AWS's guide with six objects, reads and writes, sources left out, types of data."""
    s3 = "s3.amazonaws.com"
    objects = [make_event(s3, "PutObject", ("AWS::S3::Object", f"arn:aws:s3:::bucket{number}/object{number}"))
               for number in range(1, 7)]
    reading = make_event(s3, "GetObject", ("AWS::S3::Object", "arn:aws:s3:::bucket2/object9"), is_read=True)
    invoked = make_event("lambda.amazonaws.com", "Invoke",
                         ("AWS::Lambda::Function", f"arn:aws:lambda:us-east-1:{BANK}:function:one"))
    item = make_event("dynamodb.amazonaws.com", "PutItem",
                      ("AWS::DynamoDB::Table", f"arn:aws:dynamodb:us-east-1:{BANK}:table/one"))
    asked = make_event("rdsdata.amazonaws.com", "ExecuteStatement", category="Management")
    made = [*objects, reading, invoked, item, asked]
    management = [event for event in api.load_events() if event.account == BANK and event.category == "Management"]
    management.append(asked)
    sources = ["kms.amazonaws.com", "rdsdata.amazonaws.com"]

    def advanced(*fields):
        return {"AdvancedEventSelectors": [{"FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Data"]}, *fields]}]}

    def basic(which, excluded=(), **data):
        return {"EventSelectors": [{
            "ReadWriteType": which, "IncludeManagementEvents": True, "ExcludeManagementEventSources": excluded,
            "DataResources": [{"Type": type_.replace("_", "::"), "Values": values} for type_, values in data.items()]}]}

    def is_read(event):
        return event.read_only == "true"

    # What each trail asks for, and what lies in its bucket then.
    trails = {
        "six-objects": (advanced(
            {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
            {"Field": "resources.ARN",
             "Equals": ["arn:aws:s3:::bucket1/object1"], "NotEquals": ["arn:aws:s3:::bucket6/object6"],
             "StartsWith": ["arn:aws:s3:::bucket2/"], "NotStartsWith": ["arn:aws:s3:::bucket4/"],
             "EndsWith": ["object3", "object4", "object5", "object6"], "NotEndsWith": ["/object5"]}),
            [*objects[:3], reading]),
        "excluded": (basic("All", sources), [event for event in management if event.source not in sources]),
        "reads": (basic("ReadOnly", AWS_S3_Object=["arn:aws:s3:::bucket2/"]),
                  [event for event in management if is_read(event)] + [reading]),
        "writes": (basic("WriteOnly", sources[:1], AWS_S3_Object=["arn:aws:s3:::bucket2/", "arn:aws:s3:::bucket4/obj"],
                         AWS_Lambda_Function=["arn:aws:lambda"]),
                   [event for event in management if not is_read(event) and event.source != sources[0]]
                   + [objects[1], objects[3], invoked]),
        "types": (advanced({"Field": "resources.type", "Equals": ["AWS::DynamoDB::Table"]}), [item]),
    }
    excluded = [event for event in management if event.source in sources]
    assert {is_read(event) for event in excluded} == {True, False} and len(excluded) < len(management)
    with Delivering(events=[], accounts=[BANK]) as service:
        add_buckets(service, *trails)
        for name, (selectors, _) in trails.items():
            arn = service.call("create_trail", Name=name, S3BucketName=name, IsMultiRegionTrail=True,
                               IsOrganizationTrail=True)["TrailARN"]
            service.call("put_event_selectors", TrailName=arn, **selectors)
            service.call("start_logging", Name=arn)
        service.feed([event for event in management if event is not asked] + made)
        for name, (_, wanted) in trails.items():
            records = [event.text for event in wanted]
            service.wait_records(records, bucket=name)
            service.check_records(records, bucket=name)


def test_nothing_is_lost_or_double_when_the_collector_is_killed():
    events = api.load_events()
    accounts = sorted({event.account for event in events})
    chance = random.Random(5)
    with Delivering(events=[], accounts=accounts) as service:
        arn = service.make_trail(IsOrganizationTrail=True)
        size = len(events) // ROUNDS + 1
        for number in range(ROUNDS):
            service.feed(events[number * size:(number + 1) * size])
            # At any moment of a delivery, which comes within a second.
            time.sleep(chance.uniform(0.0, 1.2))
            service.organization.collector.kill()
            service.organization.start_collector()
        service.wait_records(delivery.selected(events))
        service.wait_digest(arn)
        service.end_logging(arn)
        service.check_records(delivery.selected(events))
        # The digests name each file once.
        named = [file["s3Object"] for _, digest in service.read_digests() for file in digest["logFiles"]]
        assert sorted(named) == list(service.files()), (len(named), len(service.files()))
        for region in ("us-east-1", "eu-west-1"):
            account = next(event.account for event in events if event.region == region)
            printed = service.validate(arn, account=account, region=region)
            found = delivery.summary(printed)
            assert found["digest"][0] == found["digest"][1] and found["log"][0] == found["log"][1]
        # Every chain, and every event against the store.
        report = service.verify("--store", service.organization.store)
        assert report["whole"] and report["recordsCompared"] == len(service.records()), report


def test_a_dead_destination_holds_nobody_else_up():
    events = [event for event in api.load_events() if event.account == SHOP]
    half = len(events) // 2
    with Delivering(events=[], accounts=[SHOP]) as service:
        add_buckets(service, "dead-bucket", "blocked-bucket")
        good = service.make_trail("good", IsOrganizationTrail=True)
        dead = service.make_trail("dead", IsOrganizationTrail=True, S3BucketName="dead-bucket")
        blocked = service.make_trail(
            "blocked", IsOrganizationTrail=True, S3BucketName="blocked-bucket", S3KeyPrefix="in/the/way"
        )
        shutil.rmtree(os.path.join(service.buckets, "dead-bucket"))
        in_the_way = os.path.join(service.buckets, "blocked-bucket/in")
        shutil.rmtree(in_the_way, ignore_errors=True)
        with open(in_the_way, "w", encoding="utf-8") as file:
            file.write("a file where a folder should be")
        service.feed(events[:half])
        service.wait_records(delivery.selected(events[:half]))

        service.wait_told(dead, "NoSuchBucket: make the folder ", 0)
        service.wait_told(blocked, "DiskError: a file is where a folder should be: move ", 0)
        assert service.error_of(good) == ""
        # Both are alarms, after a few attempts.
        organization = service.organization
        failing = "\norgtrail_collector_failing_followers"
        flow.wait_until("two alarms", lambda: f"{failing} 2\n" in organization.fetch("/metrics"), 30, 0.3)
        flow.wait_until("own events", lambda: len(organization.own_events("FollowerFails")) == 2)
        details = [event["serviceEventDetails"] for event in organization.own_events("FollowerFails")]
        assert all(detail["follower"].startswith("deliver-") and detail["detail"] for detail in details), details
        shown = organization.run("status", organization.store).stdout
        assert "ALARM        2 trails cannot deliver" in shown, shown
        add_buckets(service, "dead-bucket")
        os.remove(in_the_way)
        service.feed(events[half:])
        for bucket in (BUCKET, "dead-bucket", "blocked-bucket"):
            service.wait_records(delivery.selected(events), bucket=bucket, seconds=90)
            service.check_records(delivery.selected(events), bucket=bucket)
        for arn in (good, dead, blocked):
            service.wait_digest(arn, seconds=90)
            flow.wait_until("no error", lambda arn=arn: service.error_of(arn) == "", 30, 0.3)
        flow.wait_until("no alarm", lambda: f"{failing} 0\n" in organization.fetch("/metrics"), 30, 0.3)
        flow.wait_until("own events", lambda: len(organization.own_events("FollowerGoesOn")) == 2)
        assert "cannot deliver" not in organization.run("status", organization.store).stdout


def test_what_is_wrong_is_told():
    """Each cause stands in GetTrailStatus and in the log with what to do, and delivery goes on when it is gone."""
    events = [event for event in api.load_events() if event.account == SHOP]
    with Delivering(events=[], accounts=[SHOP]) as service:
        bucket = os.path.join(service.buckets, BUCKET)
        first, away, junk = (os.path.join(bucket, name) for name in ("in", ".away", "junk"))
        is_mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", bucket],
                                    capture_output=True, check=False).returncode == 0

        def fill():
            with open(junk, "wb", buffering=0) as file:
                while True:
                    try:
                        file.write(bytes(4096))
                    except OSError:
                        return

        def remount(how):
            return lambda: subprocess.run(["mount", "-o", f"remount,{how}", bucket], check=True)

        def put_in_the_way():
            os.rename(first, away)
            with open(first, "w", encoding="utf-8") as file:
                file.write("a file where a folder should be")

        def take_away():
            os.remove(first)
            os.rename(away, first)

        try:
            arn = service.make_trail(IsOrganizationTrail=True, S3KeyPrefix="in/the/way")
            service.feed(events[:30])
            service.wait_records(delivery.selected(events[:30]))
            service.suffer(arn, put_in_the_way, take_away,
                           "DiskError: a file is where a folder should be: move ")
            if is_mounted:
                service.suffer(arn, fill, lambda: os.remove(junk), "NoSpace: make room there: ")
                service.suffer(arn, remount("ro"), remount("rw"), "Read-only file system")
            else:
                print("this machine does not let us mount: no disk was full", flush=True)
                service.suffer(arn, lambda: os.rename(bucket, bucket + ".away"),
                               lambda: os.rename(bucket + ".away", bucket), "NoSuchBucket: make the folder ")
            service.feed(events[30:])
            service.wait_records(delivery.selected(events))
            service.end_logging(arn)
            service.check_records(delivery.selected(events))
            assert service.verify("--store", service.organization.store)["whole"]
        finally:
            if is_mounted:
                subprocess.run(["umount", "-l", bucket], check=True)


def test_a_trail_goes_and_comes_again():
    events = [event for event in api.load_events() if event.account == SHOP]
    third = len(events) // 3
    with Delivering(events=[], accounts=[SHOP]) as service:
        service.feed(events[:third])  # before logging: not its
        arn = service.make_trail(IsOrganizationTrail=True)
        service.feed(events[third:2 * third])
        service.wait_records(delivery.selected(events[third:2 * third]))
        service.call("delete_trail", Name=arn)
        flow.wait_until("the end", lambda: not service.follower_names(), 60, 0.2)
        service.feed(events[2 * third:2 * third + 5])  # nobody's
        chain = [digest for key, digest in service.read_digests() if f"/{OWNER}/" in key]
        assert len(chain) > 1 and chain[-1]["previousDigestS3Object"] == chain[-2]["digestS3Object"]
        # Another trail of the same name begins anew.
        arn = service.make_trail(IsOrganizationTrail=True)
        service.feed(events[2 * third + 5:])
        wanted = delivery.selected(events[third:2 * third] + events[2 * third + 5:])
        service.wait_records(wanted)
        service.end_logging(arn)
        service.check_records(wanted)
        state = service.organization.run("follower", "list", "--config",
                                         service.organization.config_path).stdout
        assert "deliver-" not in state


def test_buckets_and_prefixes_that_cannot_be():
    with Delivering(events=[]) as service:
        client = service.boto()
        said = []

        def refused(operation, **parameters):
            try:
                getattr(client, operation)(**parameters)
            except client.exceptions.ClientError as error:
                said.append(error.response["Error"]["Message"])
                return error.response["Error"]["Code"]
            return None

        assert refused("create_trail", Name="org", S3BucketName="no-such-bucket") == \
            "S3BucketDoesNotExistException"
        assert "make the folder" in said[-1] and os.path.realpath(service.buckets) in os.path.realpath(
            said[-1].split("make the folder ")[1].split("/no-such-bucket")[0]), said
        for prefix in ("../../etc", "a//b", "a/.hidden", "a/"):
            assert refused("create_trail", Name="org", S3BucketName=BUCKET, S3KeyPrefix=prefix) == \
                "InvalidS3PrefixException", prefix
        assert refused("create_trail", Name="org", S3BucketName=BUCKET, S3KeyPrefix="a/b") is None
        assert refused("update_trail", Name="org", S3BucketName="no-such-bucket") == \
            "S3BucketDoesNotExistException"


cases.run("delivery", globals(), os.environ.get("ONLY"))
