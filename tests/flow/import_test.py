#!/usr/bin/env python3
"""orgtrail import: an archive comes into the trail, once, whatever stops it in between."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.fidelity_test import account_of, expect_same, load  # noqa: E402
from tests.flow.records import OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402


def make_organization(accounts=(SHOP,)):
    organization = flow.Organization(accounts=accounts, management=OWNER)
    organization.start_collector()
    return organization


def enroll(organization, *identity):
    """The folder of a bundle that reads nothing by itself."""
    identity = identity or ("--organization", "--agent", "import")
    made = organization.run(
        "enroll", organization.folder, "--collector", f"127.0.0.1:{organization.port}", *identity
    )
    return made.stdout.split("  ")[0]


def make_archive(organization, files, name="archive"):
    """A folder of these files, {path: records}."""
    archive = os.path.join(organization.base, name)
    for path, records in files.items():
        flow.write_file(os.path.join(archive, path), flow.pack_records(records))
    return archive


def run(organization, archive, bundle, *options, code=0):
    done = organization.run("import", archive, "--bundle", bundle, "--json", *options, code=code)
    return json.loads(done.stdout), done.stderr


def start(organization, archive, bundle):
    return subprocess.Popen(
        [organization.program, "import", archive, "--bundle", bundle],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def imported(organization, *accounts):
    return [line for account in accounts for line in organization.export("--account", account)]


def place(number, layout="AWSLogs/o-example123"):
    """A file's place in a bucket, in an organization trail's layout unless told otherwise."""
    day = f"2026/03/{number % 28 + 1:02}"
    return f"{layout}/{SHOP}/CloudTrail/eu-west-1/{day}/{SHOP}_CloudTrail_eu-west-1_{number}.json.gz"


def test_bundled_data_in_both_layouts():
    data = load()
    wanted = [record for records in data.values() for record in records]
    files = {}
    for number, records in enumerate(data.values()):
        layout = ("AWSLogs", "AWSLogs/o-example123")[number % 2]
        account = account_of(records)
        files[place(number, layout).replace(SHOP, account)] = records
    with make_organization(sorted({account_of(records) for records in data.values()})) as organization:
        archive, bundle = make_archive(organization, files), enroll(organization)
        # What AWS writes beside the files is no part of them.
        flow.write_file(os.path.join(archive, "AWSLogs/1/CloudTrail-Digest/d.json.gz"), b"digest")
        report, _ = run(organization, archive, bundle)
        assert report["all_in"] and report["complete"], report
        assert report["files"] == report["files_read"] == len(files), report
        assert report["records"] == report["acknowledged"] == len(wanted), report
        found = [line for line in organization.export() if b'"orgtrail.local"' not in line]
        expect_same("export", found, wanted)
        report, _ = run(organization, archive, bundle)
        assert report["all_in"] and report["files"] == len(files), report
        assert report["files_read"] == report["records"] == report["sent"] == 0, report
        # Without what was remembered all of it is sent again, and nothing is doubled.
        shutil.rmtree(os.path.join(bundle, "import"))
        report, _ = run(organization, archive, bundle)
        assert report["all_in"] and report["duplicates"] == len(wanted), report
        assert organization.status()["total"]["stored"] == len(wanted)


def test_killed_in_the_middle():
    files = {place(number): make_range(200 * number, 200 * number + 199) for number in range(150)}
    with make_organization() as organization:
        archive, bundle = make_archive(organization, files), enroll(organization)
        organization.collector.stop()
        # Everything read and nothing sent, then something of both.
        kills = 0
        for round_ in range(6):
            process = start(organization, archive, bundle)
            time.sleep(0.1 + 0.15 * round_)
            kills += process.poll() is None
            process.kill()
            process.communicate()
            if round_ == 1:
                organization.start_collector()
        assert kills >= 2, kills
        report, _ = run(organization, archive, bundle, "--store", organization.store)
        assert report["all_in"] and report["compared"] == 30000, report
        wanted = [record for records in files.values() for record in records]
        expect_same("export", imported(organization, SHOP), wanted)


def test_what_is_refused_is_told():
    files = {place(number): make_range(10 * number, 10 * number + 9) for number in range(5)}
    with make_organization() as organization:
        archive, bundle = make_archive(organization, files), enroll(organization)
        cut = flow.pack_records(make_range(500, 509))[:-30]
        flow.write_file(os.path.join(archive, place(7)), cut)
        flow.write_file(os.path.join(archive, place(8)), b"no gzip")
        nameless = flow.pack_records([make(900, without=["eventName"])])
        flow.write_file(os.path.join(archive, place(9)), nameless)
        report, said = run(organization, archive, bundle, code=1)
        assert not report["all_in"] and report["complete"], report
        assert report["notices"] == 2 and report["quarantined"] == 1, report
        reasons = sorted(refused["reason"] for refused in report["refused"])
        assert reasons == ["corrupt_file", "truncated_file"], report
        for refused in report["refused"]:
            assert refused["place"] in said and refused["detail"], said
        assert place(8) in said, said
        found = imported(organization, SHOP)
        wanted = [record for records in files.values() for record in records]
        assert set(wanted) <= set(found) and len(found) == len(set(found)), len(found)
        # Mended, it comes in.
        flow.write_file(os.path.join(archive, place(7)), flow.pack_records(make_range(500, 509)))
        flow.write_file(os.path.join(archive, place(8)), flow.pack_records(make_range(600, 609)))
        report, _ = run(organization, archive, bundle)
        assert report["all_in"] and report["files_read"] == 2, report
        expect_same(
            "mended", imported(organization, SHOP), wanted + make_range(500, 509) + make_range(600, 609)
        )


def test_what_the_trail_lacks():
    files = {place(1): make_range(1, 10), place(2): make_range(11, 15)}
    with make_organization() as organization, make_organization() as other:
        archive, bundle = make_archive(organization, files), enroll(organization)
        run(organization, archive, bundle)
        # As if the store had lost a file since.
        run(other, make_archive(other, {place(1): make_range(1, 10)}), enroll(other))
        config = ("--config", organization.config_path)
        report, _ = run(organization, archive, bundle, *config)
        assert report["compared"] == 15 and report["lacking"] == 0 and report["all_in"], report
        report, said = run(organization, archive, bundle, "--store", other.store, code=1)
        assert report["records"] == 0 and not report["all_in"], report
        assert report["compared"] == 15 and report["lacking"] == 5, report
        lacks = sorted(json.loads(record)["eventID"] for record in make_range(11, 15))
        assert sorted(lack["id"] for lack in report["lacks"]) == lacks, report
        assert {lack["file"] for lack in report["lacks"]} == {place(2)}, report
        assert f"the trail lacks: event {lacks[0]}" in said, said
        flat = make_archive(organization, {"flat.json.gz": make_range(1, 10)}, "flat")
        report, said = run(organization, flat, bundle, *config, code=2)
        assert report["duplicates"] == 10 and "CloudTrail's layout" in said, (report, said)


def test_stopped_in_order():
    with make_organization() as organization:
        archive = make_archive(organization, {place(1): make_range(1, 10)})
        bundle = enroll(organization)
        organization.collector.stop()
        process = start(organization, archive, bundle)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
        assert process.returncode == 2, (process.returncode, out, error)
        assert "the same command goes on" in error and "10 wait" in out, (out, error)
        done = organization.run(
            "import", archive, "--bundle", bundle, "--timeout", "2", code=2
        )
        assert "10 events wait in the spool" in done.stderr, done.stderr
        assert f"127.0.0.1:{organization.port}" in done.stderr, done.stderr
        organization.start_collector()
        done = organization.run("import", archive, "--bundle", bundle)
        assert "10 acknowledged, 0 wait" in done.stdout and "All in" in done.stdout, done.stdout
        expect_same("export", imported(organization, SHOP), make_range(1, 10))


def test_wrong_use():
    with make_organization() as organization:
        archive = make_archive(organization, {place(1): make_range(1, 10)})
        bundle, account = enroll(organization), enroll(organization, "--account", SHOP)
        empty = os.path.join(organization.base, "empty")
        os.makedirs(empty)
        file = os.path.join(archive, place(1))
        for folder, given, words in (
            (archive + "-no", bundle, "no such folder"),
            (file, bundle, "is a file"),
            (empty, bundle, "no CloudTrail files"),
            ("s3:///AWSLogs", bundle, "write it like s3://BUCKET"),
            (archive, account, "its own account's events only"),
            (archive, empty, "agent.yaml"),
        ):
            done = organization.run("import", folder, "--bundle", given, code=2)
            assert words in done.stderr, (words, done.stderr)
        done = organization.run("import", archive, code=2)
        assert "--bundle=DIR is missing" in done.stderr, done.stderr
        assert organization.status()["total"]["received"] == 0


if __name__ == "__main__":
    cases.run("import_test", globals())
