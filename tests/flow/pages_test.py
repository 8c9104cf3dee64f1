#!/usr/bin/env python3
"""Every command that docs/operations.md and the alarms' descriptions name, run on a trail in trouble.

A command that a page names and this test does not run fails it, and so does one that no page names.
"""

import json
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import BANK, OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402

PAGE = os.path.join(flow.ROOT, "docs/operations.md")
RULES = os.path.join(flow.ROOT, "packaging/prometheus/orgtrail.rules.yml")
# What looks like a command of ours and is none: a line of `orgtrail status`, messages, the system's.
NO_COMMANDS = {
    "agent is silent",
    "deny list",
    "deny list N entries",
    "agent started",
    "agent throttled: its quarantine is full",
    "no control socket: orgtrail agent status cannot ask",
    "roster reloaded",
    "roster not reloaded: the old one stays",
    "usermod -aG orgtrail NAME",
}
# Needs a machine with our units and users: tests/package runs it.
OF_PACKAGES = {"runuser -u orgtrail-agent -- orgtrail agent status"}


class Trouble:
    """A trail with something of everything to look at."""

    def __init__(self, organization):
        self.organization = organization
        text = organization.read_settings().replace("roster:\n", "roster:\n  unknown: quarantine\n")
        organization.write_settings(text + f'api: {{listen: "127.0.0.1:{flow.find_free_port()}"}}\n')
        organization.start_collector()
        self.agent = organization.enroll("-a", SHOP)
        self.reader = organization.enroll("--organization")
        self.agent.append(make_range(1, 5) + [make(1, eventName="StopInstances")])
        self.agent.append([make(9, recipientAccountId=BANK)])
        self.reader.append([make(20, recipientAccountId="444444444444")])
        flow.write_file(os.path.join(self.agent.files, "broken.json.gz"), b"no gzip at all")
        organization.wait_received(8)
        organization.wait_notices(1)
        self.keys = {entry["reason"]: entry["key"] for entry in organization.quarantine()}
        self.event_id = json.loads(make(1))["eventID"]

    def run(self, *arguments, code=0, has=""):
        done = self.organization.run(*arguments, code=code)
        assert has in done.stdout + done.stderr, f"{arguments}: {has!r} is not in {done}"

    def ask(self, *arguments, code=0, has=""):
        """One that asks the store, or the collector beside it."""
        self.run(*arguments, "--store", self.organization.store, code=code, has=has)

    def serial(self):
        listed = self.organization.status()["certificates"]
        return next(line["serial"] for line in listed if line["subject"] == self.agent.uri)

    def access_key(self):
        arguments = ("keys", "create", "--json", "auditor", "--store", self.organization.store)
        return json.loads(self.organization.run(*arguments).stdout)["AccessKey"]["AccessKeyId"]

    def gone(self):
        agent = self.organization.enroll("-a", SHOP, "-g", "gone", is_started=False)
        return agent.uri


# As the page has it: what is run of it, and what it must say.
COMMANDS = {
    "orgtrail status": lambda t: t.ask("status", has="ALARM        1 conflict"),
    "orgtrail status --coverage": lambda t: t.ask("status", "--coverage", has=SHOP),
    "orgtrail store check": lambda t: t.ask("store", "check", has="all good"),
    "orgtrail lookup --event-id": lambda t: t.ask("lookup", "--event-id", t.event_id, has="StartInstances"),
    "orgtrail lookup --event-source orgtrail.local": lambda t: t.ask(
        "lookup", "--event-source", "orgtrail.local", has="EventConflict"
    ),
    "orgtrail quarantine list": lambda t: t.ask("quarantine", "list", has="identity"),
    "orgtrail quarantine show KEY": lambda t: t.ask("quarantine", "show", t.keys["conflict"], has="StopInstances"),
    "orgtrail quarantine retry --reason unknown_account": lambda t: t.ask(
        "quarantine", "retry", "--reason", "unknown_account", has="1"
    ),
    "orgtrail quarantine retry": lambda t: t.ask("quarantine", "retry", "--reason", "identity", has="1"),
    "orgtrail reload": lambda t: t.ask("reload"),
    "orgtrail follower list": lambda t: t.ask("follower", "list", has="no follower has ever saved its place"),
    # Nothing follows this trail yet: it says so.
    "orgtrail follower drop NAME": lambda t: t.ask("follower", "drop", "deliver", code=2, has='no follower "deliver"'),
    "orgtrail agent status": lambda t: t.run(
        "agent", "status", "--config", t.agent.config_path, has="streaming"
    ),
    "orgtrail agent status /etc/orgtrail-agent/eu": lambda t: t.run(
        "agent", "status", t.agent.folder, has="streaming"
    ),
    "orgtrail deny add SERIAL": lambda t: t.ask("deny", "add", t.serial(), has="matches 1 known agent"),
    "orgtrail deny remove ENTRY": lambda t: t.ask("deny", "remove", t.serial(), has="the deny list is empty"),
    "orgtrail enroll DIR --renew=BUNDLE": lambda t: t.run(
        "enroll", t.organization.folder, f"--renew={t.agent.folder}", has=t.agent.uri
    ),
    "orgtrail enroll --renew": lambda t: t.run(
        "enroll", t.organization.folder, "--account", SHOP, "--renew", has=t.agent.uri
    ),
    "orgtrail enroll DIR --retire NAME": lambda t: t.run(
        "enroll", t.organization.folder, "--retire", t.gone(), has="orgtrail deny add"
    ),
    "orgtrail keys disable ID": lambda t: t.ask("keys", "disable", t.access_key()),
    "enroll --server": lambda t: t.run("enroll", t.organization.folder, "--server", has="renewed"),
    "orgtrail ca DIR --replace": lambda t: t.run("ca", t.organization.folder, "--replace", has="CA"),
    # Short for some of the above.
    "quarantine retry": lambda t: t.ask("quarantine", "retry", "--reason", "identity"),
}

