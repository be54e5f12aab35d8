# shellcheck shell=sh
# Installs packages of Debian. Sourced by scripts that define `missing`, a function that prints the packages
# whose commands are missing, and `name`, the word before each error.

fail() {
    echo "${name:?}: $*" >&2
    exit 1
}

# Prints the first word of each line of the input, a package, whose second word is not a command here.
without_command() {
    while read -r package command; do
        command -v "$command" >/dev/null || echo "$package"
    done
}

install_missing() {
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
