#!/usr/bin/env python3
"""Every bundled real record goes in through agents and comes out of export byte for byte, once."""

import collections
import csv
import filecmp
import glob
import gzip
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.kit import cases  # noqa: E402


def load(pattern="**/*.json.gz"):
    """{path below tests/data: records}, in order of name."""
    paths = sorted(glob.glob(os.path.join(flow.DATA, pattern), recursive=True))
    return {os.path.relpath(path, flow.DATA): flow.read_file(path) for path in paths}


def account_of(records):
    return next(account for r in records if (account := json.loads(r).get("recipientAccountId")))


def run(data, folder=None, is_reversed=False):
    """An organization that has taken all of it in; as few files as possible if reversed."""
    by_account = collections.defaultdict(dict)
    for path, records in data.items():
        by_account[account_of(records)][path] = records
    organization = flow.Organization(folder, sorted(by_account), management="999999999999")
    organization.start_collector()
    for account, files in by_account.items():
        agent = organization.enroll("--account", account, is_started=False)
        if is_reversed:
            agent.append([r for path in reversed(files) for r in reversed(files[path])])
        else:
            for path, records in files.items():
                agent.deliver(records, path)
        agent.start()
    organization.wait_received(sum(len(records) for records in data.values()), seconds=60)
    return organization


def read_trail(folder):
    """{path below the folder: records} of an exported trail in CloudTrail's layout."""
    found = {}
    for path in glob.glob(os.path.join(folder, "AWSLogs/**/*.json.gz"), recursive=True):
        found[os.path.relpath(path, folder)] = flow.read_file(path)
    return found


def expect_same(name, found, wanted):
    missing = collections.Counter(wanted) - collections.Counter(found)
    extra = collections.Counter(found) - collections.Counter(wanted)
    assert not missing and not extra, (
        f"{name}: {sum(missing.values())} missing, {sum(extra.values())} too many; first missing: "
        f"{next(iter(missing), None)!r}; first too many: {next(iter(extra), None)!r}"
    )


def test_records_come_out_as_they_came_in():
    data = load()
    wanted = [record for records in data.values() for record in records]
    assert len(wanted) == 4157
    with run(data) as organization:
        status = organization.status()
        assert status["total"]["stored"] == len(wanted), status["total"]
        assert organization.check() == len(wanted)

        out = os.path.join(organization.base, "trail")
        organization.run("export", out, organization.store, "--organization", organization.name)
        files = read_trail(out)
        expect_same("cloudtrail", [r for records in files.values() for r in records], wanted)
        check_layout(files, organization.name)

        lines = os.path.join(organization.base, "lines")
        organization.run("export", lines, organization.store, "--format", "ndjson")
        found = []
        for path in glob.glob(os.path.join(lines, "**/*.ndjson*"), recursive=True):
            opened = gzip.open(path) if path.endswith(".gz") else open(path, "rb")
            with opened as file:
                found += file.read().splitlines()
        expect_same("ndjson", found, wanted)
        expect_same("ndjson on standard output", organization.export(), wanted)

        check_other_order(data, out, organization.base)
        check_oddities(organization, data)


def check_layout(files, organization_name):
    """A file holds one account and region, and its path says which."""
    for path, records in files.items():
        parts = path.split("/")
        assert parts[:2] == ["AWSLogs", organization_name], path
        account, kind, region = parts[2:5]
        assert kind.startswith("CloudTrail"), path
        assert len(parts) == 9 and parts[8].startswith(f"{account}_{kind}_{region}_"), path
        for record in records:
            event = json.loads(record)
            assert event.get("recipientAccountId", account) == account, path
            assert event["awsRegion"] == region, path


def check_other_order(data, out, base):
    """The same events that arrived in another order give the same files."""
    with run(data, os.path.join(base, "other"), is_reversed=True) as other:
        again = os.path.join(base, "again")
        other.run("export", again, other.store, "--organization", other.name)
    first, second = read_trail(out), read_trail(again)
    assert sorted(first) == sorted(second), sorted(set(first) ^ set(second))[:4]
    same, differ, bad = filecmp.cmpfiles(out, again, first, shallow=False)
    assert len(same) == len(first) and not differ and not bad, (differ[:4], bad[:4])


def check_oddities(organization, data):
    """Each real record of oddities.tsv is found by its id, as it came."""
    by_id = {json.loads(r)["eventID"]: r.decode() for records in data.values() for r in records}
    with open(os.path.join(flow.DATA, "oddities.tsv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    ids = sorted({row["eventID"] for row in rows} & set(by_id))
    assert len(ids) == 67, len(ids)
    for event_id in ids:
        found = organization.lookup("--event-id", event_id)
        assert found == [by_id[event_id]], event_id


def test_conditions_find_what_python_finds():
    data = load("[ot]*/*.json.gz")
    events = [(json.loads(r), r.decode()) for records in data.values() for r in records]
    conditions = {
        "--event-name": lambda e: e["eventName"],
        "--event-source": lambda e: e["eventSource"],
        "--region": lambda e: e["awsRegion"],
        "--source-ip": lambda e: e["sourceIPAddress"],
        "--error-code": lambda e: e.get("errorCode"),
        "--access-key": lambda e: e["userIdentity"].get("accessKeyId"),
        "--identity-type": lambda e: e["userIdentity"].get("type"),
        "--identity-arn": lambda e: e["userIdentity"].get("arn"),
        "--event-type": lambda e: e["eventType"],
    }
    with run(data) as organization:
        for option, get in conditions.items():
            counts = collections.Counter(value for e, _ in events if (value := get(e)))
            # The most frequent, one in the middle and a rare one.
            ranked = [value for value, count in counts.most_common() if count <= 1000]
            for value in {ranked[0], ranked[len(ranked) // 2], ranked[-1]}:
                wanted = [text for e, text in events if get(e) == value]
                expect_same(f"{option} {value}", organization.lookup(option, value), wanted)


if __name__ == "__main__":
    cases.run("fidelity_test", globals())
