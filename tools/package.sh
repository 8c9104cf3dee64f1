#!/usr/bin/env bash
# package.sh: make the Debian packages of the programs.
#
#   ./dev package [FOLDER]     into FOLDER (dist)
#
# FOLDER then holds orgtrail-collector, orgtrail-agent and orgtrail, and beside them libyyjson0 of
# Debian 13, which Debian 12 lacks: "apt install ./*.deb" there needs no other source. The same commit
# gives the same bytes. PACKAGE_VERSION is another version than the programs' own, for tests of upgrades.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(realpath -m "${1:-dist}")
version=${PACKAGE_VERSION:-$(sed -n 's/^#define VERSION_TEXT "\(.*\)"$/\1/p' base/version.h)}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C.UTF-8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source="$work/source"
mkdir -p "$source/stage" "$out"

bin=$(tests/flow/build.sh //cli:orgtrail //agent:orgtrail-agent //collector:orgtrail-collector)
cp -r packaging/debian "$source/debian"
install -m 755 "$bin/cli/orgtrail" "$bin/agent/orgtrail-agent" "$bin/collector/orgtrail-collector" \
    "$source/stage"
python3 -B packaging/pages.py "$source/stage" "$source/stage"
cp -R packaging/prometheus "$source/stage/"
cat >"$source/debian/changelog" <<CHANGES
orgtrail ($version) unstable; urgency=medium

  * Built from the sources, whose CHANGELOG.md says what is new.

 -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(date -R -d "@$SOURCE_DATE_EPOCH")
CHANGES

if ! (cd "$source" && debian/rules binary) >"$work/log" 2>&1; then
    tail -n 40 "$work/log" >&2
    exit 1
fi
for package in "$work"/*.deb .cache/packages/*.deb; do
    [ -f "$package" ] || continue
    cp "$package" "$out/"
    echo "$out/$(basename "$package")"
done
