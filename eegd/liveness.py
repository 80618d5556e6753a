"""Whether a process that reports twice a second still lives, and where it was when it was made to say so."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["BEGIN_S", "SLOW", "Liveness", "Traceback"]

BEGIN_S = 60.0
"""What loading, start and stop may take at least: a plugin may have to read a large model."""
SLOW = ("start", "stop")
"""Methods that may."""


class Liveness:
    """Of one plugin process, as its reports tell it. Synchronization: none required.

    It lags behind its input without end when a call of the plugin's own code does not return, and says nothing at all
    when that code keeps the interpreter's lock, or when somebody has stopped it. An input that is silent is no lag.
    """

    def __init__(self, longest_step_s: float) -> None:
        """longest_step_s: what one step may add at most. So the time for which the daemon was itself stopped (Ctrl-Z)
        does not count, in which it could not have heard anything."""
        self._longest_step_s = longest_step_s
        self._stepped_s = time.monotonic()
        self._silent_s = 0.0
        self._method = ""
        self._frame: object = None
        self._busy_s = 0.0
        self._is_starting = True

    def heard(self, state: object, busy: object) -> None:
        """A report came. busy: the call that is going on (method, frame, seconds), if one is."""
        self._silent_s = 0.0
        self._is_starting = state == "starting"
        facts = busy if isinstance(busy, Mapping) else {}
        self._method = str(facts.get("method", ""))
        self._frame = facts.get("frame")
        seconds = facts.get("seconds", 0.0)
        self._busy_s = float(seconds) if isinstance(seconds, int | float) else 0.0

    def excuse(self) -> None:
        """Begins anew: somebody holds it on purpose."""
        self._silent_s = self._busy_s = 0.0

    def step(self) -> None:
        """Time goes on."""
        now_s = time.monotonic()
        self._silent_s += min(now_s - self._stepped_s, self._longest_step_s)
        self._stepped_s = now_s

    @property
    def without_answer_s(self) -> float:
        """In the call that it told of, and since then, as that call may still go on."""
        return self._busy_s + self._silent_s

    def hangs(self, after_s: float) -> str:
        """How, or nothing. after_s = 0: it never does."""
        slow = self._is_starting or self._method in SLOW
        elapsed_s = self.without_answer_s
        if not after_s or elapsed_s <= (max(after_s, BEGIN_S) if slow else after_s):
            return ""
        if not self._method:
            return f"no answer for {elapsed_s:.1f} s" + (" at its start" if self._is_starting else "")
        return f"no answer for {elapsed_s:.1f} s, in {self._method}" + (
            "" if self._frame is None else f" on frame {self._frame}"
        )


class Traceback:
    """Reads, from a dying process's lines, where its main thread was (as Python's faulthandler writes it)."""

    LINE = re.compile(r'\s*File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)')
    CALLER = "_guarded"
    """The function of eegd.plugin_loop that calls the plugin."""

    def __init__(self) -> None:
        self.where = ""
        """File, line and function of the plugin's own method; else of whatever ran."""
        self._lines: list[str] | None = None

    def read(self, line: str) -> bool:
        """Takes a line; True for the first one of a traceback."""
        if line.startswith("Fatal Python error"):
            return True
        if line.startswith("Current thread"):
            self._lines = []
        elif self._lines is not None and (at := self.LINE.match(line)):
            if at["function"] == self.CALLER and self._lines:
                self.where, self._lines = self._lines[-1], None
                return False
            self._lines.append(f"{Path(at['file']).name}:{at['line']} in {at['function']}")
            self.where = self._lines[0]
        else:
            self._lines = None
        return False
