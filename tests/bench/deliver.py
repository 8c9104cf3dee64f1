#!/usr/bin/env python3
"""A trail that delivers a backlog to a folder: events a second by the clock and of the collector's CPU,
beside `gzip -6` of the same texts: its CPU time and the size of what it makes.

usage: deliver.py [--events N] [--accounts N] [--compression LEVEL]... [--folder DIR]

Events are put into the store while nothing delivers; then the collector starts again and what it takes
until the last one is delivered is measured, for each level over a copy of the same store. Programs come
from bazel-bin: build them with --config=opt. Prints a line of words and one of JSON for each level.
"""

import argparse
import glob
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
os.chdir(ROOT)
sys.path.insert(0, ROOT)

from tests.bench.end_to_end import cpu_seconds, peak_mb  # noqa: E402
from tests.bench.stored import fill  # noqa: E402
from tests.flow.organization import Organization  # noqa: E402

BUCKET = "bench-logs"
DELIVERED = re.compile(r'(?m)^orgtrail_collector_delivered_events_total\{[^}]*\} (\d+)')
BEHIND = re.compile(r'(?m)^orgtrail_collector_follower_lag_events\{[^}]*deliver-[^}]*\} (\d+)')
LEVELS = (4, 6, 1)
RESTING = 86400  # seconds between deliveries
SAMPLE = 200 << 20  # bytes of text that gzip is asked for
PATIENCE = 3600  # seconds


def set_delivery(organization, buckets, interval, level):
    settings = re.sub(r"(?m)^delivery: .*\n", "", organization.read_settings())
    organization.write_settings(
        settings + f"delivery: {{directory: {buckets}, interval_s: {interval}, compression: {level}}}\n"
    )


def call(organization, key, operation, body):
    """A call of the CloudTrail API, signed by curl."""
    done = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--fail-with-body", "--config", "-"),
            *("--aws-sigv4", "aws:amz:us-east-1:cloudtrail", "--data", json.dumps(body)),
            *("--cacert", os.path.join(organization.folder, "ca/ca.pem")),
            *("--header", "Content-Type: application/x-amz-json-1.1"),
            *("--header", f"X-Amz-Target: com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.{operation}"),
            f"https://localhost:{organization.api_port}/",
        ],
        input=f'user = "{key["AccessKeyId"]}:{key["SecretAccessKey"]}"\n',
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def prepare(organization, buckets, options):
    """Leaves a trail that logs, and the events behind its place; the collector is stopped then."""
    set_delivery(organization, buckets, RESTING, 6)
    organization.start_collector()
    made = organization.run("keys", "create", "bench", "--role", "admin", "--json", "--config",
                            organization.config_path)
    key = json.loads(made.stdout)["AccessKey"]
    call(organization, key, "CreateTrail", {
        "Name": "bench", "S3BucketName": BUCKET, "IsMultiRegionTrail": True, "IsOrganizationTrail": True,
    })
    call(organization, key, "StartLogging", {"Name": "bench"})
    time.sleep(3)  # the first delivery, of these calls
    organization.collector.stop()
    fill(organization.store, options.events, options.accounts)
    catch_up(organization)


def catch_up(organization):
    """Has a collector that delivers nothing take in what came into the store without one: that is not what is measured."""
    organization.write_settings(re.sub(r"(?m)^delivery: .*\n", "", organization.read_settings()))
    organization.start_collector(seconds=600)
    pid = organization.collector.process.pid
    before, now = -1, cpu_seconds(pid)
    while now > before + 0.05:
        time.sleep(2)
        before, now = now, cpu_seconds(pid)
    organization.collector.stop()


def look(organization):
    """Events delivered, and whether all that are the trail's have been."""
    page = organization.fetch("/metrics")
    behind = BEHIND.findall(page)
    return sum(map(int, DELIVERED.findall(page))), bool(behind) and not any(map(int, behind))


