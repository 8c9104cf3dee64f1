#!/usr/bin/env python3
"""The main job on real records: agents of four accounts, one trail, a lookup and an export.

Called by demo.sh after the build. Everything runs on this machine over mutual TLS.
"""

import collections
import glob
import json
import os
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402

MANAGEMENT = "999999999999"
LAB, AUTOMATION, LAKE, SANDBOX = "123837392027", "347283850106", "123456789123", "111111111111"
NAMES = {LAB: "attack-lab", AUTOMATION: "automation", LAKE: "data-lake", SANDBOX: "sandbox"}

# What CloudTrail reports in every region of an account, from the one home region.
GLOBAL_SOURCES = {
    f"{name}.amazonaws.com"
    for name in ("iam", "organizations", "route53", "cloudfront", "health", "ce", "account")
}
TWICE = 11  # every so manieth file of the first agent comes a second time, under another name

BOLD, DIM, GREEN, RED, PLAIN = (
    ("\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[0m")
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    else ("", "", "", "", "")
)


class Feed:
    """One agent and what it is given to read."""

    def __init__(self, account, region, note):
        self.account = account
        self.region = region
        self.note = note
        self.files = []  # (name, records)
        self.lines = []  # records for the growing file
        self.agent = None

    def add(self, name, records):
        self.files.append((name, records))

    def count(self):
        return sum(len(records) for _, records in self.files) + len(self.lines)

    def name(self):
        return f"{NAMES[self.account]} {self.region or 'all regions'}"


def say(text=""):
    print(text, flush=True)


def head(number, text):
    say(f"\n{BOLD}{number}. {text}{PLAIN}")


def number(value):
    return f"{value:,}"


def load():
    """All bundled records: {path below tests/data: records}."""
    found = {}
    for path in sorted(glob.glob(os.path.join(flow.DATA, "**/*.json.gz"), recursive=True)):
        found[os.path.relpath(path, flow.DATA)] = flow.read_file(path)
    return found


def is_global(record):
    event = json.loads(record)
    return event["eventSource"] in GLOBAL_SOURCES and event["awsRegion"] == "us-east-1"


def spread(data):
    """Which agent reads what."""
    lab = Feed(LAB, "us-east-1", "and every eleventh file twice")
    lab_copies = [
        Feed(LAB, region, "copies of the account's global events")
        for region in ("eu-west-1", "us-west-2")
    ]
    automation = Feed(AUTOMATION, "eu-west-1", "")
    lake = Feed(LAKE, None, "and a file of another account")
    sandbox = Feed(SANDBOX, "us-east-1", "and four broken or forged ones")
    sandbox_west = Feed(SANDBOX, "us-west-2", "and copies of global events")
    sandbox_rest = Feed(SANDBOX, None, "of 18 more regions")

    lab_files = [path for path in data if path.startswith("invictus-ir/")]
    for index, path in enumerate(lab_files):
        lab.add(os.path.basename(path), data[path])
        if index % TWICE == 0:
            lab.add("again/" + os.path.basename(path), data[path])
        copies = [record for record in data[path] if is_global(record)]
        for feed in lab_copies:
            if copies:
                feed.add(os.path.basename(path), copies)
    foreign = None
    for path, records in data.items():
        name = os.path.basename(path)
        if path.startswith("opensearch-catalog/"):
            automation.add(name, records)
        elif path.startswith("otrf/"):
            lake.add(name, records)
        elif "_us-east-1_" in path and path.startswith("traildiscover/"):
            sandbox.add(name, records)
            sandbox_west.add("global/" + name, [r for r in records if is_global(r)])
        elif "_us-west-2_" in path:
            sandbox_west.add(name, records)
        elif path.startswith("traildiscover/"):
            sandbox_rest.add(name, records)
            foreign = foreign or (name, records)
    lake.add("foreign/" + foreign[0], foreign[1])
    sandbox.lines = spoil(sandbox.files[0][1][0])
    feeds = [lab, *lab_copies, automation, lake, sandbox, sandbox_west, sandbox_rest]
    return feeds, len(foreign[1]) + len(sandbox.lines)


