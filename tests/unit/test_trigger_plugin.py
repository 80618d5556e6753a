"""The plugin `trigger`: when it drives its line, what it posts, and what it says where there is no line."""

from __future__ import annotations

import sys
from typing import Any

import gpiod
import numpy as np
import pytest
from numpy.typing import NDArray

from eegd.errors import BoardError, ConfigError
from eegd.output_line import EmulatedLine
from tests.unit.hosted import Samples, info_at, made, set_params
from tests.unit.test_linux import Computer, computer

__all__ = ["computer"]

WAIT_S = 20.0
INFO = info_at(name="filter", kind="filtered")
Array = NDArray[np.float32]


class Posts:
    def __init__(self) -> None:
        self.posted: list[tuple[str, str, float | None, int]] = []

    def post(self, kind: str, label: str, _source: str, value: Any, _index: Any, _f: Any, time_ns: int) -> None:
        self.posted.append((kind, label, value, time_ns))


def started(**params: object) -> tuple[Any, EmulatedLine, Posts]:
    line = EmulatedLine()
    plugin = made("trigger", threshold=10.0, width=0.1, refractory=0.0, per_minute=6000, **params)
    plugin._events = posts = Posts()
    plugin.accept(INFO)
    plugin.open_line = lambda: line
    plugin.start(INFO)
    return plugin, line, posts


def cross(plugin: Any, row: int = 0) -> None:
    """One rising crossing, and what comes after it once its pulse is over."""
    data = np.zeros((2, 20), np.float32)
    data[row, 10:] = 20
    out = np.empty_like(data)
    plugin.process(Samples(data), out)
    np.testing.assert_array_equal(out, data)
    assert plugin._pulser.wait_idle(WAIT_S)
    plugin.process(Samples(np.zeros((2, 1), np.float32)), np.empty((2, 1), np.float32))


def test_without_being_armed_it_drives_nothing_and_says_so() -> None:
    plugin, line, posts = started()
    cross(plugin)
    cross(plugin)
    assert line.n_pulses == 0
    assert [event[:3] for event in posts.posted] == [("pulse refused", "emulated line: not armed", 1)]
    plugin._refused_told_ns -= 10**9
    cross(plugin)
    assert posts.posted[1][2] == 2, "those that were not told one by one"
    plugin.stop()


def test_armed_while_it_runs_each_crossing_is_a_pulse_with_asked_and_done_times() -> None:
    plugin, line, posts = started()
    set_params(plugin, armed=True)
    plugin.changed(("armed",))
    cross(plugin)
    assert line.n_pulses == 1 and not line.high
    (asked, _, width, asked_ns), (done, _, latency_ms, done_ns) = posts.posted
    assert (asked, done, width) == ("pulse asked", "pulse", 0.1) and asked_ns <= done_ns
    assert latency_ms == pytest.approx((done_ns - 41_000_000) / 1e6), "since the sample that crossed"
    plugin.stop()
    assert line.closed


def test_only_the_channels_that_were_named_count() -> None:
    plugin, line, _ = started(armed=True, channels="Oz")
    cross(plugin, row=0)
    assert line.n_pulses == 0
    cross(plugin, row=1)
    assert line.n_pulses == 1
    plugin.stop()


def test_a_reset_keeps_the_line_and_its_limits() -> None:
    plugin, line, _ = started(armed=True)
    plugin.reset()
    cross(plugin)
    assert not line.closed and line.n_pulses == 1
    plugin.stop()


def test_a_detection_of_the_daemon_on_a_channel_fires_and_no_other_event() -> None:
    plugin, line, _ = started(armed=True, channels="Oz")
    set_params(plugin, on="detection")
    for event in (
        {"kind": "detection", "label": "blink", "channel": "Fz", "time_ns": 5},
        {"kind": "marker", "label": "Oz", "time_ns": 5},
        {"kind": "detection", "label": "Oz rising", "source": "trigger", "time_ns": 5},
    ):
        plugin.on_event(event)
    assert plugin._pulser.wait_idle(WAIT_S) and line.n_pulses == 0
    for event in (
        {"kind": "detection", "label": "blink", "channel": "Oz", "source": "raw", "time_ns": 5},
        {"kind": "detection", "label": "Oz rising", "source": "detect", "time_ns": 5},
    ):
        plugin.on_event(event)
        assert plugin._pulser.wait_idle(WAIT_S)
    assert line.n_pulses == 2
    plugin.stop()


# The real line


def real(**params: object) -> Any:
    plugin = made("trigger", line=17, **params)
    plugin.accept(INFO)
    return plugin


def test_a_line_of_the_header_is_an_output_that_is_low_until_the_first_pulse(computer: Computer) -> None:
    computer.add_chips()
    plugin = real()
    plugin.start(INFO)
    [request] = computer.requests
    settings = request.settings[17]
    assert request.consumer == "eegd-trigger" and settings.direction == gpiod.line.Direction.OUTPUT
    assert settings.output_value == gpiod.line.Value.INACTIVE and computer.open_chips == 0
    plugin._pulser._line.set(True)
    assert request.high == {17}
    plugin.stop()
    assert request.high == set() and request.released


def test_a_line_that_is_in_use_or_not_there_is_a_clear_error(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BoardError, match="no GPIO chip is labelled"):
        real().start(INFO)
    computer.add_chips()
    computer.used[17] = "fan"
    with pytest.raises(BoardError, match="line GPIO17 is in use by fan; stop that program first"):
        real().start(INFO)
    computer.names[17] = "-"
    with pytest.raises(ConfigError, match='line = "GPIO17": GPIO chip pinctrl-rp1'):
        real().start(INFO)
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(BoardError, match="the package gpiod is missing"):
        real().start(INFO)
