#!/usr/bin/env python3
"""Disks that are full or read-only, and settings that are wrong: said clearly, nothing is lost."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402


def make_organization(**options):
    return flow.Organization(accounts=[SHOP], management=OWNER, **options)


def make_large(first, last):
    """Records that nothing makes smaller."""
    return [
        make(number, requestParameters={"userData": os.urandom(24000).hex()})
        for number in range(first, last + 1)
    ]


def add_setting(organization, section, line):
    text = organization.read_settings().replace(f"\n{section}:\n", f"\n{section}:\n  {line}\n")
    assert line in text
    organization.write_settings(text)


def expect_exported(organization, records):
    """All these and nothing else but the collector's own events."""
    exported = organization.export()
    extra = set(exported) - set(records)
    assert all(json.loads(line)["eventSource"] == "orgtrail.local" for line in extra), extra
    assert len(exported) == len(records) + len(extra) and set(records) <= set(exported), extra
    assert organization.check() == len(exported)


def edit(path, old, new):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert text.count(old) >= 1, f"{old!r} is not in {path}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new, 1))


def test_store_at_its_limit():
    records = make_large(1, 3200)
    with make_organization() as organization:
        add_setting(organization, "store", "size_max: 64MiB")
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append(records)
        line = organization.collector.wait_for_message("the store has no room", seconds=60)
        assert '"level":"error"' in line and "limit of 67108864 bytes" in line, line
        held = organization.status()["total"]
        assert held["balanced"] and held["stored"] < len(records), held
        flow.wait_until("503", lambda: fetch_health(organization) == 503)
        assert organization.collector.is_running() and agent.is_running()
        assert organization.check() == held["stored"]

        assert organization.collector.stop() == 0
        edit(organization.config_path, "size_max: 64MiB", "size_max: 1GiB")
        organization.start_collector()
        organization.wait_received(len(records), seconds=60)
        expect_exported(organization, records)


def fetch_health(organization):
    try:
        organization.fetch("/healthz")
    except OSError as error:
        return getattr(error, "code", None)
    return 200


def test_store_without_free_space():
    with make_organization() as organization:
        # More than any disk has: as if it were nearly full.
        add_setting(organization, "store", "min_free: 4000TiB")
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 20))
        flow.wait_until(
            lambda: f"full: {agent.log()} {organization.collector.log()}",
            lambda: "no room" in organization.collector.log() or "full" in agent.log(),
        )
        assert organization.status()["total"]["received"] == 0
        assert organization.collector.stop() == 0
        edit(organization.config_path, "min_free: 4000TiB", "min_free: 1MiB")
        organization.start_collector()
        organization.wait_received(20, seconds=60)


def limit_files(size):
    """A file that passes the limit cannot be written: the disk's error, whoever we are."""

    def prepare():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return prepare


def test_store_that_cannot_be_written():
    records = make_large(1, 120)
    with make_organization() as organization:
        organization.start_collector()
        organization.collector.stop()
        organization.start_collector(preexec=limit_files(2 << 20))
        agent = organization.enroll("-a", SHOP)
        agent.append(records)
        flow.wait_until(
            "it ends or says that it is full",
            lambda: not organization.collector.is_running()
            or "no room" in organization.collector.log(),
        )
        if organization.collector.is_running():
            organization.collector.kill()
        else:
            assert organization.collector.wait() in (1, 75)
        ended = organization.collector.log()
        assert organization.store in os.path.normpath(ended) or "store" in ended, ended
        assert "File too large" in ended or "no room" in ended, ended
        organization.start_collector()
        organization.wait_received(len(records), seconds=60)
        expect_exported(organization, records)


