#!/usr/bin/env python3
"""Each alarm, provoked: it stands in status, in the metrics and in the trail as an own event."""

import calendar
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import BANK, OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402


def make_organization(settings=""):
    organization = flow.Organization(accounts=[SHOP], management=OWNER)
    organization.write_settings(organization.read_settings() + settings)
    organization.start_collector()
    return organization


def metric(organization, name):
    """The sum of a metric's values over its labels."""
    lines = re.findall(rf"(?m)^{name}(?:{{[^}}]*}})? (\S+)$", organization.fetch("/metrics"))
    assert lines, f"no metric {name}"
    return sum(float(line) for line in lines)


def wait_own_event(organization, name, count=1):
    events = flow.wait_until(
        lambda: f"{count} of {name}: {[e['eventName'] for e in organization.own_events()]}",
        lambda: len(organization.own_events(name)) >= count and organization.own_events(name),
    )
    return events[0]["serviceEventDetails"]



def row_of(organization, account, region):
    for row in organization.status()["coverage"]:
        if (row["account"], row["region"]) == (account, region):
            return row
    return None


def expect_shown(organization, *words):
    said = organization.run("status", organization.store).stdout
    for word in words:
        assert word in said, f"{word!r} is not in {said}"


def test_a_forgotten_agent_is_silent_no_more():
    with make_organization("heartbeat_ms: 300\n") as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 3))
        organization.wait_received(3)
        forget = ("agent", "forget", agent.uri, "--store", organization.store)
        assert "is connected" in organization.run(*forget, code=2).stderr
        agent.kill()
        wait_own_event(organization, "AgentSilent")
        organization.run(*forget)
        details = wait_own_event(organization, "AgentForgotten")
        assert details["agent"] == agent.uri and f"uid {os.getuid()}" in details["user"], details
        flow.wait_until("an end of it", lambda: organization.status()["silent_agents"] == 0)
        flow.wait_until(
            "an end of it in metrics",
            lambda: metric(organization, "orgtrail_collector_silent_agents") == 0,
        )
        # Also after a restart; and who comes back is as before.
        organization.collector.stop()
        organization.start_collector()
        agent.start()
        agent.append(make_range(4, 4))
        organization.wait_received(4)
        agent.kill()
        flow.wait_until(
            "silence again", lambda: len(organization.own_events("AgentSilent")) == 2
        )
        assert not organization.own_events("AgentHeard")
        stranger = ("agent", "forget", "spiffe://o-none", "--store", organization.store)
        assert "was ever here" in organization.run(*stranger, code=2).stderr


def test_silent_agent_begins_and_ends():
    with make_organization("heartbeat_ms: 300\n") as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 3))
        organization.wait_received(3)
        assert metric(organization, "orgtrail_collector_silent_agents") == 0
        agent.kill()
        details = wait_own_event(organization, "AgentSilent")
        assert details["agent"] == agent.uri and details["since"].startswith("20"), details
        flow.wait_until(
            "silence in status", lambda: organization.status()["silent_agents"] == 1
        )
        assert "silent_since" in organization.agent_status(agent)
        assert metric(organization, "orgtrail_collector_silent_agents") == 1
        expect_shown(organization, "ALARM", "1 agent is silent", "SILENT for")
        # A restart says nothing twice.
        organization.collector.stop()
        expect_shown(organization, "1 agent is silent", "nobody serves")
        organization.start_collector()
        flow.wait_until(
            "silence in metrics",
            lambda: metric(organization, "orgtrail_collector_silent_agents") == 1,
        )
        agent.start()
        details = wait_own_event(organization, "AgentHeard")
        assert details["agent"] == agent.uri, details
        flow.wait_until("an end of it", lambda: organization.status()["silent_agents"] == 0)
        assert len(organization.own_events("AgentSilent")) == 1
        assert metric(organization, "orgtrail_collector_silent_agents") == 0


