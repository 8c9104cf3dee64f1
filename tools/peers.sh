#!/usr/bin/env bash
# peers.sh: install what ./dev bench --api measures beside the API, at the versions written in
# tests/bench/requirements.txt, into .cache/peers. Quick when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=.cache/peers
wanted=$(cat tests/bench/requirements.txt "$0" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$folder/installed" 2>/dev/null)" = "$wanted" ]; then exit 0; fi

echo "setup: installing the peers of tests/bench" >&2
rm -rf "$folder"
mkdir -p "$folder"
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps -r tests/bench/requirements.txt
echo "$wanted" >"$folder/installed"
