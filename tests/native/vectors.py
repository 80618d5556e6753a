#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Did the loops of the signal blocks become vectors? objdump tells which instructions each line was compiled to.

GCC makes vectors where it can, and scalar code without a word where it cannot. A function of HOT passes when each of
its lines that calculates has instructions for several values at once, in each version that was built: on x86-64 one
for SSE2 and one for AVX2 (native/dsp/vector.h), on aarch64 one for NEON. Scalar instructions beside them are for the
last few values of a row. Nowhere may a multiplication and an addition be fused: that would give other bits.

`make test-native` runs a copy of this beside the library of the C unit tests. By hand:

    tests/native/vectors.py --lines build/plain/libeegd.a    and what each line became
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Hot:
    """A function whose loops must be vectors."""

    file: str
    function: str
    kinds: tuple[str, ...]  # of instructions that it must have
    scalar: str = ""  # lines that may be scalar: what is left over of a row
    cloned: bool = True  # built for each kind of vector


LIFTING = ("multiply", "add")
HOT = [
    Hot("sos.c", "turn", ("turn",)),
    Hot("sos.c", "enter", ("convert",), scalar=r"tile\[t\]\.lane"),
    Hot("sos.c", "is_finite", ("add",)),
    Hot("sos.c", "run_section", LIFTING),
    Hot("sos.c", "leave", ("convert",), scalar=r"\(float\)tile"),
    Hot("dwt.c", "take_off", ("add",)),
    Hot("dwt.c", "split", ("turn",)),
    Hot("dwt.c", "haar_forward", LIFTING),
    Hot("dwt.c", "cdf53_forward", LIFTING),
    Hot("dwt.c", "db2_forward", LIFTING),
    Hot("dwt.c", "put_back", ("add", "convert")),
    Hot("dwt.c", "haar_inverse", LIFTING),
    Hot("dwt.c", "cdf53_inverse", LIFTING),
    Hot("dwt.c", "db2_inverse", LIFTING),
    Hot("dwt.c", "interleave", ("turn",)),
    Hot("energy.c", "sum_of_squares", ("convert", "multiply", "add"), scalar=r"sum \+="),
    Hot("energy.c", "largest_magnitude", ("largest",)),
    Hot("ads1299.c", "four_channels", ("convert", "multiply"), cloned=False),
    Hot("ads1299.c", "decode_tiles", ("turn",), cloned=False),
]

# Kinds of instructions, as objdump spells them with their operands.
X86_64 = {
    "multiply": r"v?mulp[sd] ",
    "add": r"v?(add|sub)p[sd] ",
    "convert": r"v?cvt(ps2pd|pd2ps|dq2ps)[xy]? ",
    "turn": r"v?(unpck|punpck|shufp|pshuf|perm)\w+ ",
    "largest": r"v?(pcmpgtd|pmaxsd) ",
    "scalar": r"v?((mul|add|sub|div)s[sd]|cvts[sd]2s[sd]) ",
    "fused": r"vfn?m(add|sub)\w+ ",
}
AARCH64 = {
    "multiply": r"fmul v\d+\.(4s|2d)",
    "add": r"f(add|sub) v\d+\.(4s|2d)",
    "convert": r"(fcvt[ln]|scvtf).* v\d+\.(4s|2d)",
    "turn": r"(zip|uzp|trn|tbl|ext|ld2|st2)\d? .*v\d+\.(4s|2d|16b)",
    "largest": r"(smax|cmgt) v\d+\.4s",
    "scalar": r"(fn?mul|fadd|fsub|fdiv|fcvt) [sd]\d+",
    "fused": r"(fn?m(add|sub)|fml[as]\w*) ",
}
MACHINES = {"x86-64": X86_64, "aarch64": AARCH64}
NARROW = ("turn", "scalar", "fused")  # of any width also for AVX2; the rest counts at its full width only

Lines = dict[tuple[str, int, str], Counter[str]]  # source file, line, version: how many of each kind


def machine_of(library: Path) -> str:
    found = re.search(r"file format elf64-(?:little)?(x86-64|aarch64)", objdump(library, "-f"))
    return found[1] if found else "unknown"


def objdump(library: Path, *options: str) -> str:
    return subprocess.run(
        ["objdump", *options, str(library)], check=True, capture_output=True, text=True, errors="replace"
    ).stdout


def version_of(symbol: str) -> str:
    """Of a symbol such as `forward_row.avx2` or `enter.default.part.0`; empty: there is one version only."""
    return next((part for part in symbol.split(".") if part in ("avx2", "default")), "")


