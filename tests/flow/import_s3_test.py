#!/usr/bin/env python3
"""orgtrail import from a bucket: moto with authentication on, s3rver over TLS, MinIO where it is, and a store that fails now and then."""

import os
import random
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.kit import cases  # noqa: E402
from tests.s3 import failing, servers  # noqa: E402

servers.enter_clients()

from tests.flow import organization as flow  # noqa: E402
from tests.flow.fidelity_test import account_of, expect_same, load  # noqa: E402
from tests.flow.import_test import enroll, imported, make_organization, place, run, start  # noqa: E402
from tests.flow.records import SHOP, make_range  # noqa: E402

BUCKET = "trail-bucket"


def use(server, **more):
    """What the aws CLI would be told; `orgtrail` inherits it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update({"AWS_ACCESS_KEY_ID": server.key_id, "AWS_SECRET_ACCESS_KEY": server.secret,
                       "AWS_ENDPOINT_URL_S3": server.endpoint}, **more)


def put(server, files):
    client = server.boto3()
    for key, records in files.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=flow.pack_records(records))
    return client


def fill(store, files):
    for key, records in files.items():
        data = flow.pack_records(records)
        store.buckets[BUCKET][key] = failing.Stored(data, {}, str(abs(hash(data))), None)


def bundled_data():
    """{key: records} in both layouts, and the accounts."""
    data = load()
    files = {}
    for number, records in enumerate(data.values()):
        layout = ("AWSLogs", "old/logs/AWSLogs/o-example123")[number % 2]
        files[place(number, layout).replace(SHOP, account_of(records))] = records
    return files, sorted({account_of(records) for records in data.values()})


def check_server(server, *options):
    files, accounts = bundled_data()
    wanted = [record for records in files.values() for record in records]
    client = put(server, files)
    client.put_object(Bucket=BUCKET, Key="AWSLogs/1/CloudTrail-Digest/d.json.gz", Body=b"digest")
    client.put_object(Bucket=BUCKET, Key="AWSLogs/1/", Body=b"")
    client.put_object(Bucket=BUCKET, Key="AWSLogs/1/ConfigWritabilityCheckFile", Body=b"x")
    with make_organization(accounts) as organization:
        bundle = enroll(organization)
        parts = [number for number, key in enumerate(files) if key.startswith("old/")]
        report, _ = run(organization, f"s3://{BUCKET}/old/logs/", bundle, *options)
        assert report["all_in"] and report["files"] == report["files_read"] == len(parts), report
        report, _ = run(organization, f"s3://{BUCKET}", bundle, "--store", organization.store, *options)
        assert report["all_in"] and report["files"] == report["files_read"] == len(files), report
        assert report["folder"] == f"s3://{BUCKET}" and report["compared"] == len(wanted), report
        found = [line for line in organization.export() if b'"orgtrail.local"' not in line]
        expect_same("export", found, wanted)
        report, _ = run(organization, f"s3://{BUCKET}", bundle, *options)
        assert report["all_in"] and report["files_read"] == report["sent"] == 0, report
        # Another object under the same key is another file.
        changed = next(iter(files))
        client.put_object(Bucket=BUCKET, Key=changed, Body=flow.pack_records(files[changed][1:]))
        report, _ = run(organization, f"s3://{BUCKET}", bundle, *options)
        assert report["files_read"] == 1 and report["duplicates"] == len(files[changed]) - 1, report
        # A later run takes what is new, wherever it stands in the order of keys.
        put(server, {place(99): make_range(1, 3)})
        report, _ = run(organization, f"s3://{BUCKET}", bundle, *options)
        assert report["files_read"] == 1 and report["acknowledged"] == 3, report


def test_moto():
    with servers.Moto(bucket=BUCKET) as server:
        use(server)
        check_server(server)
        with make_organization() as organization:
            bundle = enroll(organization)
            for arguments, words in (
                ((f"s3://{BUCKET}/none",), "has no CloudTrail files in it"),
                (("s3://no-such-bucket",), "NoSuchBucket: make the bucket, or correct its name"),
                (("s3:///x",), "write it like s3://BUCKET"),
                ((f"s3://{BUCKET}", "--endpoint", "http://127.0.0.1:9"), "connect to 127.0.0.1"),
                ((f"s3://{BUCKET}", "--profile", "none", "--credentials", server.credentials), "no profile [none]"),
            ):
                said = organization.run("import", *arguments, "--bundle", bundle, code=2).stderr
                assert words in said, (arguments, said)
            use(server, AWS_SECRET_ACCESS_KEY="x")
            said = organization.run("import", f"s3://{BUCKET}", "--bundle", bundle, code=2).stderr
            assert "SignatureDoesNotMatch: the secret is not" in said, said


def test_s3rver():
    with servers.S3rver(bucket=BUCKET) as server:
        use(server)
        check_server(server, "--ca", server.ca)


def test_minio():
    servers.MinIO.need()
    with servers.MinIO(bucket=BUCKET) as server:
        use(server)
        check_server(server)


def test_killed_in_the_middle_of_a_failing_store():
    """One request in ten fails; kills and stops in between; the collector comes late."""
    files = {place(number): make_range(200 * number, 200 * number + 199) for number in range(150)}
    with failing.Store(buckets=(BUCKET,)) as store, make_organization() as organization:
        fill(store, files)
        store.page = 40
        chance = random.Random(3)
        failures = ["slow", "unavailable", "internal", "cut_request", "cut_answer", "html", "late"]
        store.take_failure = lambda _: chance.choice(failures) if chance.random() < 0.1 else None
        use(store, AWS_REGION=failing.REGION)
        bundle = enroll(organization)
        organization.collector.stop()
        kills = 0
        for round_ in range(6):
            process = start(organization, f"s3://{BUCKET}", bundle)
            time.sleep(0.3 + 0.3 * round_)
            kills += process.poll() is None
            process.terminate() if round_ % 2 else process.kill()
            process.communicate()
            if round_ == 1:
                organization.start_collector()
        assert kills >= 2, kills
        report, _ = run(organization, f"s3://{BUCKET}", bundle, "--store", organization.store)
        assert report["all_in"] and report["compared"] == 30000, report
        assert any(seen.status != 200 for seen in store.seen)
        expect_same("export", imported(organization, SHOP), [record for records in files.values() for record in records])


def test_large_objects_come_in_pieces():
    """An object of more than a piece, stored and not deflated; and names that a folder would put in another order."""
    text = b'{"Records":[' + b",".join(make_range(0, 9000)) + b"]}"
    assert len(text) > 4 * 1024 * 1024, len(text)
    with failing.Store(buckets=(BUCKET,)) as store, make_organization() as organization:
        store.buckets[BUCKET]["AWSLogs/plain.json"] = failing.Stored(text, {}, "etag", None)
        fill(store, {f"{folder}/{name}.json.gz": make_range(10000 + 10 * number, 10000 + 10 * number + 9)
                     for number, (folder, name) in enumerate([("a", "x"), ("a-b", "x"), ("a-b/c", "x"), ("a!", "x y+z"),
                                                              ("a0", "ü"), ("a/b", "%2F")])})
        store.buckets[BUCKET]["a//empty.json.gz"] = failing.Stored(b"x", {}, "etag", None)
        store.buckets[BUCKET]["a/" + "n" * 300 + ".json.gz"] = failing.Stored(b"x", {}, "etag", None)
        use(store, AWS_REGION=failing.REGION)
        report, _ = run(organization, f"s3://{BUCKET}", enroll(organization), code=1)
        assert report["files_read"] == 7 and report["acknowledged"] == 9001 + 60, report
        # What cannot be a file's name is said.
        assert report["unread"] >= 2 and not report["all_in"], report


cases.run("import_s3", globals(), os.environ.get("ONLY"))
