#!/usr/bin/env python3
"""The control socket from outside: who may ask and change, and what a change does."""

import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import BANK, OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402

NOBODY = 65534


def make_organization(*extra, start=True):
    """One whose collector has these lines in its settings."""
    organization = flow.Organization(accounts=[SHOP], management=OWNER)
    organization.write_settings(organization.read_settings() + "".join(extra))
    if start:
        organization.start_collector()
    return organization


def of_bank(first, last, **members):
    return [make(number, recipientAccountId=BANK, **members) for number in range(first, last + 1)]


def add_account(organization, account, more=""):
    text = organization.read_settings()
    line = f'  accounts:\n    - {{id: "{account}", name: added{more}}}\n'
    assert text.count("  accounts:\n") == 1, text
    organization.write_settings(text.replace("  accounts:\n", line))


def wait_quarantined(organization, count, reason):
    def is_there():
        found = organization.quarantine(reason)
        return found if sum(entry["count"] for entry in found) >= count else None

    return flow.wait_until(f"{count} refusals for {reason}", is_there)


def test_forecast_is_for_what_the_collector_keeps_free():
    with make_organization(start=False) as organization:
        text = organization.read_settings()
        assert text.count("  directory: ") == 1, text
        organization.write_settings(text.replace("  directory: ", "  min_free: 12345678\n  directory: "))
        organization.start_collector()
        assert organization.status()["upkeep"]["disk_min_free"] == 12345678
        organization.collector.stop()
        assert organization.status()["upkeep"]["disk_min_free"] != 12345678


def test_status_with_and_without_the_collector():
    with make_organization() as organization:
        live = organization.status()["collector"]
        assert live["pid"] == organization.collector.process.pid, live
        assert live["complaint"] is None and live["streams"] == 0, live
        organization.enroll("-a", SHOP)
        flow.wait_until(
            "a stream in status", lambda: organization.status()["collector"]["streams"] == 1
        )
        said = organization.run("status", organization.store).stdout
        assert said.startswith("collector    ") and "1 stream" in said, said
        assert "deny list    0 entries" in said, said
        organization.run("deny", "add", "spiffe://o-example123/account/999999999999", "closed", "--store", organization.store)
        assert organization.status()["collector"]["denied"] == ["spiffe://o-example123/account/999999999999"]
        said = organization.run("status", "--config", organization.config_path).stdout
        assert "deny list    1 entry\n             spiffe://o-example123/account/999999999999  closed\n" in said, said
        assert "ALARM        the collector does not run" not in said, said
        organization.collector.kill()
        done = organization.run("status", "--config", organization.config_path, code=1)
        down = f"the collector does not run (control socket {organization.store}/control.sock)"
        assert f"ALARM        {down}\n" in done.stdout and down in done.stderr, done
        assert "ALARM" not in organization.run("status", organization.store).stdout
        status = organization.status()
        assert status["collector"] is None and "nobody serves" in status["collector_absence"]
        assert status["agents"], status
        # What the killed one left behind is replaced.
        assert os.path.exists(os.path.join(organization.store, "control.sock"))
        organization.start_collector()
        assert organization.status()["collector"]["pid"] == organization.collector.process.pid
        organization.collector.stop()
        assert not os.path.exists(os.path.join(organization.store, "control.sock"))


def test_settings_of_the_other_daemon():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP, is_started=False)
        theirs = os.path.join(agent.folder, "agent.yaml")
        said = organization.run("status", "--config", theirs, code=2).stderr
        assert f"{theirs} holds an agent's settings" in said and "orgtrail agent status --config" in said, said
        ours = organization.config_path
        said = organization.run("agent", "status", "--config", ours, code=2).stderr
        assert f"{ours} holds a collector's settings" in said and "orgtrail status --config" in said, said


