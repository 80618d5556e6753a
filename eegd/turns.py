"""Changes that take their time, one after the other: who waits too long for a turn is refused with what is going on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eegd.errors import EegdError

__all__ = ["PATIENCE_S", "Turns"]

PATIENCE_S = 5.0
"""Less than the 10 s that a client waits for its answer: nothing may be done for who has gone."""


class Turns:
    """In the order in which they were asked for. Control thread only."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._what = ""
        self._since_s = 0.0

    @asynccontextmanager
    async def turn(self, what: str, patience_s: float | None = PATIENCE_S) -> AsyncIterator[None]:
        """Around a change; what: as it is asked for, such as `plugin add smooth`. patience_s: None waits for ever.
        Raises EegdError; then nothing has been done."""
        try:
            async with asyncio.timeout(patience_s):
                await self._lock.acquire()
        except TimeoutError:
            elapsed_s = time.monotonic() - self._since_s
            text = (
                f"{what}: nothing was changed, since {self._what!r} has been going on for {elapsed_s:.1f} s; try again"
            )
            raise EegdError(text) from None
        self._what, self._since_s = what, time.monotonic()
        try:
            yield
        finally:
            self._lock.release()
