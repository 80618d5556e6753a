#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs eegd for the whole system, or removes exactly what it installed. `make install` and `make uninstall` call it.
#
#   DESTDIR=DIR   put everything below DIR, as packages are made; nothing of the running system is touched then
#   PREFIX=/usr   where programs and the environment go; units, udev rules and the like always go to /usr/lib
#   PYTHON=...    interpreter of the environment, 3.11 to 3.13; default: as make setup chooses it
#
# $PREFIX/lib/eegd is a virtual environment of eegd's own, so that no other program's packages can change what it runs.
# Where it was built leaves no trace in it. What was installed is listed in $PREFIX/lib/eegd/installed.
set -eu
cd "$(dirname "$0")/.."

DESTDIR=${DESTDIR-}
PREFIX=${PREFIX:-/usr}
home=$PREFIX/lib/eegd
units=/usr/lib/systemd/system

say() { printf '%s\n' "$*" >&2; }
die() { say "install: $*"; exit 1; }

case $PREFIX in /*) ;; *) die "PREFIX=$PREFIX: an absolute path is wanted" ;; esac
case $DESTDIR in '' | /*) ;; *) die "DESTDIR=$DESTDIR: an absolute path is wanted" ;; esac

# ---- one file at a time, each noted ----

note() { printf '%s\n' "$1" >>"$DESTDIR$home/installed"; }

put() { # mode source target
    mkdir -p "$DESTDIR$(dirname "$3")"
    sed "s#@PREFIX@#$PREFIX#g" "$2" >"$DESTDIR$3"
    chmod "$1" "$DESTDIR$3"
    note "$3"
}

wrapper() { # name; the function of that name in eegd.cli.start
    # -P: a file in the current directory or beside the program must not stand in for a module.
    printf '#!%s/bin/python -P\nimport sys\n\nfrom eegd.cli.start import %s\n\nsys.exit(%s())\n' "$home" "$1" "$1" >"$scratch/$1"
    put 755 "$scratch/$1" "$PREFIX/bin/$1"
}

# ---- the environment ----

make_environment() {
    # Only pip is used of this one; to make it sees to a supported Python, its headers and a compiler.
    builder=build/install/venv
    mkdir -p build/install
    tools/make_venv.sh "$builder" "${PYTHON-}"
    rm -rf "$DESTDIR$home"
    mkdir -p "$DESTDIR$home"
    interpreter=$("$builder/bin/python" -c 'import os, sys; print(os.path.realpath(sys.executable))')
    "$interpreter" -m venv --without-pip "$DESTDIR$home"
    # A copy of the sources, so that nothing lying about in the checkout gets in.
    mkdir "$scratch/source"
    cp -R pyproject.toml setup.py README.md LICENSE native eegd plugins config "$scratch/source"
    rm -f "$scratch"/source/eegd/_native*
    find "$scratch/source" -name __pycache__ -prune -exec rm -rf {} +
    "$builder/bin/python" -m pip --python "$DESTDIR$home/bin/python" install --quiet --disable-pip-version-check \
        --no-compile --no-warn-script-location --use-pep517 "$scratch/source[daemon]"
    # What names the place of building, or is of no use here.
    find "$DESTDIR$home/bin" -mindepth 1 ! -name 'python*' -exec rm -rf {} +
    sed -i '/^command = /d' "$DESTDIR$home/pyvenv.cfg"
    find "$DESTDIR$home" -name direct_url.json -delete
    "$interpreter" -m compileall -q -s "$DESTDIR" "$DESTDIR$home/lib"
}

install_all() {
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    make_environment
    wrapper eegd
    wrapper eegctl
    put 644 systemd/eegd.service $units/eegd.service
    put 644 systemd/eegd-plugin@.service $units/eegd-plugin@.service
    put 644 systemd/sysusers.conf /usr/lib/sysusers.d/eegd.conf
    put 644 systemd/tmpfiles.conf /usr/lib/tmpfiles.d/eegd.conf
    put 644 systemd/udev.rules /usr/lib/udev/rules.d/60-eegd.rules
    for target in bash:bash-completion/completions/eegctl bash:bash-completion/completions/eegd \
        zsh:zsh/vendor-completions/_eegctl fish:fish/vendor_completions.d/eegctl.fish fish:fish/vendor_completions.d/eegd.fish; do
        "$DESTDIR$home/bin/python" -P -c "from eegd.cli.shells import SCRIPTS; print(SCRIPTS['${target%%:*}'], end='')" \
            >"$scratch/completion"
        put 644 "$scratch/completion" "$PREFIX/share/${target#*:}"
    done
    for page in docs/*.md; do
        put 644 "$page" "$PREFIX/share/doc/eegd/$(basename "$page")"
    done
    put 644 LICENSE "$PREFIX/share/doc/eegd/copyright"
    put 644 config/eegd.toml "$PREFIX/share/doc/eegd/eegd.toml"
    # Yours from the first moment: never overwritten, never removed.
    mkdir -p "$DESTDIR/etc/eegd/plugins"
    [ -e "$DESTDIR/etc/eegd/eegd.toml" ] || cp config/eegd.toml "$DESTDIR/etc/eegd/eegd.toml"
    [ -n "$DESTDIR" ] || tell_system
}

# For the running system; a package has its maintainer scripts.
tell_system() {
    [ "$(id -u)" = 0 ] || return 0
    systemd-sysusers /usr/lib/sysusers.d/eegd.conf
    systemd-tmpfiles --create /usr/lib/tmpfiles.d/eegd.conf
    [ -d /run/systemd/system ] || return 0
    systemctl daemon-reload
    ! command -v udevadm >/dev/null || { udevadm control --reload && udevadm trigger --subsystem-match=spidev --subsystem-match=gpio; } || :
    say "installed; now: systemctl enable --now eegd"
}

uninstall_all() {
    list=$DESTDIR$home/installed
    [ -e "$list" ] || die "$list: not there, so nothing was installed with PREFIX=$PREFIX DESTDIR=$DESTDIR"
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
        systemctl disable --now --quiet eegd.service 'eegd-plugin@*.service' || :
    fi
    while read -r path; do rm -f "$DESTDIR$path"; done <"$list"
    rm -rf "$DESTDIR$home"
    rmdir "$DESTDIR$PREFIX/share/doc/eegd" 2>/dev/null || :
    [ -n "$DESTDIR" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
    say "removed; /etc/eegd and /var/lib/eegd stay"
}

case ${1-} in
install) install_all ;;
uninstall) uninstall_all ;;
*) die "usage: packaging/install.sh install|uninstall" ;;
esac
