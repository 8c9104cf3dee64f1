#!/usr/bin/env bash
# bare.sh: show that a machine with nothing installed can run the project.
#
#   tools/bare.sh [FOLDER] [COMMAND ...]     (as root)
#
# Makes a bare Debian 12 in FOLDER with debootstrap (default: a temporary one, removed at the end),
# puts a clone of the present commit into it and nothing else but what its network needs (resolver,
# trusted authorities), and runs each command there; without commands "./dev demo" and "./dev test".
# The root has mount and process namespaces of its own, so that nothing it mounts or starts is left
# behind. Prints the last lines of each and how it ended.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then echo "bare.sh: debootstrap and chroot need root" >&2; exit 1; fi
command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap >/dev/null

folder=${1:-}
[ $# -gt 0 ] && shift
if [ -z "$folder" ]; then
    folder=$(mktemp -d "${TMPDIR:-/var/tmp}/orgtrail-bare.XXXXXX")
    chmod 755 "$folder"  # its root: other users go through it too
    # Cut short, debootstrap leaves this machine's /proc mounted in there.
    trap 'rm -rf --one-file-system "$folder"' EXIT
fi
[ $# -gt 0 ] || set -- "./dev demo" "./dev test"

if [ ! -e "$folder/etc/debian_version" ]; then
    echo "== debootstrap into $folder"
    debootstrap --variant=minbase bookworm "$folder" "$(tools/mirror.sh)" >"$folder.log" 2>&1 ||
        { tail -n 20 "$folder.log" >&2; exit 1; }
    rm -f "$folder.log"
fi
cp /etc/resolv.conf "$folder/etc/resolv.conf"
echo "127.0.0.1 localhost" >"$folder/etc/hosts"  # what every installer writes
cp /etc/ssl/certs/ca-certificates.crt "$folder/etc/authorities.pem"
rm -rf "$folder/orgtrail"
git clone -q . "$folder/orgtrail"

failed=0
for command in "$@"; do
    began=$SECONDS
    echo "== in the bare root: $command"
    # A new process namespace ends with its first process: a Bazel server left running goes too.
    if unshare --mount --pid --fork --kill-child /bin/bash -c '
        mount --make-rprivate /
        mount -t proc proc "$1/proc"
        mount -t sysfs sysfs "$1/sys"
        mount --rbind /dev "$1/dev"
        mount -t tmpfs tmpfs "$1/dev/shm"
        exec chroot "$1" /usr/bin/env -i HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            PIP_CERT=/etc/authorities.pem NODE_EXTRA_CA_CERTS=/etc/authorities.pem \
            /bin/bash -c "cd /orgtrail && $2"
    ' bare "$folder" "$command" >"$folder/output" 2>&1; then
        verdict="ended well"
    else
        verdict="FAILED"
        failed=1
    fi
    tail -n 25 "$folder/output"
    echo "== $command $verdict after $((SECONDS - began)) s"
done
exit "$failed"
