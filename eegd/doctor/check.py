"""What a check of the doctor says, and the list of all checks of the system and of a running daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from eegd.config import Config
from eegd.doctor.probe import System
from eegd.doctor.running import Running
from eegd.errors import EegdError

__all__ = ["Context", "Fix", "Group", "Level", "Result", "apply_fixes", "check", "run_checks"]

Group = Literal["system", "service", "board"]


class Level(Enum):
    """How bad it is. Only RED changes the exit code."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that harms nothing and ends with the next boot."""

    apply: Callable[[], None]
    """Raises OSError where this user may not."""
    done: str
    """What is different afterwards."""


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the report. Immutable; synchronization: none required."""

    check: str
    level: Level
    found: str
    why: str = ""
    """Why it matters; empty where all is well."""
    mend: str = ""
    """The command, or the change, that mends it."""
    fix: Fix | None = None
    group: Group = "system"
    changed: str = ""
    """What --fix did."""


@dataclass(frozen=True, slots=True)
class Context:
    """What checks look at."""

    system: System
    config: Config
    running: Running | None
    """The daemon that answers, if one does."""

    @property
    def on_hardware(self) -> bool:
        return self.config.board.kind == "linux"


Check = Callable[[Context], Iterator[Result]]


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    group: Group
    hardware: bool
    function: Check


_CHECKS: list[_Entry] = []


def check(name: str, group: Group = "system", *, hardware: bool = False) -> Callable[[Check], Check]:
    """Adds a check to the list. `hardware`: only where the configuration names a real board."""

    def add(function: Check) -> Check:
        _CHECKS.append(_Entry(name, group, hardware, function))
        return function

    return add


def run_checks(context: Context, group: Group) -> Iterator[Result]:
    """The results of one group, in order. A check that fails by itself is red, and the others still run."""
    for entry in _CHECKS:
        if entry.group != group or (entry.hardware and not context.on_hardware):
            continue
        try:
            for result in entry.function(context):
                yield replace(result, group=group)
        except (OSError, ValueError, EegdError) as error:
            yield Result(entry.name, Level.RED, f"could not be checked: {error}", group=group)


def apply_fixes(results: list[Result]) -> Iterator[Result]:
    """Applies what is safe; a refusal leaves the result as it was, with the command for somebody who may."""
    for result in results:
        if result.fix is None:
            yield result
            continue
        try:
            result.fix.apply()
        except OSError as error:
            refused = f"not changed: {error.strerror or error}"
            yield replace(result, fix=None, changed=refused)
        else:
            yield replace(result, level=Level.OK, why="", mend="", fix=None, changed=result.fix.done)
