#!/usr/bin/env python3
"""orgtrail verify and the stock verifier on the same delivered files, in the same run.

Makes a delivered trail of 16 records a file, as AWS writes them, and lets both verify one account
and region, then orgtrail all of them. `aws cloudtrail validate-logs` reads over HTTP from a small server
in a process of its own. Wall-clock and the verifiers' own CPU time (not the server's) are told.
"""

import argparse
import http.server
import json
import multiprocessing
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
from xml.sax.saxutils import escape

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("ORGTRAIL_BIN", os.path.join(ROOT, "bazel-bin"))
AWS = os.path.join(ROOT, ".cache/clients/python/bin/aws")
BUCKET = "trail-bucket"
HOME = "us-east-1"
TRAIL = f"arn:aws:cloudtrail:{HOME}:111111111111:trail/org-trail"
DIGESTS_OF_CHAIN = 100
PAGE = 1000


class Handler(http.server.BaseHTTPRequestHandler):
    """The six calls that validate-logs makes."""

    protocol_version = "HTTP/1.1"
    folder = keys = names = None

    def log_message(self, *_):
        pass

    def answer(self, body, code=200, headers=(), kind="application/json"):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rsplit(".", 1)[-1]
        answers = {
            "DescribeTrails": {"trailList": [{
                "Name": "org-trail", "TrailARN": TRAIL, "S3BucketName": BUCKET,
                "HomeRegion": HOME, "IsOrganizationTrail": True}]},
            "DescribeOrganization": {"Organization": {"Id": "o-example1234"}},
            "ListPublicKeys": self.keys,
        }
        self.answer(json.dumps(answers[operation]).encode())

    def do_GET(self):
        address = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(address.query, keep_blank_values=True)
        key = urllib.parse.unquote(address.path)[len(BUCKET) + 2:]
        if "location" in query:
            self.answer(b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>',
                        kind="application/xml")
        elif key:
            self.answer_object(os.path.join(self.folder, BUCKET, key))
        else:
            self.answer_list(query.get("prefix", [""])[0], query.get("marker", [""])[0])

    def answer_object(self, path):
        metadata = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.metadata")
        headers = []
        if os.path.exists(metadata):
            with open(metadata, encoding="utf-8") as file:
                headers = [(f"x-amz-meta-{name}", value) for name, value in json.load(file).items()]
        with open(path, "rb") as file:
            self.answer(file.read(), headers=headers, kind="application/gzip")

    def answer_list(self, prefix, marker):
        names = [name for name in self.names if name.startswith(prefix) and name > marker]
        page = "".join(f"<Contents><Key>{escape(name)}</Key><Size>1</Size></Contents>" for name in names[:PAGE])
        more = "true" if len(names) > PAGE else "false"
        self.answer(
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{BUCKET}</Name>'
            f"<IsTruncated>{more}</IsTruncated>{page}</ListBucketResult>".encode(), kind="application/xml")


def serve(folder, keys, pipe):
    Handler.folder, Handler.keys = folder, keys
    top = os.path.join(folder, BUCKET)
    Handler.names = sorted(
        os.path.relpath(os.path.join(path, name), top)
        for path, _, files in os.walk(top) for name in files if not name.startswith("."))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_address[1])
    server.serve_forever()


