"""Changes that would cross each other."""

from __future__ import annotations

import asyncio

import pytest

from eegd.errors import EegdError
from eegd.turns import Turns


def test_changes_follow_each_other_in_the_order_in_which_they_were_asked_for() -> None:
    steps: list[str] = []

    async def change(turns: Turns, name: str) -> None:
        async with turns.turn(name):
            steps.append(f"{name} begins")
            await asyncio.sleep(0)
            steps.append(f"{name} ends")

    async def run() -> None:
        turns = Turns()
        await asyncio.gather(*(change(turns, name) for name in "abc"))

    asyncio.run(run())
    assert steps == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]


def test_who_waits_too_long_is_told_what_is_going_on_and_the_next_one_has_its_turn() -> None:
    async def run() -> None:
        turns = Turns()
        async with turns.turn("plugin add slow"):
            with pytest.raises(
                EegdError, match="reload: nothing was changed, since 'plugin add slow' has been going on"
            ):
                async with turns.turn("reload", 0.01):
                    pytest.fail("two at once")
        async with turns.turn("reload", 0.01):
            pass

    asyncio.run(run())


def test_a_change_that_fails_gives_its_turn_back() -> None:
    async def run() -> None:
        turns = Turns()
        with pytest.raises(ValueError, match="wrong"):
            async with turns.turn("a"):
                raise ValueError("wrong")
        async with turns.turn("b", 0.01):
            pass

    asyncio.run(run())
