#!/usr/bin/env python3
"""The clients that AWS has, unchanged, against a running collector: the aws CLI, boto3, the SDK for JavaScript.

What they are to find is what a linear scan of the source files finds.
"""

import datetime
import os
import random
import re
import shutil
import ssl
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

import botocore.exceptions  # noqa: E402
from botocore import xform_name  # noqa: E402

SHOP = "123837392027"  # a member account with 2,900 events in us-east-1
OTHER = "347283850106"  # and one with 840 in eu-west-1
EMPTY = ("900000000001", "900000000002")  # without events
KEYS = ("EventId", "EventName", "ReadOnly", "Username", "ResourceType", "ResourceName", "EventSource",
        "AccessKeyId")
PYPI = os.path.join(api.CLIENTS, "python/bin/aws")
DEBIAN = "/usr/bin/aws"


class Room:
    """One service for all cases; each makes the keys it needs."""

    service = None
    member = None


def service():
    if Room.service is None:
        Room.service = api.Service(accounts=EMPTY)
        Room.member = Room.service.make_key("member", "--account", SHOP)
    return Room.service


def attributes(key, value):
    return [{"AttributeKey": key, "AttributeValue": value}]


def pages(client, **given):
    found = []
    for page in client.get_paginator("lookup_events").paginate(**given):
        found += page["Events"]
    return found


def foreign(events):
    """Without the collector's own, which are no records of the files."""
    return [event for event in events if event["EventSource"] != api.OWN]


def expect_error(name, call, **given):
    try:
        answer = call(**given)
    except botocore.exceptions.ClientError as error:
        said = error.response["Error"]
        assert said["Code"] == name, said
        assert error.response["ResponseMetadata"]["RequestId"], error.response
        return error.response
    raise AssertionError(f"{name} expected: {str(answer)[:500]}")


# --- looking up


def test_all_events_of_an_account_in_pages():
    client = service().boto(Room.member)
    expected = service().expect(SHOP, "us-east-1")
    assert len(expected) > 2000
    api.assert_events(pages(client), expected)
    first = client.lookup_events()
    assert len(first["Events"]) == 50 and first["NextToken"]
    small = client.lookup_events(MaxResults=1)
    assert [e["EventId"] for e in small["Events"]] == [expected[0].id]


def test_each_key_finds_what_a_scan_finds():
    scans = random.Random(7)
    for account, region in ((SHOP, "us-east-1"), (OTHER, "eu-west-1"), (api.flow.MANAGEMENT, "us-east-1")):
        key = service().make_key(f"of-{account}", "--account", account)
        client = service().boto(key, region)
        shown = service().expect(account, region)
        for name in KEYS:
            values = sorted({value for event in shown for value in event.values(name)})
            assert values, f"no event of {account} in {region} has a {name}"
            for value in scans.sample(values, min(len(values), 6)):
                expected = service().expect(account, region, name, value)
                found = foreign(pages(client, LookupAttributes=attributes(name, value)))
                api.assert_events(found, expected)
            answer = client.lookup_events(LookupAttributes=attributes(name, "false" if name == "ReadOnly" else "none"))
            if name != "ReadOnly":
                assert answer["Events"] == [] and "NextToken" not in answer


def test_random_questions_are_answered_as_a_scan_answers():
    scans = random.Random(20)
    client = service().boto(Room.member)
    shown = service().expect(SHOP, "us-east-1")
    for _ in range(60):
        event, first, last = scans.choice(shown), scans.choice(shown), scans.choice(shown)
        given, times = {}, {}
        if scans.random() < 0.8:
            times["start"] = min(first.seconds, last.seconds)
            given["StartTime"] = times["start"]
        if scans.random() < 0.8:
            times["end"] = max(first.seconds, last.seconds)
            given["EndTime"] = times["end"]
        name = scans.choice([name for name in KEYS if event.values(name)])
        value = scans.choice(event.values(name))
        found = pages(client, LookupAttributes=attributes(name, value), **given,
                      PaginationConfig={"PageSize": scans.randint(3, 50)})
        api.assert_events(found, service().expect(SHOP, "us-east-1", name, value, **times))


