"""Detect: an event for each crossing of a threshold, on any stream: after a filter, after a re-reference.

The same detection as `[[detector]]` in the configuration, which sees raw channels only but is told within
microseconds; this one is told a frame later. A channel comes to be above at `threshold + hysteresis / 2` or more and
below under `threshold - hysteresis / 2`; each crossing of the wanted edge is posted once, with the sample that is the
first one on the new side, and the value there.

What comes in goes out unchanged, so it adds no delay, and can stand in a chain. Memory: side and mean of each channel.
After a gap it settles anew: the side that it finds is no crossing, and with `dc_removal` the mean is learned for one
time constant, 1 / (2π × dc_removal), before anything is told. A value that is NaN or infinite is no value: it crosses
nothing, and changes nothing. Another threshold, hysteresis or `dc_removal` settles anew, too; with other `channels`
those that stay go on.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from eegd.detect import Changes
from eegd.errors import ParamError
from eegd.plugin import Frame, Param, Plugin, StreamInfo


class Detect(Plugin):
    """An event for each crossing of a threshold."""

    positional: ClassVar[tuple[str, ...]] = ("threshold", "hysteresis")

    threshold = Param[float](kind="float", unit="µV", doc="What is crossed")
    hysteresis = Param(0.0, min=0, unit="µV", doc="Width of the band about it in which nothing is told")
    edge = Param("rising", choices=("rising", "falling", "both"), doc="Which crossings count")
    dc_removal = Param(0.0, min=0, max=4000, unit="Hz", doc="Corner of a high-pass before; 0 for none")
    channels = Param("all", kind="channels", doc="Where it looks")
    label = Param("", max=60, doc="What its events begin with, before channel and edge")

    def changed(self, names: tuple[str, ...]) -> None:
        if not set(names) <= {"label", "edge", "channels"}:
            self.reset()
            return
        self._changes.look_at(self._rows(), self.edge)

    def start(self, info: StreamInfo) -> None:
        if self.dc_removal > info.rate_sps / 4:
            text = f"at {info.rate_sps:g} SPS at most {info.rate_sps / 4:g} Hz, a quarter of the rate"
            raise ParamError(f"{self.name}: dc_removal = {self.dc_removal:g}: {text}")
        self._changes = Changes(
            self._rows(),
            self.threshold,
            hysteresis=self.hysteresis,
            edge=self.edge,
            dc_removal_hz=self.dc_removal,
            rate_sps=info.rate_sps,
        )

    def _rows(self) -> list[int]:
        return [self.info.index(label) for label in self.channels]

    def process(self, frame: Frame, out: NDArray[np.float32]) -> None:
        out[:] = frame.data
        self.process_inplace(out, frame)

    def process_inplace(self, data: NDArray[np.float32], frame: Frame) -> None:
        for crossing in self._changes.run(data):
            at = frame.sample_index + crossing.index
            label = f"{self.label} {self.info.labels[crossing.row]} {crossing.edge}".strip()
            self.post(label, value=crossing.value, sample_index=at)
