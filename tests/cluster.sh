#!/bin/sh
# Tests several servers with one room on NATS servers: `cluster.sh deps` installs nats-server as a
# package of Debian, `cluster.sh` also runs the tests.
set -eu
cd "$(dirname "$0")/.."

name=cluster
cargo=${CARGO:-cargo}

. tests/debian.sh

# Prints the packages of Debian whose commands are missing.
missing() {
    without_command <<LIST
nats-server nats-server
openssl openssl
LIST
}

install_missing
[ "${1-}" != deps ] || exit 0
# Most of the time is spent in waiting for elections.
$cargo test --locked --features cluster --test it -- --ignored --test-threads 3 cluster::
