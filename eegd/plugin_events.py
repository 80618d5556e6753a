"""Events that a plugin posts: each with the sample and the time that it is about."""

from __future__ import annotations

import time
from pathlib import Path
from typing import SupportsFloat, SupportsIndex

from eegd.event_sender import EventSender
from eegd.frame import Frame, StreamInfo

__all__ = ["PluginEvents"]


class PluginEvents:
    """Knows the frame that a plugin is at. Main thread of a plugin process; the sending is done by another.

    An event's `sample_index` counts samples of the stream that its field `stream` names. That is `raw` where the
    plugin reads `raw`, or a filtered stream made from it, whose frames name their samples in it. Deeper in a graph it
    is the plugin's own input; the time holds on every stream.
    """

    def __init__(self, directory: Path, source: str) -> None:
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
        index = frame.sample_index + frame.n_samples - 1 if sample_index is None else int(sample_index)
        if time_ns is None:
            time_ns = round(frame.time_ns + (index + fraction - frame.sample_index) * frame.period_ns)
        stream, shift = in_raw(frame, frame.info)
        self.sender.post(
            kind,
            label,
            value=value,
            sample_index=index + shift,
            fraction=fraction,
            time_ns=time_ns,
            source=source,
            stream=stream,
        )


def in_raw(frame: Frame, info: StreamInfo) -> tuple[str, int]:
    """The stream in which samples of this frame's stream are best named, and what is added to their index there."""
    if info.kind == "filtered" and info.description.get("input") == "raw":
        return "raw", int(frame.source.sample_index) - frame.sample_index
    return info.stream, 0
