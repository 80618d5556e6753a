"""Reference: every EEG channel against the mean of others: of all of them, or of some, such as linked mastoids A1,A2.

Left out of the mean are channels marked bad in the montage, and, in each frame, those that are railed, flat or whose
electrode is off in that frame; an event says which, at most once a second. They are referenced like the others, but
do not count. With "all", channels of another type than EEG neither count nor are changed.

A channel that leaves or joins the mean moves the reference by a share of its own offset, which is tens of millivolts
on real electrodes. Take offsets away before: chain = ["filter", "reference"].

Adds no delay and keeps no samples, so a gap changes nothing. Has an in-place form for chains. A frame in which too few
channels are good (one of a list, two for "all") is an error: it is skipped, and missing downstream. Where a channel
that counts is NaN at a sample, so is every channel that is referenced, at that sample.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from eegd.errors import NeedsUnmet, ParamError
from eegd.params import ALL_CHANNELS
from eegd.plugin import Frame, Needs, Outputs, Param, Plugin, StreamInfo

TELL_EVERY_S = 1.0


class Reference(Plugin):
    """Each EEG channel against the common average, or against the mean of some channels."""

    needs: ClassVar[Needs] = Needs(n_channels=(2, math.inf))
    positional: ClassVar[tuple[str, ...]] = ("to",)
    at_gap: ClassVar[str] = "hold"

    to: Param[str | tuple[str, ...]] = Param(
        ALL_CHANNELS, kind="channels", doc="Channels whose mean is the reference; all for the common average"
    )

    def start(self, info: StreamInfo) -> None:
        rows = {str(row["label"]): row for row in info.description.get("channels", ())}
        if info.description.get("wiring") == "bipolar":
            raise NeedsUnmet(
                f"plugin {self.name!r} needs channels with one reference; those of {info.stream!r} are bipolar"
            )
        eeg = [label for label in info.labels if rows.get(label, {}).get("type", "EEG") == "EEG"]
        is_average = set(self.to) == set(info.labels)
        wanted = eeg if is_average else list(self.to)
        least = min(2, len(wanted)) if is_average else 1
        members = tuple(label for label in wanted if not rows.get(label, {}).get("bad", False))
        marked_bad = tuple(label for label in wanted if label not in members)
        if len(members) < least or not eeg:
            raise ParamError(
                f"{self.name}: to = {', '.join(wanted)}: too few are left for a reference, "
                f"since these are marked bad in the montage: {', '.join(marked_bad) or 'none'}"
            )
        self._is_average, self._least, self._members, self._marked_bad = is_average, least, members, marked_bad
        # 1 where the reference is taken away, 0 where a channel is of another kind.
        self._applies = np.array([[float(label in eeg)] for label in info.labels])
        self._left_out: tuple[str, ...] = ()
        self._told: tuple[str, ...] = ()
        self._told_ns = -math.inf
        self._choose(())

    def outputs(self, info: StreamInfo) -> Outputs:
        name = "average" if self._is_average else "mean"
        of = f"{name} of {', '.join(self._members)}" if len(self._members) > 1 else self._members[0]
        left_out = f", without {', '.join(self._marked_bad)} (bad)" if self._marked_bad else ""
        return Outputs(labels=info.labels, units=info.units, rate_sps=info.rate_sps, reference=of + left_out)

    def process(self, frame: Frame, out: NDArray[np.float32]) -> None:
        self._subtract(frame.data, frame, out)

    def process_inplace(self, data: NDArray[np.float32], frame: Frame) -> None:
        self._subtract(data, frame, data)

    def _subtract(self, data: NDArray[np.float32], frame: Frame, out: NDArray[np.float32]) -> None:
        with np.errstate(invalid="ignore"):  # infinity less infinity is NaN: missing, as it should be
            np.subtract(data, self._applies * self._mean(frame), out=out, casting="same_kind")

    def _mean(self, frame: Frame) -> NDArray[np.float64]:
        """The reference, (n_samples,) in the unit of the input, from the channels that are good in this frame."""
        left_out: tuple[str, ...] = ()
        if frame.railed or frame.flat or frame.lead_off:
            left_out = tuple(sorted({*frame.railed, *frame.flat, *frame.lead_off}.intersection(self._members)))
        if left_out != self._left_out:
            self._choose(left_out)
        if self._left_out != self._told and frame.time_ns - self._told_ns >= TELL_EVERY_S * 1e9:
            words = (
                f"without {', '.join(left_out)} (railed, flat or off)" if left_out else "with all its channels again"
            )
            self.post(f"reference {words}", kind="plugin", sample_index=frame.sample_index)
            self._told, self._told_ns = left_out, frame.time_ns
        if self._n_good < self._least:
            raise ValueError(f"too few channels for a reference: {', '.join(left_out)} are railed, flat or off")
        mean: NDArray[np.float64] = frame.data[self._rows].mean(axis=0, dtype=np.float64)
        return mean

    def _choose(self, left_out: tuple[str, ...]) -> None:
        self._left_out = left_out
        good = [self.info.index(label) for label in self._members if label not in left_out]
        self._n_good = len(good)
        self._rows = slice(None) if good == list(range(len(self.info.labels))) else np.array(good, np.intp)
