"""Completion in the shell: candidates for the word at the cursor, taken from the parsers and plugin classes themselves.

`eegctl complete -- WORD…` prints one candidate per line, then a tab and what it is. The scripts in eegd.cli.shells
call it; the last word is the one at the cursor, which may be empty.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eegd.cli import sources
from eegd.cli.common import OK
from eegd.cli.sources import Candidate, Given

__all__ = ["Line", "candidates", "print_candidates", "walk"]

COMMANDS = {"eegctl": ("eegd.cli.eegctl", "build_parser"), "eegd": ("eegd.cli.eegd", "build_parser")}

VALUES: dict[tuple[str, str], Callable[[Given, str], list[Candidate]]] = {
    ("eegctl tail", "stream"): sources.streams,
    ("eegctl tail", "channels"): sources.channel_list,
    ("eegctl info", "stream"): sources.streams,
    ("eegctl mark", "stream"): sources.streams,
    ("eegctl channel", "label"): sources.channels,
    ("eegctl channel", "settings"): sources.channel_settings,
    ("eegctl board", "settings"): sources.board_settings,
    ("eegctl set", "plugin"): sources.settable,
    ("eegctl set", "words"): sources.running_params,
    ("eegctl get", "plugin"): sources.settable,
    ("eegctl get", "parameter"): sources.param_names,
    ("eegctl help", "name"): sources.installed,
    ("eegctl plugin add", "name"): sources.installed,
    ("eegctl plugin add", "words"): sources.added_params,
    ("eegctl plugin remove", "name"): sources.running,
    ("eegctl plugin restart", "name"): sources.running,
    ("eegctl doctor", "board"): sources.boards,
    ("eegd plugin", "name"): sources.installed,
    ("eegd plugin", "params"): sources.own_params,
    ("eegd plugin", "input"): sources.inputs,
    ("eegd plugin", "chain"): sources.chain_stages,
    ("eegd plugin", "plugin"): sources.installed,
    ("eegd run", "board"): sources.boards,
    ("eegd check-config", "board"): sources.boards,
    ("eegd boards", "name"): sources.boards,
}
"""What can stand where a parser has no choices of its own; by the parser's prog and the argument's dest."""


@dataclass(slots=True)
class Line:
    """The words before the cursor, as the parser takes them."""

    parser: argparse.ArgumentParser
    given: Given
    option: argparse.Action | None
    """Whose value is at the cursor."""
    positional: argparse.Action | None
    """Which argument is at the cursor, where that is no option."""


def walk(parser: argparse.ArgumentParser, words: Sequence[str]) -> Line | None:
    """Follows whole words through a parser and its subparsers; None where they lead nowhere."""
    given: Given = defaultdict(list)
    option: argparse.Action | None = None
    left = _positionals(parser)
    for word in words:
        if option is not None:
            given[option.dest].append(word)
            option = None
        elif word.startswith("-") and len(word) > 1:
            name, equals, value = word.partition("=")
            action = parser._option_string_actions.get(name)
            if action is not None:
                given[action.dest].append(value)
                option = action if action.nargs != 0 and not equals else None
                if option is not None:
                    given[action.dest].pop()
        elif left and isinstance(left[0], argparse._SubParsersAction):
            following = _subparser(parser, left[0], word)
            if following is None:
                return None
            parser, left = following, _positionals(following)
        elif left:
            given[left[0].dest].append(word)
            left = left if left[0].nargs in ("*", "+") else left[1:]
    return Line(parser, given, option, left[0] if left else None)


def _positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]


def _subparser(parser: argparse.ArgumentParser, action: argparse.Action, word: str) -> argparse.ArgumentParser | None:
    if (parser.prog, word) == ("eegd", "plugin"):  # its arguments are the runner's own
        from eegd.runner import build_parser

        return build_parser()
    choices = action.choices
    return choices.get(word) if isinstance(choices, dict) else None


def candidates(parser: argparse.ArgumentParser, words: Sequence[str], current: str) -> list[Candidate]:
    """Everything that may stand at the cursor and begins with `current`, in the parser's own order."""
    line = walk(parser, words)
    if line is None:
        return []
    if line.option is not None:
        found = _values(line, line.option, current)
    elif current.startswith("-") and "=" in current:
        name = current.partition("=")[0]
        action = line.parser._option_string_actions.get(name)
        values = _values(line, action, current.partition("=")[2]) if action is not None else []
        found = [Candidate(f"{name}={value.text}", value.doc) for value in values]
    elif current.startswith("-"):
        found = _options(line)
    else:
        found = _values(line, line.positional, current) if line.positional is not None else []
    return [candidate for candidate in found if candidate.text.startswith(current)]


def _options(line: Line) -> list[Candidate]:
    """Those that are not given yet, or may be repeated."""
    return [
        Candidate(max(action.option_strings, key=len), action.help or "")
        for action in line.parser._actions
        if action.option_strings
        and action.help is not argparse.SUPPRESS
        and (action.dest not in line.given or isinstance(action, argparse._AppendAction))
    ]


def _values(line: Line, action: argparse.Action, current: str) -> list[Candidate]:
    if isinstance(action, argparse._SubParsersAction):
        return [Candidate(choice.dest, choice.help or "") for choice in action._choices_actions]
    if action.choices is not None:
        return [Candidate(str(choice), "") for choice in action.choices]
    source = VALUES.get((line.parser.prog, action.dest))
    return source(line.given, current) if source is not None else []


def print_candidates(command: str, words: Sequence[str]) -> int:
    """What the shells read: a line for each candidate. Says nothing of what goes wrong: a prompt is no place for it."""
    from importlib import import_module

    module, function = COMMANDS[command]
    *before, current = words or [""]
    found: list[Candidate] = []
    # What a plugin prints as it is loaded is no candidate.
    with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
        found = candidates(getattr(import_module(module), function)(), before, current)
    for candidate in found:
        doc = " ".join(candidate.doc.split())
        if candidate.text.isprintable():
            print(f"{candidate.text}\t{doc}")
    return OK
