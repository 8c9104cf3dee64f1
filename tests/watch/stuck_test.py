#!/usr/bin/env python3
"""Alarms of what stands still (a reader, a follower, the writer) or errs. Seen in status, metrics and own events."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402
from tests.watch.world import World  # noqa: E402


def make_organization():
    return flow.Organization(accounts=[SHOP], management=OWNER)


def add_to_store(organization, line):
    settings = organization.read_settings()
    assert "\nstore:\n" in settings, settings
    organization.write_settings(settings.replace("\nstore:\n", f"\nstore:\n  {line}\n"))


def metric(organization, name):
    for line in organization.fetch("/metrics").splitlines():
        if line.startswith(f"orgtrail_collector_{name} "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def wait_metric(organization, name, value):
    flow.wait_until(
        lambda: f"{name} {metric(organization, name)}, not {value}",
        lambda: metric(organization, name) == value,
    )


def wait_own_event(organization, name, on_wait=lambda: None):
    def find():
        on_wait()
        return organization.own_events(name)

    return flow.wait_until(f"own event {name}", find, pause=1)[0]["serviceEventDetails"]


def say_status(organization):
    return organization.run("status", organization.store).stdout


def test_stuck_reader():
    with make_organization() as organization:
        world = World(organization)
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        program = flow.find_program("tests/watch", "reader")
        reader = subprocess.Popen([program, organization.store], stdout=subprocess.PIPE)
        try:
            assert reader.stdout.readline() == b"held\n"
            agent.append(make_range(11, 20))
            organization.wait_received(20)
            later = iter(range(15, 3000, 15))
            details = wait_own_event(organization, "ReaderStuck", lambda: world.set(later_s=next(later)))
            assert details["process"] == reader.pid and details["program"] == "reader", details
            assert details["seconds"] >= 60 and details["commitsBehind"] > 0, details
            wait_metric(organization, "stuck_readers", 1)
            assert organization.status()["collector"]["stuck_readers"] == 1
            assert "ALARM        1 process holds the store's room" in say_status(organization)
        finally:
            reader.kill()
            reader.communicate()
        world.set(later_s=next(later))
        wait_metric(organization, "stuck_readers", 0)
        assert "store's room" not in say_status(organization)


def test_stuck_follower():
    with make_organization() as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 5) + [make(6, eventTime="2026-03-10T10:00:00Z")])
        organization.wait_received(6)
        agent.kill()
        organization.collector.stop()
        follower = flow.find_program("tests/watch", "follower")
        subprocess.run([follower, organization.store, "deliver", "2"], check=True)
        add_to_store(organization, "retention_days: 1")
        organization.start_collector()
        details = wait_own_event(organization, "FollowerStuck")
        assert details["follower"] == "deliver" and details["day"] == "2026-03-01", details
        assert details["behind"] == 5, details
        assert metric(organization, "held_retention") == 1
        assert "ALARM        follower deliver has not moved for 2 days" in say_status(organization)
        # The page's command ends it: the day goes.
        organization.run("follower", "drop", "deliver", "--store", organization.store)
        organization.collector.stop()
        organization.start_collector()
        assert wait_own_event(organization, "DayDropped")["events"] == 5
        assert metric(organization, "held_retention") == 0
        assert "follower" not in say_status(organization)


QUEUE_MAX = 4096  # NOTES_QUEUE_MAX of collector/notes/notes.h


class Stranger:
    """A caller of the API with a key that nobody made."""

    def __init__(self, organization):
        context = ssl.create_default_context(cafile=os.path.join(organization.folder, "ca/ca.pem"))
        self.line = http.client.HTTPSConnection("localhost", organization.api_port, context=context)

    def call(self):
        today = time.strftime("%Y%m%d", time.gmtime())
        self.line.request(
            "POST", "/", body=b"{}",
            headers={
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.ListTrails",
                "X-Amz-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
                "Authorization": "AWS4-HMAC-SHA256 "
                f"Credential=AKIAAAAAAAAAAAAAAAAA/{today}/us-east-1/cloudtrail/aws4_request, "
                f"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature={0:064x}",
            },
        )
        answer = self.line.getresponse()
        text = answer.read()
        assert b"UnrecognizedClientException" in text, (answer.status, text)


def test_lost_own_events():
    with flow.Organization(accounts=[SHOP], management=OWNER, has_api=True) as organization:
        world = World(organization)
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        assert metric(organization, "lost_notes_total") == 0
        # The writer waits for its disk, and callers whom the API refuses go on.
        world.set(is_held=1)
        agent.append(make_range(11, 20))
        stranger = Stranger(organization)
        calls = 0
        while metric(organization, "lost_notes_total") == 0:
            assert calls < 4 * QUEUE_MAX, "nothing is lost"
            for _ in range(128):
                stranger.call()
            calls += 128
        assert calls > QUEUE_MAX, calls
        lost = metric(organization, "lost_notes_total")
        assert f"ALARM        {lost:.0f} own event" in say_status(organization)
        assert organization.status()["collector"]["lost_own_events"] == lost
        assert not organization.own_events("OwnEventsLost")
        world.set(is_held=0)
        assert wait_own_event(organization, "OwnEventsLost")["count"] == lost
        assert organization.own_events("ApiCallerRefused")
        organization.wait_received(20)


def test_a_disk_that_fills():
    with make_organization() as organization:
        world = World(organization, free_permille=500)
        facts = os.statvfs(organization.base)
        size = facts.f_blocks * facts.f_frsize
        add_to_store(organization, f"min_free: {size // 20}")
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        assert metric(organization, "disk_bytes") == size
        # Low, as OrgtrailDiskLow has it, and still taken; then less than min_free.
        for permille in (500, 90, 10):
            world.set(free_permille=permille)
            free = facts.f_blocks * permille // 1000 * facts.f_frsize
            wait_metric(organization, "disk_free_bytes", free)
            world.set(later_s=world.members["later_s"] + 11)
            shown = world.run(organization, "status", organization.store)
            assert f"disk         {free / 2**20:.1f} MiB free" in shown, shown
            assert permille == 10 or metric(organization, "full_store") == 0
            low = "ALARM        less than a tenth of the store's disk is free"
            assert (low in shown) == (permille < 100), shown
            if permille == 90:
                details = wait_own_event(
                    organization, "DiskLow",
                    lambda: world.set(later_s=world.members["later_s"] + 400),
                )
                assert details["freeBytes"] == free and details["sizeBytes"] == size, details
        agent.append(make_range(11, 20))
        wait_metric(organization, "full_store", 1)
        assert "ALARM        the store has no room: nothing is acknowledged" in say_status(organization)
        assert not organization.own_events("StoreWasFull")
        world.set(free_permille=500)
        assert "20" in wait_own_event(organization, "StoreWasFull")["since"]
        world.set(later_s=world.members["later_s"] + 11)
        wait_own_event(organization, "DiskEnough")
        assert len(organization.own_events("DiskLow")) == 1
        organization.wait_received(20)
        wait_metric(organization, "full_store", 0)


class Supervisor:
    """What systemd hears of a service with a watchdog."""

    def __init__(self, program):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"orgtrail-test-{os.getpid()}-{id(program)}"
        self.socket.bind("\0" + name)
        # As systemd has it with WatchdogSec=120.
        program.environment = {
            **(program.environment or os.environ), "NOTIFY_SOCKET": "@" + name, "WATCHDOG_USEC": "120000000"
        }

    def hear(self, seconds):
        """Everything that was said and is said within this time."""
        heard, until = [], time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.01, until - time.monotonic()))
            try:
                heard.append(self.socket.recv(256).decode())
            except TimeoutError:
                return heard


def test_a_writer_that_stands_still_feeds_no_watchdog():
    with make_organization() as organization:
        world = World(organization)
        supervisor = Supervisor(organization.collector)
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        heard = supervisor.hear(4)
        assert heard[0] == "READY=1" and heard.count("WATCHDOG=1") >= 2, heard
        # A disk that takes its time is not hung yet.
        world.set(is_held=1)
        agent.append(make_range(11, 20))
        supervisor.hear(1)
        assert "WATCHDOG=1" in supervisor.hear(4)
        world.set(later_s=70)
        flow.wait_until("the writer's stand in status", lambda: "the writer has been waiting" in
                        say_status(organization))
        supervisor.hear(1)
        assert supervisor.hear(5) == [], "systemd would not end it"
        # As long as nobody ends it, it goes on by itself.
        world.set(is_held=0)
        organization.wait_received(20)
        assert "WATCHDOG=1" in supervisor.hear(4)
        organization.collector.stop()
        assert "STOPPING=1" in supervisor.hear(1)


def test_an_agent_that_stands_still_feeds_no_watchdog():
    with make_organization() as organization:
        world = World(organization)
        organization.collector.environment = None
        organization.start_collector()
        agent = organization.enroll("-a", SHOP, is_started=False)
        agent.environment = world.environment
        supervisor = Supervisor(agent)
        agent.start()
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        heard = supervisor.hear(4)
        assert heard[0] == "READY=1" and heard.count("WATCHDOG=1") >= 2, heard
        # Its disk hangs within a sync, in its one thread: systemd hears no more and ends it in time.
        world.set(is_held=1)
        agent.append(make_range(11, 20))
        supervisor.hear(2)
        assert supervisor.hear(5) == []
        world.set(is_held=0)
        organization.wait_received(20)
        assert "WATCHDOG=1" in supervisor.hear(4)


def test_programs_that_are_stopped_feed_no_watchdog():
    with make_organization() as organization:
        supervisors = [Supervisor(organization.collector)]
        organization.start_collector()
        agent = organization.enroll("-a", SHOP, is_started=False)
        supervisors.append(Supervisor(agent))
        agent.start()
        agent.wait_for_message("session begun")
        for program, supervisor in zip((organization.collector, agent), supervisors):
            assert "WATCHDOG=1" in supervisor.hear(4)
            program.process.send_signal(signal.SIGSTOP)
            supervisor.hear(1)
            assert supervisor.hear(4) == []
            program.process.send_signal(signal.SIGCONT)
            assert "WATCHDOG=1" in supervisor.hear(4)


def test_records_that_do_not_come_back_compressed():
    with make_organization() as organization:
        organization.collector.arguments[0] = flow.find_program("tests/watch", "erring_collector")
        organization.start_collector()
        records = make_range(1, 5000)  # enough for a block
        agent = organization.enroll("-a", SHOP)
        agent.append(records)
        organization.wait_received(len(records))
        details = wait_own_event(organization, "TextsMismatched")
        assert details["sinceStart"] == 1, details
        assert metric(organization, "mismatched_texts") == 1
        assert organization.status()["collector"]["mismatched_texts"] == 1
        shown = say_status(organization)
        assert "ALARM        1 record did not come back compressed: stored as it is" in shown, shown
        # What was wrong is there as it came.
        found = organization.export("--event-source", "ec2.amazonaws.com")
        assert sorted(found) == sorted(records), found
        agent.kill()
        organization.collector.stop()
        assert organization.check() > len(records)


if __name__ == "__main__":
    cases.run("stuck", globals())
