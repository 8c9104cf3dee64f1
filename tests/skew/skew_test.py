#!/usr/bin/env python3
"""An agent and a collector one minor version apart work, either way; two protocols say what they are.

The other version is a stand-in that speaks previous.proto: what was added since is missing in what it
sends and unknown to it in what it reads. With --next it sends what today's programs do not know.
"""

import os
import re
import select
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402
from tests.skew import wire  # noqa: E402

COUNT = 20


def test_the_other_wire_is_another_one():
    """An equal one would show nothing. What both have is the same in both."""
    previous, today = wire.read(wire.PREVIOUS), wire.read(wire.TODAY)
    assert previous != today
    for message, fields in previous.items():
        for field, number in fields.items():
            assert today[message].get(field) == number, (message, number, field)
    added = {(m, n) for m in today for n in today[m]} - {(m, n) for m in previous for n in previous[m]}
    assert added, "nothing was added"


def make_organization():
    organization = flow.Organization(accounts=[SHOP], management=OWNER)
    organization.start_collector()
    return organization


def run_agent(organization, records, *options):
    """A stand-in's run with the bundle of an enrolled agent: exit code and what it printed."""
    agent = organization.enroll("-a", SHOP, is_started=False)
    done = subprocess.run(
        [
            flow.find_program("tests/skew", "agent"),
            f"--address=localhost:{organization.port}",
            f"--folder={agent.folder}",
            *options,
        ],
        input=b"".join(record + b"\n" for record in records),
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode()


def expect_taken(*options):
    records = make_range(1, COUNT)
    with make_organization() as organization:
        code, said = run_agent(organization, records, *options)
        assert code == 0, said
        assert f"acknowledged: {COUNT}, quarantined 0" in said, said
        assert f"welcome: protocol 1, resume 1, organization {organization.name}" in said, said
        organization.wait_received(COUNT)
        assert sorted(organization.export("--event-source", "ec2.amazonaws.com")) == sorted(records)


def test_older_agent_with_todays_collector():
    expect_taken()


def test_newer_agent_with_todays_collector():
    expect_taken("--next")


def test_agent_of_another_protocol_is_told_both():
    with make_organization() as organization:
        code, said = run_agent(organization, [make()], "--protocol=2")
        assert code == 1, said
        assert "the agent speaks protocol 2, this collector 1: upgrade the older one" in said, said
        assert organization.status()["total"]["received"] == 0


class StandInCollector:
    """A collector of another version, with the certificate of an organization's own."""

    def __init__(self, organization, *options):
        self.process = subprocess.Popen(
            [
                flow.find_program("tests/skew", "collector"),
                f"--address=127.0.0.1:{organization.port}",
                f"--folder={os.path.join(organization.folder, 'collector')}",
                *options,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            preexec_fn=flow.end_with_parent,
        )
        self.lines = []

    def read_until(self, pattern, count=1):
        """Reads what it prints until so many lines fit."""
        found = 0
        while found < count:
            ready, _, _ = select.select([self.process.stdout], [], [], flow.WAIT_SECONDS)
            assert ready, f"nothing for {flow.WAIT_SECONDS} s after {self.lines[-3:]}"
            line = self.process.stdout.readline().decode()
            assert line, f"it ended: {self.lines[-3:]}"
            self.lines.append(line.rstrip("\n"))
            found += re.match(pattern, line) is not None

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def expect_served(*options):
    records = make_range(1, COUNT)
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        organization.collector.stop()
        collector = StandInCollector(organization, *options)
        collector.read_until("port:")
        agent.append(records)
        # It ends by itself, in order, only once all of it is acknowledged.
        agent.arguments += ["--once", "--timeout", "20"]
        agent.start()
        collector.read_until("record:", COUNT)
        assert agent.wait() == 0, agent.log()
        assert any(line.startswith("hello: protocol 1, stream of 16 ") for line in collector.lines)
        sent = [line[8:].encode() for line in collector.lines if line.startswith("record: ")]
        assert sent == records
        collector.end()
        assert not [line for line in collector.lines if "undecodable" in line]


def test_todays_agent_with_older_collector():
    expect_served()


def test_todays_agent_with_newer_collector():
    expect_served("--next")


def test_collector_of_another_protocol_is_told_both():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        organization.collector.stop()
        collector = StandInCollector(organization, "--protocol=2")
        collector.read_until("port:")
        agent.start()
        agent.wait_for_message(
            "the collector speaks protocol 2, this agent 1: upgrade the older one"
        )
        agent.stop()
        collector.end()


if __name__ == "__main__":
    cases.run("skew_test", globals())
