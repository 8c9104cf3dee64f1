#!/usr/bin/env python3
"""The client of S3 against servers that others wrote: moto with authentication on, s3rver over TLS, MinIO where it is.

What was put is read back by boto3, and what boto3 put by us. The same steps for each server; what a
server does not have is asserted too, so that a newer one that has it is noticed.
"""

import hashlib
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.kit import cases  # noqa: E402
from tests.s3 import servers  # noqa: E402

servers.enter_clients()

BUCKET = "trail-bucket"
FOLDER = tempfile.mkdtemp(prefix="s3-test-")
KEYS = ["a", "AWSLogs/o-1/111122223333/CloudTrail/eu-west-1/2026/01/31/x_Ab9.json.gz", "a b/c d",
        "~-_.", "ü+=&?#%20/:@,;$", "日本", "a=b", "dt=2024/x", "!'()*"]


def make_file(name, size):
    path = os.path.join(FOLDER, name)
    data = hashlib.shake_128(name.encode()).digest(size)
    with open(path, "wb") as file:
        file.write(data)
    return path, data


def expect_fault(answer, kind, code, words=""):
    assert answer[0] == "fault" and answer[1] == kind and answer[2] == code, answer
    assert answer[3].startswith(code) and words in answer[3], answer


def check_buckets(server, client):
    assert client.ask("bucket", BUCKET)[:2] == ["bucket", "yes"]
    assert client.ask("bucket", "no-such-bucket")[:2] == ["bucket", "no"]
    path, _ = make_file("one", 10)
    expect_fault(client.ask("put", "no-such-bucket", "k", path), "input", "NoSuchBucket", "make the bucket")
    expect_fault(client.list("no-such-bucket"), "input", "NoSuchBucket")
    expect_fault(client.ask("get", "no-such-bucket", "k", "100", path), "input", "NoSuchBucket")
    assert client.ask("put", "No bucket", "k", path)[1] == "input"


def check_objects(server, client):
    boto3 = server.boto3()
    for index, key in enumerate(KEYS):
        path, data = make_file(f"object{index}", [0, 1, 1000, 70000][index % 4])
        assert client.ask("put", BUCKET, key, path) == ["put"], key
        assert boto3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == data, key
        head = client.ask("head", BUCKET, key)
        assert head[1] == str(len(data)), (key, head)
        assert head[2] == (hashlib.sha256(data).hexdigest() if server.has_checksums else "-"), (key, head)
        copy = os.path.join(FOLDER, "copy")
        assert client.ask("get", BUCKET, key, "70000", copy)[1] == str(len(data))
        with open(copy, "rb") as file:
            assert file.read() == data
    assert client.ask("head", BUCKET, "not there") == ["head", "no"]
    assert client.ask("get", BUCKET, "not there", "10", "/dev/null") == ["get", "no"]
    assert client.ask("get", BUCKET, KEYS[3], "69999", "/dev/null")[1] == "full"
    boto3.put_object(Bucket=BUCKET, Key="by boto3", Body=b"x" * 500, Metadata={"signature": "AB"})
    head = client.ask("head", BUCKET, "by boto3", "signature", "none")
    assert head[1] == "500" and head[4:] == ["AB", "-"], head
    found = {row[0]: int(row[1]) for row in client.list(BUCKET)}
    assert set(KEYS) | {"by boto3"} == set(found), found
    for key in found:
        boto3.delete_object(Bucket=BUCKET, Key=key)


def check_digest(server, client):
    """The pair of metadata names that libcurl's own signing gets wrong."""
    path, data = make_file("digest", 300)
    put = client.ask("put", BUCKET, "digest", path, "signature:" + "0f" * 256, "signature-algorithm:SHA256withRSA",
                     "backfill-generation-timestamp:2025-05-20T00:00:00.000Z", "type=application/json")
    assert put == ["put"], put
    found = server.boto3().head_object(Bucket=BUCKET, Key="digest")
    assert found["Metadata"] == {"signature": "0f" * 256, "signature-algorithm": "SHA256withRSA",
                                 "backfill-generation-timestamp": "2025-05-20T00:00:00.000Z"}
    assert found["ContentType"] == "application/json"
    assert client.ask("head", BUCKET, "digest", "signature")[4] == "0f" * 256


def check_first(server, client):
    path, data = make_file("first", 50)
    other, _ = make_file("second", 60)
    assert client.ask("put", BUCKET, "first", path, "first") == ["put"]
    again = client.ask("put", BUCKET, "first", other, "first")
    if server.has_first:
        expect_fault(again, "input", "PreconditionFailed", "already")
        assert client.ask("head", BUCKET, "first")[1] == "50"
    else:
        assert again == ["put"]
    assert client.ask("put", BUCKET, "first", other) == ["put"]
    assert client.ask("head", BUCKET, "first")[1] == "60"


