# SPDX-License-Identifier: MIT
"""Builds `eegd._native`, the C core, with cffi in API mode.

The declarations that Python may use are read from the C headers themselves, so that there is no second copy.
`python native/build.py` compiles in place; setuptools calls `ffibuilder` through `cffi_modules`.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import cffi
from setuptools import Distribution
from setuptools.errors import CompileError

NATIVE = Path(__file__).resolve().parent
ROOT = NATIVE.parent

# What Python may see, in order of use. Headers with atomics are not for Python and not listed.
HEADERS = [
    "descriptor.h",
    "board.h",
    "ads1299.h",
    "ring.h",
    "counters.h",
    "clock.h",
    "segment.h",
    "libzmq.h",
    "outlet.h",
    "derived.h",
    "inlet.h",
    "change.h",
    "detect.h",
    "capture.h",
    "pattern.h",
    "source.h",
    "synth.h",
    "chip.h",
    "board_sim.h",
    "board_linux.h",
    "dsp/sos.h",
    "dsp/dwt.h",
    "dsp/energy.h",
    "dsp/trip.h",
    "dsp/latest.h",
    "dsp/history.h",
    "dsp/stages.h",
    "dsp/wavelet.h",
]
# No fused multiply-add, which aarch64 has and x86-64 by default has not: a recording gives the same bits on both.
FLAGS = ["-std=gnu11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-fvisibility=hidden"]


def declarations(header: Path) -> str:
    """The header's text with everything dropped that cffi cannot read: directives and comments."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.S)
    kept = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.lstrip().startswith("#") or re.fullmatch(r"#define\s+\w+\s+-?\w+\s*", line):
            kept.append(line)
    return "\n".join(kept)


def make_builder() -> cffi.FFI:
    builder = cffi.FFI()
    for header in HEADERS:
        builder.cdef(declarations(NATIVE / header))
    builder.set_source(
        "eegd._native",
        "".join(f'#include "{header}"\n' for header in HEADERS),
        sources=[str(path.relative_to(ROOT)) for path in sorted(NATIVE.rglob("*.c"))],
        depends=[str(path.relative_to(ROOT)) for path in sorted(NATIVE.rglob("*.h"))],
        include_dirs=[str(NATIVE)],
        extra_compile_args=FLAGS,
        libraries=["dl", "m", "pthread"],
    )
    return builder


ffibuilder = make_builder()


def compile_in_place() -> None:
    """Puts the extension into eegd/ in one step, so that a program which runs keeps the one it has loaded."""
    # Through setuptools as `pip install` does it: the same name (abi3), hence never two cores side by side.
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(prefix="eegd-build-") as scratch:
        command = Distribution({"name": "eegd", "cffi_modules": ["native/build.py:ffibuilder"]}).get_command_obj(
            "build_ext"
        )
        command.build_lib = command.build_temp = scratch
        command.ensure_finalized()
        command.run()
        [built] = map(Path, command.get_outputs())
        fresh = ROOT / "eegd" / f".{built.name}.{os.getpid()}"
        shutil.copyfile(built, fresh)
        for stale in ROOT.glob("eegd/_native*.so"):
            if stale.name != built.name:
                stale.unlink()
        fresh.replace(ROOT / "eegd" / built.name)


if __name__ == "__main__":
    try:
        compile_in_place()
    except CompileError:
        sys.exit("native/build.py: the C core does not compile; the compiler says above where")
