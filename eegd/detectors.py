"""Detectors of a raw stream as control sees them: tables for the capture thread, their events, and counts.

The work is done in C (native/detect.h). Each priority has a ring of its own and is drained in this order: markers,
detections, reports (values at an interval, and what `debug` tells); losses and faults have another one, before all.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from eegd._native import ffi, lib
from eegd.ads1299 import conversion_map
from eegd.capture import EventRing, NativeEvent
from eegd.config import Config
from eegd.conversion import conversion_layout, sample_period_ns
from eegd.detect import EDGES, change_config
from eegd.detector_config import PINS, ChipMarkerConfig, DetectorConfig
from eegd.errors import EegdError

__all__ = ["Detectors"]

log = logging.getLogger(__name__)

RINGS = {"markers": 256, "detections": 1024, "reports": 1024}
"""Capacity of each ring, in order of priority. 1024 hold what one event per sample at 16000 SPS brings in 64 ms."""
BATCH = 64
"""Of a ring's events, how many are told before the rings above it are looked at again."""
APART_S = 1.0
KINDS = {"change": lib.EEGD_DETECTOR_CHANGE, "stream": lib.EEGD_DETECTOR_STREAM}
VERDICTS = {
    lib.EEGD_CROSSING_TAKEN: "taken",
    lib.EEGD_CROSSING_IN_BAND: "not taken: still within the hysteresis",
    lib.EEGD_CROSSING_ALREADY: "not taken: it had not left this side",
    lib.EEGD_CROSSING_OTHER_EDGE: "not taken: only the other edge counts",
    lib.EEGD_CROSSING_SETTLING: "not taken: still settling after the start or a gap",
    lib.EEGD_CROSSING_TOO_SHORT: "not taken: it did not last",
    lib.EEGD_CROSSING_RING_FULL: "not told: the ring was full",
}

Row = DetectorConfig | ChipMarkerConfig
Post = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Known:
    """What an id in an event stands for."""

    row: Row
    period_ns: float
    first_chip: int


@dataclass(slots=True)
class Table:
    """A native table, and in the order of its rows their ids and names."""

    pointer: Any
    names: dict[int, str]


class Detectors:
    """The detectors of one stream over its epochs. Control thread only."""

    def __init__(self, stream: str, post: Post) -> None:
        """post: as EventPublisher.post."""
        self.rings = {name: EventRing(capacity) for name, capacity in RINGS.items()}
        self._stream = stream
        self._post = post
        self._known: dict[int, Known] = {}
        self._next_id = 0
        self._keys: dict[str, int] = {}
        """By name: what tells the C core that a detector of two tables is the same."""
        self._tables: list[Table] = []
        """In force is the last one; the capture thread may still use those before it."""
        self._counts: dict[str, tuple[int, int]] = {}
        """By name what tables that are gone had posted and dropped."""
        self._told_dropped, self._told_s = 0, -math.inf

    # ---- tables ----

    def table(self, config: Config) -> Any:
        """Puts the detectors of a configuration in force: a `struct eegd_detect *` for the capture thread, which is
        kept for as long as that may need it. NULL where there are none, and no table to replace."""
        self._free_unused()
        rows = _rows_of(config)
        if not rows and not self._tables:
            return ffi.NULL
        native = ffi.new("struct eegd_detect_config *")
        native.map = conversion_map(conversion_layout(config.board, config.montage))[0]
        for name, ring in self.rings.items():
            setattr(native, name, ring.pointer)
        native.n_detectors = len(rows)
        ids = range(self._next_id, self._next_id + len(rows))
        self._next_id += len(rows)
        for place, (number, row) in enumerate(zip(ids, rows, strict=True)):
            native.detectors[place].id = number
            native.detectors[place].key = self._keys.setdefault(row.name, len(self._keys))
            if isinstance(row, DetectorConfig):
                _fill_detector(native.detectors[place], row, config)
            else:
                _fill_marker(native.detectors[place], row)
        pointer = lib.eegd_detect_new(native)
        if pointer == ffi.NULL:
            raise EegdError(f"detectors of {self._stream}: {os.strerror(ffi.errno)}")
        period_ns, first_chip = sample_period_ns(config.board), config.board.first_chip
        self._known |= {number: Known(row, period_ns, first_chip) for number, row in zip(ids, rows, strict=True)}
        self._tables.append(Table(pointer, {number: row.name for number, row in zip(ids, rows, strict=True)}))
        return pointer

    def _free_unused(self) -> None:
        begun = [place for place, table in enumerate(self._tables) if lib.eegd_detect_has_begun(table.pointer)]
        self._free(max(begun, default=0))

    def release(self) -> None:
        """The capture thread has ended: it uses none of them any more."""
        self._free(len(self._tables))

    def _free(self, n_tables: int) -> None:
        """The oldest ones, after what they found has been told."""
        if n_tables:
            self.drain(everything=True)
        for table in self._tables[:n_tables]:
            for name, posted, dropped in _counts(table):
                before = self._counts.get(name, (0, 0))
                self._counts[name] = (before[0] + posted, before[1] + dropped)
            lib.eegd_detect_free(table.pointer)
            for number in table.names:
                del self._known[number]
        del self._tables[:n_tables]

    # ---- events ----

    def drain(self, *, everything: bool = False) -> None:
        """Tells what the rings hold, in their order. Of each a batch, since a ring that has more wakes again; or all
        that was there at the call."""
        for ring in self.rings.values():
            for event in ring.take(None if everything else BATCH):
                self._tell(event)

    def _tell(self, event: NativeEvent) -> None:
        known = self._known[event.source]
        row = known.row
        if event.kind == "considered":
            log.info("detector %s: %s", row.name, _considered(row, event))
            return
        facts: dict[str, Any] = {}
        if isinstance(row, ChipMarkerConfig):
            facts = {"chip": known.first_chip + row.chip, "pins": list(row.pins), "before": event.b}
            facts["uncertainty_ns"] = round(event.c * known.period_ns)
        elif event.kind == "detection":
            edge = "rising" if event.n else "falling"
            facts = {"channel": row.channel, "edge": edge, "uncertainty_ns": round(known.period_ns)}
        else:
            facts = {"channel": row.channel}
        at = {"sample_index": event.sample_index, "time_ns": event.time_ns}
        self._post(event.kind, row.name, value=event.value, source=self._stream, **at, **facts)

    def tell_dropped(self, now_s: float) -> None:
        """Says how many events found their ring full since it was last said, if any; at most once a second."""
        if now_s - self._told_s < APART_S:
            return
        by_ring = {name: ring.stats()["dropped"] for name, ring in self.rings.items()}
        n_dropped = sum(by_ring.values()) - self._told_dropped
        if n_dropped:
            self._told_dropped, self._told_s = self._told_dropped + n_dropped, now_s
            label = f"{n_dropped} event(s) of detectors dropped: more than control can take"
            self._post("events dropped", label, value=n_dropped, source=self._stream, by_ring=by_ring)
            log.warning("%s: %s", self._stream, label)

    # ---- status ----

    def report(self, config: Config) -> list[dict[str, object]]:
        """Each detector of the configuration in force, with what it has told, and dropped since its ring was full."""
        counts = dict(self._counts)
        for table in self._tables:
            for name, posted, dropped in _counts(table):
                before = counts.get(name, (0, 0))
                counts[name] = (before[0] + posted, before[1] + dropped)
        first_chip = config.board.first_chip
        return [_report(row, first_chip, *counts.get(row.name, (0, 0))) for row in _rows_of(config)]


