#!/usr/bin/env python3
"""`orgtrail import` of an archive of .json.gz files into an empty trail: events a second by the clock,
and the CPU time of both programs.

usage: archive.py [--events N] [--per-file N] [--accounts N] [--folder DIR]

4 M events are an archive of 1 GB. Programs come from bazel-bin: build them with --config=opt. Prints a
line of words and one of JSON.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
os.chdir(ROOT)
sys.path.insert(0, ROOT)

from tests.bench.end_to_end import cpu_seconds, peak_mb  # noqa: E402
from tests.flow.organization import DATA, Organization, find_program  # noqa: E402

PATIENCE = 1800  # seconds


def make_archive(folder, options):
    """Writes it; its bytes and those of its text."""
    made = subprocess.run(
        [
            *(find_program("tests/kit", "make_traffic"), "--data", DATA, "--no-repeats"),
            *("--count", str(options.events), "--accounts", str(options.accounts)),
            *("--files", folder, "--per-file", str(options.per_file)),
        ],
        check=True, capture_output=True, text=True,
    )
    sizes = [os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(folder) for name in names]
    return {"files": len(sizes), "archive_bytes": sum(sizes), "text_bytes": int(made.stderr.split()[-1])}


def measure(organization, archive, options):
    made = organization.run("enroll", organization.folder, "--collector", f"127.0.0.1:{organization.port}",
                            "--organization", "--agent", "import")
    bundle = made.stdout.split("  ")[0]
    pid = organization.collector.process.pid
    before, used = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_seconds(pid)
    began = time.monotonic()
    done = organization.run("import", archive, "--bundle", bundle, "--json", seconds=PATIENCE)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(done.stdout)
    assert report["all_in"] and report["records"] == options.events, report
    assert organization.status()["total"]["stored"] == options.events
    mine = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    theirs = cpu_seconds(pid) - used
    return {"events": options.events, "seconds": round(seconds, 2),
            "events_per_second": round(options.events / seconds),
            "import_cpu_us_per_event": round(mine / options.events * 1e6, 2),
            "collector_cpu_us_per_event": round(theirs / options.events * 1e6, 2),
            "import_peak_mb": round(after.ru_maxrss / 1024), "collector_peak_mb": round(peak_mb(pid))}


def run(options, folder):
    archive = os.path.join(folder, "archive")
    about = make_archive(archive, options)
    os.sync()
    load = round(os.getloadavg()[0], 1)
    with Organization(folder=os.path.join(folder, "o")) as organization:
        settings = organization.read_settings()
        organization.write_settings(settings.replace("  accounts:", "  unknown: admit\n  accounts:", 1))
        organization.start_collector()
        result = measure(organization, archive, options) | about | {"load": load}
        organization.collector.stop()
    print(f"{result['archive_bytes'] / 1e6:,.0f} MB in {result['files']:,} files:"
          f" {result['events_per_second'] / 1000:.1f} k events/s by the clock; CPU of an event"
          f" {result['import_cpu_us_per_event']:.1f} us of import and"
          f" {result['collector_cpu_us_per_event']:.1f} us of the collector, load {load}")
    print(json.dumps(result), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--per-file", type=int, default=500)
    parser.add_argument("--accounts", type=int, default=20)
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orgtrail-import.", dir=options.folder) as folder:
        run(options, folder)


if __name__ == "__main__":
    main()
