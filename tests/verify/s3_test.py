#!/usr/bin/env python3
"""orgtrail verify over buckets of S3: a store that compares signatures has every damage that verify_test.py makes, and
gives the same reports; moto with authentication on, s3rver over TLS, MinIO where it is, and a store that fails now and then have
a whole one, and some damage."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.kit import cases  # noqa: E402
from tests.s3 import failing, servers  # noqa: E402

servers.enter_clients()

from tests.verify import verify_test as damage  # noqa: E402

BUCKET = "trail-bucket"
# What is about folders, or about what is read beside them; and what is signed otherwise, wherever it lies (each of those
# makes keys and trails for some seconds).
NOT_HERE = {"test_folders", "test_refused", "test_text", "test_keys_as_pem_and_der",
            "test_restart_is_told", "test_two_trails_in_one_bucket", "test_signed_with_other_keys",
            "test_flaws_of_whoever_signs", "test_all_made_anew", "test_begins_in_the_middle"}
STORE = failing.Store(buckets=(BUCKET,))


def objects_of(delivered):
    """{key: (bytes, metadata)} of its bucket's folder."""
    found = {}
    for folder, _, names in os.walk(delivered.bucket):
        for name in names:
            path = os.path.join(folder, name)
            if name.startswith("."):
                continue
            metadata = {}
            if os.path.exists(damage.metadata_of(path)):
                with open(damage.metadata_of(path), encoding="utf-8") as file:
                    metadata = json.load(file)
            with open(path, "rb") as file:
                found[os.path.relpath(path, delivered.bucket)] = file.read(), metadata
    return found


def put(server, delivered):
    client = server.boto3()
    for key, (data, metadata) in objects_of(delivered).items():
        client.put_object(Bucket=BUCKET, Key=key, Body=data, Metadata=metadata)
    return client


def fill(store, delivered):
    store.buckets[BUCKET] = {
        key: failing.Stored(data, {f"x-amz-meta-{name}": value for name, value in metadata.items()}, "etag", None)
        for key, (data, metadata) in objects_of(delivered).items()
    }


def key_of(server):
    return {"AWS_ACCESS_KEY_ID": server.key_id, "AWS_SECRET_ACCESS_KEY": server.secret}


AT_STORE = (f"s3://{BUCKET}", "--endpoint", STORE.endpoint, "--bucket-region", failing.REGION)


