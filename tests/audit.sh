#!/bin/sh
# Compares the crates that smolchat is made of, with their versions and licences, with the list
# beside this script. A new crate, another licence or a version that may break something is a
# decision, and is made by changing the list; smaller updates are in Cargo.lock alone.
set -eu
export LC_ALL=C

permitted='MIT Apache-2.0 BSL-1.0 Unicode-3.0'
cargo=${CARGO:-cargo}
list=$(dirname "$0")/audit.list

# Crates as "name version licence", smolchat itself left out; the options choose which.
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
# shellcheck disable=SC2086 # They are several options.
programs=$(crates $everywhere --edges normal,build)
# shellcheck disable=SC2086
all=$(crates $everywhere --edges normal,build,dev)
printf '%s\n' "$all" | awk -v programs="$programs" '
    BEGIN { count = split(programs, lines, "\n"); for (i = 1; i <= count; i++) used[lines[i]] }
    { print ($0 in used ? "built" : "tests"), $0 }' >"$found"

# One of several licences that a crate may be used under is enough, all of those joined by AND
# are needed. Parentheses are read as if AND came last, which never permits too much.
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
    echo "audit: if that is meant, change $list accordingly" >&2
    exit 1
fi

count() { printf '%s\n' "$1" | wc -l | tr -d ' '; }
default=$(crates --edges normal,build)
echo "$(count "$default") crates in smolchatd's default build," \
    "$(count "$programs") on all systems, $(count "$all") with development ones; licences:"
cut -d ' ' -f 4- "$found" | sort | uniq -c | sort -rn
