#!/usr/bin/env python3
"""The client of S3 against a store that verifies strictly and fails as it is told (failing.py).

Each failure is a fault of the right kind with the store's code and words that say what to do; what
failed once goes well when it is done again; nothing is left behind.
"""

import hashlib
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.kit import cases  # noqa: E402
from tests.s3 import failing, servers  # noqa: E402

BUCKET = "trail-bucket"
FOLDER = tempfile.mkdtemp(prefix="s3-failing-")
CREDENTIALS = servers.write_credentials(FOLDER, failing.KEY_ID, failing.SECRET)
HANG_MS = 1500  # the client's patience where the store has none to offer
KEYS = ["a", "AWSLogs/o-1/1/CloudTrail/eu-west-1/2026/01/31/x_Ab9.json.gz", "a b/c d", "~!-_.'()*",
        "dots/../and/./slashes//", "ü+=&?#%20/:@,;$<>\"'\\", "日本/\x01\x7f", "a=b", "+", "%2F"]


def make_file(name, size):
    path = os.path.join(FOLDER, name)
    data = hashlib.shake_128(name.encode()).digest(size)
    with open(path, "wb") as file:
        file.write(data)
    return path, data


def open_client(store, **options):
    options = {"endpoint": store.endpoint, "region": failing.REGION, "credentials": CREDENTIALS, **options}
    return servers.Client(**options)


def expect_fault(answer, kind, code, words):
    assert answer[0] == "fault" and answer[1] == kind and answer[2] == code, answer
    assert words in answer[3], answer


def test_keys_and_metadata():
    path, data = make_file("object", 3000)
    with failing.Store() as store, open_client(store) as client:
        for key in KEYS:
            put = client.ask("put", BUCKET, key, path, "signature:" + "ab" * 256, "signature-algorithm:x  y")
            assert put == ["put"], (key, put)
            assert store.buckets[BUCKET][key].bytes == data, store.buckets[BUCKET].keys()
            head = client.ask("head", BUCKET, key, "signature")
            assert head[1:] == ["3000", hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest(), "ab" * 256]
            assert client.ask("get", BUCKET, key, "3000", os.path.join(FOLDER, "copy"))[1] == "3000"
        assert [row[0] for row in client.list(BUCKET)] == sorted(KEYS, key=str.encode)
        # One connection carried all of it.
        assert len({seen.connection for seen in store.seen}) == 1


def test_virtual_hosts():
    path, data = make_file("object", 300)
    with failing.Store() as store:
        endpoint = f"http://localhost:{store.port}"
        with open_client(store, endpoint=endpoint, style="virtual") as client:
            for key in KEYS:
                assert client.ask("put", BUCKET, key, path) == ["put"], key
            assert client.ask("bucket", BUCKET) == ["bucket", "yes", failing.REGION]
            assert [row[0] for row in client.list(BUCKET)] == sorted(KEYS, key=str.encode)
        assert set(store.buckets[BUCKET]) == set(KEYS)
        assert {seen.headers["Host"] for seen in store.seen} == {f"{BUCKET}.localhost:{store.port}"}


# What the store does once, and what the client says.
FAILURES = [
    ("slow", "retry", "SlowDown", "the store is busy"),
    ("unavailable", "retry", "ServiceUnavailable", "the store is busy"),
    ("internal", "retry", "InternalError", "the store is busy"),
    ("denied", "denied", "AccessDenied", "allow it"),
    ("skewed", "retry", "RequestTimeTooSkewed", "set the clock"),
    ("region", "input", "AuthorizationHeaderMalformed", "the bucket is in us-west-2"),
    ("moved", "input", "PermanentRedirect", "another region"),
    ("damaged", "retry", "BadDigest", "did not arrive"),
    ("kms", "denied", "KMS.DisabledException", "KMS key"),
    ("full", "full", "XMinioStorageFull", "make room"),
    ("token", "denied", "ExpiredToken", "put a new one"),
    ("html", "retry", "", "connection ended"),
    ("garbage", "retry", "", "127.0.0.1"),
    ("cut_request", "retry", "", "connection ended"),
    ("late", "retry", "", "connection ended"),
    ("hang", "retry", "", "timed out"),
]


def test_failures_of_a_put():
    path, data = make_file("object", 200000)
    with failing.Store() as store, open_client(store, call_ms=HANG_MS) as client:
        for failure, kind, code, words in FAILURES:
            # A connection that dies before its answer is tried anew by libcurl if it was used before.
            store.plan = [("PUT", failure)] * (2 if code == "" else 1)
            answer = client.ask("put", BUCKET, failure, path)
            if answer[2] == "HTTP 502":
                code = "HTTP 502"  # its body had come before the end
                words = "the store is busy"
            expect_fault(answer, kind, code, words)
            store.plan = []
            assert client.ask("put", BUCKET, failure, path) == ["put"], failure
            assert store.buckets[BUCKET][failure].bytes == data


