#!/usr/bin/env python3
"""The table at the end of ./dev bench: what was measured, what is aimed at, and how peers compare.

usage: table.py FOLDER show|check

Reads every store-EVENTS of the folder, so that a run of 10 M has a verdict of its own. With check it
fails if something is worse than its floor: what it did when the floor was set, less what the same
program varies by on a machine with other work. Sizes do not vary, CPU time does by a fifth, time by
the clock by half. Raise a floor when the code got faster.
"""

import glob
import json
import os
import re
import sys

SIZE, CPU, CLOCK = 1.03, 1.25, 2.0  # how many times worse than ONCE is still no regression

# Measured with ./dev bench --check, on the machine of docs/performance.md. What is in no row has no floor.
ONCE = {
    "stored": 90,  # k events of a second of CPU
    "ratio": 0.541,  # above that of more events: a dictionary costs the same
    "page": 6.3,  # ms
    "scan": 22,  # M events of a second of CPU
    "directory": 51,  # k events/s
    "tail": 51,
    "path_cpu": 27,  # us
    "agent_mb": 32,
}


def read(folder, name):
    with open(f"{folder}/{name}", encoding="utf-8") as file:
        return file.read()


def find(text, pattern):
    found = re.search(pattern, text)
    return float(found.group(1)) if found else None


def store_rows(text, peers):
    """Rows of one size: name, measured, unit, aim, measured once, spread, is more better, beside."""
    stored = find(text, r"(?m)^stored .*, ([\d.]+) k CPU")
    ratio = find(text, r"ratio ([\d.]+)")
    scan = [float(value) for value in re.findall(r"scan of time and .*?([\d.]+) M events/s", text)]
    pages = [float(value) for value in re.findall(r"newest 50 .*?CPU p50 .*?p99 +([\d.]+) us", text)]
    return [
        ("store alone, durable, CPU of one core", stored, "k events/s", 150, ONCE["stored"], CPU, True,
         f"SQLite {peers['sqlite_events_per_cpu_second'] / 1000:.1f} k"),
        ("store alone, durable, by the clock", find(text, r"(?m)^stored +([\d.]+) k events/s"), "k events/s",
         None, None, CLOCK, True, f"SQLite {peers['sqlite_events_per_second'] / 1000:.1f} k"),
        ("size against gzip -6 of the lines", ratio, "", 0.50, ONCE["ratio"], SIZE, False,
         f"SQLite {peers['sqlite_bytes_per_event'] / peers['gzip_bytes_per_event']:.1f}"),
        ("bytes per event, all in", find(text, r"(?m)^on disk +([\d.]+) bytes"), "bytes", None, None, SIZE,
         False, f"gzip {peers['gzip_bytes_per_event']:.0f}, SQLite {peers['sqlite_bytes_per_event']:.0f}"),
        ("newest 50 by any attribute, p99 of CPU", max(pages) / 1000 if pages else None, "ms", 6,
         ONCE["page"], CLOCK, False, "the slowest attribute"),
        ("column scan", min(scan) if scan else None, "M events/s", 10, ONCE["scan"], CPU, True, ""),
    ]


def path_rows(directory, tail):
    def speed(measured):
        return measured["events_per_second"] / 1000

    return [
        ("end to end, directory of .json.gz", speed(directory), "k events/s", 80, ONCE["directory"], CLOCK,
         True, f"{directory['text_mb_per_second']} MB/s of records"),
        ("end to end, tailed lines", speed(tail), "k events/s", 80, ONCE["tail"], CLOCK, True,
         f"{tail['text_mb_per_second']} MB/s of records"),
        ("CPU of agent and collector per event",
         tail["agent_cpu_us_per_event"] + tail["collector_cpu_us_per_event"], "us", None, ONCE["path_cpu"],
         CPU, False, ""),
        ("memory of the agent, peak", directory["agent_peak_mb"], "MB", None, ONCE["agent_mb"], CPU, False, ""),
    ]


def shorten(value):
    return f"{value:.2f}".rstrip("0").rstrip(".")


def judge(rows, is_check):
    """Prints rows; returns what is worse than its floor, or was not measured."""
    worse = []
    print(f"{'what':38} {'measured':>10} {'unit':12} {'aim':>6} {'':6} beside it")
    for name, measured, unit, aim, once, spread, more, beside in rows:
        if measured is None:
            print(f"{name:38} {'-':>10} {unit:12}")
            worse.append(f"{name}: not measured")
            continue
        met = "" if aim is None else "met" if (measured >= aim if more else measured <= aim) else "not"
        print(f"{name:38} {shorten(measured):>10} {unit:12} {aim or '':>6} {met:6} {beside}")
        if once is None:
            continue
        floor = once / spread if more else once * spread
        if measured < floor if more else measured > floor:
            worse.append(f"{name}: {shorten(measured)} {unit}, the floor is {shorten(floor)}")
    return worse if is_check else []


def main():
    folder, mode = sys.argv[1:3]
    peers = json.loads(read(folder, "peers"))
    stores = sorted(glob.glob(f"{folder}/store-*"), key=lambda path: int(path.rsplit("-", 1)[1]))
    assert stores, f"{folder} holds no measurement of the store"
    worse = []
    for path in stores:
        print(f"\n{int(path.rsplit('-', 1)[1]):,} events")
        worse += judge(store_rows(read(folder, os.path.basename(path)), peers), mode == "check")
    print("\nfrom files to the trail")
    rows = path_rows(json.loads(read(folder, "directory")), json.loads(read(folder, "tail")))
    worse += judge(rows, mode == "check")
    if worse:
        sys.exit("bench: " + "; ".join(worse))


main()
