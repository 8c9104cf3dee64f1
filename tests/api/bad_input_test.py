#!/usr/bin/env python3
"""What no client sends, against the API of a running collector: nothing crashes, hangs or holds up others.

All the while an agent sends events, and each case ends when those have been received.
"""

import http.client
import os
import socket
import ssl
import sys
import threading
import time
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

from botocore.auth import SigV4Auth  # noqa: E402
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.credentials import Credentials  # noqa: E402

LEAKED_MAX = 1100  # bytes of a bad request; smaller ones are found by the sanitizer's build
ROUND_TIMES, ROUNDS = 62, 40  # 20,000 requests in all
IS_SANITIZED = "ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ
TARGET = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101."


RECORD = (
    '{"eventVersion":"1.08","eventTime":"2023-07-10T11:45:01Z","eventSource":"s3.amazonaws.com","eventName":"PutBucketAcl",'
    '"awsRegion":"us-east-1","recipientAccountId":"' + api.flow.MANAGEMENT + '","readOnly":false,'
    '"eventID":"%08d-0000-4000-8000-000000000000"}'
)


class Intake(threading.Thread):
    """An agent whose file grows by 50 records ten times a second."""

    def __init__(self, organization):
        super().__init__(daemon=True)
        self.organization = organization
        self.agent = organization.enroll("--organization")
        self.count = 0
        self.growing = threading.Lock()
        self.is_over = False

    def run(self):
        while not self.is_over:
            with self.growing:
                self.agent.append([(RECORD % (self.count + number)).encode() for number in range(50)])
                self.count += 50
            time.sleep(0.1)

    def check(self):
        """That all written so far is stored soon: what the API did held nothing up."""
        with self.growing:
            begun = time.monotonic()
            status = self.organization.wait_received(self.count, 20)
            assert status["total"]["stored"] == self.count, status["total"]
            return time.monotonic() - begun


class Room:
    service = None
    intake = None


def service():
    if Room.service is None:
        Room.service = api.Service(events=[], accounts=[api.flow.MANAGEMENT])
        Room.intake = Intake(Room.service.organization)
        Room.intake.start()
    return Room.service


def count_files():
    return len(os.listdir(f"/proc/{service().organization.collector.process.pid}/fd"))


def measure_memory():
    """MiB that the collector has."""
    with open(f"/proc/{service().organization.collector.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024


def dial(is_tls=True):
    plain = socket.create_connection(("127.0.0.1", service().organization.api_port), timeout=30)
    if not is_tls:
        return plain
    return ssl.create_default_context(cafile=service().ca).wrap_socket(plain, server_hostname="localhost")


def receive(connection):
    """All that comes until the server closes."""
    found = b""
    try:
        while True:
            part = connection.recv(65536)
            if not part:
                break
            found += part
    except (ConnectionError, ssl.SSLError, TimeoutError):
        pass
    connection.close()
    return found


def ask(data):
    connection = dial()
    try:
        connection.sendall(data)
    except (ConnectionError, ssl.SSLError):
        pass
    return receive(connection)


def sign(body, operation="ListTrails", headers=None):
    """A good request, as bytes without its end."""
    request = AWSRequest(
        method="POST", url=service().endpoint + "/", data=body,
        headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET + operation,
                 **(headers or {})},
    )
    key = service().admin
    SigV4Auth(Credentials(key.id, key.secret), "cloudtrail", "us-east-1").add_auth(request)
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    host = service().endpoint.removeprefix("https://")
    return "\r\n".join(["POST / HTTP/1.1", f"Host: {host}", "Connection: close", *lines]).encode()


