"""`eegctl plugin add`, `remove` and `restart`: the plugins of a running daemon."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from typing import Any

from eegd.cli.common import OK, add_runtime_dir
from eegd.cli.params import add_commands as add_param_commands
from eegd.cli.plugin_help import add_commands as add_help_commands
from eegd.client import Client
from eegd.errors import EegdError
from eegd.schema import toml_value

__all__ = ["add_commands", "run_plugin"]

ADD_EXAMPLES = """examples:
  eegctl plugin add filter 1 40 notch=50                      low and high in their order, notch by name
  eegctl plugin add filter as=slow high=4                     one more, its stream is called slow
  eegctl plugin add bandpower input=slow                      reads that stream in place of raw
  eegctl plugin add clean chain=filter,reference filter.low=1     both in one process, as stream clean
  eegctl plugin add clean chain=filter,mains=filter mains.notch=50     twice the same, under two names
"""
OWN_WORD = re.compile(r"(as|input)[=:](.*)", re.DOTALL)
OWN_SAYS = {"as": "as=NAME names its stream", "input": "input=STREAM names what it reads (eegctl streams)"}
OF_YOURS = (
    "one of your own the daemon finds where [plugins] dirs in its configuration names the directory (then: eegctl "
    "reload); by hand: eegd plugin {} --plugin-dir DIR"
)
WELL = ("running", "waiting for input", "starting")
SETTLED = ("running", "waiting for input", "held", "ended")
SETTLE_S = 10.0
POLL_S = 0.05


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """All that is about plugins. command: makes a subcommand from its name, its function and a sentence."""
    add_param_commands(command)
    add_help_commands(command)
    plugin = command("plugin", run_plugin, "add, remove or restart a plugin while the daemon runs")
    actions = plugin.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser(
        "add",
        help="start one more plugin",
        usage="eegctl plugin add [-h] PLUGIN [as=NAME] [input=STREAM] [chain=PLUGIN,…] [WORD …]",
        description="Starts one more plugin, until the daemon ends, and prints the lines that would make it last.",
        epilog=ADD_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add.add_argument("name", metavar="PLUGIN", help="the plugin; with chain= a name for the chain")
    add.add_argument(
        "words",
        nargs="*",
        default=[],
        metavar="WORD",
        help="parameters: name=value, name:value, or values in their order (eegctl help PLUGIN); in any order among "
        "them as=NAME, how its stream is called; input=STREAM, what it reads; chain=PLUGIN,…, plugins one after the "
        "other in one process",
    )
    remove = actions.add_parser("remove", help="end a plugin for good")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--force", action="store_true", help="also where others read its stream")
    restart = actions.add_parser("restart", help="a new process, also for a plugin that is held or has ended")
    restart.add_argument("name", metavar="NAME")
    restart.add_argument("--as-configured", action="store_true", help="forget what was set while it ran")
    for parser in (add, remove, restart):
        add_runtime_dir(parser, argparse.SUPPRESS)


def run_plugin(client: Client, args: argparse.Namespace) -> int:
    actions = {"add": _add, "remove": _remove, "restart": _restart}
    return actions[args.action](client, args)


def _add(client: Client, args: argparse.Namespace) -> int:
    own: dict[str, str] = {}
    words = []
    for word in args.words:
        if found := OWN_WORD.fullmatch(word):
            if found[1] in own:
                raise EegdError(f"{found[1]}= is given twice")
            if not found[2]:
                raise ValueError(f"{word} is without a value; {OWN_SAYS[found[1]]}")
            own[found[1]] = found[2]
        elif word in ("chain=", "chain:"):
            raise ValueError(f"{word} is without a value; chain=PLUGIN,PLUGIN names its stages")
        else:
            words.append(word)
    try:
        answer = client.ask("plugin_add", 60.0, plugin=args.name, words=words, **own)
    except EegdError as error:
        if f"no plugin {args.name!r};" not in str(error):
            raise
        raise EegdError(f"{error}; {OF_YOURS.format(args.name)}") from None
    state, text = _settled(client, answer["name"])
    if state not in WELL:
        client.ask("plugin_remove", name=answer["name"], force=True)
        raise EegdError(f"{text}; it was not added")
    print(text)
    print("\nuntil the daemon ends; to keep it, write into the configuration:\n")
    print(f"[plugins]\nrun = {toml_value(tuple(answer['run']))}")
    if answer["table"]:
        print(f"\n[plugins.{answer['name']}]")
        for key, value in answer["table"].items():
            print(f"{key} = {toml_value(tuple(value) if isinstance(value, list) else value)}")
    return OK


def _remove(client: Client, args: argparse.Namespace) -> int:
    answer = client.ask("plugin_remove", name=args.name, force=args.force)
    print(f"{args.name}: removed")
    if answer["readers"]:
        print(f"its stream has ended for {', '.join(answer['readers'])}")
    if answer["configured"]:
        print("the configuration names it: it comes back with a reload, or when the daemon starts again")
    return OK


def _restart(client: Client, args: argparse.Namespace) -> int:
    answer = client.ask("plugin_restart", name=args.name, as_configured=args.as_configured)
    if answer["set"]:
        print(f"{args.name}: as it was set, with {', '.join(f'{k}={v}' for k, v in answer['set'].items())}")
    state, text = _settled(client, args.name)
    if state not in WELL:
        raise EegdError(text)
    print(text)
    return OK


def _settled(client: Client, name: str) -> tuple[str, str]:
    """Waits until it is clear what became of a plugin: its state, and that in words."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        row: dict[str, Any] | None = next(
            (row for row in client.ask("status")["status"]["plugins"] if row["name"] == name), None
        )
        if row is None or row["state"] in SETTLED or row["restarts"] or time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    state = "gone" if row is None else row["state"]
    if row is not None and row["restarts"] and state in ("starting", "waiting for input"):
        state = "has died, and is started again"
    why = f": {row['last_error']}" if row is not None and row["last_error"] else ""
    reads = f", reads {row['input']}" if row is not None and row.get("input") else ""
    return state, f"{name}: {state}{reads if state in WELL else why}"
