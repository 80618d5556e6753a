"""The live view: traces, rate, losses and band powers of a running daemon. Needs rich only on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eegd.cli.common import Stopper, need_rich, no_echo
from eegd.cli.envelope import Envelope
from eegd.cli.feed import Feed
from eegd.cli.text import count, nice_scale, ppm, quantity
from eegd.client import Client
from eegd.errors import DaemonNotRunning, EegdError
from eegd.frame import StreamInfo

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["BandPowers", "Model", "watch"]

BIN_S = 0.02
"""Time per dot of a trace."""
MAX_BINS = 1024
RMS_S = 1.0
REFRESH_S = 0.1
STATUS_S = 0.5
LINE_S = 1.0
NOTE_S = 5.0
DEPTH_S = 2.0
SHRINK_AFTER = 20
"""Refreshes for which a smaller scale must do before a trace takes it: it grows at once, and shrinks slowly."""


@dataclass(slots=True)
class BandPowers:
    """The latest values of a stream of band powers, by channel and band."""

    bands: tuple[str, ...] = ()
    units: str = ""
    values: dict[str, dict[str, float]] = field(default_factory=dict)

    def take(self, info: StreamInfo, column: NDArray[np.float32]) -> None:
        """One sample of every label of a features stream; labels that name no channel and band are left out."""
        rows = info.description["channels"]
        found: dict[str, dict[str, float]] = {}
        for row, label, value in zip(rows, info.labels, column, strict=True):
            channel, _, band = label.rpartition(".")
            channel, band = str(row.get("channel", channel)), str(row.get("band", band))
            if channel and band:
                found.setdefault(channel, {})[band] = float(value)
        self.values = found
        self.bands = tuple(dict.fromkeys(band for bands in found.values() for band in bands))
        self.units = info.units[0] if info.units else ""


class Model:
    """All that the view shows, taken from the daemon by `poll`. Synchronization: one thread."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.info: StreamInfo | None = None
        """Of `raw`; None until the first frame."""
        self.status: Mapping[str, Any] | None = None
        self.powers = BandPowers()
        self.scales: NDArray[np.float64] = np.zeros(0)
        """Microvolts at the border of each channel's trace."""
        self.railed: frozenset[str] = frozenset()
        self.note = ""
        """The latest thing that went wrong, for some seconds."""
        self._note_until = 0.0
        self._envelope: Envelope | None = None
        self._too_large: NDArray[np.int64] = np.zeros(0, np.int64)
        self._base = 0
        self._status_at = 0.0
        self._raw = Feed(client, "raw", "view", DEPTH_S)
        self._bands = Feed(client, "bandpower", "view", DEPTH_S)

    @property
    def ended(self) -> str | None:
        """Why the raw stream ended, once it has."""
        return self._raw.ended

    def poll(self) -> None:
        """Takes all that is there; never waits long."""
        self._poll_raw()
        self._poll_bands()
        if time.monotonic() >= self._status_at:
            self._status_at = time.monotonic() + STATUS_S
            try:
                self.status = self.client.ask("status", timeout=1.0)["status"]
            except DaemonNotRunning:
                self.status = None
            except EegdError:
                pass  # busy; what was known stands

    def _poll_raw(self) -> None:
        data: list[NDArray[np.float32]] = []
        index: list[NDArray[np.int64]] = []
        railed: set[str] = set()
        until = time.monotonic() + 2 * REFRESH_S  # a reader in virtual time would never be done
        while time.monotonic() < until and (frame := self._raw.take(0.0)) is not None:
            if self.info is not frame.info:
                self._add(data, index)
                self._begin(frame.info)
            data.append(frame.copy())
            index.append(np.arange(frame.sample_index, frame.sample_index + frame.n_samples, dtype=np.int64))
            railed.update(frame.railed)
        self._add(data, index)
        if index:
            self.railed = frozenset(railed)
        if self._raw.notes:
            self.note, self._note_until = self._raw.notes[-1], time.monotonic() + NOTE_S
            self._raw.notes.clear()
        elif time.monotonic() > self._note_until:
            self.note = ""

    def _begin(self, info: StreamInfo) -> None:
        """A new stream epoch: traces go on where channels and rate are the same, else they begin anew."""
        known = self.info
        same = known is not None and (known.labels, known.rate_sps) == (info.labels, info.rate_sps)
        self.info = info
        if same and self._envelope is not None:
            self._base = (self._envelope.newest + 2) * self._envelope.samples_per_bin
            return
        self._base = 0
        self._envelope = Envelope(len(info.labels), MAX_BINS, max(1, round(info.rate_sps * BIN_S)))
        self.scales = np.zeros(len(info.labels))
        self._too_large = np.zeros(len(info.labels), np.int64)

    def _add(self, data: list[NDArray[np.float32]], index: list[NDArray[np.int64]]) -> None:
        if data and self._envelope is not None:
            self._envelope.add(np.concatenate(data, axis=1), np.concatenate(index) + self._base)
        data.clear()
        index.clear()

    def _poll_bands(self) -> None:
        until = time.monotonic() + REFRESH_S
        while time.monotonic() < until and (frame := self._bands.take(0.0)) is not None:
            self.powers.take(frame.info, frame.data[:, -1])
        self._bands.notes.clear()

    @property
    def bin_s(self) -> float:
        """Time per dot, exactly."""
        if self.info is None or self._envelope is None:
            return BIN_S
        return self._envelope.samples_per_bin / self.info.rate_sps

    def traces(self, n_bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(low, high) per channel and dot, in units of each channel's scale, which follows what is shown."""
        assert self._envelope is not None
        low, high = self._envelope.bounds(n_bins)
        reach = np.nan_to_num(np.fmax(np.fmax.reduce(-low, axis=1), np.fmax.reduce(high, axis=1)))
        for row, value in enumerate(reach):
            wanted = nice_scale(float(value))
            self._too_large[row] = self._too_large[row] + 1 if wanted < self.scales[row] else 0
            if wanted > self.scales[row] or self._too_large[row] > SHRINK_AFTER:
                self.scales[row] = wanted
                self._too_large[row] = 0
        return low / self.scales[:, None], high / self.scales[:, None]

    def rms(self) -> NDArray[np.float64]:
        """Of the last second, without the mean, per channel."""
        assert self._envelope is not None
        return self._envelope.rms(max(1, round(RMS_S / self.bin_s)))

    def alpha(self) -> str:
        """`alpha Oz 12.3 µV²`: of an occipital channel, or of the last one; empty where there are no band powers."""
        labels = [label for label, bands in self.powers.values.items() if "alpha" in bands]
        if not labels:
            return ""
        label = next((label for label in ("Oz", "O1", "O2") if label in labels), labels[-1])
        return f"alpha {label} {quantity(self.powers.values[label]['alpha'], self.powers.units)}"

    def close(self) -> None:
        self._raw.close()
        self._bands.close()


def line_of(model: Model, elapsed_s: float) -> str:
    """`t=12 s  250.0 SPS (+1.2 ppm)  3 000 samples, 0 lost  alpha Oz 12.3 µV²`"""
    status = model.status
    if status is None:
        return f"t={elapsed_s:.0f} s  waiting for the daemon"
    rate = status["rate"]
    speed = "rate not measured yet"
    if rate.get("effective_sps"):
        speed = f"{rate['effective_sps']:.1f} SPS ({ppm(rate['ppm'])})"
    lost = {cause: n for cause, n in status["losses"].items() if n}
    causes = f" ({', '.join(f'{n} {cause}' for cause, n in lost.items())})" if lost else ""
    counts = f"{count(status['samples'])} samples, {count(sum(lost.values()))} lost{causes}"
    parts = [f"t={elapsed_s:.0f} s", speed, counts, model.alpha(), model.note]
    return "  ".join(part for part in parts if part)


def watch(
    client: Client,
    stopper: Stopper,
    seconds: float | None,
    hint: str,
    goes_on: Callable[[], bool] = lambda: True,
) -> str | None:
    """Shows the view until it is stopped, `seconds` are over, the stream ends, or `goes_on` says no.

    Returns why the stream ended, where it has.
    """
    model = Model(client)
    on_terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if on_terminal:
        need_rich("the live view on a terminal")
    end = None if seconds is None else time.monotonic() + seconds
    try:
        if on_terminal:
            _watch_screen(model, _ticks(model, stopper, end, REFRESH_S, goes_on), hint)
        else:
            for elapsed_s in _ticks(model, stopper, end, LINE_S, goes_on):
                print(line_of(model, elapsed_s), flush=True)
        return model.ended
    finally:
        model.close()


def _ticks(
    model: Model, stopper: Stopper, end: float | None, period_s: float, goes_on: Callable[[], bool]
) -> Iterator[float]:
    """Polls often, and yields the time since the start once per period."""
    start = time.monotonic()
    due = start + period_s
    while not stopper.stopped and model.ended is None and (end is None or time.monotonic() < end):
        if not goes_on():
            return
        model.poll()
        now = time.monotonic()
        if now >= due:
            yield now - start
            due = max(due + period_s, now)
        stopper.wait(min(REFRESH_S, due - time.monotonic()))


def _watch_screen(model: Model, ticks: Iterator[float], hint: str) -> None:
    from rich.live import Live

    from eegd.cli.screen import screen
    from eegd.cli.tables import console

    terminal: Console = console()
    with no_echo(), Live(console=terminal, screen=True, auto_refresh=False) as live:
        for _ in ticks:
            live.update(screen(model, terminal.size.width, terminal.size.height, hint), refresh=True)
