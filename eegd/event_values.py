"""What programs give as values of events, as plain numbers: Python's and NumPy's are taken, all else is refused."""

from __future__ import annotations

import contextlib
import math
import operator
from typing import Any

__all__ = ["nanoseconds_of", "number_of", "plain_of", "whole_of"]


def number_of(name: str, value: object, label: str) -> float:
    """A finite number. Raises TypeError, ValueError with the argument's name and the event's label."""
    number = _number(value)
    if number is None:
        raise TypeError(f"{_named(name, value, label)}: a number, not {type(value).__name__}")
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"{name} {value} of event {label!r:.60}: a finite number, or None")
    try:
        return float(number)
    except OverflowError:
        raise ValueError(f"{_named(name, value, label)}: too large for a number of 64 bits") from None


def whole_of(name: str, value: object, label: str) -> int:
    """A whole number; one that is a float without a fraction will do. Raises TypeError, ValueError."""
    number = _number(value)
    if isinstance(number, int):
        return number
    if number is None or not number.is_integer():
        error = TypeError if number is None else ValueError
        raise error(f"{_named(name, value, label)}: a whole number, such as frame.sample_index + 3")
    return int(number)


def nanoseconds_of(name: str, value: object, label: str) -> int:
    """A time, rounded where it is a float. Raises TypeError, ValueError."""
    number = _number(value)
    return number if isinstance(number, int) else round(number_of(name, value, label))


def plain_of(name: str, value: object, label: str) -> Any:
    """A number, text, boolean or None, or a flat list of these, for JSON. Raises TypeError, ValueError."""
    if getattr(value, "ndim", 0) and (as_list := getattr(value, "tolist", None)) is not None:
        value = as_list()
    if isinstance(value, list | tuple):
        return [_item_of(name, item, label) for item in value]
    return _item_of(name, value, label)


def _item_of(name: str, value: object, label: str) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if type(value).__name__ in ("bool", "bool_"):  # NumPy's; this module does not import it
        return bool(value)
    number = _number(value)
    if number is None:
        kind = type(value).__name__
        raise TypeError(f"{_named(name, value, label)}: a number, text or boolean, or a list of these, not {kind}")
    return number if isinstance(number, int) else number_of(name, number, label)


def _number(value: object) -> int | float | None:
    """Exact where it is whole; None for what is no number, as texts and arrays are not."""
    if isinstance(value, str | bytes | bytearray) or getattr(value, "ndim", None):
        return None
    with contextlib.suppress(TypeError):
        return operator.index(value)  # type: ignore[arg-type]
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return float(value)  # type: ignore[arg-type]
    return None


def _named(name: str, value: object, label: str) -> str:
    return f"{name} {value!r:.60} of event {label!r:.60}"
