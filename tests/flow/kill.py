#!/usr/bin/env python3
"""kill.py: kill the collector and its agents while events flow, and count what comes out.

    tests/flow/kill.py [--kills 3] [--events 200000] [--seed 1] [--agents 4] [--keep]

Generated events (tests/kit/traffic) are handed to the agents in portions. In every portion somebody
is killed with SIGKILL, at a number of received events that is drawn, and between a fraction of a
millisecond and half a second later, and started again. At the end every event must be
stored once, and numbers must have no hole. The same seed draws the same victims and moments.
"""

import argparse
import glob
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402

TARGETS = [
    "//cli:orgtrail",
    "//agent:orgtrail-agent",
    "//collector:orgtrail-collector",
    "//tests/kit:make_traffic",
]
WAIT_SECONDS = 180
DELAY_SECONDS = (0.0003, 0.5)  # the moment of a kill is drawn evenly between their logarithms


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--events", type=int, default=200000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--agents", type=int, default=4)
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    return parser.parse_args()


def find_programs():
    if not os.environ.get("TEST_TMPDIR") and not os.environ.get("ORGTRAIL_BIN"):
        built = subprocess.run(
            [os.path.join(flow.ROOT, "tests/flow/build.sh"), *TARGETS],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.environ["ORGTRAIL_BIN"] = built.stdout.strip()


def make_traffic(folder, arguments):
    """{account: files} of generated events, in the order of their names."""
    program = flow.find_program("tests/kit", "make_traffic")
    options = {
        "--data": flow.DATA,
        "--count": arguments.events,
        "--seed": arguments.seed,
        "--accounts": arguments.agents,
        "--files": folder,
        "--per-file": 200,
    }
    words = [str(word) for pair in options.items() for word in pair]
    made = subprocess.run([program, *words], check=True, stderr=subprocess.PIPE, text=True)
    accounts = {name: [] for name in sorted(os.listdir(folder))}
    for account, files in accounts.items():
        files += sorted(glob.glob(os.path.join(folder, account, "*/*.gz")))
    return accounts, made.stderr.strip()


def digest(record):
    return hashlib.blake2b(record, digest_size=16).digest()


def read_sources(accounts):
    """The digest of every record that was made, repeats included, and their number."""
    found, count = set(), 0
    for files in accounts.values():
        for path in files:
            records = flow.read_file(path)
            found.update(map(digest, records))
            count += len(records)
    return found, count


def read_export(organization):
    """How often each digest is in the trail, and how many events are orgtrail's own."""
    found, own = {}, 0
    arguments = [organization.program, "export", "-", organization.store, "--format", "ndjson"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as export:
        for line in export.stdout:
            if b'"eventSource":"orgtrail.local"' in line:
                own += 1
                continue
            key = digest(line.rstrip(b"\n"))
            found[key] = found.get(key, 0) + 1
    assert export.returncode == 0, f"export: exit code {export.returncode}"
    return found, own


def share(files, portions):
    """The files in so many portions of about the same size."""
    count = len(files)
    return [files[count * i // portions : count * (i + 1) // portions] for i in range(portions)]


def deliver(agent, paths):
    for path in paths:
        folder = os.path.basename(os.path.dirname(path))
        target = os.path.join(agent.files, folder, os.path.basename(path))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(path, target + ".part")
        os.rename(target + ".part", target)


class Killer:
    """Draws who is killed when, kills and starts again."""

    def __init__(self, organization, seed):
        self.organization = organization
        self.random = random.Random(seed)
        self.began = time.monotonic()

    def choose(self, number):
        """The first three kills are of each kind; later ones are drawn."""
        organization = self.organization
        agent = self.random.choice(organization.agents)
        kinds = [[organization.collector], [agent], [organization.collector, *organization.agents]]
        return kinds[number] if number < 3 else self.random.choice(kinds)

    def wait_until_received(self, count):
        flow.wait_until(
            lambda: f"{count} records received: {self.organization.status()['total']}",
            lambda: self.organization.status()["total"]["received"] > count,
            WAIT_SECONDS,
            pause=0.001,
        )

    def kill(self, number, low_count, high_count):
        """Kills somebody when some of the events between these numbers have been received."""
        self.wait_until_received(self.random.randrange(low_count, high_count))
        low, high = DELAY_SECONDS
        delay = low * (high / low) ** self.random.random()
        time.sleep(delay)
        victims = self.choose(number)
        for victim in victims:
            victim.process.kill()
        for victim in victims:
            victim.wait()
        total = self.organization.status()["total"]
        name = "everybody" if len(victims) > 1 else os.path.basename(victims[0].arguments[0])
        print(
            f"{number + 1:>4}  {time.monotonic() - self.began:>6.1f} s  {name:<19} "
            f"{1000 * delay:>8.1f} ms  {total['received']:>9,}  {total['stored']:>9,}",
            flush=True,
        )
        for victim in victims:
            if victim is self.organization.collector:
                self.organization.start_collector(seconds=60)
            else:
                victim.start()


def run(organization, accounts, sources, count, arguments):
    """Everything but the printing of the verdict; the faults that were found."""
    organization.start_collector()
    agents = {account: organization.enroll("-a", account) for account in accounts}
    portions = {account: share(files, arguments.kills + 1) for account, files in accounts.items()}
    print(f"{'KILL':>4}  {'AT':>8}  {'WHO':<19} {'AFTER':>11}  {'RECEIVED':>9}  {'STORED':>9}")
    killer = Killer(organization, arguments.seed)
    part = count // (arguments.kills + 1)
    for number in range(arguments.kills + 1):
        for account, agent in agents.items():
            deliver(agent, portions[account][number])
        if number < arguments.kills:
            killer.kill(number, number * part, (number + 1) * part - part // 10)
    wait_for_end(organization, len(sources), count)
    print(f"{'end':>4}  {time.monotonic() - killer.began:>6.1f} s")
    codes = [program.stop() for program in [*organization.agents, organization.collector]]
    return verify(organization, sources, count, codes)


def wait_for_end(organization, wanted, count):
    """Until everything is stored and nothing new arrives any more."""
    last = {}

    def is_done():
        total = organization.status()["total"]
        is_still = total["received"] == last.get("received")
        last.update(total)
        is_all = total["stored"] >= wanted and total["received"] >= count
        return is_all and is_still

    flow.wait_until(lambda: f"{wanted} events stored: {last}", is_done, WAIT_SECONDS, pause=1)


def verify(organization, sources, count, codes):
    found, own = read_export(organization)
    status = organization.status()
    total = status["total"]
    doubled = sum(times - 1 for times in found.values())
    checked = organization.check()
    results = {
        "events made": count,
        "of them different": len(sources),
        "received, repeats included": total["received"],
        "stored": total["stored"],
        "lost": len(sources - found.keys()),
        "duplicated": doubled,
        "never made": len(found.keys() - sources),
        "quarantined": total["quarantined"],
        "gaps": status["gaps"],
        "events in the store": checked,
        "last sequence number": status["sequence_last"],
    }
    print()
    for name, value in results.items():
        print(f"{name:<28} {value:>10,}")
    zero = ["lost", "duplicated", "never made", "quarantined", "gaps"]
    faults = [f"{results[name]} {name}" for name in zero if results[name]]
    if not checked == status["sequence_last"] == len(found) + doubled + own:
        faults.append("the numbers have a hole")
    if not total["balanced"]:
        faults.append("the counts do not balance")
    if total["received"] < count:
        faults.append("less was received than was made")
    if any(codes):
        faults.append(f"exit codes {codes}")
    return faults


def main():
    arguments = parse_arguments()
    find_programs()
    folder = tempfile.mkdtemp(prefix="kill.", dir=os.environ.get("TEST_TMPDIR"))
    began = time.monotonic()
    is_kept = arguments.keep
    try:
        accounts, said = make_traffic(os.path.join(folder, "traffic"), arguments)
        sources, count = read_sources(accounts)
        print(f"seed {arguments.seed}: {said}, {len(accounts)} agents")
        base = os.path.join(folder, "flow")
        with flow.Organization(base, list(accounts), management="999999999999") as organization:
            faults = run(organization, accounts, sources, count, arguments)
    except Exception:
        is_kept = True
        raise
    finally:
        if is_kept:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - began
    print(f"\n{arguments.kills} kills, {seconds:.0f} s: {'; '.join(faults) or 'nothing lost'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
