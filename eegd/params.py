"""The parameters of a plugin class: known from the class alone, and checked as a whole, however they are given."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from eegd.errors import ParamError
from eegd.near import meant
from eegd.param import ALL_CHANNELS, KINDS, REQUIRED, Param

__all__ = [
    "ALL_CHANNELS",
    "KINDS",
    "REQUIRED",
    "Param",
    "assign_params",
    "check_params",
    "declared_params",
    "describe_params",
    "no_parameter",
    "param_values",
    "parse_words",
    "resolve_channels",
]

NAMED = re.compile(r"([A-Za-z_][\w-]*(?:\.[A-Za-z_]\w*)?)[=:](.*)", re.DOTALL)


def declared_params(plugin: type) -> dict[str, Param[Any]]:
    """The class's parameters by name, in the order in which they are written; those of a base class come first."""
    found: dict[str, Param[Any]] = {}
    for cls in reversed(plugin.__mro__):
        for name, value in vars(cls).items():
            if isinstance(value, Param):
                found[name] = value
            else:
                found.pop(name, None)
    return found


def describe_params(plugin: type) -> list[dict[str, object]]:
    """All parameters of a class as plain JSON types, for help texts and completion."""
    return [param.describe() for param in declared_params(plugin).values()]


def check_params(plugin: type, values: Mapping[str, object], *, partial: bool = False) -> dict[str, Any]:
    """The values as the plugin will see them; texts are parsed. partial: required ones may be absent.

    Raises ParamError that begins with the plugin's name and says of all that is wrong what is allowed. All are good,
    or none is taken.
    """
    declared = declared_params(plugin)
    name = _name_of(plugin)
    checked: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for key, value in values.items():
        if key not in declared:
            problems[key] = no_parameter(key, declared)
            continue
        param = declared[key]
        try:
            checked[key] = param.parse(value) if isinstance(value, str) else param.check(value)
        except ParamError as error:
            problems[key] = str(error)
    for key, param in declared.items():
        if param.is_required and key not in values and not partial:
            problems[key] = f"{key} must be given: {param.allowed()}"
    if problems:
        raise ParamError(f"{name}: {'; '.join(problems.values())}", problems)
    return checked


def no_parameter(key: str, declared: Collection[str]) -> str:
    """What to say of a name that no parameter has."""
    fixed = "; what a plugin reads is chosen as it is started, not while it runs" if key == "input" else ""
    return f"no parameter {key!r:.60}{meant(key, declared)}; there are: {', '.join(declared) or 'none'}{fixed}"


