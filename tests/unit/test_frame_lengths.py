"""The plugins that come with eegd give the same however their input is cut into frames, in place or not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eegd.frame import StreamInfo
from eegd.plugin import Plugin, Result
from eegd.runner import make_plugin

FIRST, N = 1000, 1200
CUTS = ([1], [16], [1, 400, 3], [7, 250, 31, 1])


def info_of(n_channels: int) -> StreamInfo:
    described = {"name": "raw", "kind": "raw", "stream_epoch": 7, "rate_sps": 250.0, "frame_samples": 400}
    channels = [{"label": f"E{number}", "unit": "µV", "type": "EEG"} for number in range(n_channels)]
    return StreamInfo.from_description({**described, "channels": channels})


def planes(n_channels: int, n_samples: int) -> NDArray[np.float32]:
    """As in a slab: rows begin on cache lines, so most are apart."""
    return np.full((n_channels, -(-n_samples // 16) * 16), 7, np.float32)[:, :n_samples]


def frame_of(data: NDArray[np.float32], at: int, info: StreamInfo) -> Any:
    masks: dict[str, Any] = {"railed": (), "flat": (), "lead_off": (), "flags": 0}
    times = {"time_ns": 1e9 + at * 4e6, "period_ns": 4e6}
    return SimpleNamespace(data=data, info=info, sample_index=FIRST + at, n_samples=data.shape[1], **masks, **times)


def given(
    plugin: Plugin, x: NDArray[np.float32], cuts: list[int], in_place: bool, monkeypatch: pytest.MonkeyPatch
) -> tuple[NDArray[np.float32], list[tuple[int, list[float]]], set[tuple[str, float, int]]]:
    """Samples, features with their first sample, and events."""
    info, samples, features, events = info_of(len(x)), [], [], set()

    def post(label: str, *, value: float, sample_index: int, **_: Any) -> None:
        events.add((label, float(value), int(sample_index)))

    monkeypatch.setattr(plugin, "post", post)
    plugin.accept(info, shared=not in_place)
    plugin.start(info)
    at, number = 0, 0
    while at < x.shape[1]:
        part = x[:, at : at + cuts[number % len(cuts)]]
        data, out = planes(*part.shape), planes(*part.shape)
        data[:] = part
        if in_place:
            plugin.process_inplace(data, frame_of(data, at, info))
            results, out = None, data
        else:
            results = plugin.process(frame_of(data, at, info), out)
        samples.append(out.copy())
        for result in results if isinstance(results, list) else ():
            assert isinstance(result, Result)
            features.append((result.sample_index, np.asarray(result.values).ravel().tolist()))
        at, number = at + part.shape[1], number + 1
    return np.concatenate(samples, axis=1), features, events


PLUGINS: list[tuple[str, dict[str, Any]]] = [
    ("filter", {"notch": 50}),
    ("reference", {}),
    ("bandpower", {"length": 0.3, "step": 0.02}),
    ("bandpower", {"length": 0.3, "step": 1.0}),
    ("wavelet", {"length": 64, "levels": 3, "step": 0.02}),
    ("detect", {"threshold": 20.0, "hysteresis": 5.0, "edge": "both", "dc_removal": 1.0}),
]


@pytest.mark.parametrize(
    ("name", "params", "n_channels"),
    [
        (name, params, n_channels)
        for name, params in PLUGINS
        for n_channels in (1, 2, 9)
        if (name, n_channels) != ("reference", 1)  # there is nothing to refer one channel to
    ],
)
def test_what_a_plugin_gives_does_not_depend_on_where_frames_end(
    name: str, params: dict[str, Any], n_channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(n_channels)
    x = (random.normal(0, 50, (n_channels, N)) + random.normal(0, 30_000, (n_channels, 1))).astype(np.float32)
    samples, features, events = given(make_plugin(name, [], params), x, [400], False, monkeypatch)
    assert features or events or not np.array_equal(samples, x)
    for cuts in CUTS:
        for in_place in (False, True)[: 1 + (name in ("filter", "reference", "detect"))]:
            again = given(make_plugin(name, [], params), x, cuts, in_place, monkeypatch)
            if not features:
                np.testing.assert_array_equal(again[0], samples)
            assert again[1:] == (features, events)
