"""The parser of all command lines: it says what a wrong word was meant to be, or where it belongs."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from eegd.near import meant

__all__ = ["Parser"]

CHOICE = re.compile(r"(.*invalid choice: '(.*)') (\(choose from (.*)\))", re.DOTALL)
UNKNOWN = re.compile(r"unrecognized arguments: (--[\w-]+)(.*)", re.DOTALL)
REQUIRED = re.compile(r"the following arguments are required: (.*)")


PARAMETERS = ("name=value", "WORD", "VALUE")
"""How arguments are called that are a plugin's parameters."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser with better words for errors. Its subparsers are of this class, too."""

    _given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._given = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        if found := CHOICE.fullmatch(message):
            names = [name.strip().strip("'") for name in found[4].split(",")]
            message = f"{found[1]}{meant(found[2], names)} {found[3]}"
        elif found := UNKNOWN.fullmatch(message):
            message = f"unrecognized arguments: {found[1]}{self._hint(found[1])}{found[2]}"
        elif found := REQUIRED.fullmatch(message):
            message = self._required(found[1])
        super().error(message)

    def _hint(self, option: str) -> str:
        """What is left over is told by the outermost parser: by the options of the command that was given, or where it
        belongs."""
        owners: dict[str, list[str]] = {}
        for parser in _all_parsers(self):
            for name in parser._option_string_actions:
                owners.setdefault(name, []).append(parser.prog)
        if option in owners:
            return f" (an option of {', '.join(dict.fromkeys(owners[option]))})"
        command = _command_in(self, self._given)
        near = meant(option, [name for name in command._option_string_actions if name.startswith("--")])
        if any(action.metavar in PARAMETERS for action in command._actions):
            return f"{near} (a parameter has no dashes: {option.lstrip('-')}=…)"
        return near

    def _required(self, names: str) -> str:
        """With the commands there are; and without those that may come any number of times, or never."""
        optional = [action.metavar for action in self._actions if action.nargs == "*"]
        wanted = [name for name in names.split(", ") if name not in optional] or [names]
        message = f"the following arguments are required: {', '.join(wanted)}"
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction) and action.metavar in wanted:
                message += f" (one of {', '.join(choice.dest for choice in action._choices_actions)})"
        return message


def _command_in(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the command, or of its action, that these words name."""
    for word in words:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction) and word in action.choices:
                parser = action.choices[word]
                break
    return parser


def _all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _all_parsers(sub)
