"""Events that a plugin posts: each with the sample and the time that it is about."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, SupportsFloat, SupportsIndex

from eegd.event_sender import EventSender
from eegd.event_values import number_of, whole_of
from eegd.frame import Frame

__all__ = ["PluginEvents", "place_of"]


class PluginEvents:
    """Knows the frame that a plugin is at. Main thread of a plugin process; the sending is done by another.

    An event's sample is told in the raw stream from which the plugin's input was made. It is known where the plugin
    reads that stream itself, or a filtered stream made from it, whose frames name their samples in it. Deeper in a
    graph, and for features, the event has a time only, which is the same on every stream: the daemon finds the sample.
    """

    def __init__(self, directory: Path, source: str) -> None:
        self.directory = directory
        self.sender = EventSender(directory, source)
        self.frame: Frame | None = None
        """What process has in hand; None outside of it."""

    def post(
        self,
        kind: str,
        label: str,
        source: str,
        value: SupportsFloat | None,
        sample_index: SupportsIndex | None,
        fraction: float,
        time_ns: int | None,
        **facts: Any,
    ) -> None:
        """facts: more about it, see EventSender."""
        frame = self.frame
        if frame is None:
            at_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC) if time_ns is None else time_ns
            self.sender.post(kind, label, value=value, time_ns=at_ns, source=source, **facts)
            return
        if time_ns is not None and sample_index is None:  # the daemon knows which sample that was
            raw, _ = raw_of(frame)
            self.sender.post(kind, label, value=value, time_ns=time_ns, source=source, stream=raw, **facts)
            return
        last = frame.sample_index + frame.n_samples - 1
        index = last if sample_index is None else whole_of("sample_index", sample_index, label)
        place = place_of(frame, index, number_of("fraction", fraction, label))
        if time_ns is not None:
            place["time_ns"] = time_ns
        self.sender.post(kind, label, value=value, source=source, **place, **facts)


def place_of(frame: Frame, index: int, fraction: float = 0.0) -> dict[str, Any]:
    """Where in the raw stream, and when, a sample of this frame lies: the arguments of EventSender.post for that."""
    raw, shift = raw_of(frame)
    return {
        "sample_index": None if shift is None else index + shift,
        "fraction": 0.0 if shift is None else fraction,
        "time_ns": round(frame.time_ns + (index + fraction - frame.sample_index) * frame.period_ns),
        "stream": raw,
    }


def raw_of(frame: Frame) -> tuple[str, int | None]:
    """The raw stream that this frame was made from, and what its own sample indices lack there; None: not known."""
    info = frame.info
    raw = str(info.description.get("raw_stream", info.stream))
    if info.kind == "raw":
        return info.stream, 0
    if info.kind == "filtered" and info.description.get("input") == raw:
        return raw, int(frame.source.sample_index) - frame.sample_index
    return raw, None
