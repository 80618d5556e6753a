"""What a plugin's main thread is in: one of the plugin's own methods, or nothing that could take long."""

from __future__ import annotations

import time
from typing import NamedTuple

__all__ = ["Activity", "Call"]


class Call(NamedTuple):
    """One call of a method of the plugin."""

    method: str
    frame_number: int | None = None
    """The input frame that it works at."""


class Activity:
    """Written by the main thread, read by the control thread; one reference is all that they share."""

    def __init__(self, longest_step_s: float) -> None:
        """longest_step_s: what one look may add at most, so that a process that was stopped as a whole (Ctrl-Z) and
        goes on has not used that time."""
        self.call: Call | None = None
        self._longest_step_s = longest_step_s
        self._seen: Call | None = None
        self._seen_for_s = 0.0
        self._looked_s = time.monotonic()

    def enter(self, method: str, frame_number: int | None = None) -> Call | None:
        """A call begins; what `leave` has to be given when it ends, in whatever way. Main thread."""
        before, self.call = self.call, Call(method, frame_number)
        return before

    def leave(self, before: Call | None) -> None:
        self.call = before

    def look(self) -> tuple[Call | None, float]:
        """The call that is going on, and the seconds for which looks have found it there. Control thread."""
        now = time.monotonic()
        step_s, self._looked_s = min(now - self._looked_s, self._longest_step_s), now
        call = self.call
        self._seen_for_s = self._seen_for_s + step_s if call is not None and call is self._seen else 0.0
        self._seen = call
        return call, self._seen_for_s
