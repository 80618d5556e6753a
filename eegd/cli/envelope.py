"""The recent past of a stream in bins of equal length: bounds, sum and power per channel, for a scrolling trace."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

__all__ = ["Envelope"]


class Envelope:
    """The latest `n_bins` bins, each of `samples_per_bin` samples. Bins lie on the sample index, so that a trace
    scrolls without shimmer, and lost samples leave a gap. Synchronization: one thread.
    """

    def __init__(self, n_channels: int, n_bins: int, samples_per_bin: int) -> None:
        self.n_bins = n_bins
        self.samples_per_bin = samples_per_bin
        self._low = np.full((n_channels, n_bins), np.nan, np.float32)
        self._high = np.full((n_channels, n_bins), np.nan, np.float32)
        self._sum = np.zeros((n_channels, n_bins))
        self._power = np.zeros((n_channels, n_bins))
        self._count = np.zeros(n_bins, np.int64)
        self.newest = -1
        """Bin that is being filled; counts from 0 and never wraps."""

    def add(self, data: NDArray[np.float32], sample_index: NDArray[np.int64]) -> None:
        """Adds samples, (n_channels, n), whose indices rise."""
        if not len(sample_index):
            return
        bins = sample_index // self.samples_per_bin
        self._advance(int(bins[-1]))
        recent = bins > self.newest - self.n_bins
        if not recent.all():
            data, bins = data[:, recent], bins[recent]
        starts = np.flatnonzero(np.diff(bins, prepend=-1))
        slots = bins[starts] % self.n_bins
        exact = data.astype(np.float64)
        self._low[:, slots] = np.fmin(self._low[:, slots], np.minimum.reduceat(data, starts, axis=1))
        self._high[:, slots] = np.fmax(self._high[:, slots], np.maximum.reduceat(data, starts, axis=1))
        self._sum[:, slots] += np.add.reduceat(exact, starts, axis=1)
        self._power[:, slots] += np.add.reduceat(exact * exact, starts, axis=1)
        self._count[slots] += np.diff(starts, append=len(bins))

    def _advance(self, newest: int) -> None:
        """Clears the bins between the newest one and this."""
        fresh = np.arange(max(self.newest + 1, newest - self.n_bins + 1), newest + 1) % self.n_bins
        self._low[:, fresh] = self._high[:, fresh] = np.nan
        self._sum[:, fresh] = self._power[:, fresh] = 0
        self._count[fresh] = 0
        self.newest = max(self.newest, newest)

    def _latest(self, n_bins: int) -> NDArray[np.int64]:
        """Slots of the latest full bins, oldest first; the one that is being filled would flicker."""
        n = min(n_bins, self.n_bins - 1)
        return np.arange(self.newest - n, self.newest) % self.n_bins

    def bounds(self, n_bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(low, high) of the latest full bins, (n_channels, n_bins), less each channel's middle; NaN: no samples."""
        slots = self._latest(n_bins)
        low, high = self._low[:, slots].astype(np.float64), self._high[:, slots].astype(np.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a channel without samples has no middle
            middle = np.nanmedian((low + high) / 2, axis=1, keepdims=True)
        missing = self.n_bins - 1 - n_bins
        pad = ((0, 0), (max(0, -missing), 0))
        return (
            np.pad(low - middle, pad, constant_values=np.nan),
            np.pad(high - middle, pad, constant_values=np.nan),
        )

    def rms(self, n_bins: int) -> NDArray[np.float64]:
        """Standard deviation per channel over the latest full bins; NaN: no samples."""
        slots = self._latest(n_bins)
        n = int(self._count[slots].sum())
        if not n:
            return np.full(len(self._sum), np.nan)
        mean = self._sum[:, slots].sum(axis=1) / n
        variance: NDArray[np.float64] = self._power[:, slots].sum(axis=1) / n - mean * mean
        return np.sqrt(np.maximum(0.0, variance), dtype=np.float64)