def test_unknown_accounts_come_in_when_the_roster_has_them():
    with make_organization("  unknown: quarantine\n", start=False) as organization:
        text = organization.read_settings().replace("  unknown: quarantine\n", "")
        organization.write_settings(text.replace("roster:\n", "roster:\n  unknown: quarantine\n"))
        organization.start_collector()
        agent = organization.enroll("--organization")
        agent.append(make_range(1, 10) + of_bank(11, 15) + of_bank(11, 12))
        organization.wait_received(17)
        entries = wait_quarantined(organization, 7, "unknown_account")
        assert len(entries) == 5, entries
        # A file that is not good changes nothing, and is named with its line.
        good = organization.read_settings()
        organization.write_settings(good + "nonsense: 1\n")
        done = organization.run("reload", organization.store, code=2)
        line = good.count("\n") + 1
        assert f"line {line}" in done.stderr and "nonsense" in done.stderr, done.stderr
        assert len(organization.quarantine("unknown_account")) == 5
        organization.write_settings(good)
        # Retrying without a change changes nothing.
        done = organization.run("quarantine", "retry", organization.store, "--all")
        assert done.stdout.startswith("0 of 5 entries admitted"), done.stdout
        assert organization.status()["total"]["quarantined"] == 7
        add_account(organization, BANK)
        said = organization.run("reload", organization.store).stdout
        assert "1 added, 0 removed, 0 changed" in said and "5 refused records" in said, said
        flow.wait_until(
            lambda: f"retried: {organization.quarantine()}",
            lambda: organization.quarantine() == [],
        )
        total = organization.status()["total"]
        wanted = {"received": 17, "stored": 15, "duplicates": 2, "quarantined": 0, "balanced": True}
        assert {key: total[key] for key in wanted} == wanted, total
        (changed,) = organization.own_events("RosterChanged")
        details = changed["serviceEventDetails"]
        assert details["added"] == 1 and details["detail"] == f"+{BANK}", details
        assert f"uid {os.getuid()}" in details["user"], details
        (retried,) = organization.own_events("QuarantineRetried")
        details = retried["serviceEventDetails"]
        assert details["admitted"] == 5 and details["records"] == 7, details
        agent.append(of_bank(16, 16))
        assert organization.wait_received(18)["total"]["stored"] == 16
        # The counts survive the process, and the session that had the stream.
        organization.collector.kill()
        organization.start_collector()
        agent.append(of_bank(17, 17))
        assert organization.wait_received(19)["total"]["quarantined"] == 0
        assert "orgtrail_collector_retried_events_total 0" in organization.fetch("/metrics")


def test_signal_reloads_the_roster():
    with make_organization() as organization:
        agent = organization.enroll("--organization")
        agent.append(of_bank(1, 1))
        organization.wait_received(1)
        (unlisted,) = organization.own_events("AccountUnlisted")
        assert unlisted["serviceEventDetails"]["account"] == BANK, unlisted
        add_account(organization, BANK, ", regions: [eu-west-1]")
        organization.collector.process.send_signal(1)
        line = json.loads(organization.collector.wait_for_message('"roster reloaded"'))
        assert line["user"].startswith("SIGHUP of uid") and line["added"] == 1, line


def read_waiting(organization):
    """The settings that a reload says wait for the next start."""
    said = organization.run("reload", organization.store).stdout
    (line,) = [line for line in said.splitlines() if "only when the collector starts again: " in line]
    return line.split(": ")[1].split()


def test_a_reload_names_what_waits_for_a_start():
    with make_organization() as organization:
        # The collector began with free ports, which were put into the file since.
        ports = ["listen", "http.listen"]
        assert read_waiting(organization) == ports
        text = organization.read_settings()
        organization.write_settings(
            text.replace("store:\n", "store:\n  retention_days: 30\n") + "\nfuture_max_hours: 30\n"
        )
        waiting = [*ports, "store.retention_days", "future_max_hours"]
        assert read_waiting(organization) == waiting
        line = organization.collector.wait_for_message("only at the next start.*retention_days")
        assert json.loads(line)["settings"] == " ".join(waiting), line
        organization.write_settings(text)
        assert read_waiting(organization) == ports
        assert organization.collector.stop() == 0
        organization.start_collector()
        said = organization.run("reload", organization.store).stdout
        assert "starts again" not in said, said


