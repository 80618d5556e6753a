"""The process in which plugins are looked at before they are started: what their classes say of a command line.

`python -m eegd.plugin_facts` reads a JSON list of command lines of eegd.runner and answers one line for each.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from eegd.errors import EegdError, ParamError
from eegd.memory import stand_back
from eegd.params import ALL_CHANNELS, declared_params, param_values
from eegd.plugin import Plugin
from eegd.runner import class_of

__all__ = ["main"]


def _answer(command: Sequence[str]) -> dict[str, object]:
    """The fields of eegd.plugin_check.Checked. Raises EegdError where the class is not to be had."""
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
    """Answers until all command lines are looked at. A plugin's file may end the process, or never come back."""
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
