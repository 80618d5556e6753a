"""Second-order sections over blocks of all channels, with state from block to block; computed in the C core.

Samples are float32, arithmetic and state float64. Designs are in eegd.design.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eegd._native import ffi, lib

__all__ = ["Sos"]

FLOATS = ffi.typeof("float[]")


class Sos:
    """A cascade of second-order sections with a state for every channel. Synchronization: one thread at a time.

    A sample that is NaN or infinite is missing: NaN comes out in its place, and the channel begins anew with the next
    finite one, settled at that. The other channels do not notice.
    """

    def __init__(self, sos: ArrayLike, n_channels: int) -> None:
        """sos: (n_sections, 6), each row b0 b1 b2 a0 a1 a2, as scipy.signal writes them. Begins at rest: as if the
        input had always been 0. Raises ValueError."""
        sections = np.ascontiguousarray(sos, np.float64)
        most_sections, most_channels = lib.EEGD_SOS_MAX_SECTIONS, lib.EEGD_SOS_MAX_CHANNELS
        if sections.ndim != 2 or sections.shape[1] != 6 or not 1 <= len(sections) <= most_sections:
            raise ValueError(f"sos of shape {sections.shape}: (n_sections, 6) is needed, 1 to {most_sections} sections")
        if not 1 <= n_channels <= most_channels:
            raise ValueError(f"{n_channels} channels: 1 to {most_channels}")
        with np.errstate(all="ignore"):
            divided = sections / sections[:, 3:4]
        if not np.isfinite(sections).all() or not np.isfinite(divided).all():
            raise ValueError("sos: every coefficient must be finite, also divided by a0 (the fourth), which is not 0")
        self.n_sections = len(sections)
        self.n_channels = n_channels
        made = ffi.new("struct eegd_sos **")
        if lib.eegd_sos_create(made, ffi.from_buffer("double[]", sections), len(sections), n_channels):
            raise MemoryError(f"sos: {len(sections)} sections of {n_channels} channels")
        self._sos = ffi.gc(made[0], lib.eegd_sos_destroy)

    @property
    def handle(self) -> Any:
        """The struct of the C core, for what runs it there."""
        return self._sos

    def settle(self, first: ArrayLike) -> None:
        """Takes the state that it would have if every channel's input had always been its value of `first`,
        (n_channels,) or one number for all: a constant input then gives a constant output at once. Where that is NaN,
        it is the first finite sample that comes."""
        values = np.ascontiguousarray(np.broadcast_to(np.asarray(first, np.float64), (self.n_channels,)))
        lib.eegd_sos_settle(self._sos, ffi.from_buffer("double[]", values))

    def run(self, x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Filters a block, both (n_channels, n_samples) float32. Rows may have any distance from each other, the
        samples of a row lie side by side. `out` may be `x` itself, but not overlap it otherwise. Raises ValueError."""
        self._check(x, "x")
        self._check(out, "out")
        if not out.flags.writeable:
            raise ValueError("out is read-only")
        if x.shape != out.shape:
            raise ValueError(f"x is {x.shape[1]} samples long and out {out.shape[1]}: they must be alike")
        n = x.shape[1]
        if not n:
            return
        if x is not out and np.shares_memory(x, out) and not self._is_same(x, out):
            raise ValueError("x and out overlap; they may be the same array, or have nothing in common")
        # A row has its samples side by side, as a buffer must; the others are reached from it.
        first, to = ffi.from_buffer(FLOATS, x[0]), ffi.from_buffer(FLOATS, out[0])
        lib.eegd_sos_run(self._sos, first, x.strides[0] // 4, to, out.strides[0] // 4, n)

    def state(self) -> NDArray[np.float64]:
        """A copy of the state, (n_sections, n_channels, 2), laid out as scipy.signal.sosfilt takes it."""
        state = np.empty((self.n_channels, self.n_sections, 2))
        for channel, row in enumerate(state):
            lib.eegd_sos_state(self._sos, channel, ffi.from_buffer("double[]", row))
        return np.ascontiguousarray(state.transpose(1, 0, 2))

    def _is_same(self, x: NDArray[np.float32], out: NDArray[np.float32]) -> bool:
        """Two views of the very same samples."""
        at = x.__array_interface__["data"], out.__array_interface__["data"]
        return at[0][0] == at[1][0] and (x.strides[0] == out.strides[0] or self.n_channels == 1)

    def _check(self, array: NDArray[np.float32], name: str) -> None:
        if array.dtype != np.float32:
            raise ValueError(f"{name} is {array.dtype}: float32 is needed")
        if array.ndim != 2 or array.shape[0] != self.n_channels:
            raise ValueError(f"{name} has shape {array.shape}: ({self.n_channels}, n_samples) is needed")
        if (array.shape[1] > 1 and array.strides[1] != 4) or array.strides[0] % 4:
            raise ValueError(f"{name} has strides {array.strides}: the samples of a row must lie side by side")
