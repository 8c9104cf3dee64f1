#!/usr/bin/env bash
# earlier.sh: run a command in the tree of an earlier commit, which is made for it and goes with it.
#
#   tools/earlier.sh COMMIT COMMAND ARGUMENTS...
#
# COMMIT "wire" is the last one that speaks the wire before today's: the parent of the last commit that
# changed proto/orgtrail.proto. It needs the clone's history. Bazel builds there from the beginning.
set -euo pipefail
cd "$(dirname "$0")/.."

commit=$1
shift
if [ "$commit" = wire ]; then
    changed=$(git log -1 --format=%H -- proto/orgtrail.proto)
    commit=$changed^
fi
if ! commit=$(git rev-parse --verify --quiet "$commit^{commit}"); then
    echo "earlier.sh: the clone lacks the commit before the wire's last change: git fetch --unshallow" >&2
    exit 1
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/orgtrail-earlier.XXXXXX")
finish() {
    # Bazel's server for the other tree, and all that it built, go with it.
    if [ -d "$folder/tree" ]; then (cd "$folder/tree" && bazel clean --expunge >/dev/null 2>&1) || true; fi
    git worktree remove --force "$folder/tree" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT

git worktree add --quiet --detach "$folder/tree" "$commit"
echo "== in the tree of $(git log -1 --format='%h %s' "$commit")" >&2
cd "$folder/tree"
"$@"
