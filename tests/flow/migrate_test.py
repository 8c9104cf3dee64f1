#!/usr/bin/env python3
"""A store that an older version wrote, taken over by docs/operator.md's commands as printed.

tests/data has one of format 1 and what is in it: agent, when it was received, account and record.
"""

import glob
import hashlib
import json
import os
import re
import shutil
import sys
import tarfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402

PAGE = os.path.join(flow.ROOT, "docs/operator.md")
DEPLOY = os.path.join(flow.ROOT, "docs/deploy.md")
ARCHIVE = os.path.join(flow.ROOT, "tests/data/store-format-1.tar.xz")
OLD = "the store has the older format 1.0: stop the collector and run orgtrail store migrate"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def commands():
    """Those under the page's heading, in their order."""
    section = re.search(r"(?ms)^## An older store\n(.*?)^## ", read(PAGE)).group(1)
    return re.findall(r"(?m)^\$ (.*)$", section)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Older:
    """An organization, and a store of format 1 in the place of its own."""

    def __init__(self, organization):
        self.organization = organization
        organization.start_collector()
        self.agent = organization.enroll("-a", SHOP, is_started=False)
        organization.collector.stop()
        shutil.rmtree(organization.store)
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(organization.base)
        shutil.move(os.path.join(organization.base, "store"), organization.store)
        with open(os.path.join(organization.base, "events.tsv"), "rb") as file:
            lines = [line.rstrip(b"\n").split(b"\t", 3) for line in file]
        self.records = [record for _, _, _, record in lines]
        self.accounts = [account.decode() for _, _, account, _ in lines]
        self.data = os.path.join(organization.store, "data.mdb")

    def run(self, command):
        """A command of the page; systemctl is this test."""
        if command.startswith("systemctl start"):
            return self.organization.start_collector()
        if command.startswith("systemctl stop"):
            return None
        words = command.split()
        assert words[0] == "orgtrail", command
        return self.organization.run(*words[1:], "--config", self.organization.config_path).stdout


def make_organization():
    return flow.Organization(accounts=[SHOP], management=OWNER)


def test_nobody_touches_it_before():
    with make_organization() as organization:
        older = Older(organization)
        before = digest(older.data)
        for arguments in (["lookup"], ["status"], ["store", "check"], ["export", "-", "--format", "ndjson"],
                          ["backup", os.path.join(organization.base, "copy")]):
            done = organization.run(*arguments, "--store", organization.store, code=1)
            assert OLD in done.stderr, (arguments, done.stderr)
            assert digest(older.data) == before, arguments


def test_the_page():
    assert "(operator.md#an-older-store)" in read(DEPLOY)
    said = commands()
    assert "orgtrail store migrate" in said, said
    with make_organization() as organization:
        older = Older(organization)
        # As it is met: the new collector does not start.
        organization.collector.start()
        assert organization.collector.wait() == 1
        assert OLD in organization.collector.log()
        before = digest(older.data)
        count = len(older.records)
        for command in said:
            printed = older.run(command)
            if command == "orgtrail store migrate":
                assert f"migrated, {count} events under the numbers they had" in printed, printed
        # Each event with its bytes, in the order it came, and found.
        assert organization.check() >= count
        exported = [line for line in organization.export() if b'"orgtrail.local"' not in line]
        assert sorted(exported) == sorted(older.records), (len(exported), count)
        arrived = organization.run("tail", "-n", "1000", "--output", "ndjson", organization.store).stdout.splitlines()
        assert [line.encode() for line in arrived[:count]] == older.records
        for place in (0, count // 2, count - 1):
            record = json.loads(older.records[place])
            found = organization.lookup("--event-id", record["eventID"])
            assert older.records[place].decode() in found, place
        of_one = [record for record, account in zip(older.records, older.accounts) if account == older.accounts[0]]
        assert len(organization.lookup("--account", older.accounts[0])) == len(of_one)
        # The old one is kept, as it was, until somebody deletes it.
        kept = glob.glob(os.path.join(organization.store, "before-migration-*", "data.mdb"))
        assert [digest(path) for path in kept] == [before], kept
        # It goes on: new events come in behind the old ones, and what is there already is a duplicate.
        older.agent.start()
        received = organization.status()["total"]["received"]
        older.agent.append(make_range(1, 50))
        organization.wait_received(received + 50)
        assert len(organization.export("--event-source", "ec2.amazonaws.com", "--account", SHOP)) >= 50
        organization.collector.stop()
        again = organization.run("store", "migrate", "--store", organization.store)
        assert again.stdout.endswith(": the store has today's format: nothing to do\n"), again
        shutil.rmtree(os.path.dirname(kept[0]))
        organization.start_collector()
        assert organization.check() >= count + 50


if __name__ == "__main__":
    cases.run("migrate_test", globals())
