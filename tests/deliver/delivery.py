"""A collector that delivers trails to a folder, and the stock verifier beside it, for tests/deliver."""

import collections
import datetime
import gzip
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, ROOT)

from tests.api import service as api  # noqa: E402
from tests.flow import organization as flow  # noqa: E402

BUCKET = "trail-logs"
HOME = "us-east-1"
OWN = b'"eventSource":"orgtrail.local"'


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def moment(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


class Delivering(api.Service):
    """Its buckets are folders beside the organization."""

    def __init__(self, interval=1, digest_interval=3, more="", **options):
        self.began = now()
        # The folder is known only when the organization is: relative paths count from its settings.
        delivery = f"delivery: {{directory: ../../buckets, interval_s: {interval}, " \
                   f"digest_interval_s: {digest_interval}{more}}}\n"
        self.buckets = None
        self.delivery = delivery
        super().__init__(more=delivery, **options)

    def prepare(self):
        self.buckets = os.path.join(self.organization.base, "buckets")
        os.makedirs(os.path.join(self.buckets, BUCKET))

    # --- clients

    def environment(self, key=None, region=HOME):
        config = os.path.join(self.organization.base, "aws.config")
        with open(config, "w", encoding="utf-8") as file:
            file.write("[default]\ns3 =\n    addressing_style = path\n")
        return super().environment(key, region) | {
            "AWS_CONFIG_FILE": config,
            "AWS_ENDPOINT_URL_CLOUDTRAIL": self.endpoint,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ENDPOINT_URL_ORGANIZATIONS": self.endpoint,
        }

    def aws(self, *arguments, key=None, region=HOME, code=0, program=None):
        """The aws CLI of .cache/clients: what it printed, and what it complained of if it was to."""
        done = subprocess.run(
            [program or os.path.join(api.CLIENTS, "python/bin/aws"), *arguments],
            capture_output=True, text=True, timeout=300, check=False,
            env=self.environment(key, region),
        )
        assert done.returncode == code, (
            f"aws {' '.join(arguments)}: exit code {done.returncode}, not {code}\n"
            f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
        return done.stdout + (done.stderr if code else "")

    def call(self, operation, **parameters):
        return getattr(self.boto(), operation)(**parameters)

    def make_trail(self, name="org", **parameters):
        """A trail that logs; its ARN."""
        settings = dict(
            Name=name, S3BucketName=BUCKET, IsMultiRegionTrail=True, EnableLogFileValidation=True
        )
        settings.update(parameters)
        arn = self.call("create_trail", **settings)["TrailARN"]
        self.call("start_logging", Name=arn)
        return arn

    def status(self, arn):
        return self.call("get_trail_status", Name=arn)

    def wait_digest(self, arn, after=None, seconds=60):
        """Waits for digests delivered after this moment."""
        after = after or now()

        def is_there():
            latest = self.status(arn).get("LatestDigestDeliveryTime")
            return latest is not None and latest > after

        flow.wait_until("a digest", is_there, seconds, 0.2)

    def validation(self, arn, account=None, region=HOME, start=None, end=None, verbose=False):
        """The arguments of `aws cloudtrail validate-logs`."""
        arguments = ["cloudtrail", "validate-logs", "--trail-arn", arn, "--region", region]
        arguments += ["--start-time", moment(start or self.began - datetime.timedelta(hours=1))]
        if end is not None:
            arguments += ["--end-time", moment(end)]
        if account is not None:
            arguments += ["--account-id", account]
        if verbose:
            arguments.append("--verbose")
        return arguments

    def validate(self, arn, region=HOME, code=0, **options):
        """`aws cloudtrail validate-logs`: what it printed."""
        return self.aws(*self.validation(arn, region=region, **options), region=region, code=code)

    def validate_each(self, arn, pairs):
        """The same for many (account, region): what it printed of each. It takes longer to start than to run, so that
        one process of the aws CLI runs them all."""
        program = (
            "import json, sys; from awscli.clidriver import create_clidriver\n"
            "for arguments in json.load(sys.stdin):\n"
            "    code = create_clidriver().main(arguments)\n"
            "    print('\\0', end='', flush=True) if code == 0 else sys.exit(f'{arguments}: exit code {code}')\n"
        )
        calls = [self.validation(arn, account=account, region=region) for account, region in pairs]
        done = subprocess.run(
            [os.path.join(api.CLIENTS, "python/bin/python"), "-c", program], input=json.dumps(calls),
            capture_output=True, text=True, timeout=300, check=False, env=self.environment(),
        )
        assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.split("\0")[:-1]

    def verify(self, *options, place=None):
        """The report of `orgtrail verify`."""
        done = subprocess.run(
            [self.organization.program, "verify", place or self.buckets, "--json", *options],
            capture_output=True, text=True, timeout=300, check=False, env=self.environment(),
        )
        assert done.stdout, (done.returncode, done.stderr)
        return json.loads(done.stdout)

    # --- what goes wrong

    def error_of(self, arn):
        """Of files or of digests: what fails first is told there, and the other waits for it."""
        status = self.status(arn)
        return status.get("LatestDeliveryError") or status.get("LatestDigestDeliveryError") or ""

    def make_due(self, arn):
        """An event of the trail's own account, which is to be delivered at once."""
        self.call("add_tags", ResourceId=arn, TagsList=[{"Key": "due", "Value": str(now().timestamp())}])

    def wait_told(self, arn, words, log_before):
        """Waits until the words stand in GetTrailStatus, and sees that they stand in the log too."""
        flow.wait_until(lambda: f"the error {words}, there is {self.error_of(arn)}",
                        lambda: words in self.error_of(arn), 60, 0.1)
        log = self.organization.collector.log()[log_before:]
        assert any("a follower cannot go on" in line and words in line for line in log.splitlines()), log

    def suffer(self, arn, begin, end, words):
        """Something is wrong from begin on: status and log say so, and what to do; when it has ended, delivery goes
        on by itself."""
        log_before = len(self.organization.collector.log())
        begin()
        self.make_due(arn)
        self.wait_told(arn, words, log_before)
        end()
        over = now()
        flow.wait_until(
            lambda: f"a good delivery after {words}: {self.error_of(arn)}",
            lambda: not self.error_of(arn) and self.status(arn)["LatestDeliveryTime"] > over, 90, 0.2)

    # --- events

    def feed(self, events):
        """Brings events in, after what came before."""
        if not hasattr(self, "feeder"):
            self.feeder = self.organization.enroll("--organization")
            self.fed = 0
        self.feeder.deliver([event.text for event in events])
        self.fed += len(events)
        flow.wait_until(
            "acknowledgement",
            lambda: (self.organization.agent_status(self.feeder) or {"durable": 0})["durable"] >= self.fed,
            60,
        )

    def delivered(self, bucket=BUCKET):
        """Records that are not the collector's own."""
        return [record for record, _ in self.records(bucket) if OWN not in record]

    def wait_records(self, records, bucket=BUCKET, seconds=60):
        flow.wait_until(
            f"{len(records)} records in {bucket}",
            lambda: len(self.delivered(bucket)) >= len(records), seconds, 0.3,
        )

    def check_records(self, records, bucket=BUCKET):
        """That these were delivered, each once and byte for byte."""
        found = count(self.delivered(bucket))
        wanted = count(records)
        assert found == wanted, (
            f"{sum((found - wanted).values())} too many, {sum((wanted - found).values())} missing"
        )

    def follower_names(self):
        listed = self.organization.run(
            "follower", "list", "--config", self.organization.config_path
        ).stdout
        return re.findall(r"deliver-\S+", listed)

    def end_logging(self, arn):
        """Stops, and waits for the end of all that follows."""
        self.call("stop_logging", Name=arn)
        flow.wait_until("the end of the session", lambda: not self.follower_names(), 60, 0.2)

    def read_digests(self, bucket=BUCKET):
        """Each digest by its key, in order of keys."""
        return [(key, json.loads(gzip.open(path).read())) for key, path in self.digests(bucket).items()]

    # --- what lies in the bucket

    def files(self, kind="CloudTrail", bucket=BUCKET):
        """Paths of the delivered files of a kind, by key."""
        found = {}
        top = os.path.join(self.buckets, bucket)
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                key = os.path.relpath(path, top)
                if not name.startswith(".") and f"/{kind}/" in key:
                    found[key] = path
        return dict(sorted(found.items()))

    def digests(self, bucket=BUCKET):
        return self.files("CloudTrail-Digest", bucket)

    def records(self, bucket=BUCKET):
        """Every delivered record's bytes with the key of its file."""
        records = []
        for kind in ("CloudTrail", "CloudTrail-Insight", "CloudTrail-NetworkActivity"):
            for key, path in self.files(kind, bucket).items():
                text = read_one_member(path)
                records += [(record, key) for record in flow.split_records(text)]
        return records


def read_one_member(path):
    """The text of a file that is one gzip member and nothing else."""
    import zlib

    with open(path, "rb") as file:
        packed = file.read()
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    text = inflater.decompress(packed) + inflater.flush()
    assert inflater.eof and not inflater.unused_data, f"{path}: not one gzip member"
    return text


def summary(printed):
    """The verifier's counts: {"digest": (valid, all), "backfill digest": ..., "log": ...}."""
    found = {}
    for line in printed.splitlines():
        match = re.match(r"(\d+)/(\d+) (backfill digest|digest|log) files valid", line)
        if match:
            found[match.group(3)] = (int(match.group(1)), int(match.group(2)))
    return found


def selected(events, accounts=None, regions=None):
    """The records that a trail without selectors delivers."""
    return [
        event.text for event in events
        if event.category == "Management" and (accounts is None or event.account in accounts)
        and (regions is None or event.region in regions)
    ]


def count(items):
    return collections.Counter(items)

