#!/bin/sh
# Builds both programs statically with musl. package.sh packs them.
#
#   dist.sh targets      lists the targets
#   dist.sh deps         installs the compilers (Debian 12, as root)
#   dist.sh build T [P]  writes target/dist/T/smolchatd and smolchat, or only program P, and
#                        target/dist/T/way, the name of the way that was used
#
# FEATURES are the features of the programs. With FLAVOUR=F, the folder is target/dist/T-F.
#
# If there is more than one way to build, the simplest is used. WAY=zig selects the way that makes
# the smallest files.
#
# The result depends on the source and the tools only, not on the folder, the time or the user.
set -eu
export LC_ALL=C
umask 022
cd "$(dirname "$0")/.."

targets='x86_64 aarch64 armv7 arm riscv64gc mipsel mips'
# The linker, with a musl for each target. Not a newer one: from 0.16 on it has its own allocator,
# which does not return the memory of members that left.
zig=0.15.2
zigbuild=0.24.0
tools=target/tools/dist

fail() {
    printf 'dist: %s\n' "$@" >&2
    exit 1
}

triple_of() {
    case $1 in
    x86_64 | aarch64 | riscv64gc | mipsel | mips) echo "$1-unknown-linux-musl" ;;
    armv7 | arm) echo "$1-unknown-linux-musleabihf" ;;
    *) fail "unknown target '$1', expected one of: $targets" ;;
    esac
}

deps() {
    command -v apt-get >/dev/null || fail 'apt-get is missing: this installs packages of Debian'
    [ "$(id -u)" = 0 ] || fail 'not root: this installs packages of Debian'
    set -- rustc-web cargo-web rust-web-src gcc libc6-dev binutils python3-venv \
        qemu-user-static netcat-openbsd
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "$@" ||
        { apt-get update && apt-get install -y --no-install-recommends "$@"; }
    /usr/bin/python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet "ziglang==$zig" "cargo-zigbuild==$zigbuild"
}

# Succeeds if the compiler on the PATH has a standard library for a target.
has_std() {
    libdir=$(rustc --print target-libdir --target "$1" 2>/dev/null) &&
        ls "$libdir"/libstd-*.rlib >/dev/null 2>&1
}

has_source() {
    [ -x /usr/bin/cargo ] && sysroot=$(/usr/bin/rustc --print sysroot 2>/dev/null) &&
        [ -f "$sysroot/lib/rustlib/src/rust/library/std/Cargo.toml" ]
}

has_zig() {
    has_source && [ -x "$tools/bin/cargo-zigbuild" ]
}

has_gcc() {
    has_source && [ "$1" = x86_64-unknown-linux-musl ] && command -v musl-gcc >/dev/null
}

# Prints the way to build for a target (`plain`, `zig` or `gcc`), or fails with what is missing.
way() {
    for way in ${WAY:-plain zig gcc}; do
        case $way in
        plain) has_std "$1" || continue ;;
        zig) has_zig || continue ;;
        gcc) has_gcc "$1" || continue ;;
        *) fail "unknown way '$way', expected plain, zig or gcc" ;;
        esac
        echo "$way"
        return
    done
    [ -z "${WAY:-}" ] || fail "the tools for WAY=$WAY and $1 are not installed"
    fail "cannot build for $1; install one of these:" \
        "- a standard library for the compiler on the PATH (rustup target add $1)" \
        "- /usr/bin/cargo with the source of the library, and cargo-zigbuild (make dist-deps;" \
        '  for x86_64, musl-gcc instead of cargo-zigbuild)'
}

# Prints the arguments for zig that select a target.
zig_target() {
    case $1 in
    armv7) echo arm-linux-musleabihf -mcpu=generic+v7a ;;
    arm) echo arm-linux-musleabihf -mcpu=arm1136jf_s ;;
    riscv64gc) echo riscv64-linux-musl ;;
    mipsel | mips) echo "$1-linux-musleabi" ;;
    *) echo "$1-linux-musl" ;;
    esac
}

