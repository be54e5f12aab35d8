#!/bin/sh
# Tests TLS with programs of others: `tls.sh deps` installs these below target/tls and as packages of
# Debian, `tls.sh` also runs the tests.
set -eu
cd "$(dirname "$0")/.."

sslyze=6.3.1

name=tls
cargo=${CARGO:-cargo}
tools=$PWD/target/tls

. tests/debian.sh

# Prints the packages of Debian whose commands are missing.
missing() {
    without_command <<LIST
openssl openssl
ncat ncat
gnutls-bin gnutls-cli
curl curl
testssl.sh testssl
chromium-headless-shell chromium-headless-shell
irssi irssi
weechat-headless weechat-headless
LIST
    # Plugins are in a package of their own, as are these modules of Python.
    find /usr/lib -path '*/weechat/plugins/fifo.so' 2>/dev/null | grep -q . || echo weechat-plugins
    python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
}

deps() {
    install_missing
    [ -x "$tools/bin/python" ] || python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "sslyze==$sslyze" ||
        fail 'no sslyze from PyPI'
}

deps
[ "${1-}" != deps ] || exit 0
# Most of the time is spent in waiting.
$cargo test --locked --features 'irc tls web' --test it -- --ignored --test-threads 8 tls_programs::
