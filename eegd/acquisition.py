"""A raw stream's life: board, driver and capture thread through stream epochs, reconfigurations and recoveries."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import zmq

from eegd.ads1299 import Ads1299
from eegd.attach import AttachServer
from eegd.board import Board
from eegd.capture import (
    COUNTER_LABELS,
    FAILURES,
    LOSSES,
    SENDER_SLABS,
    Capture,
    CaptureStats,
    EventRing,
    NativeEvent,
    capture_counters,
    sender_slabs,
    wants_sender,
)
from eegd.channel_state import ChannelStates
from eegd.config import Config
from eegd.counters import Counters
from eegd.detectors import Detectors
from eegd.errors import BoardError, ConfigError, EegdError
from eegd.events import EventPublisher
from eegd.frame import FLAGS
from eegd.linux import open_linux_board
from eegd.loss_events import LossEvents
from eegd.memory import priority_refused
from eegd.outlet import Outlet, slabs_in_budget
from eegd.packet import RECOVERING
from eegd.reader import Reader
from eegd.recovery import Recovery, is_of_a_lost_board, means_a_lost_board
from eegd.sample_clock import NoSample, SampleClock
from eegd.sim import open_sim_board, sim_flags
from eegd.status import raw_description
from eegd.worker import in_worker

__all__ = ["Acquisition", "pool_size"]

log = logging.getLogger(__name__)

POLL_S = 0.002
RETURN_S = 1.0
"""How long conversions wait for the readers of the epoch before."""
RECOVERED_S = 10.0
"""Samples for so long, and the next failure is a new one."""


def open_board(config: Config) -> Board:
    """The board that the configuration names. ConfigError or BoardError where this computer does not have it."""
    cpu, n_cpus = config.daemon.cpu, os.cpu_count()
    if cpu is not None and n_cpus is not None and cpu >= n_cpus:
        raise ConfigError(f"[daemon] cpu = {cpu}: this computer has cores 0 to {n_cpus - 1}")
    if config.board.kind == "sim":
        return open_sim_board(config)
    return open_linux_board(config)


def frame_flags(config: Config) -> int:
    """Flags that every frame of this configuration carries: what tells that data are not a person's."""
    flags = sim_flags(config) if config.board.kind == "sim" else 0
    return flags | FLAGS.get(config.board.input.replace("_", " "), 0)


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