build() {
    triple=$(triple_of "$target")
    way=$(way "$triple")
    # One folder for each way, because the compilers differ.
    out=target/dist-build/$way
    mkdir -p "$out" "$dist"
    # Keep the paths of this machine out of the programs.
    flags="-Ctarget-feature=+crt-static --remap-path-prefix=$PWD=."
    flags="$flags --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=registry"
    std='-Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size'
    # Savings, measured on smolchatd for x86_64: little (on mipsel a tenth) for code at a fixed
    # address.
    small="$flags -Cforce-unwind-tables=no -Clink-self-contained=no -Crelocation-model=static"
    # A match with few cases is a chain of comparisons: a table of addresses is larger.
    small="$small -Cllvm-args=-min-jump-table-entries=8"
    # Before the libraries, so that its functions replace theirs.
    small="$small -Zpre-link-arg=$out/$triple-static.o"
    case $target in
    # Thumb instructions, which each armv7 has, are a quarter smaller than ARM instructions.
    armv7) small="$small -Ctarget-feature=+thumb-mode" ;;
    # Stores repeated instructions once: a fortieth smaller for arm, an eightieth for x86_64. Only one
    # pass: after a second one, Thumb code lost its return address.
    arm | x86_64) small="$small -Cllvm-args=-enable-machine-outliner=always" ;;
    # System calls without the C library, as on the other targets: rustix's structures with times do
    # not match those of this musl, and no timer would ever expire.
    mipsel) small="$small --cfg=rustix_use_experimental_asm" ;;
    esac
    case $way in
    plain)
        echo "dist: $triple with $(rustc --version) and its own standard library, by rust-lld"
        ;;
    zig)
        echo "dist: $triple with $(/usr/bin/rustc --version) and a standard library from source," \
            "by cargo-zigbuild $zigbuild and zig $zig"
        # shellcheck disable=SC2046 # It is a list of options.
        compile "$tools/bin/python3" -m ziglang cc -target $(zig_target "$target")
        ;;
    gcc)
        echo "dist: $triple with $(/usr/bin/rustc --version) and a standard library from source," \
            "by musl-gcc"
        compile musl-gcc
        ;;
    esac
    # The server is built without the client's feature, which would change its libraries.
    [ "$program" = smolchat ] || link smolchatd "$(echo " ${FEATURES:-} " | sed 's/ editor / /')"
    [ "$program" = smolchatd ] || link smolchat "${FEATURES:-}"
    echo "$way" >"$dist/way"
}

# Compiles the C part with the given compiler.
compile() {
    "$@" -Os -fno-unwind-tables -fno-asynchronous-unwind-tables \
        -c deploy/static.c -o "$out/$triple-static.o"
}

# Builds program $1 with the features $2.
link() {
    linked=$1
    set -- --locked --profile dist --bin "$linked" --no-default-features --features "$2" --target "$triple" \
        --target-dir "$out"
    # A sixth smaller: a panic ends the server by an illegal instruction, without the code that
    # prints the reason. The client needs this code: its panic hook restores the terminal.
    panic=
    [ "$linked" = smolchat ] || panic='-Zunstable-options -Cpanic=immediate-abort'
    # shellcheck disable=SC2086 # It is a list of options.
    case $way in
    plain)
        # The C part of ring needs no C library: for this machine its compiler is enough.
        [ "$target" != "$(uname -m)" ] || export "CC_$(echo "$triple" | tr - _)=${CC:-cc}"
        RUSTFLAGS="$flags -Clinker=rust-lld" ${CARGO:-cargo} build "$@"
        ;;
    zig)
        PATH="/usr/bin:$PWD/$tools/bin:$PATH" RUSTC_BOOTSTRAP=1 RUSTFLAGS="$small $panic" \
            CARGO_ZIGBUILD_PYTHON_PATH="$PWD/$tools/bin/python3" cargo zigbuild "$@" $std
        ;;
    gcc)
        # Without relocation-model=static, musl-gcc makes a dynamic file and does not report it.
        PATH="/usr/bin:$PATH" RUSTC_BOOTSTRAP=1 RUSTFLAGS="$small $panic -Clinker=musl-gcc" \
            cargo build "$@" $std
        ;;
    esac
    built=$out/$triple/dist/$linked
    ! readelf --program-headers "$built" | grep -q INTERP || fail "$built is not static"
    install -m 755 "$built" "$dist"
}

target=${2:-}
program=${3:-}
dist=target/dist/$target${FLAVOUR:+-$FLAVOUR}
case ${1:-} in
targets) echo "$targets" ;;
deps) deps ;;
build)
    triple_of "$target" >/dev/null
    build
    ;;
*) fail 'usage: dist.sh targets | deps | build TARGET [PROGRAM]' ;;
esac
