#!/usr/bin/env python3
"""Files and records that are damaged or mean: each is named and kept, and nothing else is lost."""

import gzip
import os
import sys
import time
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402

BOMB_SIZE = 300 << 20  # inflated; gzip makes it a thousand times smaller


def put(agent, name, content):
    """A file that has lain there for a while: nobody writes it any more."""
    path = os.path.join(agent.files, name)
    flow.write_file(path + ".old", content)
    long_ago = time.time() - 3600
    os.utime(path + ".old", (long_ago, long_ago))
    os.rename(path + ".old", path)


def make_bomb(records):
    """Good records, and behind them one that inflates without an end in sight."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(b'{"Records":[' + b",".join(records) + b',{"eventID":"')]
    parts += [packer.compress(b"A" * (1 << 20)) for _ in range(BOMB_SIZE >> 20)]
    return b"".join([*parts, packer.compress(b'"}]}'), packer.flush()])


def run_files(organization, files, stored):
    """Puts the files, waits for their notices, and returns the notices' details by file."""
    agent = organization.enroll("-a", SHOP)
    for name, content in files.items():
        put(agent, name, content)
    put(agent, "good.json.gz", flow.pack_records(make_range(901, 950)))
    events = organization.wait_notices(len(files))
    organization.wait_received(len(stored) + 50)
    events = organization.own_events("AgentNotice")
    wanted = sorted(stored + make_range(901, 950))
    found = [line for line in organization.export() if b"orgtrail.local" not in line]
    assert sorted(found) == wanted, f"{len(found)} events, not {len(wanted)}"
    details = {}
    for event in events:
        said = event["serviceEventDetails"]
        assert said["agent"] == agent.uri and said["source"] == "files", said
        name = next((name for name in files if name in said["place"]), None)
        assert name, f"the place names no file: {said}"
        details[name] = said
    assert set(details) == set(files), set(files) ^ set(details)
    return details