def mount_small(folder, size):
    """Puts a disk of this size there; the sandbox, or the caller, takes it away."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        raise cases.Skipped("this machine does not let us mount; the tests of limits stand for it")


def resize(folder, size):
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)


def umount(folder):
    subprocess.run(["umount", "-l", folder], check=True)


def test_disk_of_the_store_is_full():
    records = make_large(1, 300)
    with make_organization() as organization:
        mount_small(organization.store, "6m")
        try:
            add_setting(organization, "store", "min_free: 1")  # the disk itself says no
            organization.start_collector()
            agent = organization.enroll("-a", SHOP)
            agent.append(records)
            line = organization.collector.wait_for_message("the store has no room")
            assert "store" in line and "No space left on device" in line, line
            held = organization.status()["total"]
            assert held["balanced"] and held["stored"] < len(records), held
            assert organization.check() == held["stored"]
            # It goes on by itself as soon as there is room; nothing is started again.
            resize(organization.store, "200m")
            organization.collector.wait_for_message("the store has room again")
            flow.wait_until("it is told", lambda: organization.own_events("StoreWasFull"))
            told = organization.own_events("StoreWasFull")[0]["serviceEventDetails"]
            assert "No space left on device" in told["detail"] and told["since"], told
            organization.wait_received(len(records), seconds=60)
            expect_exported(organization, records)
            organization.end()
        finally:
            umount(organization.store)


def test_disk_of_the_spool_is_full():
    records = make_large(1, 1000)  # about 48 MB
    with make_organization() as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP, is_started=False)
        organization.collector.stop()
        os.makedirs(agent.spool)
        mount_small(agent.spool, "20m")
        try:
            agent.append(records)
            agent.start()
            line = agent.wait_for_message("nothing more fits")
            assert "spool" in line and '"level":"warning"' in line, line
            organization.start_collector()
            organization.wait_received(len(records), seconds=60)
            assert agent.is_running()
            expect_exported(organization, records)
            organization.end()
        finally:
            umount(agent.spool)


def test_spool_at_its_limit():
    records = make_large(1, 1600)  # about 78 MB
    with make_organization() as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP, is_started=False)
        edit(agent.config_path, "size_max: 1GiB", "size_max: 64MiB")
        port = flow.find_free_port()
        with open(agent.config_path, "a", encoding="utf-8") as file:
            file.write(f'http:\n  listen: "127.0.0.1:{port}"\n')
        organization.collector.stop()
        agent.append(records)
        agent.start()
        line = agent.wait_for_message("nothing more fits")
        assert "spool" in line, line

        def is_told():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
                return "\norgtrail_agent_full_spool 1\n" in page.read().decode()

        flow.wait_until("a full spool in metrics", is_told)
        assert "FULL" in organization.run("agent", "status", agent.folder).stdout
        sizes = [
            os.path.getsize(os.path.join(folder, name))
            for folder, _, names in os.walk(agent.spool)
            for name in names
        ]
        assert sum(sizes) <= 64 << 20, sum(sizes)
        time.sleep(10)  # GATHER_FULL_TOLD_MS of agent/gather.h
        organization.start_collector()
        organization.wait_received(len(records), seconds=60)
        expect_exported(organization, records)
        # Once there is room for it, the trail hears of it.
        told = flow.wait_until("a Notice", lambda: organization.own_events("AgentNotice"))
        details = told[0]["serviceEventDetails"]
        assert len(told) == 1 and details["reason"] == "spool_was_full", told
        assert details["agent"] == agent.uri and details["place"].startswith("20"), details


def test_spool_that_cannot_be_written():
    records = make_large(1, 100)
    with make_organization() as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP, is_started=False)
        organization.collector.stop()
        agent.append(records)
        agent.start(preexec=limit_files(1 << 20))
        flow.wait_until(
            "it ends or says that nothing fits",
            lambda: not agent.is_running() or "nothing more fits" in agent.log(),
        )
        said = agent.log()
        assert "spool" in said and "File too large" in said, said
        if agent.is_running():
            agent.kill()
        else:
            assert agent.wait() == 1
        organization.start_collector()
        agent.start()
        organization.wait_received(len(records), seconds=60)
        expect_exported(organization, records)


def test_spool_that_vanishes():
    with make_organization() as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append([make(number) for number in range(1, 11)])
        organization.wait_received(10)
        shutil.rmtree(agent.spool)
        agent.append([make(number) for number in range(11, 21)])
        # The unit has it started again after this exit, other than after one for wrong settings.
        code = agent.wait()
        said = agent.log()
        assert code == 1 and '"kind":"io"' in said and "No such file" in said, (code, said)
        agent.start()
        expect = [make(number) for number in range(1, 31)]
        agent.append(expect[20:])
        flow.wait_until("all there", lambda: set(expect) <= set(organization.export()))


def obey_modes():
    """Runs in the child: root, too, is kept out by the modes of files, and so is what it starts."""
    drop, override, search = 24, 1, 2  # PR_CAPBSET_DROP; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if os.geteuid() == 0:
        for capability in (override, search):
            flow.LIBC.prctl(drop, capability, 0, 0, 0)


def test_folders_that_are_closed_while_it_runs():
    with make_organization() as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP, is_started=False)
        agent.append(make_range(1, 10))
        agent.start(preexec=obey_modes)
        organization.wait_received(10)
        modes = {path: os.stat(path).st_mode for path in (agent.spool, agent.files)}
        for path in modes:
            os.chmod(path, 0)
        line = agent.wait_for_message("a source has trouble")
        assert "Permission denied" in line and agent.files in line, line
        assert agent.is_running(), agent.log()
        agent.append(make_range(11, 20))
        # As for a spool that has gone: an exit after which the unit has it started again.
        code = agent.wait()
        said = agent.log()
        assert code == 1 and '"kind":"io"' in said and "Permission denied" in said, (code, said)
        # Started again, it says what is in the way, until somebody has mended it.
        agent.start(preexec=obey_modes)
        assert agent.wait() == 3, agent.log()
        assert f"{agent.spool} cannot be written by this user" in agent.log(), agent.log()
        for path, mode in modes.items():
            os.chmod(path, mode)
        agent.start(preexec=obey_modes)
        agent.deliver(make_range(21, 30))
        expect = make_range(1, 30)
        flow.wait_until("all there", lambda: set(expect) <= set(organization.export()))


def make_unwritable(path):
    """Nobody may write there, root neither; False if this machine cannot do that."""
    for command in (["mount", "--bind", "-o", "ro", path, path], ["chattr", "+i", path]):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            break
    try:
        with open(os.path.join(path, "try"), "wb"):
            pass
    except OSError:
        return True
    os.remove(os.path.join(path, "try"))
    if os.geteuid() == 0:
        return False
    os.chmod(path, 0o500)
    return True


def make_writable(path):
    for command in (["umount", path], ["chattr", "-i", path], ["chmod", "700", path]):
        subprocess.run(command, capture_output=True, check=False)


def test_folders_that_are_read_only():
    with make_organization() as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP, is_started=False)
        organization.collector.stop()
        os.makedirs(agent.spool)
        for program, folder in ((organization.collector, organization.store), (agent, agent.spool)):
            if not make_unwritable(folder):
                # As good as read-only for both of them: no file, no folder of that name.
                os.rename(folder, folder + ".aside")
                open(folder, "wb").close()
            program.start()
            code = program.wait()
            said = program.log()
            make_writable(folder)
            if os.path.isfile(folder):
                os.remove(folder)
                os.rename(folder + ".aside", folder)
            assert code != 0, said
            assert os.path.basename(folder) in said and '"level":"error"' in said, said
        agent.append(make_range(1, 20))
        agent.start()
        organization.start_collector()
        organization.wait_received(20, seconds=60)


def run_program(program):
    return subprocess.run(
        [*program.arguments, "--check"], capture_output=True, text=True, timeout=30, check=False
    )


WRONG_SETTINGS = [
    # (whose, what stands there, what shall, what must be said)
    ("collector", "\nlisten: ", "\nlisten_on: x\nlisten: ", ["line 7", "listen_on"]),
    ("collector", "\nstore:", "\nstore:\n  folder: x", ["folder"]),
    ("collector", "http:", "http: [", ["line"]),
    ("collector", "listen: 127.0.0.1", "listen: localhost", ["listen", "localhost"]),
    ("collector", "  certificate: collector.pem", "  certificate: missing.pem", ["missing.pem"]),
    ("agent", "\ncollector:", "\nspeed: 7\ncollector:", ["line", "speed"]),
    ("agent", "\n  size_max: 1GiB", "\n  size_max: much", ["size_max", "much"]),
    ("agent", '    kind: "tail"', '    kind: "tale"', ["kind", "tale"]),
    ("agent", "  key: agent.key", "  key: missing.key", ["missing.key"]),
]


def test_settings_that_are_wrong():
    with make_organization() as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP, is_started=False)
        organization.collector.stop()
        for whose, old, new, words in WRONG_SETTINGS:
            program = agent if whose == "agent" else organization.collector
            path = agent.config_path if whose == "agent" else organization.config_path
            with open(path, encoding="utf-8") as file:
                good = file.read()
            edit(path, old, new)
            done = run_program(program)
            program.start()
            code = program.wait()
            with open(path, "w", encoding="utf-8") as file:
                file.write(good)
            assert done.returncode == code == 2, f"{new!r}: {done.returncode}, {code}: {done.stderr}"
            for word in [os.path.basename(path), *words]:
                assert word in done.stderr, f"{new!r}: {word!r} is not said: {done.stderr}"
                assert word in program.log(), f"{new!r}: {word!r} is not in the log: {program.log()}"
        for program in (agent, organization.collector):
            done = run_program(program)
            assert done.returncode == 0 and "good" in done.stdout, done


if __name__ == "__main__":
    cases.run("bad_disk_test", globals())
