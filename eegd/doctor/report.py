"""The doctor's report as JSON types, and its last line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eegd.doctor.check import Level, Result

__all__ = ["as_json", "summary"]


def as_json(results: Sequence[Result], remarks: Sequence[str]) -> dict[str, Any]:
    """One object per result, in order; `ok` is what the exit code says."""
    rows = [
        {
            "group": result.group,
            "check": result.check,
            "level": result.level.value,
            "found": result.found,
            "why": result.why,
            "mend": result.mend,
            "fixable": result.fix is not None,
            "changed": result.changed,
        }
        for result in results
    ]
    return {"ok": not any(result.level is Level.RED for result in results), "checks": rows, "remarks": list(remarks)}


def summary(results: Sequence[Result]) -> str:
    """`14 ok, 2 notes, 1 warning, 1 red`"""
    n = {level: sum(result.level is level for result in results) for level in Level}
    parts = [f"{n[Level.OK]} ok"]
    for level, word in ((Level.NOTE, "note"), (Level.WARN, "warning")):
        if n[level]:
            parts.append(f"{n[level]} {word}{'s' * (n[level] > 1)}")
    if n[Level.RED]:
        parts.append(f"{n[Level.RED]} red")
    if any(result.fix is not None for result in results):
        parts.append("--fix mends some of it")
    return ", ".join(parts)
