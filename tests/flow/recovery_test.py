#!/usr/bin/env python3
"""The collector's machine is lost: docs/recovery.md as written, and what is missing afterwards."""

import os
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402

PAGE = os.path.join(flow.ROOT, "docs/recovery.md")
LONG = os.environ.get("ORGTRAIL_LONG")
EVENTS = 50_000 if LONG else 2_000
LARGE = 400_000  # bytes of a record, so that a few hundred of them fill the smallest spool
WAIT_SECONDS = 300 if LONG else 90


def commands(section):
    """The commands of a section of the page, in their order."""
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    begin = text.index(f"\n## {section}")
    end = text.find("\n## ", begin + 1)
    blocks = re.findall(r"```sh\n(.*?)```", text[begin : end if end > 0 else None], re.S)
    return [line for block in blocks for line in block.splitlines()]


class Machine:
    """An organization whose paths stand for those of the page."""

    def __init__(self, organization):
        self.organization = organization
        self.backups = os.path.join(organization.base, "backups")
        os.makedirs(self.backups)

    def run(self, command):
        """Runs a command of the page with its paths replaced; systemctl is this test."""
        if command.startswith("systemctl start"):
            return self.organization.start_collector()
        command = command.replace("/var/backups/orgtrail", self.backups)
        command = command.replace("/etc/orgtrail", self.organization.folder)
        words = command.split()
        if words[0] == "orgtrail":
            words[0] = self.organization.program
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def back_up(self):
        return [self.run(command) for command in commands("Before")]

    def lose(self):
        """Everything of the collector's machine goes, but for what was kept."""
        self.organization.collector.kill()
        kept = os.path.join(self.organization.base, "agents")
        os.makedirs(kept, exist_ok=True)
        for agent in self.organization.agents:
            agent.stop()
        # Agents' bundles lie in the organization's folder here; on other machines they are safe.
        for agent in self.organization.agents:
            shutil.move(agent.folder, kept)
        shutil.rmtree(self.organization.folder)
        os.makedirs(self.organization.folder)

    def come_back(self):
        return [self.run(command) for command in commands("After")]

    def start_agents(self):
        for agent in self.organization.agents:
            kept = os.path.join(self.organization.base, "agents", os.path.basename(agent.folder))
            if os.path.isdir(agent.folder):
                shutil.rmtree(agent.folder)
            shutil.move(kept, agent.folder)
            agent.start()


def make_organization():
    # The store lies apart from what is kept of /etc/orgtrail, as it does on a real machine.
    organization = flow.Organization(accounts=[SHOP], management=OWNER)
    organization.store = os.path.join(organization.base, "store")
    organization.set("  directory", organization.store)
    organization.start_collector()
    return organization


