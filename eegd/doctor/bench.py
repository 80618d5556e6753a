"""The board on the doctor's bench: set up for one question, recorded, stopped again.

Conversions are read one by one in Python, over the same Board and driver as the daemon's. Nothing here can
tell an emulated board from a real one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eegd.ads1299 import Ads1299
from eegd.board import Board, Edge
from eegd.config import Config
from eegd.conversion import ConversionLayout, conversion_layout, min_sclk_hz, sample_period_ns
from eegd.montage import Channel, Montage, n_inputs
from eegd.settings import BoardConfig

__all__ = ["Bench", "Recording", "bench_montage"]

FIRST_EDGE_NS = 200_000_000
"""How long the first edge may take, beside its settling."""
SETTLING_PERIODS = 8
DISCARDED = 6
"""After each start: the filter settles in four conversions."""
UNUSED_GAIN = 24
SLOW_SCLK_HZ = 1_000_000
SPARE = 1.2
"""More than the slowest clock that reads all chips between two edges."""
MARGIN = 0.95
"""A read that ended later than this part of the period after its edge may have been torn by the next one."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Conversions in a row, as they came."""

    raw: NDArray[np.uint8]
    """(n, bytes of all chips)."""
    stamps_ns: NDArray[np.int64]
    """Of every edge that was seen, late reads included."""
    edges: int
    """Edges by the line's own count."""
    late: int
    """Reads that this program was too slow for: not among `raw`, and no fault of the board."""

    def codes(self, offsets: tuple[int, ...]) -> NDArray[np.int64]:
        """(channels, n): big-endian two's complement of 24 bits at these bytes."""
        planes = []
        for at in offsets:
            high, middle, low = (self.raw[:, at + k].astype(np.int64) for k in range(3))
            code = high << 16 | middle << 8 | low
            planes.append(code - (code >> 23 << 24))
        return np.array(planes, np.int64)

    def period_ns(self) -> float:
        """Mean time between two edges; NaN where there are not enough."""
        if len(self.stamps_ns) < 2 or self.edges < 2:
            return float("nan")
        return float(self.stamps_ns[-1] - self.stamps_ns[0]) / (self.edges - 1)


def bench_montage(config: Config) -> Montage:
    """Every input of every chip, with the gain that the configuration gives it."""
    chips, used = config.board.chips, {channel.input: channel for channel in config.montage.on}
    channels = []
    for number in range(1, n_inputs(chips) + 1):
        gain = used[number].gain if number in used else UNUSED_GAIN
        label = used[number].label if number in used else f"input{number}"
        channels.append(Channel(label=label, input=number, gain=gain, p=f"P{number}", n=f"N{number}"))
    return dataclasses.replace(config.montage, channels=tuple(channels))


class Bench:
    """Owns nothing: the board is its caller's. Synchronization: one thread."""

    def __init__(self, board: Board, config: Config) -> None:
        self.board = board
        self.config = config
        self.montage = bench_montage(config)
        self._sclk_hz = config.board.sclk_hz
        self._now = self._set_up()
        self.driver = Ads1299(board, self._now, self.montage)

    def _set_up(self, **changes: object) -> BoardConfig:
        """The configured board without lead-off current and bias drive: nobody is measured here."""
        quiet = {"lead_off_mode": "off", "bias_amplifier": False, "input": "shorted", "sclk_hz": self._sclk_hz}
        return dataclasses.replace(self.config.board, **(quiet | changes))  # type: ignore[arg-type]

    @property
    def layout(self) -> ConversionLayout:
        return conversion_layout(self._now, self.montage)

    @property
    def set_up_now(self) -> BoardConfig:
        return self._now

    @property
    def slow_sclk_hz(self) -> int:
        """A clock that the worst wires bear, as far as the present rate leaves time for it."""
        return min(self.config.board.sclk_hz, max(SLOW_SCLK_HZ, int(SPARE * min_sclk_hz(self._now))))

    def slow_down(self) -> None:
        """Reads at the slow clock from now on."""
        self._sclk_hz = self.slow_sclk_hz
        self._now = dataclasses.replace(self._now, sclk_hz=self._sclk_hz)

    def change(self, **changes: object) -> None:
        """Writes and reads back another set-up. ReadBackError, BoardError, ConfigError."""
        self._now = self._set_up(**changes)
        self.driver.reconfigure(self._now, self.montage)

    def record(self, n: int, sclk_hz: int | None = None) -> Recording:
        """Starts, takes `n` conversions as far as edges come, and stops."""
        self.driver.start()
        try:
            return self._take(n, sclk_hz or self._now.sclk_hz)
        finally:
            self.driver.stop()

    def _take(self, n: int, sclk_hz: int) -> Recording:
        period_ns = sample_period_ns(self._now)
        timeout_ns = int(FIRST_EDGE_NS + SETTLING_PERIODS * period_ns)
        transfers = [(cs, bytes(size)) for cs, size in self.layout.transfers]
        frames: list[bytes] = []
        seen: list[Edge] = []
        late = 0
        wanted = n + DISCARDED
        while len(seen) < wanted + late and late <= n:
            edge = self.board.wait(timeout_ns)
            if edge is None:
                break
            seen.append(edge)
            raw = b"".join(self.board.transfer(zeros, cs=cs, speed_hz=sclk_hz) for cs, zeros in transfers)
            if self.board.now_ns() - edge.drdy_ns > MARGIN * period_ns:
                late += 1
            else:
                frames.append(raw)
        return self._recording(frames[DISCARDED:], seen, late)

    def _recording(self, frames: list[bytes], seen: list[Edge], late: int) -> Recording:
        raw = np.frombuffer(b"".join(frames), np.uint8).reshape(len(frames), self.layout.n_bytes)
        edges = seen[-1].seq - seen[0].seq + 1 if seen else 0
        return Recording(raw, np.array([edge.drdy_ns for edge in seen], np.int64), int(edges), late)
