"""An organization in a folder: its collector, its agents and its operator, as real processes.

Everything started here ends with the process that started it, however that one ends. Folders of
records, settings and logs stay for whoever looks at a failure; the caller removes them.
"""

import contextlib
import ctypes
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(ROOT, "tests/data")

ORGANIZATION = "o-example123"
MANAGEMENT = "111111111111"
WAIT_SECONDS = 30

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def find_program(room, name):
    """The path of one of our programs: beside the test in Bazel's runfiles, or as built last."""
    for folder in (os.environ.get("ORGTRAIL_BIN"), ROOT, os.path.join(ROOT, "bazel-bin")):
        for path in (f"{folder}/{name}", f"{folder}/{room}/{name}"):
            if folder and os.path.isfile(path) and os.access(path, os.X_OK):
                return path
    raise FileNotFoundError(f"{name} is not built: bazel build //{room}:{name}")


def split_records(text):
    """The records of a {"Records":[...]} text, each as the bytes it came in."""
    text = text.decode()
    decoder = json.JSONDecoder()
    place = text.index("[") + 1
    records = []
    while True:
        while text[place] in ", \r\n\t":
            place += 1
        if text[place] == "]":
            return records
        _, end = decoder.raw_decode(text, place)
        records.append(text[place:end].encode())
        place = end


def read_file(path):
    """The records of one .json.gz file."""
    with gzip.open(path, "rb") as file:
        return split_records(file.read())


def pack_records(records):
    """A CloudTrail file of records that are bytes; the same records give the same bytes."""
    return gzip.compress(b'{"Records":[' + b",".join(records) + b"]}", 6, mtime=0)


def write_file(path, content):
    """Writes a file that readers see whole or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "wb") as file:
        file.write(content)
    os.rename(path + ".part", path)


def wait_until(what, condition, seconds=WAIT_SECONDS, pause=0.05):
    """Asks until the condition holds and returns what it gave; says what did not happen."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(pause)


def find_free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def end_with_parent():
    """Runs in the child: it is killed when the thread that started it is gone."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Program:
    """One of our daemons: started, stopped and killed as often as needed, with one log."""

    def __init__(self, arguments, log_path, environment=None):
        self.arguments = arguments
        self.log_path = log_path
        self.environment = environment
        self.process = None
        self.log_begin = 0

    def start(self, preexec=None, stdin=subprocess.DEVNULL):
        assert self.process is None, f"{self.arguments[0]} runs already"

        def prepare():
            end_with_parent()
            if preexec:
                preexec()

        with open(self.log_path, "ab") as log:
            self.log_begin = log.tell()
            self.process = subprocess.Popen(
                self.arguments,
                stdin=stdin,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
                preexec_fn=prepare,
            )

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, seconds=20):
        """Ends it in order; its exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        return self.wait(seconds)

    def kill(self):
        """Ends it at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.wait()

    def wait(self, seconds=20):
        """Waits until it has ended by itself; its exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.process = None
            raise TimeoutError(f"{self.arguments[0]} did not end in {seconds} s") from None
        self.process = None
        return code

    def log(self, whole=False):
        """The log of this run, or of all runs."""
        with open(self.log_path, "rb") as log:
            log.seek(0 if whole else self.log_begin)
            return log.read().decode("utf-8", "replace")

    def messages(self, whole=False):
        """The log's messages as dicts; lines that are none are left out."""
        found = []
        for line in self.log(whole).splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def wait_for_message(self, pattern, seconds=WAIT_SECONDS):
        """The first message of this run whose line matches."""
        expression = re.compile(pattern)

        def find():
            for line in self.log().splitlines():
                if expression.search(line):
                    return line
            if not self.is_running():
                raise ChildProcessError(f"{self.arguments[0]} ended: {self.log()[-2000:]}")
            return None

        return wait_until(lambda: f"{pattern!r} in the log: {self.log()[-2000:]}", find, seconds)


