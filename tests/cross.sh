#!/bin/sh
# Runs the integration tests against the static servers of `make dist`, and builds missing ones.
# Servers for another machine run under qemu-user. The clients are those of this machine.
#
#   cross.sh [TARGET]...    default: all targets
set -eu
cd "$(dirname "$0")/.."

# Modules of tests/it. Left out are tests of processor time, threads, descriptors and memory, which
# would measure qemu, and two that need a fast server, with limits of 20 and 40 ms.
modules='client history lab_faults large_numbers order protocol resets resume resume_client stats'
skips='received_lines_survive_a_hundred_kills reset_within_hello'

fail() {
    echo "cross: $*" >&2
    exit 1
}

# Runs a conversation between two clients and nc.
run_conversation() {
    dir=$(mktemp -d)
    server=
    trap 'kill $server 2>/dev/null; rm -rf "$dir"' EXIT
    mkfifo "$dir/alice" "$dir/bob" "$dir/server.out"
    "$SMOLCHATD" --listen 127.0.0.1:0 >"$dir/server.out" &
    server=$!
    read -r _ _ address <"$dir/server.out"
    start_client "$1" alice
    exec 3>"$dir/alice"
    wait_for alice 'welcome, alice'
    start_client "$1" bob
    exec 4>"$dir/bob"
    wait_for alice 'bob joined'
    wait_for bob 'bob joined'
    echo 'hello everybody' >&3
    wait_for bob 'alice  hello everybody'
    printf '%s\n' 'hi alice' '/me waves' '/msg alice psst' >&4
    wait_for alice 'bob  hi alice'
    wait_for alice '\* bob waves'
    wait_for alice '\[bob > alice\]  psst'
    echo '/who' >&3
    wait_for alice '2 here: alice and bob'
    exec 4>&-
    wait_for alice 'bob left'
    printf 'hello\n' | nc -N "${address%:*}" "${address##*:}" >"$dir/nc.out"
    for kind in welcome join chat bye; do
        grep -q "\"kind\":\"$kind\"" "$dir/nc.out" || fail "nc received no $kind"
    done
    wait_for alice 'guest-[0-9]*  hello'
    exec 3>&-
    kill "$server"
    wait "$server" || fail 'the server ended with an error'
    rm -rf "$dir"
    trap - EXIT
}

# Starts a client whose input is a named pipe.
start_client() {
    XDG_CONFIG_HOME=/nonexistent "$1" "$address" --name "$2" <"$dir/$2" >"$dir/$2.out" &
}

# Waits for a line in the output of a client.
wait_for() {
    for _ in $(seq 150); do
        ! grep -q -- "$2" "$dir/$1.out" || return 0
        sleep 0.1
    done
    fail "$1 received no '$2' but: $(cat "$dir/$1.out")"
}

# shellcheck disable=SC2046 # Splits the list of targets.
[ $# -gt 0 ] || set -- $(deploy/dist.sh targets)
for target in "$@"; do
    [ -x "target/dist/$target/smolchatd" ] || deploy/dist.sh build "$target"
    SMOLCHATD=$PWD/target/dist/$target/smolchatd
    if [ "$target" != "$(uname -m)" ]; then
        case $target in
        arm*) qemu="qemu-arm-static" ;;
        riscv64gc) qemu="qemu-riscv64-static" ;;
        *) qemu="qemu-$target-static" ;;
        esac
        command -v "$qemu" >/dev/null || fail "$qemu is missing (make dist-deps)"
        printf '#!/bin/sh\nexec %s %s "$@"\n' "$qemu" "$SMOLCHATD" >"$SMOLCHATD.qemu"
        SMOLCHATD=$SMOLCHATD.qemu
        chmod +x "$SMOLCHATD"
    fi
    export SMOLCHATD
    echo "cross: $target, $("$SMOLCHATD" --version)"
    # shellcheck disable=SC2086 # Splits the lists.
    filters="$(printf '%s:: ' $modules)$(printf -- '--skip %s ' $skips)"
    # shellcheck disable=SC2086
    ${CARGO:-cargo} test --locked --test it -- $filters
    run_conversation "${CARGO_TARGET_DIR:-target}/debug/smolchat"
    echo "cross: $target passed"
done