def run(*arguments, key=None, **environment):
    """(exit code, report or what was said)."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [damage.PROGRAM, "verify", "--json", "--keys", damage.WHOLE.keys, "--to", damage.moment(damage.UNTIL),
         *arguments], capture_output=True, text=True, timeout=120, check=False,
        env=clean | {"HOME": damage.WORK} | (key_of(STORE) if key is None else key) | environment,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def place(self):
    fill(STORE, self)
    return f"s3://{BUCKET}"


def over_s3(case):
    environment = key_of(STORE) | {"AWS_ENDPOINT_URL_S3": STORE.endpoint, "AWS_REGION": failing.REGION}

    def run_case():
        damage.Delivered.place = place
        os.environ.update(environment)
        try:
            case()
        finally:
            damage.Delivered.place = lambda self: self.buckets
            for name in environment:
                del os.environ[name]

    return run_case


globals().update({
    name: over_s3(case) for name, case in vars(damage).items() if name.startswith("test_") and name not in NOT_HERE
})


def expect_whole(*arguments, **environment):
    code, report = run(*arguments, **environment)
    assert code == 0 and report["counts"]["logFiles"] == len(damage.WHOLE.logs), report
    assert report["counts"]["digests"] == len(damage.WHOLE.digests), report["counts"]


def test_prefixes():
    prefixed = damage.make("prefixed", "--prefix", "deep/prefix", accounts=2, regions=2)
    fill(STORE, prefixed)
    keys = (*AT_STORE[1:], "--keys", prefixed.keys)
    for prefix in ("", "/", "/deep", "/deep/prefix/", "/deep/prefix/AWSLogs", "/deep/prefix/AWSLogs/o-example1234/"):
        code, report = run(f"s3://{BUCKET}{prefix}", *keys)
        assert code == 0 and report["counts"]["chains"] == 4, (prefix, report)
    account = sorted({key.split("/")[4] for key in STORE.buckets[BUCKET]})[0]
    code, report = run(f"s3://{BUCKET}/deep/prefix/AWSLogs/o-example1234/{account}", *keys)
    assert code == 0 and report["counts"]["chains"] == 2, report
    for prefix in ("/deep/pre", "/elsewhere"):
        code, report = run(f"s3://{BUCKET}{prefix}", *keys)
        assert code == 1 and list(report["found"]) == ["nothing-found"], report


def test_threads():
    fill(STORE, damage.WHOLE)
    for threads in ("1", "2", "256"):
        expect_whole(*AT_STORE, "--threads", threads)


def test_moto():
    with servers.Moto(bucket=BUCKET) as server:
        client = put(server, damage.WHOLE)
        key = key_of(server)
        at = (f"s3://{BUCKET}", "--endpoint", server.endpoint)
        expect_whole(*at, key=key)
        expect_whole(f"s3://{BUCKET}", key=key, AWS_ENDPOINT_URL=server.endpoint)
        expect_whole(*at, "--credentials", server.credentials, key={})
        expect_whole(*at, key={}, AWS_SHARED_CREDENTIALS_FILE=server.credentials)
        folder = os.path.join(damage.WORK, ".aws")
        os.makedirs(folder)
        shutil.copy(server.credentials, folder)
        expect_whole(*at, key={})
        for arguments, other, words in (
            (at, {"AWS_ACCESS_KEY_ID": "AKIANOBODY0000000000", "AWS_SECRET_ACCESS_KEY": "x"}, "InvalidAccessKeyId: "),
            (at, key | {"AWS_SECRET_ACCESS_KEY": "x"}, "SignatureDoesNotMatch: the secret is not"),
            (("s3://no-such-bucket", *at[1:]), key, "NoSuchBucket: make the bucket, or correct its name"),
            ((at[0], "--endpoint", "127.0.0.1:9"), key, "write it like https://"),
            ((at[0], "--endpoint", "http://127.0.0.1:9"), key, "127.0.0.1"),
            ((*at, "--bucket", "other"), key, "--bucket is for folders"),
            (("s3://", *at[1:]), key, "write it like s3://BUCKET"),
            ((*at, "--profile", "none"), {}, "no profile [none]"),
        ):
            code, said = run(*arguments, key=other)
            assert code == 2 and words in said, (arguments, said)
        shutil.rmtree(folder)
        code, said = run(*at, key={})
        assert code == 2 and "no access key: set AWS_ACCESS_KEY_ID" in said, said
        log, digest = (os.path.relpath(paths[0], damage.WHOLE.bucket)
                       for paths in (damage.WHOLE.logs, damage.WHOLE.chain(3)))
        client.put_object(Bucket=BUCKET, Key=log, Body=b"x")
        client.put_object(Bucket=BUCKET, Key=digest, Body=client.get_object(Bucket=BUCKET, Key=digest)["Body"].read())
        code, report = run(*at, key=key)
        assert code == 1 and set(report["found"]) == {"log-damaged", "digest-unsigned"}, report["found"]


def test_s3rver():
    with servers.S3rver(bucket=BUCKET) as server:
        put(server, damage.WHOLE)
        at = (f"s3://{BUCKET}", "--endpoint", server.endpoint, "--credentials", server.credentials)
        expect_whole(*at, "--ca", server.ca)
        expect_whole(*at, AWS_CA_BUNDLE=server.ca)
        code, said = run(*at)
        assert code == 2 and "TLS does not trust 127.0.0.1" in said, said


def test_minio():
    servers.MinIO.need()
    with servers.MinIO(bucket=BUCKET) as server:
        client = put(server, damage.WHOLE)
        key = key_of(server)
        at = (f"s3://{BUCKET}", "--endpoint", server.endpoint)
        expect_whole(*at, key=key)
        code, said = run("s3://no-such-bucket", *at[1:], key=key)
        assert code == 2 and "NoSuchBucket: make the bucket, or correct its name" in said, said
        code, said = run(*at, key=key | {"AWS_SECRET_ACCESS_KEY": "x"})
        assert code == 2 and "SignatureDoesNotMatch: the secret is not" in said, said
        client.put_object(Bucket=BUCKET, Key=os.path.relpath(damage.WHOLE.logs[0], damage.WHOLE.bucket), Body=b"x")
        code, report = run(*at, key=key)
        assert code == 1 and set(report["found"]) == {"log-damaged"}, report["found"]


def test_a_store_that_fails_now_and_then():
    """One request in four fails, and lists come in pages of five."""
    with failing.Store(buckets=(BUCKET,)) as store:
        fill(store, damage.WHOLE)
        at = (f"s3://{BUCKET}", "--endpoint", store.endpoint, "--bucket-region", failing.REGION)
        store.page = 5
        chance, failed = random.Random(5), []
        failures = ["slow", "unavailable", "internal", "cut_request", "cut_answer", "html", "late"]

        def take(_):
            if chance.random() > 0.25:
                return None
            failed.append(chance.choice(failures))
            return failed[-1]

        store.take_failure = take
        expect_whole(*at)
        assert set(failed) == set(failures) and len(failed) > 20, failed
        expect_whole(*at[:3], AWS_REGION=failing.REGION)
        store.take_failure = lambda _: None
        code, said = run(*at[:3])
        assert code == 2 and re.search(f"the bucket is in {failing.REGION}: set that region", said), said


def test_what_cannot_be_read_is_no_damage():
    fill(STORE, damage.WHOLE)
    log = os.path.relpath(damage.WHOLE.logs[0], damage.WHOLE.bucket)
    work = failing.Exchange.work

    def refuse(self, failure):
        if self.key == log:
            raise failing.Refusal(403, "AccessDenied")
        return work(self, failure)

    failing.Exchange.work = refuse
    try:
        code, report = run(*AT_STORE)
    finally:
        failing.Exchange.work = work
    assert code == 2 and report["found"] == {"unreadable": 1}, report
    assert "AccessDenied: allow it to this access key" in report["findings"][0]["detail"], report["findings"]
    del STORE.buckets[BUCKET][log]
    code, report = run(*AT_STORE)
    assert code == 1 and report["found"] == {"log-missing": 1}, report


try:
    cases.run("verify_s3", globals(), os.environ.get("ONLY"))
finally:
    STORE.close()
    shutil.rmtree(damage.WORK, ignore_errors=True)
