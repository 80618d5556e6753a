"""The daemon's reports as rich tables that fit the terminal. Needs rich: call `need_rich` before importing this."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from eegd.cli.text import PLACEHOLDER, count, data_note, duration, ppm, quantity, size
from eegd.frame import StreamInfo

__all__ = ["console", "info_view", "lag_ms", "loss_text", "rate_text", "status_view", "streams_view"]

PIPE_WIDTH = 120
PLUGIN_COUNTS = ("input", "frames in", "frames out", "errors", "missed", "overruns", "restarts", "hangs")
WARNING = "yellow"
ALARM = "bold red"
DIM = "dim"


def console() -> Console:
    """Standard output. Colour only on a terminal and without NO_COLOR, as rich decides; wide where it is a pipe."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, soft_wrap=False, width=PIPE_WIDTH if piped else None)


class FittingTable:
    """A table that leaves columns out, in the order of `drop`, where the terminal is too narrow for all of them."""

    def __init__(self, *columns: str, left: Sequence[str] = (), drop: Sequence[str] = ()) -> None:
        self.rows: list[Sequence[RenderableType]] = []
        self._columns, self._left, self._drop = columns, left, drop

    def add_row(self, *cells: RenderableType) -> None:
        self.rows.append(cells)

    def _build(self, dropped: Sequence[str]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        kept = [number for number, name in enumerate(self._columns) if name not in dropped]
        for number in kept:
            name = self._columns[number]
            side: JustifyMethod = "left" if name in self._left else "right"
            table.add_column(name, justify=side, overflow="ellipsis", no_wrap=True)
        for row in self.rows:
            table.add_row(*(row[number] for number in kept))
        return table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unlimited = options.update(max_width=10_000)
        for n_dropped in range(len(self._drop) + 1):
            table = self._build(self._drop[:n_dropped])
            if Measurement.get(console, unlimited, table).maximum <= options.max_width:
                break
        yield table


def _facts() -> Table:
    """Names on the left, sentences on the right."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=DIM, no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _section(title: str, body: RenderableType) -> list[RenderableType]:
    return [Text(), Text(title, style="bold"), body]


# ---- sentences of the status, shared with the live view ----


def rate_text(rate: Mapping[str, Any]) -> str:
    """`250 SPS nominal, 250.0003 effective (+1.2 ppm), jitter 12 µs`"""
    text = f"{rate['nominal_sps']} SPS nominal"
    if not rate.get("effective_sps"):
        return f"{text}, not measured yet"
    jitter_us = max(0.01, rate["jitter_rms_us"])
    return f"{text}, {rate['effective_sps']:.4f} effective ({ppm(rate['ppm'])}), jitter {jitter_us:.3g} µs"


def loss_text(losses: Mapping[str, int]) -> Text:
    """`0 lost: missed 0, bad 0, late 0, overrun 0`, in red where there are any."""
    total = sum(losses.values())
    causes = ", ".join(f"{cause} {count(n)}" for cause, n in losses.items())
    return Text(f"{count(total)} lost: {causes}", style=ALARM if total else "green")


def lag_ms(status: Mapping[str, Any], lag_frames: int) -> float:
    """A reader's lag as time, at the nominal rate."""
    return float(1000 * lag_frames * status["frame_samples"] / status["rate"]["nominal_sps"])


# ---- status ----


def status_view(status: Mapping[str, Any]) -> RenderableType:
    first, *others = status.get("streams", [{**status, "name": "raw"}])
    parts: list[RenderableType] = [_headline(status), _overview(status), *_stream_parts(first)]
    for other in others:
        grid = _facts()
        _add_stream_rows(grid, {**other, "clock": status["clock"]})
        parts += [*_section(f"{other['name']}, by a clock of its own", grid), *_stream_parts(other)]
    if status["plugins"]:
        parts += _section("plugins", _plugin_table(status["plugins"]))
    if rings := _rings(status):
        parts += _section("events", _ring_table(rings))
    if status["warnings"]:
        lines = Text("\n").join(Text(f"- {warning}") for warning in status["warnings"])
        lines.stylize(WARNING)
        parts += _section("warnings", lines)
    return Group(*parts)


def _stream_parts(report: Mapping[str, Any]) -> list[RenderableType]:
    """Pool, detectors and readers of one raw stream."""
    stream = report["stream"]
    of_which = "" if report["name"] == "raw" else f" of {report['name']}"
    since = ", counts of this stream epoch" if report["epochs"] > 1 else ""
    pool = _section(f"pool{of_which}{since}", _pool_table(stream["pool"])) if "pool" in stream else []
    rows = report.get("detectors", [])
    detectors = _section(f"detectors of {report['name']}", _detector_table(rows)) if rows else []
    return [
        *pool,
        *detectors,
        *_section(f"readers of {report['name']}{since}", _reader_table(report, stream["readers"])),
    ]


def _headline(status: Mapping[str, Any]) -> Text:
    line = Text(f"eegd, process {status['pid']}, up {duration(status['uptime_s'])}", style="bold")
    note = data_note(status["flags"])
    if note:
        line.append("   ").append(f" {note} ", style=f"{WARNING} reverse")
    return line


def _overview(status: Mapping[str, Any]) -> RenderableType:
    grid = _facts()
    grid.add_row("directory", status["runtime_dir"])
    _add_stream_rows(grid, status)
    return grid


def _add_stream_rows(grid: Table, status: Mapping[str, Any]) -> None:
    stream, rate = status["stream"], status["rate"]
    frame_ms = 1000 * status["frame_samples"] / rate["nominal_sps"]
    grid.add_row("board", f"{status['board']}, {status['n_channels']} channels")
    grid.add_row("rate", rate_text(rate) + ("" if status["clock"] == "real" else ", virtual clock"))
    if rate.get("late_peak_us"):
        grid.add_row("", f"latest edge {max(0.01, rate['late_peak_us']):.3g} µs after its fitted time")
    frames = f"{status['frame_samples']} sample{'s' if status['frame_samples'] > 1 else ''}, {frame_ms:g} ms"
    this, total = ("", "") if status["epochs"] < 2 else (" in this stream epoch", f" in all {status['epochs']} epochs")
    grid.add_row("frames", f"{count(stream.get('frames', 0))} of {frames} each{this}; {stream['state']}")
    grid.add_row("samples", Text(f"{count(status['samples'])}{total}, ").append(loss_text(status["losses"])))
    bad = ", ".join(f"{cause.replace('_', ' ')} {count(n)}" for cause, n in status["bad_by_cause"].items())
    if status["losses"].get("bad"):
        grid.add_row("", f"bad conversions by cause: {bad}")
    gap = status["without_data_ns"] / 1e9
    without = f", {duration(gap)} without data between them" if status["epochs"] > 1 else ""
    grid.add_row("epochs", f"{status['epochs']}{without}")
    if status["recovery"]["recovering"]:
        grid.add_row("recovering", Text(str(status["recovery"]["text"]), style=ALARM))
    if status["channels"]:
        named = "; ".join(f"{label} {' and '.join(states)}" for label, states in status["channels"].items())
        grid.add_row("channels", Text(named, style=WARNING))
    if stream.get("held_up_by"):
        grid.add_row("held up by", Text(str(stream["held_up_by"]), style=WARNING))


def _pool_table(pool: Mapping[str, Any]) -> RenderableType:
    columns = ["slabs", "free", "in use", "peak in use", "promised", "misses", "allocations"]
    keys = [name.replace(" ", "_") for name in columns]
    table = FittingTable(*columns, "memory", "locked", drop=("allocations", "locked", "promised", "misses"))
    numbers = [count(pool[key]) if key in pool else PLACEHOLDER for key in keys]
    locked = Text("yes") if pool["locked"] else Text("no", style=WARNING)
    table.add_row(*numbers, size(pool["bytes"]), locked)
    return table


def _detector_table(rows: Iterable[Mapping[str, Any]]) -> RenderableType:
    table = FittingTable(
        *("name", "kind", "looks at", "events", "dropped", "debug"), left=("name", "kind", "looks at"), drop=("debug",)
    )
    for row in rows:
        place = row["channel"] if "channel" in row else f"chip {row['chip']}: {', '.join(row['pins'])}"
        dropped = Text(count(row["dropped"]), style=WARNING if row["dropped"] else "")
        table.add_row(row["name"], row["kind"], place, count(row["posted"]), dropped, "on" if row["debug"] else "")
    return table


def _reader_table(status: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> RenderableType:
    table = FittingTable(
        *("name", "pid", "policy", "lane", "depth", "queued", "held", "sent", "missed", "lag"),
        left=("name", "policy", "lane"),
        drop=("lane", "sent", "pid", "policy"),
    )
    for row in rows:
        alarm = row["missed"] and row["policy"] != "latest"
        lag = f"{count(row['lag_frames'])} · {lag_ms(status, row['lag_frames']):.0f} ms"
        state = "" if row["state"] == "active" else f" ({row['state']})"
        table.add_row(
            row["name"] + state,
            str(row["pid"]),
            row["policy"],
            row["lane"],
            *(count(row[key]) for key in ("depth", "queued", "held", "sent")),
            Text(count(row["missed"]), style=ALARM if alarm else ""),
            lag,
        )
    return table if table.rows else Text("none", style=DIM)


def _plugin_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = FittingTable(
        *("name", "state", "pid", *PLUGIN_COUNTS, "memory"),
        left=("name", "state", "input"),
        drop=("frames in", "input", "overruns", "hangs", "pid", "frames out"),
    )
    errors = []
    for row in rows:
        state = Text(str(row["state"]), style="" if row["state"] == "running" else WARNING)
        numbers = (_cell(row.get(name.replace(" ", "_"))) for name in PLUGIN_COUNTS)
        table.add_row(row["name"], state, str(row.get("pid") or PLACEHOLDER), *numbers, _memory(row))
        if row.get("last_error"):
            errors.append(Text(f"{row['name']}: {row['last_error']}", style=WARNING))
    return Group(table, *errors)


def _memory(row: Mapping[str, Any]) -> str:
    """What it has of its own, and may have."""
    if row.get("data_mb") is None:
        return PLACEHOLDER
    return f"{row['data_mb']:.0f} of {row['memory_mb']:g} MB" if row.get("memory_mb") else f"{row['data_mb']:.0f} MB"


def _rings(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What carries events, by name: each stream's rings by priority, marker lines, and what was published."""
    streams = status.get("streams", [])
    found: dict[str, Mapping[str, Any]] = {}
    for stream in streams:
        of_which = "" if len(streams) == 1 else f" of {stream['name']}"
        found |= {f"{name}{of_which}": ring for name, ring in stream.get("event_rings", {}).items()}
    more = {"marker lines": status.get("marker_lines"), "published": status.get("published")}
    return found | {name: counts for name, counts in more.items() if counts}


def _ring_table(rings: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    columns = ("posted", "taken", "dropped", "depth", "peak", "capacity")
    table = FittingTable("ring", *columns, "state", left=("ring", "state"), drop=("capacity", "peak", "depth"))
    for name, ring in rings.items():
        well = Text("healthy") if ring["healthy"] else Text("dropped some" if ring["dropped"] else "full", style=ALARM)
        table.add_row(name, *(count(int(ring[column])) for column in columns), well)
    return table


def _cell(value: object) -> str:
    if value is None or value == "":
        return PLACEHOLDER
    return count(value) if isinstance(value, int) else str(value)


# ---- streams and info ----


def streams_view(infos: Sequence[StreamInfo], dead: Mapping[str, str]) -> RenderableType:
    """`dead`: name → why it does not answer."""
    table = FittingTable(
        *("stream", "kind", "rate", "channels", "units", "frame", "delay"),
        left=("stream", "kind"),
        drop=("frame", "kind"),
    )
    for info in infos:
        samples = f"{info.frame_samples} sample{'s' if info.frame_samples > 1 else ''}"
        table.add_row(
            info.stream,
            info.kind,
            f"{info.rate_sps:.6g} SPS",
            str(len(info.labels)),
            ", ".join(dict.fromkeys(info.units)),
            samples,
            duration(info.delay_ns / 1e9),
        )
    for name in dead:
        table.add_row(name, Text("dead", style=ALARM), *[PLACEHOLDER] * 5)
    return Group(table, *(Text(f"{name}: {why}", style=WARNING) for name, why in dead.items()))


def info_view(info: StreamInfo) -> RenderableType:
    """The montage of a raw stream."""
    facts = info.description
    grid = _facts()
    note = data_note(info.flags)
    chips = " + ".join(facts.get("chips", ()))
    grid.add_row("board", f"{chips}, {facts.get('topology', '')}" if len(facts["chips"]) > 1 else chips)
    others = [name for name in facts.get("streams", ()) if name != info.stream]
    if others:
        grid.add_row("clock", f"its own; the other chips are {', '.join(others)}")
    if info.outage:
        grid.add_row("recovering", Text(info.outage, style=WARNING))
    grid.add_row("rate", f"{info.rate_sps:g} SPS, frames of {info.frame_samples}")
    grid.add_row("delay", f"{duration(info.delay_ns / 1e9)} from electrode to time stamp, not corrected")
    names = ("reference", "ground", "scheme", "wiring")
    grid.add_row("montage", ", ".join(f"{name} {facts[name]}" for name in names if facts.get(name)))
    if facts.get("mains_hz"):
        grid.add_row("mains", f"{facts['mains_hz']} Hz")
    if note:
        grid.add_row("data", Text(note, style=WARNING))
    table = FittingTable(
        *("label", "type", "input", "P", "N", "gain", "full scale", "LSB", "bad"),
        left=("label", "type", "P", "N"),
        drop=("LSB", "type", "full scale"),
    )
    for row in facts["channels"]:
        table.add_row(
            row["label"],
            row["type"],
            str(row["input"]),
            row["p"],
            row["n"],
            str(row["gain"]),
            "±" + quantity(row["full_scale_uv"], "µV"),
            f"{1000 * row['lsb_uv']:.1f} nV",
            Text("bad", style=WARNING) if row["bad"] else "",
        )
    return Group(grid, Text(), table)