def test_discarding_makes_room():
    with make_organization(start=False) as organization:
        text = organization.read_settings()
        assert "store:\n" in text, text
        organization.write_settings(text.replace("store:\n", "store:\n  quarantine_max: 4KiB\n"))
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append(of_bank(1, 20))
        wait_quarantined(organization, 5, "identity")
        organization.collector.wait_for_message("agent throttled")
        agent.append(make_range(21, 30))
        flow.wait_until(
            "the throttle in metrics",
            lambda: "throttled_streams 1" in organization.fetch("/metrics"),
        )
        (first, *_) = organization.quarantine("identity")
        said = organization.run("quarantine", "discard", first["key"], organization.store).stdout
        assert said.startswith("1 of 1 entries discarded: 1 refusals"), said
        done = organization.run("quarantine", "show", first["key"], organization.store, code=2)
        assert "no entry" in done.stderr, done.stderr
        # In vain while others are chosen, then all of them.
        for wrong in (["--account", OWNER], ["--reason", "future"], ["--agent", "region/none"],
                      ["--until", "2020-01-01"], ["--since", "2090-01-01"]):
            organization.run("quarantine", "discard", organization.store, *wrong)
        before = len(organization.quarantine())
        chosen = ["--account", BANK, "--reason", "identity", "--agent", SHOP, "--since", "1h"]
        done = organization.run("quarantine", "discard", organization.store, "--dry-run", *chosen)
        assert len(done.stdout.splitlines()) == before, done.stdout
        organization.run("quarantine", "discard", organization.store, *chosen)

        def is_done():
            organization.run("quarantine", "discard", organization.store, "--all")
            return organization.status()["total"]["stored"] == 10

        flow.wait_until(lambda: f"room again: {organization.status()['total']}", is_done)
        total = organization.status()["total"]
        assert total["quarantined"] == 20 and total["balanced"], total
        events = organization.own_events("QuarantineDiscarded")
        sums = [event["serviceEventDetails"]["records"] for event in events]
        held = sum(entry["count"] for entry in organization.quarantine())
        assert sum(sums) + held == 20 and len(sums) >= 2, sums


class Stranger:
    """Runs `orgtrail` as nobody, in groups of choice, where nobody can reach it."""

    def __init__(self, organization):
        self.folder = tempfile.mkdtemp(prefix="control.", dir="/tmp")
        os.chmod(self.folder, 0o755)
        self.program = os.path.join(self.folder, "orgtrail")
        shutil.copy(organization.program, self.program)
        os.chmod(self.program, 0o755)
        self.socket = os.path.join(self.folder, "control.sock")

    def run(self, *arguments, groups=()):
        def become():
            os.setgroups(list(groups))
            os.setgid(NOBODY)
            os.setuid(NOBODY)

        return subprocess.run(
            [self.program, *arguments, "--socket", self.socket],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
            preexec_fn=become,
        )