def check_parts(server, client):
    for size in (16 * 1024 * 1024, 16 * 1024 * 1024 + 1, 24 * 1024 * 1024):
        path, data = make_file("large", size)
        assert client.ask("put", BUCKET, "large", path, "signature:ab", "signature-algorithm:cd") == ["put"]
        found = server.boto3().get_object(Bucket=BUCKET, Key="large")
        assert found["Body"].read() == data
        assert found["Metadata"] == {"signature": "ab", "signature-algorithm": "cd"}
        head = client.ask("head", BUCKET, "large")
        is_whole = size <= 16 * 1024 * 1024
        assert head[1] == str(size), head
        assert ("-" in head[3]) == (server.tells_parts and not is_whole), head
        assert (head[2] != "-") == (is_whole and server.has_checksums), head
        copy = os.path.join(FOLDER, "copy")
        assert client.ask("get", BUCKET, "large", str(size), copy)[1] == str(size)
        with open(copy, "rb") as file:
            assert file.read() == data
        os.unlink(path)


def check_list(server, client):
    boto3 = server.boto3()
    path, _ = make_file("small", 3)
    names = [f"list/{index // 400}/{index:05} x" for index in range(1200)]
    for name in names:
        if server.has_signatures:
            boto3.put_object(Bucket=BUCKET, Key=name, Body=b"abc")
        else:
            assert client.ask("put", BUCKET, name, path) == ["put"]
    rows = client.list(BUCKET, "list/")
    assert [row[0] for row in rows] == names
    assert all(row[1] == "3" and row[3] == hashlib.md5(b"abc").hexdigest() for row in rows) or (
        not server.has_signatures)
    assert [row[0] for row in client.list(BUCKET, "list/", names[499])] == names[500:]
    assert [row[0] for row in client.list(BUCKET, "list/2/", names[0])] == names[800:]
    assert [row[0] for row in client.list(BUCKET, "list/", most=1001)] == names[:1001]
    assert client.list(BUCKET, "none/") == []
    assert [row[0] for row in client.list(BUCKET, "list/", call="folder")] == ["list/0/", "list/1/", "list/2/"]
    assert [row[0] for row in client.list(BUCKET, "list/1/", call="folder")] == names[400:800]
    copy = os.path.join(FOLDER, "copy")
    assert client.ask("range", BUCKET, names[0], "1", "5", copy)[1] == "3"
    with open(copy, "rb") as file:
        assert file.read() == (b"bc" if server.has_signatures else make_file("small", 3)[1][1:])
    assert client.ask("range", BUCKET, "none", "0", "5", copy) == ["range", "no"]


def check_rights(server, _):
    wrong = servers.write_credentials(FOLDER, server.key_id, "not-the-secret")
    path, data = make_file("rights", 5)
    with servers.Client(server, credentials=wrong) as client:
        answer = client.ask("put", BUCKET, "rights", path)
        if server.has_signatures:
            expect_fault(answer, "denied", "SignatureDoesNotMatch", "the secret is not")
        # Mended while it runs: the next call takes the new one.
        servers.write_credentials(FOLDER, server.key_id, server.secret)
        assert client.ask("put", BUCKET, "rights", path) == ["put"]
    unknown = servers.write_credentials(FOLDER, "AKIANOBODY0000000000", "x", "unknown")
    with servers.Client(server, credentials=unknown) as client:
        expect_fault(client.ask("put", BUCKET, "rights", path), "denied", "InvalidAccessKeyId", "check the credentials")


def check_encryption(server, client):
    """Headers of encryption and ACL as the store keeps them."""
    path, data = make_file("sealed", 100)
    boto3 = server.boto3()
    assert client.ask("put", BUCKET, "sealed", path, "sse=s3", "acl=bucket-owner-full-control") == ["put"]
    assert boto3.head_object(Bucket=BUCKET, Key="sealed")["ServerSideEncryption"] == "AES256"
    assert client.ask("put", BUCKET, "sealed", path, "kms=alias/trail") == ["put"]
    found = boto3.head_object(Bucket=BUCKET, Key="sealed")
    assert found["ServerSideEncryption"] == "aws:kms" and "alias/trail" in found["SSEKMSKeyId"], found
    large, _ = make_file("sealed large", 17 * 1024 * 1024)
    assert client.ask("put", BUCKET, "sealed large", large, "kms=alias/trail") == ["put"]
    found = boto3.head_object(Bucket=BUCKET, Key="sealed large")
    assert found["ServerSideEncryption"] == "aws:kms", found


def check_tls(server, _):
    """A CA that did not sign the server's certificate, and none."""
    folder = tempfile.mkdtemp(dir=FOLDER)
    servers.make_certificates(folder)
    for ca in (os.path.join(folder, "ca.pem"), "/etc/ssl/certs/ca-certificates.crt"):
        with servers.Client(server, ca=ca) as client:
            answer = client.ask("bucket", BUCKET)
            assert answer[1] == "denied" and answer[3].startswith("TLS does not trust 127.0.0.1"), answer


def run(kind, *checks):
    with kind() as server, servers.Client(server) as client:
        for check in checks:
            print(f"{server.name}: {check.__name__}", flush=True)
            check(server, client)


STEPS = (check_buckets, check_objects, check_digest, check_first, check_parts, check_list, check_rights)


def test_moto():
    run(servers.Moto, *STEPS, check_encryption)


def test_s3rver():
    run(servers.S3rver, *STEPS, check_tls)


def test_minio():
    servers.MinIO.need()
    run(servers.MinIO, *STEPS)


if __name__ == "__main__":
    cases.run("servers_test", globals(), os.environ.get("ONLY"))
