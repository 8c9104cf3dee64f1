#!/usr/bin/env python3
"""What a day that goes costs: how long acknowledgements take meanwhile, and what the file is afterwards.

usage: retention.py [--events N] [--days N] [--agents N] [--rate N] [--seconds N] [--folder DIR] [--check]

The store holds --events of --days days. Agents with streams of their own (tests/bench/agents_bench.c)
send --rate events a second each, and the time of each answer is noted: at first with nothing else to do
(normal), then while all days but two go, one after another, and for --seconds after that, while the store
gives their room back as commits need it. Then as many events come in as went. Prints one line of JSON; with --check it ends with 1 if a limit is missed. Programs come from bazel-bin: build
them with --config=opt.
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

from tests.bench.end_to_end import point_agent, run_agent  # noqa: E402
from tests.bench.stored import run_once  # noqa: E402
from tests.flow.organization import DATA, Organization, end_with_parent, find_program  # noqa: E402

START = 1767225600  # of the stored events: store_bench.c, START_S
DAY_S = 24 * 60 * 60
KEPT_DAYS = 2
DROP_SECONDS = 300  # that all days may take to go
# What --check asks.
DELAY_TIMES_MAX = 2.0  # 99th percentile while days go, by that of normal times
DELAY_MS_MIN = 25  # but of less than this nobody asks
GROWTH_MAX = 0.10  # of the file, after as much came in as went


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Load:
    """The agents, and the file where each answer's time is noted."""

    def __init__(self, organization, folder, options, seconds):
        self.path = os.path.join(organization.base, "answers")
        self.process = subprocess.Popen(
            [
                find_program("tests/bench", "agents_bench"),
                f"--address=127.0.0.1:{organization.port}",
                f"--folder={folder}",
                f"--rate={options.rate}",
                f"--seconds={seconds}",
                f"--answers={self.path}",
            ],
            stdout=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )

    def delays(self, begin, end):
        """Milliseconds of each answer between these moments of the monotonic clock."""
        with open(self.path, encoding="utf-8") as file:
            lines = [line.split() for line in file if line.endswith("\n")]
        return [int(took) for when, took in lines if begin <= int(when) / 1000 < end]

    def end(self):
        self.process.kill()
        self.process.wait()


def fill(store, options):
    rate = max(1, options.events // (options.days * DAY_S))
    os.makedirs(store, exist_ok=True)
    subprocess.run(
        [
            find_program("tests/bench", "store_bench"),
            *("--fill", "--events", str(options.events), "--rate", str(rate)),
            *("--dir", store, "--data", DATA),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return options.events // rate // DAY_S  # whole days


def find_dropped(organization):
    return [event["serviceEventDetails"] for event in organization.own_events("DayDropped")]


def measure_file(organization):
    return organization.status()["file_size"]  # without the room taken ahead


def measure_normal(organization, bundles, options):
    load = Load(organization, bundles, options, options.seconds + 30)
    time.sleep(5)
    begin = time.monotonic()
    time.sleep(options.seconds)
    delays = load.delays(begin, time.monotonic())
    load.end()
    return delays


def measure_drop(organization, bundles, options, days):
    """The delays from the first day's going on, and the seconds until all went."""
    load = Load(organization, bundles, options, DROP_SECONDS + options.seconds + 60)
    begin = time.monotonic()
    while len(find_dropped(organization)) < days:
        assert time.monotonic() - begin < DROP_SECONDS, "days do not go"
        time.sleep(0.5)
    time.sleep(3)  # for the room of the last one
    gone = time.monotonic()
    time.sleep(options.seconds)
    delays = load.delays(begin, time.monotonic())
    load.end()
    return delays, gone - begin


def refill(organization, events):
    """As many events as went, of the last two days, from a log."""
    path = os.path.join(organization.base, "new.ndjson")
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2 * DAY_S))
    with open(path, "wb") as file:
        subprocess.run(
            [
                find_program("tests/kit", "make_traffic"), "--data", DATA, "--count", str(events),
                *("--no-repeats", "--seed", "7", "--start", start, "--rate", str(max(1, events // DAY_S))),
            ],
            check=True, stdout=file, stderr=subprocess.DEVNULL,
        )
    agent = organization.enroll("--organization", is_started=False)
    point_agent(agent, "tail:" + path)
    run_agent(agent)


def run(options, folder):
    accounts = [f"{700000000000 + number}" for number in range(options.agents)]
    with Organization(folder=folder, accounts=accounts) as organization:
        whole_days = fill(organization.store, options)
        settings = organization.read_settings()
        settings = settings.replace("  accounts:", "  unknown: admit\n  accounts:", 1)
        organization.write_settings(settings)
        organization.start_collector(seconds=120)
        bundles = os.path.join(folder, "bundles")
        organization.run(
            *("enroll", organization.folder, "--all", "--out", bundles),
            *("--collector", f"127.0.0.1:{organization.port}"),
            seconds=600,
        )
        normal = measure_normal(organization, bundles, options)
        before = measure_file(organization)
        organization.collector.stop()
        today = time.time() // DAY_S
        kept_from = START // DAY_S + whole_days - KEPT_DAYS
        settings = organization.read_settings()  # with the port
        organization.write_settings(
            settings.replace("\nstore:\n", f"\nstore:\n  retention_days: {int(today - kept_from)}\n")
        )
        organization.start_collector(seconds=120)
        dropping, seconds = measure_drop(organization, bundles, options, whole_days - KEPT_DAYS)
        dropped = find_dropped(organization)
        events = sum(day["events"] for day in dropped)
        normal += measure_normal(organization, bundles, options)
        refill(organization, events)
        after = measure_file(organization)
        organization.run("store", "check", organization.store, seconds=600)
        return {
            "stored": options.events,
            "days_dropped": len(dropped),
            "events_dropped": events,
            "drop_s": round(seconds, 1),
            "normal_p99_ms": percentile(normal, 0.99),
            "dropping_p99_ms": percentile(dropping, 0.99),
            "normal_answers": len(normal),
            "dropping_answers": len(dropping),
            "file_before": before,
            "file_after": after,
            "growth": round(after / before - 1, 3),
        }


def find_missed(result):
    missed = []
    limit = max(result["normal_p99_ms"], DELAY_MS_MIN) * DELAY_TIMES_MAX
    if result["dropping_p99_ms"] > limit:
        missed.append(f"p99 {result['dropping_p99_ms']} ms while days go, more than {limit:.0f}")
    if result["growth"] > GROWTH_MAX:
        missed.append(f"the file grew by {100 * result['growth']:.1f} %")
    return missed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--rate", type=int, default=25)
    parser.add_argument("--seconds", type=int, default=20)
    run_once(parser, "retention", run, find_missed)


if __name__ == "__main__":
    main()
