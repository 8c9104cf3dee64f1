#!/usr/bin/env bash
# demo.sh: build orgtrail and run an organization of agents on the bundled real records.
#
#   ./dev demo           builds, runs, prints what happened; leaves nothing behind
#   ./dev demo --keep    keeps the folder, to look around in
#
# Ends with 0 only if every record is accounted for and the export equals the source byte for byte.
set -euo pipefail
cd "$(dirname "$0")/../.."

case "${1:-}" in
    "" | --keep) ;;
    *) echo "usage: ./dev demo [--keep]" >&2; exit 2 ;;
esac
echo "Building (the first time takes a few minutes) ..."
began=$(date +%s)
ORGTRAIL_BIN=$(tests/flow/build.sh //cli:orgtrail //agent:orgtrail-agent //collector:orgtrail-collector)
export ORGTRAIL_BIN
# Bazel leaves a server running. One that was there before goes on, ours ends.
server=$(bazel info server_pid 2>/dev/null || true)
if [ -n "$server" ] && [ "$(stat -c %Y "/proc/$server" 2>/dev/null || echo 0)" -ge "$began" ]; then
    bazel shutdown >/dev/null 2>&1 || true
fi
exec python3 -B tests/demo/demo.py "$@"
