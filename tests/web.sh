#!/bin/sh
# Tests the page in Chromium and Firefox, and WebSocket with programs of others: `web.sh deps` installs
# these below target/web and as packages of Debian, `web.sh` also runs the tests.
set -eu
cd "$(dirname "$0")/.."

axe=4.14.1
typescript=7.0.2
kosoku=0.1.0
websockets=17.4

name=web
cargo=${CARGO:-cargo}
tools=$PWD/target/web

. tests/debian.sh

# Prints the packages of Debian whose commands are missing.
missing() {
    without_command <<LIST
chromium-headless-shell chromium-headless-shell
firefox-esr firefox-esr
nodejs node
npm npm
LIST
    # In Debian, these modules are in a package of their own.
    python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
}

deps() {
    install_missing
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
