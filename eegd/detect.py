"""Crossings of a threshold, found in blocks: what the capture thread's detectors do (native/change.h), for plugins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegd._native import ffi, lib

__all__ = ["EDGES", "Change", "Crossing", "change_config"]

EDGES = {
    "rising": lib.EEGD_EDGE_RISING,
    "falling": lib.EEGD_EDGE_FALLING,
    "both": lib.EEGD_EDGE_RISING | lib.EEGD_EDGE_FALLING,
}

MOST_SETTLE = 2**53
"""Values: longer than anything runs, and a number that C can hold."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One crossing that counts."""

    index: int
    """Of the value in its block: the first one on the new side."""
    rising: bool
    value: float
    """Less the mean, where that is removed."""

    @property
    def edge(self) -> str:
        return "rising" if self.rising else "falling"


def change_config(
    threshold: float, hysteresis: float, edge: str, dc_removal_hz: float, rate_sps: float
) -> dict[str, Any]:
    """A `struct eegd_change_config`. The mean follows with one pole at dc_removal_hz, and is learned for one time
    constant after the start and after a gap; 0 removes nothing."""
    share = -math.expm1(-2 * math.pi * dc_removal_hz / rate_sps)
    return {
        "threshold": threshold,
        "hysteresis": hysteresis,
        "dc_share": share,
        "settle": math.ceil(min(1 / share, MOST_SETTLE)) if share else 0,
        "edges": EDGES[edge],
    }


class Change:
    """Crossings of one signal: each once, rising and falling in turn. One thread at a time.

    The signal comes to be above at threshold + hysteresis / 2 or more, and below under threshold − hysteresis / 2.
    """

    def __init__(
        self,
        threshold: float,
        *,
        hysteresis: float = 0.0,
        edge: str = "rising",
        dc_removal_hz: float = 0.0,
        rate_sps: float,
    ) -> None:
        """edge: rising, falling or both."""
        self._config = ffi.new(
            "struct eegd_change_config *", change_config(threshold, hysteresis, edge, dc_removal_hz, rate_sps)
        )
        self._change = ffi.new("struct eegd_change *")
        lib.eegd_change_init(self._change, self._config)
        self._room = ffi.new("struct eegd_crossing[]", 1)

    def settle(self) -> None:
        """After a gap: forgets the side and the mean. What is learned anew is no crossing."""
        lib.eegd_change_settle(self._change)

    def set_edge(self, edge: str) -> None:
        """Rising, falling or both, from the next value on; side and mean stay."""
        self._change.config.edges = EDGES[edge]

    def run(self, values: NDArray[np.float32]) -> list[Crossing]:
        """The crossings in the next values of the signal, a block of any length."""
        row = np.ascontiguousarray(values, np.float32)
        if len(self._room) < len(row):
            self._room = ffi.new("struct eegd_crossing[]", len(row))
        found = lib.eegd_change_run(
            self._change, ffi.from_buffer("float[]", row), len(row), 0, self._room, len(self._room)
        )
        return [Crossing(one.index, bool(one.rising), one.value) for one in self._room[0:found]]
