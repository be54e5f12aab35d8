#!/bin/sh
# Tests the page in Chromium and Firefox, and WebSocket with programs of others: `web.sh deps` installs
# these below target/web and as packages of Debian, `web.sh` also runs the tests.
set -eu
cd "$(dirname "$0")/.."

axe=4.14.1
typescript=7.0.2
kosoku=0.1.0
websockets=17.4

cargo=${CARGO:-cargo}
tools=$PWD/target/web

fail() {
    echo "web: $*" >&2
    exit 1
}

# Prints the packages of Debian whose commands are missing.
missing() {
    while read -r package command; do
        command -v "$command" >/dev/null || echo "$package"
    done <<LIST
chromium-headless-shell chromium-headless-shell
firefox-esr firefox-esr
nodejs node
npm npm
LIST
    # In Debian, these modules are in a package of their own.
    python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
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
    mkdir -p "$tools"
    [ -x "$tools/bin/python" ] || python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check \
        "kosoku==$kosoku" "websockets==$websockets" || fail 'no kosoku or websockets from PyPI'
    npm install --silent --no-save --no-audit --no-fund --prefix "$tools" \
        "axe-core@$axe" "typescript@$typescript" || fail 'no axe-core or typescript from npm'
}

deps
[ "${1-}" != deps ] || exit 0
"$tools/node_modules/.bin/tsc" --project src/server/edge/web/page
echo 'web: the types of the page are right'
$cargo build --locked --example ws_echo
# Most of the time is spent in waiting.
$cargo test --locked --test it -- --ignored --test-threads 4 browser::