def classify(library: Path) -> Lines:
    """All instructions of a library, by source line and version. Needs debugging information."""
    kinds = {kind: re.compile(pattern) for kind, pattern in MACHINES[machine_of(library)].items()}
    lines: Lines = defaultdict(Counter)
    place, version = ("", 0), ""
    for text in objdump(library, "-dl", "--no-show-raw-insn").splitlines():
        if found := re.match(r"[0-9a-f]+ <(.+)>:$", text):
            place, version = ("", 0), version_of(found[1])
        elif found := re.match(r"(/.+):(\d+)(?: \(discriminator \d+\))?$", text):
            place = (found[1], int(found[2]))
        elif found := re.match(r"\s+[0-9a-f]+:\s+(\S.*)", text):
            instruction = re.sub(r"\s+", " ", found[1]) + " "
            for kind, pattern in kinds.items():
                if pattern.match(instruction):
                    wide = version != "avx2" or kind in NARROW or re.search(r"%ymm|^\w+y ", instruction)
                    lines[*place, version][kind if wide else "half"] += 1
    return lines


def lines_of(source: Path, function: str) -> range:
    """From a function's name, at its definition, to its closing brace in the first column; empty: it is not there."""
    text = source.read_text(encoding="utf-8").splitlines()
    for first, line in enumerate(text):
        if re.match(rf"(?!\s).*\b{function}\(", line) and not line.endswith(";"):
            return range(first + 1, first + 2 + text[first:].index("}"))
    return range(0)


def versions_of(machine: str, hot: Hot) -> tuple[str, ...]:
    has_clones = machine == "x86-64" and platform.libc_ver()[0] == "glibc" and hot.cloned
    return ("default", "avx2") if has_clones else ("",)


def judge(hot: Hot, source: Path, version: str, lines: Lines) -> tuple[Counter[str], list[str]]:
    """What one version of a function has of each kind, and what is wrong with it."""
    total: Counter[str] = Counter()
    wrong = []
    text = source.read_text(encoding="utf-8").splitlines()
    numbers = lines_of(source, hot.function)
    if not numbers:
        return total, [f"{source} does not define it"]
    for number in numbers:
        found = lines.get((str(source), number, version), Counter())
        total += found
        scalar_only = found["scalar"] and not any(found[kind] for kind in hot.kinds)
        line = text[number - 1].strip()
        # What is done last may be counted to the closing brace.
        if scalar_only and line != "}" and not (hot.scalar and re.search(hot.scalar, line)):
            wrong.append(f"line {number} is scalar: {line}")
    wrong += [f"no instruction of kind {kind!r} for several values" for kind in hot.kinds if not total[kind]]
    return total, wrong


def why_not(library: Path) -> str:
    """Why this library cannot be judged; empty: it can."""
    if not shutil.which("objdump"):
        return "objdump is not installed (package binutils)"
    if machine_of(library) not in MACHINES:
        return f"it is not known which instructions are vectors on {platform.machine()}"
    if b"GCC: (" not in library.read_bytes():
        return "not compiled by GCC"
    return ""


def report(library: Path, each_line: bool) -> int:
    """Prints a verdict on each function in each version. Returns how many are not vectors."""
    machine, lines = machine_of(library), classify(library)
    sources = {Path(file).name: Path(file) for file, _, _ in lines if file}
    passed = failed = 0
    for hot in HOT:
        for version in versions_of(machine, hot):
            source = sources.get(hot.file)
            total, wrong = judge(hot, source, version, lines) if source else (Counter(), ["not in this library"])
            counts = ", ".join(f"{n} {kind}" for kind, n in total.items())
            print("FAIL" if wrong else "ok  ", hot.file, hot.function, version or machine, "-", counts)
            for reason in wrong:
                print(f"       {hot.file}: {hot.function}, {version or machine}: {reason}")
            if each_line and source:
                print_lines(source, hot, version, lines)
            failed, passed = failed + bool(wrong), passed + (not wrong)
    fused = [f"{file}:{line}" for (file, line, _), kinds in lines.items() if kinds["fused"]]
    print("FAIL" if fused else "ok  ", "nothing is fused", *fused)
    failed, passed = failed + bool(fused), passed + (not fused)
    print(f"{passed} checks passed, {failed} failed")
    return failed


def print_lines(source: Path, hot: Hot, version: str, lines: Lines) -> None:
    text = source.read_text(encoding="utf-8").splitlines()
    for number in lines_of(source, hot.function):
        if found := lines.get((str(source), number, version)):
            print(f"       {number}: {text[number - 1].strip()}   {dict(found)}")


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--lines"]
    library = Path(arguments[0]) if arguments else Path(__file__).with_name("libeegd.a")
    if reason := why_not(library):
        print(f"skip vectors of {library}: {reason}")
        return 0
    return 1 if report(library, "--lines" in sys.argv) else 0


if __name__ == "__main__":
    sys.exit(main())
