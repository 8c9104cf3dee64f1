#!/usr/bin/env python3
"""The stock verifier, `aws cloudtrail validate-logs`, on trails that a collector delivers to a folder and
serves itself, or to moto and s3rver: what it accepts, and what it says of each tampering."""

import concurrent.futures
import datetime
import gzip
import json
import os
import re
import shutil
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.deliver import delivery  # noqa: E402
from tests.deliver.delivery import BUCKET, Delivering, flow, now, summary  # noqa: E402
from tests.deliver.s3_delivery import DeliveringToS3  # noqa: E402
from tests.api import service as api  # noqa: E402
from tests.s3 import servers  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

SHOP = "123456789123"


def events_of(*accounts):
    return [event for event in api.load_events() if event.account in accounts]


def check_valid(printed, digests=1, backfill=0):
    found = summary(printed)
    for kind, least in (("digest", digests), ("backfill digest", backfill)):
        valid, of = found.get(kind, (0, 0))
        assert valid == of >= least, f"{kind}: {printed}"
    valid, of = found.get("log", (0, 0))
    assert valid == of, printed
    return of


def test_every_file_of_an_organization_is_valid():
    events = api.load_events()
    accounts = sorted({event.account for event in events})
    with Delivering(events=[], accounts=accounts) as service:
        arn = service.make_trail(IsOrganizationTrail=True, S3KeyPrefix="audit/all")
        service.feed(events)
        service.wait_records(delivery.selected(events))
        service.end_logging(arn)
        # Byte for byte, each event once.
        service.check_records(delivery.selected(events))
        pairs = {(key.split("/")[4], key.split("/")[6]) for key in service.digests()}
        assert len(pairs) > 20, pairs
        answers = service.validate_each(arn, sorted(pairs))
        assert len(answers) == len(pairs), (len(answers), len(pairs))
        listed = sum(check_valid(printed) for printed in answers)
        # Each file is in one digest, and has the verifier's eye.
        assert listed == len(service.files()), (listed, len(service.files()))


def live_through_all(kind):
    """A trail's life, delivered to a server of tests/s3 or, without one, to a folder that the collector serves."""
    events = events_of(SHOP)
    third = len(events) // 3
    options = dict(events=[], accounts=[SHOP], digest_interval=3, more=", digest_key_lifetime_s: 8")
    with DeliveringToS3(scheme=kind.scheme, **options) if kind else Delivering(**options) as service:
        if kind:
            service.serve(kind)
        arn = service.make_trail(IsOrganizationTrail=True)
        service.feed(events[:third])
        service.wait_records(delivery.selected(events[:third]))
        service.wait_digest(arn)
        time.sleep(7)  # hours without events
        service.organization.collector.stop()
        service.organization.start_collector()
        service.feed(events[third:2 * third])
        service.wait_records(delivery.selected(events[:2 * third]))
        service.organization.collector.kill()
        time.sleep(16)  # more than two intervals and the time that is still in time
        service.organization.start_collector()
        service.feed(events[2 * third:])
        service.wait_records(delivery.selected(events))
        service.wait_digest(arn)
        service.end_logging(arn)
        service.check_records(delivery.selected(events))

        digests = [digest for key, digest in service.read_digests() if f"/{SHOP}/" in key]
        late = [digest for digest in digests if "_backfill" in digest["digestS3Object"]]
        timely = [digest for digest in digests if digest not in late]
        assert late and any(not digest["logFiles"] for digest in timely)
        assert len({digest["digestPublicKeyFingerprint"] for digest in digests}) > 1
        # One chain, but for the outage, which the late one covers.
        covered = {(digest["digestStartTime"], digest["digestEndTime"]) for digest in late}
        assert timely[0]["previousDigestSignature"] is None
        for before, digest in zip(timely, timely[1:]):
            assert digest["previousDigestS3Object"] == before["digestS3Object"]
            gap = (before["digestEndTime"], digest["digestStartTime"])
            assert gap[0] == gap[1] or gap in covered, (gap, covered)
        logs = check_valid(service.validate(arn, account=SHOP), digests=5, backfill=1)
        assert logs >= 3
        keys = service.call(
            "list_public_keys", StartTime=service.began - datetime.timedelta(hours=1), EndTime=now()
        )["PublicKeyList"]
        assert {key["Fingerprint"] for key in keys} == {
            digest["digestPublicKeyFingerprint"] for _, digest in service.read_digests()
        }