def test_silent_region_begins_and_ends():
    with make_organization() as organization:
        organization.collector.stop()
        settings = organization.read_settings() + "region_silent_s: 1\n"
        line = re.search(rf'(?m)^.*"{SHOP}".*$', settings).group(0)
        more = line.replace("}", ", regions: [eu-west-1, ap-south-1]}")
        organization.write_settings(settings.replace(line, more))
        organization.start_collector()
        details = wait_own_event(organization, "RegionSilent", 2)
        assert details["account"] == SHOP and details["lastReceived"] == "never", details
        flow.wait_until("both in status", lambda: organization.status()["silent_regions"] == 2)
        assert metric(organization, "orgtrail_collector_silent_regions") == 2
        assert metric(organization, "orgtrail_collector_expected_regions") == 2
        expect_shown(organization, "2 regions are silent", "SILENT for", "ap-south-1")
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 3))
        details = wait_own_event(organization, "RegionHeard")
        assert details["region"] == "eu-west-1", details
        # And silent again when no more comes.
        wait_own_event(organization, "RegionSilent", 3)
        assert row_of(organization, SHOP, "eu-west-1")["stored"] == 3
        # What the roster no longer expects is no alarm.
        organization.write_settings(settings)
        organization.run("reload", organization.store)
        flow.wait_until("no more silent", lambda: organization.status()["silent_regions"] == 0)
        assert row_of(organization, SHOP, "ap-south-1")["expected_since"] is None


def test_coverage_counts_and_survives_a_kill():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        iam = [make(n, eventSource="iam.amazonaws.com", awsRegion="us-east-1") for n in (11, 12)]
        agent.append(make_range(1, 4) + iam + make_range(1, 2))
        agent.append([make(20, eventTime="2026-03-02T10:00:00Z", without=["awsRegion"])])
        agent.append([make(30, recipientAccountId=BANK)])
        organization.wait_received(10)

        def is_saved():
            row = row_of(organization, SHOP, "none")
            return row and row["stored"] == 1 and row["quarantined"] == 1

        flow.wait_until(lambda: f"rows: {organization.status()['coverage']}", is_saved)
        row = row_of(organization, SHOP, "eu-west-1")
        assert (row["stored"], row["duplicates"]) == (4, 2), row
        assert row["last_event"].startswith("2026-03-01T10:00:00"), row
        assert row_of(organization, SHOP, "global")["stored"] == 2
        assert row_of(organization, SHOP, "us-east-1") is None
        # Another agent's record is no word of the account it names.
        assert row_of(organization, BANK, "eu-west-1") is None
        # Killed before it was saved: it is read from the events again.
        agent.append([make(40, eventTime="2026-03-05T10:00:00Z", awsRegion="sa-east-1")])
        organization.wait_received(11)
        organization.collector.kill()
        organization.start_collector()
        flow.wait_until(
            lambda: f"the last one: {organization.status()['coverage']}",
            lambda: row_of(organization, SHOP, "sa-east-1") is not None,
        )
        row = row_of(organization, SHOP, "sa-east-1")
        assert row["stored"] == 1 and row["last_event"].startswith("2026-03-05"), row
        assert row_of(organization, SHOP, "eu-west-1")["stored"] == 4


def fill_spool(organization, agent):
    """Gives an agent records for more than one segment, and nobody to send them to."""
    with open(agent.config_path, encoding="utf-8") as file:
        text = file.read()
    with open(agent.config_path, "w", encoding="utf-8") as file:
        file.write(text.replace("size_max: 1GiB", "size_max: 64MiB"))  # segments of 8 MiB
    organization.collector.stop()
    records = [make(n, requestParameters={"userData": f"{n:0200000}"}) for n in range(1, 61)]
    agent.append(records)
    agent.start()
    flow.wait_until("a full spool", lambda: find_record(agent, 60))
    agent.stop()


def find_record(agent, number):
    """Where the spool has the record of a number: file and place."""
    wanted = make(number)[-200:].split(b'"eventID":')[1][:38]
    for folder, _, names in os.walk(agent.spool):
        for path in (os.path.join(folder, name) for name in names):
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                place = file.read().find(wanted)
            if place >= 0:
                return path, place
    return None


def test_gap():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        fill_spool(organization, agent)
        path, place = find_record(agent, 7)
        with open(path, "r+b") as file:
            file.seek(place)
            file.write(b"!")
        organization.start_collector()
        agent.start()
        details = wait_own_event(organization, "EventsLost")
        assert details["agent"] == agent.uri, details
        assert (details["firstNumber"], details["lastNumber"]) == (7, 7), details
        status = organization.status()
        assert status["gaps"] == 1 and status["total"]["gap_numbers"] == 1, status["total"]
        assert metric(organization, "orgtrail_collector_gap_numbers_total") == 1
        expect_shown(organization, "ALARM", "1 gaps: 1 events are lost")
        flow.wait_until(
            "the gap in coverage",
            lambda: (row_of(organization, SHOP, "none") or {}).get("lost") == 1,
        )


