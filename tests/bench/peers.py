#!/usr/bin/env python3
"""What people use today, on the same events: SQLite with the same indexes, and gzip -6 of the lines.

usage: peers.py [--events N] [--folder DIR]

Prints one line of JSON. SQLite: one table of the record's text and the columns that orgtrail
indexes, an index on each and a unique key, 4,000 events a transaction, WAL, synchronous=FULL.
"""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
COLUMNS = ("account", "region", "name", "source", "user", "key", "error", "address", "type",
           "category", "readonly", "resource")
BATCH = 4000


def values_of(record):
    event = json.loads(record)
    identity = event.get("userIdentity") or {}
    issuer = (identity.get("sessionContext") or {}).get("sessionIssuer") or {}
    resources = event.get("resources") or [{}]
    return (
        event.get("eventID"), event.get("eventTime"), event.get("recipientAccountId"),
        event.get("awsRegion"), event.get("eventName"), event.get("eventSource"),
        identity.get("userName") or issuer.get("userName"), identity.get("accessKeyId"),
        event.get("errorCode"), event.get("sourceIPAddress"), identity.get("type"),
        event.get("eventCategory"), str(event.get("readOnly")), resources[0].get("ARN"), record,
    )


def measure_sqlite(path, rows):
    database = sqlite3.connect(path)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute(
        f"create table events (id, time, {', '.join(COLUMNS)}, record, primary key (account, id, time))"
        " without rowid"
    )
    for column in COLUMNS:
        database.execute(f"create index by_{column} on events ({column}, time)")
    database.commit()
    # Time of the inserts alone: the fields are read beforehand.
    began, cpu = time.monotonic(), time.process_time()
    for start in range(0, len(rows), BATCH):
        database.executemany(
            f"insert or ignore into events values ({','.join('?' * 15)})",
            rows[start : start + BATCH],
        )
        database.commit()
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    database.execute("pragma wal_checkpoint(truncate)")
    database.close()
    return seconds, cpu, os.path.getsize(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--events", type=int, default=200000)
    parser.add_argument("--folder")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(dir=arguments.folder)
    try:
        run = subprocess.run(
            [os.path.join(ROOT, "bazel-bin/tests/kit/make_traffic"), "--data",
             os.path.join(ROOT, "tests/data"), "--count", str(arguments.events), "--no-repeats"],
            check=True, capture_output=True,
        )
        packed = subprocess.run(["gzip", "-6"], input=run.stdout, check=True, capture_output=True)
        rows = [values_of(line) for line in run.stdout.decode().splitlines()]
        seconds, cpu, size = measure_sqlite(os.path.join(folder, "events.db"), rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        json.dumps(
            {
                "events": arguments.events,
                "text_bytes_per_event": round(len(run.stdout) / arguments.events, 1),
                "gzip_bytes_per_event": round(len(packed.stdout) / arguments.events, 1),
                "sqlite_events_per_second": round(arguments.events / seconds),
                "sqlite_events_per_cpu_second": round(arguments.events / cpu),
                "sqlite_bytes_per_event": round(size / arguments.events, 1),
            }
        )
    )


if __name__ == "__main__":
    sys.exit(main())
