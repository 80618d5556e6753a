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
from typing import Any

from eegd.child import Child
from eegd.errors import EegdError, ParamError
from eegd.memory import stand_back
from eegd.params import ALL_CHANNELS, declared_params, param_values
from eegd.plugin import Plugin
from eegd.runner import class_of

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


def _answer(command: Sequence[str]) -> dict[str, object]:
    """The fields of Checked. Raises EegdError where the class is not to be had."""
    plugin_class, input_stream, make = class_of(command)
    facts: dict[str, object] = {
        "input": input_stream,
        "kind": plugin_class.kind,
        "needs": plugin_class.needs.describe(),
    }
    facts["is_like_input"] = plugin_class.outputs is Plugin.outputs and plugin_class.kind == "filtered"
    try:
        plugin = make()
    except ParamError as error:
        return {**facts, "error": str(error), "problems": error.problems}
    given = plugin.__dict__.get("_param_values", {})
    facts["values"] = {name: value for name, value in param_values(plugin).items() if name in given}
    first = next(iter(getattr(plugin_class, "stage_classes", ())), "")  # those after it have another input
    selected = [
        name
        for name, param in declared_params(plugin_class).items()
        if param.kind == "channels" and name.rpartition(".")[0] == first
    ]
    facts["channels"] = {name: given[name] for name in selected if given.get(name, ALL_CHANNELS) != ALL_CHANNELS}
    return facts


def main() -> int:
    """The other process."""
    stand_back()
    out = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a plugin prints is no answer
    for command in json.loads(sys.stdin.read()):
        answer: dict[str, object]
        try:
            answer = _answer(command)
        except EegdError as error:
            answer = {"error": str(error)}
        os.write(out, json.dumps(answer).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
