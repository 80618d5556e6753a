"""The plugin `detect`: what it posts, and that the signal goes through untouched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eegd.errors import ParamError
from eegd.params import assign_params, check_params, parse_words, resolve_channels
from eegd.plugin_source import load_plugin
from tests.unit.hosted import LABELS, Samples, info_at, made

Array = NDArray[np.float32]


class Posts:
    """Stands in for what sends a plugin's events."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str, float, int]] = []

    def post(self, kind: str, label: str, source: str, value: Any, index: Any, *_: Any) -> None:
        self.posted.append((kind, label, value, index))


def started(**params: object) -> tuple[Any, Posts]:
    plugin = made("detect", **params)
    plugin._events = posts = Posts()
    info = info_at(name="filter", kind="filtered")
    plugin.accept(info)
    plugin.start(info)
    return plugin, posts


def run(plugin: Any, data: Array, first: int = 0, n_frame: int = 7) -> Array:
    outs = []
    for begin in range(0, data.shape[1], n_frame):
        block = data[:, begin : begin + n_frame]
        out = np.empty(block.shape, np.float32)
        plugin.process(Samples(block, first + begin), out)
        outs.append(out)
    return np.concatenate(outs, axis=1)


def test_each_crossing_is_posted_once_at_its_sample_with_channel_and_edge() -> None:
    plugin, posts = started(threshold=10, hysteresis=4, edge="both")
    data = np.zeros((2, 100), np.float32)
    data[0, 30:60] = 20
    data[1, 45] = 11.9
    np.testing.assert_array_equal(run(plugin, data, first=1000), data)
    assert posts.posted == [("detection", "Fz rising", 20.0, 1030), ("detection", "Fz falling", 0.0, 1060)]


def test_a_label_goes_ahead_of_channel_and_edge_and_changes_nothing_else() -> None:
    plugin, posts = started(threshold=10, edge="both", label="blink: left = on")
    data = np.zeros((2, 30), np.float32)
    data[0, 10:20] = 20
    run(plugin, data[:, :15])
    assign_params(plugin, check_params(type(plugin), {"label": ""}, partial=True))
    plugin.changed(("label",))
    run(plugin, data[:, 15:], first=15)
    labels = [(label, index) for _, label, _, index in posts.posted]
    assert labels == [("blink: left = on Fz rising", 10), ("Fz falling", 20)]


def test_only_the_channels_that_were_asked_for_are_looked_at() -> None:
    plugin, posts = started(threshold=10, channels="Oz")
    data = np.zeros((2, 20), np.float32)
    data[:, 10:] = 20
    run(plugin, data)
    assert [label for _, label, _, _ in posts.posted] == ["Oz rising"]


def set_live(plugin: Any, **params: object) -> None:
    names = assign_params(plugin, check_params(type(plugin), params, partial=True))
    resolve_channels(plugin, LABELS)
    plugin.changed(names)


def test_a_channel_that_stays_goes_on_where_others_come_and_go() -> None:
    plugin, posts = started(threshold=10, dc_removal=0.5, channels="Fz")  # settles for 81 samples
    data = np.zeros((2, 130), np.float32)
    data[:, 100:] = 50
    run(plugin, data[:, :95])
    set_live(plugin, channels="Oz,Fz", edge="both")
    run(plugin, data[:, 95:], first=95)
    assert [(label, index) for _, label, _, index in posts.posted] == [("Fz rising", 100)], "Oz settles"
    set_live(plugin, threshold=5)
    run(plugin, np.full((2, 50), -500, np.float32), first=130)
    assert len(posts.posted) == 1, "another threshold settles all"


def test_a_reset_settles_anew() -> None:
    plugin, posts = started(threshold=10)
    run(plugin, np.zeros((2, 10), np.float32))
    plugin.reset()
    run(plugin, np.full((2, 10), 20, np.float32), first=50)
    assert posts.posted == []


def test_an_electrode_offset_is_removed_and_the_stream_keeps_it() -> None:
    plugin, posts = started(threshold=50, dc_removal=1, channels="Fz")
    data = np.full((2, 500), 40_000, np.float32)
    data[0, 400:420] += 100
    np.testing.assert_array_equal(run(plugin, data), data)
    assert [(label, index) for _, label, _, index in posts.posted] == [("Fz rising", 400)]


def test_a_corner_that_the_rate_does_not_allow_is_refused_with_both() -> None:
    with pytest.raises(ParamError, match=r"detect: dc_removal = 100: at 250 SPS at most 62.5 Hz"):
        started(threshold=1, dc_removal=100)


def test_words_in_order_are_threshold_and_hysteresis_and_the_threshold_must_be_given() -> None:
    plugin = load_plugin("detect")
    assert parse_words(plugin, ["30", "hysteresis:5"], partial=True) == {"threshold": 30.0, "hysteresis": 5.0}
    with pytest.raises(ParamError, match="threshold"):
        check_params(plugin, {})
