# SPDX-License-Identifier: MIT
"""Whether tests/native/vectors.py notices loops that did not become vectors, and what the extension was compiled to."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.native import vectors

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "eegd" / "_native.abi3.so"
FLAGS = ["-std=gnu11", "-O2", "-g", "-ffp-contract=off", "-I", str(ROOT / "native")]


@pytest.fixture(autouse=True)
def readable() -> None:
    if reason := vectors.why_not(EXTENSION):
        pytest.skip(reason)


def compiled(tmp_path: Path, name: str, text: str | None = None, flags: tuple[str, ...] = ()) -> Path:
    """An object file of a signal block, or of another text under its name."""
    source = tmp_path / name
    source.write_text(text or (ROOT / "native" / "dsp" / name).read_text(encoding="utf-8"), encoding="utf-8")
    built = source.with_suffix(".o")
    subprocess.run(["gcc", *FLAGS, *flags, "-c", str(source), "-o", str(built)], check=True)
    return built


def verdicts(library: Path, file: str) -> dict[str, list[str]]:
    """What is wrong with each hot function of one file, by `function version`."""
    machine, lines = vectors.machine_of(library), vectors.classify(library)
    [source] = {Path(path) for path, _, _ in lines if Path(path).name == file}
    return {
        f"{hot.function} {version}".strip(): vectors.judge(hot, source, version, lines)[1]
        for hot in vectors.HOT
        if hot.file == file
        for version in vectors.versions_of(machine, hot)
    }


@pytest.mark.parametrize("file", ["dwt.c", "energy.c", "sos.c"])
def test_a_block_as_it_is_has_vectors_in_every_version(tmp_path: Path, file: str) -> None:
    found = verdicts(compiled(tmp_path, file), file)
    assert found and not any(found.values()), found


@pytest.mark.parametrize("file", ["dwt.c", "energy.c", "sos.c"])
def test_a_block_compiled_without_vectors_is_noticed_in_every_version(tmp_path: Path, file: str) -> None:
    text = (ROOT / "native" / "dsp" / file).read_text(encoding="utf-8")
    # Behind the header's own pragma, which asks for them.
    text = text.replace(
        '#include "dsp/vector.h"\n',
        '#include "dsp/vector.h"\n#pragma GCC optimize("no-tree-vectorize", "no-tree-slp-vectorize")\n',
    )
    found = verdicts(compiled(tmp_path, file, text), file)
    # Written as vectors in the source: nothing that the compiler could leave out.
    by_hand = {name for name in found if name.split()[0] in ("turn", "enter", "leave")}
    assert found and all(found[name] for name in found.keys() - by_hand), found


def test_one_scalar_line_in_a_function_of_vectors_is_named(tmp_path: Path) -> None:
    text = (ROOT / "native" / "dsp" / "dwt.c").read_text(encoding="utf-8")
    # Each value needs the one before it.
    spoiled = text.replace("high[k] = -DB2_HIGH * d;", "high[k] = -DB2_HIGH * d + (k ? 0.5f * high[k - 1] : 0);")
    assert spoiled != text
    found = verdicts(compiled(tmp_path, "dwt.c", spoiled), "dwt.c")
    assert {name.split()[0] for name, wrong in found.items() if wrong} == {"db2_forward"}
    assert any("is scalar: high[k] = -DB2_HIGH" in reason for wrong in found.values() for reason in wrong), found


def test_a_function_that_is_gone_is_named(tmp_path: Path) -> None:
    text = (ROOT / "native" / "dsp" / "dwt.c").read_text(encoding="utf-8").replace("put_back(", "put_it_back(")
    found = verdicts(compiled(tmp_path, "dwt.c", text), "dwt.c")
    assert {name.split()[0] for name, wrong in found.items() if wrong} == {"put_back"}
    assert all("does not define it" in reason for wrong in found.values() for reason in wrong), found


def test_fused_instructions_are_noticed(tmp_path: Path) -> None:
    text = "double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }\n"
    flags = ("-mfma",) if vectors.machine_of(EXTENSION) == "x86-64" else ()
    library = compiled(tmp_path, "fused.c", text, flags)
    assert sum(kinds["fused"] for kinds in vectors.classify(library).values()) == 1


def test_nothing_in_the_extension_is_fused() -> None:
    lines = vectors.classify(EXTENSION)
    assert sum(kinds["scalar"] for kinds in lines.values()) > 0
    assert sum(kinds["fused"] for kinds in lines.values()) == 0
