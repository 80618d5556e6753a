"""One plugin parameter: declared as a class attribute, checked before a plugin sees a value."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any, Generic, TypeVar, overload

from eegd.errors import ParamError
from eegd.near import meant

__all__ = ["ALL_CHANNELS", "KINDS", "REQUIRED", "Param"]

T = TypeVar("T")

KINDS = ("float", "int", "bool", "choice", "channels", "list", "text")
ALL_CHANNELS = "all"
TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")
MOST_CHARACTERS = 200
"""Of a text that does not say how long it may be."""
CONTROL = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that would change how other text is shown: none may be in a text."""


class Required:
    """The default of a parameter that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = Required()


class Param(Generic[T]):
    """One parameter of a plugin class. Read on an instance it is the value; read on the class it is this declaration.

    default: its type says the kind (a float, int, bool, str, or a tuple for a list of floats or ints); without a
    default the parameter must be given, and `kind` says what it is. choices: the values allowed, kind "choice". kind
    "channels": a selection of channel labels, "all" or a tuple; labels are checked when the plugin starts, and from
    then on the value is the tuple of labels. kind "text": one line of any characters but control characters; a whole
    number is its digits. min and max hold for numbers, for every item of a list, and for the length of a text.

    Synchronization: values change between two frames only, in the thread that calls `process`.
    """

    def __init__(
        self,
        default: T = REQUIRED,
        *,
        min: float | None = None,
        max: float | None = None,
        unit: str = "",
        doc: str = "",
        choices: Sequence[T] = (),
        kind: str | None = None,
    ) -> None:
        if isinstance(choices, str):
            raise TypeError(f"choices = {choices!r:.60} of a Param: a tuple, as ({choices!r:.20},)")
        self.name = "?"
        self.default = default
        self.min = min
        self.max = max
        self.unit = unit
        self.doc = doc
        self.choices = tuple(choices)
        self.kind = kind or ("choice" if choices else _kind_of(default))
        if self.kind not in KINDS:
            raise TypeError(f"kind {self.kind!r} of a Param: one of {', '.join(KINDS)}")
        if self.kind == "choice" and not self.choices:
            raise TypeError("a Param of kind 'choice' needs choices")
        if self.kind == "text" and max is None:
            self.max = MOST_CHARACTERS

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        if not self.is_required:
            try:
                self.default = self.check(self.default)
            except ParamError as error:
                raise TypeError(f"default of {owner.__name__}.{error}") from None

    @property
    def is_required(self) -> bool:
        return isinstance(self.default, Required)

    @overload
    def __get__(self, instance: None, owner: type) -> Param[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Param[T] | T:
        if instance is None:
            return self
        resolved: dict[str, T] = instance.__dict__.get("_param_channels", {})
        values: dict[str, T] = instance.__dict__.get("_param_values", {})
        return resolved.get(self.name, values.get(self.name, self.default))

    def __set__(self, instance: object, value: T) -> None:
        raise AttributeError(
            f"{self.name} is a parameter, which its user sets; keep what you derive from it under another name"
        )

    def check(self, value: object) -> T:
        """The value as the plugin will see it. Raises ParamError that says what is allowed."""
        checked: Any
        if self.kind == "choice":
            if value not in self.choices or type(value) not in {type(choice) for choice in self.choices}:
                raise self._refusal(value)
            checked = value
        elif self.kind == "channels":
            checked = self._check_channels(value)
        elif self.kind == "list":
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise self._refusal(value)
            checked = tuple(self._check_number(item, value) for item in value)
        elif self.kind == "bool":
            if not isinstance(value, bool):
                raise self._refusal(value)
            checked = value
        elif self.kind == "text":
            checked = self._check_text(value)
        else:
            checked = self._check_number(value, value)
        return checked  # type: ignore[no-any-return]

    def parse(self, text: str) -> T:
        """The value that a text means, as on a command line: `yes`, `2.5`, `Oz,O1`. Raises ParamError."""
        value: object
        if self.kind == "bool":
            value = True if text.lower() in TRUE_WORDS else False if text.lower() in FALSE_WORDS else text
        elif self.kind == "choice":
            value = next((choice for choice in self.choices if str(choice) == text), text)
        elif self.kind == "channels":
            value = ALL_CHANNELS if text == ALL_CHANNELS else tuple(filter(None, text.split(",")))
        elif self.kind == "list":
            value = tuple(_number_in(item) for item in text.split(",") if item.strip())
        elif self.kind == "text":
            value = text
        else:
            value = _number_in(text)
        return self.check(value)

    def allowed(self) -> str:
        """What a value may be, in words: `a number from 0.25 to 30 s`."""
        unit = f" {self.unit}" if self.unit else ""
        if self.kind == "choice":
            return "one of " + ", ".join(map(str, self.choices)) + unit
        if self.kind == "bool":
            return "true or false"
        if self.kind == "channels":
            return "'all', or a list of channel labels"
        if self.kind == "text":
            least = f"from {self.min:g} to" if self.min else "of up to"
            return f"a text {least} {self.max:g} characters, none of them a control character"
        noun = "a whole number" if self._wants_int else "a number"
        noun = f"a list, each item {noun}" if self.kind == "list" else noun
        return noun + self._bounds(unit)

    def _bounds(self, unit: str) -> str:
        if self.min is not None and self.max is not None:
            return f" from {self.min:g} to {self.max:g}{unit}"
        if self.min is not None:
            return f", at least {self.min:g}{unit}"
        if self.max is not None:
            return f", at most {self.max:g}{unit}"
        return f" in{unit}" if unit else ""

    def describe(self) -> dict[str, object]:
        """Everything about it, as plain JSON types."""
        facts: dict[str, object] = {"name": self.name, "kind": self.kind, "required": self.is_required}
        if not self.is_required:
            facts["default"] = list(self.default) if isinstance(self.default, tuple) else self.default
        facts |= {"min": self.min, "max": self.max, "unit": self.unit, "doc": self.doc}
        if self.choices:
            facts["choices"] = list(self.choices)
        return facts

    @property
    def _wants_int(self) -> bool:
        if self.kind == "list":
            items = self.default if isinstance(self.default, tuple) else ()
            return bool(items) and all(type(item) is int for item in items)
        return self.kind == "int"

    def _check_number(self, value: object, whole: object) -> float | int:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._refusal(whole)
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refusal(whole)
        if (self.min is not None and value < self.min) or (self.max is not None and value > self.max):
            raise self._refusal(whole)
        if self._wants_int and value != int(value):
            raise self._refusal(whole)
        try:
            return int(value) if self._wants_int else float(value)
        except OverflowError:
            raise self._refusal(whole) from None

    def _check_channels(self, value: object) -> str | tuple[str, ...]:
        if value == ALL_CHANNELS:
            return ALL_CHANNELS
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            raise self._refusal(value)
        if not all(isinstance(label, str) and label for label in value) or len(set(value)) < len(value):
            raise self._refusal(value)
        return tuple(value)

    def _check_text(self, value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
            value = str(value)
        if not isinstance(value, str) or not (self.min or 0) <= len(value) <= (self.max or MOST_CHARACTERS):
            raise self._refusal(value)
        if any(unicodedata.category(character) in CONTROL for character in value):
            raise self._refusal(value)
        return value

    def _refusal(self, value: object) -> ParamError:
        shown = list(value) if isinstance(value, tuple) else value
        hint = meant(value, [word for word in self.choices if isinstance(word, str)]) if isinstance(value, str) else ""
        return ParamError(f"{self.name} = {shown!r:.60}{hint}: {self.allowed()}")


def _kind_of(default: object) -> str:
    if isinstance(default, Required):
        return "float"
    kinds = (("bool", bool), ("int", int), ("float", float), ("list", (tuple, list)), ("text", str))
    for kind, types in kinds:
        if isinstance(default, types):
            return kind
    raise TypeError(f"default {default!r} of a Param says no kind; give choices=… or kind=…")


def _number_in(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
