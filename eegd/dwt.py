"""Wavelet transforms: the Python face of native/dsp.

`Dwt` transforms arrays. `WaveletStream` does what a plugin needs: it takes frames, and for every step of a sliding
window makes coefficients, energies, the D1 peak and a trip check, all in one call of C.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eegd._native import ffi, lib
from eegd.sos import Sos

__all__ = ["STAGES", "WAVELETS", "Dwt", "History", "Level", "WaveletResult", "WaveletStream", "max_levels"]

WAVELETS = {"haar": lib.EEGD_DWT_HAAR, "cdf53": lib.EEGD_DWT_CDF53, "db2": lib.EEGD_DWT_DB2}
"""Names of the wavelets; PyWavelets calls cdf53 `bior2.2`."""

FLOATS = ffi.typeof("float[]")
STAGES = ("copy", "filter", "dwt", "energy", "trip", "publish")
NOTHING, TRIPPED, CLEARED = lib.EEGD_TRIP_NOTHING, lib.EEGD_TRIP_TRIPPED, lib.EEGD_TRIP_CLEARED


class Level(NamedTuple):
    """Where in a row of coefficients a level lies."""

    offset: int
    length: int

    @property
    def slice(self) -> slice:
        return slice(self.offset, self.offset + self.length)


def max_levels(wavelet: str, n_samples: int) -> int:
    """How many levels a window of n_samples has; the same as pywt.dwt_max_level. 0: it is too short."""
    return int(lib.eegd_dwt_max_levels(_number_of(wavelet), n_samples))


def _number_of(wavelet: str) -> int:
    if wavelet not in WAVELETS:
        raise ValueError(f"wavelet {wavelet!r}: one of {', '.join(WAVELETS)}")
    return int(WAVELETS[wavelet])


def _check_levels(wavelet: str, n_samples: int, n_levels: int) -> None:
    most = max_levels(wavelet, n_samples)
    if not 1 <= n_levels <= most:
        allowed = f"1 to {most}" if most else "none: the window is too short, or longer than 65536"
        raise ValueError(f"{n_levels} levels of {wavelet} on a window of {n_samples} samples: {allowed}")


class Dwt:
    """A transform of windows of n_samples, over n_levels, with mirrored edges (`symmetric` in PyWavelets).

    Coefficients of a channel are one row: the approximation first, then the levels from the coarsest to the finest,
    which is level 1. A row is longer than the window by the coefficients at the edges: `room`.
    Synchronization: one thread at a time.
    """

    def __init__(self, wavelet: str, n_samples: int, n_levels: int) -> None:
        """Raises ValueError for an unknown wavelet or too many levels, MemoryError."""
        _check_levels(wavelet, n_samples, n_levels)
        made = lib.eegd_dwt_new(_number_of(wavelet), n_samples, n_levels)
        if made == ffi.NULL:
            raise MemoryError(f"no memory for a transform of {n_samples} samples")
        self._dwt = ffi.gc(made, lib.eegd_dwt_free)
        self.wavelet, self.n_samples, self.n_levels = wavelet, n_samples, n_levels
        self.room = int(lib.eegd_dwt_room(self._dwt))
        self.levels = tuple(
            Level(lib.eegd_dwt_offset(self._dwt, level), lib.eegd_dwt_length(self._dwt, level))
            for level in range(n_levels + 1)
        )
        """[0]: the approximation, [1]: the details of level 1, and so on."""

    def forward_in_place(self, rows: NDArray[np.float32]) -> None:
        """(n_channels, room) float32: the first n_samples of each row are the window, and become coefficients."""
        lib.eegd_dwt_forward(self._dwt, *self._arguments(rows))

    def inverse_in_place(self, rows: NDArray[np.float32]) -> None:
        """Coefficients become samples again, in the first n_samples of each row."""
        lib.eegd_dwt_inverse(self._dwt, *self._arguments(rows))

    def forward(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coefficients, (n_channels, room), of a window, (n_channels, n_samples)."""
        if windows.ndim != 2 or windows.shape[1] != self.n_samples:
            raise ValueError(f"window of shape {windows.shape}: (n_channels, {self.n_samples}) is wanted")
        rows = np.empty((windows.shape[0], self.room), np.float32)
        rows[:, : self.n_samples] = windows
        self.forward_in_place(rows)
        return rows

    def inverse(self, coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
        """The window, (n_channels, n_samples), of its coefficients, (n_channels, room)."""
        rows = np.array(coefficients, np.float32, order="C")
        self.inverse_in_place(rows)
        return rows[:, : self.n_samples]

    def _arguments(self, rows: NDArray[np.float32]) -> tuple[Any, int, int]:
        if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != self.room:
            raise ValueError(f"rows of {rows.dtype} {rows.shape}: float32 (n_channels, {self.room}) is wanted")
        if rows.strides[1] != rows.itemsize or rows.strides[0] % rows.itemsize or not rows.flags.writeable:
            raise ValueError("rows: samples of a channel must lie one after another, in memory that can be written")
        return ffi.cast("float *", rows.ctypes.data), rows.strides[0] // rows.itemsize, rows.shape[0]


@dataclass(frozen=True, slots=True)
class WaveletResult:
    """What came of one window. Arrays of `WaveletStream.push` are views that the next window overwrites; those of
    `latest` are the caller's own."""

    number: int
    """1, 2, … since the stream of results was made."""
    sample_index: int
    """Of the window's first sample."""
    energies: NDArray[np.float32]
    """(n_channels, n_levels): sum of the squared coefficients of level 1, 2, …"""
    peaks: NDArray[np.float32]
    """(n_channels,): largest magnitude among the coefficients of level 1."""
    coefficients: NDArray[np.float32]
    """(n_channels, room), as Dwt.forward gives them."""
    tripped: bool
    trip_change: int
    """NOTHING, TRIPPED or CLEARED, by this window."""
    trip_since: int
    """Last sample of the window at which the trip last changed."""
    trip_value: float
    n_trips: int


@dataclass(frozen=True, slots=True)
class History:
    """The newest rows, oldest first."""

    first: int
    """Number of the first of them; results count from 1."""
    sample_index: NDArray[np.uint64]
    """(n,): of each window's first sample."""
    energies: NDArray[np.float32]
    """(n, n_channels, n_levels)."""


class WaveletStream:
    """The transform of a sliding window over frames. A window never spans a gap.

    Synchronization: one thread pushes; `latest` and `history` are for any thread, and never wait for it.
    Memory: two windows of input, three results, and the history; all taken here.
    """

    def __init__(
        self,
        wavelet: str,
        *,
        n_channels: int,
        n_window: int,
        n_step: int,
        n_levels: int = 5,
        n_history: int = lib.EEGD_HISTORY_ROWS,
        trip_channel: int = 0,
        trip_level: int = 0,
        trip_threshold: float = math.inf,
        trip_hysteresis: float = 0.0,
        trip_hold: int = 0,
        n_stage_frames: int = 1,
        sos: Sos | None = None,
    ) -> None:
        """n_window is a power of two; window, step and hold are in samples. trip_level: 0 checks the D1 peak of
        trip_channel, 1 … the energy of that level. sos: what samples go through first; nobody else may use it.
        Raises ValueError and MemoryError."""
        if n_window < 2 or n_window & (n_window - 1):
            raise ValueError(f"window of {n_window} samples: a power of two is wanted")
        _check_levels(wavelet, n_window, n_levels)
        if sos is not None and sos.n_channels != n_channels:
            raise ValueError(f"sos of {sos.n_channels} channels, and there are {n_channels}")
        limits = {
            "trip_channel": trip_channel,
            "trip_level": trip_level,
            "trip_threshold": trip_threshold,
            "trip_hysteresis": trip_hysteresis,
            "trip_hold": trip_hold,
        }
        numbers = {
            "n_channels": n_channels,
            "n_window": n_window,
            "n_step": n_step,
            "n_levels": n_levels,
            "n_history": n_history,
            "n_stage_frames": n_stage_frames,
        }
        config = ffi.new("struct eegd_wavelet_config *", {"wavelet": _number_of(wavelet), **numbers, **limits})
        self._sos = sos
        made = lib.eegd_wavelet_new(config, ffi.NULL if sos is None else sos.handle)
        if made == ffi.NULL:
            if ffi.errno == errno.ENOMEM:
                raise MemoryError(f"no memory for a window of {n_window} samples of {n_channels} channels")
            raise ValueError(f"a number is out of its range: {numbers | limits}")
        self._wavelet = ffi.gc(made, lib.eegd_wavelet_free)
        self.n_channels, self.n_window, self.n_step, self.n_levels = n_channels, n_window, n_step, n_levels
        self.room = int(lib.eegd_wavelet_room(made))
        self._n_bytes = int(lib.eegd_wavelet_result_bytes(made))
        self._row_bytes = int(lib.eegd_wavelet_row_bytes(made))
        self._complete = ffi.new("int *")
        own = lib.eegd_wavelet_own_result(made)
        self._own = own
        self._own_arrays = self._arrays(ffi.buffer(own, self._n_bytes))

    def set_trip(
        self, *, channel: int, level: int = 0, threshold: float = math.inf, hysteresis: float = 0.0, hold: int = 0
    ) -> None:
        """Checks this from the next window on; see trip_… above. A trip that was there is over, without CLEARED. The
        pushing thread only. Raises ValueError; then nothing has changed."""
        limits = {
            "trip_channel": channel,
            "trip_level": level,
            "trip_threshold": threshold,
            "trip_hysteresis": hysteresis,
            "trip_hold": hold,
        }
        if lib.eegd_wavelet_set_trip(self._wavelet, ffi.new("struct eegd_wavelet_config *", limits)):
            raise ValueError(f"a number is out of its range: {limits}")

    def push(self, data: NDArray[np.float32], sample_index: int) -> Iterator[WaveletResult]:
        """Takes a frame of (n_channels, n_samples) in; gives the result of every window that it completes. Go through
        all of them before the next frame."""
        if data.dtype != np.float32 or data.ndim != 2 or data.shape[0] != self.n_channels:
            raise ValueError(f"frame of {data.dtype} {data.shape}: float32 ({self.n_channels}, n_samples) is wanted")
        n, done = data.shape[1], 0
        if not n:
            return
        if (n > 1 and data.strides[1] != 4) or data.strides[0] % 4:
            data = np.ascontiguousarray(data)
        first, stride = ffi.from_buffer(FLOATS, data[0]), data.strides[0] // 4
        while done < n:
            done += lib.eegd_wavelet_push(
                self._wavelet, first + done, stride, n - done, sample_index + done, self._complete
            )
            if self._complete[0]:
                yield self._result(self._own, self._own_arrays)

    def latest(self) -> WaveletResult | None:
        """The newest result, copied; None before the first. Any thread."""
        copy = bytearray(self._n_bytes)
        where = ffi.from_buffer(copy)
        latest = lib.eegd_wavelet_latest(self._wavelet)
        while (number := lib.eegd_latest_read(latest, where)) < 0:
            pass  # overtaken: there is a newer one
        if number == 0:
            return None
        return self._result(ffi.cast("struct eegd_wavelet_result *", where), self._arrays(copy))

    def history(self, n: int = lib.EEGD_HISTORY_ROWS) -> History:
        """Up to n of the newest rows, copied. Any thread."""
        copy = bytearray(max(n, 1) * self._row_bytes)
        first = ffi.new("uint64_t *")
        got = lib.eegd_history_last(lib.eegd_wavelet_history(self._wavelet), n, ffi.from_buffer(copy), first)
        energies = np.dtype((np.float32, (self.n_channels, self.n_levels)))
        row = np.dtype([("sample_index", np.uint64), ("energies", energies)])
        rows = np.frombuffer(copy, row, got)
        return History(int(first[0]), rows["sample_index"], rows["energies"])

    def measure_stages(self, on: bool) -> None:
        """Turns the clock of the stages on or off, and forgets its times."""
        lib.eegd_stages_turn(lib.eegd_wavelet_stages(self._wavelet), on)

    def stage_times_ns(self, n: int) -> NDArray[np.uint32]:
        """(frames, stages): what each stage of up to n of the newest pushes took, in ns; columns as STAGES."""
        times = np.empty((n, len(STAGES)), np.uint32)
        stages = lib.eegd_wavelet_stages(self._wavelet)
        return times[: lib.eegd_stages_last(stages, n, ffi.cast("uint32_t *", times.ctypes.data))]

    def _arrays(self, result: Any) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        floats = np.frombuffer(result, np.float32, offset=ffi.sizeof("struct eegd_wavelet_result"))
        n_energies = self.n_channels * self.n_levels
        energies, peaks, coefficients = np.split(floats, [n_energies, n_energies + self.n_channels])
        return (
            energies.reshape(self.n_channels, self.n_levels),
            peaks,
            coefficients.reshape(self.n_channels, self.room),
        )

    @staticmethod
    def _result(of: Any, arrays: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]) -> WaveletResult:
        energies, peaks, coefficients = arrays
        return WaveletResult(
            number=of.number,
            sample_index=of.sample_index,
            energies=energies,
            peaks=peaks,
            coefficients=coefficients,
            tripped=bool(of.tripped),
            trip_change=of.trip_change,
            trip_since=of.trip_since,
            trip_value=of.trip_value,
            n_trips=of.n_trips,
        )
