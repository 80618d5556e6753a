"""The capture thread of one stream epoch, as control sees it (native/capture.h)."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eegd._native import ffi, lib
from eegd.ads1299 import Ads1299, conversion_map
from eegd.board import Board
from eegd.config import Config
from eegd.conversion import conversion_layout, sample_period_ns
from eegd.counters import Counter, Counters
from eegd.errors import BoardError
from eegd.montage import Montage, locate_input
from eegd.outlet import Outlet

__all__ = [
    "CHANNEL_STATES",
    "COUNTER_LABELS",
    "FAILURES",
    "LOSSES",
    "Capture",
    "CaptureStats",
    "EventRing",
    "NativeEvent",
    "capture_counters",
    "sender_slabs",
]

COUNTER_LABELS = (
    "capture.conversions",
    "capture.samples",
    "loss.missed",
    "loss.bad",
    "loss.late",
    "loss.overrun",
    "bad.status",
    "bad.all_00",
    "bad.all_ff",
    "bad.frozen",
    "bad.spi_error",
    "capture.discarded",
    "capture.stalls",
    "capture.extra_edges",
    "bad.marker",
    "bad.cut",
)
"""In the order of EEGD_COUNT_… in native/capture.h."""
LOSSES = ("missed", "bad", "late", "overrun")
STATES = (
    "running",
    "stopped",
    "replay over",
    "stalled",
    "bad conversions",
    "board error",
    "chip restarted",
    "wrong rate",
)
"""In the order of EEGD_CAPTURE_… in native/capture.h."""
FAILURES = STATES[3:]
CHANNEL_STATES = ("railed", "near the rail", "flat", "electrode off")
"""In the order of EEGD_STATE_… in native/capture.h."""
EVENT_KINDS = {
    lib.EEGD_EVENT_LOSS_MISSED: "missed",
    lib.EEGD_EVENT_LOSS_BAD: "bad",
    lib.EEGD_EVENT_LOSS_LATE: "late",
    lib.EEGD_EVENT_LOSS_OVERRUN: "overrun",
    lib.EEGD_EVENT_STALLED: "stalled",
    lib.EEGD_EVENT_REPLAY_OVER: "replay over",
    lib.EEGD_EVENT_BOARD_FAILED: "board failed",
    lib.EEGD_EVENT_CLOCK_RELOCK: "clock relocked",
    lib.EEGD_EVENT_CHANNEL_STATE: "channel state",
    lib.EEGD_EVENT_DETECTION: "detection",
    lib.EEGD_EVENT_STREAM_VALUE: "stream value",
    lib.EEGD_EVENT_CHIP_MARKER: "marker",
    lib.EEGD_EVENT_CONSIDERED: "considered",
}

FROZEN_RUN = 32
LEAST_FLAT_RUN = 8
MAX_BAD_RUN = 50
"""Bad conversions in a row after which the chips are set up anew (200 ms at 250 SPS)."""
STALL_S = 1.0
UNHEALTHY_S = 10.0
"""For so long after its last drop a ring is called unhealthy."""
DIRECT_PUBLISH_SPS = 2000
"""Above this rate a sending thread of its own publishes."""
SENDER_SLABS = 32
SENDER_BEHIND_S = 0.1
"""How far the sending thread may fall behind without a loss; at least SENDER_SLABS frames."""


def capture_counters(counters: Counters, prefix: str = "") -> list[Counter]:
    """Allocates a capture thread's counters, in the order that it expects. prefix: tells apart those of several."""
    return [counters.allocate(prefix + label) for label in COUNTER_LABELS]


@dataclass(frozen=True, slots=True)
class CaptureStats:
    state: str
    error: str | None
    errno: int
    """Of the error; 0 without."""
    tid: int
    sender_tid: int | None
    priority_error: str | None
    """Why real-time priority was refused."""
    sample_index: int
    rate_sps: float
    """Effective, as fitted; 0 before the first edge."""
    ppm: float
    jitter_rms_us: float
    late_peak_us: float
    first_drdy_ns: int
    """Edge of the first sample; 0 before it."""
    last_drdy_ns: int
    fit_ns: int
    """Fitted time of the latest edge, that of sample_index − 1; the edge latency is not subtracted."""
    period_ns: float
    of_one_edge: bool
    """sample_index, fit_ns and period_ns are."""
    found_ns: float
    """chip restarted: the silence; wrong rate: the period."""
    states: tuple[int, ...]
    """Per channel state the channels that are in it, as bits."""

    @property
    def cause(self) -> str:
        """Why the thread ended by itself, for a person."""
        if self.state == "chip restarted":
            return f"chip restarted (no edge for {self.found_ns / 1e6:.3g} ms, none missed by the line's sequence)"
        if self.state == "wrong rate":
            return f"wrong rate ({1e9 / self.found_ns:.1f} SPS by the edges)"
        return self.state + (f" ({self.error})" if self.error else "")


