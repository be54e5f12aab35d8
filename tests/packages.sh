#!/bin/sh
# Builds the packages of this machine from the programs of `cargo build`, and installs them: the .deb in
# a copy of this system that is discarded afterwards, those of OpenWrt in an empty root with a shim of
# its functions. Needs root, and Debian with the tools named below. With apk-tools 3 and lintian, the
# packages are also checked by these.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "packages: $*" >&2
    exit 1
}

missing=
for tool in dpkg dpkg-deb adduser strip unshare chroot mount python3 make gzip; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ -z "$missing" ] || fail "missing:$missing"
[ "$(id -u)" = 0 ] || fail 'not root: this mounts a file system and installs a package in it'

# Prints the archive $2 inside of an .ipk.
part_of_ipk() {
    tar -xzOf "$1" "./$2.tar.gz"
}

check_reproducible() {
    SOURCE_DATE_EPOCH=1700000000 deploy/package.sh "$target" "$programs" "$dir/a" >"$dir/log"
    (umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1700000000 \
        deploy/package.sh "$target" "$programs" "$dir/b" >/dev/null)
    diff -r "$dir/a" "$dir/b" || fail 'two runs made different packages'
    (cd "$dir/a" && cat ./*.sha256 | sha256sum --quiet -c)
    echo "packages: reproducible: $(cut -d ' ' -f 3 "$dir/log" | tr '\n' ' ')"
}

check_tarball() {
    tar -C "$dir" -xzf "$dir"/a/smolchat-*.tar.gz
    top=$(echo "$dir"/smolchat-*-"$target")
    (cd "$top" && sha256sum --quiet -c SHA256SUMS)
    for file in smolchatd smolchat man/smolchatd.1 man/smolchat.1 completions/smolchat.bash \
        completions/_smolchat completions/smolchat.fish docs/deploy.md docs/client.md \
        deploy/smolchatd.service deploy/openwrt/smolchatd.init deploy/Containerfile .dockerignore; do
        [ -s "$top/$file" ] || fail "the tarball has no $file"
    done
    check_image "$top"
    mkdir -p "$dir/source/target/dist/$target"
    cp -R deploy .dockerignore "$dir/source"
    cp "$programs/smolchatd" "$dir/source/target/dist/$target"
    check_image "$dir/source" "target/dist/$target/smolchatd"
    echo 'packages: the tarball is complete'
}

# Builds the image in a folder, with the program $2 if it is not the default. Without buildah, follows
# the Containerfile and the ignore file by hand.
check_image() {
    if command -v buildah >/dev/null; then
        buildah --storage-driver vfs --root "$dir/images" --runroot "$dir/run" bud --isolation chroot \
            ${2:+--build-arg "PROGRAM=$2"} -f "$1/deploy/Containerfile" "$1" >"$dir/log" 2>&1 ||
            fail "$(cat "$dir/log")"
    else
        program=${2:-$(sed -n 's/^ARG PROGRAM=//p' "$1/deploy/Containerfile")}
        [ -x "$1/$program" ] || fail "the image needs $program, which is not in $1"
        sed -n 's/^!//p' "$1/.dockerignore" | while read -r pattern; do
            # shellcheck disable=SC2254 # It is a pattern.
            case $program in
            $pattern) echo taken ;;
            esac
        done | grep -q taken || fail "$1/.dockerignore leaves out $program"
    fi
}

# Runs in a mount namespace: installs the .deb in an overlay of this system.
install_deb() {
    mount -t tmpfs none "$dir/system"
    mkdir "$dir/system/changes" "$dir/system/work" "$dir/system/root"
    root=$dir/system/root
    mount -t overlay overlay "$root" \
        -o "lowerdir=/,upperdir=$dir/system/changes,workdir=$dir/system/work"
    mount -t proc none "$root/proc"
    mount -t tmpfs none "$root/run"
    mount --rbind /dev "$root/dev"
    cp "$dir"/a/*.deb "$root/smolchat.deb"
    # Without the manual page index of the system, which takes as long as all the rest.
    echo 'man-db man-db/auto-update boolean false' | chroot "$root" debconf-set-selections 2>/dev/null || :
    rm -f "$root/var/lib/man-db/auto-update"
    chroot "$root" sh -eu <<'IN'
        export DEBIAN_FRONTEND=noninteractive
        fail() { echo "packages: $*" >&2; exit 1; }
        dpkg -i /smolchat.deb
        id smolchatd >/dev/null || fail 'no user smolchatd'
        [ "$(stat -c %U:%G:%a /usr/bin/smolchatd)" = root:root:755 ] || fail 'wrong mode'
        smolchatd --version
        zcat /usr/share/man/man1/smolchatd.1.gz | grep -q '^\.TH SMOLCHATD' || fail 'no manual page'
        grep -q smolchat /usr/share/bash-completion/completions/smolchat || fail 'no completions'
        grep -qx 'ExecStart=/usr/bin/smolchatd .*' /usr/lib/systemd/system/smolchatd.service ||
            fail 'the unit does not start the program'
        if command -v systemctl >/dev/null; then
            systemctl --quiet enable smolchatd.socket 2>/dev/null
        fi
        dpkg -i /smolchat.deb
        dpkg -r smolchat
        dpkg -P smolchat
        left=$(find /etc/systemd /usr/lib/systemd /usr/bin /usr/share/doc -name '*smolchat*')
        [ -z "$left" ] || fail "left behind: $left"
        # Without systemd.
        rm -f /usr/bin/systemctl /bin/systemctl
        dpkg -i /smolchat.deb
        dpkg -P smolchat
IN
}

check_deb() {
    owners=$(dpkg-deb -c "$dir"/a/*.deb | awk '$2 != "root/root"')
    [ -z "$owners" ] || fail "not owned by root: $owners"
    mkdir "$dir/system"
    dir=$dir unshare --mount "$0" install_deb >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
    if command -v lintian >/dev/null; then
        # The programs of `cargo build` are neither static nor stripped.
        lintian --allow-root --fail-on error,warning \
            --suppress-tags unstripped-binary-or-object,missing-dependency-on-libc,mismatched-override,unused-override \
            "$dir"/a/*.deb || fail 'lintian'
    fi
    echo 'packages: the .deb installs, upgrades and leaves nothing behind, with and without systemd'
}

# Runs script $1 of a package for OpenWrt as on a machine of architecture $2.
run_script() {
    echo "DISTRIB_ARCH='$2'" >"$dir/openwrt/etc/openwrt_release"
    IPKG_INSTROOT=$dir/openwrt sh "$1"
}

check_openwrt() {
    mkdir -p "$dir/openwrt/lib" "$dir/ipk" "$dir/control" "$dir/apk" "$dir/scripts"
    part_of_ipk "$dir"/a/*.ipk data | tar -C "$dir/ipk" -xzpf -
    part_of_ipk "$dir"/a/*.ipk control | tar -C "$dir/control" -xzpf -
    [ "$(tar -xzOf "$dir"/a/*.ipk ./debian-binary)" = 2.0 ] || fail 'wrong version of the format'
    [ "$(cat "$dir/control/conffiles")" = /etc/config/smolchatd ] || fail 'wrong conffiles'
    python3 tests/unpack_apk.py "$dir"/a/*.apk "$dir/apk" "$dir/scripts" >"$dir/info"
    grep -qx 'arch: noarch' "$dir/info" || fail "wrong metadata: $(cat "$dir/info")"
    (cd "$dir/ipk" && find . -type f | sed 's/^\.//' | sort) | diff - \
        "$dir/apk/lib/apk/packages/smolchatd.list" || fail 'wrong list of files'
    diff -r -x apk "$dir/ipk" "$dir/apk" || fail 'the .ipk and the .apk differ'
    for file in usr/bin/smolchatd etc/init.d/smolchatd; do
        if [ ! -x "$dir/ipk/$file" ] || [ ! -x "$dir/apk/$file" ]; then
            fail "$file is not executable"
        fi
    done
    "$dir/apk/usr/bin/smolchatd" --version >/dev/null
    # Every file that a sysupgrade keeps is one of the package, or a link that `enable` makes.
    sed '/^#/d' "$dir/apk/lib/upgrade/keep.d/smolchatd" | while read -r file; do
        case $file in
        /etc/rc.d/S90smolchatd | /etc/rc.d/K10smolchatd) ;;
        *) [ -f "$dir/apk$file" ] || fail "keep.d names $file" ;;
        esac
    done
    mkdir -p "$dir/openwrt/etc"
    # The functions of OpenWrt that the scripts call.
    cat >"$dir/openwrt/lib/functions.sh" <<'IN'
        default_postinst() { echo "postinst $pkgname upgrade=${PKG_UPGRADE:-0}"; }
        default_prerm() { echo "prerm $pkgname"; }
IN
    for script in "$dir/control/preinst" "$dir/scripts/pre-install" "$dir/scripts/pre-upgrade"; do
        run_script "$script" "$target" || run_script "$script" "${target}_generic" ||
            fail "$script refuses this machine"
        ! run_script "$script" mips64_octeonplus 2>"$dir/log" || fail "$script takes another machine"
        grep -q "for $target, not for mips64_octeonplus" "$dir/log" || fail "no reason from $script"
    done
    [ "$(run_script "$dir/control/postinst" x)" = 'postinst smolchatd upgrade=0' ] || fail postinst
    [ "$(run_script "$dir/scripts/post-install" x)" = 'postinst smolchatd upgrade=0' ] || fail install
    [ "$(run_script "$dir/scripts/post-upgrade" x)" = 'postinst smolchatd upgrade=1' ] || fail upgrade
    [ "$(run_script "$dir/scripts/pre-deinstall" x)" = 'prerm smolchatd' ] || fail deinstall
    if apk --version 2>/dev/null | grep -q '^apk-tools 3'; then
        apk --root "$dir/apk-root" --initdb --no-scripts --allow-untrusted add "$dir"/a/*.apk
        cmp "$dir/apk-root/usr/bin/smolchatd" "$programs/smolchatd"
        echo 'packages: apk installs the .apk'
    fi
    echo 'packages: the packages for OpenWrt unpack, and their scripts run'
}

if [ "${1:-}" = install_deb ]; then
    install_deb
    exit
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CARGO:-cargo} build --quiet --locked --bins
built=${CARGO_TARGET_DIR:-target}/debug
export CLIENT="$built/smolchat"
programs=$dir/programs
mkdir "$programs"
# Without debug information, which would be most of the packages.
for program in smolchat smolchatd; do
    strip -o "$programs/$program" "$built/$program"
done
target=$(uname -m)
check_reproducible
check_tarball
check_deb
check_openwrt
