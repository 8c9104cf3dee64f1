#!/usr/bin/env python3
"""What no client sends, against the API of a running collector: nothing crashes, hangs or holds up others."""

import os
import socket
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))

from tests.api import service as api  # noqa: E402
from tests.kit import cases  # noqa: E402

api.enter_clients()

from botocore.auth import SigV4Auth  # noqa: E402
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.credentials import Credentials  # noqa: E402

TARGET = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101."


class Room:
    service = None


def service():
    if Room.service is None:
        Room.service = api.Service(events=[])
    return Room.service


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


def assert_refused(answer, status, code):
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:500]
    assert b'"__type":"%s"' % code in answer, answer[:1000]
    assert b"x-amzn-RequestId: " in answer and b"Date: " in answer


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
    assert b"HTTP/1.1 200" not in receive(plain)
    assert_alive()


def test_slow_clients_are_cut_off():
    begun = time.monotonic()
    header, body = dial(), dial()
    header.sendall(b"POST / HTTP/1.1\r\nX: ")
    ended = False
    while not ended and time.monotonic() - begun < 25:
        try:
            header.sendall(b"x")
            header.settimeout(0.5)
            ended = header.recv(1) == b""
        except (TimeoutError, ssl.SSLError):
            ended = False
        except ConnectionError:
            ended = True
        # Others are served meanwhile.
        assert_alive()
    assert ended and time.monotonic() - begun > 8, time.monotonic() - begun
    header.close()
    # A body that does not come holds nothing but its connection.
    body.sendall(sign(b"{}") + b"\r\nContent-Length: 2\r\n\r\n{")
    assert_alive()
    body.close()


def test_a_thousand_idle_connections():
    held = []
    for _ in range(1000):
        connection = dial(is_tls=False)
        connection.settimeout(None)
        held.append(connection)
    begun = time.monotonic()
    for _ in range(5):
        assert_alive()
    assert time.monotonic() - begun < 20, time.monotonic() - begun
    for connection in held:
        connection.close()
    assert_alive()


def test_it_ends_in_order():
    assert service().organization.own_events("ApiCallerRefused")
    assert service().organization.collector.stop() == 0
    service().organization.check()
    service().organization.end()


if __name__ == "__main__":
    cases.run("bad_input_test", globals(), only=os.environ.get("ONLY"))
