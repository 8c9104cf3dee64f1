#!/usr/bin/env python3
"""The table at the end of ./dev bench: what was promised, what was measured, and how peers compare.

usage: table.py FOLDER EVENTS show|check

With check it fails if something is below half of what is promised: a machine that is busy with
other things loses less than that.
"""

import json
import re
import sys


def read(folder, name):
    with open(f"{folder}/{name}", encoding="utf-8") as file:
        return file.read()


def find(text, pattern):
    found = re.search(pattern, text)
    return float(found.group(1)) if found else None


def main():
    folder, events, mode = sys.argv[1:4]
    store = read(folder, f"store-{events}")
    directory = json.loads(read(folder, "directory"))
    tail = json.loads(read(folder, "tail"))
    peers = json.loads(read(folder, "peers"))
    # CPU time where there is a choice: other work on the machine does not show in it.
    stored = find(store, r"(?m)^stored .*, ([\d.]+) k CPU")
    stored_wall = find(store, r"(?m)^stored +([\d.]+) k events/s")
    size = find(store, r"(?m)^on disk +([\d.]+) bytes")
    ratio = find(store, r"ratio ([\d.]+)")
    scan = [float(value) for value in re.findall(r"scan of time and .*?([\d.]+) M events/s", store)]
    pages = [float(value) for value in re.findall(r"newest 50 .*?CPU p50 .*?p99 +([\d.]+) us", store)]

    # name, measured, unit, promised, whether more is better, peer
    rows = [
        ("store alone, durable, CPU of one core", stored, "k events/s", 150, True,
         f"SQLite {peers['sqlite_events_per_cpu_second'] / 1000:.1f} k"),
        ("store alone, durable, by the clock", stored_wall, "k events/s", None, True,
         f"SQLite {peers['sqlite_events_per_second'] / 1000:.1f} k"),
        ("size against gzip -6 of the lines", ratio, "", 0.50, False,
         f"SQLite {peers['sqlite_bytes_per_event'] / peers['gzip_bytes_per_event']:.1f}"),
        ("bytes per event, all in", size, "bytes", None, False,
         f"gzip {peers['gzip_bytes_per_event']:.0f}, SQLite {peers['sqlite_bytes_per_event']:.0f}"),
        ("newest 50 by any attribute, p99 of CPU", max(pages) / 1000 if pages else None, "ms", 6, False, ""),
        ("column scan", min(scan) if scan else None, "M events/s", 10, True, ""),
        ("end to end, directory of .json.gz", directory["events_per_second"] / 1000, "k events/s",
         80, True, f"{directory['text_mb_per_second']} MB/s of records"),
        ("end to end, tailed lines", tail["events_per_second"] / 1000, "k events/s", 80, True,
         f"{tail['text_mb_per_second']} MB/s of records"),
        ("CPU of agent and collector per event",
         tail["agent_cpu_us_per_event"] + tail["collector_cpu_us_per_event"], "us", None, False, ""),
        ("memory of the agent, peak", directory["agent_peak_mb"], "MB", None, False, ""),
    ]
    print(f"{'what':38} {'measured':>10} {'unit':12} {'promised':>9}  beside it")
    below = []
    for name, measured, unit, promised, more, beside in rows:
        shown = "-" if measured is None else f"{measured:.2f}".rstrip("0").rstrip(".")
        print(f"{name:38} {shown:>10} {unit:12} {promised if promised else '':>9}  {beside}")
        if promised and measured is None:
            below.append(f"{name}: not measured")
        elif promised and (measured < promised / 2 if more else measured > promised * 2):
            below.append(f"{name}: {shown} against {promised}")
    if mode == "check" and below:
        sys.exit("bench: " + "; ".join(below))


main()
