#!/bin/sh
# Tests several servers with one room on NATS servers, and the page in Chromium: `cluster.sh deps`
# installs these as packages of Debian, `cluster.sh` also runs the tests. NATS_SERVER is the path of
# another nats-server.
set -eu
cd "$(dirname "$0")/.."

name=cluster
cargo=${CARGO:-cargo}

. tests/debian.sh

# Prints the packages of Debian whose commands are missing.
missing() {
    without_command <<LIST
chromium-headless-shell chromium-headless-shell
nats-server nats-server
openssl openssl
LIST
}

install_missing
[ "${1-}" != deps ] || exit 0
skip=
# A container mostly may not mount.
folder=$(mktemp -d)
if mount -t tmpfs none "$folder" 2>/dev/null; then
    umount "$folder"
else
    skip='--skip room_survives_a_disk_without_space'
    echo "$name: NOT TESTED, because no file system can be mounted here: a disk without space" >&2
fi
rmdir "$folder"
# Most of the time is spent in waiting for elections.
# shellcheck disable=SC2086 # Splits the option.
$cargo test --locked --features cluster --test it -- --ignored --test-threads 6 $skip cluster::
