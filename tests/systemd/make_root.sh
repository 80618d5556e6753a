#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes a minimal Debian with systemd, to be started by systemd-nspawn, and prints where it is. It is kept in
# build/systemd and made again only when this script or the Debian release changes. Needs root.
#   SUITE=trixie     which Debian; default: this machine's own, so that a package built here fits
set -euo pipefail
cd "$(dirname "$0")/../.."

PACKAGES=systemd,systemd-sysv,dbus,libpam-systemd,init-system-helpers,procps,python3

# Exit status 2: this machine cannot make it.
die() { printf 'make_root: %s\n' "$*" >&2; exit 2; }

[ "$(id -u)" = 0 ] || die "needs root, to make and start a container"

# name of a program → Debian package that has it
missing=()
for pair in mmdebstrap:mmdebstrap systemd-nspawn:systemd-container; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
if [ "${#missing[@]}" != 0 ]; then
    command -v apt-get >/dev/null || die "needs ${missing[*]}, and this system has no apt-get"
    echo "installing Debian packages: ${missing[*]}" >&2
    {
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}"
    } >&2
fi

own=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
SUITE=${SUITE:-$own}
sources=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    sed -n "s#^\([^ ]*/debian\(-security\)\?/\) $own\([^ ]*\) \(main\)\$#deb \1 $SUITE\3 \4#p" | sort -u)
[ -n "$sources" ] || die "apt on this machine knows no Debian sources to take $SUITE from"

key=$(sha256sum <"tests/systemd/make_root.sh" | cut -c1-12)
root=build/systemd/root-$SUITE-$key
if [ ! -e "$root/.made" ]; then
    rm -rf --one-file-system build/systemd/root-"$SUITE"-*
    mkdir -p build/systemd
    echo "making a Debian $SUITE with systemd …" >&2
    mmdebstrap --quiet --mode=root --variant=minbase --include="$PACKAGES" \
        --aptopt='Acquire::Check-Valid-Until "false"' "$SUITE" "$root" - <<<"$sources" >&2
    cat >"$root/etc/systemd/system/eegd-test.service" <<'UNIT'
[Unit]
Description=the test
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/share/inside.sh >/share/log 2>&1; systemctl exit $?'
UNIT
    mkdir -p "$root/etc/systemd/system/default.target.wants"
    ln -s ../eegd-test.service "$root/etc/systemd/system/default.target.wants/"
    touch "$root/.made"
fi
echo "$root"
