#!/usr/bin/env python3
"""Topics of SNS and queues of SQS: moto with authentication on gets a message for each delivered file."""

import collections
import json
import os
import random
import sys
import time
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

from tests.notify.notifying import BUCKET, Notifying, expected_id, flow  # noqa: E402
from tests.s3 import servers  # noqa: E402

EVENTS = api.load_events()
ACCOUNTS = sorted({event.account for event in EVENTS})
OWNER = "123456789012"  # moto's
REGION = "eu-west-1"
TOPIC = f"arn:aws:sns:{REGION}:{OWNER}:trail-topic"
SNS = """  sns:
    topics: ["arn:aws:sns:eu-west-1:*", "arn:aws:sns:us-east-1:111111111111:org"]
    endpoint: "ENDPOINT"
    credentials: {base}/credentials
"""
ORDERED = "name: ordered, trail: org, queue: \"ENDPOINT/123456789012/ordered.fifo\", region: eu-west-1, " \
          "credentials: \"{base}/credentials\", form: s3_event"


class Told(Notifying):
    """moto starts before it and may be closed and started again."""

    def __init__(self, targets=(), **options):
        self.port = servers.free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.moto = servers.Moto(port=self.port)
        try:
            super().__init__([target.replace("ENDPOINT", self.address) for target in targets],
                             SNS.replace("ENDPOINT", self.address), events=[], accounts=ACCOUNTS, **options)
        except BaseException:
            self.moto.close()
            raise

    def prepare(self):
        super().prepare()
        self.give_key()
        self.make_queues()

    def give_key(self, secret=None):
        servers.write_credentials(self.organization.base, self.moto.key_id, secret or self.moto.secret)

    def client(self, service):
        import boto3
        from botocore.config import Config

        return boto3.client(
            service, endpoint_url=self.address, region_name=REGION, aws_access_key_id=self.moto.key_id,
            aws_secret_access_key=self.moto.secret, config=Config(retries={"max_attempts": 1}))

    def make_queues(self):
        sqs, sns = self.client("sqs"), self.client("sns")
        self.topic = sns.create_topic(Name="trail-topic")["TopicArn"]
        assert self.topic == TOPIC, self.topic
        self.queue = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        self.ordered = sqs.create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])

    def receive(self, queue, kept):
        """Takes what is there; appends (body, attributes)."""
        sqs = self.client("sqs")
        while True:
            taken = sqs.receive_message(
                QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
            ).get("Messages", [])
            if not taken:
                return
            for message in taken:
                kept.append((json.loads(message["Body"]), message))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    def __exit__(self, *error):
        self.moto.close()
        return super().__exit__(*error)


class Mailbox:
    """What a topic's subscriber and a queue got, by key."""

    def __init__(self, service):
        self.service = service
        self.published, self.queued = [], []

    def look(self):
        self.service.receive(self.service.queue, self.published)
        self.service.receive(self.service.ordered, self.queued)

    def from_topic(self):
        """Ids by key, of CloudTrail's own message in SNS's envelope."""
        found = collections.defaultdict(list)
        for envelope, _ in self.published:
            assert envelope["Type"] == "Notification" and envelope["TopicArn"] == TOPIC, envelope
            assert "Subject" not in envelope or not envelope["Subject"], envelope
            message = json.loads(envelope["Message"])
            assert list(message) == ["s3Bucket", "s3ObjectKey"] and message["s3Bucket"] == BUCKET, message
            for key in message["s3ObjectKey"]:
                found[key].append(envelope["MessageAttributes"]["orgtrail-id"]["Value"])
        return found

    def from_queue(self):
        """Ids by key, of S3's event in a queue that is in order and takes each id once."""
        found = collections.defaultdict(list)
        for body, message in self.queued:
            record, = body["Records"]
            assert record["eventName"] == "ObjectCreated:Put" and record["awsRegion"] == "us-east-1", record
            assert record["s3"]["bucket"]["name"] == BUCKET, record
            key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
            attributes = message["Attributes"]
            assert attributes["MessageGroupId"] == "org", attributes
            assert attributes["MessageDeduplicationId"] == record["s3"]["object"]["sequencer"]
            found[key].append(message["MessageAttributes"]["orgtrail-id"]["StringValue"])
        return found

    def wait(self, *boxes, seconds=90):
        def is_all_there():
            self.look()
            keys = set(self.service.files())
            return all(keys <= set(box()) for box in boxes)

        flow.wait_until(
            lambda: f"{len(self.service.files())} files, {[len(box()) for box in boxes]} told", is_all_there, seconds, 0.5)

    def check(self, *boxes):
        keys = set(self.service.files())
        for box in boxes:
            found = box()
            assert set(found) == keys, (len(found), len(keys))
            for key, ids in found.items():
                assert set(ids) == {expected_id(BUCKET, key)}, (key, ids)


