#!/bin/bash
# SPDX-License-Identifier: MIT
# What a newcomer does, on a system that has nothing yet: makes a minimal Debian (make, python3 and
# ca-certificates, root without sudo), clones this repository into an empty directory there, and runs `make test`
# and, for a few seconds and without a terminal, `make run`. The system is removed at the end.
#
# Run as root, with mmdebstrap installed. Packages come from where this machine has its own from.
#   SUITE=trixie     which Debian; default: bookworm
#   WORKTREE=1       the working tree as it is, with what is not committed, instead of a clone
#   RUN_SECONDS=8    how long `make run` runs before it is interrupted; 0 leaves it out
#   KEEP=1           leave the system in place and say where
set -euo pipefail

SUITE=${SUITE:-bookworm}
RUN_SECONDS=${RUN_SECONDS:-8}
checkout=$(cd "$(dirname "$0")/../.." && pwd -P)
. "$checkout/tests/setup/debian.sh"

say() { printf '\n== %s\n' "$*"; }
die() { printf 'fresh_debian: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "needs root, to change into the new system"
for program in mmdebstrap unshare chroot git; do
    command -v "$program" >/dev/null || die "needs $program (as root: apt-get install mmdebstrap git)"
done

root=$(mktemp -d "${TMPDIR:-/tmp}/eegd-fresh.XXXXXX")
chmod 755 "$root"
finish() {
    # Everything was mounted in a mount namespace that is gone by now; --one-file-system is the second lock.
    if [ -n "${KEEP-}" ]; then echo "left in place: $root"; else rm -rf --one-file-system "$root"; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

sources=$(debian_sources "$SUITE")
[ -n "$sources" ] || die "apt on this machine knows no Debian sources to take $SUITE from"

say "a minimal Debian $SUITE"
mmdebstrap --quiet --mode=root --variant=minbase --include=make,python3,ca-certificates \
    --aptopt='Acquire::Check-Valid-Until "false"' "$SUITE" "$root" - <<<"$sources"
copy_network_settings "$root"
[ ! -e "$root/usr/bin/sudo" ] || die "the new system has sudo, which this test must do without"

say "the repository"
mkdir -p "$root/root/eegd"
if [ -n "${WORKTREE-}" ]; then
    working_tree "$checkout" |
        tar -C "$checkout" --null --ignore-failed-read -T - -cf - | tar -C "$root/root/eegd" --no-same-owner -xf -
    echo "the working tree, $(find "$root/root/eegd" -type f | wc -l) files"
else
    git clone --quiet "$checkout" "$root/root/eegd"
    git -C "$root/root/eegd" log -1 --format='%h %s'
fi

say "make test"
inside "$root" "time make test" || die "make test failed"

say "make test again"
inside "$root" "time make setup" || die "make setup failed the second time"

if [ "$RUN_SECONDS" != 0 ]; then
    say "make run, no terminal, interrupted after $RUN_SECONDS s"
    log=$root/root/run.log
    status=0
    inside "$root" "timeout --signal=INT --kill-after=20 $RUN_SECONDS make run" </dev/null 2>&1 | tee "$log" || status=$?
    [ "$status" != 137 ] || die "make run did not end within 20 s of being interrupted"
    grep -q 'samples, 0 lost' "$log" || die "make run printed no summary that says \"… samples, 0 lost\""
    [ "$(grep -c . "$log")" -ge "$((RUN_SECONDS / 2))" ] || die "make run printed fewer than a line every two seconds"
fi
say "Debian $SUITE: all well"
