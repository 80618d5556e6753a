# SPDX-License-Identifier: MIT
"""Passes frames on and takes the time from the DRDY edge to process(); tells it once, over a named pipe."""

from __future__ import annotations

import json
import time

import numpy as np
from numpy.typing import NDArray

from eegd.plugin import Frame, Plugin

PIPE = "/run/delay-probe"
"""Gets the times in ns, as JSON."""
WARM = 500
"""Frames that do not count."""
FRAMES = 2500


class DelayProbe(Plugin):
    """Every channel as it is. Its frames should have one sample, so that the newest is the only one."""

    def start(self, info: object) -> None:
        self._ns: list[int] = []
        self._lost = 0

    def process(self, frame: Frame, out: NDArray[np.float32]) -> None:
        now_ns = time.monotonic_ns()
        out[:] = frame.data
        self._lost += frame.lost_before + frame.missed
        self._ns.append(now_ns - frame.drdy_ns)
        if len(self._ns) == WARM + FRAMES:
            with open(PIPE, "w", encoding="utf-8") as pipe:
                json.dump({"ns": self._ns[WARM:], "lost": self._lost}, pipe)
