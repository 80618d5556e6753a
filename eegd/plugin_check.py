"""Plugins looked at before they are started: in another process, since nobody knows what a plugin's file does.

This is the asking side, which loads nothing of what plugins need; eegd.plugin_facts is the other.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eegd.child import Child, how_it_ended

__all__ = ["Checked", "check_plugins"]

LOAD_S = 20.0
"""How long loading one may take."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a plugin's class says of one command line."""

    error: str = ""
    """Why it cannot be started; empty where it can."""
    input: str = ""
    values: Mapping[str, object] = field(default_factory=dict)
    """The parameters that were given, as the plugin will see them."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with its parameters, by name."""
    kind: str = ""
    """Of its own stream; empty where its class is not to be had."""
    needs: Mapping[str, Any] = field(default_factory=dict)
    """As Needs.describe() says it."""
    is_like_input: bool = False
    """Its stream has the labels and the rate of what it reads."""
    channels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Labels that its parameters select on its input."""


async def check_plugins(commands: Mapping[str, Sequence[str]]) -> dict[str, Checked]:
    """By name, for command lines of eegd.runner. One that kills its process, or never comes back, costs only itself."""
    found: dict[str, Checked] = {}
    while left := [name for name in commands if name not in found]:
        found |= await _check(left, [list(commands[name]) for name in left])
    return found


async def _check(names: list[str], commands: list[list[str]]) -> dict[str, Checked]:
    """Those that were answered, and the one that ended the process."""
    answers: asyncio.Queue[str | None] = asyncio.Queue()
    child = Child(
        [sys.executable, "-m", "eegd.plugin_facts"],
        answers.put_nowait,
        lambda line: None,
        given=json.dumps(commands).encode(),
    )
    ending = asyncio.create_task(child.wait())
    ending.add_done_callback(lambda _: answers.put_nowait(None))
    found: dict[str, Checked] = {}
    try:
        for name in names:
            async with asyncio.timeout(LOAD_S):  # wait_for of Python 3.11 may swallow a cancellation
                line = await answers.get()
            if line is None:
                how = how_it_ended(ending.result())
                found[name] = Checked(f"plugin {name!r}: loading it ends the process: {how}")
                break
            found[name], is_answer = _checked(name, line)
            if not is_answer:  # nor can it be known what is the answer for the next one
                break
    except TimeoutError:
        name = next(name for name in names if name not in found)
        found[name] = Checked(f"plugin {name!r}: loading it takes more than {LOAD_S:g} s")
    finally:
        ending.cancel()
        await asyncio.wait([ending])
    return found


def _checked(name: str, line: str) -> tuple[Checked, bool]:
    """What the line says, and whether it is an answer."""
    try:
        return Checked(**json.loads(line)), True
    except (ValueError, TypeError, RecursionError):
        return Checked(f"plugin {name!r}: loading it writes {line!r:.60} where only answers are expected"), False
