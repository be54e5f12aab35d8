#!/bin/sh
# Starts three NATS servers and three nodes of one room on this machine: run.sh [OPTIONS]. The options
# are for each node. Ends all of them at Ctrl-C, and when the terminal is closed.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
server=${SMOLCHATD:-$root/target/release/smolchatd}
# The ports: NATS servers at BASE + 1 to 3, their routes at BASE + 11 to 13.
base=${NATS_PORT:-14220}
port=${PORT:-8080}
folder=$(mktemp -d)
children=

fail() {
    echo "cluster: $*" >&2
    exit 1
}

end() {
    trap - EXIT
    trap '' HUP INT TERM
    # The second signal is for those that were stopped.
    # shellcheck disable=SC2086 # Splits the numbers of the processes.
    [ -z "$children" ] || { kill $children; kill -CONT $children; } 2>/dev/null || true
    wait
    rm -rf "$folder"
}

command -v nats-server >/dev/null || fail "nats-server is missing: apt-get install nats-server"
[ -x "$server" ] || fail "$server is missing: make run-cluster builds it"
trap end EXIT
trap 'exit 0' HUP INT TERM

sync=' sync_interval: always'
settings() {
    printf 'jetstream { store_dir: "%s/nats%s", max_file_store: 1GB, max_memory_store: 64MB,%s }\n' \
        "$folder" "$1" "$sync" >"$folder/nats$1.conf"
}
settings 0
if ! nats-server -t -c "$folder/nats0.conf" >/dev/null 2>&1; then
    echo "cluster: this nats-server is older than 2.10 and does not sync each entry" >&2
    sync=
fi

routes='' urls=''
for node in 1 2 3; do
    routes="$routes${routes:+,}nats://127.0.0.1:$((base + 10 + node))"
    urls="$urls${urls:+,}nats://127.0.0.1:$((base + node))"
done
for node in 1 2 3; do
    settings "$node"
    # Without the SIGHUP of a terminal that is closed: nats-server drops a SIGTERM right after it.
    setsid nats-server -c "$folder/nats$node.conf" -n "nats$node" -a 127.0.0.1 -p "$((base + node))" \
        --cluster_name smolchat --cluster "nats://127.0.0.1:$((base + 10 + node))" \
        --routes "$routes" >"$folder/nats$node.log" 2>&1 &
    children="$children $!"
    echo "nats$node: process $!, nats://127.0.0.1:$((base + node))" >&2
done
for node in 1 2 3; do
    "$server" --listen "127.0.0.1:$((port + node))" --cluster "$urls" --node "node$node" "$@" &
    children="$children $!"
    echo "node$node: process $!, http://127.0.0.1:$((port + node))" >&2
done
echo "clients: smolchat 127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2)),127.0.0.1:$((port + 3))" >&2
wait
