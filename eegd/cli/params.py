"""`eegctl set` and `eegctl get`: the parameters of a plugin that runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any

from eegd.cli.common import OK
from eegd.client import Client
from eegd.errors import ParamError
from eegd.params import no_parameter
from eegd.remote_params import Applied, ask_params, set_params

__all__ = ["add_commands", "run_get", "run_set", "text_of"]


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """command: makes a subcommand from its name, its function and a sentence."""
    set_ = command("set", run_set, "change parameters of a running plugin, between two frames")
    set_.add_argument("plugin", metavar="NAME", help="a running plugin, by its stream")
    set_.add_argument("words", nargs="+", metavar="VALUE", help="name=value, name:value, or values in their order")
    set_.add_argument("--json", action="store_true", help="what became of it as JSON")
    get = command("get", run_get, "parameters of a running plugin")
    get.add_argument("plugin", metavar="NAME", help="a running plugin, by its stream")
    get.add_argument("parameter", nargs="?", metavar="PARAM", help="only this one's value")
    get.add_argument("--json", action="store_true", help="values and declarations as JSON")


def run_set(client: Client, args: argparse.Namespace) -> int:
    before = ask_params(client.directory, args.plugin)
    applied = set_params(client.directory, args.plugin, args.words, {})
    if args.json:
        facts = {"changed": applied.changed, "values": applied.values, "pending": applied.pending}
        print(json.dumps({**facts, "frame_number": applied.frame_number, "sample_index": applied.sample_index}))
        return OK
    units = {str(row.get("name")): str(row.get("unit") or "") for row in before.declared}
    for name in applied.changed:
        was, now = text_of(before.values.get(name)), text_of(applied.values[name], units.get(name, ""))
        print(f"{name}: {was or 'empty'} → {now or 'empty'}")
    print(_from_when(applied))
    return OK


def _from_when(applied: Applied) -> str:
    if applied.pending:
        return "no frame of input for 2 s: it holds from the next one on"
    if not applied.changed:
        return "nothing to change"
    return f"from input frame {applied.frame_number} on, sample {applied.sample_index}"


def run_get(client: Client, args: argparse.Namespace) -> int:
    found = ask_params(client.directory, args.plugin)
    names = list(found.values) if args.parameter is None else [args.parameter]
    if names and names[0] not in found.values:
        raise ParamError(f"{args.plugin}: {no_parameter(names[0], found.values)}")
    if args.json and args.parameter is not None:
        print(json.dumps(found.values[args.parameter], ensure_ascii=False))
    elif args.json:
        facts = {"plugin": found.plugin, "values": found.values, "declared": found.declared}
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    elif args.parameter is not None:
        print(text_of(found.values[args.parameter]))
    elif not names:
        print(f"{args.plugin} has no parameters")
    else:
        _show(found.values, {str(row.get("name")): row for row in found.declared})
    return OK


def _show(values: Mapping[str, Any], declared: Mapping[str, Mapping[str, Any]]) -> None:
    def fact(name: str, key: str) -> str:
        return str(declared.get(name, {}).get(key) or "")

    rows = [(name, text_of(value, fact(name, "unit")), fact(name, "doc")) for name, value in values.items()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, doc in rows:
        print(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {doc}".rstrip())


def text_of(value: object, unit: str = "") -> str:
    """A value as it would be written after `name=`, with its unit."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, (list, tuple)):
        text = ",".join(map(text_of, value))
    else:
        text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return text if isinstance(value, str) else f"{text} {unit}".strip()
