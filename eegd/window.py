"""A sliding window over a stream: the newest samples as one contiguous view, restarted at every gap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["SlidingWindow", "Window"]

MOST_AT_ONCE = 400


class Samples(Protocol):
    """What is read of a frame."""

    @property
    def data(self) -> NDArray[np.float32]: ...
    @property
    def sample_index(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Window:
    """One position of a sliding window."""

    data: NDArray[np.float32]
    """(n_channels, n_samples) float32; a view that the next position overwrites, so copy what you keep."""
    sample_index: int
    """Input index of its first sample."""

    @property
    def n_samples(self) -> int:
        return int(self.data.shape[1])


class SlidingWindow:
    """The last n_samples of every channel, each n_step samples. Every sample is copied once as it comes in, and once
    more when the buffer, twice as long as the window, begins anew. Synchronization: one thread.
    """

    def __init__(self, n_channels: int, n_samples: int, n_step: int) -> None:
        """Both lengths in samples. Raises ValueError where one of them is less than 1."""
        if n_samples < 1 or n_step < 1:
            raise ValueError(f"window of {n_samples} samples, step of {n_step}: both are at least 1")
        self.n_samples = n_samples
        self.n_step = n_step
        self._buffer = np.zeros((n_channels, 2 * n_samples + MOST_AT_ONCE), np.float32)
        self._fill = 0
        self._next = -1
        self._due = 0

    def push(self, frame: Samples) -> Iterator[Window]:
        """Takes a frame in, (n_channels, any length) float32; gives every window that it completes. Go through
        all of them before the next frame. A frame that does not begin where the one before it ended begins anew.
        """
        data, index = frame.data, frame.sample_index
        if index != self._next:
            self._fill, self._next, self._due = 0, index, index + self.n_samples
        while data.shape[1]:
            n = min(data.shape[1], self._due - self._next, self._buffer.shape[1] - self.n_samples)
            self._append(data[:, :n])
            data = data[:, n:]
            if self._next == self._due:
                self._due += self.n_step
                yield Window(self._buffer[:, self._fill - self.n_samples : self._fill], self._next - self.n_samples)

    def _append(self, data: NDArray[np.float32]) -> None:
        n = data.shape[1]
        if self._fill + n > self._buffer.shape[1]:
            kept = min(self._fill, self.n_samples)
            self._buffer[:, :kept] = self._buffer[:, self._fill - kept : self._fill]
            self._fill = kept
        self._buffer[:, self._fill : self._fill + n] = data
        self._fill += n
        self._next += n
