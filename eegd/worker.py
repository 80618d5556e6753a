"""Work on a board that takes longer than the control thread may be deaf: it is done in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

__all__ = ["in_worker"]

Result = TypeVar("Result")


async def in_worker(work: Callable[[], Result]) -> Result:
    """Runs it in a worker thread and raises what it raises. Until this ends, cancelled or not, what the work uses
    is the thread's: a cancellation waits for it."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # nobody else will look at it
        raise