def now():
    """The time as an own event writes it, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


def others(organization):
    """What is stored of agents."""
    return sorted(
        line for line in organization.export() if b'"eventSource":"orgtrail.local"' not in line
    )


def wait_for(organization, wanted, what):
    wanted = sorted(wanted)
    flow.wait_until(
        lambda: f"{what}: {len(wanted)} events, {organization.status()['total']}",
        lambda: organization.status()["events"] >= len(wanted) and others(organization) == wanted,
        WAIT_SECONDS,
        pause=0.5,
    )
    organization.check()


def test_spools_refill_everything():
    with make_organization() as organization:
        machine = Machine(organization)
        agent = organization.enroll("--account", SHOP)
        before, after = make_range(1, 500), make_range(501, 500 + EVENTS)
        agent.deliver(before[:250])
        agent.append(before[250:])
        organization.wait_received(len(before))
        said = machine.back_up()
        assert "verified" in said[0] and "Keep with it" in said[0], said
        epoch = organization.status()["epoch"]
        for begin in range(0, len(after), 1000):
            agent.deliver(after[begin : begin + 500])
            agent.append(after[begin + 500 : begin + 1000])
        organization.wait_received(len(before) + len(after), WAIT_SECONDS)
        machine.lose()
        shutil.rmtree(organization.store)
        said = machine.come_back()
        assert any("restored from" in text for text in said if text), said
        assert organization.status()["epoch"] != epoch
        machine.start_agents()
        wait_for(organization, before + after, "all again")
        assert not organization.own_events("EventsLost")
        told = organization.own_events("StoreRestored")
        assert len(told) == 1, told
        # It is told once, however often the collector starts.
        organization.collector.stop()
        organization.start_collector()
        agent.append(make_range(900_001, 900_001))
        wait_for(organization, before + after + make_range(900_001, 900_001), "one more")
        assert len(organization.own_events("StoreRestored")) == 1
        for command in commands("What is missing"):
            machine.run(command)


def test_the_store_that_was_there_is_kept():
    with make_organization() as organization:
        machine = Machine(organization)
        agent = organization.enroll("--account", SHOP)
        agent.append(make_range(1, 50))
        organization.wait_received(50)
        machine.back_up()
        refused = organization.run(
            "restore", os.path.join(machine.backups, "store-1"), "--store", organization.store, code=75
        )
        assert "stop the collector first" in refused.stderr, refused.stderr
        agent.append(make_range(51, 80))
        organization.wait_received(80)
        agent.stop()
        organization.collector.stop()
        said = organization.run(
            "restore", os.path.join(machine.backups, "store-1"), "--store", organization.store
        ).stdout
        aside = re.search(r"kept in (\S+?):", said).group(1)
        assert organization.run("status", "--json", aside).stdout.count('"events":80')
        organization.start_collector()
        agent.start()
        wait_for(organization, make_range(1, 80), "all again")


def test_a_store_cut_short_is_refused():
    with make_organization() as organization:
        agent = organization.enroll("--account", SHOP)
        agent.append(make_range(1, 300))
        organization.wait_received(300)
        agent.stop()
        organization.collector.stop()
        data = os.path.join(organization.store, "data.mdb")
        whole = os.path.getsize(data)
        os.truncate(data, whole // 2 // 4096 * 4096)
        for command in (["store", "check"], ["status"], ["lookup"]):
            said = organization.run(*command, "--store", organization.store, code=1).stderr
            assert "bytes): it was cut: restore a backup" in said, (command, said)


def test_a_gap_names_what_is_missing():
    with make_organization() as organization:
        machine = Machine(organization)
        agent = organization.enroll("--account", SHOP, is_started=False)
        with open(agent.config_path, encoding="utf-8") as file:
            text = file.read()
        text, count = re.subn("size_max: 1GiB", "size_max: 64MiB", text)
        assert count == 1, text
        with open(agent.config_path, "w", encoding="utf-8") as file:
            file.write(text)
        agent.start()
        agent.append(make_range(1, 20))
        organization.wait_received(20)
        machine.back_up()
        filler = "x" * LARGE
        records = [make(number, filler=filler) for number in range(21, 321)]
        for begin in range(0, len(records), 20):
            agent.append(records[begin : begin + 20])
            organization.wait_received(20 + begin + 20, WAIT_SECONDS)
        machine.lose()
        shutil.rmtree(organization.store)
        # What the tail source has read cannot be read again: the file has gone as well.
        lines = os.path.join(organization.base, "agents", os.path.basename(agent.folder))
        open(os.path.join(lines, "lines.ndjson"), "wb").close()
        machine.come_back()
        machine.start_agents()
        lost = flow.wait_until(
            "the gap", lambda: organization.own_events("EventsLost"), WAIT_SECONDS
        )
        assert len(lost) == 1, lost
        details = lost[0]["serviceEventDetails"]
        first, last = int(details["firstNumber"]), int(details["lastNumber"])
        # One source, so that numbers are records: exactly those of the gap are missing.
        assert first == 21 and 21 < last < 320, details
        assert int(details["count"]) == last - first + 1, details
        wait_for(organization, make_range(1, 20) + records[last - 20 :], "all but the gap")
        notices = [event for event in organization.own_events("AgentNotice")]
        restored = [
            event["serviceEventDetails"] for event in notices
            if event["serviceEventDetails"]["reason"] == "collector_restored"
        ]
        assert len(restored) == 1, notices
        told = organization.own_events("StoreRestored")[0]["serviceEventDetails"]
        assert restored[0]["place"] == told["backupTime"], (restored, told)
        words = "the collector lost what it had acknowledged since this time"
        assert restored[0]["detail"].startswith(words), restored


def test_without_spools_directories_refill():
    with make_organization() as organization:
        machine = Machine(organization)
        agent = organization.enroll("--account", SHOP)
        agent.deliver(make_range(1, 100))
        agent.append(make_range(101, 120))
        organization.wait_received(120)
        times = [now()]
        machine.back_up()
        times.append(now())
        agent.deliver(make_range(201, 300))
        agent.append(make_range(301, 320))
        organization.wait_received(240)
        machine.lose()
        shutil.rmtree(organization.store)
        kept = os.path.join(organization.base, "agents", os.path.basename(agent.folder))
        shutil.rmtree(os.path.join(kept, "spool"))
        open(os.path.join(kept, "lines.ndjson"), "wb").close()
        times.append(now())
        said = "".join(text for text in machine.come_back() if text)
        times.append(now())
        machine.start_agents()
        # Lines 301 to 320 came through a log that is gone: exactly they are missing.
        wait_for(
            organization, make_range(1, 120) + make_range(201, 300), "all but the lines after it"
        )
        # The report says since when, and until when, such events are unknown.
        events = organization.own_events("StoreRestored")
        assert len(events) == 1, events
        told = events[0]["serviceEventDetails"]
        assert set(told) == {"backupTime", "restoreTime"}, told
        assert times[0] <= told["backupTime"][:19] <= times[1], (times, told)
        assert times[2] <= told["restoreTime"][:19] <= times[3], (times, told)
        assert f", as of {told['backupTime']}\n" in said, (said, told)
        assert "told as a gap or as an event AgentNotice" in said, said
        with open(PAGE, encoding="utf-8") as file:
            page = file.read()
        assert "is unknown from `backupTime` to `restoreTime` of `StoreRestored`" in page


if __name__ == "__main__":
    cases.run("recovery_test", globals())
