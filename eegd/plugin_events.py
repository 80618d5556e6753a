"""Events that a plugin posts: each with the sample and the time that it is about."""

from __future__ import annotations

import time
from pathlib import Path
from typing import SupportsFloat, SupportsIndex

from eegd.event_sender import EventSender
from eegd.frame import Frame

__all__ = ["PluginEvents"]


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
    ) -> None:
        frame = self.frame
        if frame is None:
            at_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC) if time_ns is None else time_ns
            self.sender.post(kind, label, value=value, time_ns=at_ns, source=source)
            return
        if time_ns is not None and sample_index is None:  # the daemon knows which sample that was
            self.sender.post(kind, label, value=value, time_ns=time_ns, source=source, stream=raw_of(frame)[0])
            return
        index = frame.sample_index + frame.n_samples - 1 if sample_index is None else int(sample_index)
        if time_ns is None:
            time_ns = round(frame.time_ns + (index + fraction - frame.sample_index) * frame.period_ns)
        raw, shift = raw_of(frame)
        self.sender.post(
            kind,
            label,
            value=value,
            sample_index=None if shift is None else index + shift,
            fraction=0.0 if shift is None else fraction,
            time_ns=time_ns,
            source=source,
            stream=raw,
        )


def raw_of(frame: Frame) -> tuple[str, int | None]:
    """The raw stream that this frame was made from, and what its own sample indices lack there; None: not known."""
    info = frame.info
    raw = str(info.description.get("raw_stream", info.stream))
    if info.kind == "raw":
        return info.stream, 0
    if info.kind == "filtered" and info.description.get("input") == raw:
        return raw, int(frame.source.sample_index) - frame.sample_index
    return raw, None