def test_conflict_and_identity():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append([make(1), make(1, eventName="StopInstances")])
        agent.append([make(2, recipientAccountId=BANK)])
        organization.wait_received(3)
        details = wait_own_event(organization, "EventConflict")
        assert details["account"] == SHOP, details
        details = wait_own_event(organization, "IdentityViolation")
        assert details["agent"] == agent.uri and details["count"] == 1, details
        expect_shown(organization, "1 conflict:", "conflict", "identity")
        text = organization.fetch("/metrics")
        for reason in ("conflict", "identity"):
            assert f'quarantined_events_total{{reason="{reason}"}} 1' in text, text
        reasons = organization.status()["quarantine"]
        assert reasons["conflict"]["refusals"] == 1 and reasons["identity"]["refusals"] == 1


def test_unknown_account():
    with make_organization() as organization:
        text = organization.read_settings().replace("roster:\n", "roster:\n  unknown: quarantine\n")
        organization.write_settings(text)
        organization.run("reload", organization.store)
        agent = organization.enroll("--organization")
        agent.append([make(1, recipientAccountId=BANK)])
        organization.wait_received(1)
        details = wait_own_event(organization, "AccountUnknown")
        assert details["agent"] == agent.uri and BANK in details["detail"], details
        assert organization.status()["quarantine"]["unknown_account"]["refusals"] == 1
        text = organization.fetch("/metrics")
        assert 'quarantined_events_total{reason="unknown_account"} 1' in text, text
        flow.wait_until(
            "the account in coverage",
            lambda: (row_of(organization, BANK, "eu-west-1") or {}).get("quarantined") == 1,
        )
        # Other reasons have an event of their own, each at most once a minute.
        agent.append([b'{"eventVersion":"1.08"}', b'{"eventVersion":"1.09"}', b"[1]"])
        organization.wait_received(4)
        wait_own_event(organization, "RecordsRefused", 2)
        told = {event["serviceEventDetails"]["reason"] for event in organization.own_events("RecordsRefused")}
        assert told == {"no_event_time", "not_an_object"}, told


def test_full_quarantine():
    with make_organization() as organization:
        organization.collector.stop()
        text = organization.read_settings()
        organization.write_settings(text.replace("store:\n", "store:\n  quarantine_max: 4KiB\n"))
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append([make(n, recipientAccountId=BANK) for n in range(1, 20)])
        details = wait_own_event(organization, "AgentThrottled")
        assert details["agent"] == agent.uri and details["limit"] == 4096, details
        flow.wait_until(
            "the throttle in metrics",
            lambda: metric(organization, "orgtrail_collector_throttled_streams") == 1,
        )
        expect_shown(organization, "ALARM", "1 stream is throttled")
        live = organization.status()["collector"]
        assert live["throttled"] == 1, live


def test_full_quarantine_ends():
    with make_organization() as organization:
        organization.collector.stop()
        text = organization.read_settings()
        organization.write_settings(text.replace("store:\n", "store:\n  quarantine_max: 4KiB\n"))
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append([make(n, recipientAccountId=BANK) for n in range(1, 20)])
        wait_own_event(organization, "AgentThrottled")
        discard = ("quarantine", "discard", "--reason", "identity", "--store", organization.store)
        organization.run(*discard)
        details = wait_own_event(organization, "AgentUnthrottled")
        assert details["agent"] == agent.uri, details


def test_full_store():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        organization.collector.stop()
        text = organization.read_settings()
        limit = "store:\n  size_max: 64MiB\n"
        organization.write_settings(text.replace("store:\n", limit))
        organization.start_collector()
        records = [make(n, requestParameters={"data": os.urandom(24000).hex()}) for n in range(1, 2801)]
        agent.append(records)
        organization.collector.wait_for_message("the store has no room", seconds=120)
        flow.wait_until(
            "a full store in metrics",
            lambda: metric(organization, "orgtrail_collector_full_store") == 1,
        )
        expect_shown(organization, "ALARM        the store has no room")
        organization.collector.stop()
        organization.write_settings(text)
        organization.start_collector()
        organization.wait_received(len(records), seconds=120)
        assert metric(organization, "orgtrail_collector_full_store") == 0


def test_notice():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        flow.write_file(os.path.join(agent.files, "broken.json.gz"), b"no gzip at all")
        details = wait_own_event(organization, "AgentNotice")
        assert details["agent"] == agent.uri and "broken.json.gz" in details["place"], details
        assert metric(organization, "orgtrail_collector_notices_total") == 1
        assert organization.status()["total"]["notices"] == 1
        expect_shown(organization, "QUARANTINE", "notice                      1")


