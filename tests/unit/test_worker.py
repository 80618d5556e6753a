"""Work in a thread: its result, its error, and that a cancellation waits for it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from eegd.errors import BoardError
from eegd.worker import in_worker


def test_the_result_and_the_error_come_back() -> None:
    def fail() -> None:
        raise BoardError("no power")

    assert asyncio.run(in_worker(threading.get_ident)) != threading.get_ident()
    with pytest.raises(BoardError, match="no power"):
        asyncio.run(in_worker(fail))


def test_a_cancellation_is_heard_when_the_work_is_over_and_its_error_is_nobodys() -> None:
    begun, end, over = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert end.wait(60)
        over.append(True)
        raise BoardError("no power")

    async def main() -> None:
        task = asyncio.create_task(in_worker(work))
        await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not task.done()
        end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert over

    asyncio.run(main())