def test_failures_of_reading():
    path, data = make_file("object", 200000)
    copy = os.path.join(FOLDER, "copy")
    with failing.Store() as store, open_client(store, call_ms=HANG_MS) as client:
        assert client.ask("put", BUCKET, "object", path) == ["put"]
        for failure, kind, code, words in FAILURES + [("cut_answer", "retry", "", "connection ended")]:
            for ask in (lambda: client.ask("get", BUCKET, "object", "200000", copy), lambda: client.list(BUCKET)):
                store.plan = [("GET", failure)] * (2 if code == "" else 1)
                answer = ask()
                if answer[2] == "HTTP 502":
                    code, words = "HTTP 502", "the store is busy"
                expect_fault(answer, kind, code, words)
                store.plan = []
            assert client.ask("get", BUCKET, "object", "200000", copy)[1] == "200000", failure
            with open(copy, "rb") as file:
                assert file.read() == data
        store.plan = [("GET", "endless")] * 3
        expect_fault(client.list(BUCKET), "retry", "", "does not go on")
        # An answer to HEAD has no body: the status speaks.
        store.plan = [("HEAD", "denied")]
        expect_fault(client.ask("head", BUCKET, "object"), "denied", "HTTP 403", "allow it")


def test_lies():
    """A store that says it has what it has not: HEAD tells."""
    path, data = make_file("object", 1000)
    with failing.Store() as store, open_client(store) as client:
        store.plan = [("PUT", "lie"), ("PUT", "shorten"), ("PUT", "alter")]
        for _ in range(3):
            assert client.ask("put", BUCKET, "object", path) == ["put"]
            head = client.ask("head", BUCKET, "object")
            assert head == ["head", "no"] or head[1:3] != ["1000", hashlib.sha256(data).hexdigest()], head
        assert client.ask("put", BUCKET, "object", path, "first")[2] == "PreconditionFailed"
        assert client.ask("put", BUCKET, "object", path) == ["put"]
        assert client.ask("head", BUCKET, "object")[2] == hashlib.sha256(data).hexdigest()


def test_parts():
    path, data = make_file("large", 20 * 1024 * 1024 + 5)
    with failing.Store() as store, open_client(store, call_ms=30000) as client:
        answer = client.ask("put", BUCKET, "large", path, "signature:ab", "first")
        assert answer == ["put"], answer
        stored = store.buckets[BUCKET]["large"]
        assert stored.bytes == data and stored.headers["x-amz-meta-signature"] == "ab"
        # What the store says of parts is no hash of the object.
        assert client.ask("head", BUCKET, "large")[2] == "-"
        expect_fault(client.ask("put", BUCKET, "large", path, "first"), "input", "PreconditionFailed", "already")
        assert not store.uploads
        for plan, code in (
            ([("POST", "slow")], "SlowDown"),
            ([("PUT", "internal")], "InternalError"),
            ([("PUT", "none"), ("PUT", "none"), ("PUT", "damaged")], "BadDigest"),
            ([("POST", "none"), ("POST", "error200")], "InternalError"),
            ([("POST", "none"), ("POST", "internal")], "InternalError"),
            # The answer to the last call is lost: the object is there, and the client does not know.
            ([("POST", "none"), ("POST", "late"), ("POST", "late")], ""),
        ):
            store.plan = list(plan)
            answer = client.ask("put", BUCKET, "large again", path)
            assert answer[:3] == ["fault", "retry", code] or answer[2] == "NoSuchUpload", (plan, answer)
            assert not store.uploads, plan
            store.plan = []
        assert client.ask("put", BUCKET, "large again", path) == ["put"]
        assert store.buckets[BUCKET]["large again"].bytes == data


def test_pages():
    with failing.Store() as store, open_client(store) as client:
        store.page = 7
        path, _ = make_file("small", 2)
        for index in range(50):
            assert client.ask("put", BUCKET, f"p/{index:02} <&>", path) == ["put"]
        keys = [f"p/{index:02} <&>" for index in range(50)]
        assert [row[0] for row in client.list(BUCKET, "p/")] == keys
        assert [row[0] for row in client.list(BUCKET, "p/1", keys[14])] == keys[15:20]
        assert [row[0] for row in client.list(BUCKET, most=8)] == keys[:8]
        assert client.list(BUCKET, "q") == []
        for key in ("p/0/x", "p/0/y", "p/1/x", "p/z/x/y"):
            assert client.ask("put", BUCKET, key, path) == ["put"]
        for page in (1, 2, 7, 1000):
            store.page = page
            assert [row[0] for row in client.list(BUCKET, "p/", call="folder")] == sorted([*keys, "p/0/", "p/1/", "p/z/"])
            assert [row[0] for row in client.list(BUCKET, call="folder")] == ["p/"]
            assert client.list(BUCKET, "p", call="folder") == client.list(BUCKET, call="folder")


