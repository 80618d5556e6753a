"""Template: every channel times a gain. Copy this file, rename file and class, and write your own `process`.

Adds no delay and keeps no samples from one frame to the next, so a gap in the input changes nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eegd.plugin import Frame, Param, Plugin, StreamInfo


class Template(Plugin):
    """Every channel times a gain."""

    positional = ("gain",)  # may be given without its name: eegctl set template 2

    gain = Param(1.0, min=-100, max=100, doc="Factor for every channel")

    def start(self, info: StreamInfo) -> None:  # also after a change of parameters and after a gap
        self.gains = np.full((len(info.labels), 1), self.gain, np.float32)

    def process(self, frame: Frame, out: NDArray[np.float32]) -> None:
        np.multiply(frame.data, self.gains, out=out)
