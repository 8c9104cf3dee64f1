#!/usr/bin/env bash
# clients.sh: install the clients that tests/api drives, at the versions written there, into
# .cache/clients. Quick when nothing has changed. tools/setup.sh --clients calls it.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=.cache/clients
wanted=$(cat tests/api/requirements.txt tests/api/package-lock.json "$0" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$folder/installed" 2>/dev/null)" = "$wanted" ]; then exit 0; fi

echo "setup: installing the clients of tests/api" >&2
rm -rf "$folder"
mkdir -p "$folder/node"
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check --no-deps -r tests/api/requirements.txt
cp tests/api/package.json tests/api/package-lock.json "$folder/node"
(cd "$folder/node" && npm ci --silent --no-audit --no-fund --ignore-scripts)
echo "$wanted" >"$folder/installed"
