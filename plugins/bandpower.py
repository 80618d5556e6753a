"""Band power: the power of each channel in the classic EEG bands, in µV², over a sliding window.

Method: mean removed, Hann window, one FFT per window, one-sided power density, summed over each band's bins
(lower edge in, upper edge out). A sine of amplitude A gives A²/2 in its band. A Hann window spreads a line over
two bins to each side, that is 2/length Hz: at 2 s, 1 Hz.

Time and delay: a value's time is that of the last sample in its window; `delay_ns` adds half the window, so time
minus delay is the window's middle. Memory: two windows of input. After a gap the next value comes one whole window
later, since a window never spans a gap. Where a sample is NaN or infinite, as other plugins may make them, its channel
has NaN for as long as that is in the window.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from eegd.plugin import Frame, Outputs, Param, Plugin, Result, StreamInfo

BANDS_HZ = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}


class Bandpower(Plugin):
    """Power of each channel in the classic EEG bands."""

    kind: ClassVar[str] = "features"

    length = Param(2.0, min=0.25, max=30, unit="s", doc="Length of signal that one value is computed from")
    step = Param(0.2, min=0.02, max=30, unit="s", doc="Time from one value to the next")
    relative = Param(False, doc="Share of each band in the sum of all bands, instead of µV²")

    def start(self, info: StreamInfo) -> None:
        self._sliding = self.window(seconds=self.length, step=self.step)
        n = self._sliding.n_samples
        self._hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
        # One-sided density per bin, times the bin's width; 0 Hz and the Nyquist frequency have no mirror image.
        self._scale = np.full(n // 2 + 1, 2 / (n * np.sum(self._hann**2)))
        self._scale[0] /= 2
        if n % 2 == 0:
            self._scale[-1] /= 2
        frequency = np.arange(n // 2 + 1) * info.rate_sps / n
        bins = {name: (frequency >= low) & (frequency < high) for name, (low, high) in BANDS_HZ.items()}
        # Left out: what reaches beyond the Nyquist frequency, and what is narrower than a bin of so short a window.
        self._bins = {
            name: where for name, where in bins.items() if where.any() and BANDS_HZ[name][1] <= info.rate_sps / 2
        }

    def outputs(self, info: StreamInfo) -> Outputs:
        columns = [(label, band) for label in info.labels for band in self._bins]
        return Outputs(
            labels=tuple(f"{label}.{band}" for label, band in columns),
            units="1" if self.relative else tuple(f"{info.units[info.index(label)]}²" for label, _ in columns),
            rate_sps=info.rate_sps / self._sliding.n_step,
            delay_s=(self._sliding.n_samples - 1) / 2 / info.rate_sps,
            window_s=self._sliding.n_samples / info.rate_sps,
            axes={"frequency": {"unit": "Hz", "bands": {band: BANDS_HZ[band] for band in self._bins}}},
            columns=tuple({"channel": label, "band": band} for label, band in columns),
        )

    def process(self, frame: Frame, out: NDArray[np.float32]) -> list[Result]:
        return [Result.of(window, self.powers(window.data)) for window in self._sliding.push(frame)]

    def powers(self, data: NDArray[np.float32]) -> NDArray[np.float32]:
        """Band powers of one window, (n_channels × n_bands,), all bands of the first channel first."""
        data = np.where(np.isfinite(data), data, np.nan)
        centred = data - data.mean(axis=1, dtype=np.float64, keepdims=True)
        spectrum = np.abs(np.fft.rfft(centred * self._hann, axis=1)) ** 2 * self._scale
        powers = np.stack([spectrum[:, where].sum(axis=1) for where in self._bins.values()], axis=1)
        if self.relative:
            total = powers.sum(axis=1, keepdims=True)
            powers = np.divide(powers, total, out=np.zeros_like(powers), where=~(total <= 0))
        return powers.astype(np.float32).ravel()
