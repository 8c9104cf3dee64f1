#!/usr/bin/env python3
"""Agent and collector together on this machine: events per second over mutual TLS, fsync before
every acknowledgement.

usage: end_to_end.py [--events N] [--source tail|directory] [--folder DIR]

Prints one line of JSON. Programs come from bazel-bin: build them with --config=opt.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
os.chdir(ROOT)
sys.path.insert(0, ROOT)

from tests.flow.organization import DATA, Organization, find_program  # noqa: E402

ACCOUNTS = 4


def make_input(folder, source, events):
    """What one agent of the organization's grant reads. Its source, and the bytes of text."""
    arguments = [find_program("tests/kit", "make_traffic"), "--data", DATA, "--count", str(events)]
    arguments += ["--accounts", str(ACCOUNTS), "--no-repeats", "--rate", "1000"]
    if source == "directory":
        place = os.path.join(folder, "in")
        run = subprocess.run([*arguments, "--files", place, "--per-file", "5000"], check=True,
                             capture_output=True, text=True)
        return "directory:" + place, run.stderr
    path = os.path.join(folder, "in.ndjson")
    with open(path, "wb") as file:
        run = subprocess.run(arguments, check=True, stdout=file, stderr=subprocess.PIPE, text=True)
    return "tail:" + path, run.stderr


def point_agent(agent, source):
    """Makes this its only source."""
    kind, path = source.split(":", 1)
    with open(agent.config_path, encoding="utf-8") as file:
        text = file.read()
    text = text[: text.index("sources:")]
    text += f'sources:\n  - name: "bench"\n    kind: "{kind}"\n    path: "{path}"\n'
    with open(agent.config_path, "w", encoding="utf-8") as file:
        file.write(text)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0


def run_agent(agent):
    """Runs an agent until the collector has all it reads: (seconds, CPU seconds, peak MB)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    agent.arguments.append("--once")
    agent.start()
    peak = 0.0
    while agent.is_running():
        try:
            peak = max(peak, peak_mb(agent.process.pid))
        except OSError:
            break
        time.sleep(0.02)
    code = agent.wait(600)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert code == 0, agent.log()[-2000:]
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak


def measure(arguments, folder):
    source, made = make_input(folder, arguments.source, arguments.events)
    text_bytes = int(made.split()[-1])
    with Organization(os.path.join(folder, "run")) as organization:
        settings = organization.read_settings()
        settings = settings.replace("  accounts:", "  unknown: admit\n  accounts:", 1)
        organization.write_settings(settings)
        organization.start_collector()
        agent = organization.enroll("--organization", is_started=False)
        point_agent(agent, source)
        seconds, agent_cpu, peak = run_agent(agent)
        collector_pid = organization.collector.process.pid
        collector_cpu, collector_peak = cpu_seconds(collector_pid), peak_mb(collector_pid)
        total = organization.status()["total"]
        assert total["stored"] == arguments.events, total
        size = sum(
            os.stat(os.path.join(organization.store, name)).st_blocks * 512
            for name in os.listdir(organization.store)
        )
        organization.collector.stop()
    return {
        "source": arguments.source,
        "events": arguments.events,
        "seconds": round(seconds, 2),
        "events_per_second": round(arguments.events / seconds),
        "text_mb_per_second": round(text_bytes / seconds / 1e6),
        "agent_cpu_us_per_event": round(agent_cpu / arguments.events * 1e6, 2),
        "collector_cpu_us_per_event": round(collector_cpu / arguments.events * 1e6, 2),
        "agent_peak_mb": round(peak),
        "collector_peak_mb": round(collector_peak),
        "store_bytes_per_event": round(size / arguments.events, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--events", type=int, default=1000000)
    parser.add_argument("--source", choices=("tail", "directory"), default="directory")
    parser.add_argument("--folder", help="where to work; its disk is what is measured")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="end-to-end.", dir=arguments.folder)
    try:
        print(json.dumps(measure(arguments, folder)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
