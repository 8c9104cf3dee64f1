#!/usr/bin/env python3
"""orgtrail verify on what a collector delivers, with the collector's store at hand and without."""

import gzip
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.deliver.delivery import BUCKET, Delivering, flow, selected  # noqa: E402
from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()


def verify(service, *options, store=True, place=None):
    """(exit code, report) of --json."""
    against = ["--store", service.organization.store] if store else []
    run = subprocess.run(
        [flow.find_program("cli", "orgtrail"), "verify", place or service.buckets, "--json", *against, *options],
        capture_output=True, text=True, timeout=120, check=False, env=service.environment(),
    )
    assert run.stdout, (run.returncode, run.stderr)
    return run.returncode, json.loads(run.stdout)


def expect_whole(service, *options, store=True, notes=(), place=None):
    code, report = verify(service, *options, store=store, place=place)
    assert code == 0 and set(report["found"]) <= set(notes), (code, report["found"], report["findings"][:5])
    return report


def write_keys(service):
    """The answer of ListPublicKeys, as the CLI prints it."""
    path = os.path.join(service.organization.base, "keys.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(service.aws("cloudtrail", "list-public-keys"))
    return path


def feed(service):
    events = api.load_events()
    agent = service.organization.enroll("--organization")
    agent.deliver([event.text for event in events])
    service.organization.wait_received(len(events))
    # A digest that is waited for behind this has them: each account and region has a chain.
    service.wait_records(selected(events), seconds=90)


def accounts():
    return sorted({event.account for event in api.load_events()})


def test_what_is_delivered_is_whole():
    with Delivering(events=[], accounts=accounts()) as service:
        arn = service.make_trail(IsOrganizationTrail=True)
        feed(service)
        service.wait_digest(arn)
        # While digests are written: what the store knows is there.
        for _ in range(8):
            expect_whole(service)
        service.wait_digest(arn)
        service.call("stop_logging", Name=arn)
        flow.wait_until(
            "the last digest",
            lambda: "deliver-" not in service.organization.run(
                "follower", "list", "--config", service.organization.config_path).stdout, 30, 0.2,
        )
        counts = expect_whole(service)["counts"]
        assert counts["logFiles"] == len(service.files()), (counts, len(service.files()))
        digests = counts["digests"] + counts["backfillDigests"]
        assert digests == len(service.digests()), (counts, len(service.digests()))
        # With the collector's own answer about its keys in place of its store.
        keys = write_keys(service)
        assert expect_whole(service, "--keys", keys, store=False)["counts"] == counts
        # Over the collector's own S3 reads, as on any other machine; the environment says where, and with which key.
        bucket = f"s3://{BUCKET}"
        assert expect_whole(service, "--keys", keys, store=False, place=bucket)["counts"] == counts
        over_s3 = expect_whole(service, place=bucket)
        assert over_s3["counts"] == counts and over_s3["recordsCompared"] == len(service.records()), over_s3
        os.remove(next(iter(service.files().values())))
        code, found = verify(service, "--keys", keys, store=False, place=bucket)
        assert code == 1 and found["found"] == {"log-missing": 1}, found["found"]


def read_all(file):
    """What is there."""
    text = b""
    try:
        while part := os.read(file, 4096):
            text += part
    except BlockingIOError:
        pass
    return text


def run_slowly(service, *arguments, has_terminal):
    """What a command says to standard error, while of each eighth of a second it has a hundredth: what is soon done
    takes long enough for a bar."""
    own, others = pty.openpty() if has_terminal else os.pipe()
    os.set_blocking(own, False)
    process = subprocess.Popen(
        [service.organization.program, *arguments], stdout=subprocess.DEVNULL, stderr=others,
        env=service.environment())
    said = b""
    until = time.monotonic() + 120
    try:
        while process.poll() is None and time.monotonic() < until:
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.12)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
            said += read_all(own)
        said += read_all(own)
    finally:
        os.close(own)
        os.close(others)
        process.kill()
        process.wait()
    assert process.returncode == 0, (arguments, process.returncode, said)
    return said.decode()