def send(body, **more):
    return ask(sign(body, **more) + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def assert_alive():
    answer = send(b"{}")
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"Trails":[' in answer, answer
    assert service().organization.collector.is_running()


def assert_intake_goes_on():
    took = Room.intake.check()
    # What waits when it is asked is a tenth of a second's.
    assert took < 10, took


def assert_refused(answer, status, code):
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:500]
    assert b'"__type":"%s"' % code in answer, answer[:1000]
    assert b"x-amzn-RequestId: " in answer and b"Date: " in answer


def with_intake(case):
    def run():
        case()
        assert_intake_goes_on()

    return run


def test_a_good_request():
    assert_alive()


def test_chunked_bodies():
    head = sign(b"{}") + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = ask(head + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert ask(head + b"zz\r\n{}\r\n0\r\n\r\n")[:13] in (b"HTTP/1.1 400 ", b"")
    large = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    assert ask(head + large * 20 + b"0\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert_alive()


def test_large_headers_and_bodies():
    assert ask(b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40000 + b"\r\n\r\n")[:13] == b"HTTP/1.1 431 "
    many = b"".join(b"X-%d: y\r\n" % number for number in range(100))
    assert ask(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + many + b"\r\n")[:13] == b"HTTP/1.1 431 "
    assert ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")[:13] == b"HTTP/1.1 413 "
    assert ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n")[:13] == b"HTTP/1.1 400 "
    assert ask(b"GET /" + b"a" * 30000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")[9:10] == b"4"
    assert_alive()


def test_json_that_is_none_of_ours():
    for body in (b"", b"[]", b"null", b'"x"', b"{", b"{}{}", b"\xff\xfe", b"{'a': 1}", b'{"a":1,"a":2}',
                 b"[" * 100000, b'{"a":' * 50 + b"1" + b"}" * 50, b'{"NextToken":' + b"9" * 5000 + b"}",
                 b'{"a":"\\ud800"}', b'{"a":NaN}'):
        if body == b"":
            continue
        assert_refused(send(body), 400, b"SerializationException")
    # What is well formed and too much for the operation is its own error.
    assert send(b'{"Name":"' + b"x" * 200000 + b'"}', operation="GetTrail").startswith(b"HTTP/1.1 400 ")
    assert send(b'{"MaxResults":1e400}', operation="LookupEvents").startswith(b"HTTP/1.1 400 ")
    assert send(b'{"StartTime":1e300,"EndTime":1e308}', operation="LookupEvents").startswith(b"HTTP/1.1 200 ")
    assert_alive()


def test_what_the_signature_does_not_cover():
    body = b"{}"
    good = sign(body)
    end = b"\r\nContent-Length: 2\r\n\r\n{}"
    assert_refused(ask(good + b"\r\nX-Amz-Extra: 1" + end), 400, b"IncompleteSignatureException")
    assert_refused(ask(good + b"\r\nAuthorization: x" + end), 400, b"IncompleteSignatureException")
    assert_refused(ask(good.replace(b"ListTrails", b"ListTag5") + end), 400, b"InvalidSignatureException")
    assert_refused(ask(good + b"\r\nContent-Length: 3\r\n\r\n{ }"), 400, b"InvalidSignatureException")
    plain = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: " + TARGET.encode() + b"ListTrails"
    assert_refused(ask(plain + end), 400, b"MissingAuthenticationTokenException")
    assert_refused(ask(plain + b"\r\nAuthorization: Bearer x" + end), 400, b"IncompleteSignatureException")
    assert_refused(ask(plain.replace(b"x-amz-json-1.1", b"json") + end), 400, b"SerializationException")
    assert_refused(ask(plain.replace(b"ListTrails", b"") + end), 400, b"UnknownOperationException")
    assert_refused(ask(plain.replace(b"POST / ", b"POST /x ") + end), 404, b"UnknownOperationException")
    assert_refused(ask(plain.replace(b"POST / ", b"GET / ") + end), 405, b"UnknownOperationException")
    assert_alive()


def test_garbage():
    ask(b"\x00\x01\x02 complete nonsense\r\n\r\n")
    # A good request, and behind it what is none.
    request = sign(b"{}").replace(b"Connection: close\r\n", b"") + b"\r\nContent-Length: 2\r\n\r\n{}"
    answer = ask(request + b"\x16\x03\x01 garbage\r\n\r\n" * 100)
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
    # No TLS, and half of a handshake.
    plain = dial(is_tls=False)
    plain.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert receive(plain) == b""  # as docs/api.md says
    assert_alive()


def drip(connection):
    """Sends a byte; whether the server has closed."""
    try:
        connection.sendall(b"x")
        connection.settimeout(0.2)
        return connection.recv(1) == b""
    except (TimeoutError, ssl.SSLWantReadError):
        return False
    except (ConnectionError, ssl.SSLError):
        return True


def test_slow_clients_are_cut_off():
    header, body = dial(), dial()
    header.sendall(b"POST / HTTP/1.1\r\nX: ")
    body.sendall(sign(b"{}") + b"\r\nContent-Length: 2000\r\n\r\n{")
    # And two that send nothing more.
    silent = [dial(), dial()]
    silent[0].sendall(b"POST / HT")
    silent[1].sendall(sign(b"{}") + b"\r\nContent-Length: 2\r\n\r\n{")
    begun = time.monotonic()
    ends = {}
    while len(ends) < 2 and time.monotonic() - begun < 40:
        for name, connection in (("header", header), ("body", body)):
            if name not in ends and drip(connection):
                ends[name] = time.monotonic() - begun
        # Others are served meanwhile.
        assert_alive()
        assert_intake_goes_on()
    assert 8 < ends.get("header", 0) < 20 and 18 < ends.get("body", 0) < 40, ends
    for connection in silent:
        connection.settimeout(30)
        receive(connection)
    assert_alive()


def test_a_thousand_idle_connections():
    assert_alive()
    files, memory = count_files(), measure_memory()
    held = []
    # Half of them have shaken hands.
    for number in range(1000):
        connection = dial(is_tls=number % 2 == 0)
        connection.settimeout(None)
        held.append(connection)
    # The sanitizer's build takes so long for a handshake that the first ones have been idle too long by then.
    assert count_files() > files + (10 if IS_SANITIZED else 400)
    begun = time.monotonic()
    for _ in range(5):
        assert_alive()
        assert_intake_goes_on()
    assert time.monotonic() - begun < 20, time.monotonic() - begun
    for connection in held:
        connection.close()
    assert_alive()
    api.flow.wait_until("closed connections closed", lambda: count_files() < files + 10, 30)
    assert IS_SANITIZED or measure_memory() < memory + 150, (memory, measure_memory())


# On one connection, as often as can be: a signature is good for five minutes.
REFUSED = (
    (b"[" * 50000, "ListTrails"),
    (b'{"a":1,"a":2}', "ListTrails"),
    (b'{"a":' * 50 + b"1" + b"}" * 50, "LookupEvents"),
    (b'{"Name":"' + b"x" * 200000 + b'"}', "GetTrail"),
    (b'{"LookupAttributes":[' + b'{"AttributeKey":"EventId"},' * 2000 + b"{}]}", "LookupEvents"),
    (b'{"NextToken":"' + b"A" * 3000 + b'"}', "LookupEvents"),
    (b"{}", "NoSuchThing"),
    (b"{}", "StartQuery"),
)
# And each with a connection of its own, which the server closes.
CUT_OFF = (
    lambda: ask(sign(b"{}") + b"\r\nX-Amz-Extra: 1\r\nContent-Length: 2\r\n\r\n{}"),
    lambda: ask(b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40000 + b"\r\n\r\n"),
    lambda: ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"),
    lambda: ask(sign(b"{}") + b"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\nzz"),
    lambda: dial(is_tls=False).close(),
)


def send_refused(times):
    """Each of them that often; the server keeps the connection."""
    context = ssl.create_default_context(cafile=service().ca)
    requests = []
    for body, operation in REFUSED:
        lines = sign(body, operation).decode().replace("Connection: close\r\n", "").split("\r\n")[1:]
        requests.append((body, dict(line.split(": ", 1) for line in lines)))
    connection = http.client.HTTPSConnection("localhost", service().organization.api_port, context=context, timeout=30)
    for _ in range(times):
        for body, headers in requests:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == 400 and b'"__type":"' in said, (answer.status, body[:60], said[:300])
    connection.close()


def test_much_of_it_leaks_nothing():
    def repeat(times):
        send_refused(times)
        for _ in range(max(1, times // 20)):
            for shape in CUT_OFF:
                shape()
        return measure_memory()

    repeat(20)
    files = count_files()
    if IS_SANITIZED:
        # It keeps what is freed for a while; and says at the collector's end what was not.
        repeat(250)
        assert_alive()
        return
    # Commits and the allocator let it go up and down; what it has at the least, once it has settled, does not grow.
    sizes = [repeat(ROUND_TIMES) for _ in range(ROUNDS)]
    assert_alive()
    settled = sizes[ROUNDS // 5:]
    early, late = settled[: len(settled) // 2], settled[len(settled) // 2:]
    count = ROUND_TIMES * len(REFUSED)
    print(f"MiB after {count} requests each: {[round(size) for size in sizes]}")
    leaked = (min(late) - min(early)) * (1 << 20) / (count * len(late))
    assert leaked < LEAKED_MAX, f"{leaked:.0f} bytes a request: {sizes}"
    api.flow.wait_until("closed connections closed", lambda: count_files() < files + 10, 30)


def test_old_tls_is_refused():
    warnings.simplefilter("ignore", DeprecationWarning)
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = ssl.create_default_context(cafile=service().ca)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
        try:
            context.wrap_socket(dial(is_tls=False), server_hostname="localhost")
            raise AssertionError(f"{version} was taken")
        except ssl.SSLError as error:
            # GnuTLS from 3.7.9-2+deb12u7 on closes, before it named the reason.
            assert isinstance(error, ssl.SSLZeroReturnError) or "PROTOCOL" in str(error).upper(), error
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=service().ca)
        context.minimum_version, context.maximum_version = version, version
        context.wrap_socket(dial(is_tls=False), server_hostname="localhost").close()
    assert_alive()


def test_it_ends_in_order():
    assert_intake_goes_on()
    Room.intake.is_over = True
    Room.intake.join()
    Room.intake.check()
    organization = service().organization
    assert organization.own_events("ApiCallerRefused")
    assert Room.intake.agent.stop() == 0
    assert organization.collector.stop() == 0
    assert organization.check() > Room.intake.count > 1000
    organization.end()


if __name__ == "__main__":
    for name, case in list(globals().items()):
        if name.startswith("test_") and name != "test_it_ends_in_order":
            globals()[name] = with_intake(case)
    cases.run("bad_input_test", globals(), only=os.environ.get("ONLY"))
