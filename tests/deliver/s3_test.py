#!/usr/bin/env python3
"""Trails delivered to S3: the stock verifier reads what they wrote from moto with authentication on, s3rver, and MinIO where it is;
a store that fails in every way gets each record exactly once; what is wrong is told, and goes on by itself."""

import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

from botocore.exceptions import ClientError  # noqa: E402

from tests.deliver.delivery import BUCKET, count, flow, summary  # noqa: E402
from tests.deliver.s3_delivery import DeliveringToS3  # noqa: E402
from tests.s3 import failing, servers  # noqa: E402

EVENTS = api.load_events()
ACCOUNTS = sorted({event.account for event in EVENTS})
SELECTED = [event.text for event in EVENTS if event.category == "Management"]
PLACES = 8  # accounts and regions whose chains the stock verifier reads: a process of seconds each
# What one call may meet at any time, and what ends an attempt at all files.
FAILURES = ["slow", "unavailable", "internal", "damaged", "html", "garbage", "cut_request", "cut_answer", "late"]
HARD = [("PUT", failure) for failure in ("denied", "lie", "shorten", "alter", "region")] + [("HEAD", "denied")]


def feed(service, events):
    agent = service.organization.enroll("--organization")
    agent.deliver([event.text for event in events])
    service.organization.wait_received(len(events))


def delivered(service):
    return [record for record, _ in service.records() if b"orgtrail.local" not in record]


def wait_delivered(service, seconds=120):
    flow.wait_until("the records", lambda: len(delivered(service)) >= len(SELECTED), seconds, 0.5)
    assert count(delivered(service)) == count(SELECTED), (len(delivered(service)), len(SELECTED))


def stop(service):
    """Ends logging and waits for the last digest."""
    service.call("stop_logging", Name=service.arn)

    def is_over():
        listed = service.organization.run(
            "follower", "list", "--config", service.organization.config_path
        ).stdout
        return not any("deliver-" in line for line in listed.splitlines())

    flow.wait_until("the last digest", is_over, 60, 0.2)


def check_chains(service):
    """The stock verifier accepts the chains, and each file of theirs is named once. validate_test.py looks at all."""
    listed = 0
    chosen = set(sorted(places(service.files()))[:PLACES]) | set(sorted(places(service.digests()))[:1])
    for account, region in sorted(chosen):
        found = summary(service.validate(service.arn, account=account, region=region))
        # After an outage there are backfill digests too.
        for valid, of in found.values():
            assert valid == of, (account, region, found)
        assert sum(found.get(kind, (0, 0))[1] for kind in ("digest", "backfill digest")) > 0
        listed += found.get("log", (0, 0))[1]
    files = [key for key in service.files() if places([key]) & chosen]
    assert listed == len(files) > 0, (listed, len(files))


def places(keys):
    """Accounts and regions, without those of other partitions: moto keeps a world apart for each, and knows no key there."""
    found = {(key.split("/")[2], key.split("/")[4]) for key in keys}
    return {place for place in found if not place[1].startswith(("cn-", "us-gov-", "us-iso"))}


def check_server(kind, **options):
    with DeliveringToS3(events=[], accounts=ACCOUNTS, scheme=kind.scheme, **options) as service:
        service.serve(kind)
        service.arn = service.make_trail(IsOrganizationTrail=True)
        feed(service, EVENTS)
        wait_delivered(service)
        service.wait_digest(service.arn)
        stop(service)
        check_chains(service)
        client = service.server.boto3()
        key = next(iter(service.digests()))
        head = client.head_object(Bucket=BUCKET, Key=key)
        assert len(head["Metadata"]["signature"]) == 512
        assert head["Metadata"]["signature-algorithm"] == "SHA256withRSA"
        assert head["ContentType"] == "application/json"
        if options:
            assert head["ServerSideEncryption"] == "AES256", head
        # What the verifier is there for.
        key = next(key for key in service.files() if places([key]))
        client.put_object(Bucket=BUCKET, Key=key, Body=b"x")
        account, region = key.split("/")[2], key.split("/")[4]
        printed = service.validate(service.arn, account=account, region=region, code=1)
        assert "log files INVALID" in printed, printed


def test_moto():
    check_server(servers.Moto, more_s3=", encryption: s3, acl: bucket-owner-full-control")


def test_s3rver():
    check_server(servers.S3rver)


def test_minio():
    servers.MinIO.need()
    check_server(servers.MinIO)