def test_ranges():
    path, data = make_file("object", 70000)
    copy = os.path.join(FOLDER, "copy")

    def read(client, offset, size):
        answer = client.ask("range", BUCKET, "object", str(offset), str(size), copy)
        if answer[0] == "fault":
            return answer
        with open(copy, "rb") as file:
            assert file.read() == data[offset:offset + size], (offset, size)
        return answer[1]

    for has_ranges in (True, False):
        with failing.Store(has_ranges=has_ranges) as store, open_client(store) as client:
            assert client.ask("put", BUCKET, "object", path) == ["put"]
            for offset, size in ((0, 70000), (0, 100000), (10, 70000), (69999, 70000)):
                assert read(client, offset, size) == "70000", (offset, size)
            assert client.ask("range", BUCKET, "none", "0", "10", copy) == ["range", "no"]
            expect_fault(client.ask("range", "no-such-bucket", "object", "0", "10", copy), "input", "NoSuchBucket", "")
            if has_ranges:
                assert read(client, 65536, 10) == "70000"
                expect_fault(read(client, 70000, 10), "input", "InvalidRange", "")
            else:
                expect_fault(read(client, 0, 65535), "full", "", "")
                expect_fault(read(client, 70001, 70000), "input", "", "it is shorter")


def test_tls():
    folder = tempfile.mkdtemp(dir=FOLDER)
    servers.make_certificates(folder)
    other = tempfile.mkdtemp(dir=FOLDER)
    servers.make_certificates(other)
    tls = (os.path.join(folder, "server.pem"), os.path.join(folder, "server.key"))
    path, data = make_file("object", 100)
    with failing.Store(tls=tls) as store:
        with open_client(store, ca=os.path.join(folder, "ca.pem")) as client:
            assert client.ask("put", BUCKET, "object", path) == ["put"]
        with open_client(store, ca=os.path.join(other, "ca.pem")) as client:
            expect_fault(client.ask("put", BUCKET, "object", path), "denied", "", "TLS does not trust 127.0.0.1")
        with open_client(store) as client:
            expect_fault(client.ask("put", BUCKET, "object", path), "denied", "", "give the PEM file of the CA")
        with open_client(store, ca=os.path.join(folder, "none.pem")) as client:
            expect_fault(client.ask("put", BUCKET, "object", path), "input", "", "none.pem")
        assert len(store.buckets[BUCKET]) == 1


def test_unreachable():
    path, _ = make_file("object", 100)
    with failing.Store() as store:
        port = store.port
    with servers.Client(endpoint=f"http://127.0.0.1:{port}", credentials=CREDENTIALS) as client:
        expect_fault(client.ask("put", BUCKET, "object", path), "retry", "", "Connection refused")
    with servers.Client(endpoint="http://no.such.invalid", credentials=CREDENTIALS) as client:
        expect_fault(client.ask("put", BUCKET, "object", path), "retry", "", "host not found")


def test_settings():
    def start(**options):
        client = servers.Client(**{"endpoint": "http://127.0.0.1:1", "credentials": CREDENTIALS, **options})
        answer = client.read()
        client.process.stdin.close()
        client.process.wait()
        client.process.stdout.close()
        return answer

    for endpoint in ("s3.example.com", "ftp://a", "http://", "https://a/b", "https://u@a", "https://a?b"):
        answer = start(endpoint=endpoint)
        assert answer[1] == "input" and "write it like" in answer[3], answer
    assert "eu-central-1" in start(region="Frankfurt")[3]
    assert "there is none" in start(credentials=os.path.join(FOLDER, "none"))[3]
    wide = servers.write_credentials(FOLDER, "a", "b", "wide")
    os.chmod(wide, 0o644)
    assert start(credentials=wide)[1] == "denied"


def test_slow_store():
    """A store that answers nothing holds a call no longer than its limit."""
    path, _ = make_file("object", 100)
    with failing.Store() as store, open_client(store, call_ms=500) as client:
        store.plan = [("PUT", "hang")]
        began = time.monotonic()
        expect_fault(client.ask("put", BUCKET, "object", path), "retry", "", "timed out")
        assert time.monotonic() - began < 5


if __name__ == "__main__":
    cases.run("failing_test", globals(), os.environ.get("ONLY"))
