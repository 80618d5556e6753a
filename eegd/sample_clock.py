"""Which sample a moment belongs to: times on CLOCK_MONOTONIC as sample index and fraction, by a raw stream's fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["AHEAD_NS", "BACK_NS", "NoSample", "Place", "SampleClock"]

BACK_NS = 10_000_000_000
AHEAD_NS = 1_000_000_000
"""How far before and after the latest edge the present fit is believed."""
DRIFT_PPM = 1.0
"""What the chip's rate is assumed to wander within that span; it widens the uncertainty with the distance."""


class NoSample(ValueError):
    """The fit does not say which sample a moment belongs to; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a stream a moment lies."""

    sample_index: int
    fraction: float
    """Of a sample period beyond it; 0 ≤ fraction < 1."""
    uncertainty_ns: int
    """What the fit adds."""


@dataclass(frozen=True, slots=True)
class SampleClock:
    """The fit of a raw stream at one edge. Times are those of frames: the edge latency has been subtracted.

    Synchronization: none required.
    """

    sample_index: int
    """Of the latest edge."""
    time_ns: int
    """Fitted."""
    period_ns: float
    jitter_ns: float
    """rms of the stamps about the fit."""
    first_ns: int
    """Of the first sample of this stream epoch."""

    def place(self, time_ns: int) -> Place:
        """Raises NoSample for a moment that the fit does not cover."""
        since_ns = time_ns - self.time_ns
        if since_ns > AHEAD_NS:
            raise NoSample(f"{since_ns / 1e9:.3g} s after the latest sample; at most {AHEAD_NS / 1e9:g} s are foretold")
        if since_ns < -BACK_NS:
            raise NoSample(f"{-since_ns / 1e9:.3g} s before the latest sample; the fit is kept for {BACK_NS / 1e9:g} s")
        whole = math.floor(since_ns / self.period_ns)
        fraction = since_ns / self.period_ns - whole
        if fraction >= 1:  # by rounding
            whole, fraction = whole + 1, 0.0
        if self.sample_index + whole < 0 or time_ns < self.first_ns - self.period_ns:
            raise NoSample("before the first sample of this stream epoch")
        return Place(self.sample_index + whole, fraction, self.uncertainty_ns(since_ns))

    def time_of(self, sample_index: int, fraction: float) -> int:
        """The moment of a sample, however long ago. Raises NoSample for one that is far ahead."""
        since_ns = round((sample_index + fraction - self.sample_index) * self.period_ns)
        if since_ns > AHEAD_NS:
            raise NoSample(
                f"sample {sample_index} is {since_ns / 1e9:.3g} s ahead of the latest one, {self.sample_index}"
            )
        return self.time_ns + since_ns

    def uncertainty_ns(self, since_ns: float) -> int:
        return math.ceil(self.jitter_ns + abs(since_ns) * DRIFT_PPM / 1e6)
