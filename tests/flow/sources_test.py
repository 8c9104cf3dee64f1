#!/usr/bin/env python3
"""Sources at work: standard input, rotation while the agent is away, files that come again."""

import json
import os
import shutil
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402


def make_organization():
    organization = flow.Organization(accounts=[SHOP], management=OWNER)
    organization.start_collector()
    return organization


def edit(agent, old, new):
    with open(agent.config_path, encoding="utf-8") as file:
        text = file.read()
    assert old in text, text
    with open(agent.config_path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))


def expect_all(organization, records):
    organization.wait_received(len(records))
    # The account's alone: a collector that starts again tells which of its settings are new.
    assert sorted(organization.export("--account", SHOP)) == sorted(records)


def test_standard_input_once():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        edit(agent, '"lines.ndjson"', '"-"')
        agent.deliver(make_range(1, 30))
        piped = b"".join(record + b"\n" for record in make_range(101, 400))
        done = subprocess.run(
            [*agent.arguments, "--once"], input=piped, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        assert b"330 records" in done.stdout and b"all acknowledged" in done.stdout, done.stdout
        expect_all(organization, make_range(1, 30) + make_range(101, 400))


def test_once_says_why_it_cannot():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        edit(agent, 'organization: "o-example123"', 'organization: "o-elsewhere9"')
        agent.deliver(make_range(1, 5))
        done = subprocess.run(
            [*agent.arguments, "--once"], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode != 0, done
        for word in ("o-example123", "o-elsewhere9", "organization"):
            assert word in done.stderr, done.stderr
        assert organization.status()["total"]["received"] == 0
        edit(agent, "o-elsewhere9", "o-example123")
        agent.start()
        expect_all(organization, make_range(1, 5))


def test_once_says_what_it_cannot_read():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        agent.append(make_range(1, 5))

        def run_once():
            return subprocess.run(
                [*agent.arguments, "--once"], capture_output=True, text=True, timeout=60, check=False
            )

        # An empty folder is no fault.
        os.makedirs(agent.files, exist_ok=True)
        done = run_once()
        assert done.returncode == 0, done
        assert "cannot be read" not in done.stderr, done.stderr
        # Without it the rest is delivered, and the run says that something is missing.
        os.rename(agent.files, f"{agent.files}.away")
        agent.append(make_range(6, 9))
        done = run_once()
        assert done.returncode == 75, done
        assert "4 records" in done.stdout, done.stdout
        told = [line for line in done.stderr.splitlines() if "orgtrail-agent: source files: " in line]
        assert len(told) == 1, done.stderr
        assert agent.files in told[0] and "No such file or directory" in told[0], told
        assert "1 of 2 sources could not be read" in done.stderr, done.stderr
        expect_all(organization, make_range(1, 9))
        # Nothing at all, now or before, and nobody to send it to.
        os.remove(agent.lines)
        shutil.rmtree(agent.spool)
        organization.collector.stop()
        done = run_once()
        assert done.returncode == 75, done
        assert f"{agent.lines}: No such file or directory" in done.stderr, done.stderr
        assert "2 of 2 sources could not be read" in done.stderr, done.stderr


def test_rotation_while_the_agent_is_killed():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        wanted = make_range(9001, 9010)
        agent.append(wanted)
        organization.wait_received(10)  # it knows the first file
        for step in range(6):
            first = 1000 * step
            agent.append(make_range(first + 1, first + 50))
            if step % 2:
                agent.kill()
            agent.append(make_range(first + 51, first + 70))
            os.rename(agent.lines, f"{agent.lines}.{step}")
            agent.append(make_range(first + 71, first + 90))
            wanted += make_range(first + 1, first + 90)
            if step % 2:
                agent.start()
            flow.wait_until(
                lambda count=len(wanted): f"{count} stored: {organization.status()['total']}",
                lambda count=len(wanted): organization.status()["total"]["stored"] >= count,
            )
        found = [line for line in organization.export() if b"orgtrail.local" not in line]
        assert sorted(found) == sorted(wanted)


def test_files_that_come_again():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.deliver(make_range(1, 40), "2026/03/01/first.json.gz")
        organization.wait_received(40)
        # A restart does not read it again, a copy under another name is told by its events.
        agent.kill()
        agent.start()
        first = os.path.join(agent.files, "2026/03/01/first.json.gz")
        shutil.copyfile(first, first.replace("first", "second"))
        status = organization.wait_received(80)
        assert status["total"]["duplicates"] == 40, status["total"]
        agent.stop()
        agent.start()
        agent.deliver(make_range(41, 50), "2026/03/02/third.json.gz")
        status = organization.wait_received(90)
        assert status["total"]["stored"] == 50, status["total"]


def select(agent, selectors):
    """Gives the agent event selectors."""
    with open(os.path.join(agent.folder, "selectors.json"), "w", encoding="utf-8") as file:
        json.dump(selectors, file)


def test_event_selectors():
    """What they do not select stays away and is counted; what cannot be read is sent all the same."""
    writes = [{"Field": "eventCategory", "Equals": ["Management"]},
              {"Field": "readOnly", "Equals": ["false"]}]
    data_events = [{"Field": "eventCategory", "Equals": ["Data"]},
                   {"Field": "resources.type", "Equals": ["AWS::S3::Object"]}]
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        edit(agent, "sources:", 'event_selectors: "selectors.json"\nsources:')
        select(agent, [{"FieldSelectors": writes[1:]}])
        check = subprocess.run(
            [*agent.arguments, "--check"], capture_output=True, text=True, timeout=60, check=False
        )
        assert check.returncode == 2, check
        assert "Field eventCategory with Equals is required" in check.stderr, check.stderr
        assert "selectors.json" in check.stderr, check.stderr
        select(agent, [{"Name": "writes", "FieldSelectors": writes}])
        agent.start()
        reads = [make(number, readOnly=True) for number in range(1001, 1031)]
        data = [make(number, eventCategory="Data") for number in range(2001, 2006)]
        wanted = make_range(1, 20)
        agent.deliver(reads[:10] + wanted[:10] + data)
        agent.deliver(reads[10:20])  # a file of which nothing is kept
        agent.append(wanted[10:] + reads[20:])
        agent.append([make(3001, without=["eventName"])])
        organization.wait_received(21)
        assert sorted(organization.export("--account", SHOP)) == sorted(wanted)
        assert len(organization.quarantine()) == 1

        def find():
            agents = organization.status()["collector"]["agents"]
            return agents and agents[0]["left_out"] == 35

        flow.wait_until("35 left out in the coverage", find)
        assert "; 35 records left out" in organization.run("status", organization.store).stdout
        told = json.loads(organization.run("agent", "status", agent.folder, "--json").stdout)
        assert told["left_out"] == 35 and told["records"] == 21, told
        # Taken all the same: a file of which nothing was kept is not read again.
        agent.stop()
        agent.start()
        agent.deliver(make_range(21, 21))
        organization.wait_received(22)
        told = json.loads(organization.run("agent", "status", agent.folder, "--json").stdout)
        assert told["left_out"] <= 10, told  # those behind the log's last event
        # Other selectors without a restart; what is no good changes nothing.
        for selectors, said in (("nonsense", "event selectors not taken"), ([
                {"FieldSelectors": writes}, {"FieldSelectors": data_events}], "event selectors taken")):
            select(agent, selectors)
            agent.process.send_signal(signal.SIGHUP)
            agent.wait_for_message(said)
        resources = [{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::shop/receipt"}]
        agent.deliver([make(number, eventCategory="Data", resources=resources) for number in (2101, 2102)])
        organization.wait_received(24)


def test_reading_while_nobody_writes():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 20))
        organization.wait_received(20)
        organization.collector.kill()
        assert len(organization.lookup("--account", SHOP)) == 20
        assert organization.check() == 20
        agent.append(make_range(21, 40))
        organization.start_collector()
        expect_all(organization, make_range(1, 40))


if __name__ == "__main__":
    cases.run("sources_test", globals())