def test_only_who_may_changes_anything():
    if os.getuid() != 0:
        raise cases.Skipped("only root can be somebody else")
    # Two groups that every Debian has and that nobody is in.
    asking, changing = 60, 20  # games, dialout
    with make_organization(start=False) as organization:
        stranger = Stranger(organization)
        try:
            organization.write_settings(
                organization.read_settings()
                + f"control: {{socket: {stranger.socket}, group: games, admin_group: dialout}}\n"
            )
            organization.start_collector()
            mode = os.stat(stranger.socket)
            assert stat.S_IMODE(mode.st_mode) == 0o660 and mode.st_gid == asking, mode
            done = stranger.run("reload")
            assert done.returncode == 3 and "member of the socket's group" in done.stderr, done
            done = stranger.run("reload", groups=[changing])
            assert done.returncode == 3 and "member of the socket's group" in done.stderr, done
            done = stranger.run("reload", groups=[asking])
            assert done.returncode == 3 and "member of the group dialout" in done.stderr, done
            refused = json.loads(organization.collector.wait_for_message("a change was refused"))
            assert refused["method"] == "Reload" and f"uid {NOBODY}" in refused["user"], refused
            done = stranger.run("reload", groups=[asking, changing])
            assert done.returncode == 0 and "0 added" in done.stdout, done
            line = json.loads(organization.collector.wait_for_message('"roster reloaded"'))
            assert f"uid {NOBODY}" in line["user"], line
            # Asking needs the first group only; the store itself stays out of reach here.
            assert organization.run("reload", "--socket", stranger.socket).returncode == 0
        finally:
            shutil.rmtree(stranger.folder, ignore_errors=True)


def test_heartbeats_stand_in_status():
    with make_organization("heartbeat_ms: 300\n") as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 3))

        def find():
            for live in organization.status()["collector"]["agents"]:
                sources = {source["name"]: source for source in live["sources"]}
                if live["agent"] == agent.uri and sources["lines"]["records"] == 3:
                    return live if live["spool_events"] == 0 else None
            return None

        live = flow.wait_until("a heartbeat in status", find)
        assert live["version"] and live["host"] and live["heard"].startswith("20"), live
        said = organization.run("status", organization.store).stdout
        assert "CONNECTED: 1" in said and "2 good" in said, said
        # A folder that cannot be read any more is seen from here.
        shutil.rmtree(agent.files)

        def is_told():
            text = organization.run("status", organization.store).stdout
            return "files degraded: " in text or "files failed: " in text

        flow.wait_until("the trouble of a source", is_told)
        agent.kill()
        flow.wait_until(
            "an end of it", lambda: organization.status()["collector"]["agents"] == []
        )


def test_roster_import():
    with make_organization() as organization:
        listed = [
            {"Id": SHOP, "Name": "another name", "Status": "ACTIVE"},
            {"Id": BANK, "Name": 'a "bank"', "Status": "ACTIVE", "Email": "b@example.com"},
            {"Id": "444444444444", "Name": "closed", "Status": "SUSPENDED"},
        ]
        path = os.path.join(organization.base, "accounts.json")

        def write(content):
            with open(path, "w", encoding="utf-8") as file:
                file.write(content if isinstance(content, str) else json.dumps(content))

        arguments = ["roster", "import", path, "--config", organization.config_path]
        before = organization.read_settings()
        write({"Accounts": listed})
        said = organization.run(*arguments, "--dry-run").stdout
        assert f'+ {BANK}  a "bank"' in said and "1 would be added, 1 known, 1 closed" in said, said
        assert organization.read_settings() == before
        said = organization.run(*arguments).stdout
        assert f"? {OWNER}  is in the roster" in said and "1 added, 1 known" in said, said
        assert "orgtrail reload" in said, said
        after = organization.read_settings()
        assert len(after.splitlines()) == len(before.splitlines()) + 1, after
        said = organization.run("reload", organization.store).stdout
        assert "1 added, 0 removed, 0 changed" in said, said
        # Again changes nothing; what is no list is refused and changes nothing.
        assert "0 added, 2 known" in organization.run(*arguments).stdout
        for wrong, word in (
            ("{", "invalid JSON"),
            ({"accounts": []}, "list-accounts"),
            ({"Accounts": [{"Name": "x"}]}, "account 1"),
            ({"Accounts": [{"Id": "12"}]}, "12"),
        ):
            write(wrong)
            done = organization.run(*arguments, code=2)
            assert word in done.stderr and path in done.stderr, done.stderr
        assert organization.read_settings() == after


