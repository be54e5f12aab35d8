#!/bin/sh
# Compares the crates of smolchat, with their versions and licences, with audit.list. A new crate,
# another licence or an incompatible version needs a change of the list; compatible updates are in
# Cargo.lock alone.
set -eu
export LC_ALL=C

# ISC and BSD-3-Clause are those of the cryptography of the features `cluster` and `tls`.
permitted='MIT Apache-2.0 Unicode-3.0 ISC BSD-3-Clause'
cargo=${CARGO:-cargo}
list=$(dirname "$0")/audit.list

# Prints the crates without smolchat itself as "name version licence". The options are those of
# `cargo tree`.
crates() {
    tree=$($cargo tree --locked --prefix none --no-dedupe --format '{p}|{l}' "$@") || exit
    printf '%s\n' "$tree" |
        awk -F '|' '{
            split($1, crate, " ")
            if (crate[1] == "smolchat") next
            sub(/^v/, "", crate[2])
            split(crate[2], part, ".")
            version = part[1] != "0" ? part[1] : part[2] != "0" ? "0." part[2] : "0.0." part[3]
            print crate[1], version, $2 == "" ? "none" : $2
        }' | sort -u
}

found=$(mktemp)
trap 'rm -f "$found"' EXIT
everywhere='--all-features --target all'
# shellcheck disable=SC2086 # Splits the options.
programs=$(crates $everywhere --edges normal,build)
# shellcheck disable=SC2086
all=$(crates $everywhere --edges normal,build,dev)
printf '%s\n' "$all" | awk -v programs="$programs" '
    BEGIN { count = split(programs, lines, "\n"); for (i = 1; i <= count; i++) used[lines[i]] }
    { print ($0 in used ? "built" : "tests"), $0 }' >"$found"

# Of licences joined by OR, one is enough; of those joined by AND, all are needed. Parentheses are
# ignored, with AND applied last, which never permits too much.
awk -v permitted="$permitted" '
    BEGIN { count = split(permitted, names, " "); for (i = 1; i <= count; i++) may[names[i]] }
    {
        licence = $0
        sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", licence)
        gsub(/[()]/, "", licence)
        parts = split(licence, part, / AND /)
        for (i = 1; i <= parts; i++) {
            choices = split(part[i], choice, / OR |\//)
            good = 0
            for (j = 1; j <= choices; j++) if (choice[j] in may) good = 1
            if (!good) { print "audit: not a permitted licence: " $0; failed = 1 }
        }
    }
    END { exit failed }' "$found" >&2

if ! diff -u "$list" "$found" >&2; then
    echo "audit: if this is intended, change $list" >&2
    exit 1
fi

count() { printf '%s\n' "$1" | wc -l | tr -d ' '; }
server=$(crates --no-default-features --edges normal,build)
echo "$(count "$server") crates in smolchatd, $(count "$programs") in both programs on all systems," \
    "$(count "$all") with those for development; licences:"
cut -d ' ' -f 4- "$found" | sort | uniq -c | sort -rn
