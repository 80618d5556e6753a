"""Looking at plugins, given up half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from eegd import plugin_check
from eegd.plugin_check import check_plugins

LIMIT_S = 60.0


def test_a_cancellation_that_comes_with_an_answer_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Callable[[str], None]] = []

    class Silent:
        """A process that never ends."""

        def __init__(self, command: list[str], on_output: Callable[[str], None], *_: Any, **more: Any) -> None:
            made.append(on_output)

        async def wait(self) -> int:
            await asyncio.Event().wait()
            return 0

    async def work() -> None:
        checking = asyncio.create_task(check_plugins({"one": ("one",), "two": ("two",)}))
        while not made:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        made[0]('{"input": "raw"}')
        await asyncio.sleep(0)
        checking.cancel()
        async with asyncio.timeout(LIMIT_S):
            await asyncio.wait([checking])
        assert checking.cancelled()

    monkeypatch.setattr(plugin_check, "Child", Silent)
    asyncio.run(work())