def test_agent_status():
    with make_organization() as organization:
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 7))
        organization.wait_received(7)

        def ask():
            said = json.loads(organization.run("agent", "status", "--json", agent.spool).stdout)
            return said if said["acknowledged"] == 7 and said["state"] == "streaming" else None

        said = flow.wait_until("all acknowledged", ask)
        assert said["pid"] == agent.process.pid and said["appended"] == 7, said
        assert said["collector"].endswith(str(organization.port)), said
        assert said["certificate_expires"].startswith("20"), said
        lines = {source["name"]: source for source in said["sources"]}
        assert lines["lines"]["records"] == 7 and lines["files"]["records"] == 0, said
        text = organization.run("agent", "status", agent.spool).stdout
        assert "7 of 7 acknowledged, 0 wait" in text and "streaming" in text, text
        for named in ([agent.folder], [os.path.join(agent.folder, "agent.yaml")],
                      ["--config", os.path.join(agent.folder, "agent.yaml")],
                      ["--socket", os.path.join(agent.spool, "control.sock")]):
            assert "7 of 7 acknowledged" in organization.run("agent", "status", *named).stdout, named
        mode = os.stat(os.path.join(agent.spool, "control.sock"))
        assert stat.S_IMODE(mode.st_mode) == 0o600, mode
        organization.collector.kill()
        flow.wait_until(
            "the reason for waiting",
            lambda: json.loads(
                organization.run("agent", "status", "--json", agent.spool).stdout
            )["last_error"],
        )
        agent.kill()
        done = organization.run("agent", "status", agent.spool, code=75)
        assert f"{agent.spool}/control.sock" in done.stderr, done.stderr
        assert "nobody serves there" in done.stderr, done.stderr
        done = organization.run("agent", "status", organization.store + "/none", code=75)
        assert f"{organization.store}/none/control.sock: nobody" in done.stderr, done.stderr
        assert "--config agent.yaml" in done.stderr, done.stderr


def test_agent_status_says_whose_the_socket_is():
    if os.getuid() != 0:
        raise cases.Skipped("only root can be somebody else")
    with make_organization(start=False) as organization:
        stranger = Stranger(organization)
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(stranger.socket)
                os.chmod(stranger.socket, 0o600)
                os.chown(stranger.socket, 1, 1)
                done = stranger.run("agent", "status")
        finally:
            shutil.rmtree(stranger.folder)
        owner = pwd.getpwuid(1).pw_name
        said = f"{stranger.socket} answers its owner and root alone: ask as {owner} or root"
        assert done.returncode == 3 and said in done.stderr, done


def test_settings_that_changed_while_it_was_stopped_are_told():
    with make_organization() as organization:

        def told():
            events = organization.own_events("SettingsChanged")
            return [event["serviceEventDetails"]["settings"] for event in events]

        def restart():
            organization.collector.stop()
            organization.start_collector()

        # The first start had chosen its ports, which the file has had since.
        ports = "listen http.listen"
        assert told() == []
        restart()
        flow.wait_until("the ports", lambda: told() == [ports])
        organization.collector.stop()
        organization.write_settings("region_silent_s: 4000\n" + organization.read_settings())
        add_account(organization, BANK)
        organization.start_collector()
        both = "region_silent_s roster.accounts"
        flow.wait_until("both", lambda: told() == [both, ports])
        # What a reload told is not told again, what it could not take is told at the start.
        text = organization.read_settings().replace("4000", "5000").replace("name: added", "name: b")
        organization.write_settings(text)
        assert "1 changed" in organization.run("reload", organization.store).stdout
        restart()
        flow.wait_until("the other", lambda: told() == ["region_silent_s", both, ports])
        restart()
        organization.collector.stop()
        assert told() == ["region_silent_s", both, ports]


def test_a_second_collector_is_refused():
    with make_organization() as organization:
        second = subprocess.run(
            organization.collector.arguments, capture_output=True, text=True, timeout=30, check=False
        )
        assert second.returncode == 75, second
        assert organization.status()["collector"]["pid"] == organization.collector.process.pid


cases.run("control", globals())
