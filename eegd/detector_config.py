"""[[detector]] and [[chip_marker]]: what the capture thread looks for, key by key, and what contradicts itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from eegd.marker_config import LINE_SAYS, NAME, NAME_SAYS, MarkerConfig
from eegd.montage import Montage
from eegd.schema import LIVE, Problems, joined, key, keys_of, near, read_table
from eegd.settings import BoardConfig

__all__ = [
    "ROWS",
    "ChipMarkerConfig",
    "DetectorConfig",
    "check_detectors",
    "detector_changes",
    "read_rows",
]

EDGES = ("rising", "falling", "both")
PINS = ("GPIO1", "GPIO2", "GPIO3", "GPIO4")
MAX_CORNER = 0.25
"""Of the sample rate: above, one pole is no high-pass any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    """One detector on one channel. Immutable; synchronization: none required."""

    name: str = key(doc="Label of its events, unique.", pattern=NAME, says=NAME_SAYS, change=LIVE)
    channel: str = key(doc="Label of the channel.", change=LIVE)
    kind: str = key("change", "Crossings of a threshold, or values.", allowed=("change", "stream"), change=LIVE)
    threshold_uv: float | None = key(None, "What is crossed.", unit="µV", low=-4_500_000, high=4_500_000, change=LIVE)
    hysteresis_uv: float = key(0.0, "Band about it that is silent.", unit="µV", low=0, high=4_500_000, change=LIVE)
    edge: str = key("rising", "Which crossings count.", allowed=EDGES, change=LIVE)
    dc_removal_hz: float = key(
        0.0, "Corner of the high-pass before; 0 for none.", unit="Hz", low=0, high=4000, change=LIVE
    )
    interval_s: float | None = key(None, "From value to value.", unit="s", low=0.00001, high=86_400, change=LIVE)
    interval_samples: int | None = key(None, "The same in samples.", unit="samples", low=1, high=2**31 - 1, change=LIVE)
    debug: bool = key(False, "Log every crossing that was considered.", change=LIVE)

    def interval(self, rate_sps: int) -> int:
        """Samples from one value to the next, 1 at least."""
        if self.interval_samples is not None:
            return self.interval_samples
        return max(1, round((self.interval_s or 0) * rate_sps))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipMarkerConfig:
    """GPIO pins of one chip as a digital input. Immutable; synchronization: none required."""

    name: str = key(doc="Label of its events, unique.", pattern=NAME, says=NAME_SAYS, change=LIVE)
    chip: int = key(1, "Which chip, from 1.", low=1, high=4, change=LIVE)
    pins: tuple[str, ...] = key(doc="Its pins.", allowed=PINS, low=1, high=4, change=LIVE)
    edge: str = key("both", "Which changes of a single pin count.", allowed=EDGES, change=LIVE)
    hold_samples: int | None = key(
        None, "How long a new word must last.", unit="samples", low=0, high=16_000, change=LIVE
    )
    debug: bool = key(False, "Log every change that was considered.", change=LIVE)

    @property
    def hold(self) -> int:
        """Samples after its first for which a new word must last. With several pins one sample may show half of a
        change, two cannot."""
        if self.hold_samples is not None:
            return self.hold_samples
        return 1 if len(self.pins) > 1 else 0


ROWS: Mapping[str, tuple[str, type, int]] = {
    "detector": ("detectors", DetectorConfig, 32),
    "chip_marker": ("chip_markers", ChipMarkerConfig, 16),
    "marker": ("markers", MarkerConfig, 16),
}
"""Lists of tables: field of Config, class, and how many there may be."""

Row = TypeVar("Row", DetectorConfig, ChipMarkerConfig)


def read_rows(table: str, tree: object, problems: Problems) -> tuple[Any, ...]:
    """The rows of a list of tables, their values valid one by one; check_detectors judges them together."""
    _, cls, most = ROWS[table]
    if not isinstance(tree, list | tuple) or len(tree) > most:
        problems.add("", table, f"up to {most} tables, each written as [[{table}]]", tree)
        return ()
    rows = (_read_row(table, cls, number, row, problems) for number, row in enumerate(tree, start=1))
    return tuple(row for row in rows if row is not None)