def test_a_topic_and_a_queue():
    with Told([ORDERED]) as service:
        arn = service.make_trail(IsOrganizationTrail=True, SnsTopicName=TOPIC)
        for turn in range(4):
            service.feed(EVENTS[turn::4])
            time.sleep(1)
        box = Mailbox(service)
        flow.wait_until("many files", lambda: len(service.files()) > 25, 60, 0.3)
        service.end_logging(arn)
        box.wait(box.from_topic, box.from_queue)
        box.check(box.from_topic, box.from_queue)
        assert len(box.published) == len(box.queued) == len(service.files()), "somebody was told twice"
        status = service.status(arn)
        assert status["LatestNotificationTime"] >= service.began and "LatestNotificationError" not in status, status
        assert service.metric("orgtrail_collector_notifications_total", "notify-org-sns-") == len(service.files())
        assert service.metric("orgtrail_collector_notifications_total", "notify-org-ordered-") == len(service.files())


def test_what_is_wrong_is_told():
    """Each cause stands in GetTrailStatus; what waited is told of when it is gone."""
    with Told([ORDERED]) as service:
        arn = service.make_trail(SnsTopicName=TOPIC)
        box = Mailbox(service)
        box.wait(box.from_topic)

        def touch(word):
            service.call("add_tags", ResourceId=arn, TagsList=[{"Key": word, "Value": "x"}])

        # A wrong secret, and the right one again: the file is read while it runs.
        service.give_key("wrong")
        touch("secret")
        service.wait_error(arn, "SignatureDoesNotMatch: ")
        service.give_key()
        flow.wait_until("a good message", lambda: not service.notification_error(arn), 120, 0.3)
        # A queue that is no more; what is in it is taken first.
        box.wait(box.from_topic, box.from_queue)
        service.client("sqs").delete_queue(QueueUrl=service.ordered)
        touch("queue")
        service.wait_error(arn, "ordered: ")
        error = service.notification_error(arn)
        assert "QueueDoesNotExist" in error or "NonExistentQueue" in error, error
        service.client("sqs").create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true"})
        flow.wait_until("a good message", lambda: not service.notification_error(arn), 120, 0.3)
        box.wait(box.from_topic, box.from_queue)
        # Topics that are not there, and that the settings do not allow.
        service.call("update_trail", Name=arn, SnsTopicName=TOPIC + "-missing")
        service.wait_error(arn, "NotFound: ")
        service.call("update_trail", Name=arn, SnsTopicName="arn:aws:sns:us-east-1:111111111111:organ")
        service.wait_error(arn, "AuthorizationError: notify.sns.topics does not allow")
        # A name is a topic of the trail's own account and region, which is allowed here and is not there.
        service.call("update_trail", Name=arn, SnsTopicName="org")
        service.wait_error(arn, "NotFound: ")
        service.call("update_trail", Name=arn, SnsTopicName="")
        touch("none")
        flow.wait_until("no error", lambda: not service.notification_error(arn), 120, 0.3)
        # Nobody answers.
        service.moto.process.kill()
        service.moto.process.wait()
        touch("down")
        service.wait_error(arn, "ordered: Unreachable: ")


def test_kills_and_failures():
    """The collector killed while it tells: each file at least once; the queue in order takes each id once."""
    chance = random.Random(3)
    with Told([ORDERED]) as service:
        arn = service.make_trail(IsOrganizationTrail=True, SnsTopicName=TOPIC)
        box = Mailbox(service)
        for turn in range(6):
            service.feed(EVENTS[turn::6])
            time.sleep(chance.uniform(0.2, 2))
            service.organization.collector.kill()
            service.organization.start_collector()
            box.look()
        service.end_logging(arn)
        box.wait(box.from_topic, box.from_queue)
        box.check(box.from_topic, box.from_queue)
        again = [len(found) - len(service.files()) for found in (box.published, box.queued)]
        print(f"{len(service.files())} files, {again[0]} published again, {again[1]} queued again", flush=True)
        assert again[1] == 0, "the queue took an id twice"


if __name__ == "__main__":
    cases.run("moto", globals(), os.environ.get("ONLY"))