def param_values(plugin: object) -> dict[str, Any]:
    """What an instance's parameters are, in plain JSON types; a selection of channels as it was made. Any thread."""
    held: dict[str, Any] = dict(plugin.__dict__.get("_param_values", {}))  # at once: several may be changing together
    values = {name: held.get(name, param.default) for name, param in declared_params(type(plugin)).items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def assign_params(plugin: object, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Gives checked values to an instance, all at once; returns the names of those that changed."""
    held: dict[str, Any] = plugin.__dict__.setdefault("_param_values", {})
    # A selection of channels is compared as it was made, and not with the labels that it means on this input.
    before = {name: held.get(name, getattr(type(plugin), name).default) for name in values}
    changed = tuple(name for name, value in values.items() if before[name] != value)
    held.update(values)
    for name in changed:
        plugin.__dict__.get("_param_channels", {}).pop(name, None)
    return changed


def resolve_channels(plugin: object, labels: Sequence[str]) -> None:
    """Turns every channel selection into the tuple of labels that it means on this input. Raises ParamError."""
    plugin.__dict__["_param_channels"] = resolved = {}
    for name, param in declared_params(type(plugin)).items():
        if param.kind != "channels" or "." in name:  # that of a stage in a chain, which has another input
            continue
        value = getattr(plugin, name)
        unknown = [label for label in value if label not in labels] if value != ALL_CHANNELS else []
        if unknown:
            raise ParamError(
                f"{_name_of(type(plugin))}: {name}: no channel {', '.join(unknown)}{meant(unknown[0], labels)}; "
                f"the input has {', '.join(labels)}"
            )
        resolved[name] = tuple(labels) if value == ALL_CHANNELS else tuple(value)


def parse_words(plugin: type, words: Sequence[str], *, partial: bool = False) -> dict[str, Any]:
    """The values that words mean for this plugin class. A word is `name=value`, `name:value`, or a value alone, which
    then belongs to the first name of the class's `positional` that no word to its left has given. Where that is a text,
    `this=that` is a value, too, unless a parameter has the name, or nearly.

    partial: required parameters may be absent. All words are good, or none is taken: ParamError names the plugin, the
    word, and what is allowed.
    """
    name = _name_of(plugin)
    order: tuple[str, ...] = getattr(plugin, "positional", ())
    declared = declared_params(plugin)
    values: dict[str, str] = {}
    given_by: dict[str, str] = {}
    for number, word in enumerate(words):
        free = next((key for key in order if key not in values), "")
        named = NAMED.fullmatch(word)
        if named and named[1] not in declared and free and declared[free].kind == "text":
            named = named if meant(named[1], declared) else None
        key = named[1] if named else free
        if hint := _parted(plugin, key, word, words[number + 1 :]):
            raise ParamError(f"{name}: {word!r:.60}: {hint}")
        if named is None and (begun := _list_before(declared, words[:number], given_by)):
            raise ParamError(f"{name}: {begun!r:.60}: a list is one word; did you mean {begun:.40}{word:.40}?")
        if not key:
            raise ParamError(f"{name}: {word!r:.60}: {_no_place(plugin, order, word)}")
        if key in values:
            raise ParamError(f"{name}: {word!r:.60}: {key} is given twice, also by {given_by[key]!r:.60}")
        values[key] = named[2] if named else word
        given_by[key] = word
    return check_params(plugin, values, partial=partial)


def _list_before(declared: Mapping[str, Param[Any]], words: Sequence[str], given_by: Mapping[str, str]) -> str:
    """The word just before, where it is a list that ends in a comma; else empty."""
    before = words[-1] if words else ""
    key = next((key for key, word in given_by.items() if word == before), "")
    is_list = key in declared and declared[key].kind != "text" and before.endswith(",")
    return before if is_list else ""


def _parted(plugin: type, key: str, word: str, following: Sequence[str]) -> str:
    """What to write where a parameter's name and its value came as two words; empty where they did not."""
    declared = declared_params(plugin)
    bare = word.rstrip("=:")
    if bare not in declared or (bare != word and word[len(bare) + 1 :]):
        return ""
    if bare == word and key:
        with contextlib.suppress(ParamError):
            declared[key].parse(word)  # a label, or a choice, that is named like a parameter
            return ""
    value = next((text for text in following[:2] if text not in ("=", ":") and not NAMED.fullmatch(text)), None)
    if value is None:
        if bare != word and declared[bare].kind == "text" and not declared[bare].min:
            return ""  # an empty one
        return f"without a value; {bare} takes {declared[bare].allowed()}, as in {bare}=…"
    return f"name and value are one word; did you mean {bare}={value:.40}?"


def _no_place(plugin: type, order: tuple[str, ...], word: str) -> str:
    """Why a value without a name means nothing here."""
    declared = declared_params(plugin)
    if not declared:
        return "it has no parameters"
    known = ", ".join(declared)
    left = next((key for key in declared if key not in order), None)
    if order and left is None:
        return f"one value too many; it takes {', '.join(order)}"
    which = f"only {', '.join(order)} may go without" if order else "none may go without"
    return f"a value needs the name of its parameter ({which}), as in {left}={word:.20}; there are: {known}"


def _name_of(plugin: type) -> str:
    return str(getattr(plugin, "name", plugin.__name__.lower()))