class Agent(Program):
    """An agent: a bundle's folder, a folder of CloudTrail files and a growing file that it reads."""

    def __init__(self, organization, folder):
        self.folder = folder
        self.config_path = os.path.join(folder, "agent.yaml")
        self.spool = os.path.join(folder, "spool")
        self.files = os.path.join(folder, "files")
        self.lines = os.path.join(folder, "lines.ndjson")
        self.uri = None
        self.count = 0
        super().__init__(
            [organization.agent_program, "--config", self.config_path],
            os.path.join(folder, "log"),
        )

    def deliver(self, records, name=None):
        """Puts a CloudTrail file of these records (bytes) where the agent looks."""
        self.count += 1
        name = name or f"{self.count:06d}.json.gz"
        write_file(os.path.join(self.files, name), pack_records(records))

    def append(self, records):
        """Appends records (bytes) as lines to the file that the agent follows."""
        with open(self.lines, "ab") as file:
            file.write(b"".join(record + b"\n" for record in records))


class Organization:
    """Made by `orgtrail init`; agents by `orgtrail enroll`. `with` ends all that runs."""

    def __init__(
        self, folder=None, accounts=(), name=ORGANIZATION, management=MANAGEMENT, has_api=False
    ):
        self.is_temporary = folder is None
        base = os.environ.get("TEST_TMPDIR")
        # A message is cut after 511 bytes: a sandbox's path may leave no room for what it says.
        if base and len(base) > 120:
            base = None
        self.base = tempfile.mkdtemp(prefix="flow.", dir=base) if folder is None else folder
        os.makedirs(self.base, exist_ok=True)
        self.folder = os.path.join(self.base, "organization")
        self.store = os.path.join(self.folder, "store")
        self.name = name
        self.program = find_program("cli", "orgtrail")
        self.agent_program = find_program("agent", "orgtrail-agent")
        self.agents = []
        self.port = 0
        self.http_port = 0
        self.config_path = os.path.join(self.folder, "collector/collector.yaml")
        arguments = ["init", self.folder, "-o", name, "-m", management]
        for account in accounts:
            arguments += ["-a", account]
        self.run(*arguments)
        self.collector = Program(
            [find_program("collector", "orgtrail-collector"), "--config", self.config_path],
            os.path.join(self.base, "collector.log"),
        )
        self.set("listen", "127.0.0.1:0")
        self.set("  listen", "127.0.0.1:0")
        self.api_port = 0
        # Its port is not one of many tests at a time.
        self.set_line("api", "{listen: 127.0.0.1:0}" if has_api else None)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.end()
        # What is left of a failure in a test stays in Bazel's folder of the test.
        if self.is_temporary and kind is None:
            shutil.rmtree(self.base, ignore_errors=True)
        return False

    def end(self):
        for program in [*self.agents, self.collector]:
            program.kill()

    # --- settings

    def set(self, key, value):
        """Sets a member of collector.yaml that is there: "listen" or "  listen" (of http)."""
        text = self.read_settings()
        text, count = re.subn(rf"(?m)^{key}: \S+", f"{key}: {value}", text)
        assert count == 1, f"{key} stands {count} times in {self.config_path}"
        self.write_settings(text)

    def set_line(self, key, value):
        """Sets what stands on one line of collector.yaml, or takes the line out, if it is there (None)."""
        text = self.read_settings()
        line = "" if value is None else f"{key}: {value}\n"
        text, count = re.subn(rf"(?m)^{key}: .*\n", line, text)
        assert count == 1 or value is None, f"{key} stands {count} times in {self.config_path}"
        self.write_settings(text)

    def read_settings(self):
        with open(self.config_path, encoding="utf-8") as file:
            return file.read()

    def write_settings(self, text):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(text)

    # --- processes

    def start_collector(self, seconds=WAIT_SECONDS, preexec=None):
        """Starts it on ports of its own choosing, which it keeps from then on."""
        self.collector.start(preexec)
        line = self.collector.wait_for_message('"collector started"', seconds)
        started = json.loads(line)
        if self.port == 0:
            self.port, self.http_port = started["port"], started["http_port"]
            self.set("listen", f"127.0.0.1:{self.port}")
            self.set("  listen", f"127.0.0.1:{self.http_port}")
            self.api_port = started.get("api_port", 0)  # an earlier one has none
            if self.api_port:
                settings = self.read_settings().replace(
                    "api: {listen: 127.0.0.1:0", f"api: {{listen: 127.0.0.1:{self.api_port}"
                )
                self.write_settings(settings)

    def enroll(self, *arguments, is_started=True):
        """An agent with a bundle of its own. The collector must have run: its port is known then."""
        assert self.port, "start the collector first"
        sources = ["--source", "files=directory:/BUNDLE/files", "--source", "lines=tail:/BUNDLE/lines.ndjson"]
        address = ["--collector", f"127.0.0.1:{self.port}"]
        made = self.run("enroll", self.folder, *address, *sources, *arguments).stdout
        agent = Agent(self, made.split("  ")[0])
        agent.uri = re.search(r"spiffe://[^,\s]+", made).group(0)
        os.makedirs(agent.files, exist_ok=True)
        open(agent.lines, "ab").close()
        with open(agent.config_path, encoding="utf-8") as file:
            text = file.read()
        text = text.replace("/BUNDLE/", "")  # relative: from the config's folder
        text = text.replace('kind: "directory"\n', 'kind: "directory"\n    poll_ms: 100\n')
        with open(agent.config_path, "w", encoding="utf-8") as file:
            file.write(text)
        self.agents.append(agent)
        if is_started:
            agent.start()
        return agent

    # --- the operator

    def run(self, *arguments, code=0, seconds=60):
        """Runs `orgtrail ...`; its texts. Fails if its exit code is another."""
        done = subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == code, (
            f"orgtrail {' '.join(arguments)}: exit code {done.returncode}, not {code}\n"
            f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
        return done

    def run_raw(self, *arguments):
        """The standard output of `orgtrail ...` as bytes."""
        return subprocess.run(
            [self.program, *arguments], stdout=subprocess.PIPE, timeout=60, check=True
        ).stdout

    def status(self):
        return json.loads(self.run("status", "--json", self.store).stdout)

    def agent_status(self, agent):
        """The counts of one agent's certificate; None before it was heard of."""
        for line in self.status()["agents"]:
            if line["agent"] == agent.uri:
                return line
        return None

    def lookup(self, *conditions):
        """The events that fit, newest first, as texts."""
        arguments = ["lookup", self.store, "--output", "ndjson", "--limit", "1000", *conditions]
        return self.run(*arguments).stdout.split("\n")[:-1]

    def export(self, *conditions):
        """The whole trail, one line an event, as bytes."""
        arguments = ["export", "-", self.store, "--format", "ndjson", *conditions]
        return self.run_raw(*arguments).split(b"\n")[:-1]

    def own_events(self, name=None):
        """The collector's own events, as dicts."""
        named = ["--event-name", name] if name else []
        return [json.loads(line) for line in self.lookup("--event-source", "orgtrail.local", *named)]

    def quarantine(self, reason=None):
        """What was refused, as dicts."""
        arguments = ["quarantine", "list", "--json", self.store]
        if reason:
            arguments += ["--reason", reason]
        return [json.loads(line) for line in self.run(*arguments).stdout.split("\n")[:-1]]

    def check(self):
        """Verifies the whole store; the number of events in it."""
        said = self.run("store", "check", self.store).stdout
        assert "all good" in said, said
        return int(said.split()[0])

    def fetch(self, path):
        """Asks the collector's HTTP server."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as page:
            return page.read().decode()

    # --- waiting

    def wait_received(self, count, seconds=WAIT_SECONDS):
        """Waits until so many records were received and decided; the status then."""
        seen = {}

        def is_there():
            seen.update(self.status()["total"])
            return seen["received"] >= count

        wait_until(lambda: f"{count} records received: {seen}", is_there, seconds)
        status = self.status()
        assert status["total"]["received"] == count, status["total"]
        assert status["total"]["balanced"], status["total"]
        return status

    def wait_notices(self, count, seconds=WAIT_SECONDS):
        """Waits until so many Notices were received; the own events they became."""
        wait_until(
            lambda: f"{count} notices: {self.status()['total']}",
            lambda: self.status()["total"]["notices"] >= count,
            seconds,
        )
        return self.own_events("AgentNotice")