def spoil(record):
    """What must not enter the trail, made of a real record."""
    event = json.loads(record)
    changes = [{"eventSource": "orgtrail.local"}, {"eventTime": "2099-01-01T00:00:00Z"}]
    spoiled = [json.dumps({**event, **change}).encode() for change in changes]
    del event["eventTime"]
    return [*spoiled, json.dumps(event).encode(), record[: len(record) // 2]]


def show_feeds(feeds):
    say(f"   {DIM}{'ACCOUNT':<27} {'AGENT FOR':<12} {'FILES':>5} {'RECORDS':>8}{PLAIN}")
    last = None
    for feed in feeds:
        account = f"{feed.account}  {NAMES[feed.account]}" if feed.account != last else ""
        last = feed.account
        say(
            f"   {account:<27} {feed.region or 'all regions':<12} {len(feed.files):>5} "
            f"{number(feed.count()):>8}  {DIM}{feed.note}{PLAIN}"
        )


def show_outcome(status, feeds):
    by_uri = {line["agent"]: line for line in status["agents"]}
    say(
        f"   {DIM}{'AGENT':<27} {'RECEIVED':>9} {'STORED':>8} {'MERGED':>8} {'QUARANTINED':>12}"
        f" {'GLOBAL':>8}{PLAIN}"
    )
    for feed in feeds:
        line = by_uri[feed.agent.uri]
        show_line(feed.name(), line)
    show_line("all", status["total"], BOLD)


def show_line(name, line, style=""):
    merged = line["duplicates"] + line["variants"]
    say(
        f"   {style}{name:<27} {number(line['received']):>9} {number(line['stored']):>8} "
        f"{number(merged):>8} {number(line['quarantined']):>12} "
        f"{number(line['global_reported']):>8}{PLAIN}"
    )


def run_command(organization, *arguments):
    """Shows a command of the operator and what it says."""
    say(f"   {GREEN}$ orgtrail {' '.join(arguments)}{PLAIN}")
    said = organization.run(*arguments).stdout
    for line in said.splitlines():
        say("   " + line)


def read_export(folder):
    """Every record of the exported files, as bytes, and the number of files."""
    paths = glob.glob(os.path.join(folder, "AWSLogs/**/*.json.gz"), recursive=True)
    records = []
    for path in paths:
        records += flow.read_file(path)
    return records, len(paths)


class Verdict:
    """What must be true at the end. Each is printed; one that is not makes the demo fail."""

    def __init__(self):
        self.is_good = True

    def expect(self, is_true, text):
        self.is_good = self.is_good and is_true
        mark = f"{GREEN}ok{PLAIN}" if is_true else f"{RED}NOT TRUE{PLAIN}"
        say(f"   {mark}  {text}")


def run_organization(organization, feeds):
    """Starts all of it, and waits until everything that was given out has arrived."""
    organization.start_collector()
    for feed in feeds:
        region = ["--region", feed.region] if feed.region else []
        feed.agent = organization.enroll("--account", feed.account, *region, is_started=False)
        for name, records in feed.files:
            feed.agent.deliver(records, name)
        feed.agent.append(feed.lines)
    for feed in feeds:
        feed.agent.start()
    began = time.monotonic()
    status = organization.wait_received(sum(feed.count() for feed in feeds))
    return status, time.monotonic() - began


def check(organization, data, feeds, refused_count, status, exported):
    good = [record for records in data.values() for record in records]
    own = [record for record in exported if json.loads(record)["eventSource"] == "orgtrail.local"]
    total = status["total"]
    sent = sum(feed.count() for feed in feeds)
    merged = total["duplicates"] + total["variants"]
    copies = sent - len(good) - refused_count
    verdict = Verdict()
    verdict.expect(
        total["received"] == sent == total["stored"] + merged + total["quarantined"],
        f"received {number(sent)} = stored {number(total['stored'])} + merged {number(merged)}"
        f" + quarantined {number(total['quarantined'])}",
    )
    verdict.expect(merged == copies, f"merged: exactly the {number(copies)} copies that were sent")
    verdict.expect(
        total["quarantined"] == refused_count,
        f"quarantined: exactly the {refused_count} that must not enter the trail",
    )
    verdict.expect(
        collections.Counter(exported) - collections.Counter(own) == collections.Counter(good),
        f"exported: all {number(len(good))} records of the source, each once, byte for byte,"
        f" and {len(own)} events of orgtrail's own",
    )
    verdict.expect(
        organization.check() == len(good) + len(own),
        f"store check: {number(len(good) + len(own))} events, all good",
    )
    return verdict.is_good


def demo(folder):
    began = time.monotonic()
    data = load()
    feeds, refused_count = spread(data)
    accounts = [f"{account}={NAMES[account]}" for account in NAMES]
    with flow.Organization(folder, accounts, "o-demo4lab7x", MANAGEMENT) as organization:
        total = sum(len(records) for records in data.values())
        say(f"\n{BOLD}orgtrail{PLAIN}: one trail of an organization's {number(total)} real records")

        head(1, f"An organization: {len(NAMES)} accounts, {len(feeds)} agents, one collector")
        show_feeds(feeds)

        head(2, "Agents read and send, the collector merges")
        status, seconds = run_organization(organization, feeds)
        show_outcome(status, feeds)
        rate = f"{seconds:.1f} s over mutual TLS, each commit on the disk before it was acknowledged"
        say(f"   {DIM}{rate}{PLAIN}")

        head(3, "Refused, kept with bytes and reason (intended: the demo sends these)")
        for entry in organization.quarantine():
            name = next(f.name() for f in feeds if f.agent.uri == entry["agent"])
            detail = entry["detail"].partition(" (number")[0]
            say(f"   {entry['reason']:<16} {name:<22} {DIM}{detail}{PLAIN}")

        os.environ["ORGTRAIL_STORE"] = organization.store
        os.environ["ORGTRAIL_ORGANIZATION"] = organization.name
        os.environ.setdefault("COLUMNS", str(shutil.get_terminal_size((120, 24)).columns - 3))
        head(4, "Look events up: who was refused a change to IAM?")
        run_command(organization, "lookup", "--event-source", "iam", "--write", "--errors", "-n", "5")

        head(5, "Export the consolidated trail, as CloudTrail lays it out")
        os.chdir(organization.base)
        run_command(organization, "export", "trail")
        exported, _ = read_export("trail")

        head(6, "Does it balance?")
        is_good = check(organization, data, feeds, refused_count, status, exported)
        codes = [program.stop() for program in [*organization.agents, organization.collector]]
        os.chdir("/")
    ended = "Nothing is left running" if not any(codes) else f"EXIT CODES {codes}"
    say(f"\n{ended}. {time.monotonic() - began:.1f} s.")
    return is_good and not any(codes)


def main():
    def stop(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    is_kept = "--keep" in sys.argv[1:]
    folder = tempfile.mkdtemp(prefix="orgtrail-demo.")
    try:
        code = 0 if demo(folder) else 1
    except KeyboardInterrupt:
        say("\ndemo: stopped; nothing is left running")
        code = 130
    except Exception as error:  # every failure is one line here: the folder says the rest
        say(f"\n{RED}demo: {type(error).__name__}: {error}{PLAIN}")
        for path in sorted(glob.glob(os.path.join(folder, "**/*log"), recursive=True)):
            if os.path.isfile(path):
                with open(path, encoding="utf-8", errors="replace") as log:
                    say(f"-- {path}\n" + "".join(log.readlines()[-5:]))
        code = 1
    finally:
        if is_kept:
            say(f"Kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
