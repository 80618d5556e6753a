"""The kinds of events: in which order they are told, and which ones the daemon alone may make."""

from __future__ import annotations

import re

__all__ = ["DAEMON_KINDS", "MARKER_KINDS", "check_posted_kind", "priority_of"]

FAULTS, MARKERS, DETECTIONS, REPORTS = range(4)
"""What is told first when several events wait."""

MARKER_KINDS = ("marker", "trigger")
DAEMON_KINDS = {
    **dict.fromkeys(("missed", "bad", "late", "overrun"), FAULTS),
    **dict.fromkeys(("stalled", "board failed", "clock relocked", "replay over", "channel state"), FAULTS),
    **dict.fromkeys(("epoch", "recovery", "reconfiguration failed", "alarm", "edges lost", "line failed"), FAULTS),
    **dict.fromkeys(("plugin died", "plugin held", "reader missed", "stopped"), FAULTS),
    "events dropped": FAULTS,
    "trigger": MARKERS,
    **dict.fromkeys(("reader attached", "reader left", "plugin started", "plugin ended", "check"), REPORTS),
    "stream value": REPORTS,
}
"""Kinds that only the daemon makes, each with its place. Kinds that programs may post are not here."""
POSTED_KINDS = {"marker": MARKERS, "detection": DETECTIONS, "stream": REPORTS}
"""Of the kinds that programs may post, those with a place of their own; others stand beside detections."""

KIND = r"[a-z][a-z0-9-]*( [a-z0-9-]+)*"
MAX_KIND = 32


def priority_of(kind: str) -> int:
    """0 is told first: losses and faults, then markers, detections, and what is reported regularly."""
    return DAEMON_KINDS.get(kind, POSTED_KINDS.get(kind, DETECTIONS))


def check_posted_kind(kind: str) -> str:
    """The kind, if a program may post it. ValueError says what is allowed."""
    if kind in DAEMON_KINDS:
        raise ValueError(f"kind {kind!r}: only the daemon makes these; marker, detection or a word of your own")
    if len(kind) > MAX_KIND or not re.fullmatch(KIND, kind):
        raise ValueError(f"kind {kind!r:.40}: short lower-case words, at most {MAX_KIND} characters, such as marker")
    return kind
