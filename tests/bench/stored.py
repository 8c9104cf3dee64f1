"""A store of generated events to begin a measurement with.

With --store DIR it is made there once and copied for each run; a second run only copies. 10 M
events take about 2 minutes to make, and 1.3 GB.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

from tests.flow.organization import DATA, find_program

STORED = 10_000_000


def add_options(parser):
    parser.add_argument("--stored", type=int, default=STORED, help="events in the store at the beginning")
    parser.add_argument("--store", help="folder that keeps such a store, made if it is not there")


def fill(folder, count, accounts=100):
    """Leaves a store of so many events in the folder; what is there already is not made again."""
    os.makedirs(folder, exist_ok=True)
    subprocess.run(
        [
            find_program("tests/bench", "store_bench"),
            *("--fill", "--events", str(count), "--accounts", str(accounts), "--dir", folder, "--data", DATA),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def prepare(folder, options):
    """Puts the store that the options name into the folder, before a collector has opened it."""
    if options.stored == 0:
        return
    if not options.store:
        fill(folder, options.stored)
        return
    fill(options.store, options.stored)
    os.makedirs(folder, exist_ok=True)
    shutil.copy(os.path.join(options.store, "data.mdb"), folder)


def run_once(parser, name, run, find_missed):
    """Runs a measurement in a folder of its own and prints its result; with --check ends with 1 if limits were missed."""
    parser.add_argument("--folder", default=None)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=f"orgtrail-{name}.", dir=options.folder) as folder:
        result = run(options, folder)
    print(json.dumps(result))
    missed = find_missed(result) if options.check else []
    for line in missed:
        print(f"{name}.py: {line}", file=sys.stderr)
    sys.exit(1 if missed else 0)
