#!/usr/bin/env python3
"""Delivered files read as S3 reads them, by unmodified clients, from the collector itself."""

import os
import sys
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.deliver import delivery  # noqa: E402
from tests.deliver.delivery import BUCKET, Delivering, flow  # noqa: E402
from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

SHOP, BANK = "123456789123", "347283850106"
OWNER = flow.MANAGEMENT
DEBIAN = "/usr/bin/aws"
STATE = {}


def open_service():
    """One service for all cases: they only read."""
    if not STATE:
        events = [event for account in (SHOP, BANK)
                  for event in [e for e in api.load_events() if e.account == account][:80]]
        service = Delivering(events=[], accounts=[SHOP, BANK])
        arn = service.make_trail(IsOrganizationTrail=True)
        service.feed(events)
        service.wait_records(delivery.selected(events))
        service.wait_digest(arn)
        service.end_logging(arn)
        top = os.path.join(service.buckets, BUCKET, "odd")
        os.makedirs(top)
        for name in ("a b+c.txt", "ä=&.txt", "a.txt", "a-b.txt"):
            with open(os.path.join(top, name), "wb") as file:
                file.write(name.encode() * 1000)
        os.makedirs(os.path.join(top, "a"))
        with open(os.path.join(top, "a", "inner.txt"), "wb") as file:
            file.write(b"inner")
        STATE["service"] = service
    return STATE["service"]


def s3(service, key=None, **config):
    import boto3
    from botocore.config import Config

    key = key or service.admin
    return boto3.Session(
        aws_access_key_id=key.id, aws_secret_access_key=key.secret, aws_session_token=key.token,
        region_name="us-east-1"
    ).client(
        "s3", endpoint_url=service.endpoint, verify=service.ca,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, **config),
    )


def all_keys(service):
    """Every key of the bucket in the order of S3, from the file system."""
    top = os.path.join(service.buckets, BUCKET)
    keys = []
    for folder, _, names in os.walk(top):
        keys += [os.path.relpath(os.path.join(folder, name), top) for name in names if name[0] != "."]
    return sorted(keys, key=lambda key: key.encode())


