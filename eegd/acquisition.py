"""A raw stream's life: board, driver and capture thread through stream epochs, reconfigurations and recoveries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import zmq

from eegd.ads1299 import Ads1299
from eegd.attach import AttachServer
from eegd.capture import COUNTER_LABELS, FAILURES, LOSSES, Capture, capture_counters
from eegd.config import Config
from eegd.counters import Counters
from eegd.epoch import Epoch, pool_size
from eegd.errors import BoardError, EegdError
from eegd.events import EventPublisher
from eegd.memory import priority_refused
from eegd.open_board import frame_flags, open_board
from eegd.packet import RECOVERING
from eegd.recovery import Recovery, is_of_a_lost_board, means_a_lost_board
from eegd.sample_clock import NoSample, SampleClock
from eegd.status import raw_description
from eegd.stream_events import StreamEvents
from eegd.worker import in_worker

__all__ = ["Acquisition"]

log = logging.getLogger(__name__)

RETURN_S = 1.0
"""How long conversions wait for the readers of the epoch before."""
RECOVERED_S = 10.0
"""Samples for so long, and the next failure is a new one."""


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
        self.told = StreamEvents(stream, events, lambda: self.config.montage)
        self.n_epochs = 0
        self.without_data_ns = 0
        """Time without data, summed over all changes of epoch."""
        self.warnings: list[str] = []
        self.closing = False
        self._on_over = on_over
        self._epoch: Epoch | None = None
        self._changing = False
        self._last_drdy_ns = 0
        self._board_is_lost = False
        self._closed = False
        self.recovery = Recovery(self, open_board)
        self.board = open_board(config)
        try:
            self.driver = Ads1299(self.board, config.board, config.montage)
            pool_size(config, self.board.virtual_clock)  # refuses before anybody is told that we are here
            self.server = AttachServer(
                stream, directory, context, self.describe, self.told.tell_reader, config.stream.max_readers
            )
        except BaseException:
            self.board.close()
            raise
        for warning in self.driver.warnings:
            self.warn(warning)
        self.told.listen()

    @property
    def flags(self) -> int:
        return frame_flags(self.config)

    @property
    def capture(self) -> Capture | None:
        """Of the epoch at hand, once conversions have been started."""
        return self._epoch.capture if self._epoch is not None else None

    @property
    def is_changing(self) -> bool:
        """A reconfiguration or recovery is under way."""
        return self._changing

    @property
    def accepts_readers(self) -> bool:
        """A stream epoch has begun."""
        return self._epoch is not None

    @property
    def n_published(self) -> int:
        """Frames of this stream epoch."""
        return self._epoch.outlet.stats().frames if self._epoch is not None else 0

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
        if self._epoch is None:
            raise NoSample(f"{self.stream} has no samples now")
        return self._epoch.sample_clock()

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
        epoch = self._epoch = Epoch(self.config, self.flags, self.board, self.server, self.told)
        if not epoch.outlet.stats().locked:
            self.warn("slabs could not be locked in memory (RLIMIT_MEMLOCK); they may be swapped out")
        await epoch.await_readers(n_readers, within_s, lambda: self.closing)
        if self.closing:
            return
        epoch.start(self.driver, self.counters)
        first_ns = await epoch.first_drdy_ns() if self._last_drdy_ns else 0
        gap_ns = max(0, first_ns - self._last_drdy_ns) if first_ns else 0
        self.n_epochs += 1  # together with what it cost: whoever sees the one sees the other
        self.without_data_ns += gap_ns
        self.events.post(
            "epoch",
            f"stream epoch {self.n_epochs} begins at {self.config.board.rate_sps} SPS",
            value=self.config.board.rate_sps,
            sample_index=0,
            source=self.stream,
            stream_epoch=epoch.outlet.stream_epoch,
            without_data_ns=gap_ns,
        )

    def end_epoch(self, reason: str, text: str = "") -> None:
        """Ends the one at hand, if any; see Epoch."""
        if self._epoch is not None:
            self._last_drdy_ns = self._epoch.end(reason, text) or self._last_drdy_ns
            self._epoch = None

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
            self.capture.detect(self.told.detectors.table(config))

    def reconfigure(self, config: Config) -> Coroutine[Any, Any, bool]:
        """Stop, write, verify, start: a new epoch. Readers are carried over. Where the chips refuse, the
        configuration before stays in force, an event says why, and the result is False.

        The configuration has been checked. From here on no other change may begin.
        """
        self._changing = True
        return self._reconfigure(config)

    async def _reconfigure(self, config: Config) -> bool:
        try:
            n_readers = self.server.readers.n_active
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
        if self._epoch is not None and self.capture is not None and self.board.virtual_clock:
            self._changing = True
            await self._epoch.wind_down(within_s)

    async def recover(self, cause: str) -> None:
        """Sets the chips up anew after they, or the way to them, failed."""
        try:
            n_readers = self.server.readers.n_active
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

    async def look(self, within_s: float) -> str | None:
        """Waits until the capture thread has something to tell, or a while.

        Returns why it ended by itself, to be given to `recover`; None while all is well.
        """
        await self.told.wait(within_s)
        return self._failure()

    def _failure(self) -> str | None:
        """Looked at regularly as well as after events, since a full ring may have dropped the last one."""
        if self._epoch is None or self._epoch.capture is None or self._changing:
            return None
        stats = self._epoch.capture.stats()
        if stats.priority_error is not None:
            self.warn(priority_refused(stats.priority_error))
        if stats.state == "replay over":
            self.end_epoch("replay over")
            self._on_over()
        elif stats.state in FAILURES:
            self._changing = True
            self._board_is_lost = stats.state == "board error" or means_a_lost_board(stats.errno)
            return stats.cause
        elif self._epoch.captures_for_s > RECOVERED_S:
            self.recovery.settle()
        return None

    def channel_report(self) -> dict[str, list[str]]:
        """The channels that are railed, flat or off, by label, and which of these."""
        if self.capture is not None:
            self.told.note_states(self.capture.stats())
        return self.told.states.report()

    def watch_readers(self) -> None:
        """Reports who missed frames since the last look. For a lossless reader that is an alarm."""
        self.told.tell_misses(self.server.readers.new_misses())

    def close(self) -> None:
        """Ends the epoch for good and gives the board back. Harmless when repeated."""
        if self._closed:
            return
        self.closing = self._closed = True
        self.end_epoch("stopped")
        self.told.close()
        self.server.close()
        try:
            if not self.board.closed:
                self.driver.stop()
        except BoardError as error:
            log.warning("the chips could not be stopped: %s", error)
        self.board.close()