def own_mb(pid):
    """The process's own memory now, without what is read of the store's file."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(r"RssAnon:\s*(\d+)", file.read()).group(1)) / 1024


def measure(organization, buckets, level):
    """Delivers everything that waits."""
    set_delivery(organization, buckets, 1, level)
    began = time.monotonic()
    organization.start_collector(seconds=120)
    pid = organization.collector.process.pid
    count, is_over, own = 0, False, 0
    while count == 0 or not is_over:
        assert time.monotonic() - began < PATIENCE, f"{count} delivered"
        time.sleep(0.2)
        count, is_over = look(organization)
        own = max(own, own_mb(pid))
    seconds, cpu, peak = time.monotonic() - began, cpu_seconds(pid), peak_mb(pid)
    organization.collector.stop()
    return {"level": level, "events": count, "seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2),
            "events_per_second": round(count / seconds), "events_per_cpu_second": round(count / cpu),
            "peak_mb": round(peak), "peak_own_mb": round(own)}


def weigh(buckets):
    """Files, and a sample of them against gzip's size and speed."""
    paths = sorted(glob.glob(f"{buckets}/{BUCKET}/**/*.json.gz", recursive=True))
    size = sum(os.path.getsize(path) for path in paths)
    step = max(1, size * 10 // SAMPLE)
    ours = theirs = text_size = events = 0
    cpu = 0.0
    for path in paths[::step]:
        with open(path, "rb") as file:
            packed = file.read()
        text = gzip.decompress(packed)
        began = time.process_time()
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # what gzip -6 does
        theirs += len(packer.compress(text)) + len(packer.flush())
        cpu += time.process_time() - began
        ours += len(packed)
        text_size += len(text)
        events += len(json.loads(text)["Records"])
    return {"files": len(paths), "bytes": size, "size_to_gzip_6": round(ours / theirs, 4),
            "size_to_text": round(ours / text_size, 4), "text_bytes_per_event": round(text_size / events),
            "gzip_6_events_per_cpu_second": round(events / cpu),
            "gzip_6_mb_per_cpu_second": round(text_size / cpu / 1e6, 1)}


def run(options, folder):
    kept = os.path.join(folder, "kept")
    with Organization(folder=os.path.join(folder, "o"), has_api=True) as organization:
        buckets = os.path.join(folder, "buckets")
        os.makedirs(os.path.join(buckets, BUCKET))
        prepare(organization, buckets, options)
        os.makedirs(kept)
        shutil.copy(os.path.join(organization.store, "data.mdb"), kept)
        for level in options.compression or LEVELS:
            # A folder of its own: ext4 looks for long at each file that was removed just before.
            buckets = os.path.join(folder, f"buckets-{level}")
            os.makedirs(os.path.join(buckets, BUCKET))
            shutil.copy(os.path.join(kept, "data.mdb"), organization.store)
            os.sync()
            load = os.getloadavg()[0]
            result = measure(organization, buckets, level)
            result |= weigh(buckets) | {"load": round(load, 1)}
            rate, gzip_rate = result["events_per_cpu_second"], result["gzip_6_events_per_cpu_second"]
            result["speed_to_gzip_6"] = round(rate / gzip_rate, 2)
            print(f"level {level}: {rate / 1000:.1f} k events/s of CPU, {result['speed_to_gzip_6']:.2f} times"
                  f" gzip -6 alone, {result['events_per_second'] / 1000:.1f} k by the clock;"
                  f" {result['files']:,} files of {result['size_to_gzip_6']:.3f} its size; peak"
                  f" {result['peak_mb']} MB, {result['peak_own_mb']} MB of its own, load {result['load']}",
                  flush=True)
            print(json.dumps(result), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--accounts", type=int, default=20)
    parser.add_argument("--compression", type=int, action="append", help="a level; default: 4, 6 and 1")
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orgtrail-deliver.", dir=options.folder) as folder:
        run(options, folder)


if __name__ == "__main__":
    main()
