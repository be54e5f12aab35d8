#!/bin/sh
# Tests several servers with one room on NATS servers: `cluster.sh deps` installs nats-server as a
# package of Debian, `cluster.sh` also runs the tests.
set -eu
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}

fail() {
    echo "cluster: $*" >&2
    exit 1
}

# Prints the packages of Debian whose commands are missing.
missing() {
    for command in nats-server openssl; do
        command -v "$command" >/dev/null || echo "$command"
    done
}

deps() {
    packages=$(missing)
    if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        # shellcheck disable=SC2086 # Splits the packages.
        apt-get install -y --no-install-recommends $packages ||
            { apt-get update && apt-get install -y --no-install-recommends $packages; } || true
        packages=$(missing)
    fi
    # shellcheck disable=SC2086
    [ -z "$packages" ] || fail "missing, and not installable here:" $packages
}

deps
[ "${1-}" != deps ] || exit 0
# Most of the time is spent in waiting for elections.
$cargo test --locked --features cluster --test it -- --ignored --test-threads 3 cluster::
