"""What a plugin's process tells by its report and its exit code. The report is checked: other people's code may write
there, too."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from eegd.schema import is_plain_value

__all__ = ["ENDED", "EXIT_FAILED", "EXIT_REFUSED", "read_report"]

ENDED = "ended"
"""The state that a plugin reports last when it ends in order; exit code 0 without it is a death like any other."""
EXIT_FAILED = 1
EXIT_REFUSED = 2
"""Asked for something that cannot be: starting again would not help."""
MAX_NAMES = 256


def read_report(line: str) -> dict[str, Any]:
    """What it says, with known names and of the right kinds; empty for what is no report."""
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(facts, dict):
        return {}
    return {name: facts[name] for name, is_good in KNOWN.items() if name in facts and is_good(facts[name])}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and is_plain_value(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _are_values(value: object) -> bool:
    return isinstance(value, dict) and len(value) <= MAX_NAMES and all(map(is_plain_value, value.values()))


def _are_names(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MAX_NAMES and all(map(_is_text, value))


def _are_counts(value: object) -> bool:
    return isinstance(value, dict) and len(value) <= MAX_NAMES and all(map(_is_count, value.values()))


def _is_call(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict):
        return False
    seconds, frame = value.get("seconds"), value.get("frame")
    return (
        _is_text(value.get("method"))
        and isinstance(seconds, int | float)
        and math.isfinite(seconds)
        and (frame is None or _is_count(frame))
    )


KNOWN: dict[str, Callable[[object], bool]] = {
    "state": _is_text,
    "busy": _is_call,
    "input": _is_text,
    **dict.fromkeys(("frames_in", "frames_out", "errors", "missed", "overruns"), _is_count),
    "set": _are_values,
    "readers": _are_names,
    "events": _are_counts,
}
