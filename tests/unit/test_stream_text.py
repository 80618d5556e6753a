"""`eegctl info` of a plugin's stream."""

from __future__ import annotations

from typing import Any

from eegd.cli.stream_text import plugin_stream_lines
from eegd.frame import StreamInfo

WAVELET: dict[str, Any] = {
    "name": "wavelet",
    "kind": "features",
    "stream_epoch": 1,
    "rate_sps": 10.0,
    "frame_samples": 1,
    "delay_ns": 527_000_000,
    "own_delay_ns": 510_000_000,
    "window_ns": 1_024_000_000,
    "flags": ["simulated"],
    "input": "filter",
    "raw_stream": "raw2",
    "axes": {"level": {"unit": "Hz", "bands": {"D1": [62.5, 125.0], "D2": [31.25, 62.5]}}},
    "params": {"levels": 2, "trip_channel": ["Fp1", "O1"]},
    "doc": "Energy in bands.\n\nAnd more.",
    "channels": [{"label": f"O{n}.D1", "unit": "µV²"} for n in range(30)],
}


def test_a_features_stream_says_what_it_reads_its_labels_axes_and_where_to_look_next() -> None:
    lines = plugin_stream_lines(StreamInfo.from_description(WAVELET))
    told = {line[:8].strip(): line[10:] for line in lines}
    assert told["stream"] == "wavelet: features, of a plugin that reads filter"
    assert told["does"] == "Energy in bands."
    assert told["rate"] == "10 values a second of each label"
    assert told["delay"] == "527 ms from electrode to time stamp, not corrected, 510 ms of it by this plugin"
    assert told["labels"].startswith("30, in µV²: O0.D1, ") and told["labels"].endswith("O23.D1, …")
    assert told["level"] == "D1 62.5 to 125, D2 31.25 to 62.5 Hz"
    assert told["set to"] == "levels=2 trip_channel=Fp1,O1"
    assert "not a person" in told["data"]
    assert "montage: eegctl info raw2" in told["see also"]


def test_what_a_plugin_did_not_say_has_no_line() -> None:
    bare = {key: WAVELET[key] for key in ("name", "stream_epoch", "rate_sps", "frame_samples", "channels")}
    lines = plugin_stream_lines(StreamInfo.from_description({**bare, "kind": "filtered"}))
    assert [line.split()[0] for line in lines] == ["stream", "rate", "delay", "labels", "see"]
    assert lines[1] == "rate      10 SPS, frames of 1"
