# SPDX-License-Identifier: MIT
"""What the kernel tests need of the machine that they run on: Debian packages, root for two commands, folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["BUILD", "ROOT", "HostError", "as_root", "ensure_tools", "run", "say"]

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "kernel"

# Command that must be there -> Debian package that brings it.
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "depmod": "kmod",
    "mke2fs": "e2fsprogs",
    "make": "make",
    "gcc": "gcc",
    "xz": "xz-utils",
    "setpriv": "util-linux",
}
BIOS = Path("/usr/share/seabios/bios-256k.bin")


class HostError(Exception):
    """This machine cannot run the kernel tests; the text says what is missing and the remedy."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], **options: object) -> str:
    """Runs a command and returns its output; HostError with the last lines of it when it fails."""
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise HostError(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{tail}")
    return str(done.stdout)


def as_root() -> list[str]:
    """What stands before a command that only root may run."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        raise HostError("making the guest's root file system needs root, and there is no sudo: run it as root")
    return ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]


def missing_packages(path: str | None = None, bios: Path = BIOS) -> list[str]:
    """Debian packages whose commands are not to be found."""
    # depmod and mke2fs live where the path of an ordinary user does not lead.
    places = path if path is not None else f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    names = {package for tool, package in TOOLS.items() if shutil.which(tool, path=places) is None}
    return sorted(names | (set() if bios.exists() else {"seabios"}))


def ensure_tools() -> None:
    """Installs what is missing; HostError that names it where that is impossible."""
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = missing_packages()
    if not missing:
        return
    remedy = f"As root: apt-get install --no-install-recommends {' '.join(missing)}"
    if shutil.which("apt-get") is None:
        raise HostError(
            f"missing: {', '.join(missing)}; this system has no apt-get, and the tests need Debian's kernel"
        )
    say(f"installing Debian packages: {' '.join(missing)}")
    apt = [*as_root(), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    try:
        run([*apt, "update"])
        run([*apt, "install", "--no-install-recommends", *missing])
    except HostError as error:
        raise HostError(f"{error}\nThese Debian packages are missing: {' '.join(missing)}\n{remedy}") from error
    if still := missing_packages():
        raise HostError(f"installed, but their commands are not found: {' '.join(still)}")
