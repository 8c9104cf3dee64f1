#!/usr/bin/env python3
"""Webhooks: each delivered file is told of at least once, signed, in whatever way the target fails or the collector
ends; and only targets that may be connected to are."""

import os
import random
import re
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

from tests.notify.notifying import Notifying, Webhook, expected_id, flow, make_secret  # noqa: E402
from tests.s3 import servers  # noqa: E402

EVENTS = api.load_events()
ACCOUNTS = sorted({event.account for event in EVENTS})
SECRET = make_secret("one")
PAGER = "name: pager, trail: org, secret: {base}/pager.secret, ca: {base}/target.pem, webhook: \"URL\""
PRIVATE = PAGER + ", allow_private: true"


class Certified:
    """A folder with a CA and certificates."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="notify-")
        servers.make_certificates(self.folder)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)


class Hooked(Notifying):
    def __init__(self, folder, targets, **options):
        self.ca_folder = folder
        super().__init__(targets, events=[], accounts=ACCOUNTS, **options)

    def prepare(self):
        super().prepare()
        shutil.copy(os.path.join(self.ca_folder, "ca.pem"), os.path.join(self.organization.base, "target.pem"))
        self.write_secret("pager.secret", SECRET)


def check_told(service, webhook, is_once=False):
    """All files that are delivered were told of, under their ids, and no other."""
    wait_told(service, webhook)
    keys = webhook.keys()
    assert set(keys) <= service.delivered_keys(), set(keys) - service.delivered_keys()
    for (bucket, key), ids in keys.items():
        assert set(ids) == {expected_id(bucket, key)}, (key, ids)
        assert not is_once or len(ids) == 1, (key, ids)


def wait_told(service, webhook, seconds=60):
    delivered = service.delivered_keys()  # more come: calls of the API are events too
    flow.wait_until(
        lambda: f"{len(delivered)} files told of, {len(webhook.keys())} are",
        lambda: delivered <= set(webhook.keys()), seconds, 0.3)


def test_each_file_is_told_of():
    with Certified() as files, Webhook(files.folder, secret=SECRET) as webhook, \
            Webhook(files.folder, secret=SECRET) as other:
        targets = [PRIVATE.replace("URL", webhook.url),
                   PRIVATE.replace("URL", other.url).replace("pager,", "other,").replace("org,", "another,")]
        with Hooked(files.folder, targets) as service:
            arn = service.make_trail(IsOrganizationTrail=True)
            for turn in range(4):
                service.feed(EVENTS[turn::4])
                time.sleep(1)
            flow.wait_until("many files", lambda: len(service.delivered_keys()) > 25, 60, 0.3)
            # A second secret beside the first, and then instead of it: receivers of either are served.
            wait_told(service, webhook)
            service.write_secret("pager.secret", make_secret("two"), SECRET)
            service.call("add_tags", ResourceId=arn, TagsList=[{"Key": "a", "Value": "x"}])
            wait_told(service, webhook)
            service.end_logging(arn)
            wait_told(service, webhook)
            webhook.secret = make_secret("two")
            assert len(webhook.requests[-1][4]["webhook-signature"].split()) == 2
            check_told(service, webhook, is_once=True)
            assert not other.requests, "a target of another trail was told"
            headers = webhook.requests[0][4]
            assert headers["content-type"] == "application/json", headers
            status = service.status(arn)
            assert "LatestNotificationError" not in status, status
            assert status["LatestNotificationTime"] >= service.began, status
            assert status["LatestNotificationAttemptTime"] == status["LatestNotificationAttemptSucceeded"] != ""
            count = len(service.delivered_keys())
            assert service.metric("orgtrail_collector_notifications_total", "notify-org-pager-") == count
            assert service.metric("orgtrail_collector_notification_lag_seconds") == 0
            # A trail that is deleted leaves nothing behind.
            service.call("delete_trail", Name=arn)


def test_a_target_that_fails():
    """Each way to fail is told in GetTrailStatus, and what waited is told of when it is over, under the same ids."""
    with Certified() as files, Webhook(files.folder, secret=SECRET) as webhook, Webhook(secret=SECRET) as inner:
        with Hooked(files.folder, [PRIVATE.replace("URL", webhook.url)]) as service:
            arn = service.make_trail(IsOrganizationTrail=True)
            service.feed(EVENTS)
            for mode, words in (
                (503, "pager: HTTP 503"),
                (inner.url, "pager: HTTP 307: the webhook is elsewhere"),
                ("drop", "pager: Unreachable"),
                ("cut", "pager: Unreachable"),
                ("garbage", "pager: Unreachable"),
                ("huge", "pager: WrongAnswer"),
                ("hang", "timed out"),
            ):
                webhook.mode = mode
                service.call("add_tags", ResourceId=arn, TagsList=[{"Key": "mode", "Value": words[:9]}])
                service.wait_error(arn, words)
                assert "inner network" not in service.notification_error(arn)
                webhook.mode = "take"
                flow.wait_until("a good notification", lambda: not service.notification_error(arn), 120, 0.3)
            service.write_secret("pager.secret", "whsec_short")
            service.call("add_tags", ResourceId=arn, TagsList=[{"Key": "mode", "Value": "secret"}])
            service.wait_error(arn, "pager: WrongSettings")
            service.write_secret("pager.secret", SECRET)
            wait_told(service, webhook, 120)
            check_told(service, webhook)
            assert not inner.requests, "a redirect was followed"
            ids = {}
            for _, name, body, _, _ in webhook.requests:
                assert ids.setdefault(body, name) == name, "another id on another attempt"
            assert service.metric("orgtrail_collector_follower_failures_total", "notify-org-pager-") > 5


def test_only_targets_that_are_allowed():
    """A name that stands for this machine is not connected to unless it is allowed; TLS is looked at."""
    with Certified() as files, Certified() as others, Webhook(files.folder, secret=SECRET) as webhook:
        targets = [PAGER.replace("URL", webhook.url),
                   PAGER.replace("URL", webhook.url.replace("localhost", "127.0.0.1")).replace("pager,", "number,"),
                   PAGER.replace("URL", webhook.url.replace("localhost", "[::ffff:127.0.0.1]")).replace("pager,", "six,")]
        with Hooked(files.folder, targets) as service:
            arn = service.make_trail()
            flow.wait_until("deliveries", lambda: len(service.delivered_keys()) > 0, 30, 0.2)
            service.wait_error(arn, "not public")
            flow.wait_until("attempts of each", lambda: all(
                service.metric("orgtrail_collector_follower_failures_total", name) > 1
                for name in ("-pager-", "-number-", "-six-")), 60, 0.3)
            assert webhook.connections == 0, "it was connected to"
        with Hooked(others.folder, [PRIVATE.replace("URL", webhook.url)]) as service:
            arn = service.make_trail()
            service.wait_error(arn, "pager: Refused: TLS does not trust")
            assert not webhook.requests


def test_a_dead_target_holds_up_nothing():
    """Targets that hang beside one that takes: deliveries and the good one go on at their pace."""
    with Certified() as files, Webhook(files.folder, secret=SECRET) as webhook, \
            Webhook(files.folder, mode="hang", secret=SECRET) as dead:
        targets = [PRIVATE.replace("URL", webhook.url)]
        targets += [PRIVATE.replace("URL", dead.url + str(n)).replace("pager,", f"dead{n},") for n in range(3)]
        with Hooked(files.folder, targets) as service:
            arn = service.make_trail()
            flow.wait_until("hanging requests", lambda: len(dead.requests) >= 3, 60, 0.1)
            told = []
            for turn in range(5):
                before = service.delivered_keys()
                service.call("add_tags", ResourceId=arn, TagsList=[{"Key": "turn", "Value": str(turn)}])
                began = time.monotonic()
                flow.wait_until("a delivery", lambda: service.delivered_keys() > before, 30, 0.05)
                told.append(time.monotonic() - began)
                wait_told(service, webhook, 30)
                told.append(time.monotonic() - began)
            print("seconds to a delivery and to its message:", " ".join(f"{value:.1f}" for value in told), flush=True)
            assert sorted(told)[-3] < 8, told
            flow.wait_until("the alarm's metric", lambda: service.metric(
                "orgtrail_collector_notification_lag_seconds", "-dead0-") > 0, 60, 0.3)
            # It is an alarm of its own, after a few attempts.
            organization = service.organization
            flow.wait_until("own events", lambda: len(organization.own_events("TargetFails")) == 3, 120, 0.5)
            details = [event["serviceEventDetails"] for event in organization.own_events("TargetFails")]
            assert {re.search("-dead[012]-", detail["follower"]).group(0) for detail in details} == {
                "-dead0-", "-dead1-", "-dead2-"}, details
            assert all(detail["detail"] for detail in details), details
            assert "\norgtrail_collector_failing_targets 3\n" in organization.fetch("/metrics")
            words = "3 targets are not told of files"
            assert f"ALARM        {words}" in organization.run("status", organization.store).stdout
            alarms = organization.status()["collector"]["alarms"]
            assert any(line.startswith(words) for line in alarms), alarms
            assert not organization.own_events("FollowerFails")
            began = time.monotonic()
            assert service.organization.collector.stop() == 0
            assert time.monotonic() - began < 9, "a hanging target held up the end"
            # What it did not take is kept.
            dead.mode = 503
            service.organization.start_collector()
            flow.wait_until("own events", lambda: len(organization.own_events("TargetFails")) == 6, 60, 0.5)
            dead.mode = "take"
            flow.wait_until("what waited", lambda: service.delivered_keys() <= set(dead.keys()), 90, 0.3)
            flow.wait_until("own events", lambda: len(organization.own_events("TargetGoesOn")) == 3, 30, 0.3)
            assert "not told of files" not in organization.run("status", organization.store).stdout


def test_a_collector_that_is_killed():
    """Killed again and again while it tells: each file at least once, and few of them twice."""
    chance = random.Random(5)
    with Certified() as files, Webhook(files.folder, secret=SECRET) as webhook:
        webhook.mode = lambda count: 500 if chance.random() < 0.1 else "take"
        with Hooked(files.folder, [PRIVATE.replace("URL", webhook.url)]) as service:
            arn = service.make_trail(IsOrganizationTrail=True)
            rounds = [EVENTS[turn::8] for turn in range(8)]
            for events in rounds:
                service.feed(events)
                time.sleep(chance.uniform(0.2, 2.5))
                service.organization.collector.kill()
                service.organization.start_collector()
            service.end_logging(arn)
            wait_told(service, webhook, 120)
            check_told(service, webhook)
            keys = webhook.keys()
            again = sum(len(ids) - 1 for ids in keys.values())
            print(f"{len(keys)} files, {again} told of again", flush=True)


if __name__ == "__main__":
    cases.run("webhook", globals(), os.environ.get("ONLY"))
