"""Crossings of a threshold, found in blocks: what the capture thread's detectors do (native/change.h), for plugins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegd._native import ffi, lib

__all__ = ["EDGES", "Change", "Changes", "Crossing", "change_config"]

EDGES = {
    "rising": lib.EEGD_EDGE_RISING,
    "falling": lib.EEGD_EDGE_FALLING,
    "both": lib.EEGD_EDGE_RISING | lib.EEGD_EDGE_FALLING,
}

FLOATS = ffi.typeof("float[]")
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
    row: int = 0
    """Of the block."""

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


class Changes:
    """Crossings in several rows of blocks: in each row each crossing once, rising and falling in turn. One thread at a
    time.

    A signal comes to be above at threshold + hysteresis / 2 or more, and below under threshold − hysteresis / 2.
    """

    def __init__(
        self,
        rows: Sequence[int],
        threshold: float,
        *,
        hysteresis: float = 0.0,
        edge: str = "rising",
        dc_removal_hz: float = 0.0,
        rate_sps: float,
    ) -> None:
        """rows: of the blocks, which are looked at. edge: rising, falling or both."""
        self._config = ffi.new(
            "struct eegd_change_config *", change_config(threshold, hysteresis, edge, dc_removal_hz, rate_sps)
        )
        self._room = ffi.new("struct eegd_crossing[]", 1)
        self._n, self._rows, self._changes = 0, ffi.new("uint32_t[]", 0), ffi.new("struct eegd_change[]", 0)
        self.look_at(rows, edge)

    def look_at(self, rows: Sequence[int], edge: str) -> None:
        """From the next block on these rows, and this edge. Side and mean of a row that was looked at before stay."""
        before = {self._rows[i]: self._changes[i] for i in range(self._n)}
        self._config.edges = EDGES[edge]
        changes = ffi.new("struct eegd_change[]", len(rows))
        for change, row in zip(changes, rows, strict=True):
            if row in before:
                ffi.memmove(ffi.addressof(change), ffi.addressof(before[row]), ffi.sizeof(change))
                change.config.edges = EDGES[edge]
            else:
                lib.eegd_change_init(ffi.addressof(change), self._config)
        self._n, self._rows, self._changes = len(rows), ffi.new("uint32_t[]", list(rows)), changes
        self._n_rows = max(rows, default=-1) + 1
        """That a block must have."""

    def settle(self) -> None:
        """After a gap: forgets side and mean of every row. What is learned anew is no crossing."""
        for i in range(self._n):
            lib.eegd_change_settle(self._changes + i)

    def run(self, block: NDArray[np.float32]) -> list[Crossing]:
        """The crossings in the next values, (n_rows, n_values), row after row. Raises ValueError."""
        n_rows, n = block.shape
        if n_rows < self._n_rows:
            raise ValueError(f"block of {n_rows} rows: row {self._n_rows - 1} is looked at")
        if not n or not self._n:
            return []
        if block.dtype != np.float32 or (n > 1 and block.strides[1] != 4) or block.strides[0] % 4:
            block = np.ascontiguousarray(block, np.float32)
        if len(self._room) < self._n * n:
            self._room = ffi.new("struct eegd_crossing[]", self._n * n)
        values = ffi.from_buffer(FLOATS, block[0])
        found = lib.eegd_change_run_rows(
            self._changes, self._rows, self._n, values, block.strides[0] // 4, n, self._room, len(self._room)
        )
        if not found:
            return []
        return [Crossing(one.index, bool(one.rising), one.value, one.row) for one in self._room[0:found]]


class Change(Changes):
    """Crossings of one signal."""

    def __init__(
        self,
        threshold: float,
        *,
        hysteresis: float = 0.0,
        edge: str = "rising",
        dc_removal_hz: float = 0.0,
        rate_sps: float,
    ) -> None:
        super().__init__(
            (0,), threshold, hysteresis=hysteresis, edge=edge, dc_removal_hz=dc_removal_hz, rate_sps=rate_sps
        )

    def run(self, values: NDArray[np.float32]) -> list[Crossing]:
        """The crossings in the next values of the signal, a block of any length."""
        return super().run(np.asarray(values, np.float32)[None])
