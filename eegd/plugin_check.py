"""Plugins looked at before they are started: in another process, since nobody knows what a plugin's file does.

`python -m eegd.plugin_check` reads a JSON list of command lines of eegd.runner and answers one line for each.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eegd.child import Child
from eegd.errors import EegdError
from eegd.memory import stand_back
from eegd.params import param_values
from eegd.runner import plugin_of

__all__ = ["Checked", "check_plugins", "main"]

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
        [sys.executable, "-m", "eegd.plugin_check"],
        answers.put_nowait,
        lambda line: None,
        given=json.dumps(commands).encode(),
    )
    ending = asyncio.create_task(child.wait())
    ending.add_done_callback(lambda _: answers.put_nowait(None))
    found: dict[str, Checked] = {}
    try:
        for name in names:
            line = await asyncio.wait_for(answers.get(), LOAD_S)
            if line is None:
                code = ending.result()
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
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


def main() -> int:
    """The other process."""
    stand_back()
    out = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a plugin prints is no answer
    for command in json.loads(sys.stdin.read()):
        answer: dict[str, object]
        try:
            plugin, input_stream = plugin_of(command)
            given = plugin.__dict__.get("_param_values", {})
            values = {name: value for name, value in param_values(plugin).items() if name in given}
            answer = {"input": input_stream, "values": values}
        except EegdError as error:
            answer = {"error": str(error)}
        os.write(out, json.dumps(answer).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
