"""Numbers with units, bars, sparklines and braille traces, as text. No terminal is needed, and no rich."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PLACEHOLDER",
    "bar",
    "braille",
    "count",
    "data_note",
    "duration",
    "nice_scale",
    "ppm",
    "quantity",
    "short",
    "size",
    "sparkline",
    "wall_clock",
]

PLACEHOLDER = "–"
"""Stands where there is no number."""
STEPS = " ▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉█"
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint32)
"""Bits of a braille character, [row][column]."""
BLANK = 0x2800
VOLTS = (("V", 1e6), ("mV", 1e4), ("µV", 0.0))
"""Unit, and the microvolts from which it is used: four digits of microvolts are still easily read."""


def count(n: int) -> str:
    """5400000 → `5 400 000`"""
    return f"{n:,}".replace(",", " ")


def short(value: float) -> str:
    """Three digits or so, at most six characters: `2e-05`, `0.012`, `1.23`, `12.3`, `123`, `1.2k`, `123M`, `1e+15`."""
    if not np.isfinite(value):
        return PLACEHOLDER
    for power, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if 1e15 > abs(value) >= 0.9995 * power:
            scaled = value / power
            return f"{scaled:.0f}{letter}" if abs(scaled) >= 9.95 else f"{scaled:.1f}{letter}"
    size = abs(value)
    if size >= 99.95:
        return f"{value:.0f}" if size < 1e15 else f"{value:.0e}"
    if size >= 9.995:
        return f"{value:.1f}"
    if size >= 0.1 or size < 1e-30:
        return f"{value if size >= 0.1 else 0.0:.2f}"
    return f"{value:.3f}" if size >= 0.0005 else f"{value:.0e}"


def quantity(value: float, unit: str) -> str:
    """A number with its unit: `12.3 µV`, `187.5 mV`, `3.20 µV²`."""
    if not np.isfinite(value):
        return f"{PLACEHOLDER} {unit}".rstrip()
    if unit != "µV":
        return f"{short(value)} {unit}".rstrip()
    size = abs(value)
    name, _ = next(row for row in VOLTS if size >= row[1])
    scaled = value / {"V": 1e6, "mV": 1e3, "µV": 1.0}[name]
    digits = 0 if abs(scaled) >= 999.5 else 1 if abs(scaled) >= 9.995 else 2
    return f"{scaled:.{digits}f} {name}"


def ppm(value: float) -> str:
    """With its sign: `+1.2 ppm`"""
    return f"{value:+.1f} ppm" if np.isfinite(value) else f"{PLACEHOLDER} ppm"


def size(n_bytes: int) -> str:
    """Bytes in decimal units: `32.0 MB`"""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 999.95:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def duration(seconds: float) -> str:
    """`340 µs`, `12.3 ms`, `4.2 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`"""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def wall_clock(wall_time_ns: float) -> str:
    """Local time of day with milliseconds: `14:03:27.512`"""
    milliseconds = int(wall_time_ns // 1_000_000)
    clock = time.strftime("%H:%M:%S", time.localtime(milliseconds // 1000))
    return f"{clock}.{milliseconds % 1000:03d}"


def data_note(flags: Sequence[str]) -> str:
    """What must be said beside data that are not a person's; empty where they may be."""
    words = [flag.upper() for flag in ("simulated", "replay", "test signal", "shorted") if flag in flags]
    if not words:
        return ""
    what = "a recording, not live" if words == ["REPLAY"] else "not a person"
    return f"{', '.join(words)} – {what}"


def nice_scale(value: float) -> float:
    """The next of …, 1, 1.5, 2, 3, 4, 6, 8, 10, 15, … that is not smaller; at least 1."""
    if not value > 1 or not np.isfinite(value):
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 1.5, 2, 3, 4, 6, 8, 10) if step * power >= value * (1 - 1e-9)))


def sparkline(values: NDArray[np.floating], width: int) -> str:
    """Values from left to right in at most `width` block characters, from their least to their greatest."""
    if values.size == 0 or width <= 0:
        return ""
    if values.size > width:
        edges = np.linspace(0, values.size, width + 1).astype(int)
        values = np.array([values[a:b].mean() for a, b in pairwise(edges)], np.float64)
    finite = values[np.isfinite(values)]
    low, span = (float(finite.min()), float(np.ptp(finite))) if finite.size else (0.0, 0.0)
    marks = []
    for value in values:
        if not np.isfinite(value):
            marks.append(STEPS[0])
        elif span == 0:
            marks.append(STEPS[4])
        else:
            marks.append(STEPS[1 + min(7, int(8 * (float(value) - low) / span))])
    return "".join(marks)


def bar(fraction: float, width: int) -> str:
    """A horizontal bar of 0 to `width` characters, in eighths, filled up with spaces."""
    if not np.isfinite(fraction):
        return " " * width
    eighths = round(max(0.0, min(1.0, fraction)) * 8 * width)
    full, part = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[part] if part else "")).ljust(width)


def braille(low: NDArray[np.floating], high: NDArray[np.floating], height: int) -> list[str]:
    """A trace as `height` lines of braille. `low` and `high` are a curve's bounds per dot column, two columns to a
    character, in −1 (bottom) … 1 (top); what lies outside is drawn at the border, NaN is a gap."""
    n_columns, n_rows = len(low) // 2 * 2, 4 * height
    known = np.isfinite(low[:n_columns]) & np.isfinite(high[:n_columns])

    def row_of(value: NDArray[np.floating]) -> NDArray[np.int64]:
        placed = (1 - np.clip(np.where(known, value[:n_columns], 0), -1, 1)) / 2 * (n_rows - 1)
        return np.rint(placed).astype(np.int64)

    top, bottom = row_of(high), row_of(low)
    # A steep curve stays one line: each column reaches to its neighbour on the left.
    joined = known[1:] & known[:-1]
    reach_up, reach_down = bottom[:-1] + 1, top[:-1] - 1
    top[1:] = np.where(joined & (top[1:] > reach_up), reach_up, top[1:])
    bottom[1:] = np.where(joined & (bottom[1:] < reach_down), reach_down, bottom[1:])
    rows = np.arange(n_rows)[:, None]
    dots = (rows >= top) & (rows <= bottom) & known
    cells = dots.reshape(height, 4, n_columns // 2, 2)
    codes = BLANK + np.einsum("hrcd,rd->hc", cells.astype(np.uint32), DOTS)
    return ["".join(map(chr, line)) for line in codes.tolist()]