def run_failing(seed, **options):
    """A tenth of the requests fails while all is delivered, some lie, and the collector is killed now and then."""
    chance = random.Random(seed)
    with DeliveringToS3(region=failing.REGION, events=[], accounts=ACCOUNTS) as service:
        store = failing.Store(buckets=(BUCKET,), key=service.key, port=service.port, **options)
        service.objects = lambda bucket: (
            list(store.buckets[bucket]), lambda key: store.buckets[bucket][key].bytes)
        try:
            service.arn = service.make_trail(IsOrganizationTrail=True)
            share = 0.1
            plain = store.take_failure
            store.take_failure = lambda method: plain(method) or (
                chance.choice(FAILURES) if chance.random() < share else None)
            feed(service, EVENTS)
            for hard in chance.sample(HARD, len(HARD)):
                time.sleep(chance.uniform(0.2, 1))
                store.plan.append(hard)
                if chance.random() < 0.5:
                    service.organization.collector.kill()
                    service.organization.start_collector()
            try:
                flow.wait_until(lambda: f"all records, {service.error_of(service.arn)}", lambda: has_all(service, store), 200, 1)
            finally:
                print(f"{len(store.seen)} requests, {sum(seen.status != 200 for seen in store.seen)} failed", flush=True)
            # What was to fail yet, and a file that was cut last: it is written again, and the copy of it made anew.
            share = 0
            store.plan.clear()
            flow.wait_until("whole files", lambda: has_all(service, store), 120, 1)
            wait_delivered(service)
        finally:
            store.close()


def has_all(service, store):
    shutil.rmtree(os.path.join(service.mirror, BUCKET), ignore_errors=True)
    try:
        return len(delivered(service)) >= len(SELECTED)
    except Exception:  # a file that the store has cut
        return False


def test_failing_store():
    run_failing(1)


def test_failing_store_without_checksums():
    run_failing(2, has_checksums=False, has_first=False)


def die_at(service, store, number, failure):
    """The collector is killed when its next requests have come to this number: before that one is done, or after."""
    plain, seen, lock = store.take_failure, [0], threading.Lock()

    def take(method):
        with lock:
            seen[0] += 1
            if seen[0] != number:
                return plain(method) if seen[0] < number else "cut_request"
            # What it does when this answer does not come, it does dead.
            os.kill(service.organization.collector.process.pid, signal.SIGKILL)
        return failure

    store.take_failure = take
    try:
        flow.wait_until(f"request {number}", lambda: seen[0] >= number, 60, 0.05)
        service.organization.collector.kill()
    finally:
        store.take_failure = plain
    service.organization.start_collector()


def test_killed_at_the_nth_request():
    """At each of the first requests of a delivery to S3, which is then begun anew: each record once, every chain whole."""
    steps = range(1, 13 if os.environ.get("ORGTRAIL_LONG") else 5)
    deaths = [(number, failure) for number in steps for failure in ("cut_request", "late")]
    with DeliveringToS3(region=failing.REGION, events=[], accounts=ACCOUNTS) as service:
        store = failing.Store(buckets=(BUCKET,), key=service.key, port=service.port)
        service.objects = lambda bucket: (
            list(store.buckets[bucket]), lambda key: store.buckets[bucket][key].bytes)
        try:
            service.arn = service.make_trail(IsOrganizationTrail=True)
            size = len(EVENTS) // len(deaths) + 1
            for index, (number, failure) in enumerate(deaths):
                service.feed(EVENTS[index * size:(index + 1) * size])
                die_at(service, store, number, failure)
            # What is there may be a file of the round that was under way: asked for when all are.
            flow.wait_until("all records", lambda: has_all(service, store), 120, 0.5)
            wait_delivered(service)
            service.wait_digest(service.arn)
            stop(service)
            report = service.verify(
                "--store", service.organization.store, "--endpoint", store.endpoint, "--bucket-region",
                failing.REGION, place=f"s3://{BUCKET}")
            assert report["whole"] and report["recordsCompared"] == len(service.records()), report
            named = [file["s3Object"] for _, digest in service.read_digests() for file in digest["logFiles"]]
            assert sorted(named) == list(service.files()), (len(named), len(service.files()))
        finally:
            store.close()


def failing_put(store, allowed):
    """So many objects are put, then none."""
    plain, left, lock = store.take_failure, [allowed], threading.Lock()

    def take(method):
        with lock:
            left[0] -= method == "PUT"
            return "unavailable" if method == "PUT" and left[0] < 0 else plain(method)

    return take


