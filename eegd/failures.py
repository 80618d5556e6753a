"""Frames on which a plugin raised: which of them are told, so that a thousand a second flood neither log nor events."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["TELL_EVERY_S", "Failure", "Failures"]

TELL_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Failure:
    """One of them."""

    frame_number: int
    place: Mapping[str, Any]
    """Where and when the frame's first sample lies, for an event."""
    text: str
    n: int = 1
    """How many since the last one that was told, this one included."""


class Failures:
    """The first is told at once, then one a second at most. Main thread of a plugin process."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._told_s = -TELL_EVERY_S
        self._untold: Failure | None = None

    def note(self, frame_number: int, place: Mapping[str, Any], text: str) -> Failure | None:
        """One more; what is to be told now, if anything."""
        n = 1 if self._untold is None else self._untold.n + 1
        self._untold = Failure(frame_number, place, text, n)
        return self.rest()

    def rest(self, *, over: bool = False) -> Failure | None:
        """The latest of those that were not told, once it is time, or where there will be no more. Costs nothing while
        all is well."""
        if self._untold is None:
            return None
        now_s = self._now_s()
        if now_s - self._told_s < TELL_EVERY_S and not over:
            return None
        told, self._untold, self._told_s = self._untold, None, now_s
        return told
