"""An organization whose collector serves the AWS API, with the bundled records in it, for tests/api."""

import collections
import datetime
import glob
import json
import os
import re
import subprocess
import sys
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, ROOT)

from tests.api import resources  # noqa: E402
from tests.flow import organization as flow  # noqa: E402

# tools/clients.sh puts them beside the sources, which Bazel's runfiles point to.
HERE = os.path.dirname(os.path.realpath(__file__))
CLIENTS = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".cache/clients")
PYTHON = os.path.join(CLIENTS, "python/bin/python3")
OWN = "orgtrail.local"
ABOUT = resources.Page()

READING = ("Get", "List", "Describe", "Head", "Lookup", "Search", "BatchGet", "AssumeRole")
WRITING = ("GetSessionToken", "GetFederationToken", "GetSigninToken")


def enter_clients():
    """Goes on in the Python that has the clients."""
    if not os.path.exists(PYTHON):
        raise FileNotFoundError("the clients are not installed: tools/setup.sh --clients")
    if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(PYTHON))):
        os.execv(PYTHON, [PYTHON, "-P", *sys.argv])


class Event:
    """One record of the source files and what LookupEvents is to say of it."""

    def __init__(self, text):
        self.text = text
        record = json.loads(text)
        identity = record.get("userIdentity") or {}
        self.record = record
        self.id = record["eventID"]
        self.account = record["recipientAccountId"]
        self.region = record["awsRegion"]
        self.category = record.get("eventCategory") or (
            "Management" if record.get("managementEvent", True) else "Data"
        )
        self.time = record["eventTime"]
        self.seconds = flow_seconds(self.time)
        self.name = record["eventName"]
        self.source = record["eventSource"]
        self.read_only = self.find_read_only()
        self.access_key = identity.get("accessKeyId")
        self.users = self.find_users(identity)
        self.resources = self.find_resources()
        self.subjects = resources.find(ABOUT, self)  # what the parameters name

    def find_resources(self):
        """(type, name) of those that the record lists."""
        listed = []
        for item in self.record.get("resources") or []:
            name = item.get("ARN") or item.get("ARNPrefix") or item.get("resourceName")
            listed.append((item.get("type"), name))
        return listed

    def find_read_only(self):
        if "readOnly" in self.record:
            return str(self.record["readOnly"]).lower()
        if self.name in WRITING:
            return "false"
        return "true" if self.name.startswith(READING) else "false"

    @staticmethod
    def find_users(identity):
        """The names that find it; the one that is shown comes first."""
        arn = identity.get("arn") or ""
        issuer = ((identity.get("sessionContext") or {}).get("sessionIssuer") or {}).get("userName")
        session = arn.rpartition("/")[2] if ":assumed-role/" in arn else None
        shown = identity.get("userName") or (
            "root" if identity.get("type") == "Root" else None
        ) or session or issuer or identity.get("invokedBy") or (arn.rpartition("/")[2] or None)
        return [name for name in (shown, issuer, session) if name]

    def values(self, key):
        """What an attribute of this key finds it by."""
        shown = self.resources + self.subjects
        if key == "ResourceName":
            names = [name for _, name in shown if name]
            return names + [re.split("[/:]", name)[-1] for name in names if name.startswith("arn:")]
        return {
            "EventId": [self.id],
            "EventName": [self.name],
            "ReadOnly": [self.read_only],
            "Username": self.users,
            "ResourceType": [type_ for type_, _ in shown if type_],
            "EventSource": [self.source],
            "AccessKeyId": [self.access_key] if self.access_key else [],
        }[key]

    @property
    def order(self):
        return (self.seconds, uuid.UUID(self.id).bytes)


def flow_seconds(text):
    import calendar

    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def load_events():
    """The records of the bundled files, each event once."""
    events = {}
    for path in sorted(glob.glob(os.path.join(flow.DATA, "*", "*.json.gz"))):
        for record in flow.read_file(path):
            event = Event(record)
            events.setdefault((event.account, event.id), event)
    return list(events.values())


Key = collections.namedtuple("Key", "id secret token", defaults=[None])


