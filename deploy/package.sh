#!/bin/sh
# Packs the programs of a target, which dist.sh built.
#
#   package.sh TARGET [PROGRAMS [OUT]]    the folders of the programs and of the packages, by default
#                                         target/dist/TARGET and dist
#
#   smolchat-VERSION-TARGET.tar.gz  both programs, manual pages, completions, documentation, deploy/
#   smolchat_VERSION_ARCH.deb       the same for Debian, for targets that it has
#   smolchatd-VERSION-TARGET.apk    the server for OpenWrt 25.12 and later
#   smolchatd-VERSION-TARGET.ipk    the server for OpenWrt before 25.12
#
# With FLAVOUR=F it packs the programs in target/dist/TARGET-F into a tarball alone, whose name ends in
# TARGET-F.
#
# The packages depend on the source and the tools only, not on the folder, the time or the user. The
# manual pages and completions are printed by CLIENT, by default a client built for this machine with
# FEATURES.
set -eu
export LC_ALL=C
umask 022
cd "$(dirname "$0")/.."

target=$1
flavour=${FLAVOUR:+-$FLAVOUR}
programs=${2:-target/dist/$target$flavour}
out=${3:-dist}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
maintainer='the smolchat authors <authors@smolchat.example>'
summary='group-chat server and terminal client, small enough for a router'
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# Packs the files of a folder, all owned by root: tar_of FOLDER NAME...
tar_of() {
    folder=$1
    shift
    tar -C "$folder" --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 \
        --numeric-owner -cf - "$@" | gzip -9 -n
}

# Lays out all files below $stage/root as `make install PREFIX=/usr` does.
install_files() {
    if [ -z "${CLIENT:-}" ]; then
        ${CARGO:-cargo} build --quiet --locked --bin smolchat --no-default-features \
            --features "${FEATURES-editor irc web}"
        CLIENT=${CARGO_TARGET_DIR:-target}/debug/smolchat
    fi
    make --silent install-files DESTDIR="$stage/root" PREFIX=/usr BIN="$programs" CLIENT="$CLIENT"
}

