#!/bin/sh
# Tests the room with IRC clients of others: `irc.sh deps` installs these below target/irc and as packages
# of Debian, `irc.sh` also runs the tests.
set -eu
cd "$(dirname "$0")/.."

irc_python=20.5.0
irc_framework=4.14.0
irc_rust=1.1.0

name=irc
cargo=${CARGO:-cargo}
tools=$PWD/target/irc

. tests/debian.sh

# Prints the packages of Debian whose commands or files are missing.
missing() {
    without_command <<LIST
irssi irssi
weechat-headless weechat-headless
hexchat hexchat
xvfb Xvfb
netcat-openbsd nc
nodejs node
npm npm
LIST
    # Plugins are in packages of their own, as are these modules of Python.
    find /usr/lib -path '*/weechat/plugins/fifo.so' 2>/dev/null | grep -q . || echo weechat-plugins
    find /usr/lib -path '*/hexchat/plugins/python.so' 2>/dev/null | grep -q . || echo hexchat-python3
    python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
}

deps() {
    install_missing
    mkdir -p "$tools/bot"
    [ -x "$tools/bin/python" ] || python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "irc==$irc_python" ||
        fail 'no irc from PyPI'
    npm install --silent --no-save --no-audit --no-fund --prefix "$tools" \
        "irc-framework@$irc_framework" || fail 'no irc-framework from npm'
    # A package of its own, so that its crates are none of smolchat's.
    cat >"$tools/bot/Cargo.toml" <<MANIFEST
[package]
name = "bot"
version = "0.0.0"
edition = "2024"
publish = false

[[bin]]
name = "bot"
path = "$PWD/tests/irc/bot.rs"

[dependencies]
futures = "0.3"
irc = { version = "=$irc_rust", default-features = false, features = ["channel-lists", "ctcp"] }
tokio = { version = "1", features = ["io-std", "io-util", "macros", "rt"] }

[workspace]
MANIFEST
    $cargo build --quiet --manifest-path "$tools/bot/Cargo.toml" --target-dir "$tools/bot/target" ||
        fail 'no irc from crates.io'
}

deps
[ "${1-}" != deps ] || exit 0
# Most of the time is spent in waiting.
$cargo test --locked --test it -- --ignored --test-threads 8 irc_clients::