def measure(command, environment=None):
    """(wall-clock seconds, CPU seconds, what it printed) of a command that must be good."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == 0, (command, run.returncode, run.stdout[-1000:], run.stderr[-1000:])
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, run.stdout


def run_stock(port, account, region, start, end):
    address = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_ACCESS_KEY_ID": "AKIA0000",
        "AWS_SECRET_ACCESS_KEY": "0", "AWS_ENDPOINT_URL": address, "AWS_EC2_METADATA_DISABLED": "true",
    }
    form = "%Y-%m-%dT%H:%M:%SZ"
    wall, cpu, printed = measure(
        [AWS, "cloudtrail", "validate-logs", "--trail-arn", TRAIL, "--account-id", account, "--region", region,
         "--start-time", time.strftime(form, time.gmtime(start)),
         "--end-time", time.strftime(form, time.gmtime(end))], environment)
    digests = re.search(r"(\d+)/(\d+) digest files valid", printed)
    logs = re.search(r"(\d+)/(\d+) log files valid", printed)
    assert digests and logs and digests[1] == digests[2] and logs[1] == logs[2], printed
    return wall, cpu, int(digests[1]), int(logs[1])


def run_ours(folder, keys, *options):
    wall, cpu, printed = measure([os.path.join(BIN, "cli/orgtrail"), "verify", folder, "--keys", keys, "--json",
                                  *options])
    counts = json.loads(printed)["counts"]
    return wall, cpu, counts["digestsGood"], counts["logFilesGood"], counts["logBytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--files", type=int, default=20000, help="log files in all")
    parser.add_argument("--folder")
    parser.add_argument("--least", type=float, default=0, help="fail below this ratio of CPU time")
    arguments = parser.parse_args()
    if not os.path.exists(AWS):
        sys.exit("the aws CLI is not installed: tools/setup.sh --clients")
    folder = tempfile.mkdtemp(dir=arguments.folder)
    server = None
    try:
        end = int(time.time()) // 3600 * 3600
        each = max(1, arguments.files // (4 * DIGESTS_OF_CHAIN))
        subprocess.run(
            [os.path.join(BIN, "tests/verify/make_delivered"), "--data", os.path.join(ROOT, "tests/data"),
             "--out", folder, "--end", str(end), "--accounts", "2", "--regions", "2",
             "--digests", str(DIGESTS_OF_CHAIN), "--files", str(each)], check=True)
        buckets, keys = os.path.join(folder, "buckets"), os.path.join(folder, "keys.json")
        with open(keys, encoding="utf-8") as file:
            list_of_keys = json.load(file)
        for key in list_of_keys["PublicKeyList"]:
            key["ValidityStartTime"] = 0
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.Process(target=serve, args=(buckets, list_of_keys, theirs), daemon=True)
        server.start()
        port = ours.recv()
        accounts = os.path.join(buckets, BUCKET, "AWSLogs/o-example1234")
        account = sorted(os.listdir(accounts))[0]
        region = sorted(os.listdir(os.path.join(accounts, account, "CloudTrail")))[0]
        print(f"load {' '.join(open('/proc/loadavg', encoding='ascii').read().split()[:3])}, {os.cpu_count()} cores")
        start = end - (DIGESTS_OF_CHAIN + 1) * 3600
        stock_wall, stock_cpu, digests, logs = run_stock(port, account, region, start, end)
        place = ("--account", account, "--region", region)
        runs = [run_ours(buckets, keys, *place, "--threads", "1") for _ in range(3)]
        wall, cpu = min(run[0] for run in runs), min(run[1] for run in runs)
        assert runs[0][2:4] == (digests, logs), (runs[0], digests, logs)
        all_runs = [run_ours(buckets, keys) for _ in range(3)]
        all_wall = min(run[0] for run in all_runs)
        all_logs, all_bytes = all_runs[0][3], all_runs[0][4]
    finally:
        if server is not None:
            server.terminate()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"one account and region: {digests} digests, {logs} log files of 16 records")
    print(f"  aws cloudtrail validate-logs  {stock_wall:8.2f} s  {stock_cpu:8.2f} s CPU  {logs / stock_wall:10.0f} files/s")
    print(f"  orgtrail verify, one thread   {wall:8.2f} s  {cpu:8.2f} s CPU  {logs / wall:10.0f} files/s")
    print(f"  ratio                         {stock_wall / wall:8.0f}    {stock_cpu / cpu:8.0f}")
    print(f"all four on all cores: {all_logs} log files, {all_bytes / 1e6:.0f} MB of text in {all_wall:.2f} s: "
          f"{all_logs / all_wall:.0f} files/s, {all_bytes / 1e6 / all_wall:.0f} MB/s")
    if min(stock_wall / wall, stock_cpu / cpu) < arguments.least:
        sys.exit(f"below the promised ratio of {arguments.least:.0f}")


if __name__ == "__main__":
    main()