def test_unlisted_account():
    with make_organization() as organization:
        agent = organization.enroll("--organization")
        agent.append([make(1, recipientAccountId=BANK)])
        details = wait_own_event(organization, "AccountUnlisted")
        assert details["account"] == BANK, details
        assert metric(organization, "orgtrail_collector_unlisted_events_total") == 1
        flow.wait_until(
            "the account in status", lambda: row_of(organization, BANK, "eu-west-1") is not None
        )
        expect_shown(organization, BANK, "not expected")


def test_one_id_at_two_times():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append([make(1), make(1, eventTime="2026-03-01T11:00:00Z")])
        organization.wait_received(2)
        # The background scan begins at the start of a collector, if none was for hours.
        organization.collector.stop()
        organization.start_collector()
        details = wait_own_event(organization, "EventTimeConflict")
        assert details["account"] == SHOP, details
        assert metric(organization, "orgtrail_collector_time_conflicts_total") == 1
        assert organization.status()["upkeep"]["time_conflicts"] == 1
        expect_shown(organization, "ALARM        1 event has the id of another and another time")


def test_many_ids_at_two_times():
    count, alone = 60, 48  # TRAIL_SCAN_FOUND_MAX of a round
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        for time_text in ("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z"):
            agent.append([make(number, eventTime=time_text) for number in range(count)])
        organization.wait_received(2 * count)
        organization.collector.stop()
        organization.start_collector()
        assert wait_own_event(organization, "EventTimeConflicts")["count"] == count - alone
        assert len(organization.own_events("EventTimeConflict")) == alone
        assert metric(organization, "orgtrail_collector_time_conflicts_total") == count
        assert organization.status()["upkeep"]["time_conflicts"] == count
        expect_shown(organization, f"ALARM        {count} events have the id of another")


class Watching:
    """`orgtrail status --watch`, and what it has said."""

    def __init__(self, organization, *arguments):
        self.process = subprocess.Popen(
            [organization.program, "status", *arguments, "--config", organization.config_path],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )

    def wait(self, what, condition):
        """Reads on to a line that says it."""
        until = time.monotonic() + flow.WAIT_SECONDS
        while time.monotonic() < until:
            line = self.process.stdout.readline()
            assert line, f"it ended before {what}"
            if condition(line):
                return
        raise AssertionError(f"{what}: not said")


def test_status_watches():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 3))
        organization.wait_received(3)
        watching = Watching(organization, "--watch=1", "--json")
        for count in (3, 7):
            watching.wait(f"{count} events", lambda line: json.loads(line)["total"]["stored"] == count)
            agent.append(make_range(4, 7))
        # It outlives the collector, and sees it come back.
        organization.collector.stop()
        watching.wait("no collector", lambda line: json.loads(line)["collector"] is None)
        organization.start_collector()
        watching.wait("a collector", lambda line: json.loads(line)["collector"] is not None)
        # Who listens no more ends it.
        watching.process.stdout.close()
        watching.process.wait(timeout=20)
        watching = Watching(organization, "--watch=1")
        organization.collector.stop()
        words = "ALARM        the collector does not run"
        watching.wait(words, lambda line: line.startswith(words))
        organization.start_collector()
        watching.wait("a collector", lambda line: line.startswith("collector    ") and ", up " in line)
        watching.process.send_signal(signal.SIGINT)
        assert watching.process.wait(timeout=20) == -signal.SIGINT
        for value in ("0", "-1", "x", "3601", "1s"):
            organization.run("status", f"--watch={value}", organization.store, code=2)


def test_status_watches_on_a_terminal():
    with make_organization() as organization:
        own, others = pty.openpty()
        process = subprocess.Popen(
            [organization.program, "status", "--watch=1", organization.store],
            stdout=others, stderr=subprocess.DEVNULL,
        )
        os.close(others)
        text = b""
        while text.count(b"collector    ") < 3:
            assert len(text) < 100_000, text
            text += os.read(own, 4096)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
        # Each from the top of a cleared screen.
        assert text.startswith(b"\x1b[H\x1b[2Jcollector"), text[:60]
        assert text.count(b"\x1b[H\x1b[2J") >= 3, text


