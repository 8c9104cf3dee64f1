#!/usr/bin/env python3
"""Many agents over a store that is not empty: memory, delay, and how soon all are back after a restart.

usage: agents.py [--agents N] [--rate N] [--regions N] [--new N] [--stored N] [--store DIR] [--seconds N]
                 [--folder DIR] [--check]

Each agent has a certificate and a stream of its own over TLS (tests/bench/agents_bench.c). The store
has --stored events at the beginning (tests/bench/stored.py). --new events come in as a backlog of all
agents before anything is measured: by default so many that the collector's window of ids and the traces
of those before are full (docs/decisions/011). Prints one line of JSON; with --check it ends with 1 if
a limit is missed. Programs come from bazel-bin: build them with --config=opt.
"""

import argparse
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
os.chdir(ROOT)
sys.path.insert(0, ROOT)

from tests.bench.end_to_end import cpu_seconds  # noqa: E402
from tests.bench.stored import add_options, prepare, run_once  # noqa: E402
from tests.flow.organization import Organization, end_with_parent, find_program  # noqa: E402

RESTART_SECONDS = 180  # how long the agents may take to be back, at most
NEW = 7_500_000  # more than make the last of the four tables of traces
NEW_PER_SECOND = 5_000  # at least, on a machine that has much else to do
# What --check asks of the collector.
OWN_MIB_MAX = 286  # 300 MB of RssAnon, at any second
ALL_BACK_SECONDS_MAX = 15
FIELDS = ("second", "streaming", "sent", "acknowledged", "ended", "latency_ms", "worst_ms")


def memory(pid):
    """RssAnon and all of Rss, MiB."""
    found = {}
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key in ("RssAnon", "VmRSS"):
                found[key] = int(value.split()[0]) / 1024
    return found["RssAnon"], found["VmRSS"]


class Load:
    """The agents, and what they said last."""

    def __init__(self, organization, folder, options):
        self.organization = organization
        self.anon_peak = 0
        self.process = subprocess.Popen(
            [
                find_program("tests/bench", "agents_bench"),
                f"--address=127.0.0.1:{organization.port}",
                f"--folder={folder}",
                f"--rate={options.rate}",
                f"--regions={options.regions}",
                f"--backlog={options.new // options.agents}",
                f"--seconds={options.new // NEW_PER_SECOND + 2 * options.seconds + 3 * RESTART_SECONDS}",
            ],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=end_with_parent,
        )

    def second(self):
        """The next second's numbers."""
        line = self.process.stdout.readline()
        if not line:
            raise ChildProcessError(f"agents_bench ended with {self.process.wait()}")
        values = dict(zip(line.split()[::2], map(int, line.split()[1::2])))
        assert set(values) == set(FIELDS), line
        anon = 0
        if self.organization.collector.is_running():
            anon, _ = memory(self.organization.collector.process.pid)
            self.anon_peak = max(self.anon_peak, anon)
        print(f"{line.rstrip()} rss_anon_mib {anon:.0f}", file=sys.stderr, flush=True)
        return values

    def wait_acknowledged(self, count, seconds):
        """Waits until so many are acknowledged; how many a second that was."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            now = self.second()
            if now["acknowledged"] >= count:
                return round(now["acknowledged"] / (time.monotonic() - began))
        raise TimeoutError(f"after {seconds} s not all of {count} are acknowledged")

    def wait_all(self, count, seconds):
        """Waits until all are streaming; how long that took by this process's clock."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            now = self.second()
            if now["streaming"] == count:
                return time.monotonic() - began, now
        raise TimeoutError(f"after {seconds} s only {now['streaming']} of {count} are streaming")


def measure(organization, load, count, seconds):
    """Steady state: what was sent and acknowledged, delay, memory (the peak is since the start) and CPU."""
    pid = organization.collector.process.pid
    first = load.second()
    began, cpu = time.monotonic(), cpu_seconds(pid)
    anon, rss, delays, worst = [], [], [], 0
    for _ in range(seconds):
        now = load.second()
        assert now["streaming"] == count, now
        delays.append(now["latency_ms"])
        worst = max(worst, now["worst_ms"])
        one, other = memory(pid)
        anon.append(one)
        rss.append(other)
    passed = time.monotonic() - began
    acknowledged = now["acknowledged"] - first["acknowledged"]
    return {
        "events_per_s": round(acknowledged / passed),
        "waiting": now["sent"] - now["acknowledged"],
        "delay_ms": sorted(delays)[len(delays) // 2],
        "worst_ms": worst,
        "rss_anon_mib": round(max(anon)),
        "peak_mib": round(load.anon_peak),
        "rss_mib": round(max(rss)),
        "collector_cpu": round((cpu_seconds(pid) - cpu) / passed, 2),
    }


def look(organization):
    """What people and Prometheus see of so many: bytes and seconds."""
    began = time.monotonic()
    page = organization.fetch("/metrics")
    between = time.monotonic()
    table = organization.run("status", organization.store).stdout
    between, ended = between - began, time.monotonic() - between
    json_size = len(organization.run("status", "--json", organization.store).stdout)
    return {
        "metrics_bytes": len(page),
        "metrics_s": round(between, 3),
        "status_lines": table.count("\n"),
        "status_json_bytes": json_size,
        "status_s": round(ended, 2),
    }


def run(options, folder):
    # The management account is one of the roster too.
    accounts = [f"{700000000000 + number}" for number in range(options.agents - 1)]
    with Organization(folder=folder, accounts=accounts) as organization:
        prepare(organization.store, options)
        organization.start_collector(seconds=120)
        bundles = os.path.join(folder, "bundles")
        organization.run(
            *("enroll", organization.folder, "--all", "--out", bundles),
            *("--collector", f"127.0.0.1:{organization.port}"),
            seconds=600,
        )
        load = Load(organization, bundles, options)
        connected_s, _ = load.wait_all(options.agents, RESTART_SECONDS)
        result = {"agents": options.agents, "rate": options.rate, "stored": options.stored}
        result["regions"] = options.regions
        result["connected_s"] = round(connected_s, 1)
        if options.new > 0:
            result["new"] = options.new
            result["new_per_s"] = load.wait_acknowledged(options.new, options.new // NEW_PER_SECOND)
        result.update(measure(organization, load, options.agents, options.seconds))
        result.update(look(organization))

        organization.collector.kill()
        while load.second()["streaming"] > 0:
            pass
        load.anon_peak = 0
        organization.start_collector(seconds=120)
        back_s, _ = load.wait_all(options.agents, RESTART_SECONDS)
        result["all_back_s"] = round(back_s, 1)
        after = measure(organization, load, options.agents, options.seconds)
        result["after_restart"] = after
        load.process.kill()
        return result


def find_missed(result):
    """The limits that a run did not keep, in words."""
    missed = []
    for when, values in (("", result), (" after the restart", result["after_restart"])):
        if values["peak_mib"] > OWN_MIB_MAX:
            missed.append(f"{values['peak_mib']} MiB of its own{when}, more than {OWN_MIB_MAX}")
    if result["all_back_s"] > ALL_BACK_SECONDS_MAX:
        missed.append(f"all are back after {result['all_back_s']} s, more than {ALL_BACK_SECONDS_MAX}")
    return missed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=10)
    parser.add_argument("--regions", type=int, default=1)
    parser.add_argument("--new", type=int, default=NEW)
    add_options(parser)
    parser.add_argument("--seconds", type=int, default=30)
    run_once(parser, "agents", run, find_missed)


if __name__ == "__main__":
    main()
