"""`eegctl plugins` and `eegctl help`: what is installed, from the classes alone; no daemon is needed."""

from __future__ import annotations

import argparse
import inspect
import json
import math
from collections.abc import Callable
from typing import Any

from eegd.cli.common import FAILED, OK, fail
from eegd.cli.params import text_of
from eegd.cli.plugin_dirs import daemon_dirs
from eegd.errors import EegdError, PluginError
from eegd.near import meant
from eegd.params import declared_params
from eegd.plugin import Plugin
from eegd.plugin_source import PluginSource, find_plugins, load_plugin

__all__ = ["add_commands", "plugin_facts", "run_help", "run_plugins"]

INSTANCE = ("name", "plugin", "chain", "input", "state", "pid", "last_error")
"""Of a row of the status."""


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """command: makes a subcommand from its name, its function and a sentence."""
    plugins = command("plugins", run_plugins, "the plugins that are installed, and which of them run")
    help_ = command("help", run_help, "what a plugin does and its parameters, or the help of a command")
    help_.add_argument(
        "name",
        nargs="*",
        default=[],
        metavar="NAME",
        help="a plugin, or a command with its action; where both have the name, the plugin; none: all commands",
    )
    for parser in (plugins, help_):
        parser.add_argument(
            *("--plugin-dir", "-d"), action="append", default=[], metavar="D", help="where else to look; repeatable"
        )
        parser.add_argument("--json", action="store_true", help="the same as JSON")


def plugin_facts(source: PluginSource, plugin: type[Plugin]) -> dict[str, Any]:
    """What a class says of itself, as plain JSON types. An unlimited end of a range is null."""
    doc = inspect.getdoc(plugin) if plugin.__doc__ else ""
    module = inspect.getmodule(plugin)
    needs = plugin.needs
    order = {name: position for position, name in enumerate(plugin.positional, 1)}
    return {
        "name": source.name,
        "origin": source.origin,
        "location": source.location,
        "kind": plugin.kind,
        "summary": (doc or "").partition("\n")[0],
        "doc": doc or "",
        "file_doc": (inspect.getdoc(module) if module else None) or "",
        "input": plugin.input,
        "at_gap": plugin.at_gap,
        "needs": {
            "rate_sps": _range(needs.rate_sps),
            "n_channels": _range(needs.n_channels),
            "kinds": list(needs.kinds),
        },
        "usage": _usage(source.name, plugin),
        "parameters": [
            {**param.describe(), "allowed": param.allowed(), "position": order.get(name)}
            for name, param in declared_params(plugin).items()
        ],
    }


def _range(limits: tuple[float, float]) -> list[float | None]:
    return [limit if math.isfinite(limit) else None for limit in limits]


def _usage(name: str, plugin: type[Plugin]) -> str:
    """Those with a place come first, as bare words; what may be left out is in brackets."""
    declared = declared_params(plugin)
    words = [key.upper() if declared[key].is_required else f"[{key.upper()}]" for key in plugin.positional]
    rest = [key for key in declared if key not in plugin.positional]
    words += [f"{key}=…" if declared[key].is_required else f"[{key}=…]" for key in rest]
    return " ".join(["eegctl plugin add", name, *words])


def _running(runtime_dir: str | None) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """The plugins of a daemon, and where it looks for plugins; None and nothing where none answers."""
    from eegd.client import connect

    try:
        with connect(runtime_dir) as client:
            status = client.ask("status", 2.0)["status"]
            return status["plugins"], daemon_dirs(client.directory, status)
    except EegdError:
        return None, []


