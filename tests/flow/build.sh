#!/usr/bin/env bash
# build.sh: build programs optimised, and print the folder they are in.
#
#   tests/flow/build.sh //cli:orgtrail ...
set -euo pipefail
cd "$(dirname "$0")/../.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! bazel build --config=opt "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "build.sh: the build of $* failed" >&2
    exit 1
fi
bazel info --config=opt bazel-bin 2>/dev/null
