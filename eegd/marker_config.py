"""[[marker]] and [trigger]: GPIO lines of this computer as digital inputs, key by key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eegd.schema import Problems, key
from eegd.settings import LINE, BoardConfig

__all__ = ["NAME", "NAME_SAYS", "MarkerConfig", "TriggerConfig", "check_inputs"]

NAME = r"[A-Za-z][A-Za-z0-9_.-]{0,31}"
NAME_SAYS = "a letter, then up to 31 letters, digits, . _ or -"
EDGES = ("rising", "falling", "both")
PULLS = ("down", "up", "none")
MAX_BITS = 16
LINE_SAYS = "a GPIO line's name, such as GPIO5"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerConfig:
    """One line whose edges are markers. Immutable; synchronization: none required."""

    name: str = key(doc="Label of its events, unique.", pattern=NAME, says=NAME_SAYS)
    line: str = key(doc="Name of the GPIO line.", pattern=LINE, says=LINE_SAYS)
    edge: str = key("rising", "Which edges count.", allowed=EDGES)
    pull: str = key("down", "Resistor of the pin.", allowed=PULLS)
    quiet_ms: float = key(0.0, "Edges so soon after one that was told are not.", unit="ms", low=0, high=60_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerConfig:
    """Several lines that make one word."""

    lines: tuple[str, ...] = key(
        (),
        "Names of the GPIO lines, the lowest bit first.",
        pattern=LINE,
        says=f"a list of up to {MAX_BITS} names of GPIO lines",
        low=0,
        high=MAX_BITS,
    )
    strobe: str | None = key(None, "Line whose edge says that a word is there.", pattern=LINE, says=LINE_SAYS)
    strobe_edge: str = key("rising", "Which edge of it.", allowed=EDGES[:2])
    settle_us: float = key(100.0, "How long the lines must have been still.", unit="µs", low=1, high=1_000_000)
    inverted: bool = key(False, "A low line is a 1.")
    pull: str = key("down", "Resistor of the pins.", allowed=PULLS)
    idle: int = key(0, "The word that is no event; -1: none.", low=-1, high=2**MAX_BITS - 1)

    @property
    def all_lines(self) -> tuple[str, ...]:
        return self.lines + ((self.strobe,) if self.strobe is not None else ())


def check_inputs(
    markers: tuple[MarkerConfig, ...], trigger: TriggerConfig, board: BoardConfig, problems: Problems
) -> None:
    """Reports lines that are given twice, and words that cannot be. Values are valid one by one."""
    names = [marker.name for marker in markers]
    for name in {name for name in names if names.count(name) > 1}:
        problems.add(f"marker {name}", "name", f"given to {names.count(name)} markers; names are unique", name)
    used = dict.fromkeys(board.lines, "a line of [board]")
    for table, name, line, what in _named(markers, trigger):
        if line in used:
            problems.add(table, name, f"already {used[line]}", line)
        used.setdefault(line, what)
    if trigger.strobe is not None and not trigger.lines:
        problems.add("trigger", "strobe", "a strobe needs lines that it is for", trigger.strobe)
    if trigger.lines and trigger.idle >= 1 << len(trigger.lines):
        text = f"{len(trigger.lines)} lines make words from 0 to {(1 << len(trigger.lines)) - 1}"
        problems.add("trigger", "idle", text, trigger.idle)


def _named(markers: tuple[MarkerConfig, ...], trigger: TriggerConfig) -> Iterator[tuple[str, str, str, str]]:
    for marker in markers:
        yield f"marker {marker.name}", "line", marker.line, "a [[marker]]"
    for line in trigger.lines:
        yield "trigger", "lines", line, "one of [trigger] lines"
    if trigger.strobe is not None:
        yield "trigger", "strobe", trigger.strobe, "the strobe of [trigger]"
