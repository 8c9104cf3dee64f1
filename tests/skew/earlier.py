#!/usr/bin/env python3
"""Programs built from an earlier commit with today's, in both ways: agent old, then collector old.

Called by tools/skew.sh, which builds them. ORGTRAIL_BIN has today's, EARLIER_BIN the earlier ones and their wire.
"""

import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402
from tests.skew import wire  # noqa: E402

TODAY, EARLIER = os.environ["ORGTRAIL_BIN"], os.environ["EARLIER_BIN"]
COUNT = 2000


SELECTORS = [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]},
                                 {"Field": "readOnly", "Equals": ["false"]}]}]


def test_the_wire_is_an_earlier_one():
    """What they speak is what tests/skew/previous.proto says, and not today's."""
    if not os.environ.get("IS_WIRE"):
        raise cases.Skipped("another commit was asked for")
    earlier = wire.read(os.path.join(EARLIER, "orgtrail.proto"))
    assert earlier == wire.read(wire.PREVIOUS)
    assert earlier != wire.read(wire.TODAY)


def leave_something_out(organization, agent):
    """Today's agents tell the collector how many records they do not send, which the earlier wire has not."""
    flow.write_file(os.path.join(agent.folder, "selectors.json"), json.dumps(SELECTORS).encode())
    with open(agent.config_path, "a", encoding="utf-8") as file:
        file.write("event_selectors: selectors.json\n")
    agent.append([make(9000 + number, eventName="DescribeInstances", readOnly=True) for number in range(20)])
    return organization


def count_left_out(agent, agent_bin):
    """What the agent itself says."""
    said = subprocess.run(
        [os.path.join(agent_bin, "cli/orgtrail"), "agent", "status", agent.folder, "--json"],
        capture_output=True, text=True, check=True,
    ).stdout
    return json.loads(said)["left_out"]


def expect_stored(collector_bin, agent_bin):
    """All records arrive once, over a restart of the collector and one of the agent."""
    os.environ["ORGTRAIL_BIN"] = collector_bin
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.start_collector()
        organization.agent_program = os.path.join(agent_bin, "agent/orgtrail-agent")
        agent = organization.enroll("-a", SHOP, is_started=False)
        if agent_bin == TODAY:
            leave_something_out(organization, agent)
        agent.start()
        agent.append(make_range(1, COUNT // 2))
        organization.wait_received(COUNT // 2)
        if agent_bin == TODAY:
            flow.wait_until("20 are left out", lambda: count_left_out(agent, agent_bin) == 20)
        organization.collector.stop()
        agent.append(make_range(COUNT // 2 + 1, COUNT))
        agent.stop()
        organization.start_collector()
        agent.start()
        organization.wait_received(COUNT)
        found = organization.export("--event-source", "ec2.amazonaws.com")
        assert sorted(found) == sorted(make_range(1, COUNT)), len(found)
        assert organization.check() >= COUNT


def test_earlier_agent_with_todays_collector():
    expect_stored(TODAY, EARLIER)


def test_todays_agent_with_earlier_collector():
    expect_stored(EARLIER, TODAY)


if __name__ == "__main__":
    cases.run("earlier", globals())
