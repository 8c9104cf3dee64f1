"""A real organization for tests: the programs, their folders, certificates and ports.

    with Organization(folder, accounts=["111111111111"]) as organization:
        organization.collector.start()
        agent = organization.enroll("111111111111", sources=["directory:" + files])
        agent.run_once()
        print(organization.lookup("--event-name=PutObject"))

Everything it starts ends with it. Works under Bazel (programs from the runfiles) and beside it
(programs from bazel-bin).
"""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import time

ROOT = os.getcwd()
DATA = os.path.join(ROOT, "tests/data")
SECONDS_MAX = 60  # that anything waited for may take


def program(label):
    """The path of a program: PACKAGE/NAME."""
    for base in (ROOT, os.path.join(ROOT, "bazel-bin")):
        path = os.path.join(base, label)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(f"{label}: build it first (bazel build //...)")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, condition, seconds=SECONDS_MAX):
    """Returns the first true value of condition(); fails with `what` after some time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: did not happen in {seconds} s"
        time.sleep(0.01)


class Process:
    """A program with its log in a file."""

    def __init__(self, arguments, log, wrapper=(), stdin=None):
        self.arguments = [*wrapper, *arguments]
        self.log = log
        self.stdin = stdin
        self.process = None

    def start(self):
        assert self.process is None
        with open(self.log, "ab") as log:
            self.begin = log.tell()
            self.process = subprocess.Popen(
                self.arguments, stdout=log, stderr=log, stdin=self.stdin or subprocess.DEVNULL
            )
        return self

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def wait(self, seconds=SECONDS_MAX):
        """The exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.arguments[0]} did not end in {seconds} s:\n{self.tail()}")
        self.process = None
        return code

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait()

    def kill(self):
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self.process = None

    def text(self):
        """What it logged since it was started last."""
        with open(self.log, "rb") as log:
            log.seek(getattr(self, "begin", 0))
            return log.read().decode(errors="replace")

    def tail(self, lines=25):
        return "\n".join(self.text().splitlines()[-lines:])

    def lines(self):
        """Its log lines that are JSON."""
        for line in self.text().splitlines():
            if line.startswith("{"):
                try:
                    yield json.loads(line)
                except ValueError:
                    pass

    def wait_for(self, pattern, seconds=SECONDS_MAX):
        """Until the log says something; the match."""
        def look():
            found = re.search(pattern, self.text())
            assert found or self.process is None or self.process.poll() is None, (
                f"{self.arguments[0]} ended with {self.process.returncode} before it said"
                f" {pattern!r}:\n{self.tail()}"
            )
            return found

        try:
            return wait_until(f"{self.arguments[0]} to say {pattern!r}", look, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None


class Collector(Process):
    def __init__(self, organization):
        self.config = os.path.join(organization.folder, "collector", "collector.yaml")
        super().__init__(
            [program("collector/orgtrail-collector"), "--config", self.config],
            os.path.join(organization.folder, "collector.log"),
        )

    def start(self):
        super().start()
        started = self.wait_for(r'\{[^\n]*"message":"collector started"[^\n]*\}')
        self.http_port = json.loads(started.group(0)).get("http_port", 0)
        return self

    def get(self, path):
        """(status, body) of /metrics or /healthz."""
        from http.client import HTTPConnection

        connection = HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def metric(self, name, label=""):
        """The value of a metric, 0 if it is not there; label as 'outcome="stored"'."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            found = re.fullmatch(rf"{name}(\{{.*\}})? (\S+)", line)
            if found and label in (found.group(1) or ""):
                total += float(found.group(2))
        return total


class Agent(Process):
    def __init__(self, folder, once=False, wrapper=()):
        self.folder = folder
        self.config = os.path.join(folder, "agent.yaml")
        arguments = [program("agent/orgtrail-agent"), "--config", self.config]
        if once:
            arguments.append("--once")
        super().__init__(arguments, os.path.join(folder, "agent.log"), wrapper)

    def run_once(self, seconds=SECONDS_MAX, code=0):
        """Reads what is there, waits until the collector has it, ends."""
        once = Agent(self.folder, once=True)
        once.start()
        found = once.wait(seconds)
        assert found == code, f"exit code {found} instead of {code}:\n{once.tail()}"
        return once


class Organization:
    def __init__(self, folder, accounts, name="o-test", settings=None, management=None):
        self.folder = folder
        self.name = name
        self.port = free_port()
        self.agents = []
        accounts = list(accounts)
        self.management = management or accounts[0]
        arguments = ["init", folder, "--organization", name]
        arguments += ["--management-account", self.management, "--collector", f"localhost:{self.port}"]
        for account in accounts:
            if account != self.management:
                arguments += ["--account", account]
        self.command(*arguments)
        self.collector = Collector(self)
        self.configure(settings or {})

    def configure(self, settings):
        """Ports of our own, and other lines of the config by a pattern and its replacement."""
        with open(self.collector.config, encoding="utf-8") as file:
            text = file.read()
        text = re.sub(r"(?m)^listen: \S+", f"listen: 127.0.0.1:{self.port}", text)
        text = re.sub(r"(?m)^  listen: \S+", "  listen: 127.0.0.1:0", text)
        for pattern, replacement in settings.items():
            text, count = re.subn(pattern, replacement, text)
            assert count > 0, f"{pattern!r} is not in the config"
        with open(self.collector.config, "w", encoding="utf-8") as file:
            file.write(text)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for agent in self.agents:
            agent.kill()
        self.collector.kill()

    @property
    def store(self):
        return os.path.join(self.folder, "store")

    def command(self, *arguments, code=0, text=True):
        """Runs orgtrail; its standard output. With code None any exit is good: (code, out, err)."""
        run = subprocess.run(
            [program("cli/orgtrail"), *arguments],
            capture_output=True,
            text=text,
            timeout=SECONDS_MAX,
            stdin=subprocess.DEVNULL,
        )
        if code is None:
            return run.returncode, run.stdout, run.stderr
        assert run.returncode == code, (
            f"orgtrail {' '.join(arguments)}: exit code {run.returncode}:\n{run.stdout}{run.stderr}"
        )
        return run.stdout

    def enroll(self, account, region=None, name=None, sources=(), spool=None, extra=()):
        """An agent's bundle; account None is an organization's."""
        arguments = ["enroll", self.folder]
        arguments += ["--account", account] if account else ["--organization"]
        if region:
            arguments += ["--region", region]
        if name:
            arguments += ["--agent", name]
        for source in sources:
            arguments += ["--source", source]
        before = set(self.bundles())
        self.command(*arguments, *extra)
        made = set(self.bundles()) - before
        assert len(made) == 1, made
        agent = Agent(os.path.join(self.folder, "agents", made.pop()))
        if spool:
            agent_config = open(agent.config, encoding="utf-8").read()
            agent_config = agent_config.replace("size_max: 1GiB", f"size_max: {spool}")
            open(agent.config, "w", encoding="utf-8").write(agent_config)
        self.agents.append(agent)
        return agent

    def bundles(self):
        folder = os.path.join(self.folder, "agents")
        return os.listdir(folder) if os.path.isdir(folder) else []

    def lookup(self, *arguments, limit=1000):
        """Records found, as their text."""
        output = self.command(
            "lookup", "--store", self.store, "--output=ndjson", f"--limit={limit}", *arguments
        )
        return [line for line in output.splitlines() if line.startswith("{")]

    def status(self):
        return json.loads(self.command("status", "--json", "--store", self.store))

    def quarantine(self):
        """Entries, each with what --json says of it."""
        output = self.command("quarantine", "--json", "list", self.store)
        return [json.loads(line) for line in output.splitlines() if line.startswith("{")]

    def export_lines(self):
        """All records of the trail but our own, as bytes."""
        output = self.command("export", "-", "--format=ndjson", "--store", self.store, text=False)
        return [line for line in output.split(b"\n") if line and b'"orgtrail.local"' not in line]

    def own_events(self, name=None):
        found = [json.loads(line) for line in self.lookup("--event-source=orgtrail.local")]
        return [event for event in found if name is None or event["eventName"] == name]

    def check(self):
        self.command("store", "check", self.store)


def records_of(path):
    """The records of a CloudTrail file, each exactly as it stands there."""
    with gzip.open(path, "rb") as file:
        text = file.read().decode()
    decoder = json.JSONDecoder()
    at = text.index("[", text.index('"Records"')) + 1
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return
        _, end = decoder.raw_decode(text, at)
        yield text[at:end]
        at = end


def data_files():
    """The bundled files of records that every reader must take."""
    found = []
    for origin in sorted(os.listdir(DATA)):
        folder = os.path.join(DATA, origin)
        if os.path.isdir(folder):
            found += [
                os.path.join(folder, name)
                for name in sorted(os.listdir(folder))
                if name.endswith(".json.gz")
            ]
    return found


def write_file(path, records):
    """A CloudTrail file of these texts."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "wb") as raw:
        with gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
            file.write(b'{"Records":[' + ",".join(records).encode() + b"]}")
    os.rename(path + ".part", path)


def temporary(name):
    folder = os.path.join(os.environ.get("TEST_TMPDIR", "/tmp"), f"{name}-{os.getpid()}")
    os.makedirs(folder, exist_ok=True)
    return folder


def stop_on_signals():
    """Makes SIGTERM an ordinary exit, so that what was started is ended."""
    signal.signal(signal.SIGTERM, lambda *unused: (_ for _ in ()).throw(SystemExit(1)))
