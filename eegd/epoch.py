"""One stream epoch of a raw stream: its outlet, and the capture thread that fills it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from eegd.ads1299 import Ads1299
from eegd.attach import AttachServer
from eegd.board import Board
from eegd.capture import SENDER_SLABS, Capture, CaptureStats, sender_slabs, wants_sender
from eegd.config import Config
from eegd.counters import Counter
from eegd.errors import ConfigError
from eegd.outlet import Outlet, slabs_in_budget
from eegd.sample_clock import NoSample, SampleClock
from eegd.stream_events import StreamEvents

__all__ = ["Epoch", "pool_size"]

POLL_S = 0.002


def pool_size(config: Config, virtual_clock: bool) -> tuple[int, int]:
    """Slabs of the raw stream, and how many of them are reserved. Raises ConfigError where too few fit."""
    n_channels, n_samples = len(config.montage.on), config.samples_per_frame
    n_slabs = slabs_in_budget(int(config.stream.pool_mb * 1e6), n_channels, n_samples)
    reserve = 2
    if wants_sender(config, virtual_clock):
        reserve += min(sender_slabs(config), max(SENDER_SLABS, n_slabs // 4))
    if n_slabs < reserve + 8:
        raise ConfigError(
            f"[stream] pool_mb = {config.stream.pool_mb}: holds {n_slabs} frames of {n_channels} channels × "
            f"{n_samples} samples; at least {reserve + 8} are needed"
        )
    return n_slabs, reserve


class Epoch:
    """From the outlet that readers attach to, to the totals that they are told at its end. Control thread only.

    In this order: the outlet; readers, who may be awaited; `start`, from which on the board is the capture thread's;
    `end`, after which it is the caller's again.
    """

    def __init__(self, config: Config, flags: int, board: Board, server: AttachServer, told: StreamEvents) -> None:
        """Opens the outlet; from now on readers of the server attach to it."""
        n_slabs, reserve = pool_size(config, board.virtual_clock)
        self.outlet = Outlet(
            server.stream,
            n_slabs=n_slabs,
            n_channels=len(config.montage.on),
            slab_samples=config.samples_per_frame,
            rate_sps=config.board.rate_sps,
            flags=flags,
            reserve=reserve,
            virtual_clock=board.virtual_clock,
        )
        self.capture: Capture | None = None
        """From `start` to `end`."""
        self._config = config
        self._board = board
        self._server = server
        self._told = told
        self._began_s = 0.0
        server.begin_epoch(self.outlet)

    async def await_readers(self, n_readers: int, within_s: float | None, is_closing: Callable[[], bool]) -> None:
        """Until so many are active, the time is over (None: no limit), or nobody needs them any more."""
        deadline = None if within_s is None else time.monotonic() + within_s
        while self._server.readers.n_active < n_readers and not is_closing():
            if deadline is not None and time.monotonic() > deadline:
                break
            await asyncio.sleep(POLL_S)
            self.outlet.idle()  # there is no sending thread yet: control does its work

    def start(self, driver: Ads1299, counters: list[Counter]) -> None:
        """Starts conversions and their capture. Raises BoardError; then it has to be ended, too."""
        driver.prepare_start()
        self.capture = Capture(
            self._config,
            self._board,
            driver,
            self.outlet,
            counters,
            self._told.ring,
            self._told.states.masks(self._config.montage),
            self._told.detectors.table(self._config),
        )
        self._began_s = time.monotonic()

    @property
    def captures_for_s(self) -> float:
        """Time since conversions were started."""
        return time.monotonic() - self._began_s

    def sample_clock(self) -> SampleClock:
        """The fit of samples to time, as it is now. Raises NoSample while there is none."""
        stats = self.capture.stats() if self.capture is not None else None
        if stats is None or stats.state != "running":
            raise NoSample(f"{self._server.stream} has no samples now")
        if not stats.first_drdy_ns or not stats.of_one_edge:
            raise NoSample(f"{self._server.stream} has no samples yet")
        latency_ns = self._config.board.edge_latency_ns
        return SampleClock(
            stats.sample_index - 1,
            stats.fit_ns - latency_ns,
            stats.period_ns,
            stats.jitter_rms_us * 1000,
            stats.first_drdy_ns - latency_ns,
        )

    async def first_drdy_ns(self) -> int:
        """Edge of the first sample; 0 where capture ended before it."""
        while self.capture is not None:
            stats = self.capture.stats()
            if stats.first_drdy_ns or stats.state != "running":
                return stats.first_drdy_ns
            await asyncio.sleep(POLL_S)
        return 0

    async def wind_down(self, within_s: float) -> None:
        """In virtual time, stops capture so that lossless readers still get the frame that waits for them."""
        if self.capture is None or not self._board.virtual_clock:
            return
        self.capture.stop(hurry=False)
        deadline = time.monotonic() + within_s
        while self.capture is not None and self.capture.stats().state == "running" and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)

    def end(self, reason: str, text: str = "") -> int:
        """Stops and joins the capture thread, which publishes what is left; then tells the readers. Once.

        Returns the last edge in ns, 0 where there was none.
        """
        stats: CaptureStats | None = None
        if self.capture is not None:
            self.capture.stop()
            self.capture.join()
            stats = self.capture.stats()
            self._told.end_epoch(stats)
            self.capture.free()
            self.capture = None
        n_samples = 0 if stats is None else stats.sample_index
        self._server.end_epoch(reason, text, lost_at_end=max(0, n_samples - self.outlet.stats().next_sample))
        return 0 if stats is None else stats.last_drdy_ns
