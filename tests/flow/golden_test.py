#!/usr/bin/env python3
"""Sends tests/golden/records.tsv through the real processes: a new case is one line there."""

import collections
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.kit import cases  # noqa: E402

RECORDS = os.path.join(flow.ROOT, "tests/golden/records.tsv")
ODDITIES = 19
IN_DATA_ONLY = {2}  # what concerns whole files: fidelity_test

Line = collections.namedtuple("Line", "case agent outcome lookup record")


def fill(match):
    count = int(match.group(1))
    return ("orgtrail-" * (count // 9 + 1))[:count]


def load():
    lines = []
    with open(RECORDS, encoding="utf-8", newline="\n") as file:
        for number, text in enumerate(file, 1):
            if text.startswith("#"):
                continue
            fields = text.rstrip("\n").split("\t")
            assert len(fields) == 5, f"{RECORDS}:{number}: {len(fields)} fields, not 5"
            fields[4] = re.sub(r"\{\{fill (\d+)\}\}", fill, fields[4])
            lines.append(Line(*fields))
    return lines


def make_rounds(lines):
    """The first line of every case, then the second ones, and so on."""
    seen = collections.Counter()
    rounds = collections.defaultdict(list)
    for line in lines:
        rounds[seen[line.case]].append(line)
        seen[line.case] += 1
    return [rounds[index] for index in sorted(rounds)]


def enroll(organization, lines):
    agents = {}
    for name in {line.agent for line in lines}:
        account, _, region = name.partition("/")
        who = ["--organization"] if name == "organization" else ["--account", account]
        agents[name] = organization.enroll(*who, *(["--region", region] if region else []))
    return agents


OUTCOMES = {"stored": "stored", "duplicate": "duplicates", "variant": "variants"}


def send_round(organization, agents, lines, before):
    """Sends one line of each case, and compares what became of all of them."""
    for line in lines:
        agents[line.agent].append([line.record.encode()])
    status = organization.wait_received(before["received"] + len(lines))
    wanted = collections.Counter(OUTCOMES.get(line.outcome, "quarantined") for line in lines)
    found = {key: status["total"][key] - before[key] for key in [*OUTCOMES.values(), "quarantined"]}
    if found != {key: wanted[key] for key in found}:
        kept = collections.Counter(organization.export())
        odd = [l.case for l in lines if (l.outcome == "stored") != (kept[l.record.encode()] > 0)]
        odd += [entry["detail"] for entry in organization.quarantine()]
        raise AssertionError(f"{found}, not {dict(wanted)}: {odd}")
    return status["total"]


def check_stored(organization, lines):
    kept = collections.Counter(organization.export())
    for line in lines:
        if line.outcome == "stored":
            assert kept[line.record.encode()] == 1, f"{line.case}: not in the export once"
        if line.outcome == "stored" and line.lookup != "-":
            conditions = [part.replace("%20", " ") for part in line.lookup.split(" ")]
            found = organization.lookup(*conditions)
            assert line.record in found, f"{line.case}: not found by {line.lookup}"
            assert len(found) <= 4, f"{line.case}: {line.lookup} finds {len(found)} events"


def check_refused(organization, lines, agents):
    refused = {entry["text"]: entry for entry in organization.quarantine()}
    for line in lines:
        if line.outcome in OUTCOMES:
            continue
        entry = refused.get(line.record)
        assert entry, f"{line.case}: not in quarantine"
        assert entry["reason"] == line.outcome, f"{line.case}: {entry['reason']}"
        assert entry["agent"] == agents[line.agent].uri, line.case
        assert entry["detail"], f"{line.case}: says no more than {line.outcome}"


def test_golden_records():
    lines = load()
    accounts = sorted({line.agent.partition("/")[0] for line in lines} - {"organization"})
    with flow.Organization(accounts=accounts, management="999999999999") as organization:
        organization.start_collector()
        agents = enroll(organization, lines)
        total = organization.status()["total"]
        for sent in make_rounds(lines):
            total = send_round(organization, agents, sent, total)
        check_stored(organization, lines)
        check_refused(organization, lines, agents)
        stored = sum(line.outcome == "stored" for line in lines)
        assert organization.check() == stored + len(organization.own_events())


def test_shared_events_are_linked():
    shared = [line for line in load() if line.case == "12-shared"]
    assert len({line.agent for line in shared}) == 3
    with flow.Organization(accounts=[line.agent for line in shared]) as organization:
        organization.start_collector()
        agents = enroll(organization, shared)
        send_round(organization, agents, shared, organization.status()["total"])
        link = re.search(r'"sharedEventID":"([^"]+)"', shared[0].record).group(1)
        found = organization.lookup("--shared-event-id", link)
        assert sorted(found) == sorted(line.record for line in shared)


def test_every_oddity_has_a_case():
    numbers = {int(line.case.partition("-")[0]) for line in load()}
    missing = set(range(1, ODDITIES + 1)) - numbers - IN_DATA_ONLY
    assert not missing, f"no line for {missing}"


if __name__ == "__main__":
    cases.run("golden_test", globals())
