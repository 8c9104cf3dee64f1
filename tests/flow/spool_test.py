#!/usr/bin/env python3
"""Spools that are copied, put back or damaged: nothing that was taken in is lost or said twice."""

import glob
import os
import shutil
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402

WAIT_SECONDS = 60  # two agents that share a spool's name push each other out for a while


def make_organization():
    organization = flow.Organization(accounts=[SHOP], management=OWNER)
    organization.start_collector()
    return organization


def wait_stored(organization, records):
    """Until all of them are stored, each once and nothing else; the numbers without a hole."""
    wanted = sorted(records)

    def is_there():
        return organization.status()["total"]["stored"] >= len(wanted)

    flow.wait_until(
        lambda: f"{len(wanted)} stored: {organization.status()['total']}", is_there, WAIT_SECONDS
    )
    found = organization.export()
    others = [line for line in found if b'"eventSource":"orgtrail.local"' not in line]
    assert sorted(others) == wanted, f"{len(others)} of {len(wanted)} events"
    status = organization.status()
    assert status["total"]["balanced"], status
    # A Notice of the machine's own may still arrive in between.
    flow.wait_until(
        lambda: f"no hole: {organization.status()}",
        lambda: organization.check() == status_last(organization) == len(organization.export()),
    )


def status_last(organization):
    return organization.status()["sequence_last"]


def clone(organization, agent, name):
    """A copy of the agent's whole machine, with its bundle, spool and sources."""
    folder = f"{agent.folder}.{name}"
    shutil.copytree(agent.folder, folder)
    copy = flow.Agent(organization, folder)
    copy.uri = agent.uri
    organization.agents.append(copy)
    return copy


def test_cloned_machine():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 100))
        wait_stored(organization, make_range(1, 100))
        agent.stop()
        copy = clone(organization, agent, "clone")
        agent.start()
        copy.start()
        for step in range(5):
            agent.append(make_range(1001 + 10 * step, 1010 + 10 * step))
            copy.append(make_range(2001 + 10 * step, 2010 + 10 * step))
        agent.deliver(make_range(3001, 3050))
        copy.deliver(make_range(4001, 4050))
        wanted = make_range(1, 100) + make_range(1001, 1050) + make_range(2001, 2050)
        wait_stored(organization, wanted + make_range(3001, 3050) + make_range(4001, 4050))
        assert organization.agent_status(agent)["gaps"] == 0


def test_rolled_back_spool():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 50))
        wait_stored(organization, make_range(1, 50))
        agent.stop()
        saved = agent.spool + ".saved"
        shutil.copytree(agent.spool, saved)
        agent.start()
        agent.append(make_range(51, 120))
        agent.deliver(make_range(201, 230))
        wait_stored(organization, make_range(1, 120) + make_range(201, 230))
        agent.stop()

        shutil.rmtree(agent.spool)
        shutil.copytree(saved, agent.spool)
        agent.start()
        agent.append(make_range(121, 140))
        wait_stored(organization, make_range(1, 140) + make_range(201, 230))
        assert organization.agent_status(agent)["gaps"] == 0


def test_rolled_back_and_read_on_offline():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 50))
        wait_stored(organization, make_range(1, 50))
        agent.stop()
        saved = clone(organization, agent, "saved")
        agent.start()
        agent.append(make_range(51, 120))
        wait_stored(organization, make_range(1, 120))
        agent.stop()

        # The machine comes back as it was, and other events take the numbers of the lost ones.
        organization.collector.stop()
        saved.append(make_range(501, 600))
        saved.start()
        flow.wait_until("the spool has grown", lambda: spool_size(saved) > spool_size(agent))
        organization.start_collector()
        wait_stored(organization, make_range(1, 120) + make_range(501, 600))
        assert organization.agent_status(agent)["gaps"] == 0


def segments(agent):
    """The spool's segments, the oldest first."""
    names = [path for path in glob.glob(os.path.join(agent.spool, "*")) if os.path.isfile(path)]
    return sorted(path for path in names if os.path.getsize(path) > 4096)


def spool_size(agent):
    return sum(os.path.getsize(path) for path in segments(agent))


def damage(path, record):
    """Overwrites a few bytes within a record."""
    with open(path, "r+b") as file:
        file.seek(file.read().index(record) + 20)
        file.write(b"XXXX")


def fill_spool(organization, agent):
    """Gives an agent records for three segments and nobody to send them to; the records."""
    with open(agent.config_path, encoding="utf-8") as file:
        text = file.read()
    with open(agent.config_path, "w", encoding="utf-8") as file:
        file.write(text.replace("size_max: 1GiB", "size_max: 64MiB"))  # segments of 8 MiB
    organization.collector.stop()
    records = [make(n, requestParameters={"userData": f"{n:0100000}"}) for n in range(1, 201)]
    agent.append(records)
    agent.start()
    size = sum(len(record) for record in records)
    flow.wait_until(lambda: f"a full spool: {agent.log()}", lambda: spool_size(agent) > size)
    agent.stop()
    return records


def test_damaged_segment_is_a_gap_with_its_range():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        records = fill_spool(organization, agent)
        assert len(segments(agent)) > 2
        damage(segments(agent)[0], records[39])
        organization.start_collector()
        agent.start()
        wait_stored(organization, records[:39] + records[40:])
        (lost,) = organization.own_events("EventsLost")
        details = lost["serviceEventDetails"]
        assert (details["firstNumber"], details["lastNumber"]) == (40, 40), details
        assert details["agent"] == agent.uri and details["reason"] == "spool_corrupt", details
        status = organization.status()
        assert status["gaps"] == 1 and status["total"]["gap_numbers"] == 1, status


def test_damaged_end_is_read_again():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        records = fill_spool(organization, agent)
        damage(segments(agent)[-1], records[-2])
        organization.start_collector()
        agent.start()
        wait_stored(organization, records)
        assert organization.status()["gaps"] == 0


if __name__ == "__main__":
    cases.run("spool_test", globals())