def _rows_of(config: Config) -> tuple[Row, ...]:
    return (*config.detectors, *config.chip_markers)


def _fill_detector(native: Any, row: DetectorConfig, config: Config) -> None:
    rate = config.board.rate_sps
    native.kind, native.debug = KINDS[row.kind], row.debug
    native.channel = [channel.label for channel in config.montage.on].index(row.channel)
    native.interval = row.interval(rate)
    threshold = row.threshold_uv or 0.0
    native.change = change_config(threshold, row.hysteresis_uv, row.edge, row.dc_removal_hz, rate)


def _fill_marker(native: Any, row: ChipMarkerConfig) -> None:
    native.kind, native.debug = lib.EEGD_DETECTOR_PINS, row.debug
    native.chip, native.n_pins = row.chip - 1, len(row.pins)
    for place, pin in enumerate(row.pins):
        native.pin[place] = PINS.index(pin)
    native.edges, native.hold = EDGES[row.edge], row.hold


def _counts(table: Table) -> Iterator[tuple[str, int, int]]:
    counts = ffi.new("struct eegd_detect_counts *")
    for place, name in enumerate(table.names.values()):
        lib.eegd_detect_counts(table.pointer, place, counts)
        yield name, int(counts.posted), int(counts.dropped)


def _considered(row: Row, event: NativeEvent) -> str:
    verdict = VERDICTS.get(event.b, f"verdict {event.b}")
    if isinstance(row, ChipMarkerConfig):
        return f"word {event.n} at sample {event.sample_index}: {verdict}"
    edge = "rising" if event.n else "falling"
    return f"{edge} to {event.value:.6g} µV at sample {event.sample_index}: {verdict}"


def _report(row: Row, first_chip: int, posted: int, dropped: int) -> dict[str, object]:
    facts: dict[str, object] = {"name": row.name}
    if isinstance(row, ChipMarkerConfig):
        facts |= {"kind": "chip marker", "chip": first_chip + row.chip, "pins": list(row.pins)}
    else:
        facts |= {"kind": row.kind, "channel": row.channel}
    return {**facts, "posted": posted, "dropped": dropped, "debug": row.debug}
