"""A collector that delivers trails to CloudWatch Logs, and a store of logs that fails in every way, for tests/deliver."""

import http.server
import json
import sys
import threading
import time

sys.dont_write_bytecode = True

from tests.deliver.delivery import HOME, OWN, Delivering  # noqa: E402
from tests.s3 import servers  # noqa: E402

KEY = ("AKIAORGTRAILLOGS0001", "a/secret+of/the+log+tests0000000000000000")
ROLE = "arn:aws:iam::999999999999:role/logs"
BATCH_SIZE_MAX, BATCH_EVENTS_MAX, EVENT_SIZE_MORE = 1048576, 10000, 26


def arn_of(group, region=HOME):
    return f"arn:aws:logs:{region}:999999999999:log-group:{group}:*"


def target(group):
    """What CreateTrail and UpdateTrail take of a group."""
    return dict(CloudWatchLogsLogGroupArn=arn_of(group), CloudWatchLogsRoleArn=ROLE)


class DeliveringToLogs(Delivering):
    """To a folder and, of each trail that has a log group, to a store at this port."""

    def __init__(self, port, interval=1, logs="", **options):
        more = (f", logs: {{region: {HOME}, endpoint: \"http://127.0.0.1:{port}\", "
                f"credentials: ../../credentials, interval_s: {interval}{logs}}}")
        super().__init__(more=more, **options)

    def prepare(self):
        super().prepare()
        servers.write_credentials(self.organization.base, *KEY)

    def metric(self, name):
        """The sum over all followers."""
        text = self.organization.fetch("/metrics")
        text = text.decode() if isinstance(text, bytes) else text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if line.startswith(name + "{") or line.startswith(name + " "))


def foreign(messages):
    """Those that are not the collector's own."""
    return [message for message in messages if OWN not in message]


class FailingLogs:
    """plan: (group or None, failure), each taken once; always: {group: failure}. What it is sent is held against the
    limits that AWS states, and breaches stand in `breaches`."""

    def __init__(self, groups=("trail",)):
        self.groups = set(groups)
        self.streams = {}
        self.plan, self.always = [], {}
        self.tokens = {}
        self.breaches, self.calls, self.batches = [], [], []
        self.lock = threading.RLock()
        self.release = threading.Event()
        self.hanging = self.sequenced = 0
        logs = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 120

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = logs.answer(self.headers["X-Amz-Target"], json.loads(body))
                if answer is None:
                    self.close_connection = True
                    return
                status, value = answer
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *parts):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request, address):
                pass  # clients that leave

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    # --- what it has

    def messages(self, group=None):
        with self.lock:
            return [message for (of, _), messages in self.streams.items()
                    if group in (None, of) for message in messages]

    # --- calls

    def take(self, group):
        with self.lock:
            for index, (wanted, failure) in enumerate(self.plan):
                if wanted in (None, group):
                    del self.plan[index]
                    return failure
            return self.always.get(group)

    def answer(self, operation, asked):
        operation = operation.rsplit(".", 1)[1]
        group, stream = asked["logGroupName"], asked["logStreamName"]
        with self.lock:
            self.calls.append(operation)
        if operation == "CreateLogStream":
            return self.create(group, stream)
        failure = self.take(group)
        if failure == "hang":
            with self.lock:
                self.hanging += 1
            self.release.wait()
            return None
        if failure == "cut":
            return None
        refusals = {
            "unavailable": (503, {"__type": "com.amazonaws.logs#ServiceUnavailableException"}),
            "throttled": (400, {"__type": "ThrottlingException", "message": "Rate exceeded"}),
            "internal": (500, b"<html>no</html>"),
            "denied": (400, {"__type": "AccessDeniedException", "message": "not you"}),
            "strange": (418, b"\xff\xfe{"),
        }
        if failure in refusals:
            return refusals[failure]
        return self.put(group, stream, asked, failure)

    def create(self, group, stream):
        with self.lock:
            if group not in self.groups:
                return 400, {"__type": "ResourceNotFoundException",
                             "message": "The specified log group does not exist."}
            if (group, stream) in self.streams:
                return 400, {"__type": "ResourceAlreadyExistsException"}
            self.streams[group, stream] = []
            return 200, {}

    def put(self, group, stream, asked, failure):
        with self.lock:
            if (group, stream) not in self.streams:
                return 400, {"__type": "ResourceNotFoundException",
                             "message": "The specified log stream does not exist."}
            if failure == "sequence":
                self.tokens[group, stream] = f"token-{len(self.calls)}"
            wanted = self.tokens.get((group, stream))
            if wanted and asked.get("sequenceToken") != wanted:
                return 400, {"__type": "InvalidSequenceTokenException", "expectedSequenceToken": wanted}
            if wanted:
                self.sequenced += 1
                del self.tokens[group, stream]
            events = asked["logEvents"]
            self.check(events)
            messages = [event["message"].encode() for event in events]
            info = {}
            if failure == "refused":
                messages, info = [], {"tooNewLogEventStartIndex": 0}
            if failure == "partly":
                messages, info = messages[1:], {"tooOldLogEventEndIndex": 1}
            self.streams[group, stream] += messages
            self.batches.append(len(messages))
            if failure == "lost":
                return None
            if failure == "already":
                return 400, {"__type": "DataAlreadyAcceptedException", "expectedSequenceToken": "x"}
            return 200, {"nextSequenceToken": "x", **({"rejectedLogEventsInfo": info} if info else {})}

    def check(self, events):
        sizes = [len(event["message"].encode()) for event in events]
        times = [event["timestamp"] for event in events]
        now = time.time() * 1000
        if sum(sizes) + EVENT_SIZE_MORE * len(sizes) > BATCH_SIZE_MAX:
            self.breaches.append(f"a batch of {sum(sizes)} bytes in {len(sizes)} events")
        if not 0 < len(sizes) <= BATCH_EVENTS_MAX or min(sizes, default=0) < 1:
            self.breaches.append(f"a batch of {len(sizes)} events")
        if times != sorted(times) or times[-1] - times[0] > 86400000:
            self.breaches.append("times in disorder")
        if abs(now - times[0]) > 600000:
            self.breaches.append(f"a time {now - times[0]} ms off")