def _read_row(table: str, cls: type, number: int, tree: object, problems: Problems) -> object | None:
    given = tree.get("name") if isinstance(tree, dict) else None
    where = f"{table} {given if isinstance(given, str) and re.fullmatch(NAME, given) else f'#{number}'}"
    values = read_table(keys_of(cls), where, tree, problems)
    required = {"name": NAME_SAYS, "channel": "the label of a channel", "pins": f"a list of {joined(PINS)}"}
    required["line"] = LINE_SAYS
    missing = [name for name in required if name in keys_of(cls) and name not in values]
    for name in missing:
        if isinstance(tree, dict) and name not in tree:
            problems.add(where, name, f"missing; {required[name]}")
    return None if missing else cls(**values)


def check_detectors(
    detectors: tuple[DetectorConfig, ...],
    chip_markers: tuple[ChipMarkerConfig, ...],
    board: BoardConfig,
    montage: Montage,
    problems: Problems,
) -> None:
    """Reports what is missing, contradicts itself, or is not there. Values are valid one by one."""
    names: set[str] = set()
    for table, rows in (("detector", detectors), ("chip_marker", chip_markers)):
        for row in rows:
            if row.name in names:
                problems.add(f"{table} {row.name}", "name", "given twice; names of detectors are unique", row.name)
            names.add(row.name)
    for detector in detectors:
        if problems.sound(f"detector {detector.name}"):
            _check_detector(detector, board, montage, problems)
    for marker in chip_markers:
        if problems.sound(f"chip_marker {marker.name}"):
            _check_marker(marker, board, problems)


def _check_detector(detector: DetectorConfig, board: BoardConfig, montage: Montage, problems: Problems) -> None:
    where, rate = f"detector {detector.name}", board.rate_sps
    labels = [channel.label for channel in montage.on]
    if detector.channel not in labels:
        text = f"no channel that is on; {near(detector.channel, labels)}"
        problems.add(where, "channel", text, detector.channel)
    if detector.dc_removal_hz > rate * MAX_CORNER:
        text = f"at {rate} SPS the corner is at most {rate * MAX_CORNER:g} Hz"
        problems.add(where, "dc_removal_hz", text, detector.dc_removal_hz)
    intervals = [name for name in ("interval_s", "interval_samples") if getattr(detector, name) is not None]
    if detector.kind == "change":
        if detector.threshold_uv is None:
            problems.add(where, "threshold_uv", 'missing; kind = "change" needs a number of µV')
        for name in intervals:
            problems.add(where, name, 'only kind = "stream" has an interval', getattr(detector, name))
        return
    if detector.threshold_uv is not None:
        problems.add(where, "threshold_uv", 'only kind = "change" has a threshold', detector.threshold_uv)
    if not intervals:
        problems.add(where, "interval_s", 'missing; kind = "stream" needs it, or interval_samples')
    elif len(intervals) > 1:
        text = "give interval_s or interval_samples, not both"
        problems.add(where, "interval_samples", text, detector.interval_samples)


def _check_marker(marker: ChipMarkerConfig, board: BoardConfig, problems: Problems) -> None:
    where = f"chip_marker {marker.name}"
    if marker.chip > len(board.chips):
        problems.add(where, "chip", f"the board has {len(board.chips)}", marker.chip)
    if len(set(marker.pins)) < len(marker.pins):
        problems.add(where, "pins", "the same pin twice", marker.pins)
    if len(marker.pins) > 1 and marker.edge != "both":
        problems.add(where, "edge", 'several pins make a word, which has no edge: edge = "both"', marker.edge)
    driven = [pin for pin in marker.pins if not board.gpio >> PINS.index(pin) & 1]
    if driven:
        inputs = board.gpio | sum(1 << PINS.index(pin) for pin in driven)
        has = f"[board] gpio = 0x{board.gpio:02X} drives {' and '.join(driven)}"
        text = f"{has}; 0x{inputs:02X} leaves what this marker needs as inputs"
        problems.add(where, "pins", text, marker.pins)


def detector_changes(old: Any, new: Any) -> list[tuple[str, str]]:
    """(key, cost) of what differs between the rows of two configurations, which are matched by name."""
    changes = []
    for table, (field, cls, _) in ROWS.items():
        before = {row.name: row for row in getattr(old, field)}
        after = {row.name: row for row in getattr(new, field)}
        names = [name for name in [*before, *(set(after) - set(before))] if before.get(name) != after.get(name)]
        changes += [(f"{table}.{name}", keys_of(cls)["name"].change) for name in sorted(names)]
    return changes
