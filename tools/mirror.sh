#!/usr/bin/env bash
# mirror.sh: print the Debian mirror this machine already uses, from either form of apt's source list.
set -uo pipefail

mirror=$(
    cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        sed -n -e 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p' \
            -e 's/^deb[[:space:]]\+\(\[[^]]*\][[:space:]]*\)\?\([^[:space:]]*\).*/\2/p' |
        grep '/debian/*$' | head -n 1
)
if [ -z "$mirror" ]; then
    echo "mirror.sh: no Debian mirror in /etc/apt/sources.list or sources.list.d" >&2
    exit 1
fi
echo "$mirror"
