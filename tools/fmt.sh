#!/usr/bin/env bash
# fmt.sh: format all C with .clang-format. What tests/tidy finds beyond that needs a person.
set -euo pipefail
cd "$(dirname "$0")/.."

git ls-files -z --cached --others --exclude-standard '*.c' '*.h' | xargs -0 -r clang-format -i
git diff --stat
