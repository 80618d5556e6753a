"""Why a plugin cannot be asked: what the daemon says of one whose stream nobody serves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eegd.errors import EegdError
from eegd.near import meant
from eegd.runtime_dir import served_streams

__all__ = ["why_absent"]

ANSWER_S = 2.0


def why_absent(directory: Path, name: str) -> str:
    """One sentence, with what can be done about it; also where no daemon runs."""
    from eegd.client import Client  # which imports us

    try:
        rows = Client(directory).ask("status", ANSWER_S)["status"]["plugins"]
    except (EegdError, KeyError):
        rows = []
    row = next((row for row in rows if row.get("name") == name), None)
    if row is None:
        there = served_streams(directory)
        return f"no plugin {name!r} runs here{meant(name, there)}; there are the streams {', '.join(there) or 'none'}"
    return f"plugin {name!r} {_state_of(row)}"


def _state_of(row: Mapping[str, Any]) -> str:
    state, error = row.get("state"), row.get("last_error") or "nobody knows why"
    again = f"`eegctl plugin restart {row['name']}` starts it again"
    if state == "held":
        mended = " once that is mended" if row.get("refused") else ""
        return f"is held {_since(row)}: {error}; {again}{mended}"
    if state == "restarting":
        seconds = row.get("restart_in_s") or 0.0
        return f"has died: {error}; it is started again in {seconds:.1f} s, after {row.get('restarts', 0)} restarts"
    if state == "ended":
        return f"has ended in order {_since(row)}; {again}"
    return f"is {state} {_since(row)}, and its stream is not there; try again in a moment"


def _since(row: Mapping[str, Any]) -> str:
    """`since 14:03:22 (12 s)`"""
    seconds = float(row.get("state_s") or 0.0)
    return f"since {time.strftime('%H:%M:%S', time.localtime(time.time() - seconds))} ({seconds:.0f} s)"
