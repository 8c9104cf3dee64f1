#!/usr/bin/env python3
"""Metrics, alarms and dashboard: named as they should be, true to the programs, and seen to fire.

The alarms are tried twice: each one by itself with promtool, over values made for it, and some with
Debian's Prometheus over running programs.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import BANK, OWNER, SHOP, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402
from tests.watch.world import World  # noqa: E402

FOLDER = os.path.join(flow.ROOT, "packaging/prometheus")
RULES = os.path.join(FOLDER, "orgtrail.rules.yml")
DASHBOARD = os.path.join(FOLDER, "orgtrail-dashboard.json")
TOOLS = "/usr/local/lib/orgtrail/prometheus"  # where ./dev setup puts them
NAME = re.compile(r"\borgtrail_(?:agent|collector)_[a-z_]+")

# Of each alarm: a series, values that fire it and values that do not, one a minute, from the first on.
COLLECTOR, AGENT = "orgtrail_collector_", "orgtrail_agent_"
RISES, RESTS = "0x3 1x3000", "7x3000"
MONTH = 30 * 86400
FIRING = {
    "OrgtrailCollectorDown": ('up{job="orgtrail-collector"}', "1 0x3000", "1x3000"),
    "OrgtrailGap": (COLLECTOR + "gap_numbers_total", RISES, RESTS),
    "OrgtrailConflict": (COLLECTOR + 'quarantined_events_total{reason="conflict"}', RISES, RESTS),
    "OrgtrailTimeConflict": (COLLECTOR + "time_conflicts_total", RISES, RESTS),
    "OrgtrailIdentityViolation": (
        COLLECTOR + 'quarantined_events_total{reason="identity"}',
        RISES,
        RESTS,
    ),
    "OrgtrailQuarantine": (
        COLLECTOR + 'quarantined_events_total{reason="future"}',
        RISES,
        RESTS,
    ),
    "OrgtrailQuarantineFull": (COLLECTOR + "throttled_streams", "1x3000", "0x3000"),
    "OrgtrailNotice": (COLLECTOR + "notices_total", RISES, RESTS),
    "OrgtrailSilentAgent": (COLLECTOR + "silent_agents", "2x3000", "0x3000"),
    "OrgtrailSilentRegion": (COLLECTOR + "silent_regions", "1x3000", "0x3000"),
    "OrgtrailStoreFull": (COLLECTOR + "full_store", "1x3000", "0x3000"),
    "OrgtrailDiskLow": (COLLECTOR + "disk_free_bytes", "9x3000", "11x3000"),
    "OrgtrailDiskFullSoon": (COLLECTOR + "disk_free_bytes", "39-0.01x3000", "39-0.0001x3000"),
    "OrgtrailSlowDisk": (COLLECTOR + 'commit_seconds_bucket{le="1"}', "0x3000", "0+5x3000"),
    "OrgtrailStuckCursor": (COLLECTOR + "held_retention", "1x3000", "0x3000"),
    "OrgtrailTargetFails": (COLLECTOR + 'notification_lag_seconds{follower="a"}', "901x3000", "899x3000"),
    "OrgtrailLogGroupLeavesOut": (
        COLLECTOR + 'log_group_left_out_events_total{follower="a"}',
        RISES,
        RESTS,
    ),
    "OrgtrailDamagedStore": (COLLECTOR + "damaged_parts", "1x3000", "0x3000"),
    "OrgtrailMismatchedTexts": (COLLECTOR + "mismatched_texts", "1x3000", "0x3000"),
    "OrgtrailStuckReader": (COLLECTOR + "stuck_readers", "1x3000", "0x3000"),
    "OrgtrailCertificateEnds": (
        COLLECTOR + 'certificate_left_seconds{subject="a"}',
        f"{MONTH - 1}x3000",
        f"{MONTH + 1}x3000",
    ),
    "OrgtrailCertificateEndsToday": (
        COLLECTOR + 'certificate_left_seconds{subject="a"}',
        "86399x3000",
        "86401x3000",
    ),
    "OrgtrailClockSkew": (COLLECTOR + 'clock_skew_seconds{agent="a"}', "-61x3000", "-59x3000"),
    "OrgtrailUnlistedAccount": (COLLECTOR + "unlisted_events_total", RISES, RESTS),
    "OrgtrailStreamsDenied": (COLLECTOR + 'refused_streams_total{kind="denied"}', RISES, RESTS),
    "OrgtrailCorruptSpool": (COLLECTOR + 'ended_streams_total{kind="corrupt"}', RISES, RESTS),
    "OrgtrailOwnEventsLost": (COLLECTOR + "lost_notes_total", RISES, RESTS),
    "OrgtrailDeliveryFails": (COLLECTOR + "failing_followers", "1x3000", "0x3000"),
    "OrgtrailAgentDown": ('up{job="orgtrail-agent"}', "1 0x3000", "1x3000"),
    "OrgtrailAgentDisconnected": (AGENT + "connected", "0x3000", "1x3000"),
    "OrgtrailAgentSpoolFull": (AGENT + "full_spool", "1x3000", "0x3000"),
    "OrgtrailAgentGap": (AGENT + "gaps_total", RISES, RESTS),
    "OrgtrailAgentSourceErrors": (AGENT + 'source_errors_total{source="a"}', RISES, RESTS),
    "OrgtrailAgentRestream": (AGENT + "restreams_total", RISES, RESTS),
    "OrgtrailAgentCertificateEnds": (
        AGENT + "certificate_expiry_seconds",
        f"{MONTH}x3000",
        f"{MONTH * 3}x3000",
    ),
}
# What an alarm needs beside its series.
BESIDE = {
    "OrgtrailDiskLow": [(COLLECTOR + "disk_bytes", "100x3000")],
    "OrgtrailDiskFullSoon": [(COLLECTOR + "disk_bytes", "100x3000")],
    "OrgtrailSlowDisk": [
        (COLLECTOR + 'commit_seconds_bucket{le="2"}', "0+5x3000"),
        (COLLECTOR + 'commit_seconds_bucket{le="+Inf"}', "0+5x3000"),
    ],
}
# Where the condition of each alarm is provoked with our programs, or a part of one, and its metric is
# seen to say so: file, function, and what the function reads.
HERE = "tests/watch/watch_test.py"
FLOW = "tests/flow/alarms_test.py"
STUCK = "tests/watch/stuck_test.py"
PROVOKED = {
    "OrgtrailCollectorDown": (HERE, "test_alarms_fire_over_running_programs", "OrgtrailCollectorDown"),
    "OrgtrailGap": (FLOW, "test_gap", "gap_numbers_total"),
    "OrgtrailConflict": (FLOW, "test_conflict_and_identity", "quarantined_events_total"),
    "OrgtrailTimeConflict": (FLOW, "test_one_id_at_two_times", "time_conflicts_total"),
    "OrgtrailIdentityViolation": (FLOW, "test_conflict_and_identity", "quarantined_events_total"),
    "OrgtrailQuarantine": (FLOW, "test_unknown_account", "quarantined_events_total"),
    "OrgtrailQuarantineFull": (FLOW, "test_full_quarantine", "throttled_streams"),
    "OrgtrailNotice": (FLOW, "test_notice", "notices_total"),
    "OrgtrailSilentAgent": (FLOW, "test_silent_agent_begins_and_ends", "silent_agents"),
    "OrgtrailSilentRegion": (FLOW, "test_silent_region_begins_and_ends", "silent_regions"),
    "OrgtrailStoreFull": (STUCK, "test_a_disk_that_fills", "full_store"),
    "OrgtrailDiskLow": (STUCK, "test_a_disk_that_fills", "disk_free_bytes"),
    "OrgtrailDiskFullSoon": (HERE, "test_a_filling_disk_is_told_days_ahead", "disk_free_bytes"),
    "OrgtrailSlowDisk": (HERE, "test_a_slow_disk_is_seen", "commit_seconds"),
    "OrgtrailStuckCursor": (STUCK, "test_stuck_follower", "held_retention"),
    "OrgtrailTargetFails": (
        "tests/notify/webhook_test.py",
        "test_a_dead_target_holds_up_nothing",
        "notification_lag_seconds",
    ),
    "OrgtrailLogGroupLeavesOut": (
        "tests/deliver/logs_test.py",
        "test_events_too_large_are_told",
        "log_group_left_out_events_total",
    ),
    "OrgtrailDamagedStore": (FLOW, "test_a_damaged_store", "damaged_parts"),
    "OrgtrailMismatchedTexts": (
        STUCK,
        "test_records_that_do_not_come_back_compressed",
        "mismatched_texts",
    ),
    "OrgtrailStuckReader": (STUCK, "test_stuck_reader", "stuck_readers"),
    "OrgtrailCertificateEnds": (
        "tests/flow/certificates_test.py",
        "test_ends_are_told_in_status_metrics_events_and_logs",
        "find_left",
    ),
    "OrgtrailCertificateEndsToday": (
        HERE,
        "test_alarms_fire_over_running_programs",
        "OrgtrailCertificateEndsToday",
    ),
    "OrgtrailClockSkew": (HERE, "test_clock_of_an_agent_that_is_wrong_is_seen", "clock_skew_seconds"),
    "OrgtrailUnlistedAccount": (FLOW, "test_unlisted_account", "unlisted_events_total"),
    "OrgtrailStreamsDenied": (FLOW, "test_denied_certificate", "refused_streams_total"),
    "OrgtrailCorruptSpool": (HERE, "test_a_wrong_chain_is_seen", "ended_streams_total"),
    "OrgtrailOwnEventsLost": (STUCK, "test_lost_own_events", "lost_notes_total"),
    "OrgtrailDeliveryFails": (
        "tests/deliver/delivery_test.py",
        "test_a_dead_destination_holds_nobody_else_up",
        "failing_followers",
    ),
    "OrgtrailAgentDown": (HERE, "test_alarms_fire_over_running_programs", "OrgtrailAgentDown"),
    "OrgtrailAgentDisconnected": (FLOW, "test_an_agents_own_metrics", '"connected"'),
    "OrgtrailAgentSpoolFull": (
        "tests/flow/bad_disk_test.py",
        "test_spool_at_its_limit",
        "full_spool",
    ),
    "OrgtrailAgentGap": (FLOW, "test_a_gap_and_a_clone_in_an_agents_metrics", "gaps_total"),
    "OrgtrailAgentSourceErrors": (FLOW, "test_an_agents_own_metrics", "source_errors_total"),
    "OrgtrailAgentRestream": (
        FLOW,
        "test_a_gap_and_a_clone_in_an_agents_metrics",
        "restreams_total",
    ),
    "OrgtrailAgentCertificateEnds": (
        FLOW,
        "test_an_agents_own_metrics",
        "certificate_expiry_seconds",
    ),
}

# Where the own event of an alarm, or its words in status, are seen if not there.
SILENT = (FLOW, "test_silent_agent_begins_and_ends")
ENDS = ("tests/flow/certificates_test.py", "test_ends_are_told_in_status_metrics_events_and_logs")
SEEN = {
    "OrgtrailClockSkew": (HERE, "test_a_wrong_clock_begins_and_ends"),
    "OrgtrailCollectorDown": (HERE, "test_a_collector_that_is_down_is_seen"),
    "OrgtrailAgentDown": SILENT,
    "OrgtrailAgentDisconnected": SILENT,
    "OrgtrailAgentGap": (FLOW, "test_gap"),
    "OrgtrailAgentSourceErrors": (FLOW, "test_notice"),
    "OrgtrailAgentCertificateEnds": ENDS,
    "OrgtrailCertificateEndsToday": ENDS,
}

MINUTES = {"OrgtrailStuckCursor": 1450, "OrgtrailDiskFullSoon": 400}  # until it fires
MINUTES_OTHERWISE = 70
MINUTES_AT_ONCE = 5  # a rise is forgotten after ten


def find_tool(name):
    path = shutil.which(name) or shutil.which(name, path=TOOLS)
    if path is None:
        raise cases.Skipped(f"{name} is not there: ./dev setup fetches it")
    return path


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def read_alarms():
    """Name, expression and annotations of each alarm, from the lines as we write them."""
    alarms = {}
    for line in read(RULES).splitlines():
        key, _, value = line.strip().lstrip("- ").partition(": ")
        if key == "alert":
            alarm = alarms[value] = {}
        elif key in ("expr", "severity", "for"):
            alarm[key] = value
        elif key in ("summary", "description"):
            alarm[key] = json.loads(value)
    return alarms


def name_of(series):
    """The metric of a series: a histogram's without what its series end in."""
    return re.sub(r"_(bucket|sum|count)$", "", series)


