"""The plugin `trigger`: when it drives its line, what it posts, and what it says where there is no line."""

from __future__ import annotations

import sys
from typing import Any

import gpiod
import numpy as np
import pytest
from numpy.typing import NDArray

from eegd.errors import BoardError, ConfigError, ParamError
from eegd.params import assign_params, check_params, resolve_channels
from tests.unit.hosted import LABELS, Samples, info_at, made, set_params
from tests.unit.test_linux import Computer, computer
from tests.unit.test_pulser import Watched

__all__ = ["computer"]

WAIT_S = 20.0
INFO = info_at(name="filter", kind="filtered")
Array = NDArray[np.float32]


class Posts:
    def __init__(self) -> None:
        self.posted: list[tuple[str, str, float | None, int]] = []

    def post(self, kind: str, label: str, _source: str, value: Any, _index: Any, _f: Any, time_ns: int) -> None:
        self.posted.append((kind, label, value, time_ns))


def started(**params: object) -> tuple[Any, Watched, Posts]:
    line = Watched()
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


def test_a_gap_in_the_midst_of_a_pulse_ends_no_pulse_and_forgets_no_limit() -> None:
    plugin, line, _ = started()
    set_params(plugin, armed=True, width=1000.0, per_minute=1)
    plugin.changed(("armed", "width", "per_minute"))
    plugin._fire(0)
    assert line.is_high.wait(WAIT_S)
    plugin.reset()
    assert not plugin._pulser.wait_idle(0)
    set_params(plugin, armed=False)  # ends it
    plugin.changed(("armed",))
    assert plugin._pulser.wait_idle(WAIT_S)
    set_params(plugin, armed=True)
    plugin.changed(("armed",))
    plugin.reset()
    cross(plugin)
    assert line.n_pulses == 1, "one a minute"
    plugin.stop()


def test_a_channel_that_stays_goes_on_where_limits_line_or_channels_change() -> None:
    plugin, line, _ = started(armed=True, channels="Fz", dc_removal=0.5)  # settles for 81 samples

    def take(value: float, n: int) -> None:
        data = np.full((2, n), value, np.float32)
        plugin.process(Samples(data), np.empty_like(data))
        assert plugin._pulser.wait_idle(WAIT_S)

    take(0, 100)
    names = assign_params(plugin, check_params(type(plugin), {"channels": "Oz,Fz", "width": 0.2}, partial=True))
    resolve_channels(plugin, LABELS)
    plugin.changed(names)
    take(0, 1)
    take(50, 1)
    assert line.n_pulses == 1
    plugin.stop()


def test_the_width_that_is_told_is_that_of_the_pulse() -> None:
    plugin, _, posts = started(armed=True)
    plugin._fire(0)
    assert plugin._pulser.wait_idle(WAIT_S)
    set_params(plugin, width=500.0)
    plugin.changed(("width",))
    plugin._tell()
    assert posts.posted[0][0] == "pulse asked" and posts.posted[0][2] == 0.1
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


@pytest.mark.parametrize("given", [17, "17", "GPIO17", " GPIO17 "])
def test_a_line_is_given_by_name_or_number(computer: Computer, given: object) -> None:
    computer.add_chips()
    plugin = made("trigger", line=given)
    plugin.accept(INFO)
    plugin.start(INFO)
    assert list(computer.requests[0].settings) == [17] and plugin._held_line == "GPIO17"
    plugin.stop()


@pytest.mark.parametrize("given", [-1, "-1", "emulated"])
def test_an_emulated_line_needs_no_gpio(computer: Computer, given: object) -> None:
    plugin = made("trigger", line=given)
    plugin.accept(INFO)
    plugin.start(INFO)
    assert plugin._held_line == "emulated line" and not computer.requests
    plugin.stop()


def test_another_line_takes_over_low_and_one_that_cannot_be_had_changes_nothing(computer: Computer) -> None:
    computer.add_chips()
    plugin = real(armed=True, per_minute=1, refractory=0.0, width=0.1)
    plugin.start(INFO)
    plugin._fire(0)
    assert plugin._pulser.wait_idle(WAIT_S)
    for line, words in (("GPIO99", "no line of that name"), ("GPIO27", "in use by fan")):
        computer.used[27] = "fan"
        set_params(plugin, line=line)
        with pytest.raises(ParamError, match=f"^trigger: .*{words}"):
            plugin.changed(("line",))
        assert plugin._held_line == "GPIO17" and not computer.requests[0].released
    set_params(plugin, line="GPIO22")
    plugin.changed(("line",))
    old, new = computer.requests
    assert old.released and old.high == set() and new.high == set() and list(new.settings) == [22]
    assert not plugin._pulser.fire(0), "one a minute, on whatever line"
    plugin.stop()
    assert new.released


def test_a_process_that_was_killed_in_a_pulse_is_followed_by_one_that_begins_low(computer: Computer) -> None:
    computer.add_chips()
    killed = real(armed=True, width=1000.0, refractory=0.0)
    killed.start(INFO)
    killed._fire(0)
    [request] = computer.requests
    request.hang_up()  # the kernel closes what it had; nobody set it low
    plugin = real(armed=True)
    plugin.start(INFO)
    settings = computer.requests[1].settings[17]
    assert settings.output_value == gpiod.line.Value.INACTIVE
    assert not plugin._pulser.fire(0), "armed at once, and yet not at once high"
    assert plugin._pulser.taken()[0].why_not == "within 500 ms of the start"
    plugin.stop()
    killed._pulser._closing.set()


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