def code_of(call, **parameters):
    from botocore.exceptions import ClientError

    try:
        call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def test_lists_have_every_key_in_order():
    service = open_service()
    client = s3(service)
    keys = all_keys(service)
    assert len(keys) > 10
    for operation in ("list_objects", "list_objects_v2"):
        for size in (1, 3, 1000):
            pages = client.get_paginator(operation).paginate(
                Bucket=BUCKET, PaginationConfig={"PageSize": size}
            )
            found = [item["Key"] for page in pages for item in page.get("Contents", [])]
            assert found == keys, (operation, size, found[:5], keys[:5])
    # A marker need not be a key.
    for marker in ("", "A", "AWSLogs", "AWSLogs/o-example123/2", "odd/a", "odd/a.", "zzz"):
        found = client.list_objects(Bucket=BUCKET, Marker=marker).get("Contents", [])
        assert [item["Key"] for item in found] == [
            key for key in keys if key.encode() > marker.encode()
        ], marker
        found = client.list_objects_v2(Bucket=BUCKET, StartAfter=marker).get("Contents", [])
        assert [item["Key"] for item in found] == [
            key for key in keys if key.encode() > marker.encode()
        ], marker
    for prefix in ("AWSLogs/", "AWSLogs/o-example123/1234", "odd/a", "odd/a/", "nothing"):
        found = client.list_objects(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        assert [item["Key"] for item in found] == [key for key in keys if key.startswith(prefix)]


def test_lists_with_a_delimiter():
    service = open_service()
    client = s3(service)
    keys = all_keys(service)
    for prefix in ("", "odd/", "AWSLogs/o-example123/", "odd/a"):
        contents, prefixes = [], []
        for key in keys:
            if not key.startswith(prefix):
                continue
            rest = key[len(prefix):]
            if "/" in rest:
                folder = prefix + rest.split("/")[0] + "/"
                if folder not in prefixes:
                    prefixes.append(folder)
            else:
                contents.append(key)
        for size in (1, 1000):
            pages = list(client.get_paginator("list_objects_v2").paginate(
                Bucket=BUCKET, Prefix=prefix, Delimiter="/", PaginationConfig={"PageSize": size}
            ))
            assert [i["Key"] for page in pages for i in page.get("Contents", [])] == contents
            assert [i["Prefix"] for page in pages for i in page.get("CommonPrefixes", [])] == prefixes


def test_objects_whole_and_in_ranges():
    service = open_service()
    client = s3(service)
    for key in all_keys(service):
        with open(os.path.join(service.buckets, BUCKET, key), "rb") as file:
            content = file.read()
        answer = client.get_object(Bucket=BUCKET, Key=key)
        assert answer["Body"].read() == content, key
        head = client.head_object(Bucket=BUCKET, Key=key)
        assert head["ContentLength"] == len(content) and head["ETag"] == answer["ETag"]
        if "/CloudTrail-Digest/" in key:
            assert set(answer["Metadata"]) == {"signature", "signature-algorithm"}
            assert head["Metadata"] == answer["Metadata"] and len(head["Metadata"]["signature"]) == 512
    key = "odd/a b+c.txt"
    content = b"a b+c.txt" * 1000
    for text, part in (
        ("bytes=0-0", content[:1]), ("bytes=5-", content[5:]), ("bytes=-7", content[-7:]),
        ("bytes=10-19", content[10:20]), ("bytes=8990-99999", content[8990:]),
    ):
        answer = client.get_object(Bucket=BUCKET, Key=key, Range=text)
        assert answer["Body"].read() == part, text
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["ContentRange"].endswith(f"/{len(content)}")
    assert code_of(client.get_object, Bucket=BUCKET, Key=key, Range="bytes=9000-") == "InvalidRange"
    tag = client.head_object(Bucket=BUCKET, Key=key)["ETag"]
    assert code_of(client.get_object, Bucket=BUCKET, Key=key, IfNoneMatch=tag) == "304"
    assert code_of(client.get_object, Bucket=BUCKET, Key=key, IfMatch='"other"') == "PreconditionFailed"
    assert client.get_object(Bucket=BUCKET, Key=key, IfMatch=tag)["Body"].read() == content


def read_by_cli(aws, name):
    service = open_service()
    listed = aws("s3", "ls", "--recursive", f"s3://{BUCKET}").splitlines()
    assert [line[31:] for line in listed] == all_keys(service)
    target = os.path.join(service.organization.base, name)
    aws("s3", "cp", "--recursive", "--quiet", f"s3://{BUCKET}/AWSLogs", target)
    copied = sorted(
        os.path.relpath(os.path.join(folder, name), target)
        for folder, _, names in os.walk(target) for name in names
    )
    assert copied == sorted(
        key.removeprefix("AWSLogs/") for key in all_keys(service) if key.startswith("AWSLogs/")
    )
    assert BUCKET in aws("s3", "ls")


def test_the_aws_cli():
    read_by_cli(open_service().aws, "copied")


def test_the_aws_cli_of_debian():
    """Four years older: it has one endpoint for one service, so that validate-logs would ask AWS for the files. What its
    list-public-keys says serves orgtrail verify."""
    if not os.path.exists(DEBIAN):
        raise cases.Skipped("Debian's awscli is not installed")
    service = open_service()

    def aws(*arguments):
        return service.aws("--endpoint-url", service.endpoint, *arguments, program=DEBIAN)

    read_by_cli(aws, "copied by debian's")
    keys = os.path.join(service.organization.base, "debian.keys")
    with open(keys, "w", encoding="utf-8") as file:
        file.write(aws("cloudtrail", "list-public-keys", "--start-time", "2026-01-01", "--output", "json"))
    last = max(key.rpartition("_")[2] for key in service.digests())
    until = f"{last[:4]}-{last[4:6]}-{last[6:11]}:{last[11:13]}:{last[13:15]}Z"
    report = service.verify("--keys", keys, "--to", until, place=f"s3://{BUCKET}/AWSLogs")
    assert report["whole"] and report["counts"]["digestsGood"] == len(service.digests()), report


def test_another_reader():
    """obstore: Rust's object_store, with which DataFusion, Polars and Delta Lake read. Nothing of AWS's is in it."""
    import obstore

    service = open_service()
    with open(service.ca, encoding="utf-8") as file:
        ca = file.read()

    def open_store(key):
        return obstore.store.S3Store(
            BUCKET, endpoint=service.endpoint, region="us-east-1", access_key_id=key.id, secret_access_key=key.secret,
            virtual_hosted_style_request=False, client_options={"root_certificate": ca}, retry_config={"max_retries": 0},
            **({"session_token": key.token} if key.token else {}))

    keys = [key for key in all_keys(service) if key.startswith("AWSLogs/")]
    folder = f"AWSLogs/{service.organization.name}/"
    for key in (service.admin, service.begin_session()):
        store = open_store(key)
        assert sorted(item["path"] for page in obstore.list(store, "AWSLogs") for item in page) == keys
    found = obstore.list_with_delimiter(store, folder)["common_prefixes"]
    assert sorted(found) == sorted({"/".join(key.split("/")[:3]) for key in keys}), found
    for key in keys:
        with open(os.path.join(service.buckets, BUCKET, key), "rb") as file:
            content = file.read()
        head = obstore.head(store, key)
        assert head["size"] == len(content) and head["e_tag"], head
        answer = obstore.get(store, key)
        assert bytes(answer.bytes()) == content and answer.meta["e_tag"] == head["e_tag"], key
        size = len(content)
        assert bytes(obstore.get_range(store, key, start=3, end=size // 2)) == content[3:size // 2], key
        assert bytes(obstore.get(store, key, options={"range": {"suffix": 8}}).bytes()) == content[-8:], key
        assert bytes(obstore.get(store, key, options={"range": {"offset": 10}}).bytes()) == content[10:], key
        parts = obstore.get_ranges(store, key, starts=[0, 20, size - 5], ends=[4, 30, size])
        assert [bytes(part) for part in parts] == [content[:4], content[20:30], content[-5:]], key
    try:
        obstore.get(store, keys[0] + "-no")
        raise AssertionError("a file that is not there was read")
    except FileNotFoundError:
        pass
    try:
        list(obstore.list(open_store(api.Key(service.admin.id, "x" * 40))))
        raise AssertionError("another secret lists")
    except obstore.exceptions.BaseError as error:
        assert "SignatureDoesNotMatch" in str(error) or "403" in str(error), error


def test_who_owns_what():
    service = open_service()
    shop = service.make_key("owned", "--account", SHOP)
    for key in (None, shop):
        client = s3(service, key)
        assert client.list_buckets()["Owner"]["ID"] == OWNER
        for given, has_owner in ((client.list_objects, True), (client.list_objects_v2, False)):
            listed = given(Bucket=BUCKET)["Contents"]
            assert {item.get("Owner", {}).get("ID") for item in listed} == {OWNER if has_owner else None}
        listed = client.list_objects_v2(Bucket=BUCKET, FetchOwner=True)["Contents"]
        assert {item["Owner"]["ID"] for item in listed} == {OWNER}


def read_events(service, key):
    """What the trail has of a key's reads."""
    events = [event["serviceEventDetails"] for event in service.organization.own_events("BucketRead")]
    return [event for event in events if event["principalId"] == key.id]


def test_every_read_is_in_the_trail():
    service = open_service()
    key = service.make_key("reading", "--account", SHOP)
    sessions = [service.begin_session(key) for _ in range(2)]
    client = s3(service, key)
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
    for name in [keys[0]] * 30:
        client.get_object(Bucket=BUCKET, Key=name)
    client.get_object(Bucket=BUCKET, Key=keys[-1])
    client.head_object(Bucket=BUCKET, Key=keys[0])
    client.head_bucket(Bucket=BUCKET)
    client.list_buckets()
    client.get_bucket_location(Bucket=BUCKET)
    for _ in range(3):
        assert code_of(client.get_object, Bucket=BUCKET, Key="AWSLogs/none") == "NoSuchKey"
    for number in range(5):
        assert code_of(client.list_objects, Bucket=f"no-such-{number}") == "NoSuchBucket"
    for session in sessions:
        s3(service, session).list_objects(Bucket=BUCKET)
    wanted = {"ListObjects", "GetObject", "HeadObject", "HeadBucket", "ListBuckets", "GetBucketLocation"}
    flow.wait_until(
        "reads are told", lambda: wanted <= {event["operation"] for event in read_events(service, key)}
    )
    # Events of one second have no order among themselves: the first is the one that counts nothing and has no error.
    [first] = [event for event in read_events(service, key) if event["operation"] == "GetObject"
               and "errorCode" not in event and "count" not in event]
    assert first["bucketName"] == BUCKET and first["key"] == keys[0], first
    assert first["userName"] == "reading" and first["account"] == SHOP, first
    assert first["sourceIPAddress"] == "127.0.0.1" and "Boto3" in first["userAgent"], first
    # What was repeated within the minute is told together, at the latest when the collector ends.
    service.organization.collector.stop()
    events = read_events(service, key)
    got = [e for e in events if e["operation"] == "GetObject" and "errorCode" not in e]
    assert sum(event.get("count", 1) for event in got) == 31 and len(got) <= 3, got
    assert keys[-1] in [event["key"] for event in got], got
    failed = [event for event in events if event.get("errorCode") == "NoSuchKey"]
    assert sum(event.get("count", 1) for event in failed) == 3, failed
    unknown = [event for event in events if event.get("errorCode") == "NoSuchBucket"]
    assert sum(event.get("count", 1) for event in unknown) == 5 and "bucketName" not in unknown[0], unknown
    # However many sessions a key makes, they are told with it.
    listed = [e for e in events if e["operation"] == "ListObjects" and "errorCode" not in e]
    assert sum(event.get("count", 1) for event in listed) == 3 and len(listed) == 2, listed
    assert sorted(event["accessKeyId"] for event in listed) == sorted([key.id, sessions[-1].id]), listed
    service.organization.start_collector()


def test_temporary_credentials_read_what_their_key_reads():
    service = open_service()
    session = service.begin_session()
    listed = service.aws("s3", "ls", "--recursive", f"s3://{BUCKET}/AWSLogs/", key=session).splitlines()
    assert len(listed) == len([key for key in all_keys(service) if key.startswith("AWSLogs/")])
    service.aws("s3", "ls", f"s3://{BUCKET}/AWSLogs/", key=session._replace(token="x"), code=255)
    short = service.begin_session(DurationSeconds=900)
    assert s3(service, short).list_objects(Bucket=BUCKET)["Contents"]
    service.restart(ahead_s=950)
    try:
        assert code_of(s3(service, short).list_objects, Bucket=BUCKET) == "ExpiredToken"
        assert code_of(s3(service, short).head_bucket, Bucket=BUCKET) == "403"
        assert s3(service, session).list_objects(Bucket=BUCKET)["Contents"]
    finally:
        service.restart()


def test_presigned_addresses_are_refused():
    """Old or new: they are not understood, and say so to nobody by letting him in."""
    import ssl

    service = open_service()
    context = ssl.create_default_context(cafile=service.ca)
    for seconds in (1, 600):
        address = s3(service).generate_presigned_url(
            "get_object", Params={"Bucket": BUCKET, "Key": all_keys(service)[0]}, ExpiresIn=seconds
        )
        assert "Signature=" in address, address
        try:
            urllib.request.urlopen(address, context=context)
            raise AssertionError(address)
        except urllib.error.HTTPError as error:
            assert error.code == 403 and b"<Code>AccessDenied</Code>" in error.read()


def test_who_may_read_what():
    service = open_service()
    shop = service.make_key("shop", "--account", SHOP)
    narrow = service.make_key("narrow", "--only", BANK)
    for key, account in ((shop, SHOP), (narrow, BANK)):
        client = s3(service, key)
        seen = [item["Key"] for item in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
        assert seen == [k for k in all_keys(service) if f"/{account}/" in k], seen[:3]
        assert client.get_object(Bucket=BUCKET, Key=seen[0])["Body"].read()
        other = next(k for k in all_keys(service) if f"/{account}/" not in k)
        assert code_of(client.get_object, Bucket=BUCKET, Key=other) == "NoSuchKey"
        assert code_of(client.head_object, Bucket=BUCKET, Key=other) == "404"
        # Nor are other accounts' folders listed: their ids, regions and days.
        folder = f"AWSLogs/{service.organization.name}/"
        listed = client.list_objects_v2(Bucket=BUCKET, Prefix=folder, Delimiter="/")
        assert [item["Prefix"] for item in listed["CommonPrefixes"]] == [f"{folder}{account}/"]
        names = os.listdir(os.path.join(service.buckets, BUCKET, folder))
        assert {SHOP, BANK} < set(names), names
        for name in names:
            listed = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}{name}/", Delimiter="/")
            assert ("CommonPrefixes" in listed) == (name == account), listed
    client = s3(service, api.Key(service.admin.id, "x" * 40))
    assert code_of(client.list_objects, Bucket=BUCKET) == "SignatureDoesNotMatch"
    client = s3(service, api.Key("AKIAABCDEFGHIJKLMNOP", "x" * 40))
    assert code_of(client.list_objects, Bucket=BUCKET) == "InvalidAccessKeyId"
    client = s3(service)
    assert code_of(client.list_objects, Bucket="no-such-bucket") == "NoSuchBucket"
    assert code_of(client.head_bucket, Bucket="no-such-bucket") == "404"
    assert code_of(client.get_object, Bucket=BUCKET, Key="no/such/key") == "NoSuchKey"
    assert code_of(client.put_object, Bucket=BUCKET, Key="mine", Body=b"x") == "MethodNotAllowed"
    assert code_of(client.delete_object, Bucket=BUCKET, Key=all_keys(service)[0]) == "MethodNotAllowed"
    assert code_of(client.get_bucket_acl, Bucket=BUCKET) == "NotImplemented"
    assert client.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None
    refused = service.organization.own_events("ApiCallerRefused")
    assert {"SignatureDoesNotMatch", "InvalidAccessKeyId"} <= {
        event["serviceEventDetails"]["reason"] for event in refused
    }


def test_nothing_beside_the_buckets_is_read():
    import ssl

    service = open_service()
    client = s3(service)
    for key in ("../organization/collector/secret.key", "a/../../organization", ".", "..", "odd//a.txt",
                "odd/.a.txt.metadata", "odd", "odd/a"):
        assert code_of(client.get_object, Bucket=BUCKET, Key=key) in ("NoSuchKey", "400", "404"), key
    digest = next(k for k in all_keys(service) if "Digest" in k)
    folder, name = os.path.split(digest)
    assert code_of(client.get_object, Bucket=BUCKET, Key=f"{folder}/.{name}.metadata") == "NoSuchKey"
    for path in ("/", f"/{BUCKET}", f"/{BUCKET}/odd/a.txt"):
        context = ssl.create_default_context(cafile=service.ca)
        try:
            urllib.request.urlopen(service.endpoint + path, context=context)
            raise AssertionError(path)
        except urllib.error.HTTPError as error:
            assert error.code == 403, (path, error.code)


def test_zz_end():
    STATE["service"].__exit__(None, None, None)


cases.run("reads", globals(), os.environ.get("ONLY"))
