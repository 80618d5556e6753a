"""Filter: Butterworth band pass, high pass or low pass, and a notch against the mains, on every channel.

Delay: a recursive filter delays each frequency differently, most near its corners. What the stream states
(`delay_ns`) is the group delay in the middle of the pass band: at √(low · high), at half of `high` where there is no
`low`, at twice `low` where there is no `high`, and at 10 Hz for a notch alone; eegd.design.group_delay_s tells it for
any frequency. It is stated for the parameters with which a stream epoch begins; changes while it runs leave it.

Memory: the last 4 s of input, for changes. The filter starts from the steady state of its first sample, as if the
input had always been that, and again after a gap: an offset makes no transient, and what lies before a gap is
forgotten. A sample that is NaN or infinite, as other plugins may make them, comes out as NaN, and its channel starts
from the next one; the others do not notice.

Changes while it runs: the new filter begins on the same input, is run over the kept seconds of the past first (from
the steady state of their mean), and over `fade` seconds the output goes from the old one to the new one in a straight
line: sample k of n has the share (k + 1) / (n + 1) of the new. So there is no step but those that the two make, and
their difference / (n + 1). A change during a fade waits until this has ended and begins with the frame after; of
several the last one holds. At a gap there is nothing to fade from: the newest parameters hold at once.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from eegd import design
from eegd.errors import ParamError
from eegd.plugin import Frame, Outputs, Param, Plugin, StreamInfo
from eegd.sos import Sos

WARM_UP_S = 4.0
"""By then a high pass of 0.5 Hz has forgotten all but 10⁻⁴ of how it started."""
AT_ONCE = 1024
NOTHING = np.array([[1.0, 0, 0, 1, 0, 0]])


class Filter(Plugin):
    """Band pass, high pass or low pass, and a notch against the mains."""

    positional: ClassVar[tuple[str, ...]] = ("low", "high")

    low = Param(1.0, min=0, max=8000, unit="Hz", doc="Lower corner of the band, -3 dB; 0: no high pass")
    high = Param(40.0, min=0, max=8000, unit="Hz", doc="Upper corner of the band, -3 dB; 0: no low pass")
    notch: Param[str | int] = Param("off", choices=("off", 50, 60), unit="Hz", doc="Mains frequency to take out")
    q = Param(30.0, min=1, max=200, doc="Sharpness of the notch: its frequency / its width at -3 dB")
    order = Param(2, min=1, max=8, doc="Steepness beyond each corner: 6 dB per octave times this")
    fade = Param(0.1, min=0, max=10, unit="s", doc="Time in which changed parameters take over")

    def start(self, info: StreamInfo) -> None:
        self._sections = self._designed()
        self._delay_s = design.group_delay_s(self._sections, self._middle_hz(), info.rate_sps)
        self._past = Past(len(info.labels), max(1, round(WARM_UP_S * info.rate_sps)))
        self.reset()

    def reset(self) -> None:
        self._now, self._running = Sos(self._sections, len(self.info.labels)), self._sections
        self._old: Sos | None = None
        self._n_faded = self._n_fade = 0
        self._is_fresh, self._is_changed = True, False
        self._past.clear()

    def outputs(self, info: StreamInfo) -> Outputs:
        return Outputs(labels=info.labels, units=info.units, rate_sps=info.rate_sps, delay_s=self._delay_s)

    def changed(self, names: tuple[str, ...]) -> None:
        """Raises ParamError for parameters that make no filter together, and keeps the one that there is."""
        self._sections = self._designed()
        self._is_changed = not np.array_equal(self._sections, self._running)

    def process(self, frame: Frame, out: NDArray[np.float32]) -> None:
        self._run(frame.data, out)

    def process_inplace(self, data: NDArray[np.float32], frame: Frame) -> None:
        self._run(data, data)

    def _run(self, x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """out may be x itself."""
        if self._is_changed and self._old is None:
            self._change()
        if self._is_fresh:
            self._now.settle(x[:, 0])
            self._is_fresh = False
        self._past.push(x)  # before anything is written
        if self._old is None:
            self._now.run(x, out)
        else:
            old = np.empty(x.shape, np.float32)
            self._old.run(x, old)
            self._now.run(x, out)
            self._mix(old, out)

    def _change(self) -> None:
        """Begins to fade from the filter that there is to that of the newest parameters."""
        new = Sos(self._sections, len(self.info.labels))
        self._is_changed = False
        if not self._is_fresh:
            self._past.run_through(new)
            self._n_faded, self._n_fade = 0, round(self.fade * self.info.rate_sps)
            self._old = self._now if self._n_fade else None
        self._now, self._running = new, self._sections

    def _mix(self, old: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Makes of the new filter's output the mix with the old one's."""
        n = min(out.shape[1], self._n_fade - self._n_faded)
        share = np.arange(self._n_faded + 1, self._n_faded + n + 1) / (self._n_fade + 1)
        out[:, :n] = old[:, :n] * (1 - share) + out[:, :n] * share
        self._n_faded += n
        if self._n_faded == self._n_fade:
            self._old = None

    def _designed(self) -> NDArray[np.float64]:
        """The sections of the parameters as they are. Raises ParamError."""
        rate, low, high = self.info.rate_sps, self.low, self.high
        parts = []
        try:
            if low and high:
                parts.append(design.band_pass(low, high, rate, self.order))
            elif low:
                parts.append(design.high_pass(low, rate, self.order))
            elif high:
                parts.append(design.low_pass(high, rate, self.order))
            if self.notch != "off":
                parts.append(design.notch(float(self.notch), rate, self.q))
        except ValueError as error:
            raise ParamError(f"{self.name}: low = {low:g}, high = {high:g}, notch = {self.notch}: {error}") from None
        return design.cascade(*parts) if parts else NOTHING

    def _middle_hz(self) -> float:
        """Where in the pass band the delay is stated."""
        if self.low and self.high:
            return math.sqrt(self.low * self.high)
        return self.high / 2 or 2 * self.low or 10.0


class Past:
    """The newest samples of the input: a ring."""

    def __init__(self, n_channels: int, n_samples: int) -> None:
        self._ring = np.zeros((n_channels, n_samples), np.float32)
        self._n = 0
        """Samples taken in since the last clear."""

    def clear(self) -> None:
        self._n = 0

    def push(self, x: NDArray[np.float32]) -> None:
        size, n = self._ring.shape[1], x.shape[1]
        begin = self._n % size
        self._n += n
        if begin + n <= size:
            self._ring[:, begin : begin + n] = x
            return
        x = x[:, -size:]
        begin = (self._n - x.shape[1]) % size
        n = min(x.shape[1], size - begin)
        self._ring[:, begin : begin + n] = x[:, :n]
        self._ring[:, : x.shape[1] - n] = x[:, n:]

    def run_through(self, filter: Sos) -> None:
        """Puts a filter into the state that it has after these samples, and before them that of their mean."""
        size = self._ring.shape[1]
        if self._n < size:
            parts = [self._ring[:, : self._n]]
        else:
            parts = [self._ring[:, self._n % size :], self._ring[:, : self._n % size]]
        n = sum(part.shape[1] for part in parts)
        filter.settle(sum(part.sum(axis=1, dtype=np.float64) for part in parts) / n)
        out = np.empty((self._ring.shape[0], AT_ONCE), np.float32)
        for part in parts:
            for begin in range(0, part.shape[1], AT_ONCE):
                x = part[:, begin : begin + AT_ONCE]
                filter.run(x, out[:, : x.shape[1]])
