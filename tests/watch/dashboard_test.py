#!/usr/bin/env python3
"""The dashboard over running programs: Debian's Prometheus computes what every panel shows."""

import json
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.flow import organization as flow  # noqa: E402
from tests.flow.records import BANK, make, make_range  # noqa: E402
from tests.kit import cases  # noqa: E402
from tests.watch import watch_test as watch  # noqa: E402

# Grafana's: four times the interval of scraping, at least.
INTERVALS = {"$__rate_interval": "15s", "$__interval": "1s", "$__range": "1h"}
# Panels whose expressions have no series over healthy programs, and why. None at present.
WITHOUT_SERIES = {}
# What they must show of what was done here: at least so much.
SHOWN = {
    "Streams": 1,
    "Quarantined, 24 h": 1,
    "Next certificate ends in": 86400,
    "Events a second": 0.1,
}


def expressions():
    """(title, expression) of each target, as Grafana asks for it."""
    with open(watch.DASHBOARD, encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    found = []
    while panels:
        panel = panels.pop(0)
        panels += panel.get("panels", [])
        for target in panel.get("targets", []):
            text = target["expr"]
            for name, value in INTERVALS.items():
                text = text.replace(name, value)
            assert "$" not in text, f"{panel['title']}: {text} has a variable that this test does not know"
            found.append((panel["title"], text))
    assert len(found) > 20, found
    return found


def read_value(answer):
    return max(float(series["value"][1]) for series in answer["result"])


def test_every_panel_shows_something():
    watch.find_tool("prometheus")
    with watch.Programs() as programs:
        prometheus = watch.Prometheus(programs)
        for name in ("orgtrail_collector_streams", "orgtrail_agent_connected"):
            flow.wait_until(f"{name} is 1", lambda: prometheus.value(f"min({name})") == 1)
        # Something of each kind, over some seconds, so that it has a rate.
        programs.agent.append(make_range(1, 50))
        programs.organization.wait_received(50)
        programs.agent.append([make(1, sourceIPAddress="203.0.113.99"), make(60, recipientAccountId=BANK)])
        programs.organization.wait_received(52)
        programs.agent.append(make_range(100, 150))
        left = dict(enumerate(expressions()))
        values, last = {}, {}

        def have_all():
            """Whether every expression has had a series; a wrong one ends the test."""
            for place, (title, text) in list(left.items()):
                answer = prometheus.ask("query", query=text)
                assert answer is not None, f"{title}: {text}: Prometheus refuses it"
                last[place] = answer
                if not answer["result"]:
                    continue
                value = read_value(answer)
                # A rate of nothing yet, and 0 divided by 0.
                if value != value or value < SHOWN.get(title, value):
                    continue
                values[title] = value
                del left[place]
            return all(title in WITHOUT_SERIES for title, _ in left.values())

        flow.wait_until(lambda: f"series of {[(left[place], last[place]) for place in left]}", have_all, 60)
        needless = set(WITHOUT_SERIES) - {title for title, _ in left.values()}
        assert not needless, f"they have series: {needless}"
        assert set(SHOWN) <= set(values), values
        # As the panels ask: over a time, in steps.
        now = float(prometheus.ask("query", query="time()")["result"][1])
        for title, text in expressions():
            answer = prometheus.ask("query_range", query=text, start=now - 60, end=now, step=1)
            assert answer is not None and answer["resultType"] == "matrix", (title, text)
            assert answer["result"] or title in WITHOUT_SERIES, (title, text)


def test_a_wrong_expression_is_seen():
    """What the test above relies on: Prometheus refuses what it cannot compute, and has no series of what is not."""
    with watch.Programs() as programs:
        prometheus = watch.Prometheus(programs)
        flow.wait_until("it answers", lambda: prometheus.value("vector(1)") == 1)
        assert prometheus.ask("query", query="sum(rate(orgtrail_collector_received_events_total))") is None
        assert prometheus.ask("query", query="orgtrail_collector_no_such_metric")["result"] == []
        assert not re.search(r"no_such", " ".join(text for _, text in expressions()))


if __name__ == "__main__":
    cases.run("dashboard", globals())
