#!/bin/bash
# SPDX-License-Identifier: MIT
# The C unit tests and the Python tests on aarch64, the processor of a Raspberry Pi 5, on a machine that has another
# one: a Debian for arm64, whose programs qemu-user translates. Then the C unit tests again with pages of 16 KiB, as
# the Pi 5's own kernel has them.
#
# What this shows: that compiler, headers, packages and arithmetic of aarch64 are no obstacle. What it cannot show:
# timing, priorities, memory order of a real processor, and the Pi's kernel. Tests that need those are skipped, with a
# line that says so (EEGD_EMULATED_CPU is set; see tests/conftest.py and tests/native/check.h).
#
# Run as root. Packages come from where this machine has its own from. The system stays in build/aarch64, with what
# was built in it: only the first run makes it, later ones copy the files that changed.
#   SUITE=trixie         which Debian; default: bookworm
#   PYTEST_ARGS="…"      for pytest, in place of the files of PYTHON_TESTS, such as "tests/unit -k lease"
#   ONLY="native"        only some of the steps native, pages, python
set -euo pipefail

SUITE=${SUITE:-bookworm}
ONLY=${ONLY:-native pages python}
# Of the tests of whole daemons, those on the virtual clock: they wait for nothing but what they ask for.
PYTHON_TESTS="tests/unit tests/simulation/test_001_replay.py tests/simulation/test_002_wiring.py"
PACKAGES=ca-certificates,gcc,git,libc6-dev,libffi-dev,libsystemd-dev,make,pkg-config,procps,python3,python3-dev,python3-venv
checkout=$(cd "$(dirname "$0")/../.." && pwd -P)
. "$checkout/tests/setup/debian.sh"

cache=$checkout/build/aarch64
root=$cache/root
log=$cache/log

say() { printf '\n== %s\n' "$*"; }
die() { printf 'aarch64: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "needs root, to change into the new system"

install_missing() {
    local pair missing=()
    for pair in mmdebstrap:mmdebstrap qemu-aarch64-static:qemu-user-static arch-test:arch-test git:git; do
        command -v "${pair%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} != 0 ] || return 0
    say "installing ${missing[*]}"
    { apt-get -q -y update && apt-get -q -y install --no-install-recommends "${missing[@]}"; } >/dev/null ||
        die "these packages could not be installed: ${missing[*]}"
}

# The kernel hands aarch64 programs to qemu. systemd-binfmt has told it so where it runs; else it is told here, and
# knows it until it is booted anew.
register_qemu() {
    local binfmt=/proc/sys/fs/binfmt_misc
    ! arch-test arm64 >/dev/null 2>&1 || return 0
    [ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt ||
        die "cannot mount $binfmt: does this kernel have binfmt_misc?"
    [ -e $binfmt/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register
    arch-test arm64 >/dev/null || die "the kernel does not start aarch64 programs, though qemu is registered"
}

make_root() {
    local sources key
    sources=$(debian_sources "$SUITE")
    [ -n "$sources" ] || die "apt on this machine knows no Debian sources to take $SUITE from"
    key=$(printf '%s\n' "$SUITE" "$PACKAGES" "$sources")
    if [ "$(cat "$cache/key" 2>/dev/null)" != "$key" ]; then
        say "a Debian $SUITE for arm64, some minutes"
        rm -rf --one-file-system "$cache"
        mkdir -p "$cache"
        mmdebstrap --quiet --mode=root --variant=minbase --architectures=arm64 --include="$PACKAGES" \
            --aptopt='Acquire::Check-Valid-Until "false"' "$SUITE" "$root" - <<<"$sources"
        printf '%s\n' "$key" >"$cache/key"
    fi
    copy_network_settings "$root"
}

# Copies what differs and removes what is gone, so that make builds anew only what it must.
sync_sources() {
    local there=$root/root/eegd name copied=0 wanted
    mkdir -p "$there"
    wanted=$(mktemp)
    working_tree "$checkout" | sort -z >"$wanted"
    while IFS= read -r -d '' name; do
        if [ -f "$checkout/$name" ] && ! cmp -s "$checkout/$name" "$there/$name"; then
            mkdir -p "$(dirname "$there/$name")"
            cp "$checkout/$name" "$there/$name"
            copied=$((copied + 1))
        elif [ ! -e "$checkout/$name" ]; then
            rm -f "$there/$name"
        fi
    done <"$wanted"
    # What was copied once and is no file of the project any more.
    [ ! -e "$cache/files" ] || comm -z -23 "$cache/files" "$wanted" | (cd "$there" && xargs -0 -r rm -f)
    mv "$wanted" "$cache/files"
    git -C "$checkout" log -1 --format="%h %s, and what is not committed; $copied files differed"
}

# The recordings that tests replay, for them beside the checkout as well.
copy_recordings() {
    [ -d "$checkout/../shared/data" ] || return 0
    mkdir -p "$root/root/shared"
    cp -rL "$checkout/../shared/data" "$root/root/shared/"
}

failed=()
summary=
step() { # name, what it is, command line
    case " $ONLY " in *" $1 "*) ;; *) return 0 ;; esac
    say "$2"
    local began=$SECONDS result=ok
    inside "$root" "$3" 2>&1 | tee "$log.$1" || { result=FAILED; failed+=("$1"); }
    summary+=$(printf '%-8s %-7s %5d s  %s' "$1" $result $((SECONDS - began)) "$(grep -E ' (passed|failed|error)' "$log.$1" | tail -n 1)")$'\n'
}

install_missing
register_qemu
make_root
say "the repository"
sync_sources
copy_recordings
rm -f "$log".*

emulated=
[ "$(uname -m)" = aarch64 ] || emulated="EEGD_EMULATED_CPU=qemu-user "
say "make setup"
inside "$root" "time make setup" || die "make setup failed"
step native "all C with warnings as errors, C unit tests" "${emulated}make check-c test-native"
step pages "C unit tests, pages of 16 KiB" "${emulated}QEMU_PAGESIZE=16384 make test-native"
# A test that hangs says where, after so many seconds.
pytest=".venv/bin/python -m pytest -q --durations=10 -o faulthandler_timeout=300"
step python "Python tests" "$emulated$pytest ${PYTEST_ARGS:-$PYTHON_TESTS}"

say "what was skipped"
cat "$log".* | grep -E '^(SKIPPED|skip )' | sort | uniq -c || echo nothing
say "aarch64, Debian $SUITE"
printf '%s' "$summary"
[ ${#failed[@]} = 0 ]