@dataclass(frozen=True, slots=True)
class NativeEvent:
    """One event of a C thread."""

    kind: str
    sample_index: int
    time_ns: int
    n: int
    value: float
    source: int
    """The channel, where the kind is channel state: then n is the state and b says on or off again. The id, where a
    detector has posted it."""
    b: int
    c: int = 0


class EventRing:
    """Events from the capture thread. `take`, `fileno` and `stats` belong to the control thread."""

    def __init__(self, capacity: int = 1024) -> None:
        self._dropped, self._dropped_s = 0, -math.inf
        self.pointer: Any = ffi.gc(lib.eegd_events_new(capacity), lib.eegd_events_free)
        self._batch = ffi.new("struct eegd_event[]", capacity)

    def fileno(self) -> int:
        return int(lib.eegd_events_fd(self.pointer))

    def take(self, most: int | None = None) -> list[NativeEvent]:
        """What was posted since the last call, oldest first; at most so many, and the others with the next one."""
        events = []
        most = len(self._batch) if most is None else min(most, len(self._batch))
        for raw in self._batch[0 : lib.eegd_events_take(self.pointer, self._batch, most)]:
            kind = EVENT_KINDS.get(raw.kind, f"event {raw.kind}")
            events.append(NativeEvent(kind, raw.sample_index, raw.time_ns, raw.a, raw.value, raw.source, raw.b, raw.c))
        return events

    def stats(self) -> dict[str, int]:
        """Counts since the ring was made, its depth and highest depth (`peak`), and `healthy`: 0 while it is full and
        for a while after it had to drop something."""
        raw = ffi.new("struct eegd_ring_stats *")
        lib.eegd_events_stats(self.pointer, raw)
        stats = {name: int(getattr(raw, name)) for name in ("posted", "taken", "dropped", "depth", "peak", "capacity")}
        now_s = time.monotonic()
        if stats["dropped"] > self._dropped:
            self._dropped, self._dropped_s = stats["dropped"], now_s
        is_healthy = stats["depth"] < stats["capacity"] and now_s - self._dropped_s > UNHEALTHY_S
        return {**stats, "healthy": int(is_healthy)}


def wants_sender(config: Config, virtual_clock: bool) -> bool:
    """Whether a thread of its own publishes: high rates, or more readers than capture should serve itself."""
    many = config.stream.max_readers > config.stream.direct_publish_readers
    return (config.board.rate_sps > DIRECT_PUBLISH_SPS or many) and not virtual_clock


def sender_slabs(config: Config) -> int:
    """Slabs that may lie between capture and sender: enough for a sender that was not scheduled for a while."""
    frames_per_s = config.board.rate_sps / config.samples_per_frame
    return max(SENDER_SLABS, round(SENDER_BEHIND_S * frames_per_s))


