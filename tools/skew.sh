#!/usr/bin/env bash
# skew.sh: builds the programs of an earlier commit beside today's and lets them work together.
#
#   tools/skew.sh [COMMIT]    default: the last tag, or 20 commits back where there is none
#
# It needs the clone's history. A part of ./dev test --long.
set -euo pipefail
cd "$(dirname "$0")/.."

commit=${1:-$(git describe --tags --abbrev=0 2>/dev/null || git rev-parse HEAD~20)}
targets=(//agent:orgtrail-agent //cli:orgtrail //collector:orgtrail-collector)

folder=$(mktemp -d "${TMPDIR:-/tmp}/orgtrail-skew.XXXXXX")
finish() {
    # Bazel's server for the other tree goes with it.
    if [ -d "$folder/tree" ]; then (cd "$folder/tree" && bazel shutdown >/dev/null 2>&1) || true; fi
    git worktree remove --force "$folder/tree" 2>/dev/null || true
    chmod -R u+w "$folder" && rm -rf "$folder"
}
trap finish EXIT

git worktree add --quiet --detach "$folder/tree" "$commit"
echo "== building $(git log -1 --format='%h %s' "$commit")"
(cd "$folder/tree" && bazel --output_user_root="$folder/bazel" build --config=opt "${targets[@]}" >"$folder/log" 2>&1) ||
    { tail -n 40 "$folder/log" >&2; exit 1; }
mkdir -p "$folder/earlier"
for room in agent cli collector; do
    mkdir -p "$folder/earlier/$room"
    find "$folder/tree/bazel-bin/$room/" -maxdepth 1 -type f -name 'orgtrail*' -perm -u+x \
        -exec cp {} "$folder/earlier/$room/" \;
done
(cd "$folder/tree" && bazel --output_user_root="$folder/bazel" shutdown >/dev/null 2>&1) || true

ORGTRAIL_BIN=$(tests/flow/build.sh "${targets[@]}") EARLIER_BIN=$folder/earlier \
    python3 -B tests/skew/earlier.py