def change_between_retries(service, store):
    """Somebody changes a file of a round whose other files wait for the store."""
    objects = store.buckets[BUCKET]

    def put_one_more():
        """A file is put, and the next one is not."""
        before = set(objects)
        store.__dict__.pop("take_failure", None)
        store.take_failure = failing_put(store, 1)
        flow.wait_until("one more file", lambda: len(set(objects) - before) == 1, 60, 0.05)
        key, = set(objects) - before
        return key

    # No digest comes before a round.
    service.call("update_trail", Name=service.arn, EnableLogFileValidation=False)
    flow.wait_until("a delivery", service.files, 60, 0.2)
    time.sleep(3)
    log_before = len(service.organization.collector.log())
    store.take_failure = failing_put(store, 0)
    service.make_due(service.arn)
    service.wait_told(service.arn, "ServiceUnavailable: ", log_before)
    # Behind a round of one file comes one with files of many accounts.
    feed(service, EVENTS)
    put_one_more()
    key = put_one_more()
    written = objects[key]
    objects[key] = failing.Stored(b"changed by somebody", written.headers, "etag", None)
    del store.take_failure
    service.wait_told(
        service.arn, f"ChangedObject: somebody else writes there, see who may: s3://{BUCKET}/{key}", log_before)
    flow.wait_until("a good delivery", lambda: service.error_of(service.arn) == "", 90, 0.3)
    assert objects[key].bytes == written.bytes
    service.call("update_trail", Name=service.arn, EnableLogFileValidation=True)


def test_what_is_wrong_is_told():
    """Each cause stands in GetTrailStatus and in the log with what to do, and delivery goes on when it is gone."""
    with DeliveringToS3(region=failing.REGION, events=[], accounts=ACCOUNTS, scheme="https") as service:
        folders = [tempfile.mkdtemp(dir=service.organization.base) for _ in range(2)]
        for folder in folders:
            servers.make_certificates(folder)

        def start(folder):
            return failing.Store(buckets=(BUCKET,), key=service.key, port=service.port,
                                 tls=[os.path.join(folder, name) for name in ("server.pem", "server.key")])

        def trust(folder):
            service.trust(os.path.join(folder, "ca.pem"))

        store = start(folders[0])
        trust(folders[0])
        service.objects = lambda bucket: (
            list(store.buckets[bucket]), lambda key: store.buckets[bucket][key].bytes)

        def suffer(begin, end, words):
            service.suffer(service.arn, begin, end, words)

        def fail(failure):
            store.always = failure

        try:
            try:
                service.make_trail(S3BucketName="no-such-bucket")
                raise AssertionError("a trail without its bucket was made")
            except ClientError as error:
                assert error.response["Error"]["Code"] == "S3BucketDoesNotExistException", error
            service.arn = service.make_trail(IsOrganizationTrail=True)
            change_between_retries(service, store)
            for failure, words in (
                ("denied", "AccessDenied: allow it to this access key"),
                ("slow", "SlowDown: the store is busy: it is tried again"),
                ("region", "the bucket is in us-west-2: set that region"),
                ("full", "XMinioStorageFull: the store has no room: make room"),
                ("lie", "ChangedObject: somebody else writes there, see who may: "),
                ("cut_request", "Unreachable: 127.0.0.1"),
            ):
                suffer(lambda: fail(failure), lambda: fail(None), words)
            id_, secret = service.key
            for key, words in (
                ((id_, "another"), "SignatureDoesNotMatch: the secret is not the access key's"),
                (("AKIANOBODY0000000000", secret), "InvalidAccessKeyId: the store does not know the access key"),
            ):
                suffer(lambda: service.write_credentials(*key), lambda: service.write_credentials(id_, secret), words)
            kept = store.buckets[BUCKET]
            suffer(lambda: store.buckets.pop(BUCKET), lambda: store.buckets.update({BUCKET: kept}),
                   "NoSuchBucket: make the bucket, or correct its name")
            # Its certificate is another CA's from now on; connections that stand end.
            old = store
            old.close()
            old.always = "cut_request"
            store = start(folders[1])
            store.buckets = old.buckets
            suffer(lambda: None, lambda: trust(folders[1]), "TLS does not trust 127.0.0.1")
            wait_delivered(service)
        finally:
            store.close()


if __name__ == "__main__":
    cases.run("s3", globals(), os.environ.get("ONLY"))
