#!/bin/sh
# Runs the end-to-end tests against the servers that `make dist` built, and builds those that are
# not there: under qemu-user where they are for another machine. The clients are this machine's.
#
#   cross.sh [TARGET]...    all targets where not said otherwise
set -eu
cd "$(dirname "$0")/.."

# Left out are the tests of processor time, threads, descriptors and memory, which would measure
# qemu, and those that want it to be quick: much said within 40 ms, or a hello read within 20.
suites='client cross history lab_faults order protocol resets resume resume_client stats'
skips='an_accept_that_failed_is_not_taken_for_a_client
    what_anybody_was_shown_survives_a_hundred_kills within_hello'

fail() {
    echo "cross: $*" >&2
    exit 1
}

# The conversation of the README, between two clients and nc.
converse() {
    scratch=$(mktemp -d)
    server=
    trap 'kill $server 2>/dev/null; rm -rf "$scratch"' EXIT
    mkfifo "$scratch/alice" "$scratch/bob" "$scratch/listening"
    "$SMOLCHATD" --listen 127.0.0.1:0 >"$scratch/listening" &
    server=$!
    read -r _ _ address <"$scratch/listening"
    enter "$1" alice
    exec 3>"$scratch/alice"
    heard alice 'welcome, alice'
    enter "$1" bob
    exec 4>"$scratch/bob"
    heard alice 'bob joined'
    heard bob 'bob joined'
    echo 'hello everybody' >&3
    heard bob 'alice  hello everybody'
    printf '%s\n' 'hi alice' '/me waves' '/msg alice psst' >&4
    heard alice 'bob  hi alice'
    heard alice '\* bob waves'
    heard alice '\[bob > alice\]  psst'
    echo '/who' >&3
    heard alice '2 here: alice and bob'
    exec 4>&-
    heard alice 'bob left'
    printf 'hello\n' | nc -N "${address%:*}" "${address##*:}" >"$scratch/nc.out"
    for kind in welcome join chat bye; do
        grep -q "\"kind\":\"$kind\"" "$scratch/nc.out" || fail "nc was sent no $kind"
    done
    heard alice 'guest-[0-9]*  hello'
    exec 3>&-
    kill "$server"
    wait "$server" || fail 'the server did not end in good order'
    rm -rf "$scratch"
    trap - EXIT
}

# Starts a client, which says what is written to its pipe.
enter() {
    XDG_CONFIG_HOME=/nonexistent "$1" "$address" --name "$2" <"$scratch/$2" >"$scratch/$2.out" &
}

# Waits for a line in the output of a client.
heard() {
    for _ in $(seq 150); do
        ! grep -q -- "$2" "$scratch/$1.out" || return 0
        sleep 0.1
    done
    fail "$1 has not heard '$2' but: $(cat "$scratch/$1.out")"
}

# shellcheck disable=SC2046 # They are several words.
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
        # To the tests it is one program.
        printf '#!/bin/sh\nexec %s %s "$@"\n' "$qemu" "$SMOLCHATD" >"$SMOLCHATD.qemu"
        SMOLCHATD=$SMOLCHATD.qemu
        chmod +x "$SMOLCHATD"
    fi
    export SMOLCHATD
    echo "cross: $target, $("$SMOLCHATD" --version)"
    # shellcheck disable=SC2086 # They are several words.
    tests=$(printf ' %s::' $suites)
    # shellcheck disable=SC2086
    skipped=$(printf ' --skip %s' $skips)
    # shellcheck disable=SC2086
    ${CARGO:-cargo} test --locked --test it -- $tests $skipped
    converse "${CARGO_TARGET_DIR:-target}/debug/smolchat"
    echo "cross: $target is well"
done