def test_time_bounds_are_inclusive():
    client = service().boto(Room.member)
    shown = service().expect(SHOP, "us-east-1")
    for event in (shown[0], shown[len(shown) // 2], shown[-1]):
        second = service().expect(SHOP, "us-east-1", start=event.seconds, end=event.seconds)
        assert event in second
        when = datetime.datetime.fromtimestamp(event.seconds, datetime.timezone.utc)
        api.assert_events(pages(client, StartTime=when, EndTime=when), second)
        api.assert_events(pages(client, StartTime=event.seconds - 0.5, EndTime=event.seconds + 0.5), second)
        # A fraction later than the second is later than its events.
        assert pages(client, StartTime=event.seconds + 0.25, EndTime=event.seconds + 0.75) == []
    oldest = service().expect(SHOP, "us-east-1", end=shown[-1].seconds)
    api.assert_events(pages(client, EndTime=shown[-1].seconds), oldest)
    assert pages(client, EndTime=shown[-1].seconds - 1) == []


def test_pages_neither_repeat_nor_skip_while_events_arrive():
    client = service().boto(service().make_key("pager", "--account", OTHER), "eu-west-1")
    expected = service().expect(OTHER, "eu-west-1")
    template = expected[0].text
    found, token, turn = [], None, 0
    while True:
        answer = client.lookup_events(**({"NextToken": token} if token else {}))
        found += answer["Events"]
        token = answer.get("NextToken")
        if not token:
            break
        # Newer ones, older ones, and some in the second where the page has ended.
        turn += 1
        if turn > 6:
            continue
        new = []
        for place, when in enumerate((b"2026-01-01T00:00:00Z", b"2001-01-01T00:00:00Z",
                                      expected[50 * turn - 1].time.encode())):
            text = template.replace(expected[0].id.encode(), f"{turn:08d}-{place:04d}-4000-8000-000000000000".encode())
            text = text.replace(expected[0].time.encode(), when)
            new.append(text)
        count = service().organization.status()["total"]["received"]
        service().agent.deliver(new)
        service().organization.wait_received(count + 3)
        service().events += [api.Event(text) for text in new]
    api.assert_events(found, expected)
    api.assert_events(pages(client), service().expect(OTHER, "eu-west-1"))


def count_answers(how):
    """How many lookups were answered so, as the metrics say."""
    name = f'orgtrail_collector_api_lookups_total{{answer="{how}"}} '
    lines = service().organization.fetch("/metrics").splitlines()
    return sum(int(float(line[len(name):])) for line in lines if line.startswith(name))


def test_an_answer_that_is_given_again_is_none_of_the_past():
    client = service().boto(service().make_key("asker", "--account", OTHER), "eu-west-1")
    again = count_answers("again")
    answers = [client.lookup_events(MaxResults=5)["Events"] for _ in range(20)]
    assert all(answer == answers[0] for answer in answers)
    assert again < count_answers("again") <= again + 19
    template = service().expect(OTHER, "eu-west-1")[-1]
    for turn in range(5):
        text = template.text.replace(template.id.encode(), f"88888888-{turn:04d}-4000-8000-000000000000".encode())
        text = text.replace(template.time.encode(), f"2026-02-01T00:00:{turn:02d}Z".encode())
        assert len(client.lookup_events(MaxResults=5)["Events"]) == 5
        count = service().organization.status()["total"]["received"]
        service().agent.deliver([text])
        service().organization.wait_received(count + 1)
        service().events.append(api.Event(text))
        for _ in range(3):
            newest = client.lookup_events(MaxResults=5)["Events"][0]
            assert newest["EventId"] == service().events[-1].id, newest
    # Whoever asks is judged each time.
    shut = service().make_key("shut", "--account", OTHER)
    client = service().boto(shut, "eu-west-1")
    client.lookup_events(MaxResults=5)
    service().keys("disable", shut.id)
    expect_error("UnrecognizedClientException", client.lookup_events, MaxResults=5)


def test_a_page_of_huge_records_ends_early():
    client = service().boto(service().make_key("huge", "--account", OTHER), "eu-west-1")
    template = service().expect(OTHER, "eu-west-1")[-1]
    new = []
    for place in range(24):
        text = template.text.replace(template.id.encode(), f"77777777-{place:04d}-4000-8000-000000000000".encode())
        text = text.replace(b'"eventName":"' + template.name.encode() + b'"', b'"eventName":"Huge"')
        # Quotes, which take two bytes of the answer each.
        text = text[:-1] + b',"additional":"' + b'\\"' * 250000 + b'x"}'
        new.append(text)
    count = service().organization.status()["total"]["received"]
    for place in range(0, 24, 6):
        service().agent.deliver(new[place:place + 6])
    service().organization.wait_received(count + 24)
    service().events += [api.Event(text) for text in new]
    given = {"LookupAttributes": attributes("EventName", "Huge")}
    first = client.lookup_events(**given)
    assert 5 < len(first["Events"]) < 24 and first["NextToken"], len(first["Events"])
    api.assert_events(pages(client, **given), service().expect(OTHER, "eu-west-1", "EventName", "Huge"))


def test_a_token_is_of_its_question():
    member, admin = service().boto(Room.member), service().boto()
    token = member.lookup_events(MaxResults=10)["NextToken"]
    assert member.lookup_events(MaxResults=10, NextToken=token)["Events"]
    unsaid = member.lookup_events()["NextToken"]
    assert member.lookup_events(MaxResults=50, NextToken=unsaid)["Events"]
    expect_error("InvalidNextTokenException", member.lookup_events, NextToken=token)
    for given in (
        {"MaxResults": 20},
        {"LookupAttributes": attributes("ReadOnly", "true")},
        {"StartTime": 5},
        {"EndTime": 2000000000},
        {"EventCategory": "insight"},
    ):
        expect_error("InvalidNextTokenException", member.lookup_events, **{"MaxResults": 10, "NextToken": token, **given})
    expect_error("InvalidNextTokenException", admin.lookup_events, MaxResults=10, NextToken=token)
    elsewhere = service().boto(Room.member, "eu-west-1")
    expect_error("InvalidNextTokenException", elsewhere.lookup_events, MaxResults=10, NextToken=token)
    changed = ("A" if token[20] != "A" else "B").join((token[:20], token[21:]))
    for wrong in (changed, token[:-1], token + "0", "x", "", "é", "0" * 5000, "a\0b" * 30):
        expect_error("InvalidNextTokenException", member.lookup_events, MaxResults=10, NextToken=wrong)


def test_parameters_that_are_wrong():
    client = service().boto(Room.member)
    for count in (0, 51, -1, 10**12):
        expect_error("InvalidMaxResultsException", client.lookup_events, MaxResults=count)
    two = attributes("EventName", "x") + attributes("ReadOnly", "true")
    expect_error("InvalidLookupAttributesException", client.lookup_events, LookupAttributes=two)
    for name, value in (("Nonsense", "x"), ("eventname", "x"), ("EventName", ""), ("EventName", "x" * 2001),
                        ("EventName", "_" * 1001), ("ReadOnly", "maybe"), ("ErrorCode", "x")):
        expect_error("InvalidLookupAttributesException", client.lookup_events,
                     LookupAttributes=attributes(name, value))
    assert client.lookup_events(LookupAttributes=attributes("EventName", "_" * 1000))["Events"] == []
    expect_error("InvalidTimeRangeException", client.lookup_events, StartTime=2000, EndTime=1999)
    expect_error("InvalidEventCategoryException", client.lookup_events, EventCategory="nonsense")
    expect_error("InvalidLookupAttributesException", client.lookup_events, EventCategory="insight",
                 LookupAttributes=attributes("Username", "x"))
    assert client.lookup_events(EventCategory="insight")["Events"] == []


# --- who may see what


def test_an_account_and_a_region_at_a_time():
    assert service().boto(Room.member, "eu-west-1").lookup_events()["Events"] == []
    for region in ("organization", "organization-eu-west-1", f"account-{OTHER}", f"account-{OTHER}-eu-west-1"):
        expect_error("AccessDeniedException", service().boto(Room.member, region).lookup_events)
    own = service().boto(Room.member, f"account-{SHOP}-us-east-1")
    api.assert_events(pages(own), service().expect(SHOP, "us-east-1"))
    whole = service().boto(Room.member, "all-regions")
    api.assert_events(pages(whole), service().expect(SHOP, None))


def test_the_organization_at_once():
    client = service().boto(None, "organization")
    api.assert_events(foreign(pages(client)), service().expect(None, None))
    api.assert_events(foreign(pages(client, EventCategory="all")), service().expect(None, None, category=None))
    region = service().boto(None, "organization-eu-west-1")
    api.assert_events(pages(region), service().expect(None, "eu-west-1"))
    account = service().boto(None, f"account-{OTHER}")
    api.assert_events(pages(account), service().expect(OTHER, None))
    # An account that was left out is not all of them.
    assert service().boto(None, "account--us-east-1").lookup_events()["Events"] == []
    combined = attributes("EventName", "AssumeRole") + attributes("AccountId", SHOP) + attributes("ReadOnly", "true")
    expected = [event for event in service().expect(SHOP, None, "EventName", "AssumeRole") if event.read_only == "true"]
    assert expected
    api.assert_events(pages(client, LookupAttributes=combined), expected)
    narrowed = service().boto(service().make_key("narrowed", "--only", f"{SHOP},{OTHER}"), "organization")
    both = sorted(service().expect(SHOP, None) + service().expect(OTHER, None), key=lambda e: e.order, reverse=True)
    api.assert_events(pages(narrowed), both)


def test_a_delegated_administrator_sees_the_organization():
    admin = service().boto()
    delegate = service().boto(Room.member, "organization")
    admin.register_organization_delegated_admin(MemberAccountId=SHOP)
    assert delegate.lookup_events()["Events"]
    admin.deregister_organization_delegated_admin(DelegatedAdminAccountId=SHOP)
    expect_error("AccessDeniedException", delegate.lookup_events)
    four = [SHOP, OTHER, *EMPTY]
    for account in four[:3]:
        admin.register_organization_delegated_admin(MemberAccountId=account)
    expect_error("DelegatedAdminAccountLimitExceededException", admin.register_organization_delegated_admin,
                 MemberAccountId=four[3])
    for account in four[:3]:
        admin.deregister_organization_delegated_admin(DelegatedAdminAccountId=account)


# --- keys


def test_a_new_key_says_what_it_sees():
    for arguments, seen in (
        ((), f"account {api.flow.MANAGEMENT}: sees the whole organization\n"),
        (("--account", SHOP), f"account {SHOP}: sees account {SHOP} only, unless that is a delegated administrator\n"),
        (("--only", f"{SHOP},{OTHER}"), f": sees {SHOP},{OTHER} only, as far as its account may see them\n"),
    ):
        assert "aws_access_key_id = AKIA" in service().keys("create", "said", *arguments)
        assert seen in service().complaints, service().complaints
    # One rule for all accounts: AWS's have 12 digits.
    for given in (("--account", "123"), ("--only", f"{SHOP},123"), ("--only", f"{SHOP},")):
        service().keys("create", "refused", *given, code=2)
        assert "account \"" in service().complaints, service().complaints


def test_keys_that_are_no_good():
    key = service().make_key("short-lived", "--account", SHOP)
    assert "roster" not in service().complaints
    service().make_key("mistyped", "--account", "999999999999", "--only", f"{SHOP},888888888888")
    assert "warning: account 999999999999 is not in the roster" in service().complaints
    assert "warning: account 888888888888 is not" in service().complaints
    assert service().complaints.count("warning") == 2
    client = service().boto(key)
    assert client.lookup_events()["Events"]
    wrong = service().boto(api.Key(key.id, key.secret[::-1]))
    expect_error("InvalidSignatureException", wrong.lookup_events)
    # STS has names of its own for it.
    wrong = service().boto(api.Key(key.id, key.secret[::-1]), service="sts")
    expect_error("SignatureDoesNotMatch", wrong.get_caller_identity)
    unknown = service().boto(api.Key("AKIAAAAAAAAAAAAAAAAA", key.secret))
    expect_error("UnrecognizedClientException", unknown.lookup_events)
    unknown = service().boto(api.Key("AKIAAAAAAAAAAAAAAAAA", key.secret), service="sts")
    expect_error("InvalidClientTokenId", unknown.get_caller_identity)
    service().keys("disable", key.id)
    expect_error("UnrecognizedClientException", client.lookup_events)
    service().keys("enable", key.id)
    assert client.lookup_events()["Events"]
    assert key.id in service().keys("list") and key.secret not in service().keys("list")
    service().keys("delete", key.id)
    expect_error("UnrecognizedClientException", client.lookup_events)
    service().keys("delete", key.id, code=2)
    names = [event["eventName"] for event in service().organization.own_events()
             if (event.get("serviceEventDetails") or {}).get("accessKeyId") == key.id]
    # That callers were refused is told once a minute; with which key is of the first.
    changes = [name for name in names if name != "ApiCallerRefused"]
    assert sorted(changes) == ["AccessKeyCreated", "AccessKeyDeleted", "AccessKeyDisabled", "AccessKeyEnabled"]
    assert service().organization.own_events("ApiCallerRefused")


def test_temporary_credentials():
    key = service().make_key("passing", "--account", SHOP)
    session = service().begin_session(key, DurationSeconds=900)
    # The same scope and role, and the same name.
    client = service().boto(session)
    expected = service().expect(SHOP, "us-east-1", "EventName", "DescribeInstances")
    api.assert_events(pages(client, LookupAttributes=attributes("EventName", "DescribeInstances")), expected)
    expect_error("AccessDeniedException", service().boto(session, "organization").lookup_events)
    expect_error("AccessDeniedException", client.create_trail, Name="mine", S3BucketName="a-bucket")
    sts = service().boto(session, service="sts")
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{SHOP}:user/passing"
    expect_error("AccessDenied", sts.get_session_token)
    for seconds in (899, 129601):
        expect_error("ValidationError", service().boto(key, service="sts").get_session_token, DurationSeconds=seconds)
    # Credentials that are renewed between two pages; those of another key are none of the question's.
    token = client.lookup_events()["NextToken"]
    renewed = service().boto(service().begin_session(key))
    assert renewed.lookup_events(NextToken=token)["Events"]
    assert service().boto(key).lookup_events(NextToken=token)["Events"]
    expect_error("InvalidNextTokenException", service().boto(service().begin_session(Room.member)).lookup_events, NextToken=token)
    # The other clients.
    for program in (PYPI, DEBIAN):
        if os.path.exists(program):
            answer = service().cli(program, "lookup-events", "--max-items", "3", key=session)
            assert isinstance(answer, dict) and len(answer["Events"]) == 3, answer
            assert "ASIA" in service().cli(program, "get-session-token", key=key, service="sts")["Credentials"]["AccessKeyId"]
    if shutil.which("node"):
        assert len(service().node("LookupEvents", {"MaxResults": 3}, session)["answer"]["Events"]) == 3
    # Nothing but all three together is good.
    other = service().begin_session(key)
    for wrong in (session._replace(token=None), session._replace(token=other.token), session._replace(token="x"),
                  key._replace(token=session.token)):
        expect_error("UnrecognizedClientException", service().boto(wrong).lookup_events)
    expect_error("InvalidSignatureException", service().boto(session._replace(secret=key.secret)).lookup_events)
    # It ends with its key, and outlives the collector.
    organization = service().organization
    assert organization.collector.stop() == 0
    organization.start_collector()
    assert service().boto(session).lookup_events()["Events"]
    service().keys("disable", key.id)
    expect_error("UnrecognizedClientException", service().boto(session).lookup_events)
    service().keys("enable", key.id)
    assert service().boto(session).lookup_events()["Events"]
    service().keys("delete", key.id)
    expect_error("UnrecognizedClientException", service().boto(session).lookup_events)
    calls = [event for event in organization.own_events("LookupEvents")
             if event["userIdentity"]["accessKeyId"] == session.id]
    assert calls and all(event["userIdentity"]["principalId"] == key.id for event in calls)
    assert all(text not in str(organization.own_events("GetSessionToken")) for text in (session.secret, session.token))


def test_a_session_that_has_expired():
    """Both clocks are ahead, so that nothing is wrong but the session."""
    key = service().make_key("expiring", "--account", SHOP)
    session = service().begin_session(key, DurationSeconds=900)
    longer = service().begin_session(key, DurationSeconds=3600)
    assert service().boto(session).lookup_events()["Events"]
    service().restart(ahead_s=950)
    try:
        error = expect_error("ExpiredTokenException", service().boto(session).lookup_events)
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
        error = expect_error("ExpiredToken", service().boto(session, service="sts").get_caller_identity)
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 403
        expect_error("ExpiredTokenException", service().boto(session, service="organizations").describe_organization)
        for program in (PYPI, DEBIAN):
            if os.path.exists(program):
                said = service().cli(program, "lookup-events", "--max-items", "1", key=session)
                assert "(ExpiredTokenException)" in said, said
                said = service().cli(program, "lookup-events", "--max-items", "1", key=longer)
                assert len(said["Events"]) == 1, said
        if shutil.which("node"):
            assert service().node("LookupEvents", {}, session)["error"] == "ExpiredTokenException"
            assert service().node("LookupEvents", {"MaxResults": 1}, longer)["answer"]["Events"]
        # The key itself, and what it begins anew.
        assert service().boto(longer).lookup_events()["Events"]
        made = service().boto(key, service="sts").get_session_token(DurationSeconds=900)["Credentials"]
        renewed = api.Key(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
        assert service().boto(renewed).lookup_events()["Events"]
        reasons = {event["serviceEventDetails"]["reason"]
                   for event in service().organization.own_events("ApiCallerRefused")}
        assert "ExpiredTokenException" in reasons, reasons
    finally:
        service().restart()
    assert service().boto(session).lookup_events()["Events"]


def test_keys_outlive_the_collector():
    key = service().make_key("lasting", "--account", SHOP)
    organization = service().organization
    assert organization.collector.stop() == 0
    organization.start_collector()
    assert service().boto(key).lookup_events()["Events"]
    # Without secret.key none can be used, and all can be deleted.
    secret = os.path.join(organization.folder, "collector/secret.key")
    assert os.stat(secret).st_mode & 0o777 == 0o600
    os.rename(secret, secret + ".kept")
    assert organization.collector.stop() == 0
    organization.start_collector()
    expect_error("UnrecognizedClientException", service().boto(key).lookup_events)
    assert "unreadable" in service().keys("list")
    assert organization.collector.stop() == 0
    os.rename(secret + ".kept", secret)
    organization.start_collector()
    assert service().boto(key).lookup_events()["Events"]


def test_a_clock_that_is_off():
    import botocore.auth

    client = service().boto(Room.member)
    kept = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *given: kept(*given) - datetime.timedelta(hours=1)
    try:
        error = expect_error("InvalidSignatureException", client.lookup_events)
    finally:
        botocore.auth.get_current_datetime = kept
    assert "Signature expired" in error["Error"]["Message"]
    # The SDK for JavaScript finds the time in the answer's Date and tries again.
    for skew_ms in (3600_000, -3600_000):
        said = service().node("LookupEvents", {"MaxResults": 1}, Room.member, skew_ms=skew_ms)
        assert "answer" in said, (skew_ms, said)
        assert len(said["answer"]["Events"]) == 1, said


# --- the other clients


def look_with_cli(program):
    expected = service().expect(SHOP, "us-east-1")
    answer = service().cli(program, "lookup-events", key=Room.member)
    assert isinstance(answer, dict), answer
    assert [event["EventId"] for event in answer["Events"]] == [event.id for event in expected]
    assert answer["Events"][0]["CloudTrailEvent"].encode() == expected[0].text
    scans = random.Random(3)
    for name in KEYS:
        values = sorted({value for event in expected for value in event.values(name)})
        assert values, f"no event has a {name}"
        value = scans.choice(values)
        given = f"AttributeKey={name},AttributeValue={value}"
        answer = service().cli(program, "lookup-events", "--lookup-attributes", given, key=Room.member)
        wanted = [event.id for event in service().expect(SHOP, "us-east-1", name, value)]
        assert isinstance(answer, dict) and [event["EventId"] for event in answer["Events"]] == wanted, name
    event = expected[100]
    answer = service().cli(program, "lookup-events", "--start-time", event.time, "--end-time", event.time, key=Room.member)
    second = service().expect(SHOP, "us-east-1", start=event.seconds, end=event.seconds)
    assert [found["EventId"] for found in answer["Events"]] == [wanted.id for wanted in second]
    answer = service().cli(program, "lookup-events", "--max-items", "60", key=Room.member)
    assert len(answer["Events"]) == 60 and answer["NextToken"]
    rest = service().cli(program, "lookup-events", "--max-items", "7", "--starting-token", answer["NextToken"], key=Room.member)
    assert [found["EventId"] for found in rest["Events"]] == [wanted.id for wanted in expected[60:67]]
    assert "(InvalidMaxResultsException)" in service().cli(program, "lookup-events", "--max-results", "51", key=Room.member)
    assert "(AccessDeniedException)" in service().cli(program, "create-trail", "--name", "one", "--s3-bucket-name", "a-bucket", key=Room.member)
    assert "(UnsupportedOperationException)" in service().cli(program, "list-channels")
    answer = service().cli(program, "get-caller-identity", service="sts", key=Room.member)
    assert answer["Arn"] == f"arn:aws:iam::{SHOP}:user/member", answer
    answer = service().cli(program, "list-accounts", service="organizations")
    assert {account["Id"] for account in answer["Accounts"]} >= {SHOP, OTHER}, answer


def test_the_aws_cli_of_pypi():
    look_with_cli(PYPI)


def test_there_are_no_buckets():
    """A client of S3 is told so in S3's words; this collector delivers nowhere."""
    client = service().boto(service="s3")
    expect_error("NotImplemented", client.list_buckets)
    expect_error("NotImplemented", client.list_objects_v2, Bucket="trail-logs")
    expect_error("MethodNotAllowed", client.put_object, Bucket="trail-logs", Key="x", Body=b"x")


def test_the_aws_cli_of_debian():
    if not os.path.exists(DEBIAN) or os.path.realpath(DEBIAN) == os.path.realpath(PYPI):
        raise cases.Skipped("Debian's awscli is not installed")
    look_with_cli(DEBIAN)


def test_the_sdk_for_javascript():
    if shutil.which("node") is None:
        raise cases.Skipped("there is no node")
    expected = service().expect(SHOP, "us-east-1")
    found = service().node("LookupEvents", {}, Room.member, pages=True)["answer"]["Events"]
    api.assert_events(found, expected)
    for name in KEYS:
        values = sorted({value for event in expected for value in event.values(name)})
        assert values, f"no event has a {name}"
        value = random.Random(name).choice(values)
        given = {"LookupAttributes": attributes(name, value)}
        found = service().node("LookupEvents", given, Room.member, pages=True)["answer"]["Events"]
        api.assert_events(found, service().expect(SHOP, "us-east-1", name, value))
    event = expected[10]
    given = {"StartTime": event.seconds, "EndTime": event.seconds + 0.25}
    found = service().node("LookupEvents", given, Room.member)["answer"]["Events"]
    api.assert_events(found, service().expect(SHOP, "us-east-1", start=event.seconds, end=event.seconds))
    for given, name in (({"MaxResults": 51}, "InvalidMaxResultsException"),
                        ({"NextToken": "x"}, "InvalidNextTokenException")):
        assert service().node("LookupEvents", given, Room.member)["error"] == name
    said = service().node("DescribeTrails", {}, Room.member)
    assert said["answer"]["trailList"] == [], said
    wrong = api.Key(Room.member.id, "x" * 40)
    assert service().node("LookupEvents", {}, wrong)["error"] == "InvalidSignatureException"


def test_every_operation_is_known_by_name():
    with open(os.path.join(os.path.dirname(os.path.dirname(api.HERE)), "docs/api.md"), encoding="utf-8") as file:
        rows = re.findall(r"^\| `(\w+)` \| (answered|refused) \|", file.read(), re.MULTILINE)
    client = service().boto()
    assert sorted(name for name, _ in rows) == sorted(client.meta.service_model.operation_names)
    assert len(rows) == 60
    for name, what in rows:
        try:
            getattr(client, xform_name(name))()
            code = None
        except botocore.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, (name, error.response)
        assert (code == "UnsupportedOperationException") == (what == "refused"), (name, code)


# --- trails, and what the calls leave


def test_the_life_of_a_trail():
    client, reader = service().boto(), service().boto(Room.member)
    made = client.create_trail(Name="life", S3BucketName="a-bucket", TagsList=[{"Key": "a", "Value": "b"}])
    arn = f"arn:aws:cloudtrail:us-east-1:{api.flow.MANAGEMENT}:trail/life"
    assert made["TrailARN"] == arn
    expect_error("TrailAlreadyExistsException", client.create_trail, Name="life", S3BucketName="a-bucket")
    expect_error("AccessDeniedException", reader.create_trail, Name="mine", S3BucketName="a-bucket")
    assert [trail["TrailARN"] for trail in client.list_trails()["Trails"]] == [arn]
    assert client.get_trail_status(Name="life")["IsLogging"] is False
    client.start_logging(Name="life")
    assert client.get_trail_status(Name=arn)["IsLogging"] is True
    client.put_event_selectors(TrailName="life", EventSelectors=[{"ReadWriteType": "WriteOnly"}])
    kept = client.get_event_selectors(TrailName="life")["EventSelectors"]
    assert kept[0]["ReadWriteType"] == "WriteOnly" and kept[0]["IncludeManagementEvents"] is True
    tags = client.list_tags(ResourceIdList=[arn])["ResourceTagList"]
    assert tags == [{"ResourceId": arn, "TagsList": [{"Key": "a", "Value": "b"}]}]
    expect_error("InvalidHomeRegionException", service().boto(None, "eu-west-1").delete_trail, Name=arn)
    client.delete_trail(Name="life")
    expect_error("TrailNotFoundException", client.get_trail, Name="life")


def test_every_call_is_an_event():
    client = service().boto()
    name = "evented"
    made = client.create_trail(Name=name, S3BucketName="a-bucket")["ResponseMetadata"]["RequestId"]
    looked = client.lookup_events(MaxResults=3)["ResponseMetadata"]["RequestId"]
    failed = expect_error("InvalidMaxResultsException", client.lookup_events, MaxResults=99)["ResponseMetadata"]["RequestId"]
    client.delete_trail(Name=name)

    def find():
        events = {event.get("requestID"): event for event in service().organization.own_events()}
        return events if {made, looked, failed} <= set(events) else None

    events = api.flow.wait_until("the calls' events", find, 5)
    event = events[made]
    assert event["eventName"] == "CreateTrail" and event["readOnly"] is False
    assert event["requestParameters"] == {"name": name, "s3BucketName": "a-bucket"}
    assert event["responseElements"]["name"] == name
    assert event["userIdentity"]["userName"] == "admin"
    assert event["userIdentity"]["accessKeyId"] == service().admin.id
    assert event["sourceIPAddress"] == "127.0.0.1" and "Boto3" in event["userAgent"]
    assert events[looked]["requestParameters"] == {"maxResults": 3} and events[looked]["readOnly"] is True
    assert events[failed]["errorCode"] == "InvalidMaxResultsException"
    # And found by its caller, as CloudTrail's own calls are.
    found = pages(client, LookupAttributes=attributes("EventName", "CreateTrail"))
    assert made in "".join(item["CloudTrailEvent"] for item in found)


def test_a_limit_of_calls():
    with api.Service("lookups_per_second: 2", events=[]) as limited:
        client = limited.boto()
        responses = []
        for _ in range(3):
            try:
                client.lookup_events()
            except botocore.exceptions.ClientError as error:
                responses.append(error.response)
        assert responses, "no call was throttled"
        assert responses[0]["Error"]["Code"] == "ThrottlingException"
        headers = responses[0]["ResponseMetadata"]["HTTPHeaders"]
        assert 0 < int(headers["x-amz-retry-after"]) <= 500 and int(headers["retry-after"]) == 1
        # Clients wait and go on.
        patient = limited.boto(retries=5)
        for _ in range(6):
            patient.lookup_events()
        if shutil.which("node"):
            # Each call is an event too: some pages, more than the limit lets through at once.
            said = limited.node("LookupEvents", {"MaxResults": 2}, pages=True)
            assert len(said["answer"]["Events"]) > 8, said


def test_another_certificate_while_it_runs():
    organization = service().organization
    client = service().boto(Room.member)
    assert client.lookup_events()["Events"]
    address = ("127.0.0.1", organization.api_port)
    shown = ssl.get_server_certificate(address)
    certificate = os.path.join(organization.folder, "collector/collector.pem")
    with open(certificate, "rb") as file:
        before = file.read()
    organization.run("enroll", organization.folder, "--server")
    with open(certificate, "rb") as file:
        assert file.read() != before
    assert ssl.get_server_certificate(address) == shown
    organization.run("reload", "--config", organization.config_path)
    assert ssl.get_server_certificate(address) != shown
    assert service().boto(Room.member).lookup_events()["Events"]
    assert client.lookup_events()["Events"]


INSIGHT = (
    '{"eventVersion":"1.08","eventTime":"2023-07-10T12:0%d:00Z","awsRegion":"us-east-1","eventID":'
    '"99999999-000%d-4000-8000-000000000000","eventType":"AwsCloudTrailInsight","recipientAccountId":"' + SHOP + '",'
    '"sharedEventID":"99999999-0009-4000-8000-000000000000","insightDetails":{"state":"%s","eventSource":'
    '"autoscaling.amazonaws.com","eventName":"CompleteLifecycleAction","insightType":"ApiCallRateInsight",'
    '"insightContext":{"statistics":{"baseline":{"average":0.0017},"insight":{"average":9.8},"insightDuration":5}}},'
    '"eventCategory":"Insight"}'
)


def test_insights():
    client = service().boto(Room.member)
    count = service().organization.status()["total"]["received"]
    texts = [INSIGHT % (0, 1, "Start"), INSIGHT % (5, 2, "End")]
    service().agent.deliver([text.encode() for text in texts])
    service().organization.wait_received(count + 2)
    newest = [texts[1], texts[0]]
    for given in ([], attributes("EventName", "CompleteLifecycleAction"),
                  attributes("EventSource", "autoscaling.amazonaws.com")):
        found = client.lookup_events(EventCategory="insight", LookupAttributes=given)["Events"]
        assert [event["CloudTrailEvent"] for event in found] == newest, (given, found)
        assert {event["EventName"] for event in found} == {"CompleteLifecycleAction"}
        assert {event["EventSource"] for event in found} == {"autoscaling.amazonaws.com"}
    one = attributes("EventId", "99999999-0001-4000-8000-000000000000")
    found = client.lookup_events(EventCategory="insight", LookupAttributes=one)["Events"]
    assert [event["CloudTrailEvent"] for event in found] == texts[:1]
    answer = service().cli(PYPI, "lookup-events", "--event-category", "insight", key=Room.member)
    assert [event["CloudTrailEvent"] for event in answer["Events"]] == newest
    # They are no management events.
    assert client.lookup_events(LookupAttributes=one)["Events"] == []


def test_the_store_is_good_at_the_end():
    assert service().organization.collector.stop() == 0
    assert service().organization.check() > len(service().events)
    service().organization.end()


if __name__ == "__main__":
    cases.run("clients_test", globals(), only=os.environ.get("ONLY"))
