"""One daemon in this process, on an emulated board with faults, and a reader that checks every sample it gets.

The board's signal is the check pattern (eegd.pattern): each conversion tells its number and whether it is intact.
Time is the board's own (virtual), so that ten minutes without a board take seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import eegd
import eegd.acquisition
from eegd._native import ffi, lib
from eegd.board import Board
from eegd.capture import LOSSES
from eegd.config import Config, parse_config
from eegd.daemon import Daemon
from eegd.errors import BoardError, EegdError, StreamEnded
from eegd.frame import Frame
from eegd.pattern import find_pattern, pattern_codes
from eegd.recovery import Recovery

__all__ = ["Case", "Fault", "Result", "run_case"]

Fault = Mapping[str, int | str]
TAKE_S = 30.0
AFTER = 400
"""Samples to see after the last gap."""
FRAME_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Case:
    """One fault, and what is to become of it."""

    name: str
    faults: Sequence[Fault]
    """As struct eegd_fault, the kind by name."""
    counted: Mapping[str, int]
    """Counters, by label, that must have exactly these values at the end; other losses must be 0."""
    at_least: bool = False
    """The counted values are the least ones."""
    overrides: Mapping[str, object] = field(default_factory=dict)
    outage_s: float | None = None
    """Faults are taken back when the board's clock says so long, at an attempt to recover."""
    mend: Fault | None = None
    """Injected at the third attempt."""
    failed_opens: int = 0
    """How often the board cannot be opened again."""
    told: str = ""
    """What the last event of kind `recovery` must contain; without it there must be none."""
    until: int = 1500
    """Samples to read, at least."""
    railed: int | None = None
    """A channel that may be at the rail instead of having the pattern, where its frame says so."""


@dataclass(slots=True)
class Result:
    """What a reader and the daemon saw."""

    samples: int = 0
    wrong: int = 0
    """Delivered samples that are not what the chip converted at that index."""
    lost: int = 0
    """By the counters."""
    unexplained: int = 0
    """Counted losses against what the frames and the epochs' ends say, in samples."""
    epochs: int = 0
    gap_s: float = 0.0
    """The longest time without a sample, on the board's clock."""
    counted: dict[str, int] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    status: list[dict[str, Any]] = field(default_factory=list)
    """While recovering, at each attempt."""

    @property
    def recoveries(self) -> list[str]:
        return [str(event["label"]) for event in self.events if event["kind"] == "recovery"]


def inject(board: Board, fault: Fault) -> None:
    fields = {name: value for name, value in fault.items() if name != "kind"}
    kind = getattr(lib, f"EEGD_FAULT_{fault['kind']}")
    assert lib.eegd_board_sim_fault(board.pointer, ffi.new("struct eegd_fault *", {"kind": kind, **fields})) == 0


class PatternReader:
    """Checks frames, in a thread of its own, and ends the daemon when it has seen enough."""

    def __init__(self, case: Case, result: Result, directory: Path, stop: Callable[[], None]) -> None:
        self.case, self.result = case, result
        self._directory, self._stop = directory, stop
        self._epoch = self._shift = self._next = 0
        self._last_ns = 0
        self._since_gap = 0
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with contextlib.suppress(StreamEnded):
                self._read()
        except BaseException as error:
            self.error = error
        finally:
            self._stop()

    def _connect(self) -> eegd.Client:
        deadline = time.monotonic() + TAKE_S
        while True:
            try:
                return eegd.connect(self._directory)
            except EegdError:
                if time.monotonic() > deadline:
                    raise

    def _read(self) -> None:
        with self._connect() as client, client.open(policy="lossless", depth=16, timeout=TAKE_S) as stream:
            while self.result.samples < self.case.until or self._since_gap < AFTER:
                with stream.take() as frame:
                    self._check(frame)
            self._stop()
            for frame in stream:
                with frame:
                    self._check(frame)

    def _check(self, frame: Frame) -> None:
        codes = frame.codes()
        if frame.stream_epoch != self._epoch:
            self._epoch, self._next = frame.stream_epoch, 0
            first = find_pattern(codes[:, :1])
            self._shift = (first or 0) - frame.sample_index
            self.result.epochs += 1
        wanted = pattern_codes(self._shift + frame.sample_index, frame.n_samples, codes.shape[0])
        differs = codes != wanted
        if self.case.railed is not None and frame.info.labels[self.case.railed] in frame.railed:
            differs[self.case.railed] &= np.abs(codes[self.case.railed]) < 0x7FFFFF
        self.result.wrong += int(np.count_nonzero(differs.any(axis=0)))
        assert frame.sample_index - self._next == frame.lost_before
        self._next = frame.sample_index + frame.n_samples
        self._note_gap(frame)
        self.result.samples += frame.n_samples

    def _note_gap(self, frame: Frame) -> None:
        gap_s = (frame.drdy_ns - self._last_ns) / 1e9 - 0.004 if self._last_ns else 0.0
        if gap_s > 0.002:
            self._since_gap = 0
            self.result.gap_s = max(self.result.gap_s, gap_s)
        self._since_gap += frame.n_samples
        self._last_ns = frame.drdy_ns + round((frame.n_samples - 1) * frame.period_ns)


