"""How many of a program's lines are handed on: one that floods must not fill the log, nor keep the loop from others."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Flow"]


class Flow:
    """Lets so many pass in each second that begins with one that comes, and counts the others."""

    def __init__(self, per_s: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._now_s = now_s
        self._began_s = -1.0
        self._n_passed = 0
        self._n_stopped = 0

    def passes(self) -> bool:
        """One more comes."""
        now_s = self._now_s()
        if now_s - self._began_s >= 1.0:
            self._began_s, self._n_passed = now_s, 0
        self._n_passed += 1
        if self._n_passed <= self._per_s:
            return True
        self._n_stopped += 1
        return False

    def take_stopped(self) -> int:
        """How many did not pass since the last call."""
        n, self._n_stopped = self._n_stopped, 0
        return n
