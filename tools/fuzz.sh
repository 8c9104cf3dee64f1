#!/usr/bin/env bash
# fuzz.sh: run the fuzz targets with clang's libFuzzer.
#
#   tools/fuzz.sh [SECONDS] [TARGET...]   each target that long (60)
#   tools/fuzz.sh --total SECONDS         all of them together that long, one after the other
#
# Says "fuzz NAME: ok" or "fuzz NAME: FAILED" for each. An input that fails is kept in fuzz-failures/
# with the command that repeats it. New inputs are not added to the corpus: copy what is worth it.
set -uo pipefail
cd "$(dirname "$0")/.."

seconds=60
total=false
if [ "${1:-}" = "--total" ]; then total=true; shift; fi
if [[ "${1:-}" =~ ^[0-9]+$ ]]; then seconds=$1; shift; fi

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(sed -n '/^fuzz_target/,/^)/s/^ *name = "\(.*\)",/\1/p' tests/fuzz/BUILD)
fi
# share INDEX: the seconds of a target. Of a total, whole seconds that add up to it exactly.
share() {
    local count=${#targets[@]}
    if $total; then echo $((seconds * ($1 + 1) / count - seconds * $1 / count)); else echo "$seconds"; fi
}

# A server and an output folder of its own: another compiler would otherwise throw away the state
# of the ordinary build.
base=$(bazel info output_base 2>/dev/null)-fuzz
bazel=(bazel --output_base="$base")
labels=("${targets[@]/#///tests/fuzz:}")
if ! "${bazel[@]}" build --config=fuzz "${labels[@]}" --symlink_prefix=/ 2>"$base.log"; then
    grep -vE '^(INFO|Loading|Analyzing)' "$base.log" | tail -n 60
    "${bazel[@]}" shutdown >/dev/null 2>&1
    exit 1
fi
bin=$("${bazel[@]}" info --config=fuzz bazel-bin 2>/dev/null)
"${bazel[@]}" shutdown >/dev/null 2>&1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run_target() {
    local name=$1 limit=$2 log="$work/$1.log"
    mkdir -p "$work/$name"
    ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1 \
        "$bin/tests/fuzz/$name" "$work/$name" "tests/fuzz/corpus/$name" \
        -max_total_time="$limit" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
        -artifact_prefix="$work/$name." -print_final_stats=1 >"$log" 2>&1
}

failed=0
for index in "${!targets[@]}"; do
    name=${targets[index]} limit=$(share "$index")
    # Without a second of its own (more targets than seconds) a target is left for another time.
    if [ "$limit" -eq 0 ]; then continue; fi
    if run_target "$name" "$limit"; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
        echo "fuzz $name: ok, ${runs:-0} inputs in $limit s"
        continue
    fi
    failed=1
    echo "fuzz $name: FAILED"
    grep -E 'ERROR|Assertion|runtime error|SUMMARY|^    #[0-9] ' "$work/$name.log" | head -n 20
    mkdir -p fuzz-failures
    for input in "$work/$name".*-*; do
        [ -f "$input" ] || continue
        cp "$input" fuzz-failures/
        echo "  repeat: $bin/tests/fuzz/$name fuzz-failures/$(basename "$input")"
    done
done
exit "$failed"