def _instances(running: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What runs, or should: as named in the configuration or added, chains included."""
    return [{key: row.get(key) for key in INSTANCE} for row in running]


def run_plugins(args: argparse.Namespace) -> int:
    """One line each; a file that cannot be loaded is named with the reason, and does not end the list."""
    running, daemon_dirs = _running(args.runtime_dir)
    dirs = [*args.plugin_dir, *daemon_dirs]
    states = {row["name"]: row["state"] for row in running or ()}
    rows: list[dict[str, Any]] = []
    for name, source in sorted(find_plugins(dirs).items()):
        try:
            row = plugin_facts(source, load_plugin(name, dirs))
        except PluginError as error:
            row = {"name": name, "origin": source.origin, "location": source.location, "error": str(error)}
        row["state"] = states.get(name)
        rows.append(row)
    if args.json:
        found = {"daemon": running is not None, "plugins": rows, "instances": _instances(running or [])}
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return OK
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        if "error" in row:
            print(f"{row['name']:<{width}}  cannot be loaded: {row['error']}")
            continue
        state = f", {row['state']}" if row["state"] else ""
        names = ", ".join(str(param["name"]) for param in row["parameters"])
        print(f"{row['name']:<{width}}  {row['kind']}, {row['origin']}{state}: {row['summary']}")
        if names:
            print(f"{'':<{width}}  parameters: {names}")
    others = [row for row in running or () if row["name"] not in {row["name"] for row in rows}]
    if others:
        print(f"also here: {', '.join(map(_instance_text, others))}")
    return OK


def _instance_text(row: dict[str, Any]) -> str:
    """`slow (filter, running)`, `clean (chain of reference, notch; running)`"""
    what = f"chain of {', '.join(row['chain'])};" if row.get("chain") else f"{row.get('plugin')},"
    return f"{row['name']} ({what} {row['state']})"


def run_help(args: argparse.Namespace) -> int:
    """Of a plugin, or of a command of eegctl."""
    dirs = [*args.plugin_dir, *_running(args.runtime_dir)[1]]
    source = find_plugins(dirs).get(args.name[0]) if len(args.name) == 1 else None
    if source is None:
        return _command_help(args, dirs)
    facts = plugin_facts(source, load_plugin(source.name, dirs))
    if args.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return OK
    print(f"{facts['name']}  ({facts['kind']}, {facts['origin']}: {facts['location']})\n")
    print("\n\n".join(text for text in (facts["doc"], facts["file_doc"]) if text))
    print(f"\nusage: {facts['usage']}")
    print(f"reads: {facts['input']}, or what input=STREAM names; {_needs_text(facts['needs'])}")
    print(f"at a gap: {facts['at_gap']}")
    if facts["parameters"]:
        print("\nparameters:")
    for param in facts["parameters"]:
        default = f"default {text_of(param['default']) or 'empty'}" if "default" in param else "required"
        place = f", value {param['position']} without a name" if param["position"] else ""
        print(f"  {param['name']}  {param['kind']}: {param['allowed']}; {default}{place}")
        if param.get("doc"):
            print(f"      {param['doc']}")
    return OK


def _needs_text(needs: dict[str, Any]) -> str:
    words = [f"kind {' or '.join(needs['kinds'])}"]
    for key, unit in (("rate_sps", "SPS"), ("n_channels", "channels")):
        low, high = needs[key]
        if low > (key == "n_channels") or high is not None:
            words.append(f"{low:g} {unit} or more" if high is None else f"{low:g} to {high:g} {unit}")
    return ", ".join(words)


def _command_help(args: argparse.Namespace, dirs: list[str]) -> int:
    from eegd.cli.eegctl import build_parser

    parser: argparse.ArgumentParser = build_parser()
    found = sorted(find_plugins(dirs))
    for depth, word in enumerate(args.name):
        commands = next((a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {})
        if word not in commands:
            if depth and not commands:
                known = " ".join(args.name[:depth])
                return fail("eegctl", f"{known!r:.60} has no actions; its help: eegctl help {known}", FAILED)
            names = [*(found if not depth else ()), *commands]
            plugins = f"plugins: {', '.join(found)}; " if not depth else ""
            what = f"no plugin or command {' '.join(args.name)!r:.60}{meant(word, names)}"
            where = "" if depth or dirs else "; a plugin in a directory of yours: --plugin-dir"
            return fail("eegctl", f"{what}; {plugins}commands: {', '.join(commands)}{where}", FAILED)
        parser = commands[word]
    if args.json:
        return fail("eegctl", f"--json is for plugins; there are: {', '.join(found)}", FAILED)
    parser.print_help()
    return OK
