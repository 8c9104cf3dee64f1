#!/usr/bin/env bash
# skew.sh: lets the programs of an earlier commit work together with today's.
#
#   tools/skew.sh [COMMIT]    default: the last commit that speaks the wire before today's
#
# It needs the clone's history. A part of ./dev test --long. The default gate has the same wire as a
# copy, tests/skew/previous.proto, and stand-ins that speak it; that it is that commit's is seen here.
set -euo pipefail
cd "$(dirname "$0")/.."

commit=${1:-wire}
targets=(//agent:orgtrail-agent //cli:orgtrail //collector:orgtrail-collector)
folder=$(mktemp -d "${TMPDIR:-/tmp}/orgtrail-skew.XXXXXX")
trap 'rm -rf "$folder"' EXIT

# shellcheck disable=SC2016
tools/earlier.sh "$commit" bash -euc '
    out=$1
    shift
    cp proto/orgtrail.proto "$out"
    bin=$(tests/flow/build.sh "$@")
    for room in agent cli collector; do
        mkdir "$out/$room"
        find "$bin/$room/" -maxdepth 1 -type f -name "orgtrail*" -perm -u+x -exec cp {} "$out/$room/" \;
    done
' build "$folder" "${targets[@]}"

ORGTRAIL_BIN=$(tests/flow/build.sh "${targets[@]}") EARLIER_BIN=$folder IS_WIRE=$([ "$commit" = wire ] && echo 1) \
    python3 -B tests/skew/earlier.py