class Acquisition:
    """Owns the board, or a chip of it with its own clock, and a raw stream. Control thread only; samples never pass
    through here.

    on_over: called once when a replay has ended and everything of it was published.
    """

    def __init__(
        self,
        config: Config,
        directory: Path,
        context: zmq.Context[zmq.Socket[bytes]],
        events: EventPublisher,
        on_over: Callable[[], None],
        stream: str,
        streams: tuple[str, ...],
        counters: Counters,
    ) -> None:
        """stream: its name; streams: the names of all the board's, one per clock."""
        self.config = config
        self.events = events
        self.stream = stream
        self.counters = capture_counters(counters, "" if stream == streams[0] else f"{stream}.")
        self._streams = streams
        self.ring = EventRing()
        self.capture: Capture | None = None
        self.n_epochs = 0
        self.without_data_ns = 0
        """Time without data, summed over all changes of epoch."""
        self.warnings: list[str] = []
        self.closing = False
        self._told = asyncio.Event()
        self._on_over = on_over
        self._changing = False
        self._last_drdy_ns = 0
        self._began_s = 0.0
        self._board_is_lost = False
        self._closed = False
        self.recovery = Recovery(self, open_board)
        self.channel_states = ChannelStates()
        self.detectors = Detectors(stream, events.post)
        self._losses = LossEvents(self._post_loss)
        self.board = open_board(config)
        try:
            self.driver = Ads1299(self.board, config.board, config.montage)
            pool_size(config, self.board.virtual_clock)  # refuses before anybody is told that we are here
            self.server = AttachServer(
                stream, directory, context, self.describe, self._on_reader, config.stream.max_readers
            )
        except BaseException:
            self.board.close()
            raise
        for warning in self.driver.warnings:
            self.warn(warning)
        for ring in self._rings.values():
            asyncio.get_running_loop().add_reader(ring, self._drain_events)

    @property
    def _rings(self) -> dict[str, EventRing]:
        """One per priority, in this order: nothing can push out what matters more."""
        return {"faults": self.ring, **self.detectors.rings}

    def ring_report(self) -> dict[str, dict[str, int]]:
        """Each event ring in order of priority: posted, taken, dropped, depth, peak, capacity, healthy."""
        return {name: ring.stats() for name, ring in self._rings.items()}

    @property
    def flags(self) -> int:
        return frame_flags(self.config)

    @property
    def is_changing(self) -> bool:
        """A reconfiguration or recovery is under way."""
        return self._changing

    @property
    def accepts_readers(self) -> bool:
        """A stream epoch has begun."""
        return self.server.outlet is not None

    @property
    def n_published(self) -> int:
        """Frames of this stream epoch."""
        outlet = self.server.outlet
        return outlet.stats().frames if outlet is not None else 0

    @property
    def progress(self) -> tuple[int, int]:
        """Moves with every frame that is published."""
        return self.n_epochs, self.n_published

    @property
    def frames_are_due(self) -> bool:
        """False while readers are awaited or set the pace, while chips are set up or recovered, and at the end."""
        if self._changing or self.closing or self.capture is None:
            return False
        return not self.board.virtual_clock

    @property
    def virtual(self) -> bool:
        """Time is the emulated chip's, not this computer's."""
        return self.board.virtual_clock

    def sample_clock(self) -> SampleClock:
        """The fit of samples to time, as it is now. Raises NoSample while there is none."""
        stats = self.capture.stats() if self.capture is not None else None
        if stats is None or stats.state != "running":
            raise NoSample(f"{self.stream} has no samples now")
        if not stats.first_drdy_ns or not stats.of_one_edge:
            raise NoSample(f"{self.stream} has no samples yet")
        latency_ns = self.config.board.edge_latency_ns
        return SampleClock(
            stats.sample_index - 1,
            stats.fit_ns - latency_ns,
            stats.period_ns,
            stats.jitter_rms_us * 1000,
            stats.first_drdy_ns - latency_ns,
        )

    @property
    def losses(self) -> dict[str, int]:
        """Samples lost since the start, by cause."""
        values = {label: counter.value for label, counter in zip(COUNTER_LABELS, self.counters, strict=True)}
        return {cause: values[f"loss.{cause}"] for cause in LOSSES}

    @property
    def state_line(self) -> str:
        """`250.0 SPS`, or why there are no samples."""
        if self.recovery.is_recovering:
            return self.recovery.text
        if self.capture is None or self._changing:
            return "chips are being set up"
        return f"{self.capture.stats().rate_sps:.1f} SPS"

    def describe(self) -> dict[str, object]:
        description = raw_description(self.config, self.flags, self.stream, self._streams)
        state: dict[str, object] = {"state": "running"}
        if self.recovery.is_recovering:
            state = {"state": RECOVERING, "state_text": self.recovery.text}
        return {**description, **state, "virtual_clock": self.board.virtual_clock}

    def tell_waiting(self) -> None:
        """A recovery has begun: who waits for a description gets that of the epoch before."""
        self.server.tell_waiting()

    def warn(self, text: str) -> None:
        """Tells the operator once, and keeps it in the status."""
        if text not in self.warnings:
            self.warnings.append(text)
            log.warning("%s", text)

    # ---- epochs ----

    async def begin(self, n_readers: int = 0) -> None:
        """Sets the chips up and starts the first epoch; conversions start when n readers are active.

        Meanwhile the board is a worker thread's, and changes are refused. BoardError where the chips cannot be set up;
        what fails after that is recovered.
        """
        await in_worker(self._set_chips_up)
        if not self.closing:
            await self._begin_epoch_or_come_back(n_readers, None)

    def _set_chips_up(self) -> None:
        self.driver.power_up()
        self.driver.configure()

    async def _begin_epoch_or_come_back(self, n_readers: int, within_s: float | None) -> None:
        """The chips are set up; the way to them may still fail at the last step."""
        try:
            await self._begin_epoch(n_readers, within_s)
        except BoardError as error:
            self._changing = True
            try:
                await self._come_back(self.config, n_readers, self._fail_to_begin(error))
            finally:
                self._changing = False

    async def _begin_epoch(self, n_readers: int, within_s: float | None) -> None:
        outlet = self._new_outlet()
        self.server.begin_epoch(outlet)
        await self._await_readers(outlet, n_readers, within_s)
        if self.closing:
            return
        self.driver.prepare_start()
        self.capture = Capture(
            self.config,
            self.board,
            self.driver,
            outlet,
            self.counters,
            self.ring,
            self.channel_states.masks(self.config.montage),
            self.detectors.table(self.config),
        )
        self._began_s = time.monotonic()
        first_ns = await self._first_drdy_ns() if self._last_drdy_ns else 0
        gap_ns = max(0, first_ns - self._last_drdy_ns) if first_ns else 0
        self.n_epochs += 1  # together with what it cost: whoever sees the one sees the other
        self.without_data_ns += gap_ns
        self.events.post(
            "epoch",
            f"stream epoch {self.n_epochs} begins at {self.config.board.rate_sps} SPS",
            value=self.config.board.rate_sps,
            sample_index=0,
            source=self.stream,
            stream_epoch=outlet.stream_epoch,
            without_data_ns=gap_ns,
        )

    async def _first_drdy_ns(self) -> int:
        """Edge of the epoch's first sample; 0 where capture ended before it."""
        while self.capture is not None:
            stats = self.capture.stats()
            if stats.first_drdy_ns or stats.state != "running":
                return stats.first_drdy_ns
            await asyncio.sleep(POLL_S)
        return 0

    def _new_outlet(self) -> Outlet:
        config, virtual_clock = self.config, self.board.virtual_clock
        n_slabs, reserve = pool_size(config, virtual_clock)
        outlet = Outlet(
            self.stream,
            n_slabs=n_slabs,
            n_channels=len(config.montage.on),
            slab_samples=config.samples_per_frame,
            rate_sps=config.board.rate_sps,
            flags=self.flags,
            reserve=reserve,
            virtual_clock=virtual_clock,
        )
        if not outlet.stats().locked:
            self.warn("slabs could not be locked in memory (RLIMIT_MEMLOCK); they may be swapped out")
        return outlet

    async def _await_readers(self, outlet: Outlet, n_readers: int, within_s: float | None) -> None:
        deadline = None if within_s is None else time.monotonic() + within_s
        while self.server.n_active < n_readers and not self.closing:
            if deadline is not None and time.monotonic() > deadline:
                break
            await asyncio.sleep(POLL_S)
            outlet.idle()  # there is no sending thread yet: control does its work

    def end_epoch(self, reason: str, text: str = "") -> None:
        """Stops and joins the capture thread, which publishes what is left; then tells the readers."""
        end = 0
        if self.capture is not None:
            self.capture.stop()
            self.capture.join()
            stats = self.capture.stats()
            end = stats.sample_index
            self._last_drdy_ns = stats.last_drdy_ns or self._last_drdy_ns
            self._drain_events()  # while its channels are still those of this configuration
            self.detectors.drain(everything=True)
            self._losses.tell(time.monotonic(), all_of_them=True)
            self.channel_states.note(self.config.montage, stats.states)
            self.capture.free()
            self.capture = None
            self.detectors.release()
        if (outlet := self.server.outlet) is not None:
            self.server.end_epoch(reason, text, lost_at_end=max(0, end - outlet.stats().next_sample))

    # ---- changes ----

    def check(self, config: Config) -> None:
        """Raises ConfigError for a configuration that cannot work."""
        Ads1299(self.board, config.board, config.montage)
        pool_size(config, self.board.virtual_clock)

    def adopt(self, config: Config) -> None:
        """Takes over a configuration that differs in live keys only."""
        before, self.config = self.config, config
        same = (before.detectors, before.chip_markers) == (config.detectors, config.chip_markers)
        if not same and self.capture is not None:
            self.capture.detect(self.detectors.table(config))

    def reconfigure(self, config: Config) -> Coroutine[Any, Any, bool]:
        """Stop, write, verify, start: a new epoch. Readers are carried over. Where the chips refuse, the
        configuration before stays in force, an event says why, and the result is False.

        The configuration has been checked. From here on no other change may begin.
        """
        self._changing = True
        return self._reconfigure(config)

    async def _reconfigure(self, config: Config) -> bool:
        try:
            n_readers = self.server.n_active
            before = self.config
            await self.wind_down(RETURN_S)
            self.end_epoch("reconfigured")
            try:
                self.driver.reconfigure(config.board, config.montage)
                self.config = config
            except EegdError as error:
                log.error("reconfiguration failed, the one before stays: %s", error)
                self.events.post("reconfiguration failed", str(error), source=self.stream)
                await self._come_back(before, n_readers, "reconfiguration failed", inspect=False)
                return False
            await self._begin_epoch_or_come_back(n_readers, RETURN_S)
            return True
        finally:
            self._changing = False

    async def wind_down(self, within_s: float) -> None:
        """In virtual time, stops capture so that lossless readers still get the frame that waits for them."""
        if self.capture is None or not self.board.virtual_clock:
            return
        self._changing = True
        self.capture.stop(hurry=False)
        deadline = time.monotonic() + within_s
        while self.capture.stats().state == "running" and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)

    async def recover(self, cause: str) -> None:
        """Sets the chips up anew after they, or the way to them, failed."""
        try:
            n_readers = self.server.n_active
            self.end_epoch("restarted", cause)
            await self._come_back(self.config, n_readers, cause)
        finally:
            self._changing = False

    async def _come_back(self, config: Config, n_readers: int, cause: str, *, inspect: bool = True) -> None:
        """Until samples flow again or the daemon stops."""
        while not self.closing:
            lost, self._board_is_lost = self._board_is_lost, False
            if not await self.recovery.climb(config, cause, inspect=inspect, board_is_lost=lost):
                return
            try:
                await self._begin_epoch(n_readers, RETURN_S)
                return
            except BoardError as error:
                cause = self._fail_to_begin(error)

    def _fail_to_begin(self, error: BoardError) -> str:
        """Ends an epoch that has no conversions yet. Returns the cause."""
        self._board_is_lost = is_of_a_lost_board(error)
        self.end_epoch("restarted", str(error))
        return str(error)

    # ---- what happens ----

    def _drain_events(self) -> None:
        self.tell_faults()
        self.detectors.drain()

    def tell_faults(self) -> None:
        """Publishes the losses and faults that wait."""
        for event in self.ring.take():
            self._told.set()
            if event.kind in LOSSES:
                self._losses.take(event, time.monotonic())
            elif event.kind == "channel state":
                label, facts = ChannelStates.told(self.config.montage, event)
                self._post(event, label, facts)
                log.info("%s", label)
            else:
                self._post(event, event.kind, {"n": event.n})

    def _post_loss(self, event: NativeEvent) -> None:
        self._post(event, f"{event.n} sample(s) lost: {event.kind}", {"n": event.n})

    def _post(self, event: NativeEvent, label: str, facts: Mapping[str, Any]) -> None:
        at = {"sample_index": event.sample_index, "time_ns": event.time_ns}
        self.events.post(event.kind, label, value=event.value, source=self.stream, **at, **facts)

    async def look(self, within_s: float) -> str | None:
        """Waits until the capture thread has something to tell, or a while; then as `failure`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):  # wait_for of Python 3.11 may swallow a cancellation
                await self._told.wait()
        self._told.clear()
        self._losses.tell(time.monotonic())
        self.detectors.tell_dropped(time.monotonic())
        return self._failure()

    def _failure(self) -> str | None:
        """Why the capture thread ended by itself, to be given to `recover`; None while all is well.

        Looked at regularly as well as after events, since a full ring may have dropped the last one.
        """
        if self.capture is None or self._changing:
            return None
        stats = self.capture.stats()
        if stats.priority_error is not None:
            self.warn(priority_refused(stats.priority_error))
        if stats.state == "replay over":
            self.end_epoch("replay over")
            self._on_over()
        elif stats.state in FAILURES:
            self._changing = True
            self._board_is_lost = stats.state == "board error" or means_a_lost_board(stats.errno)
            return _cause(stats)
        elif time.monotonic() - self._began_s > RECOVERED_S:
            self.recovery.settle()
        return None

    def _on_reader(self, kind: str, reader: Reader, facts: Mapping[str, Any]) -> None:
        self.events.post(f"reader {kind}", reader.name, source=self.stream, pid=reader.pid, **facts)
        told = ", ".join(f"{name} {value}" for name, value in facts.items())
        log.info("reader %s (pid %d) of %s %s: %s", reader.name, reader.pid, self.stream, kind, told)

    def channel_report(self) -> dict[str, list[str]]:
        """The channels that are railed, flat or off, by label, and which of these."""
        if self.capture is not None:
            self.channel_states.note(self.config.montage, self.capture.stats().states)
        return self.channel_states.report()

    def watch_readers(self) -> None:
        """Reports who missed frames since the last look. For a lossless reader that is an alarm."""
        for reader, n_missed in self.server.new_misses():
            alarm = reader.policy == "lossless"
            kind = "alarm" if alarm else "reader missed"
            label = f"{reader.name} (policy {reader.policy}, depth {reader.depth}) missed {n_missed} frame(s)"
            self.events.post(kind, label, value=n_missed, source=self.stream, pid=reader.pid)
            if alarm or reader.told_missed == n_missed:
                log.warning("reader %s", label)

    def close(self) -> None:
        """Ends the epoch for good and gives the board back. Harmless when repeated."""
        if self._closed:
            return
        self.closing = self._closed = True
        self.end_epoch("stopped")
        self._drain_events()
        for ring in self._rings.values():
            asyncio.get_running_loop().remove_reader(ring)
        self.server.close()
        try:
            if not self.board.closed:
                self.driver.stop()
        except BoardError as error:
            log.warning("the chips could not be stopped: %s", error)
        self.board.close()


def _cause(stats: CaptureStats) -> str:
    """Why a capture thread ended by itself, for a person."""
    if stats.state == "chip restarted":
        return f"chip restarted (no edge for {stats.found_ns / 1e6:.3g} ms, none missed by the line's sequence)"
    if stats.state == "wrong rate":
        return f"wrong rate ({1e9 / stats.found_ns:.1f} SPS by the edges)"
    return stats.state + (f" ({stats.error})" if stats.error else "")
