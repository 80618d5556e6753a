"""One picture of the live view, for a terminal of a given size. Needs rich."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.text import Text

from eegd.cli.tables import lag_ms, loss_text, rate_text
from eegd.cli.text import bar, braille, count, data_note, quantity, short

if TYPE_CHECKING:
    from eegd.cli.view import Model

__all__ = ["Layout", "layout_of", "screen"]

HEADER_ROWS, FOOTER_ROWS = 4, 2
MAX_ROWS_PER_CHANNEL = 5
SCALE_WIDTH, RMS_WIDTH = 8, 8
LEAST_TRACE = 20
BAND_LOW, BAND_HIGH = 0.1, 1000.0
"""µV² at an empty and at a full bar; the scale between them is logarithmic."""
COLOURS = ("cyan", "green", "yellow", "magenta", "blue")
DIM = "grey50"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a terminal is shared out, in characters."""

    label: int
    trace: int
    scale: int
    rms: int
    band: int
    """Per band; 0 where there is no room."""
    rows: int
    """Per channel."""
    n_channels: int
    """How many channels fit."""


def layout_of(width: int, height: int, n_channels: int, n_bands: int, label_width: int) -> Layout:
    """Traces get what is left; on a narrow terminal the band powers go first, then rms and scale."""
    room = max(1, height - HEADER_ROWS - FOOTER_ROWS)
    fitting = min(n_channels, room)
    rows = max(1, min(MAX_ROWS_PER_CHANNEL, room // max(1, fitting)))
    label, scale, rms = min(label_width, 16) + 1, SCALE_WIDTH + 1, RMS_WIDTH + 1
    band = 0
    if n_bands:
        band = max(0, min(9, (width // 3) // n_bands))
        band = band if band >= 4 else 0
    if width - label - scale - rms - band * n_bands < LEAST_TRACE:
        band = 0
    if width - label - scale - rms < LEAST_TRACE:
        rms = 0
    if width - label - scale - rms < LEAST_TRACE:
        scale = 0
    trace = max(2, width - label - scale - rms - band * n_bands - 1)
    return Layout(label, trace, scale, rms, band, rows, fitting)


def screen(model: Model, width: int, height: int, hint: str) -> Text:
    """The whole picture; exactly `height` lines of at most `width` characters."""
    header = _header(model)
    lines = [_title(model), *header]
    if model.info is None:
        lines += [Text(), Text("waiting for the first frame …", style=DIM)]
    else:
        lines += _channels(model, width, height)
    foot = _footer(model, hint)
    lines = lines[: height - len(foot)]
    lines += [Text()] * (height - len(foot) - len(lines)) + foot
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True, end="").join(lines)


def _title(model: Model) -> Text:
    status = model.status
    line = Text("eegd", style="bold")
    if status is not None:
        line.append(f"  {status['board']}  {status['n_channels']} channels", style="not bold")
    if model.info is not None:
        note = data_note(model.info.flags)
        if note:
            line.append("  ").append(f" {note} ", style="black on yellow")
    return line


def _header(model: Model) -> list[Text]:
    status = model.status
    if status is None:
        return [Text("waiting for the daemon …", style="yellow"), Text(model.note, style="yellow")]
    clock = "" if status["clock"] == "real" else ", virtual clock"
    samples = Text(f"{count(status['samples'])} samples, ").append_text(loss_text(status["losses"]))
    if status["epochs"] > 1:
        samples.append(f"   epoch {status['epochs']}", style=DIM)
    if model.note:
        samples.append(f"   {model.note}", style="yellow")
    return [Text(rate_text(status["rate"]) + clock), samples]


def _footer(model: Model, hint: str) -> list[Text]:
    line = Text(style=DIM)
    status = model.status
    if status is not None:
        line.append("readers: ")
        line.append(" · ".join(_reader(status, row) for row in status["stream"]["readers"]) or "none")
        if status["warnings"]:
            line.append(f"   {len(status['warnings'])} warnings, see eegctl status", style="yellow")
    return [line, Text(hint, style=DIM)]


def _reader(status: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    missed = f", {count(row['missed'])} missed" if row["missed"] else ""
    return f"{row['name']} ({row['policy']}, lag {lag_ms(status, row['lag_frames']):.0f} ms{missed})"


def _channels(model: Model, width: int, height: int) -> list[Text]:
    assert model.info is not None
    labels, bands = model.info.labels, model.powers.bands
    layout = layout_of(width, height, len(labels), len(bands), max(map(len, labels)))
    low, high = model.traces(2 * layout.trace)
    rms = model.rms()
    lines = [_columns(model, layout)]
    for row in range(layout.n_channels):
        traces = braille(low[row], high[row], layout.rows)
        lines += _channel(model, layout, row, traces, float(rms[row]))
    if layout.n_channels < len(labels):
        lines[-1] = Text(f"… and {len(labels) - layout.n_channels + 1} more channels", style=DIM)
    return lines


def _columns(model: Model, layout: Layout) -> Text:
    span = f"{2 * layout.trace * model.bin_s:.1f} s"
    line = Text(" " * layout.label + f"◂ {span} ".ljust(layout.trace, "─") + " ", style=DIM)
    if layout.scale:
        line.append("scale".rjust(layout.scale))
    if layout.rms:
        line.append("rms".rjust(layout.rms))
    if layout.band:
        for number, band in enumerate(model.powers.bands):
            name = " " + band[: layout.band - 1]
            line.append(name.ljust(layout.band), style=COLOURS[number % len(COLOURS)])
    return line


def _channel(model: Model, layout: Layout, row: int, traces: list[str], rms: float) -> list[Text]:
    """The rows of one channel; numbers stand on the first of them, band powers as numbers on the second."""
    assert model.info is not None
    label, unit = model.info.labels[row], model.info.units[row]
    railed = label in model.railed
    middle = (len(traces) - 1) // 2
    lines = []
    for number, trace in enumerate(traces):
        line = Text()
        line.append((label if number == middle else "").ljust(layout.label), style="bold red" if railed else "bold")
        line.append(trace + " ", style="red" if railed else COLOURS[row % len(COLOURS)])
        here = number == middle
        if layout.scale:
            scale = "±" + quantity(float(model.scales[row]), unit).replace(".00", "").replace(".0 ", " ")
            line.append((scale if here else "").rjust(layout.scale), style=DIM)
        if layout.rms:
            line.append(("railed" if railed else quantity(rms, unit) if here else "").rjust(layout.rms))
        if layout.band:
            _append_bands(line, model, layout, label, number - middle)
        lines.append(line)
    return lines


def _append_bands(line: Text, model: Model, layout: Layout, label: str, number: int) -> None:
    """Bars on a channel's middle row (number 0), their values below it where there is room."""
    powers = model.powers.values.get(label, {})
    for index, band in enumerate(model.powers.bands):
        value = powers.get(band, math.nan)
        piece = ""
        if number == 0:
            piece = bar(band_level(value, model.powers.units), layout.band - 1)
        elif number == 1:
            piece = short(value)
        style = COLOURS[index % len(COLOURS)] if number == 0 else DIM
        line.append(" " + piece[: layout.band - 1].ljust(layout.band - 1), style=style)


def band_level(value: float, units: str) -> float:
    """A band power's place on its bar, 0 … 1. Shares (unit 1) are linear, powers logarithmic."""
    if units == "1":
        return value
    if not value > BAND_LOW:
        return 0.0 if not math.isnan(value) else math.nan
    return min(1.0, math.log(value / BAND_LOW) / math.log(BAND_HIGH / BAND_LOW))
