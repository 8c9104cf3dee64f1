"""Servers of S3 that others wrote, and the client of base/aws/s3 as a process, for tests."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, ROOT)

from tests.kit import cases  # noqa: E402

# tools/clients.sh puts them beside the sources, which Bazel's runfiles point to.
HERE = os.path.dirname(os.path.realpath(__file__))
CLIENTS = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".cache/clients")
PYTHON = os.path.join(CLIENTS, "python/bin/python3")
PROGRAM = os.path.join(ROOT, "tests/s3/client")
START_S = 90  # moto reads a lot of Python; machines of tests are busy


def enter_clients():
    """Goes on in the Python that has boto3 and moto."""
    if not os.path.exists(PYTHON):
        raise FileNotFoundError("the servers are not installed: tools/setup.sh --clients")
    if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(PYTHON))):
        os.execv(PYTHON, [PYTHON, "-P", *sys.argv])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificates(folder):
    """A CA, and a certificate of 127.0.0.1 and localhost: ca.pem, server.pem and server.key."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    with open(os.path.join(folder, "names"), "w") as file:
        file.write("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:*.localhost\n")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=a CA of tests")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=store")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
            "-extfile", "names", "-out", "server.pem")


def write_credentials(folder, key_id, secret, name="credentials"):
    path = os.path.join(folder, name)
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n")
    os.rename(path + ".new", path)
    return path


class Server:
    """One of them, in a folder of its own: endpoint, key_id, secret, credentials, ca.

    It takes a port, a key and a bucket of the test's if the test has any.
    """

    name = None
    region = "us-east-1"
    scheme = "http"
    has_signatures = True  # compares them
    has_checksums = True  # tells SHA-256 of what it has
    has_first = True  # knows If-None-Match: *
    tells_parts = True  # by an ETag that ends in their number

    def __init__(self, port=None, key=None, bucket="trail-bucket"):
        self.folder = tempfile.mkdtemp(prefix="s3-")
        self.port = port or free_port()
        self.key, self.bucket = key, bucket
        self.endpoint = f"{self.scheme}://127.0.0.1:{self.port}"
        self.ca = None
        self.log = open(os.path.join(self.folder, "log"), "w")
        try:
            self.process = self.start()
            self.wait()
            self.prepare()
        except BaseException:
            self.close()
            raise
        self.credentials = write_credentials(self.folder, self.key_id, self.secret)

    def spawn(self, command, **environment):
        return subprocess.Popen(
            command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, cwd=self.folder,
            env={**os.environ, **environment},
        )

    def wait(self):
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        with open(self.log.name) as file:
            raise RuntimeError(f"{self.name} does not start:\n{file.read()[-2000:]}")

    def boto3(self, service="s3", key_id=None, secret=None):
        import boto3
        from botocore.config import Config

        return boto3.client(
            service, endpoint_url=self.endpoint, region_name=self.region, verify=self.ca,
            aws_access_key_id=key_id or self.key_id, aws_secret_access_key=secret or self.secret,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1},
                          request_checksum_calculation="when_required"),
        )

    def close(self):
        process = getattr(self, "process", None)
        if process is not None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Moto(Server):
    """With authentication on: signatures are compared, and the user has the rights it is given."""

    name = "moto"
    free_calls = 3  # before authentication begins: those of prepare

    def start(self):
        key = {"MOTO_KEY_ID": self.key[0], "MOTO_SECRET": self.key[1]} if self.key else {}
        return self.spawn([PYTHON, "-P", os.path.join(HERE, "moto_server.py"), "-H", "127.0.0.1", "-p",
                           str(self.port)],
                          INITIAL_NO_AUTH_ACTION_COUNT=str(self.free_calls), **key)

    def prepare(self):
        iam = self.boto3("iam", "any", "any")
        allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        iam.create_user(UserName="trail")
        iam.put_user_policy(UserName="trail", PolicyName="all",
                            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
        key = iam.create_access_key(UserName="trail")["AccessKey"]
        self.key_id, self.secret = key["AccessKeyId"], key["SecretAccessKey"]
        self.boto3().create_bucket(Bucket=self.bucket)


class S3rver(Server):
    """Over TLS. It compares no signatures of version 4, and knows neither checksums nor conditions."""

    name = "s3rver"
    scheme = "https"
    has_signatures = has_checksums = has_first = tells_parts = False
    key_id, secret = "S3RVER", "S3RVER"

    def start(self):
        make_certificates(self.folder)
        self.ca = os.path.join(self.folder, "ca.pem")
        program = os.path.join(HERE, "s3rver_server.js")
        environment = {"NODE_MODULES": os.path.join(CLIENTS, "node/node_modules")}
        if self.key:
            self.key_id, self.secret = self.key
            environment |= {"S3RVER_KEY_ID": self.key_id, "S3RVER_SECRET": self.secret}
        # It makes tokens of further pages with DES, which OpenSSL 3 gives only to whoever insists.
        return self.spawn(["node", "--openssl-legacy-provider", program, "-d", self.folder + "/data", "-a", "127.0.0.1", "-p",
                           str(self.port), "--key", "server.key", "--cert", "server.pem",
                           "--configure-bucket", self.bucket], **environment)

    def prepare(self):
        pass


class MinIO(Server):
    """Where it is installed: Debian has no package of it."""

    name = "minio"
    key_id, secret = "trailtrail", "secretsecret"

    @staticmethod
    def need():
        """The case that asks is skipped where it is not installed."""
        if shutil.which("minio") is None:
            raise cases.Skipped("MinIO is not installed: put its server, `minio`, into PATH")

    def start(self):
        if self.key:
            self.key_id, self.secret = self.key
        return self.spawn(["minio", "server", self.folder + "/data", "--address",
                           f"127.0.0.1:{self.port}"],
                          MINIO_ROOT_USER=self.key_id, MINIO_ROOT_PASSWORD=self.secret)

    def prepare(self):
        for _ in range(100):
            try:
                self.boto3().create_bucket(Bucket=self.bucket)
                return
            except Exception:
                time.sleep(0.2)
        raise RuntimeError("minio does not take a bucket")


class Client:
    """tests/s3/client.c: one call a line."""

    def __init__(self, server=None, **options):
        if server is not None:
            options.setdefault("endpoint", server.endpoint)
            options.setdefault("credentials", server.credentials)
            options.setdefault("region", server.region)
            if server.ca:
                options.setdefault("ca", server.ca)
        # What the environment says of proxies is not asked.
        environment = {**os.environ, "https_proxy": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
        self.process = subprocess.Popen(
            [PROGRAM, *(f"{name}={value}" for name, value in options.items())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
        )

    def read(self):
        line = self.process.stdout.readline()
        assert line, "the client ended"
        return line.rstrip(b"\n").decode("utf-8", "surrogateescape").split("\t")

    def ask(self, *parts):
        self.process.stdin.write("\t".join(parts).encode("utf-8", "surrogateescape") + b"\n")
        self.process.stdin.flush()
        return self.read()

    def list(self, bucket, prefix="", after="", most=1000000, call="list"):
        """Rows of (key, size, seconds, etag), or a fault. Of a folder in order."""
        rows = [self.ask(call, bucket, prefix, after, str(most))]
        while rows[-1][0] != "fault" and len(rows[-1]) == 4:
            rows.append(self.read())
        end = rows.pop()
        if end[0] == "fault":
            return end
        assert int(end[1]) == len(rows), (end, len(rows))
        return sorted(rows, key=lambda row: row[0].encode()) if call == "folder" else rows

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0, f"the client ended with {self.process.returncode}"
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            self.process.kill()
            self.process.wait()
