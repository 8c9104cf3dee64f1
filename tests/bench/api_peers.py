#!/usr/bin/env python3
"""What people would use in the API's place, for tests/bench/api.py: moto's server, which speaks the
same API, and DuckDB over exported files.

usage: api_peers.py FILES QUESTIONS     (in the Python of tools/peers.sh: DuckDB's part, as JSON)

moto knows no LookupEvents: what it answers is told, and DescribeTrails without a trail is measured on
both sides. It is asked over one connection at a time: with a second one open, that says nothing yet,
it waits for that one. DuckDB parses all files for each question; it gets lines (NDJSON), which it reads fastest.
"""

import glob
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PYTHON = os.path.join(ROOT, ".cache/peers/bin/python")
START = 1767225600  # of the stored events, 1,000 of them a second
QUESTIONS = 7  # of each kind
FIELDS = {
    "EventId": "eventID", "EventName": "eventName", "EventSource": "eventSource",
    "AccessKeyId": "userIdentity.accessKeyId",
}


# --- moto


def measure_moto(organization, clients_of, key, calls, options):
    """Its server with our certificate, asked by the same clients."""
    from tests.flow.organization import end_with_parent, find_free_port, wait_until

    port = find_free_port()
    folder = os.path.join(organization.folder, "collector")
    server = subprocess.Popen(
        [
            PYTHON, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port),
            "-c", os.path.join(folder, "collector.pem"), "-k", os.path.join(folder, "collector.key"),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=end_with_parent,
    )
    try:
        clients = clients_of(port, os.path.join(organization.folder, "ca/ca.pem"), key, options)
        wait_until("moto's server", lambda: clients.run(calls["trails"], 0, 1, 1, True), 60)
        return {
            "lookup": clients.run(calls["repeated"], 0, 2, 1, True),
            "trails": clients.run(calls["trails"], 0, 5, 1),
        }
    finally:
        server.kill()
        server.wait()


# --- DuckDB


def choose_questions(paths):
    """Of the distinct calls those by a field of the record; and some ids."""
    found = {"newest": [[]] * QUESTIONS, "attribute": [], "id": []}
    for name, path in (("attribute", paths["distinct"]), ("id", paths["event_id"])):
        with open(path, encoding="utf-8") as file:
            for line in file:
                for attribute in json.loads(line.split(" ", 2)[2])["LookupAttributes"]:
                    field = FIELDS.get(attribute["AttributeKey"])
                    if field and len(found[name]) < QUESTIONS:
                        found[name].append([field, attribute["AttributeValue"]])
    return found


def measure_duckdb(organization, paths, options, folder):
    exported = os.path.join(folder, "exported")
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + options.sample // 1000))
    organization.run(
        "export", exported, organization.store, "--format", "ndjson", "--until", until, seconds=600
    )
    questions = os.path.join(folder, "questions")
    with open(questions, "w", encoding="utf-8") as file:
        json.dump(choose_questions(paths), file)
    done = subprocess.run(
        [PYTHON, os.path.realpath(__file__), exported, questions],
        check=True, capture_output=True, text=True,
    )
    return json.loads(done.stdout)


def ask_duckdb(files, questions):
    """Milliseconds of each kind of question."""
    import duckdb

    names = sorted(glob.glob(os.path.join(files, "*.ndjson")))
    database = duckdb.connect()
    count = database.execute("select count(*) from read_ndjson_objects(?)", [names]).fetchone()[0]
    found = {"events": count}
    for kind, list_of in questions.items():
        times = []
        for question in list_of:
            condition = f"where json_extract_string(json, '$.{question[0]}') = ?" if question else ""
            began = time.monotonic()
            database.execute(
                f"select json from read_ndjson_objects(?) {condition}"
                " order by json_extract_string(json, '$.eventTime') desc limit 50",
                [names, *question[1:]],
            ).fetchall()
            times.append((time.monotonic() - began) * 1000)
        found[kind] = round(statistics.median(times), 1)
    return found


# --- both


def measure(organization, clients_of, key, calls, options, folder):
    return {
        "moto": measure_moto(organization, clients_of, key, calls, options),
        "duckdb": measure_duckdb(organization, calls, options, folder),
    }


def show(result):
    """How many times as long the others take."""
    moto, duckdb = result["peers"]["moto"], result["peers"]["duckdb"]
    print("\nbeside it, in the same run")
    lookup = moto["lookup"]
    what = "refuses" if lookup is None or lookup["refused"] else "answers"
    print(f"moto's server {what} LookupEvents; DescribeTrails, one at a time: {moto['trails']['calls_per_s']} calls/s,"
          f" orgtrail {result['trails']['calls_per_s']}"
          f" ({result['trails']['calls_per_s'] / moto['trails']['calls_per_s']:.0f} times as many)")
    print(f"DuckDB over {duckdb['events']:,} exported events, orgtrail over {result['stored']:,}"
          f" (p50 of {result['connections']} clients at a time, while events come in):")
    for name, kind, ours in (
        ("newest 50 by an attribute", "attribute", "distinct"),
        ("one event by its id", "id", "event_id"),
        ("newest 50", "newest", "repeated"),
    ):
        ours_ms = result[ours + "_at_most"]["p50_ms"]
        print(f"  {name:28} DuckDB {duckdb[kind]:>8} ms, orgtrail {ours_ms:>7} ms:"
              f" {duckdb[kind] / ours_ms:.0f} times as long")


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as asked:
        print(json.dumps(ask_duckdb(sys.argv[1], json.load(asked))))
