"""Pulses on an output line: only while armed, of one width, never closer together or more often than allowed."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from eegd.errors import BoardError
from eegd.output_line import OutputLine

__all__ = ["Limits", "Pulse", "Pulser"]

log = logging.getLogger(__name__)

MINUTE_NS = 60 * 10**9
MOST_KEPT = 256


@dataclass(frozen=True, slots=True)
class Limits:
    """How pulses may be. Immutable."""

    armed: bool
    width_ns: int
    refractory_ns: int
    """From the beginning of one pulse to the beginning of the next."""
    per_minute: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pulse that was asked for. Times on CLOCK_MONOTONIC."""

    cause_ns: int
    """When that happened for which it is."""
    asked_ns: int
    done_ns: int | None
    """The line was high; None: refused or failed."""
    why_not: str = ""
    width_ns: int = 0
    """How long it was to be."""


class Pulser:
    """Drives the line from a thread of its own, so that nobody waits for the width of a pulse.

    `fire`, `set_limits` and `taken` may be called from any thread. Closing ends a pulse that is on, and so does
    disarming; nothing else does.
    """

    def __init__(
        self,
        line: OutputLine,
        limits: Limits,
        clock: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC),
        after: Pulser | None = None,
    ) -> None:
        """after: on another line, the pulses of which count for refractory time and rate. Without one it begins as if
        there had just been a pulse: a process before this one may have been killed in it."""
        self._line = line
        self._limits = limits
        self._clock = clock
        self._changed = threading.Condition()
        self._asked: tuple[int, int, int] | None = None
        self._began: deque[int] = deque(after._began if after is not None else ())
        """Beginnings of the pulses of the last minute."""
        self._last_ns: int = after._last_ns if after is not None else clock()
        """The refractory time counts from here."""
        self._told: deque[Pulse] = deque(maxlen=MOST_KEPT)
        self._on = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulses", daemon=True)
        self._thread.start()

    def set_limits(self, limits: Limits) -> None:
        """Holds for what is asked for from then on; a pulse that is on keeps its width, but for disarming, which ends
        it."""
        with self._changed:
            self._limits = limits
            self._changed.notify_all()

    def fire(self, cause_ns: int) -> bool:
        """Asks for a pulse; never waits. False where it is refused: `taken` says why."""
        with self._changed:
            now_ns = self._clock()
            why_not = self._why_not(now_ns)
            if why_not:
                self._told.append(Pulse(cause_ns, now_ns, None, why_not))
                return False
            self._began.append(now_ns)
            self._last_ns = now_ns
            self._asked = (cause_ns, now_ns, self._limits.width_ns)
            self._on = True
            self._changed.notify_all()
            return True

    def _why_not(self, now_ns: int) -> str:
        limits = self._limits
        while self._began and now_ns - self._began[0] >= MINUTE_NS:
            self._began.popleft()
        if self._closing.is_set():
            return "the line is being given back"
        if not limits.armed:
            return "not armed"
        if self._on:
            return "a pulse is on"
        if now_ns - self._last_ns < limits.refractory_ns:
            return f"within {limits.refractory_ns / 1e6:g} ms of {'the one before' if self._began else 'the start'}"
        if len(self._began) >= limits.per_minute:
            return f"more than {limits.per_minute} a minute"
        return ""

    def taken(self) -> list[Pulse]:
        """What became of pulses that were asked for, since the last call; the latest 256."""
        with self._changed:
            told = list(self._told)
            self._told.clear()
        return told

    def wait_idle(self, timeout_s: float) -> bool:
        """Waits until no pulse is on."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._on, timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked is not None or self._closing.is_set())
                if self._asked is None:
                    return
                (cause_ns, asked_ns, width_ns), self._asked = self._asked, None
                if not self._limits.armed:  # since it was asked for
                    self._told.append(Pulse(cause_ns, asked_ns, None, "disarmed before it began"))
                    self._on = False
                    self._changed.notify_all()
                    continue
            done_ns: int | None = None
            why_not = ""
            try:
                self._line.set(True)
                done_ns = self._clock()
                with self._changed:
                    self._changed.wait_for(lambda: self._closing.is_set() or not self._limits.armed, width_ns / 1e9)
            except BoardError as error:
                why_not = str(error)
                log.error("%s", error)
            try:
                self._line.set(False)
            except BoardError as error:
                log.error("%s; it may be high still", error)
            with self._changed:
                self._told.append(Pulse(cause_ns, asked_ns, done_ns, why_not, width_ns))
                self._on = False
                self._changed.notify_all()

    def close(self) -> None:
        """Low, and given back."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join()
        self._line.close()