pack_tarball() {
    name=smolchat-$version-$target$flavour
    top=$stage/$name
    share=$stage/root/usr/share
    mkdir -p "$top/docs" "$top/man" "$top/completions"
    install -m 755 "$programs/smolchatd" "$programs/smolchat" "$top"
    install -m 644 LICENSE-* README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md .dockerignore "$top"
    install -m 644 docs/*.md docs/*.svg "$top/docs"
    install -m 644 "$share"/man/man1/* "$top/man"
    install -m 644 "$share/bash-completion/completions/smolchat" "$top/completions/smolchat.bash"
    install -m 644 "$share/zsh/site-functions/_smolchat" "$share/fish/vendor_completions.d/"* \
        "$top/completions"
    # The service files, without the files that build the programs and the packages.
    find deploy -type f ! -name '*.sh' ! -name '*.c' ! -name '*.py' ! -path '*/debian/*' |
        while read -r file; do
            mode=644
            [ ! -x "$file" ] || mode=755
            install -D -m "$mode" "$file" "$top/$file"
        done
    sums=$(cd "$top" && find . -type f | sort | xargs sha256sum)
    printf '%s\n' "$sums" >"$top/SHA256SUMS"
    tar_of "$stage" "$name" >"$out/$name.tar.gz"
    built="$built $name.tar.gz"
}

# Prints the name of a target in Debian. armhf is also the name for the ARMv6 of a Raspberry Pi.
debian_architecture() {
    case $target in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    arm) echo armhf ;;
    riscv64gc) echo riscv64 ;;
    mipsel) echo mipsel ;;
    esac
}

pack_deb() {
    arch=$(debian_architecture)
    [ -n "$arch" ] || return 0
    root=$stage/deb
    doc=$root/usr/share/doc/smolchat
    cp -R "$stage/root" "$root"
    mv "$root/usr/share/zsh/site-functions" "$root/usr/share/zsh/vendor-completions"
    gzip -9 -n "$root"/usr/share/man/man1/*
    mkdir -p "$doc" "$root/DEBIAN"
    install -m 644 README.md CHANGELOG.md SECURITY.md docs/*.md "$doc"
    {
        echo 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'
        printf '\nFiles: *\nCopyright: 2026 the smolchat authors\nLicense: MIT or Apache-2.0\n\n'
        echo 'License: MIT or Apache-2.0'
        sed -e 's/^$/./' -e 's/^/ /' LICENSE-MIT
        echo ' .'
        echo ' Or the Apache License 2.0, see /usr/share/common-licenses/Apache-2.0.'
    } >"$doc/copyright"
    {
        printf 'smolchat (%s) unstable; urgency=medium\n\n' "$version"
        printf '  * The changes are in CHANGELOG.md.\n\n'
        printf ' -- %s  %s\n' "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
    } | gzip -9 -n >"$doc/changelog.gz"
    install -D -m 644 deploy/debian/lintian-overrides "$root/usr/share/lintian/overrides/smolchat"
    for script in postinst prerm postrm; do
        install -m 755 "deploy/debian/$script" "$root/DEBIAN"
    done
    cat >"$root/DEBIAN/control" <<EOF
Package: smolchat
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -k --apparent-size -s "$root/usr" | cut -f 1)
Depends: adduser
Section: net
Priority: optional
Description: $summary
 All clients of smolchatd are in one room. Each line that a member sends
 reaches all members, in one order. smolchat is the client for a terminal;
 nc and a few lines of a script are clients, too.
 .
 The server is not started at the installation: it would listen on all
 addresses, without a password. "systemctl enable --now smolchatd.socket"
 starts it.
EOF
    (cd "$root" && find usr -type f | sort | xargs md5sum >DEBIAN/md5sums)
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$root" "$out/smolchat_${version}_$arch.deb" >/dev/null
    built="$built smolchat_${version}_$arch.deb"
}

# Prints patterns for the architectures of OpenWrt, as in its variable DISTRIB_ARCH, on which the
# programs run. The one for ARM needs a floating-point unit.
openwrt_architectures() {
    case $target in
    arm) echo 'arm_arm1176jzf-s_vfp|arm_cortex-a*_vfp*|arm_cortex-a*_neon*' ;;
    armv7) echo 'arm_cortex-a*_vfp*|arm_cortex-a*_neon*' ;;
    mips | mipsel) echo "${target}_24k*|${target}_74k*|${target}_4kec*" ;;
    riscv64gc) echo 'riscv64_*' ;;
    x86_64) echo x86_64 ;;
    *) echo "${target}_*" ;;
    esac
}

# Lays out the server for OpenWrt below $stage/openwrt, and its scripts in $stage/scripts.
prepare_openwrt() {
    root=$stage/openwrt
    scripts=$stage/scripts
    config=/etc/config/smolchatd
    install -D -m 755 "$programs/smolchatd" "$root/usr/bin/smolchatd"
    install -D -m 755 deploy/openwrt/smolchatd.init "$root/etc/init.d/smolchatd"
    install -D -m 644 deploy/openwrt/smolchatd.config "$root$config"
    install -D -m 644 deploy/openwrt/smolchatd.keep "$root/lib/upgrade/keep.d/smolchatd"
    mkdir "$scripts"
    # A static program runs on all variants of its architecture, and OpenWrt has a name for each. So the
    # package is for all architectures, and its first script fails on other machines.
    cat >"$scripts/preinst" <<EOF
#!/bin/sh
DISTRIB_ARCH=
[ ! -r "\$IPKG_INSTROOT/etc/openwrt_release" ] || . "\$IPKG_INSTROOT/etc/openwrt_release"
case "\$DISTRIB_ARCH" in
"" | $(openwrt_architectures | sed 's/|/ | /g')) ;;
*)
	echo "smolchatd: this package is for $target, not for \$DISTRIB_ARCH" >&2
	exit 1
	;;
esac
EOF
    for script in postinst prerm; do
        cat >"$scripts/$script" <<EOF
#!/bin/sh
[ "\$IPKG_NO_SCRIPT" != 1 ] || exit 0
[ -s "\$IPKG_INSTROOT/lib/functions.sh" ] || exit 0
export root="\$IPKG_INSTROOT" pkgname=smolchatd
. "\$IPKG_INSTROOT/lib/functions.sh"
default_$script "\$0" "\$@"
EOF
    done
}

pack_ipk() {
    control=$stage/control
    outer=$stage/outer
    mkdir "$control" "$outer"
    install -m 755 "$scripts/preinst" "$scripts/postinst" "$scripts/prerm" "$control"
    echo "$config" >"$control/conffiles"
    cat >"$control/control" <<EOF
Package: smolchatd
Version: $version-r1
Architecture: all
Maintainer: $maintainer
License: MIT OR Apache-2.0
Section: net
Priority: optional
Installed-Size: $(find "$root" -type f -exec cat {} + | wc -c)
Description: $summary
EOF
    echo 2.0 >"$outer/debian-binary"
    tar_of "$root" . >"$outer/data.tar.gz"
    tar_of "$control" . >"$outer/control.tar.gz"
    # In the order of OpenWrt's own packages.
    tar -C "$outer" --format=ustar --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 \
        --numeric-owner -cf - ./debian-binary ./data.tar.gz ./control.tar.gz |
        gzip -9 -n >"$out/smolchatd-$version-$target.ipk"
    built="$built smolchatd-$version-$target.ipk"
}

pack_apk() {
    # OpenWrt reads here what it read in the database of opkg.
    lists=$root/lib/apk/packages
    mkdir -p "$lists"
    (cd "$root" && find . -type f ! -path './lib/apk/*' | sed 's/^\.//' | sort) >"$stage/list"
    mv "$stage/list" "$lists/smolchatd.list"
    echo "$config" >"$lists/smolchatd.conffiles"
    echo "$config $(sha256sum "$root$config" | cut -d ' ' -f 1)" >"$lists/smolchatd.conffiles_static"
    for script in preinst postinst; do
        sed '1a export PKG_UPGRADE=1' "$scripts/$script" >"$scripts/$script-upgrade"
    done
    python3 deploy/apk.py "$root" "$out/smolchatd-$version-$target.apk" name=smolchatd \
        version="$version-r1" description="$summary" arch=noarch license='MIT OR Apache-2.0' \
        origin=smolchat maintainer="$maintainer" \
        pre-install=@"$scripts/preinst" post-install=@"$scripts/postinst" \
        pre-upgrade=@"$scripts/preinst-upgrade" post-upgrade=@"$scripts/postinst-upgrade" \
        pre-deinstall=@"$scripts/prerm"
    built="$built smolchatd-$version-$target.apk"
}

missing=
for tool in make dpkg-deb python3 gzip; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
    echo "package: missing:$missing" >&2
    exit 1
fi
mkdir -p "$out"
built=
install_files
pack_tarball
if [ -z "$flavour" ]; then
    pack_deb
    prepare_openwrt
    pack_ipk
    pack_apk
fi
cd "$out"
for file in $built; do
    sha256sum "$file" | tee "$file.sha256"
done
