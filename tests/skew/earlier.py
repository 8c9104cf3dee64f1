#!/usr/bin/env python3
"""Programs built from an earlier commit with today's, in both ways: agent old, then collector old.

Called by tools/skew.sh, which builds them. ORGTRAIL_BIN has today's, EARLIER_BIN the earlier ones.
"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402

TODAY, EARLIER = os.environ["ORGTRAIL_BIN"], os.environ["EARLIER_BIN"]
COUNT = 2000


def expect_stored(collector_bin, agent_bin):
    """All records arrive once, over a restart of the collector and one of the agent."""
    os.environ["ORGTRAIL_BIN"] = collector_bin
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.start_collector()
        organization.agent_program = os.path.join(agent_bin, "agent/orgtrail-agent")
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, COUNT // 2))
        organization.wait_received(COUNT // 2)
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
