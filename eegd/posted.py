"""Events that come from outside: what a request may say, and the sample that it belongs to."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from eegd.errors import ProtocolError
from eegd.event_kinds import check_posted_kind
from eegd.events import EventPublisher
from eegd.packet import value_of
from eegd.sample_clock import NoSample, SampleClock
from eegd.schema import is_plain_value, joined

__all__ = ["PostedEvents", "Timed"]

MAX_LABEL = 400
MAX_SOURCE = 64
MAX_FACTS = 4096
FACT = r"(?!self$)[a-z][a-z0-9_]{0,31}"
MADE_HERE = ("number", "wall_time_ns", "no_sample")
INT64 = 2**63
KEYS = (
    *("kind", "label", "value", "sample_index", "fraction", "time_ns", "now_ns", "source", "stream"),
    "uncertainty_ns",
)


class Timed(Protocol):
    """A raw stream, as far as the time of its samples goes."""

    stream: str

    def sample_clock(self) -> SampleClock:
        """The fit as it is now. Raises NoSample while there is none."""
        ...

    @property
    def virtual(self) -> bool:
        """Time is the emulated chip's, not this computer's."""
        ...


class PostedEvents:
    """The control operation `post`. Control thread only."""

    def __init__(
        self,
        events: EventPublisher,
        streams: Sequence[Timed],
        now_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC),
    ) -> None:
        self._events = events
        self._streams = {stream.stream: stream for stream in streams}
        self._first = streams[0].stream
        self._now_ns = now_ns

    def post(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Checks the event of a request, gives it sample and time, and publishes it. Raises ProtocolError."""
        event = value_of(request, "event", dict)
        if event is None:
            raise ProtocolError('an event is wanted, such as {"op": "post", "event": {"label": "eyes closed"}}')
        facts = _more_facts(event)
        try:
            kind = check_posted_kind(value_of(event, "kind", str, "marker"))
        except ValueError as error:
            raise ProtocolError(str(error)) from None
        label = _text(event, "label", "", MAX_LABEL)
        source = _text(event, "source", "program", MAX_SOURCE)
        value = value_of(event, "value", (int, float))
        if value is not None and not _is_finite(value):
            raise ProtocolError(f"value {value!r:.40}: a finite number or null")
        stream = value_of(event, "stream", str, source if source in self._streams else self._first)
        if stream not in self._streams and event.get("sample_index") is None:
            stream = self._first  # a time is the same on every stream
        if stream not in self._streams:
            raise ProtocolError(f"stream {stream!r:.40}: one of {joined(self._streams)}, whose samples are meant")
        posted = self._events.post(
            kind, label, value=value, source=source, stream=stream, **self._when(event, self._streams[stream]), **facts
        )
        return {"number": posted["number"], "event": posted}

    def _when(self, event: Mapping[str, Any], stream: Timed) -> dict[str, Any]:
        """Sample, fraction, time and its uncertainty; `no_sample` says why there is no sample."""
        index = _whole(event, "sample_index", 0)
        fraction = value_of(event, "fraction", (int, float), 0.0)
        if not 0 <= fraction < 1:
            raise ProtocolError(f"fraction {fraction!r:.40}: of a sample period, 0 up to but not 1")
        time_ns, now_ns = _whole(event, "time_ns", -INT64), _whole(event, "now_ns", 0)
        uncertainty_ns = _whole(event, "uncertainty_ns", 0)
        if index is None and fraction:
            raise ProtocolError("fraction: goes with a sample_index")
        try:
            clock = stream.sample_clock()
            if index is not None:
                if time_ns is not None:
                    return _facts(time_ns, uncertainty_ns, index, float(fraction))
                at_ns = clock.time_of(index, float(fraction))
                fit_ns = clock.uncertainty_ns(at_ns - clock.time_ns)
                return _facts(at_ns, (uncertainty_ns or 0) + fit_ns, index, float(fraction))
            if time_ns is None and stream.virtual:
                return _facts(clock.time_ns, uncertainty_ns, clock.sample_index)
            if time_ns is None and now_ns is not None:  # when it was asked for; the way here does not count
                time_ns, uncertainty_ns = now_ns, uncertainty_ns or 0
            at_ns = self._now_ns() if time_ns is None else time_ns
            place = clock.place(at_ns)
        except NoSample as why:
            given = next((ns for ns in (time_ns, now_ns) if ns is not None), None)
            at_ns = self._now_ns() if given is None else given
            if index is not None:  # the sender knows the sample
                return _facts(at_ns, uncertainty_ns, index, float(fraction))
            return {**_facts(at_ns, uncertainty_ns, None), "no_sample": str(why)}
        total_ns = None if uncertainty_ns is None else uncertainty_ns + place.uncertainty_ns
        return _facts(at_ns, total_ns, place.sample_index, place.fraction)


def _facts(time_ns: int, uncertainty_ns: int | None, sample_index: int | None, fraction: float = 0.0) -> dict[str, Any]:
    return {
        "time_ns": time_ns,
        "uncertainty_ns": uncertainty_ns,
        "sample_index": sample_index,
        "fraction": fraction,
    }


def _more_facts(event: Mapping[str, Any]) -> dict[str, Any]:
    """The sender's own keys, to be handed on as they are."""
    facts = {name: fact for name, fact in event.items() if name not in KEYS}
    for name, fact in facts.items():
        if name in MADE_HERE or not re.fullmatch(FACT, name):
            raise ProtocolError(f"event: key {name!r:.40}: letters, digits and _, and none of {joined(MADE_HERE)}")
        if not is_plain_value(fact):
            raise ProtocolError(f"event: {name} {fact!r:.40}: a number, true, false, a text, or a list of these")
    if len(json.dumps(facts)) > MAX_FACTS:
        raise ProtocolError(f"event: more than {MAX_FACTS} bytes beyond {joined(KEYS)}")
    return facts


def _is_finite(value: float) -> bool:
    return -INT64 <= value < INT64 if isinstance(value, int) else math.isfinite(value)


def _whole(event: Mapping[str, Any], name: str, low: int) -> int | None:
    number = value_of(event, name, int)
    if number is not None and not low <= number < INT64:
        raise ProtocolError(f"{name} {number!r:.40}: a whole number of 64 bits{', not negative' if low == 0 else ''}")
    return number  # type: ignore[no-any-return]


def _text(event: Mapping[str, Any], name: str, default: str, most: int) -> str:
    text = value_of(event, name, str, default)
    if len(text) > most:
        raise ProtocolError(f"{name} has {len(text)} characters; at most {most}")
    if name == "label" and not text.strip():
        raise ProtocolError("label: a text of 1 to 400 characters is wanted")
    return "".join(char if char.isprintable() else " " for char in text)