def read_metrics(text):
    """Kind by name of what a program serves; fails where HELP or TYPE is missing or out of place."""
    kinds, helped = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped, _, help_text = line[7:].partition(" ")
            assert help_text.endswith("."), f"help is a sentence: {line}"
            assert helped not in kinds, f"{helped} is there twice"
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == helped, f"no help before {line}"
            kinds[name] = kind
        else:
            name = re.match(r"[a-z_]+", line).group(0)
            assert name_of(name) in kinds or name in kinds, f"no type before {line}"
    return kinds


class Programs:
    """A collector and an agent that serve metrics."""

    def __enter__(self):
        self.organization = flow.Organization(accounts=[SHOP], management=OWNER)
        self.organization.__enter__()
        self.organization.start_collector()
        self.agent = self.organization.enroll("-a", SHOP, is_started=False)
        self.agent_port = flow.find_free_port()
        with open(self.agent.config_path, "a", encoding="utf-8") as file:
            file.write(f'http:\n  listen: "127.0.0.1:{self.agent_port}"\n')
        self.agent.start()
        self.agent.wait_for_message("session begun")
        return self

    def __exit__(self, *reason):
        return self.organization.__exit__(*reason)

    def fetch(self):
        """What the collector serves and what the agent serves."""
        address = f"http://127.0.0.1:{self.agent_port}/metrics"
        with urllib.request.urlopen(address, timeout=10) as page:
            return self.organization.fetch("/metrics"), page.read().decode()