def test_empty_hours_a_restart_a_new_key_and_an_outage():
    """Over the collector's own S3 reads, moto with authentication on, and s3rver: at once, for most of it is waiting."""
    with concurrent.futures.ThreadPoolExecutor() as threads:
        lives = {kind: threads.submit(live_through_all, kind) for kind in (None, servers.Moto, servers.S3rver)}
    for kind, life in lives.items():
        if life.exception() is not None:
            raise AssertionError(f"over {kind.name if kind else 'own reads'}") from life.exception()


class Tampering:
    """A trail that has ended, to be spoilt and mended again."""

    def __init__(self):
        events = events_of(SHOP)
        self.service = Delivering(events=[], accounts=[SHOP], digest_interval=3)
        service = self.service
        self.arn = service.make_trail(IsOrganizationTrail=True)
        for part in (events[:30], events[30:60], events[60:90]):
            service.feed(part)
            service.wait_digest(self.arn)
            service.wait_digest(self.arn)
        service.end_logging(self.arn)
        self.top = os.path.join(service.buckets, BUCKET)
        shutil.copytree(self.top, self.top + ".kept")
        self.logs = [path for key, path in service.files().items() if f"/{SHOP}/" in key]
        self.digests = [path for key, path in service.digests().items() if f"/{SHOP}/" in key]
        assert len(self.logs) >= 2 and len(self.digests) >= 4, (self.logs, self.digests)

    def validate(self, code):
        return self.service.validate(self.arn, account=SHOP, code=code)

    def expect(self, spoil, *messages, code=1):
        """Spoils the bucket, hears what the verifier says, and mends it."""
        spoil()
        printed = self.validate(code)
        for message in messages:
            assert message in printed, f"{message!r} is not in:\n{printed}"
        shutil.rmtree(self.top)
        shutil.copytree(self.top + ".kept", self.top)
        return summary(printed)


def metadata_of(path):
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.metadata")


def edit(path, change):
    with gzip.open(path, "rb") as file:
        text = file.read()
    with open(path, "wb") as file:
        file.write(gzip.compress(change(text)))


def test_each_tampering_is_told():
    world = Tampering()
    with world.service:
        all_digests = len(world.digests)
        whole = summary(world.validate(0))
        assert whole["digest"] == (all_digests, all_digests) and whole["log"][0] == whole["log"][1]
        log, middle = world.logs[0], world.digests[all_digests // 2]
        with_files = next(
            path for path in world.digests if json.loads(gzip.open(path).read())["logFiles"]
        )

        found = world.expect(
            lambda: edit(log, lambda text: text.replace(b"eventVersion", b"eventversion", 1)),
            "INVALID: hash value doesn't match",
        )
        assert found["log"] == (whole["log"][0] - 1, whole["log"][1])
        world.expect(lambda: os.remove(log), "INVALID: not found")
        world.expect(
            lambda: open(log, "wb").write(b"no gzip at all"), "INVALID: invalid format"
        )
        # Compressed anew it is the same file: hashes are of the text.
        assert world.expect(lambda: edit(log, lambda text: text), code=0) == whole
        world.expect(
            lambda: edit(with_files, lambda text: text.replace(b'"hashValue":"', b'"hashValue":"0', 1)),
            "INVALID: signature verification failed",
        )
        world.expect(lambda: os.remove(middle), f"{os.path.basename(middle)}\tINVALID: not found")
        world.expect(
            lambda: open(middle, "wb").write(b"no gzip"), "INVALID: invalid format"
        )
        world.expect(
            lambda: os.remove(metadata_of(middle)), "INVALID: signature verification failed"
        )

        def copy_later():
            name = re.search(r"\d{8}T\d{6}Z", world.digests[-1]).group(0)
            moment = datetime.datetime.strptime(name, "%Y%m%dT%H%M%SZ") + datetime.timedelta(seconds=5)
            later = world.digests[-1].replace(name, moment.strftime("%Y%m%dT%H%M%SZ"))
            shutil.copy(middle, later)
            shutil.copy(metadata_of(middle), metadata_of(later))

        world.expect(copy_later, "INVALID: has been moved from its original location")
        world.expect(
            lambda: edit(middle, lambda text: text.replace(b'"digestEndTime"', b'"digestEndtime"')),
            "INVALID: invalid format",
        )

        def strange_key():
            edit(middle, lambda text: text.replace(
                json.loads(text)["digestPublicKeyFingerprint"].encode(), b"0" * 32
            ))

        world.expect(strange_key, "INVALID: public key not found in region us-east-1 for fingerprint")
        # What it does not see: that the newest one is missing.
        found = world.expect(lambda: os.remove(world.digests[-1]), code=0)
        assert found["digest"] == (all_digests - 1, all_digests - 1)


cases.run("validate", globals(), os.environ.get("ONLY"))
