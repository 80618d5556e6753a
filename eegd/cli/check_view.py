"""A check as text: a table that fits the terminal, then one line per reason. Needs rich."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eegd.cli.tables import FittingTable
from eegd.cli.text import PLACEHOLDER, count, data_note, duration
from eegd.electrode_check import GREEN, RED, YELLOW

__all__ = ["check_view"]

STYLES = {GREEN: "green", YELLOW: "yellow", RED: "bold red"}
SAYS = {GREEN: "green", YELLOW: "look", RED: "RED"}
"""Told by words too, for eyes and terminals without colour."""


def check_view(result: Mapping[str, Any]) -> RenderableType:
    """All parts of a result, the electrodes first."""
    parts: list[RenderableType] = [_headline(result), Text(), _electrodes(result)]
    reasons = _reasons(result)
    if reasons.row_count:
        parts += [Text(), reasons]
    hint = _common_cause(result)
    if hint:
        parts.append(Text(hint, style="bold"))
    if "test_signal" in result:
        parts += [Text(), Text("test signal of the chip", style="bold"), _test_signal(result["test_signal"])]
    if "shorted" in result:
        parts += [Text(), Text("noise with shorted inputs", style="bold"), _shorted(result["shorted"])]
    return Group(*parts, Text(), _total(result))


def _headline(result: Mapping[str, Any]) -> Text:
    local = datetime.fromisoformat(result["time"]).astimezone()
    what = f"electrodes at {local:%Y-%m-%d %H:%M:%S}, {duration(result['seconds'])} at {result['rate_sps']:g} SPS"
    line = Text(what, style="bold")
    n_missing = sum(stream["missing_samples"] for stream in result["streams"])
    if n_missing:
        line.append(f"   {count(n_missing)} samples missing", style="bold red")
    note = data_note(result["flags"])
    if note:
        line.append("   ").append(f" {note} ", style="yellow reverse")
    return line


def _verdict(row: Mapping[str, Any]) -> Text:
    return Text(SAYS[row["verdict"]], style=STYLES[row["verdict"]])


def _number(value: float | None, digits: int = 1) -> str:
    return PLACEHOLDER if value is None else f"{value:.{digits}f}"


def _electrodes(result: Mapping[str, Any]) -> RenderableType:
    mains = result["montage"]["mains_hz"]
    harmonic, fast = f"{2 * mains} Hz µV", ">100 Hz µV"
    table = FittingTable(
        *("", "label", "offset mV", "of range", "rail", "off", f"{mains} Hz µV", harmonic, "1–40 Hz µV", fast),
        left=("", "label"),
        drop=(harmonic, fast, "of range", "off"),
    )
    for row in result["channels"]:
        numbers = row["numbers"]
        off = numbers["lead_off_percent"]
        rail = "railed" if numbers["railed_percent"] else "near" if numbers["near_rail_percent"] else "no"
        table.add_row(
            _verdict(row),
            row["label"],
            f"{numbers['offset_mv']:+.1f}",
            f"{numbers['offset_percent']:.0f} %",
            "flat" if numbers["flat"] and rail == "no" else rail,
            PLACEHOLDER if off is None else f"{off:.0f} %",
            _number(numbers["mains_uv_rms"]),
            _number(numbers["harmonic_uv_rms"]),
            _number(numbers["noise_uv_rms"]),
            _number(numbers["fast_uv_rms"]),
        )
    return table


def _reasons(result: Mapping[str, Any]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for style in ("", "bold", ""):
        grid.add_column(style=style, no_wrap=style == "bold")
    for verdict in (RED, YELLOW):
        for row in result["channels"]:
            for finding in row["findings"] if row["verdict"] == verdict else ():
                grid.add_row(_verdict(finding), row["label"], f"{finding['reason']}: {finding['remedy']}")
    return grid


def _common_cause(result: Mapping[str, Any]) -> str:
    rows = result["channels"]
    if len(rows) < 3 or any(row["verdict"] != RED for row in rows):
        return ""
    montage = result["montage"]
    return f"All of them: look at the reference ({montage['reference']}) and the ground ({montage['ground']}) first."


def _test_signal(part: Mapping[str, Any]) -> RenderableType:
    table = FittingTable(
        *("", "label", "amplitude µV", "expected", "period samples", "wanted", "why"),
        left=("", "label", "why"),
        drop=("wanted", "expected"),
    )
    for row in part["channels"]:
        table.add_row(
            _verdict(row),
            row["label"],
            f"±{row['amplitude_uv']:.1f}",
            f"±{row['expected_amplitude_uv']:.0f}",
            _number(row["period_samples"]),
            _number(row["expected_period_samples"], 0),
            row["reason"],
        )
    return table


def _shorted(part: Mapping[str, Any]) -> RenderableType:
    table = FittingTable(*("", "label", "noise µV rms", "datasheet", "why"), left=("", "label", "why"))
    for row in part["channels"]:
        noise, typical = _number(row["noise_uv_rms"], 2), _number(row["typical_noise_uv_rms"], 2)
        table.add_row(_verdict(row), row["label"], noise, typical, row["reason"])
    return table


def _total(result: Mapping[str, Any]) -> Text:
    verdicts = [row["verdict"] for row in result["channels"]]
    words = [f"{verdicts.count(verdict)} {SAYS[verdict]}" for verdict in (GREEN, YELLOW, RED) if verdict in verdicts]
    line = Text(f"electrodes: {', '.join(words)}", style=STYLES[result["verdict"]])
    for name, title in (("test_signal", "test signal"), ("shorted", "shorted inputs")):
        if name in result:
            rows = result[name]["channels"]
            n_green = sum(row["verdict"] == GREEN for row in rows)
            line.append(f"; {title}: {n_green} of {len(rows)} green")
    return line
