#!/usr/bin/env bash
# test.sh: the gate. Runs all stages, prints the time of each, and ends in "N passed, N failed".
#
#   ./dev test         what every change must pass; about 15 minutes on 2 cores
#   ./dev test --long  20 kills, 2,000 seeds, long fuzzing, a restore drill of 50,000 events, 50 kills of
#                      deliveries, an agent with 1 GB of backlog, a thousand agents over 10 M events, programs
#                      of an earlier commit, packages on bare machines (root), the benchmarks check themselves
#
# A stage that fails does not stop the next one: the count at the end is of everything.
set -uo pipefail
cd "$(dirname "$0")/.."

long=false
case "${1:-}" in
    "") ;;
    --long) long=true ;;
    *) echo "usage: ./dev test [--long]" >&2; echo "0 passed, 1 failed"; exit 2 ;;
esac
if $long; then seeds=2000 kills=20 fuzz_seconds=600; else seeds=200 kills=3 fuzz_seconds=30; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
table=""

# Adds a stage's outcome to the table printed at the end.
finish_stage() {
    local name=$1 began=$2 good=$3 bad=$4 skipped=${5:-0}
    local line
    line=$(printf '%-34s %5d s  %6d passed  %4d failed' "$name" $((SECONDS - began)) "$good" "$bad")
    if [ "$skipped" -gt 0 ]; then line+=$(printf '  %4d skipped' "$skipped"); fi
    passed=$((passed + good))
    failed=$((failed + bad))
    table+="$line"$'\n'
    echo "== $line"
}

# bazel_stage NAME ARGUMENTS...: one `bazel test`, its cases counted.
bazel_stage() {
    local name=$1 began=$SECONDS code=0
    shift
    echo "== $name"
    bazel test --keep_going --test_output=summary --test_summary=none \
        --build_event_json_file="$work/events" "$@" >"$work/log" 2>&1 || code=$?
    grep -E '^(ERROR|WARNING: .*error)|error:|undefined reference' "$work/log" | head -n 40
    python3 tools/results.py "$work/events" "$code" >"$work/results"
    sed '$d' "$work/results"
    read -r good bad skipped <<<"$(tail -n 1 "$work/results")"
    # Nothing at all was said: the build broke before it began.
    if [ "$code" -ne 0 ] && [ "${bad:-0}" -eq 0 ]; then bad=1; tail -n 40 "$work/log"; fi
    finish_stage "$name" "$began" "${good:-0}" "${bad:-1}" "${skipped:-0}"
    rm -f "$work/events"
}

# command_stage NAME COMMAND...: one command that is one case.
command_stage() {
    local name=$1 began=$SECONDS
    shift
    echo "== $name"
    if "$@" >"$work/log" 2>&1; then
        tail -n 3 "$work/log"
        finish_stage "$name" "$began" 1 0
    else
        tail -n 80 "$work/log"
        finish_stage "$name" "$began" 0 1
    fi
}

# fuzz_stage: tools/fuzz.sh prints one line "fuzz NAME: ok" or "fuzz NAME: FAILED" a target.
fuzz_stage() {
    local began=$SECONDS good bad
    echo "== fuzzing, $fuzz_seconds s in all"
    tools/fuzz.sh --total "$fuzz_seconds" >"$work/log" 2>&1
    local code=$?
    good=$(grep -cE '^fuzz [a-z_]+: ok' "$work/log")
    bad=$(grep -cE '^fuzz [a-z_]+: FAILED' "$work/log")
    if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    if [ "$bad" -gt 0 ]; then tail -n 80 "$work/log"; fi
    finish_stage "fuzzing" "$began" "$good" "$bad"
}

has() {
    bazel query "$1" >/dev/null 2>&1
}

rooms=()
for room in base event proto storage query agent collector cli tests/kit tests/fuzz tests/sim; do
    if [ -f "$room/BUILD" ]; then rooms+=("//$room/..."); fi
done

# Tests of real processes mostly wait, for intervals and disks: they use a quarter of a core each.
together=$((2 * $(nproc)))
bazel_stage "default build, all tests" --jobs="$together" --local_test_jobs="$together" //...
# Some warnings come with optimization only, and warnings are errors.
command_stage "release build, everything" bazel build --config=opt //...
# And the collector under what no client sends: whatever leaks is told when it ends.
bazel_stage "asan and ubsan, unit tests" --config=asan "${rooms[@]}" //tests/api:bad_input_test
bazel_stage "tsan, threads" --config=tsan //base/rpc/... //base:queue_test \
    //base:http_tls_test //collector/append:append_test //collector/api/... //tests/api:bad_input_test
if has //tests/sim:sim; then
    command_stage "simulator, $seeds seeds" bazel run --config=opt //tests/sim:sim -- --seeds="$seeds"
fi
fuzz_stage
if [ -x tests/flow/kill.py ]; then
    command_stage "$kills kills, real processes" tests/flow/kill.py --kills "$kills" --events 200000
fi
if $long; then
    bazel_stage "restore drill, 50,000 events" --test_env=ORGTRAIL_LONG=1 --test_timeout=1800 \
        //tests/flow:recovery_test
    bazel_stage "50 kills of deliveries, and at each request to S3" --test_env=ORGTRAIL_LONG=1 --test_timeout=1800 \
        //tests/deliver:delivery_test //tests/deliver:s3_test
    bazel_stage "an agent's memory, 1 GB of backlog" --test_env=BACKLOG_MB=1000 --test_timeout=3600 \
        //tests/flow:memory_test
    command_stage "programs of an earlier commit" tools/skew.sh
    tools/setup.sh --packaging
    command_stage "packages on bare machines" tests/package/package_test.py
fi
if $long && [ -x tests/bench/bench.sh ]; then
    command_stage "a thousand agents, memory and return" tests/bench/bench.sh --agents --check
    command_stage "a day goes: delays and size" tests/bench/bench.sh --retention --check
    command_stage "benchmarks check themselves" tests/bench/bench.sh --check
fi

echo
echo "$table"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
