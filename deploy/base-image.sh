#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes the image debian:bookworm-slim where Docker has none and no registry gives one; where it is there, does nothing.
# Runs as root (debootstrap); takes half a minute and the mirror that apt uses.
set -euo pipefail
image=debian:bookworm-slim

docker image inspect "$image" >/dev/null 2>&1 && exit 0
fail() {
    echo "base-image: $*" >&2
    exit 1
}
command -v debootstrap >/dev/null || fail "debootstrap is missing: deploy/install-deps.sh --tests"
[[ $(id -u) -eq 0 ]] || fail "$image is missing: run this as root, or docker pull $image"
mirror=${POSTERN_MIRROR:-http://deb.debian.org/debian}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
echo "making $image from $mirror"

debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 || {
    tail -n 20 "$root.log" >&2
    fail "debootstrap failed; its log is $root.log"
}
rm -f "$root.log"

# What makes it slim: no manuals, no translations, no package lists, now and with later packages.
cat >"$root/etc/dpkg/dpkg.cfg.d/slim" <<CONF
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
CONF
cat >"$root/etc/apt/apt.conf.d/slim" <<CONF
APT::Install-Recommends "false";
Acquire::Languages "none";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
CONF
cat >"$root/etc/apt/sources.list" <<CONF
deb $mirror bookworm main
deb $mirror bookworm-updates main
deb ${POSTERN_SECURITY_MIRROR:-$mirror-security} bookworm-security main
CONF
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
find "$root/usr/share/doc" ! -type d ! -name copyright -delete
find "$root/usr/share/doc" -type d -empty -delete
rm -rf "$root"/usr/share/{man,info,locale}/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/*.log

tar -C "$root" --numeric-owner -c . | docker import --change 'CMD ["bash"]' - "$image" >/dev/null
docker image inspect --format "$image: {{.Size}} bytes" "$image"
