"""Wavelet: the energy of each channel in octave bands, by the discrete wavelet transform of a sliding window; and an
event when a channel trips.

Method: lifting transform with mirrored edges, in the C core. Level 1 holds the upper half of the spectrum, each
further level half of what is left: level j reaches from rate/2^(j+1) to rate/2^j Hz, with slopes as gentle as the
wavelet is short. The value of a level is the sum of its squared coefficients divided by the samples of the window, so
white noise of variance v gives about v/2^j. `cdf53` is not orthogonal: its values are in proportion, not in µV².

Trip: off unless a threshold and one channel are given. What is checked is the largest magnitude in level 1 (D1),
which spikes and steps raise, or the value of a level. The event `<channel> trip` comes at the first window above the
threshold, `<channel> clear` once for `trip_hold` no window was above threshold minus hysteresis; the event's sample is
the window's last. `<channel> clear` also comes when parameters change or the input begins anew, since the trip does.

Time and delay: a value's time is that of the last sample in its window; `delay_ns` adds half the window, so time minus
delay is the window's middle. Memory: two windows of input, three results, and 500 rows of history. After a gap the next
value comes one whole window later, since no window spans one; a trip goes on over it. Where a sample is NaN or
infinite, as other plugins may make them, values of its channel are NaN for as long as that is in the window, and such a
value neither trips nor clears.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from eegd.dwt import CLEARED, TRIPPED, WAVELETS, WaveletResult, WaveletStream, max_levels
from eegd.errors import ParamError
from eegd.plugin import Frame, Outputs, Param, Plugin, Result, StreamInfo


class Wavelet(Plugin):
    """Energy of each channel in octave bands, and an event when it trips."""

    kind: ClassVar[str] = "features"
    at_gap: ClassVar[str] = "hold"
    positional: ClassVar[tuple[str, ...]] = ("wavelet", "length", "levels")

    wavelet = Param("db2", choices=tuple(WAVELETS), doc="Haar, CDF 5/3 or Daubechies with four taps")
    length = Param(256, choices=tuple(2**n for n in range(4, 15)), unit="samples", doc="Window, a power of two")
    levels = Param(5, min=1, max=14, doc="How many octaves")
    step = Param(0.1, min=0.001, max=30, unit="s", doc="Time from one value to the next")
    trip_channel = Param("all", kind="channels", doc="The one channel that is checked, where there is a threshold")
    trip_level = Param(0, min=0, max=14, doc="Level whose energy is checked; 0: the largest magnitude in level 1")
    trip_threshold = Param(0.0, min=0, doc="In µV for trip_level 0, else in µV²; 0: never trips")
    trip_hysteresis = Param(0.0, min=0, doc="How far below the threshold it clears, in the same unit")
    trip_hold = Param(0.0, min=0, max=3600, unit="s", doc="How long it stays tripped after the last window above that")

    _tripped = ""
    """Label of the channel that is tripped."""

    def start(self, info: StreamInfo) -> None:
        self._check()
        self._stream = WaveletStream(
            self.wavelet,
            n_channels=len(info.labels),
            n_window=self.length,
            n_step=max(1, round(self.step * info.rate_sps)),
            n_levels=self.levels,
        )
        self._set_trip()

    def changed(self, names: tuple[str, ...]) -> None:
        if all(name.startswith("trip_") for name in names):
            self._check()
            self._set_trip()
        else:
            self.reset()

    def outputs(self, info: StreamInfo) -> Outputs:
        columns = [(label, level) for label in info.labels for level in range(1, self.levels + 1)]
        bands = {f"D{j}": (info.rate_sps / 2 ** (j + 1), info.rate_sps / 2**j) for j in range(1, self.levels + 1)}
        return Outputs(
            labels=tuple(f"{label}.D{level}" for label, level in columns),
            units=tuple(f"{info.units[info.index(label)]}²" for label, _ in columns),
            rate_sps=info.rate_sps / self._stream.n_step,
            delay_s=(self.length - 1) / 2 / info.rate_sps,
            window_s=self.length / info.rate_sps,
            axes={"level": {"unit": "Hz", "wavelet": self.wavelet, "bands": bands}},
            columns=tuple({"channel": label, "level": level} for label, level in columns),
        )

    def process(self, frame: Frame, out: NDArray[np.float32]) -> list[Result]:
        results = []
        for result in self._stream.push(frame.data, frame.sample_index):
            if result.trip_change:
                self._say(result)
            values = (result.energies / self.length).ravel()
            values[~np.isfinite(values)] = np.nan
            results.append(Result(values, result.sample_index, self.length))
        return results

    def stop(self) -> None:
        self._say_clear()

    def _check(self) -> None:
        most = max_levels(self.wavelet, self.length)
        if self.levels > most:
            raise ParamError(f"{self.name}: levels = {self.levels}: 1 to {most} for {self.wavelet} on {self.length}")
        if not self.trip_threshold:
            return
        if len(self.trip_channel) != 1:
            raise ParamError(
                f"{self.name}: trip_channel = {', '.join(self.trip_channel)}: one, where there is a threshold"
            )
        if self.trip_level > self.levels:
            raise ParamError(f"{self.name}: trip_level = {self.trip_level}: 0 to {self.levels}, as there are levels")

    def _set_trip(self) -> None:
        self._say_clear()
        # The C core compares sums over the window; a D1 peak is no sum.
        self._unit = self.length if self.trip_level else 1
        if not self.trip_threshold:
            self._stream.set_trip(channel=0)
            return
        self._stream.set_trip(
            channel=self.info.index(self.trip_channel[0]),
            level=self.trip_level,
            threshold=self.trip_threshold * self._unit,
            hysteresis=self.trip_hysteresis * self._unit,
            hold=round(self.trip_hold * self.info.rate_sps),
        )

    def _say(self, result: WaveletResult) -> None:
        word = {TRIPPED: "trip", CLEARED: "clear"}[result.trip_change]
        label = self.trip_channel[0]
        self._tripped = label if word == "trip" else ""
        self.post(f"{label} {word}", value=result.trip_value / self._unit, sample_index=result.trip_since)

    def _say_clear(self) -> None:
        if self._tripped:
            self.post(f"{self._tripped} clear")
        self._tripped = ""
