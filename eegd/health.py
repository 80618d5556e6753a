"""What the service manager and the log are told about a running daemon: readiness, status, signs of life, losses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from eegd.losses import LossLog
from eegd.notify import Notifier, watchdog_interval_s

__all__ = ["Health", "Watched"]

log = logging.getLogger(__name__)

TICK_S = 0.5
POLL_S = 0.02
"""Between looks while the first frame is awaited."""
LOOKS_PER_WATCHDOG = 4


class Watched(Protocol):
    """What is looked at (eegd.acquisition.Acquisition)."""

    @property
    def progress(self) -> object:
        """Differs from the last look's when a frame was published meanwhile."""

    @property
    def n_published(self) -> int:
        """Frames of this stream epoch."""

    @property
    def accepts_readers(self) -> bool:
        """A stream epoch has begun."""

    @property
    def frames_are_due(self) -> bool:
        """False while readers are awaited or set the pace, while chips are set up or recovered, and at the end."""

    @property
    def is_changing(self) -> bool: ...
    @property
    def losses(self) -> Mapping[str, int]: ...
    @property
    def stream(self) -> str: ...


class Health:
    """Control thread only: that it gets to look at all is the first sign of life.

    Ready means that the first frame was published, or, where conversions wait for readers, that readers can attach:
    those may themselves wait for a service that is ready. A sign of life is given only while frames come, or none are
    due: a capture thread that hangs is ended by the service manager, an unplugged board is the recovery's affair.
    """

    def __init__(self, notifier: Notifier, watched: Sequence[Watched], status: Callable[[], str]) -> None:
        """watched: one for each of the board's clocks; all of them have to be well."""
        self._notifier = notifier
        self._watched = watched
        self._status = status
        self._losses = [LossLog(one.stream) for one in watched]
        self._waits_for_readers = False
        self._reloading = False
        self._progress: list[object] = [None] * len(watched)
        watchdog_s = watchdog_interval_s()
        self._tick_s = TICK_S if watchdog_s is None else min(TICK_S, watchdog_s / LOOKS_PER_WATCHDOG)

    async def run(self, wait_readers: int = 0) -> None:
        """Looks until it is cancelled."""
        self._waits_for_readers = wait_readers > 0
        while True:
            self.look()
            await asyncio.sleep(self._tick_s if self._notifier.is_ready else min(POLL_S, self._tick_s))

    def reload(self) -> None:
        """One begins; it is over with the first look that finds no change under way."""
        if self._notifier.is_ready:  # else READY would be taken for the end of the start
            self._reloading = True
            self._notifier.reloading()

    def look(self) -> None:
        status = self._status()
        if not self._notifier.is_ready:
            if all(one.n_published or (self._waits_for_readers and one.accepts_readers) for one in self._watched):
                self._notifier.ready(status)
        elif self._reloading and not any(one.is_changing for one in self._watched):
            self._reloading = False
            self._notifier.ready(status)
        self._notifier.status(status)
        before, self._progress = self._progress, [one.progress for one in self._watched]
        pairs = zip(self._watched, before, self._progress, strict=True)
        if all(then != now or not one.frames_are_due for one, then, now in pairs):
            self._notifier.alive()
        self._look_for_losses()

    def _look_for_losses(self) -> None:
        for one, losses in zip(self._watched, self._losses, strict=True):
            losses.look(one.losses, time.monotonic())

    def end(self) -> None:
        """The last look, when the last frame was published."""
        self._look_for_losses()
        for losses in self._losses:
            losses.end()

    def sum_up(self, summary: str) -> None:
        """The last line, with what each cause has cost all streams together."""
        totals: Counter[str] = Counter()
        for one in self._watched:
            totals.update(one.losses)
        causes = " ".join(cause for cause, n in totals.items() if n)
        streams = " ".join(one.stream for one in self._watched)
        fields = {"EEGD_STREAM": streams, "EEGD_LOST": totals.total(), "EEGD_CAUSE": causes}
        log.info("stopped: %s", summary, extra=fields)