class Capture:
    """Starts conversions and captures them into an outlet. Control thread only; the board is the capture thread's
    until `join` has returned."""

    def __init__(
        self,
        config: Config,
        board: Board,
        driver: Ads1299,
        outlet: Outlet,
        counters: list[Counter],
        ring: EventRing,
        states_before: Sequence[int] = (),
        detect: Any = ffi.NULL,
    ) -> None:
        """detect: a `struct eegd_detect *` that outlives this."""
        native = ffi.new("struct eegd_capture_config *")
        layout = conversion_layout(config.board, config.montage)
        self._map = conversion_map(layout)
        native.board, native.outlet, native.events = board.pointer, outlet.pointer, ring.pointer
        for index, counter in enumerate(counters):
            native.counters[index] = counter.pointer
        native.map = self._map[0]
        if config.replay.file is not None:
            native.map.status_mask = [0] * 4  # a recording has its own levels and comparators
        native.n_transfers = len(layout.transfers)
        for index, (cs, n_bytes) in enumerate(layout.transfers):
            native.transfer_cs[index], native.transfer_bytes[index] = cs, n_bytes
        start = driver.start_sequence
        native.start_command = 0 if start.uses_start_line else start.start_bytes[0][1][0]
        native.n_start_cs = len(start.start_bytes)
        for index, (cs, _) in enumerate(start.start_bytes):
            native.start_cs[index] = cs
        native.sclk_hz, native.register_sclk_hz = config.board.sclk_hz, config.board.register_sclk_hz
        native.frame_samples = config.samples_per_frame
        native.period_ns = sample_period_ns(config.board)
        native.tclk_ns = 1e9 / config.board.fclk_hz
        native.edge_latency_ns = config.board.edge_latency_ns
        native.stall_ns = int(max(STALL_S * 1e9, 8 * native.period_ns))
        native.discard = config.board.discard
        # A recording may stand still, as in its padding; live inputs have noise.
        native.frozen_run = 0 if config.replay.file is not None else FROZEN_RUN
        native.frozen_learns = not (config.board.kind == "sim" and config.sim.source == "sine")  # it has no noise
        native.max_bad_run = MAX_BAD_RUN
        self._fill_states(native, config, states_before)
        native.flags = outlet.flags
        native.detect = detect
        self._fill_lead_off(native, config, config.montage)
        native.use_sender = wants_sender(config, board.virtual_clock)
        native.priority = config.daemon.rt_priority if not board.virtual_clock else 0
        native.cpu = -1 if config.daemon.cpu is None else config.daemon.cpu
        error = ffi.new("int *")
        self._pointer: Any = lib.eegd_capture_start(native, error)
        if not self._pointer:
            raise BoardError(f"capture does not start: {os.strerror(-error[0])}")
        self._outlet = outlet

    @staticmethod
    def _fill_states(native: Any, config: Config, states_before: Sequence[int]) -> None:
        rate = config.board.rate_sps
        native.hold_samples = round(config.stream.state_hold_ms * rate / 1000)
        if config.stream.flat_ms:
            native.flat_run = max(LEAST_FLAT_RUN, round(config.stream.flat_ms * rate / 1000))
        for index, mask in enumerate(states_before):
            native.states_before[index] = mask

    @staticmethod
    def _fill_lead_off(native: Any, config: Config, montage: Montage) -> None:
        """Status word: 1100, eight bits for P, eight for N, four of GPIO (SBAS499C 9.4.4.2)."""
        for index, channel in enumerate(montage.on):
            chip, own_input = locate_input(config.board.chips, channel.input)
            native.lead_off_chip[index] = chip
            native.lead_off_mask[index] = (1 << 11 + own_input | 1 << 3 + own_input) if channel.lead_off else 0

    def stop(self, hurry: bool = True) -> None:
        """Asks the thread to end; in a hurry, a wait in virtual time for lossless readers ends too."""
        lib.eegd_capture_stop(self._pointer)
        if hurry:  # only now, or frames would go past lossless readers until the thread hears of the end
            self._outlet.hurry()

    def detect(self, table: Any) -> None:
        """From the next sample on this `struct eegd_detect *` works in place of the one before."""
        lib.eegd_capture_detect(self._pointer, table)

    def join(self) -> None:
        """Returns when the thread has published its last frame and ended. The board is the caller's again."""
        lib.eegd_capture_join(self._pointer)

    def stats(self) -> CaptureStats:
        raw = ffi.new("struct eegd_capture_stats *")
        lib.eegd_capture_stats(self._pointer, raw)
        return CaptureStats(
            state=STATES[raw.state],
            error=os.strerror(-raw.error) if raw.error else None,
            errno=-raw.error,
            tid=raw.tid,
            sender_tid=raw.sender_tid or None,
            priority_error=os.strerror(-raw.priority_error) if raw.priority_error else None,
            sample_index=raw.sample_index,
            rate_sps=raw.rate_sps,
            ppm=raw.ppm,
            jitter_rms_us=raw.jitter_rms_ns / 1000,
            late_peak_us=raw.late_peak_ns / 1000,
            first_drdy_ns=raw.first_drdy_ns,
            last_drdy_ns=raw.last_drdy_ns,
            fit_ns=raw.fit_ns,
            period_ns=raw.period_ns,
            of_one_edge=bool(raw.of_one_edge),
            found_ns=raw.found_ns,
            states=tuple(raw.states),
        )

    def free(self) -> None:
        if self._pointer:
            lib.eegd_capture_free(self._pointer)
            self._pointer = None