def test_bars_on_a_terminal():
    """They show a share and a rate, and are gone at the end; without a terminal there is none."""
    with Delivering(events=[], accounts=accounts()) as service:
        arn = service.make_trail(IsOrganizationTrail=True)
        feed(service)
        service.wait_digest(arn)
        service.call("stop_logging", Name=arn)
        organization = service.organization
        flow.wait_until("the last digest", lambda: not service.follower_names(), 30, 0.2)
        bundle = organization.run("enroll", organization.folder, "--collector", f"127.0.0.1:{organization.port}",
                                  "--organization", "--agent", "import").stdout.split("  ")[0]
        # The collector's own events, of the management account, come in by no agent.
        archive = os.path.join(organization.base, "archive")
        for key, path in service.files().items():
            if f"/{flow.MANAGEMENT}/" not in key:
                copy = os.path.join(archive, key)
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copy(path, copy)
        for has_terminal in (True, False):
            out = os.path.join(organization.base, f"out{has_terminal}")
            spool = os.path.join(organization.base, f"spool{has_terminal}")
            for what, unit, *arguments in (
                ("exporting", "events", "export", out, organization.store, "--organization", organization.name),
                ("verifying", "files", "verify", service.buckets, "--store", organization.store),
                ("importing", "bytes", "import", archive, "--bundle", bundle, "--spool", spool),
            ):
                said = run_slowly(service, *arguments, has_terminal=has_terminal)
                bars = re.findall(rf"\r\x1b\[K{what} (#*)(\.*) (\d+) {unit}, (\d+)/s", said)
                assert ("\x1b" in said) == bool(bars) == has_terminal, (what, has_terminal, said)
                if has_terminal:
                    # The first may come before it is known of how much.
                    assert {len(done) + len(rest) for done, rest, _, _ in bars} - {0} == {30}, (what, bars)
                    assert bars[-1][0] and int(bars[-1][3]) > 0, (what, bars)
                    assert said.endswith("\r\x1b[K"), (what, said[-100:])


def test_events_are_compared_with_the_store():
    with Delivering(events=[], accounts=accounts()) as service:
        arn = service.make_trail(IsOrganizationTrail=True)
        feed(service)
        service.wait_digest(arn)
        service.wait_digest(arn)
        keys = write_keys(service)
        service.organization.collector.stop()
        report = expect_whole(service)
        assert report["recordsCompared"] == len(service.records()) > 1000, report["recordsCompared"]
        # A file that is gone: each event in it is named.
        path = max(service.files().values(), key=os.path.getsize)
        with gzip.open(path) as file:
            records = json.load(file)["Records"]
        with open(path, "rb") as file:
            packed = file.read()
        os.remove(path)
        code, found = verify(service)
        assert code == 1 and found["found"] == {"log-missing": 1, "record-missing": len(records)}, found["found"]
        told = {finding["detail"].split(",")[0].split()[1] for finding in found["findings"]
                if finding["kind"] == "record-missing"}
        assert told <= {record["eventID"] for record in records} and len(told) == min(len(records), 1000)
        with open(path, "wb") as file:
            file.write(packed)
        # What the trail does not select nobody misses.
        expect_whole(service)
        # A record that the store never had.
        records[0]["eventID"] = "00000000-0000-0000-0000-000000000000"
        with gzip.open(path, "wb") as file:
            file.write(json.dumps({"Records": records}).encode())
        code, found = verify(service, "--keys", keys)
        assert code == 1, found
        assert found["found"] == {"log-changed": 1, "record-unknown": 1, "record-missing": 1}, found["found"]


def test_restarts():
    with Delivering(events=[], accounts=accounts()) as service:
        arn = service.make_trail(IsOrganizationTrail=True)
        feed(service)
        service.wait_digest(arn)
        service.call("stop_logging", Name=arn)
        service.call("start_logging", Name=arn)
        service.wait_digest(arn)
        service.organization.collector.stop()
        service.organization.start_collector()
        service.wait_digest(arn)
        service.wait_digest(arn)
        expect_whole(service, notes=("restarted",))


def test_older_copy_is_found_by_the_store():
    with Delivering(events=[], accounts=accounts()) as service:
        arn = service.make_trail(IsOrganizationTrail=True)
        feed(service)
        service.wait_digest(arn)
        keys = write_keys(service)
        service.organization.collector.stop()
        earlier = set(service.digests()) | set(service.files())
        report = expect_whole(service)
        path = os.path.join(service.organization.base, "report.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(report, file)
        service.organization.start_collector()
        service.wait_digest(arn)
        service.organization.collector.stop()
        expect_whole(service, "--since-report", path)
        for key, file in (service.digests() | service.files()).items():
            if key not in earlier:
                os.remove(file)
        code, found = verify(service)
        # Events of the time that is gone are missing too; files that waited for their digest wait in vain.
        assert code == 1 and set(found["found"]) - {"record-missing", "unproven"} == {"rolled-back"}, found["found"]
        assert found["found"]["rolled-back"] == found["counts"]["chains"], found
        # The files alone are whole.
        expect_whole(service, "--keys", keys, "--since-report", path, store=False)
        # And those of before, less one chain's newest, are not what the report knows.
        last = report["chains"][0]["last"]["object"]
        os.remove(service.digests()[last])
        code, found = verify(service, "--keys", keys, "--since-report", path, store=False)
        assert code != 0 and found["counts"]["faults"] >= 1, found


cases.run("verify_delivered", globals(), os.environ.get("ONLY"))
