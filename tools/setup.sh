#!/usr/bin/env bash
# setup.sh: install the Debian packages that the build and the tests need, and nothing else; with
# --packaging also what ./dev package needs: tools, and libyyjson0 to go along with the packages; with
# --clients also what tests/api drives: Debian's aws CLI, and others from PyPI and npm (clients.sh).
# Quiet and quick when nothing is missing. yyjson is not in Debian 12: that one library comes from
# trixie, pinned so that no other package can. Of Debian's prometheus only the two programs are taken,
# into a folder of our own: the package would start a service on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
    bazel-bootstrap bazel-platforms bazel-skylib bazel-rules-java build-essential python3 git
    libgrpc-dev libprotobuf-c-dev protobuf-c-compiler libssl-dev liblmdb-dev libcmocka-dev
    zlib1g-dev libzstd-dev libdeflate-dev libisal-dev libcyaml-dev libyaml-dev libmicrohttpd-dev libgnutls28-dev
    libxxhash-dev
    libcurl4-openssl-dev libexpat1-dev
    clang clang-format lld libclang-rt-14-dev
    ca-certificates curl openssl procps
)
packaging=false
clients=false
watchers=/usr/local/lib/orgtrail/prometheus
kept=.cache/packages  # libyyjson0 as Debian made it
if [ "${1:-}" = --packaging ]; then
    packaging=true
    packages+=(debhelper scdoc)
fi
if [ "${1:-}" = --clients ]; then
    clients=true
    packages+=(awscli)
    # Whoever has them from elsewhere keeps them.
    python3 -m venv --help >/dev/null 2>&1 && python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
    command -v npm >/dev/null || packages+=(nodejs npm)
fi
has_kept() {
    ! $packaging || compgen -G "$kept/libyyjson0_*.deb" >/dev/null
}

has_watchers() {
    [ -x "$watchers/promtool" ] || { command -v prometheus && command -v promtool; } >/dev/null
}

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing+=("$package")
done
yyjson=$(dpkg-query -W -f '${Status}' libyyjson-dev 2>/dev/null || true)
if [ ${#missing[@]} -eq 0 ] && [ "$yyjson" = "install ok installed" ] && has_kept && has_watchers; then
    if $clients; then exec tools/clients.sh; fi
    exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
    echo "setup: packages are missing and installing needs root: ${missing[*]} libyyjson-dev" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

mirror=$(tools/mirror.sh)

if [ "$yyjson" != "install ok installed" ] && ! grep -qs '^VERSION_CODENAME=trixie' /etc/os-release; then
    cat >/etc/apt/preferences.d/orgtrail-yyjson <<'PIN'
Package: *
Pin: release n=trixie
Pin-Priority: -10

Package: libyyjson0 libyyjson-dev
Pin: release n=trixie
Pin-Priority: 500
PIN
    cat >/etc/apt/sources.list.d/orgtrail-yyjson.sources <<SOURCE
Types: deb
URIs: $mirror
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCE
fi

echo "setup: installing ${missing[*]} libyyjson-dev" >&2
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" libyyjson-dev >/dev/null
if ! has_kept; then
    mkdir -p "$kept"
    (cd "$kept" && apt-get download -qq -o APT::Sandbox::User=root libyyjson0)
fi
if ! has_watchers; then
    folder=$(mktemp -d)
    names=(prometheus)
    # Debian 13 has promtool in a package of its own. On 12 the pin keeps that one from being chosen.
    if apt-cache policy promtool | grep -q 'Candidate: [^(]'; then names+=(promtool); fi
    (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root "${names[@]}" &&
        for file in *.deb; do dpkg-deb -x "$file" .; done)
    install -D -t "$watchers" "$folder/usr/bin/prometheus" "$folder/usr/bin/promtool"
    rm -rf "$folder"
fi
if $clients; then exec tools/clients.sh; fi