def cut_in_the_middle(records):
    """A gzip stream whose next block, behind these records, is of no kind there is."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    good = packer.compress(b'{"Records":[' + b",".join(records) + b",")
    return good + packer.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 64


def test_damaged_gzip():
    records = make_range(1, 40)
    files = {
        "truncated.json.gz": gzip.compress(b'{"Records":[' + records[0] + b"," + records[1])[:-8],
        "middle.json.gz": cut_in_the_middle(make_range(51, 80)),
        "checksum.json.gz": flow.pack_records(make_range(101, 110))[:-8] + b"\0" * 8,
        "behind.json.gz": flow.pack_records(make_range(201, 210)) + b"behind the end",
        "nothing.json.gz": b"this is no gzip at all",
    }
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.start_collector()
        # What could be read before the damage is kept.
        kept = records[:2] + make_range(51, 80) + make_range(101, 110) + make_range(201, 210)
        said = run_files(organization, files, kept)
        assert said["truncated.json.gz"]["reason"] == "truncated_file", said
        for name in ("middle.json.gz", "checksum.json.gz", "nothing.json.gz"):
            assert said[name]["reason"] == "corrupt_file", said[name]
        for name, detail in said.items():
            assert detail["detail"], detail
            assert detail["refusedBytes"] == len(files[name]), detail
            assert len(detail["sha256"]) == 64, detail
        assert len(organization.quarantine("notice")) == len(files)


def test_bomb():
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.start_collector()
        files = {"bomb.json.gz": make_bomb(make_range(1, 5))}
        said = run_files(organization, files, make_range(1, 5))["bomb.json.gz"]
        assert said["reason"] == "corrupt_file", said
        assert "more than 500 times as many" in said["detail"] and said["place"].startswith("byte "), said
        assert said["refusedBytes"] == len(files["bomb.json.gz"]), said
        (agent,) = organization.agents
        peak = read_peak_kib(agent.process.pid)
        assert peak < 200 * 1024, f"the agent took {peak} KiB"


def read_peak_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line.split()[1] for line in file if line.startswith("VmHWM")))


def test_envelopes_that_are_none():
    first, second = make_range(1, 2)
    files = {
        "words.json": b"Records are here",
        "open.json": b'{"Records":[' + first + b"," + second,
    }
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.start_collector()
        said = run_files(organization, files, [first, second])
        assert said["words.json"]["reason"] == "corrupt_file", said
        assert said["open.json"]["reason"] == "truncated_file", said


def deep(depth):
    return make(0)[:-1] + b',"deep":' + b"[" * depth + b"]" * depth + b"}"


LINES = {
    "invalid_json": [b"{not json}", make(1)[:-1], make(2) + b"}", b"nonsense", b'{"a":01}', deep(1000)],
    "not_an_object": [b"[1,2]", b'"text"', b"17", b"null"],
    "duplicate_member": [make(3)[:-1] + b',"eventID":"x"}', make(4)[:-1] + b',"d":{"a":1,"a":2}}'],
    "no_event_time": [
        make(5, without=["eventTime"]),
        make(6, eventTime="yesterday"),
        make(7, eventTime=17),
        make(8, eventTime="2026-02-30T00:00:00Z"),
    ],
    "no_event_source": [make(9, without=["eventSource"]), make(10, eventSource=["ec2"])],
    "no_event_name": [make(11, without=["eventName"]), make(12, eventName="")],
    "bad_event_id": [make(13, eventID={}), make(14, eventID="y" * 257)],
    "wrong_type": [
        make(15, awsRegion=7),
        make(16, recipientAccountId=222222222222),
        make(17, eventCategory=[]),
        make(18, eventType=True),
    ],
}


def test_lines_that_are_no_events():
    lines = [line for some in LINES.values() for line in some]
    bad_texts = [make(19).replace(b"ana", b"an\xff"), make(20).replace(b"ana", b"\xed\xa0\x80")]
    # Wrong types where nothing depends on them are kept as they came.
    odd = [make(21, userIdentity="me"), make(22, readOnly="perhaps"), make(23, resources={"a": 1})]
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append([make(31), *lines, *bad_texts, *odd, make(32)])
        status = organization.wait_received(len(lines) + 2 + len(odd) + 2)
        assert status["total"]["quarantined"] == len(lines) + 2, status["quarantine"]
        for reason, some in LINES.items():
            entries = {entry["text"].encode(): entry for entry in organization.quarantine(reason)}
            for line in some:
                assert line in entries, f"{reason}: {line[:80]}: not among {len(entries)}"
                entry = entries[line]
                assert entry["detail"] and entry["agent"] == agent.uri, entry
        not_utf8 = [
            entry
            for entry in organization.quarantine("invalid_json")
            if "UTF-8" in entry["detail"] or "utf-8" in entry["detail"].lower()
        ]
        assert len(not_utf8) == 2, not_utf8
        raw = organization.run_raw("quarantine", "show", "--raw", not_utf8[0]["key"], organization.store)
        assert raw in bad_texts, raw[:200]
        found = [line for line in organization.export() if b"orgtrail.local" not in line]
        assert sorted(found) == sorted([make(31), *odd, make(32)])


def test_record_of_two_megabytes():
    large = make(1, requestParameters={"userData": os.urandom(1 << 20).hex()})
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.start_collector()
        agent = organization.enroll("-a", SHOP, is_started=False)
        # Whole before it is read: a line is refused, and its size told, as soon as it is too long.
        agent.append([make(2), large, make(3)])
        agent.deliver([make(4), large, make(5)], "large.json.gz")
        agent.start()
        events = organization.wait_notices(2)
        organization.wait_received(4)
        for event in events:
            said = event["serviceEventDetails"]
            assert said["reason"] == "record_too_large", said
            assert said["refusedBytes"] == len(large), said
        places = " ".join(event["serviceEventDetails"]["place"] for event in events)
        assert "large.json.gz" in places and "lines.ndjson" in places, places
        (entry,) = organization.quarantine("notice")
        assert entry["text"].encode() == large[: 64 << 10] and entry["count"] == 2, entry
        found = [line for line in organization.export() if b"orgtrail.local" not in line]
        assert sorted(found) == make_range(2, 5)


if __name__ == "__main__":
    cases.run("bad_records_test", globals())
