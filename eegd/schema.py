"""Describe a configuration key once; the description reads it, checks it, explains it and prints it.

A table is a frozen dataclass whose fields are made by `key()`; its field types are the TOML types.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from itertools import islice
from typing import Any

from eegd.errors import ConfigError
from eegd.near import nearest

__all__ = [
    "LIVE",
    "MAX_TEXT",
    "MISSING",
    "RECONFIGURE",
    "RESTART",
    "Key",
    "Problems",
    "check_value",
    "describe",
    "is_plain_value",
    "joined",
    "key",
    "keys_of",
    "near",
    "parse_text",
    "read_table",
    "show",
    "show_name",
    "table_lines",
    "toml_value",
]

LIVE, RECONFIGURE, RESTART = "live", "reconfigure", "restart"
"""What a change of a key costs: nothing, stop-write-verify-start of the chips, or a new process."""

MAX_PROBLEMS = 30
MAX_TEXT = 400
"""Characters of a text. Each may take ten when it is printed (toml_value), and a line of a file has at most 4096."""
ROW = 100
"""Characters of a printed list before it goes over several lines."""
INT64 = 2**63
TRUE, FALSE = ("yes", "on", "true", "1"), ("no", "off", "false", "0")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table."""

    doc: str
    unit: str = ""
    allowed: tuple[object, ...] = ()
    """The only values there are; of a list, the only elements."""
    low: float | None = None
    high: float | None = None
    """Bounds, both included; of a list, of its length."""
    pattern: str = ""
    """Regular expression that a text, or each text of a list, must match in full."""
    says: str = ""
    """Words before the allowed values, or, without such values, the whole sentence on what is allowed."""
    change: str = RESTART
    hex: bool = False
    kind: str = ""
    """bool, int, float, str or strs; filled in from the field's type."""


def key(default: object = MISSING, doc: str = "", **rules: Any) -> Any:
    """A dataclass field that is a configuration key; `rules` are the fields of Key."""
    return dataclasses.field(default=default, metadata={"key": Key(doc, **rules)})


def keys_of(table: type) -> dict[str, Key]:
    """The keys of a table in file order. Fields not made by key() are not keys."""
    return _keys_of(table)


@cache
def _keys_of(table: type) -> dict[str, Key]:
    kinds = {"tuple[str, ...]": "strs"}
    found = {}
    for field in dataclasses.fields(table):
        if "key" in field.metadata:
            kind = str(field.type).removesuffix(" | None")
            found[field.name] = dataclasses.replace(field.metadata["key"], kind=kinds.get(kind, kind))
    return found


class Problems:
    """Collects what is wrong, so that one start names it all. Synchronization: none required."""

    def __init__(self, name: str, origins: Mapping[str, str] | None = None) -> None:
        """name: what is read; origins: where keys by dotted names came from in its place."""
        self.name = name
        self._origins = origins or {}
        self._lines: list[str] = []
        self._tables: set[str] = set()

    @property
    def full(self) -> bool:
        """Enough is known; looking further would only take time."""
        return len(self._lines) > MAX_PROBLEMS

    @property
    def lines(self) -> list[str]:
        """What there is, a line each."""
        return [*self._lines[:MAX_PROBLEMS], *([f"{self.name}: and more"] if self.full else [])]

    def add(self, table: str, name: str, text: str, value: object = MISSING, keys: Iterable[str] = ()) -> None:
        """Table "" is the top of the file, name "" the table as a whole; then `keys`, where given, are all in it."""
        self._tables |= {table, re.split(r"[. ]", table or name)[0], f"{table}.{name}"}
        if self.full:
            return
        if name:
            source = self._source(".".join(part for part in (table, name) if part), isinstance(value, dict))
        else:
            sources = {self._source(f"{table}.{key}", True) for key in keys}
            source = sources.pop() if len(sources) == 1 else self.name
        where = [f"[{show_name(table)}]"] if table else []
        if name:
            where.append(show_name(name) + ("" if value is MISSING else f" = {show(value)}"))
        self._lines.append(f"{source}: {' '.join(where)}: {text}")

    def relay(self, error: object) -> None:
        """What was found elsewhere, and may begin with `[table] key`: told with the file or place it came from."""
        for line in re.split(r"\n(?! )", str(error)):  # what is indented belongs to the line above
            found = re.match(r"\[([\w.-]+)\](?: ([\w.-]+) =)?", line)
            path = ".".join(filter(None, found.groups())) if found else ""
            if found:
                self._tables |= {found[1], found[1].split(".")[0]}
            if not self.full:
                self._lines.append(f"{self._source(path, bool(found and not found[2]))}: {line}")

    def sound(self, *tables: str) -> bool:
        """Nothing is wrong so far in any of these tables, or table.key."""
        return self._tables.isdisjoint(tables)

    def _source(self, path: str, is_table: bool) -> str:
        """Where a key came from; a table may be there only because a key below it was given."""
        below = (origin for key, origin in self._origins.items() if is_table and key.startswith(f"{path}."))
        return self._origins.get(path) or next(below, self.name)

    def stop(self) -> None:
        """Raises ConfigError, one problem per line, when there is any."""
        if self._lines:
            raise ConfigError("\n".join(self.lines))


def read_table(
    keys: Mapping[str, Key], table: str, tree: object, problems: Problems, elsewhere: Collection[str] = ()
) -> dict[str, Any]:
    """The valid values of one table; the others are reported. Names in `elsewhere` are left to the caller."""
    if not isinstance(tree, dict):
        problems.add("", table, "must be a table of keys", tree)
        return {}
    values: dict[str, Any] = {}
    for name, value in tree.items():
        if name in elsewhere or problems.full:
            continue
        if name not in keys:
            problems.add(table, name, f"unknown key; {near(name, [*keys, *elsewhere])}", value)
            continue
        try:
            values[name] = check_value(keys[name], value)
        except ValueError as error:
            problems.add(table, name, str(error), value)
    return values