def test_every_metric_is_named_and_explained():
    with Programs() as programs:
        self_told = programs.fetch()
    for program, text in zip(("collector", "agent"), self_told):
        for name, kind in read_metrics(text).items():
            assert name.startswith(f"orgtrail_{program}_"), name
            assert name.endswith("_total") == (kind == "counter"), f"{name} is a {kind}"
    for text in self_told:
        done = subprocess.run(
            [find_tool("promtool"), "check", "metrics"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_alarms_and_dashboard_name_what_there_is():
    with Programs() as programs:
        served = {}
        for text in programs.fetch():
            served.update(read_metrics(text))
    expressions = [alarm["expr"] for alarm in read_alarms().values()]
    dashboard = json.loads(read(DASHBOARD))
    for panel in dashboard["panels"]:
        assert panel["targets"] and panel["title"], panel
        expressions += [target["expr"] for target in panel["targets"]]
    named = {name_of(name) for text in expressions for name in NAME.findall(text)}
    assert len(named) > 20, named
    assert not named - set(served), f"nobody serves {sorted(named - set(served))}"


def test_every_alarm_is_explained():
    page = read(os.path.join(flow.ROOT, "docs/watching.md"))
    documented = set(re.findall(r"^\| `(Orgtrail\w+)`", page, flags=re.M))
    alarms = read_alarms()
    assert documented == set(alarms), documented ^ set(alarms)
    for name, alarm in alarms.items():
        assert alarm["summary"] in page and alarm["description"] in page, f"{name} differs"


def read_function(path, name):
    """The text of a test, from its name to the next function."""
    text = read(os.path.join(flow.ROOT, path))
    found = re.search(rf"(?m)^def {name}\(.*?(?=^(?:def|class|if|cases) |\Z)", text, re.S)
    return found.group(0) if found else ""


def test_every_alarm_is_provoked_somewhere():
    assert set(PROVOKED) == set(FIRING), set(PROVOKED) ^ set(FIRING)
    for name, (path, function, metric) in PROVOKED.items():
        assert metric in read_function(path, function), f"{name}: {path}: {function}: no {metric}"


def test_every_alarm_is_in_status_and_trail_or_says_why_not():
    page = read(os.path.join(flow.ROOT, "docs/operations.md"))
    table = page.partition("\n## Alarms of Prometheus\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(names) == sorted(FIRING), set(names) ^ set(FIRING)
    for alarms, event, status, action in rows:
        assert action, alarms
        for name in re.findall(r"`(\w+)`", alarms):
            for cell in (event, status):
                told = re.findall(r"`([^`]+)`", cell)
                assert told or re.match(r"none: \w{2,}", cell), f"{name}: {cell!r} gives no reason"
                places = [PROVOKED[name][:2], *([SEEN[name]] if name in SEEN else [])]
                texts = "".join(read_function(*place) for place in places)
                for words in told:
                    assert words in texts, f"{name}: {places} do not see {words!r}"


def make_case(alarm, name, values, is_firing):
    """One test of promtool: the series as told, and whether this alarm is there in the end."""
    series = FIRING[name][0]
    at_once = "for" not in alarm
    minutes = MINUTES.get(name, MINUTES_AT_ONCE if at_once else MINUTES_OTHERWISE)
    labels = dict(re.findall(r'(\w+)="([^"]*)"', series))
    if "without (" in alarm["expr"]:
        labels = {}
    labels.pop("le", None)
    expected = {
        "exp_labels": {**labels, "severity": alarm["severity"]},
        "exp_annotations": {key: alarm[key] for key in ("summary", "description")},
    }
    inputs = [(series, values), *BESIDE.get(name, [])]
    return {
        "interval": "1m",
        "input_series": [{"series": key, "values": value} for key, value in inputs],
        "alert_rule_test": [
            {
                "eval_time": f"{minutes}m",
                "alertname": name,
                "exp_alerts": [expected] if is_firing else [],
            }
        ],
    }


def test_each_alarm_fires_when_it_should_and_only_then():
    promtool = find_tool("promtool")
    alarms = read_alarms()
    assert set(alarms) == set(FIRING), set(alarms) ^ set(FIRING)
    tests = []
    for name, alarm in alarms.items():
        _, firing, resting = FIRING[name]
        tests += [make_case(alarm, name, firing, True), make_case(alarm, name, resting, False)]
    path = os.path.join(os.environ.get("TEST_TMPDIR", "/tmp"), f"rules-{os.getpid()}.yml")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"rule_files": [RULES], "evaluation_interval": "1m", "tests": tests}, file)
    for arguments in (["check", "rules", RULES], ["test", "rules", path]):
        done = subprocess.run(
            [promtool, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    os.remove(path)


def test_a_filling_disk_is_told_days_ahead():
    """What a running collector says of its disk, each value for an hour of the rule's time."""
    promtool = find_tool("promtool")
    alarm = read_alarms()["OrgtrailDiskFullSoon"]
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        world = World(organization, free_permille=390)
        organization.start_collector()
        facts = os.statvfs(organization.base)
        values = []
        soon = "ALARM        the store's disk will be full in "
        for step, permille in enumerate((390, 380, 370, 360, 350, 340, 330)):
            assert soon not in organization.run("status", organization.store).stdout
            world.set(free_permille=permille, later_s=610 * step)
            time.sleep(0.5)  # for the writer to look
            values.append(facts.f_blocks * permille // 1000 * facts.f_frsize)
            flow.wait_until(
                f"{permille} in a thousand are free",
                lambda: read_values(organization.fetch("/metrics"), "disk_free_bytes")[""] == values[-1],
            )
        size = read_values(organization.fetch("/metrics"), "disk_bytes")[""]
        shown = world.run(organization, "status", organization.store)
        assert f"{values[-1] / 2**20:.1f} MiB free" in shown, shown
        # The collector itself can tell it after an hour: 33 of 39 are left, and one goes every ten minutes.
        details = wait_own_event(organization, "DiskFullSoon")
        assert details["freeBytes"] == values[-1] and details["hoursLeft"] == 5, details
        shown = organization.run("status", organization.store).stdout
        assert soon + "5 hours" in shown, shown
        left = read_values(organization.fetch("/metrics"), "disk_left_seconds")[""]
        assert 32 * 600 < left < 34 * 600, left
        world.set(free_permille=900, later_s=610 * 7)
        wait_own_event(organization, "DiskLasts")
        shown = organization.run("status", organization.store).stdout
        assert soon not in shown, shown
    expected = {
        "exp_labels": {"severity": alarm["severity"]},
        "exp_annotations": {key: alarm[key] for key in ("summary", "description")},
    }
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {
                    "series": COLLECTOR + "disk_free_bytes",
                    "values": " ".join(f"{value}+0x59" for value in series),
                },
                {"series": COLLECTOR + "disk_bytes", "values": f"{size:.0f}+0x420"},
            ],
            "alert_rule_test": [
                {"eval_time": "400m", "alertname": "OrgtrailDiskFullSoon", "exp_alerts": alerts}
            ],
        }
        for series, alerts in ((values, [expected]), (values[:1] * 7, []))
    ]
    path = os.path.join(os.environ.get("TEST_TMPDIR", "/tmp"), f"disk-{os.getpid()}.yml")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"rule_files": [RULES], "evaluation_interval": "1m", "tests": tests}, file)
    done = subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    os.remove(path)