class FaultyBoards:
    """Stands in for open_board, and for the world between attempts to recover."""

    def __init__(self, case: Case, result: Result) -> None:
        self.case, self.result = case, result
        self.daemon: Daemon | None = None
        self._n_opened = self._n_refused = 0
        self._failed_ns: int | None = None
        self._now_ns = 0
        self._open, self._pause = eegd.acquisition.open_board, Recovery._pause_before_next  # type: ignore[attr-defined]

    def open(self, config: Config) -> Board:
        if self._n_opened and self._n_refused < self.case.failed_opens:
            self._n_refused += 1
            raise BoardError("/dev/spidev0.0: No such file or directory")
        board = self._open(config)
        if self._n_opened:
            board.sleep_ns(self._now_ns - board.now_ns())  # its own clock begins anew, the world's does not
        else:
            for fault in self.case.faults:
                inject(board, fault)
        self._n_opened += 1
        return board

    async def pause(self, recovery: Recovery) -> bool:
        """As Recovery._pause_before_next; where the board is closed, too, and no clock runs. It is control's here."""
        assert self.daemon is not None
        board = self.daemon.acquisition.board
        if board.closed:
            self._now_ns += int(recovery._next_pause_s() * 1e9)
            goes_on = not self.daemon.acquisition.closing
        else:
            goes_on = await self._pause(recovery)
        self.result.status.append(recovery.report())
        if not board.closed:
            now_ns = self._now_ns = board.now_ns()
            self._failed_ns = self._failed_ns or now_ns
            if self.case.outage_s is not None and now_ns - self._failed_ns >= self.case.outage_s * 1e9:
                lib.eegd_board_sim_clear_faults(board.pointer)
            if self.case.mend is not None and recovery.n_attempts == 2:
                inject(board, self.case.mend)
        return goes_on


def count_told_losses(daemon: Daemon, told: list[int]) -> None:
    """Has each epoch's end note how many samples it says are lost."""
    server = daemon.acquisition.server
    end_epoch = server.end_epoch

    def noting(reason: str, text: str = "", lost_at_end: int = 0) -> None:
        assert server.outlet is not None
        told.append(server.outlet.stats().lost + lost_at_end)
        end_epoch(reason, text, lost_at_end)

    server.end_epoch = noting  # type: ignore[method-assign]


async def _run(config: Config, case: Case, result: Result, boards: FaultyBoards, directory: Path) -> None:
    overrides = {"daemon.runtime_dir": str(directory)}
    daemon = boards.daemon = Daemon(config, overrides)
    loop = asyncio.get_running_loop()
    told: list[int] = []
    count_told_losses(daemon, told)

    async def stop_once_the_epoch_is_told() -> None:
        while daemon.acquisition.is_changing:  # samples may come before control has said how long there were none
            await asyncio.sleep(0.001)
        daemon.stop()

    def stop() -> None:
        ending = stop_once_the_epoch_is_told()
        try:
            asyncio.run_coroutine_threadsafe(ending, loop)
        except RuntimeError:  # the loop has ended
            ending.close()

    reader = PatternReader(case, result, directory, stop)
    reader.thread.start()
    try:
        await daemon.run(1)
    finally:
        await asyncio.to_thread(reader.thread.join)
    if reader.error is not None:
        raise reader.error
    counters = daemon.acquisitions.counters.values()
    result.counted = {label: int(n) for label, n in counters.items() if n}
    result.lost = sum(int(counters[f"loss.{cause}"]) for cause in LOSSES)
    result.unexplained = abs(result.lost - sum(told))
    result.events = list(daemon.events.recent)


def run_case(case: Case) -> Result:
    """Runs a daemon over one case. Main thread only; raises what its reader raised."""
    result = Result()
    boards = FaultyBoards(case, result)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eegd-", dir="/tmp"))) / "r"
        values = {
            "sim.source": "pattern",
            "sim.clock": "virtual",
            "stream.frame_samples": FRAME_SAMPLES,
            "daemon.runtime_dir": str(directory),
            "daemon.rt_priority": 0,
            **case.overrides,
        }

        async def pause(recovery: Recovery) -> bool:
            return await boards.pause(recovery)

        stack.enter_context(mock.patch("eegd.acquisition.open_board", boards.open))
        stack.enter_context(mock.patch.object(Recovery, "_pause_before_next", pause))
        asyncio.run(_run(parse_config("", "faults.toml", values), case, result, boards, directory))
    return result