# As the descriptions of Prometheus' alarms have it.
OF_RULES = {
    "orgtrail lookup --event-name EventsLost": lambda t: t.ask("lookup", "--event-name", "EventsLost"),
    "lookup --event-id": lambda t: t.ask("lookup", "--event-id", t.event_id, has="StartInstances"),
    "orgtrail lookup --event-name AgentNotice": lambda t: t.ask(
        "lookup", "--event-name", "AgentNotice", has="AgentNotice"
    ),
    "orgtrail lookup --event-name AccountUnlisted": lambda t: t.ask("lookup", "--event-name", "AccountUnlisted"),
    "orgtrail quarantine list --reason conflict": lambda t: t.ask(
        "quarantine", "list", "--reason", "conflict", has="conflict"
    ),
    "orgtrail quarantine list --reason identity": lambda t: t.ask(
        "quarantine", "list", "--reason", "identity", has="identity"
    ),
    "orgtrail quarantine list": COMMANDS["orgtrail quarantine list"],
    "quarantine retry": COMMANDS["quarantine retry"],
    "orgtrail status": COMMANDS["orgtrail status"],
    "orgtrail follower list": COMMANDS["orgtrail follower list"],
    "orgtrail store check": COMMANDS["orgtrail store check"],
    "orgtrail agent status": COMMANDS["orgtrail agent status"],
    "orgtrail enroll": COMMANDS["orgtrail enroll --renew"],
}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def names_of_commands(organization):
    """What `orgtrail --help` lists."""
    listed = re.findall(r"(?m)^  ([a-z]+) ", organization.run("--help").stdout)
    assert "lookup" in listed and "quarantine" in listed, listed
    return set(listed)


def find_commands(page, known):
    """The commands that a page names, in its text and its examples."""
    found = set()
    for code in re.findall(r"`([^`\n]+)`", page) + re.findall(r"(?m)^[$#] (\S.*)$", page):
        words = code.split()
        if "orgtrail" in words[:-1] or (words[0] in known and len(words) > 1):
            found.add(code)
    return found - NO_COMMANDS


def test_every_command_of_the_page():
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        named = find_commands(read(PAGE), names_of_commands(organization)) - OF_PACKAGES
        assert named == set(COMMANDS), f"not run: {named - set(COMMANDS)}, not named: {set(COMMANDS) - named}"
        trouble = Trouble(organization)
        for run in COMMANDS.values():
            run(trouble)


def test_every_command_of_the_alarms():
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        text = " ".join(re.findall(r"description: (\".*\")", read(RULES)))
        known = "|".join(sorted(names_of_commands(organization)))
        for command in OF_RULES:
            assert command in text, f"no alarm says {command}"
        # A tail is what the alarm is about, not what to run.
        for said in re.findall(rf"orgtrail (?:{known})\b[^.:,;\"]*", text):
            is_run = any(said.startswith(command) for command in OF_RULES)
            assert is_run or said.startswith("orgtrail tail "), f"not run: {said}"
        trouble = Trouble(organization)
        for run in OF_RULES.values():
            run(trouble)


if __name__ == "__main__":
    cases.run("pages_test", globals())