def test_denied_certificate():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.wait_for_message("session begun")
        assert 'refused_streams_total{kind="denied"} 0' in organization.fetch("/metrics")
        organization.run("deny", "add", agent.uri, "stolen", "--store", organization.store)
        details = wait_own_event(organization, "DenyListChanged")
        assert details["entry"] == agent.uri, details
        agent.wait_for_message("the collector's deny list has")
        line = organization.collector.wait_for_message("stream refused")
        assert agent.uri in line and '"serial":"' in line and '"kind":"denied"' in line, line
        count = r'refused_streams_total\{kind="denied"\} [1-9]'
        assert re.search(count, organization.fetch("/metrics")), organization.fetch("/metrics")
        expect_shown(organization, "deny list    1 entry", agent.uri, "refused since the start")
        details = wait_own_event(organization, "StreamRefused")
        assert details["peer"] == agent.uri and "deny list" in details["detail"], details
        assert details["serial"] and details["address"].startswith("127.0.0.1:"), details
        # Who tries again and again is told once a minute.
        flow.wait_until(
            "more refusals",
            lambda: metric(organization, "orgtrail_collector_refused_streams_total") >= 3,
        )
        assert len(organization.own_events("StreamRefused")) == 1


def test_many_silent_regions_at_once():
    with make_organization() as organization:
        organization.collector.stop()
        settings = organization.read_settings() + "region_silent_s: 1\n"
        line = re.search(rf'(?m)^.*"{SHOP}".*$', settings).group(0)
        regions = ", ".join(f"eu-west-{number}" for number in range(1, 41))
        organization.write_settings(settings.replace(line, line.replace("}", f", regions: [{regions}]}}")))
        organization.start_collector()
        details = wait_own_event(organization, "RegionsSilent")
        assert details["count"] == 40 - 16, details
        assert len(organization.own_events("RegionSilent")) == 16
        assert metric(organization, "orgtrail_collector_silent_regions") == 40
        organization.write_settings(settings)
        organization.run("reload", organization.store)
        details = wait_own_event(organization, "RegionsHeard")
        assert details["count"] == 40 - 16, details


def test_many_silent_agents_at_once():
    count, alone = 40, 16  # SILENCE_TOLD_MAX of a check
    with make_organization("heartbeat_ms: 2000\n") as organization:
        agents = [organization.enroll("-a", SHOP, "-g", f"g{number}") for number in range(count)]
        for number, agent in enumerate(agents):
            agent.append([make(number)])
        organization.wait_received(count)
        organization.collector.stop()
        for agent in agents:
            agent.kill()
        organization.start_collector()
        details = wait_own_event(organization, "AgentsSilent")
        assert details["count"] == count - alone and "spiffe://" in details["detail"], details
        assert len(organization.own_events("AgentSilent")) == alone
        assert metric(organization, "orgtrail_collector_silent_agents") == count
        expect_shown(organization, f"ALARM        {count} agents are silent")
        # They come back while the collector stands still, which so hears of all within one check.
        organization.collector.process.send_signal(signal.SIGSTOP)
        for agent in agents:
            agent.start()
        time.sleep(1)
        organization.collector.process.send_signal(signal.SIGCONT)
        flow.wait_until(
            "an end of it", lambda: metric(organization, "orgtrail_collector_silent_agents") == 0
        )
        details = wait_own_event(organization, "AgentsHeard")
        assert details["count"] > 0 and "spiffe://" in details["detail"], details

        def count_told():
            together = organization.own_events("AgentsHeard")
            rest = sum(event["serviceEventDetails"]["count"] for event in together)
            return len(organization.own_events("AgentHeard")) + rest

        flow.wait_until(lambda: f"{count} told: {count_told()}", lambda: count_told() == count)


class Watched:
    """An agent that serves metrics."""

    def __init__(self, organization):
        self.agent = organization.enroll("-a", SHOP, is_started=False)
        self.port = flow.find_free_port()
        with open(self.agent.config_path, "a", encoding="utf-8") as file:
            file.write(f'http:\n  listen: "127.0.0.1:{self.port}"\n')

    def metric(self, name):
        address = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(address, timeout=10) as page:
            lines = re.findall(rf"(?m)^orgtrail_agent_{name}(?:{{[^}}]*}})? (\S+)$", page.read().decode())
        assert lines, f"no metric {name}"
        return sum(float(line) for line in lines)

    def wait(self, name, value):
        self.agent.wait_for_message("session begun")  # it serves from then on
        flow.wait_until(
            lambda: f"{name} {self.metric(name)}, not {value}", lambda: self.metric(name) == value
        )