class Service:
    """The running thing. `with` ends it. settings go into the line of `api`, more behind all."""

    def __init__(self, settings="", events=None, accounts=(), management=flow.MANAGEMENT, more=""):
        self.clock = {}
        self.events = load_events() if events is None else events
        accounts = sorted({event.account for event in self.events} | set(accounts))
        self.organization = flow.Organization(
            accounts=accounts, management=management, has_api=True
        )
        if settings:
            text = self.organization.read_settings()
            text = text.replace("api: {listen: 127.0.0.1:0", f"api: {{listen: 127.0.0.1:0, {settings}")
            self.organization.write_settings(text)
        if more:
            self.organization.write_settings(self.organization.read_settings() + more)
        self.prepare()
        self.organization.start_collector()
        self.endpoint = f"https://localhost:{self.organization.api_port}"
        self.ca = os.path.join(self.organization.folder, "ca/ca.pem")
        if self.events:
            self.agent = self.organization.enroll("--organization")
            self.agent.deliver([event.text for event in self.events])
            self.organization.wait_received(len(self.events))
        self.admin = self.make_key("admin", "--role", "admin")

    def prepare(self):
        """What has to be there before the collector starts."""

    def __enter__(self):
        self.organization.__enter__()
        return self

    def __exit__(self, *error):
        return self.organization.__exit__(*error)

    # --- keys

    def keys(self, *arguments, code=0):
        done = self.organization.run(
            "keys", *arguments, "--config", self.organization.config_path, code=code
        )
        self.complaints = done.stderr
        return done.stdout

    def make_key(self, name, *arguments):
        key = json.loads(self.keys("create", name, "--json", *arguments))["AccessKey"]
        assert key["UserName"] == name
        return Key(key["AccessKeyId"], key["SecretAccessKey"])

    def begin_session(self, key=None, **given):
        """Temporary credentials of a key."""
        made = self.boto(key, service="sts").get_session_token(**given)["Credentials"]
        assert made["AccessKeyId"].startswith("ASIA"), made
        assert abs(made["Expiration"].timestamp() - time.time() - given.get("DurationSeconds", 43200)) < 60, made
        return Key(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])

    @staticmethod
    def set_clock(ahead_s):
        """What makes a program's clock that far ahead."""
        if ahead_s == 0:
            return {}
        return {"LD_PRELOAD": flow.find_program("tests/api", "libahead.so"), "AHEAD_S": str(ahead_s)}

    def restart(self, ahead_s=0):
        """The collector again, with a clock that is ahead; the clients' goes with it."""
        if self.clock:
            # Waits until a moment by a clock that is ahead take so much longer.
            self.organization.collector.kill()
        else:
            assert self.organization.collector.stop() == 0
        self.clock = self.set_clock(ahead_s)
        self.organization.collector.environment = {**os.environ, **self.clock} if ahead_s else None
        import botocore.auth
        import botocore.compat

        ahead = datetime.timedelta(seconds=ahead_s)
        botocore.auth.get_current_datetime = lambda *given: botocore.compat.get_current_datetime(*given) + ahead
        self.organization.start_collector()

    # --- clients

    def boto(self, key=None, region="us-east-1", service="cloudtrail", retries=1, **options):
        """boto3 as it is, but for checks of its own that would keep wrong calls from us."""
        import boto3
        from botocore.config import Config

        key = key or self.admin
        return boto3.Session(
            aws_access_key_id=key.id, aws_secret_access_key=key.secret, aws_session_token=key.token,
            region_name=region,
        ).client(
            service,
            endpoint_url=self.endpoint,
            verify=self.ca,
            config=Config(
                parameter_validation=False, retries={"total_max_attempts": retries, "mode": "standard"}
            ),
            **options,
        )

    def environment(self, key, region, ahead_s=0):
        """ahead_s: how far the client's clock is ahead of the collector's."""
        key = key or self.admin
        clock = self.set_clock(int(self.clock.get("AHEAD_S", 0)) + ahead_s)
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": self.organization.base,
            "AWS_ACCESS_KEY_ID": key.id,
            "AWS_SECRET_ACCESS_KEY": key.secret,
            **({"AWS_SESSION_TOKEN": key.token} if key.token else {}),
            "AWS_DEFAULT_REGION": region,
            "AWS_CA_BUNDLE": self.ca,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NODE_EXTRA_CA_CERTS": self.ca,
            "NODE_NO_WARNINGS": "1",
            "ENDPOINT": self.endpoint,
            "CLIENTS": os.path.join(CLIENTS, "node"),
            **clock,
        }

    def cli(self, program, *arguments, key=None, region="us-east-1", service="cloudtrail", ahead_s=0):
        """The aws CLI: its answer, or its complaint as a text."""
        done = subprocess.run(
            [program, service, *arguments, "--endpoint-url", self.endpoint, "--output", "json"],
            capture_output=True, text=True, timeout=120, check=False,
            env=self.environment(key, region, ahead_s),
        )
        if done.returncode != 0:
            return done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def node(self, operation, given, key=None, region="us-east-1", **more):
        """The SDK for JavaScript: what client.mjs prints."""
        asked = json.dumps({"operation": operation, "input": given, **more})
        environment = self.environment(key, region)
        # It corrects its clock with a second attempt.
        del environment["AWS_MAX_ATTEMPTS"]
        done = subprocess.run(
            ["node", os.path.join(HERE, "client.mjs"), asked],
            capture_output=True, text=True, timeout=120, check=False, env=environment,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    # --- what is to come out

    def expect(self, account, region, key=None, value=None, start=None, end=None,
               category="Management"):
        """The events that a lookup is to find, newest first: a linear scan of the source files."""
        found = [
            event for event in self.events
            if account in (None, event.account) and region in (None, event.region)
            and category in (None, event.category)
            and (key is None or value in event.values(key))
            and (start is None or event.seconds >= start) and (end is None or event.seconds <= end)
        ]
        return sorted(found, key=lambda event: event.order, reverse=True)


def assert_events(answered, expected):
    """That a client's events are these, in this order, with all that is said of them."""
    ids = [event["EventId"] for event in answered]
    assert ids == [event.id for event in expected], (
        f"{len(ids)} events, {len(expected)} expected; of those {len(set(ids) & {e.id for e in expected})}"
    )
    for event, wanted in zip(answered, expected):
        assert event["CloudTrailEvent"].encode() == wanted.text, wanted.id
        assert event["EventName"] == wanted.name and event["EventSource"] == wanted.source
        assert event["ReadOnly"] == wanted.read_only
        assert event.get("AccessKeyId") == (wanted.access_key or None)
        assert event.get("Username") == (wanted.users[0] if wanted.users else None)
        when = event["EventTime"]
        when = when if isinstance(when, (int, float)) else when.timestamp()
        assert when == wanted.seconds, wanted.id
        shown = [(r.get("ResourceType"), r.get("ResourceName")) for r in event["Resources"]]
        assert shown == wanted.resources + wanted.subjects, (wanted.id, shown, wanted.subjects)
