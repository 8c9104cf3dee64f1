#!/usr/bin/env bash
# bench.sh: what orgtrail does per second and per byte, and what people use today does with the same
# events on the same machine in the same run.
#
#   ./dev bench           1 M events through the store and end to end; about 3 minutes
#   ./dev bench --large   10 M events through the store as well; about 6 minutes and 10 GB of disk
#   ./dev bench --agents [--stored N] [--store DIR]   1,000 agents over a store of 10 M events, which
#                         DIR keeps for the next time: memory, delay, how soon all are back after a
#                         restart; about 8 minutes and 3 GB of disk
#                         With --check it fails if a limit of memory or return is missed
#   ./dev bench --retention [--events N] [--check]   delays while days go, and the file after as much came
#                         in as went; about 3 minutes and 1 GB of disk
#   ./dev bench --api [--stored N] [--store DIR] [--check]   the AWS API over a store of 10 M events while
#                         10 k a second come in, beside moto and DuckDB; about 6 minutes and 5 GB of
#                         disk. With --stored 100000 --seconds 5 about 2 minutes
#   ./dev bench --verify [--files N]   orgtrail verify and AWS's verifier on the same delivered files;
#                         about 3 minutes, most of them AWS's
#   ./dev bench --deliver [--events N] [--compression LEVEL]   a trail that delivers 1 M events to a folder,
#                         at levels 4, 6 and 1, beside gzip -6 of the same texts; about 3 minutes. With
#                         --events 10000000 about 20 minutes and 12 GB of disk
#   ./dev bench --import [--events N]   orgtrail import of an archive of 1 GB, 4 M events; about 4 minutes
#                         and 3 GB of disk
#   ./dev bench --check   small and quick: fails if something is far below what is promised
#
# BENCH_FOLDER names the folder whose disk is measured (default: a temporary one).
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" = --agents ]; then
    shift
    ORGTRAIL_BIN=$(tests/flow/build.sh //agent:orgtrail-agent //cli:orgtrail \
        //collector:orgtrail-collector //tests/bench:agents_bench //tests/bench:store_bench)
    export ORGTRAIL_BIN
    exec python3 -B tests/bench/agents.py --folder "${BENCH_FOLDER:-${TMPDIR:-/tmp}}" "$@"
fi

if [ "${1:-}" = --retention ]; then
    shift
    ORGTRAIL_BIN=$(tests/flow/build.sh //agent:orgtrail-agent //cli:orgtrail //collector:orgtrail-collector \
        //tests/bench:agents_bench //tests/bench:store_bench //tests/kit:make_traffic)
    export ORGTRAIL_BIN
    exec python3 -B tests/bench/retention.py --folder "${BENCH_FOLDER:-${TMPDIR:-/tmp}}" "$@"
fi

if [ "${1:-}" = --api ]; then
    shift
    case " $* " in *" --check "* | *" --sample 0 "*) ;; *) tools/peers.sh ;; esac
    ORGTRAIL_BIN=$(tests/flow/build.sh //agent:orgtrail-agent //cli:orgtrail //collector:orgtrail-collector \
        //tests/bench:api_bench //tests/bench:store_bench //tests/kit:make_traffic)
    export ORGTRAIL_BIN
    exec python3 -B tests/bench/api.py --folder "${BENCH_FOLDER:-${TMPDIR:-/tmp}}" "$@"
fi

if [ "${1:-}" = --deliver ]; then
    shift
    ORGTRAIL_BIN=$(tests/flow/build.sh //agent:orgtrail-agent //cli:orgtrail //collector:orgtrail-collector \
        //tests/bench:store_bench)
    export ORGTRAIL_BIN
    exec python3 -B tests/bench/deliver.py --folder "${BENCH_FOLDER:-${TMPDIR:-/tmp}}" "$@"
fi

if [ "${1:-}" = --import ]; then
    shift
    ORGTRAIL_BIN=$(tests/flow/build.sh //agent:orgtrail-agent //cli:orgtrail //collector:orgtrail-collector \
        //tests/kit:make_traffic)
    export ORGTRAIL_BIN
    exec python3 -B tests/bench/archive.py --folder "${BENCH_FOLDER:-${TMPDIR:-/tmp}}" "$@"
fi

if [ "${1:-}" = --verify ]; then
    shift
    tools/setup.sh --clients
    ORGTRAIL_BIN=$(tests/flow/build.sh //cli:orgtrail //tests/verify:make_delivered)
    export ORGTRAIL_BIN
    exec python3 -B tests/bench/verify.py --folder "${BENCH_FOLDER:-${TMPDIR:-/tmp}}" "$@"
fi

events=1000000 large=false check=false peers=200000
case "${1:-}" in
    "") ;;
    --large) large=true ;;
    --check) check=true events=200000 peers=50000 ;;
    *) echo "usage: ./dev bench [--large | --agents | --retention | --api | --deliver | --import | --verify | --check]" >&2
        exit 2 ;;
esac

bin=$(tests/flow/build.sh //agent:orgtrail-agent //cli:orgtrail //collector:orgtrail-collector \
    //tests/bench:store_bench //tests/kit:make_traffic)
export ORGTRAIL_BIN=$bin
folder=$(mktemp -d "${BENCH_FOLDER:-${TMPDIR:-/tmp}}/orgtrail-bench.XXXXXX")
trap 'rm -rf "$folder"' EXIT

store() {
    mkdir -p "$folder/store"
    "$bin/tests/bench/store_bench" --events "$1" --dir "$folder/store" --data tests/data 2>"$folder/log" |
        tee "$folder/store-$1" || { tail -n 5 "$folder/log" >&2; exit 1; }
    rm -rf "$folder/store"
}

echo "== machine: $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), load $(cut -d' ' -f1-3 /proc/loadavg)"
echo "== the store alone, $events events"
store "$events"
if $large; then
    echo "== the store alone, 10000000 events"
    store 10000000
fi
echo "== end to end: one agent, one collector, mutual TLS, fsync before every acknowledgement"
for source in directory tail; do
    python3 -B tests/bench/end_to_end.py --events "$events" --source "$source" --folder "$folder" |
        tee "$folder/$source"
done
echo "== today's ways, $peers events: SQLite with the same indexes, gzip -6 of the lines"
python3 -B tests/bench/peers.py --events "$peers" --folder "$folder" | tee "$folder/peers"
if [ -x tests/flow/latency_test.py ] && ! $check; then
    echo "== idle latency: from a line appended to its being found by lookup"
    ORGTRAIL_BIN=$bin python3 -B tests/flow/latency_test.py | grep -iE 'ms' || true
fi

echo
python3 -B tests/bench/table.py "$folder" "$($check && echo check || echo show)"