def test_an_agents_own_metrics():
    with make_organization() as organization:
        watched = Watched(organization)
        agent = watched.agent
        agent.start()
        watched.wait("connected", 1)
        ends = subprocess.run(
            ["openssl", "x509", "-noout", "-enddate", "-in", os.path.join(agent.folder, "agent.pem")],
            capture_output=True, text=True, check=True,
        ).stdout.strip().partition("=")[2]
        until = calendar.timegm(time.strptime(ends, "%b %d %H:%M:%S %Y GMT"))
        assert watched.metric("certificate_expiry_seconds") == until
        # A source that it may not read, or that is damaged.
        assert watched.metric("source_errors_total") == 0
        flow.write_file(os.path.join(agent.files, "broken.json.gz"), b"no gzip at all")
        flow.wait_until("an error of a source", lambda: watched.metric("source_errors_total") > 0)
        status = organization.run("agent", "status", agent.folder).stdout
        assert "streaming" in status and "files" in status, status
        # A collector that has gone.
        organization.collector.stop()
        watched.wait("connected", 0)
        flow.wait_until(
            "the reason",
            lambda: "last error" in organization.run("agent", "status", agent.folder).stdout,
        )


def test_a_gap_and_a_clone_in_an_agents_metrics():
    with make_organization() as organization:
        watched = Watched(organization)
        agent = watched.agent
        fill_spool(organization, agent)
        path, place = find_record(agent, 7)
        with open(path, "r+b") as file:
            file.seek(place)
            file.write(b"!")
        organization.start_collector()
        agent.start()
        wait_own_event(organization, "EventsLost")
        watched.wait("gaps_total", 1)
        organization.wait_received(59)
        # The machine is put back, and other events get the numbers of those that are gone from it.
        agent.stop()
        saved = agent.spool + ".saved"
        size = os.path.getsize(agent.lines)
        shutil.copytree(agent.spool, saved)
        agent.start()
        agent.append(make_range(101, 110))
        organization.wait_received(69)
        agent.stop()
        shutil.rmtree(agent.spool)
        os.rename(saved, agent.spool)
        os.truncate(agent.lines, size)
        agent.append(make_range(201, 230))
        agent.start()
        watched.wait("restreams_total", 1)
        assert "holds other events" in agent.log() or "ahead of the spool" in agent.log(), agent.log()
        details = wait_own_event(organization, "SpoolBegun")
        assert details["agent"] == agent.uri and len(details["streamId"]) == 32, details
        assert len(organization.own_events("SpoolBegun")) == 1
        words = "WARNING      1 agent began another spool within a day"
        expect_shown(organization, words)


def test_a_damaged_store():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 40))
        organization.wait_received(40)
        agent.stop()
        organization.collector.stop()
        data = os.path.join(organization.store, "data.mdb")
        assert damage_tail(organization, data), "no byte of the tail was found"
        organization.start_collector()
        line = organization.collector.wait_for_message("the store is damaged")
        assert "error" in line, line
        damaged = metric(organization, "orgtrail_collector_damaged_parts")
        assert damaged >= 1
        expect_shown(organization, f"ALARM        {damaged:.0f} part", "cannot be read: store check")
        # A lookup does not come past the damaged part; what follows the trail does.

        def find():
            done = subprocess.run(
                [organization.program, "tail", "--event-name", "StoreDamaged", organization.store],
                capture_output=True, text=True, timeout=60, check=False,
            )
            return "StoreDamaged" in done.stdout and done.stdout

        flow.wait_until("an own event", find)
        done = subprocess.run(
            [organization.program, "store", "check", organization.store],
            capture_output=True, text=True, timeout=60, check=False,
        )
        assert done.returncode == 1 and "tail" in done.stdout + done.stderr, done


def damage_tail(organization, data):
    """Turns a bit of a part of the tail: the page is found by asking `store check`."""
    for offset in range(3 * 4096 - 40, os.path.getsize(data), 4096):
        with open(data, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 1]))
        done = subprocess.run(
            [organization.program, "store", "check", organization.store],
            capture_output=True, text=True, timeout=60, check=False,
        )
        if done.returncode == 1 and "tail" in done.stdout + done.stderr:
            return True
        with open(data, "r+b") as file:
            file.seek(offset)
            file.write(byte)
    return False


if __name__ == "__main__":
    cases.run("alarms", globals())
