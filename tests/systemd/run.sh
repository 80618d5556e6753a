#!/bin/bash
# SPDX-License-Identifier: MIT
# The package and the service under a real systemd: installs the .deb in a container whose process 1 is systemd, runs
# inside.sh there, and prints its table. Exit status 0 when every check passed, 2 when this machine cannot run a
# container with systemd. Needs root; `make test-systemd`.
#
# Container and package are kept in build/systemd, and made again when what they are made of changes.
# What a container cannot show: real devices, udev rules at work, and LimitMEMLOCK=infinity where this machine's root may
# not raise limits (CAP_SYS_RESOURCE).
set -euo pipefail
cd "$(dirname "$0")/../.."

failed=0
row() { # name, result, remark
    printf '%-58s %-6s %s\n' "$1" "$2" "${3-}"
    [ "$2" != FAILED ] || failed=1
}

# ---- what the container is given ----

root=$(tests/systemd/make_root.sh) || exit
if ! systemd-nspawn --quiet --directory="$root" --register=no --keep-unit --volatile=overlay --private-network \
    --console=pipe --capability=all true </dev/null >build/systemd/probe.log 2>&1; then
    echo "this machine starts no containers: $(tail -n 1 build/systemd/probe.log)"
    exit 2
fi
share=build/systemd/share
rm -rf "$share"
mkdir -p "$share"

inputs() { find pyproject.toml setup.py native eegd plugins packaging systemd config docs -type f \
    ! -name '*.so' ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum; }
key=$({ inputs; /usr/bin/python3 --version; } | sha256sum | cut -c1-12)
if [ ! -e "build/systemd/eegd-$key.deb" ]; then
    echo "building the package …"
    rm -f build/systemd/eegd-*.deb
    packaging/deb.sh >build/systemd/deb.log 2>&1 || { tail -n 40 build/systemd/deb.log; exit 1; }
    mv dist/eegd_*_"$(dpkg --print-architecture)".deb "build/systemd/eegd-$key.deb"
fi
cp "build/systemd/eegd-$key.deb" "$share/eegd.deb"

# The same with a higher version, as an upgrade.
rm -rf build/systemd/next
dpkg-deb -R "$share/eegd.deb" build/systemd/next
sed -i 's/^Version: .*/&+next/' build/systemd/next/DEBIAN/control
dpkg-deb --root-owner-group -Zgzip -z1 --build build/systemd/next "$share/next.deb" >/dev/null
rm -rf build/systemd/next
cp tests/systemd/inside.sh "$share/"

# ---- make install and make uninstall, below a directory ----

destination=$PWD/build/systemd/destination
rm -rf "$destination"
mkdir -p "$destination/etc/eegd"
echo '# edited' >"$destination/etc/eegd/eegd.toml"
make install DESTDIR="$destination" PREFIX=/opt/eegd PYTHON=/usr/bin/python3 >build/systemd/install.log 2>&1 ||
    { tail -n 40 build/systemd/install.log; exit 1; }
traces=$({ grep -rlF "$destination" "$destination" || :; } | wc -l)
row "make install leaves no trace of DESTDIR in what it installs" "$([ "$traces" = 0 ] && echo ok || echo FAILED)" "$traces files"
row "make install keeps an edited eegd.toml" \
    "$(grep -q '# edited' "$destination/etc/eegd/eegd.toml" && echo ok || echo FAILED)"
row "make install puts PREFIX into the units" \
    "$(grep -q '^ExecStart=/opt/eegd/bin/eegd ' "$destination/usr/lib/systemd/system/eegd.service" && echo ok || echo FAILED)"
make uninstall DESTDIR="$destination" PREFIX=/opt/eegd >>build/systemd/install.log 2>&1
left=$(cd "$destination" && find . -type f | tr '\n' ' ')
row "make uninstall removes all but /etc/eegd" "$([ "$left" = "./etc/eegd/eegd.toml " ] && echo ok || echo FAILED)" "left: $left"
rm -rf "$destination"

# ---- the container ----

began=$SECONDS
status=0
timeout --kill-after=10 300 systemd-nspawn --quiet --directory="$root" --boot --register=no --keep-unit \
    --volatile=overlay --private-network --bind="$PWD/$share:/share" --console=pipe --capability=all \
    </dev/null >build/systemd/console.log 2>&1 || status=$?
touch "$share/table"
while IFS='|' read -r name result remark; do row "$name" "$result" "$remark"; done <"$share/table"
if [ "$status" != 0 ] || ! grep -q '^the test came to its end|' "$share/table"; then
    echo "the container ended with status $status; its journal is $share/journal, the test's words $share/log"
    tail -n 30 "$share/log" 2>/dev/null || tail -n 30 build/systemd/console.log
    failed=1
fi
echo "container: $((SECONDS - began)) s"
exit "$failed"
