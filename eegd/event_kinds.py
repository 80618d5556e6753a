"""The kinds of events that the daemon makes, and those that programs may post. docs/events.md explains them."""

from __future__ import annotations

import re

__all__ = ["DAEMON_KINDS", "check_posted_kind"]

DAEMON_KINDS = frozenset(
    (
        *("missed", "bad", "late", "overrun", "stalled", "board failed", "clock relocked", "channel state"),
        *("epoch", "recovery", "reconfiguration failed", "replay over", "stopped", "check"),
        *("reader attached", "reader left", "reader missed", "alarm"),
        *("plugin started", "plugin ended", "plugin died", "plugin hung", "plugin held"),
        *("plugin added", "plugin removed"),
        *("trigger", "stream value", "edges lost", "line failed", "events dropped"),
    )
)
"""Made by the daemon alone. It makes `marker` and `detection`, too, but these a program may post as well."""

KIND = r"[a-z][a-z0-9_-]*( [a-z0-9_-]+)*"
MAX_KIND = 40


def check_posted_kind(kind: str) -> str:
    """The kind, if a program may post it. ValueError says what is allowed."""
    if kind in DAEMON_KINDS:
        raise ValueError(f"kind {kind!r}: only the daemon makes these; marker, detection or a word of your own")
    if len(kind) > MAX_KIND or not re.fullmatch(KIND, kind):
        raise ValueError(f"kind {kind!r:.40}: short lower-case words, at most {MAX_KIND} characters, such as marker")
    return kind
