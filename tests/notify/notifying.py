"""A collector that tells webhooks of delivered files, and a webhook that fails in every way, for tests/notify."""

import hashlib
import http.server
import json
import os
import re
import ssl
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, ROOT)

from tests.deliver.delivery import BUCKET, Delivering, flow  # noqa: E402
from tests.s3 import servers  # noqa: E402


def documented():
    """What docs/trails.md tells receivers to do."""
    with open(os.path.join(ROOT, "docs/trails.md"), encoding="utf-8") as file:
        block = re.search(r"```python\n(.*?)```", file.read(), re.S).group(1)
    names = {}
    exec(block, names)
    return names["is_genuine"]


is_genuine = documented()


def make_secret(seed):
    import base64

    return "whsec_" + base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()


class Webhook:
    """A server that takes messages and says what it was asked: (time, id, message, whether it was taken).

    `mode` is what it does with a request: take, or one of the ways to fail.
    """

    def __init__(self, folder=None, mode="take", secret="whsec_"):
        self.mode, self.secret = mode, secret
        self.requests, self.connections = [], 0
        self.end = threading.Event()
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536  # one segment an answer

            def do_POST(self):
                webhook.answer(self)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def get_request(self):
                webhook.connections += 1
                return super().get_request()

            def handle_error(self, request, address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.scheme = "http"
        if folder is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.path.join(folder, "server.pem"), os.path.join(folder, "server.key"))
            # Handshakes are the handlers' threads' business.
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"
        self.url = f"{self.scheme}://localhost:{self.port}/hook?x=1"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, handler):
        mode = self.mode(len(self.requests)) if callable(self.mode) else self.mode
        size = int(handler.headers.get("content-length", "0"))
        body = handler.rfile.read(size)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        good = is_genuine(headers, body, self.secret) if "webhook-id" in headers else False
        taken = mode == "take" and good
        self.requests.append((time.time(), headers.get("webhook-id"), body, taken, headers))
        if mode == "hang":
            self.end.wait(60)
            return
        if mode == "drop":
            handler.close_connection = True
            return
        if mode == "cut":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            handler.close_connection = True
            return
        if mode == "garbage":
            handler.wfile.write(b"\0\1\2 no HTTP at all\r\n\r\n")
            handler.close_connection = True
            return
        if mode == "huge":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000000))
            return
        status, more = (200, {}) if taken else (401, {})
        if isinstance(mode, int):
            status = mode
        elif mode.startswith("http"):
            status, more = 307, {"Location": mode}
        answer = b"secret words of the inner network"
        handler.send_response(status)
        for name, value in more.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def keys(self):
        """Each key that was taken, with the ids it came under."""
        found = {}
        for _, name, body, taken, _ in list(self.requests):
            if taken:
                message = json.loads(body)
                assert list(message) == ["s3Bucket", "s3ObjectKey"], message
                for key in message["s3ObjectKey"]:
                    found.setdefault((message["s3Bucket"], key), []).append(name)
        return found

    def close(self):
        self.end.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def expected_id(bucket, key):
    return hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()[:32]


class Notifying(Delivering):
    """Its targets are lines of settings; {base} in them is the organization's folder's folder."""

    def __init__(self, targets, top="", **options):
        self.targets, self.top = targets, top
        super().__init__(**options)

    def prepare(self):
        super().prepare()
        organization = self.organization
        organization.write_settings(organization.read_settings() + self.notify_settings())

    def notify_settings(self):
        lines = "".join(f"    - {{{target}}}\n" for target in self.targets)
        text = "notify:\n" + self.top + (f"  targets:\n{lines}" if lines else "")
        return text.replace("{base}", self.organization.base)

    def write_secret(self, name, *secrets):
        path = os.path.join(self.organization.base, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write("".join(secret + "\n" for secret in secrets))

    def delivered_keys(self, bucket=BUCKET):
        return {(bucket, key) for key in self.files(bucket=bucket)}

    def notification_error(self, arn):
        return self.status(arn).get("LatestNotificationError", "")

    def wait_error(self, arn, words, seconds=60):
        flow.wait_until(
            lambda: f"the error {words!r}, there is {self.notification_error(arn)!r}",
            lambda: words in self.notification_error(arn), seconds, 0.2)

    def metric(self, name, follower=""):
        """The sum of a metric's values whose label has this in it."""
        text = self.organization.fetch("/metrics")
        lines = re.findall(rf'^{name}{{follower="([^"]*)"}} (\S+)$', text, re.M)
        return sum(float(value) for label, value in lines if follower in label)
