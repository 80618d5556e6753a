# SPDX-License-Identifier: MIT
"""A Debian kernel that is unpacked, not installed, and the emulated chips' module built for it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from tests.kernel.host import BUILD, ROOT, HostError, run, say

__all__ = ["Kernel", "ModuleError", "build_module", "kernel"]

MODULE = "eegd_chip.ko"
SOURCES = (ROOT / "tests" / "kernel" / "module", ROOT / "native")
# Of native/ only what runs in the kernel as it stands.
CHIP_SOURCES = ("chip*.[ch]", "pattern.[ch]")


class ModuleError(Exception):
    """The emulated chips' module cannot be built; the text is the compiler's."""


class Kernel:
    """An unpacked kernel: its release, its image, its modules and its headers."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        modules = next((tree / part for part in ("usr/lib/modules", "lib/modules") if (tree / part).is_dir()), None)
        if modules is None:
            raise HostError(f"{tree}: no lib/modules in it; remove it and run again")
        self.base = modules.parent.parent
        self.release = next(path.name for path in modules.iterdir())

    @property
    def image(self) -> Path:
        return self.tree / "boot" / f"vmlinuz-{self.release}"

    @property
    def headers(self) -> Path:
        return self.tree / "usr" / "src" / f"linux-headers-{self.release}"


def first_dependency(text: str, prefix: str) -> str:
    """The first package named `prefix`… that `apt-cache depends` lists."""
    found = re.search(rf"Depends: ({re.escape(prefix)}\S+)", text)
    if found is None:
        raise HostError(f"apt-cache knows no {prefix}*: is there a Debian package source, and was apt-get update run?")
    return found.group(1)


def package_names() -> list[str]:
    """Image, headers, common headers and kbuild of the release that the mirror has now: old ones leave it."""
    image = first_dependency(run(["apt-cache", "depends", "linux-image-amd64"]), "linux-image-")
    headers = image.replace("linux-image-", "linux-headers-").replace("-unsigned", "")
    needs = run(["apt-cache", "depends", headers])
    return [image, headers, first_dependency(needs, "linux-headers-"), first_dependency(needs, "linux-kbuild-")]


def kernel() -> Kernel:
    """The unpacked kernel below build/kernel/linux, downloaded the first time."""
    tree = BUILD / "linux"
    if not tree.is_dir():
        fetch(tree)
    return Kernel(tree)


def fetch(tree: Path) -> None:
    packages = BUILD / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    names = package_names()
    say(f"downloading {names[0]} and its headers …")
    run(["apt-get", "-q", "download", *names], cwd=packages)
    unfinished = tree.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    for name in names:
        for package in packages.glob(f"{name}_*.deb"):
            run(["dpkg", "-x", package, unfinished])
            package.unlink()
    found = Kernel(unfinished)
    correct_paths(found.headers / "Makefile", unfinished)
    run(["depmod", "-b", found.base, found.release])
    unfinished.rename(tree)
    correct_paths(Kernel(tree).headers / "Makefile", tree)


def correct_paths(makefile: Path, tree: Path) -> None:
    """Debian's headers name their common part by absolute path; it lies below `tree` here."""
    text = makefile.read_text(encoding="utf-8")
    makefile.write_text(re.sub(r"\S*(/usr/src/linux-headers-\S+-common)", rf"{tree}\1", text), encoding="utf-8")


def module_sources() -> list[Path]:
    """The module's own files and the chip model that it shares with the C core."""
    chip = [path for pattern in CHIP_SOURCES for path in sorted(SOURCES[1].glob(pattern))]
    return [*sorted(path for path in SOURCES[0].iterdir() if path.is_file()), *chip]


def digest(paths: list[Path]) -> str:
    """One name for the contents of files."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def build_module(linux: Kernel) -> Path:
    """The path of eegd_chip.ko, built where the sources have changed."""
    sources = module_sources()
    place = BUILD / "module"
    built, mark = place / MODULE, place / "sources"
    key = f"{linux.release} {digest(sources)}"
    if built.exists() and mark.exists() and mark.read_text(encoding="utf-8") == key:
        return built
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for source in sources:
        shutil.copy(source, place)
    say(f"building {MODULE} for Linux {linux.release} …")
    # Modules of 6.12 and later want the kernel's type information, which the headers lack.
    command = ["make", "-C", str(linux.headers), f"M={place}", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]
    try:
        output = run(command, env={**os.environ, "MAKEFLAGS": "", "MFLAGS": ""})
    except HostError as error:
        raise ModuleError(str(error)) from None
    if "warning:" in output:
        raise ModuleError(f"the module compiles with warnings:\n{output}")
    mark.write_text(key, encoding="utf-8")
    return built
