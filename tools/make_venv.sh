#!/bin/sh
# SPDX-License-Identifier: MIT
# Sees to it that the virtual environment exists: made in this very checkout, by a Python that eegd supports,
# on a system that can build the C core. Does nothing, within milliseconds, when that is so already.
#
# usage: tools/make_venv.sh VENV [PYTHON]
set -eu

venv=$1
asked=${2-}
made=$venv/.made             # two lines: the checkout, and PYTHON as it was asked for; written last
installing=$venv/.installing # there while this or pip is at work; left behind by an interruption

say() { printf '%s\n' "$*" >&2; }
die() { say "setup: $*"; exit 1; }

is_complete() {
    [ -f "$made" ] && [ -x "$venv/bin/python" ] && [ ! -e "$installing" ] || return 1
    { read -r checkout && read -r by; } <"$made" || return 1
    [ "$checkout" = "$PWD" ] && { [ -z "$asked" ] || [ "$asked" = "$by" ]; }
}

# "3.11" for a Python that starts, else nothing.
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || :; }

is_supported() { case $(version_of "$1") in 3.11 | 3.12 | 3.13) ;; *) return 1 ;; esac }

# Prints the Python to use; nothing when the system has none at all.
choose_python() {
    if [ -n "$asked" ]; then
        found=$(version_of "$asked")
        [ -n "$found" ] || die "PYTHON=$asked does not start"
        is_supported "$asked" || die "PYTHON=$asked is Python $found; eegd needs 3.11, 3.12 or 3.13"
        command -v "$asked"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11; do
        if is_supported "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    found=$(version_of python3)
    [ -z "$found" ] || die "python3 is Python $found; eegd needs 3.11, 3.12 or 3.13:" \
        "say which by make setup PYTHON=/path/to/python3.13"
}

# Prints the Debian packages whose content cannot be found, by looking for the content, since compilers and
# Pythons also come from elsewhere.
missing_packages() {
    command -v "${CC:-cc}" >/dev/null || echo gcc
    printf '#include <stdio.h>\n' | "${CC:-cc}" -E -x c - >/dev/null 2>&1 || echo libc6-dev
    command -v pkg-config >/dev/null || echo pkg-config
    pkg-config --exists libsystemd 2>/dev/null || echo libsystemd-dev
    if [ -z "$python" ]; then
        echo "python3 python3-dev python3-venv"
        return
    fi
    # A Debian Python's packages carry its version; any other Python brings these parts itself or not at all.
    name=$("$python" -c 'import sys, os
path = os.path.realpath(sys.executable)
print("python%d.%d" % sys.version_info[:2] if path.startswith("/usr/bin/") else "-")')
    "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || part "$name" dev "its headers (Python.h)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || part "$name" venv "the modules venv and ensurepip"
}

part() { # python3.11 dev "what is missing"
    [ "$1" != - ] || die "$python comes without $3, and it is not one of Debian's"
    echo "$1-$2"
}

install_packages() { # names
    command -v apt-get >/dev/null || refuse "$*" "this system has no apt-get"
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || refuse "$*" "you are not root and there is no sudo"
        as_root=sudo
        [ -t 0 ] || as_root="sudo -n" # nobody is there to type a password
    fi
    say "installing Debian packages: $*"
    log=$(mktemp)
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y"
    if { $apt update && $apt install --no-install-recommends "$@"; } >"$log" 2>&1; then
        rm -f "$log"
        return
    fi
    tail -n 15 "$log" >&2
    rm -f "$log"
    refuse "$*" "${as_root:+$as_root }apt-get failed, see above"
}

refuse() { # names, reason
    names=$(echo $1) # on one line
    die "these Debian packages are missing: $names
       They could not be installed: $2.
       As root: apt-get install $names
       Then run make again."
}

cd "$(dirname "$0")/.."
PWD=$(pwd -P)
! is_complete || exit 0

python=$(choose_python)
missing=$(missing_packages)
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # words are package names
    install_packages $missing
    python=$(choose_python)
    missing=$(missing_packages)
    [ -z "$missing" ] || refuse "$missing" "apt-get says that they are there, but their content is not found"
fi

[ ! -e "$installing" ] || say "an earlier setup was interrupted: starting $venv afresh"
if [ -z "$asked" ] && [ ! -e "$made" ] && [ ! -e "$installing" ] && is_supported "$venv/bin/python" &&
    "$venv/bin/python" -c "import pip, sys; sys.exit(sys.prefix != '$PWD/$venv')" 2>/dev/null; then
    say "using the $venv that is there"
else
    say "creating $venv with $("$python" --version) ($python) …"
    rm -rf "$venv"
    mkdir "$venv"
    touch "$installing"
    "$python" -m venv "$venv"
fi
printf '%s\n%s\n' "$PWD" "${asked:-$python}" >"$made"
rm -f "$installing"
