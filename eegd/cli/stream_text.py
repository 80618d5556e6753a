"""What a plugin's stream is, in words: `eegctl info STREAM`. Needs no terminal, and no rich."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eegd.cli.params import text_of
from eegd.cli.text import data_note, duration
from eegd.frame import StreamInfo

__all__ = ["plugin_stream_lines"]

N_LABELS = 24
"""How many are named; all are in --json."""


def plugin_stream_lines(info: StreamInfo) -> list[str]:
    """A line for each fact that its plugin gave."""
    facts, name = info.description, info.stream
    raw = str(facts.get("raw_stream", "raw"))
    rows = [
        ("stream", f"{name}: {info.kind}, of a plugin that reads {facts.get('input', 'an unknown stream')}"),
        ("does", " ".join(str(facts.get("doc", "")).partition("\n\n")[0].split())),
        ("rate", _rate(info)),
        ("delay", _delay(info)),
        ("window", duration(facts["window_ns"] / 1e9) if facts.get("window_ns") else ""),
        ("labels", _labels(info)),
    ]
    rows += [(str(axis), _axis(row)) for axis, row in facts.get("axes", {}).items() if isinstance(row, Mapping)]
    rows += [
        ("reference", str(facts.get("reference") or "")),
        ("stages", ", ".join(f"{row.get('stage')} ({row.get('plugin')})" for row in facts.get("stages", ()))),
        ("set to", " ".join(f"{key}={text_of(value)}" for key, value in facts.get("params", {}).items())),
        ("data", data_note(info.flags)),
        ("see also", f"eegctl get {name} · eegctl tail {name} · montage: eegctl info {raw} · all: info {name} --json"),
    ]
    width = max(len(title) for title, text in rows if text)
    return [f"{title:<{width}}  {text}" for title, text in rows if text]


def _rate(info: StreamInfo) -> str:
    if info.kind != "features":
        return f"{info.rate_sps:g} SPS, frames of {info.frame_samples}"
    return f"{info.rate_sps:g} values a second of each label"


def _delay(info: StreamInfo) -> str:
    own = info.description.get("own_delay_ns")
    of_which = "" if own is None else f", {duration(own / 1e9)} of it by this plugin"
    return f"{duration(info.delay_ns / 1e9)} from electrode to time stamp, not corrected{of_which}"


def _labels(info: StreamInfo) -> str:
    more = ", …" if len(info.labels) > N_LABELS else ""
    units = ", ".join(dict.fromkeys(unit for unit in info.units if unit)) or "no unit"
    return f"{len(info.labels)}, in {units}: {', '.join(info.labels[:N_LABELS])}{more}"


def _axis(row: Mapping[str, Any]) -> str:
    """`D1 62.5 to 125, D2 31.25 to 62.5 Hz`"""
    unit, bands = str(row.get("unit", "")), row.get("bands")
    if isinstance(bands, Mapping):
        ends = [f"{name} {' to '.join(map(text_of, band))}" for name, band in bands.items() if isinstance(band, list)]
        return f"{', '.join(ends)} {unit}".strip()
    return f"in {unit}" if unit else ""
