"""Lost samples in the log: the first at once, those that follow in one line a minute."""

from __future__ import annotations

import logging
from collections.abc import Mapping

__all__ = ["WINDOW_S", "LossLog"]

log = logging.getLogger(__name__)

WINDOW_S = 60.0


class LossLog:
    """One stream's. `look` is given how many samples each cause has cost so far. Control thread only."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._known: dict[str, int] = {}
        self._untold: dict[str, int] = {}
        self._window_end_s: float | None = None
        """Until then losses are only summed; None: the next one is told at once."""

    def look(self, totals: Mapping[str, int], now_s: float) -> None:
        for cause, total in totals.items():
            n = total - self._known.get(cause, 0)
            self._known[cause] = total
            if n > 0:
                self._untold[cause] = self._untold.get(cause, 0) + n
        if self._window_end_s is None:
            if self._untold:
                self._tell("", now_s)
        elif now_s >= self._window_end_s:
            self._window_end_s = None
            if self._untold:
                self._tell("last minute: ", now_s)

    def end(self) -> None:
        """Tells what is left."""
        if self._untold:
            self._tell("since then: ", 0.0)
        self._window_end_s = None

    def _tell(self, when: str, now_s: float) -> None:
        n = sum(self._untold.values())
        causes = ", ".join(f"{count} {cause}" for cause, count in self._untold.items())
        log.warning(
            "%s%d sample%s lost: %s",
            when,
            n,
            "" if n == 1 else "s",
            causes,
            extra={"EEGD_STREAM": self._stream, "EEGD_LOST": n, "EEGD_CAUSE": " ".join(self._untold)},
        )
        self._untold = {}
        self._window_end_s = now_s + WINDOW_S