def near(name: str, names: Iterable[str]) -> str:
    """A hint for a name that is not among the names, of which at most 40 are considered."""
    known = list(islice(names, 40))
    close = nearest(name, known)
    return f"did you mean {show_name(close)}?" if close else f"allowed: {joined(map(show_name, known))}"


def check_value(rule: Key, value: object) -> object:
    """The value as the key holds it. ValueError says what is allowed."""
    if rule.kind == "strs":
        good = isinstance(value, list | tuple) and all(_is_text(rule, item) for item in value)
        if good and isinstance(value, list | tuple) and _within(rule, len(value)):
            return tuple(value)
    elif rule.kind == "bool":
        if isinstance(value, bool):
            return value
    elif rule.kind == "str":
        if _is_text(rule, value):
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        whole = isinstance(value, int)
        if (whole or rule.kind == "float") and _within(rule, value) and _is_allowed(rule, value):
            return value if rule.kind == "int" else float(value)
    elif isinstance(value, str) and rule.kind in ("int", "float"):
        raise ValueError(describe(rule) + (", without quotes" if _is_number(value) else ""))
    close = nearest(value, map(str, rule.allowed)) if isinstance(value, str) else None
    raise ValueError(describe(rule) + (f"; did you mean {close}?" if close and rule.kind == "str" else ""))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text[:MAX_TEXT]))
    except ValueError:
        return False


def _is_text(rule: Key, value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_TEXT
        and value.isprintable()
        and (not rule.pattern or re.fullmatch(rule.pattern, value) is not None)
        and _is_allowed(rule, value)
    )


def _is_allowed(rule: Key, value: object) -> bool:
    return not rule.allowed or value in rule.allowed


def _within(rule: Key, value: float) -> bool:
    low = -INT64 if rule.low is None else rule.low
    high = INT64 - 1 if rule.high is None else rule.high
    return low <= value <= high  # false for NaN


def describe(rule: Key) -> str:
    """What is allowed, to be read after a colon."""
    if rule.allowed:
        prefix = rule.says or (f"a list of {_range(rule)} of" if rule.kind == "strs" else "allowed:")
        return f"{prefix} {joined(rule.allowed)}"
    if rule.says:
        return rule.says
    text = f"a printable text of at most {MAX_TEXT} characters"
    nouns = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": text}
    noun = nouns.get(rule.kind, "a list of texts")
    bounds = f" from {_range(rule)}" if rule.low is not None and rule.high is not None else ""
    return f"{noun}{bounds}{' ' + rule.unit if rule.unit else ''}"


def _range(rule: Key) -> str:
    return f"{rule.low} to {rule.high}"


def joined(items: Iterable[object]) -> str:
    """a, b or c"""
    words = [str(item) for item in items]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else "nothing"


def parse_text(rule: Key, text: object) -> object:
    """The value that a word of a command line stands for; check_value judges it afterwards."""
    if not isinstance(text, str):
        return text
    word = text.strip()
    try:
        if rule.kind == "bool":
            return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}[word.lower()]
        if rule.kind == "int":
            return int(word, 0)
        if rule.kind == "float":
            return float(word)
    except (ValueError, KeyError):
        raise ValueError("yes or no" if rule.kind == "bool" else describe(rule)) from None
    return tuple(part.strip() for part in word.split(",")) if rule.kind == "strs" else word


def toml_value(value: object, as_hex: bool = False) -> str:
    """A value in TOML's spelling. Only what a key can hold: bool, int, float, str, and lists of them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"0x{value:02X}" if as_hex else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(_escaped(char) for char in value) + '"'
    if isinstance(value, list | tuple):
        items = [toml_value(item) for item in value]
        row = "[" + ", ".join(items) + "]"
        return row if len(row) <= ROW else "[\n" + "".join(f"    {item},\n" for item in items) + "]"
    raise TypeError(f"no TOML spelling for {type(value).__name__}")


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def show(value: object) -> str:
    """A value for an error line: one short line whatever it holds."""
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, list | tuple):
        few = ", ".join("[…]" if isinstance(item, list | tuple) else show(item) for item in value[:8])
        text = f"[{few}{', …' if len(value) > 8 else ''}]"
    elif isinstance(value, int) and abs(value) >= INT64:
        text = f"{value:#x}"
    elif isinstance(value, bool | int | float):
        text = toml_value(value)
    else:
        text = toml_value(value[:100] if isinstance(value, str) else str(value))
    return text if len(text) <= 100 else text[:99] + "…"


def show_name(name: str) -> str:
    """A table's or key's name for an error line; an odd one in quotes."""
    return name if name.isprintable() and len(name) <= 64 else show(name)


def table_lines(table: Any, header: str) -> list[str]:
    """A table in TOML, each value followed by its unit or its choices."""
    lines = [header]
    for name, rule in keys_of(type(table)).items():
        value = getattr(table, name)
        if value is None:
            lines.append(f"# {name} is not set")
            continue
        choices = joined(rule.allowed) if rule.kind == "str" and rule.allowed else ""
        note = f"  # {rule.unit or choices}" if rule.unit or choices else ""
        lines.append(f"{name} = {toml_value(value, rule.hex)}{note}")
    return lines


def is_plain_value(value: object) -> bool:
    """A finite 64-bit number, a text that is not too long, a bool, or a flat list of these: what a parameter may be."""
    if isinstance(value, list):
        return all(not isinstance(item, list) and is_plain_value(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return len(value) <= MAX_TEXT and not re.search("[\ud800-\udfff]", value)
    return isinstance(value, int) and -INT64 <= value < INT64
