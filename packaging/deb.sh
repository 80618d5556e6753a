#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds dist/eegd_VERSION_ARCH.deb for the Debian release that it runs on: the tree of `make install` and the files in
# packaging/debian. `make deb` calls it. The Python is Debian's own, which the package then depends on.
set -eu
cd "$(dirname "$0")/.."

die() { printf 'deb: %s\n' "$*" >&2; exit 1; }

command -v dpkg-deb >/dev/null || die "needs dpkg: this is for Debian and its kin"
if ! command -v dpkg-shlibdeps >/dev/null; then
    [ "$(id -u)" = 0 ] || die "needs dpkg-dev: apt-get install dpkg-dev"
    echo "installing Debian package: dpkg-dev" >&2
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends dpkg-dev >/dev/null
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tree=$scratch/tree
mkdir -p "$tree/DEBIAN" "$scratch/debian"
umask 022
PYTHON=/usr/bin/python3 PREFIX=/usr DESTDIR=$tree packaging/install.sh install

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
arch=$(dpkg --print-architecture)
# The environment holds compiled code for one minor version of Python: 3.11 means 3.11.
python=$(/usr/bin/python3 -c 'import sys; print("python3 (>= %d.%d), python3 (<< %d.%d)" % (*sys.version_info[:2], sys.version_info[0], sys.version_info[1] + 1))')
printf 'Source: eegd\n\nPackage: eegd\nArchitecture: any\n' >"$scratch/debian/control"
# What was compiled here; wheels bring their libraries along.
find "$tree/usr/lib/eegd" -name '_native*.so' -o -name 'spidev*.so' -o -path '*/systemd/*.so' >"$scratch/compiled"
shlibs=$(cd "$scratch" && xargs dpkg-shlibdeps -O --ignore-missing-info 2>/dev/null <compiled | sed -n 's/^shlibs:Depends=//p')
[ -n "$shlibs" ] || die "dpkg-shlibdeps found no dependency of $(wc -l <"$scratch/compiled") compiled files"
size=$(du -sk --exclude=DEBIAN "$tree" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/; s/@SHLIBS@/$shlibs/; s/@PYTHON@/$python/" \
    packaging/debian/control >"$tree/DEBIAN/control"
install -m 644 packaging/debian/conffiles "$tree/DEBIAN/"
install -m 755 packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm "$tree/DEBIAN/"
(cd "$tree" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)

mkdir -p dist
dpkg-deb --root-owner-group -Zgzip --build "$tree" "dist/eegd_${version}_$arch.deb"