def wait_own_event(organization, name):
    found = flow.wait_until(
        lambda: f"own event {name}: {[event['eventName'] for event in organization.own_events()]}",
        lambda: organization.own_events(name),
    )
    return found[0]["serviceEventDetails"]


class Prometheus:
    """Debian's, in a folder of its own, asking every second."""

    def __init__(self, programs):
        self.folder = os.path.join(programs.organization.base, "prometheus")
        os.makedirs(self.folder)
        config = os.path.join(self.folder, "prometheus.yml")
        jobs = {
            "orgtrail-collector": programs.organization.http_port,
            "orgtrail-agent": programs.agent_port,
        }
        with open(config, "w", encoding="utf-8") as file:
            json.dump(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [RULES],
                    "scrape_configs": [
                        {
                            "job_name": job,
                            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                        }
                        for job, port in jobs.items()
                    ],
                },
                file,
            )
        self.port = flow.find_free_port()
        self.program = flow.Program(
            [
                find_tool("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={self.folder}/data",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            os.path.join(self.folder, "log"),
        )
        self.program.start()
        programs.organization.agents.append(self.program)

    def ask(self, path, **parameters):
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        if parameters:
            address += "?" + urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(address, timeout=10) as page:
                return json.load(page)["data"]
        except OSError:
            return None

    def value(self, expression):
        """The first value of an expression, or None while there is none."""
        data = self.ask("query", query=expression)
        return float(data["result"][0]["value"][1]) if data and data["result"] else None

    def alarms(self):
        """Names of alarms and their state, but for what the disk of this machine is like."""
        data = self.ask("alerts")
        names = {alert["labels"]["alertname"]: alert["state"] for alert in data["alerts"]}
        return {name: names[name] for name in names if not name.startswith("OrgtrailDisk")}


def test_alarms_fire_over_running_programs():
    find_tool("prometheus")
    with Programs() as programs:
        prometheus = Prometheus(programs)
        for expression in ("up", "orgtrail_collector_streams", "orgtrail_agent_connected"):
            flow.wait_until(
                f"{expression} is 1", lambda: prometheus.value(f"min({expression})") == 1
            )
        programs.agent.append(make_range(1, 10))
        programs.organization.wait_received(10)
        time.sleep(3)  # so that what rises now has stood before
        assert prometheus.alarms() == {}, prometheus.alarms()

        conflict = make(1, sourceIPAddress="203.0.113.99")
        foreign = make(11, recipientAccountId=BANK)
        programs.agent.append([conflict, foreign])
        flow.write_file(os.path.join(programs.agent.files, "broken.json.gz"), b"no gzip at all")
        ending = programs.organization.enroll("-a", SHOP, "-g", "second", "--days", "12h")
        ending.wait_for_message("session begun")
        expected = {
            "OrgtrailConflict",
            "OrgtrailIdentityViolation",
            "OrgtrailNotice",
            "OrgtrailCertificateEndsToday",
        }

        def are_firing():
            alarms = prometheus.alarms()
            return expected <= {name for name, state in alarms.items() if state == "firing"}

        flow.wait_until(lambda: f"{expected} fire: {prometheus.alarms()}", are_firing)
        assert "OrgtrailGap" not in prometheus.alarms()
        # A program that is gone is pending at once, and fires later.
        programs.organization.collector.kill()
        flow.wait_until(
            "the collector is missed",
            lambda: prometheus.alarms().get("OrgtrailCollectorDown") == "pending",
        )
        programs.agent.kill()
        flow.wait_until(
            "the agent is missed",
            lambda: prometheus.alarms().get("OrgtrailAgentDown") == "pending",
        )


def test_clock_of_an_agent_that_is_wrong_is_seen():
    with Programs() as programs:
        late = programs.organization.enroll("-a", SHOP, "-r", "eu-west-1", is_started=False)
        subprocess.run(
            [
                flow.find_program("tests/skew", "agent"),
                f"--address=localhost:{programs.organization.port}",
                f"--folder={late.folder}",
                "--behind=300",
            ],
            input=make(1),
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
        text, _ = programs.fetch()
    skews = re.findall(r'^orgtrail_collector_clock_skew_seconds\{agent="(\S+)"\} (\S+)$', text, re.M)
    by_agent = {agent: float(seconds) for agent, seconds in skews}
    assert 300 <= by_agent[late.uri] < 310, by_agent
    assert -1 < by_agent[programs.agent.uri] < 10, by_agent


def test_a_wrong_clock_begins_and_ends():
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.write_settings(organization.read_settings() + "heartbeat_ms: 300\n")
        world = World(organization, wall_s=-200)
        organization.collector.environment = None
        organization.start_collector()
        agent = organization.enroll("-a", SHOP, is_started=False)
        agent.environment = world.environment
        agent.start()
        details = wait_own_event(organization, "AgentClockWrong")
        assert details["agent"] == agent.uri and 200 <= details["secondsBehind"] < 210, details
        words = re.compile(rf"ALARM        the clock of {agent.uri} is 20\d s behind ours")

        def find():
            return words.search(organization.run("status", organization.store).stdout)

        flow.wait_until("the clock of the agent in status", find)
        live = organization.status()["collector"]["agents"][0]
        assert 200e3 <= live["clock_behind_ms"] < 210e3, live
        assert not organization.own_events("AgentClockRight")
        world.set(wall_s=0)
        details = wait_own_event(organization, "AgentClockRight")
        assert details["agent"] == agent.uri, details
        flow.wait_until("an end of it in status", lambda: not find())
        assert len(organization.own_events("AgentClockWrong")) == 1


def test_a_wrong_chain_is_seen():
    with Programs() as programs:
        other = programs.organization.enroll("-a", SHOP, "-r", "eu-west-1", is_started=False)
        arguments = [
            flow.find_program("tests/skew", "agent"),
            f"--address=localhost:{programs.organization.port}",
            f"--folder={other.folder}",
        ]
        # What a stream begins with is taken as given; what follows must fit.
        subprocess.run(arguments, input=make(1), stdout=subprocess.DEVNULL, timeout=60, check=True)
        done = subprocess.run(
            [*arguments, "--wrong-chain"],
            input=make(2),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1 and b"refused: " in done.stdout, done
        ended = r'orgtrail_collector_ended_streams_total\{kind="corrupt"\} 1\b'
        flow.wait_until("it is counted", lambda: re.search(ended, programs.fetch()[0]))
        line = programs.organization.collector.wait_for_message("stream ended.*corrupt")
        assert other.uri in line, line
        organization = programs.organization
        details = wait_own_event(organization, "SpoolDiffers")
        assert details["agent"] == other.uri and "the chain before" in details["detail"], details
        shown = organization.run("status", organization.store).stdout
        assert "WARNING      1 stream brought a spool that is not the one before" in shown, shown


def read_values(text, name):
    """Values of a metric of the collector by their labels."""
    found = re.findall(rf"(?m)^orgtrail_collector_{name}(\S*) (\S+)$", text)
    return {labels: float(value) for labels, value in found}


def test_the_disk_is_as_it_is_told():
    with Programs() as programs:
        facts = os.statvfs(programs.organization.store)
        text, _ = programs.fetch()
        assert read_values(text, "disk_bytes")[""] == facts.f_blocks * facts.f_frsize
        free = facts.f_bavail * facts.f_frsize
        assert abs(read_values(text, "disk_free_bytes")[""] - free) < 0.2 * facts.f_blocks * facts.f_frsize


def test_a_slow_disk_is_seen():
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        world = World(organization, sync_ms=1200)
        organization.start_collector()
        agent = organization.enroll("-a", SHOP)
        agent.append(make_range(1, 10))
        organization.wait_received(10)
        text = organization.fetch("/metrics")
        buckets = read_values(text, "commit_seconds_bucket")
        counts = {float(labels.split('"')[1]): count for labels, count in buckets.items()}
        assert counts[float("inf")] > 0, counts
        assert all(count == 0 for bound, count in counts.items() if bound <= 1), counts
        # Three are enough to tell it, if they are a minute apart.
        for number in range(3):
            agent.append(make_range(21 + number, 21 + number))
            organization.wait_received(11 + number)
            world.set(later_s=31 * (1 + number))
        assert wait_own_event(organization, "StoreSlow")["milliseconds"] > 1000
        shown = organization.run("status", organization.store).stdout
        assert "ALARM        commits take longer than a second" in shown, shown
        # One that hangs is an alarm in status after a minute.
        world.set(is_held=1)
        agent.append(make_range(11, 20))
        time.sleep(1)
        world.set(later_s=93 + 70)
        words = "ALARM        the writer has been waiting for the disk for more than a minute"
        flow.wait_until(words, lambda: words in organization.run("status", organization.store).stdout)
        world.set(is_held=0, sync_ms=0)
        organization.wait_received(23)
        world.set(later_s=93 + 70 + 310)
        wait_own_event(organization, "StoreFast")
        assert len(organization.own_events("StoreSlow")) == 1
        assert read_values(organization.fetch("/metrics"), "slow_store")[""] == 0


def test_a_collector_that_is_down_is_seen():
    with flow.Organization(accounts=[SHOP], management=OWNER) as organization:
        organization.start_collector()
        organization.collector.kill()
        done = organization.run("status", "--config", organization.config_path, code=1)
        assert "ALARM        the collector does not run" in done.stdout, done


if __name__ == "__main__":
    cases.run("watch_test", globals())
