"""The plugin `filter` against scipy: how it starts, what a gap does, and changes while a signal runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from eegd import design
from eegd.errors import ParamError
from eegd.params import assign_params, check_params, parse_words
from eegd.plugin_source import load_plugin
from tests.unit.hosted import Samples, info_at, made

RATE_SPS = 250.0
OFFSET_UV = 60_000.0


def started(**params: object) -> Any:
    plugin = made("filter", **params)
    plugin.info = info_at(RATE_SPS)
    plugin.start(plugin.info)
    return plugin


def set_live(plugin: Any, **params: object) -> None:
    """As the process of a plugin does between two frames."""
    names = assign_params(plugin, check_params(type(plugin), params, partial=True))
    if names:
        plugin.changed(names)


def run(plugin: Any, data: NDArray[np.float32], n_frame: int = 10) -> NDArray[np.float32]:
    out = np.full(data.shape, np.nan, np.float32)
    for begin in range(0, data.shape[1], n_frame):
        plugin.process(Samples(data[:, begin : begin + n_frame]), out[:, begin : begin + n_frame])
    return out


def sine(hz: float, amplitude_uv: float, n_samples: int, offset_uv: float = 0.0) -> NDArray[np.float32]:
    t = np.arange(n_samples) / RATE_SPS
    wave = amplitude_uv * np.sin(2 * np.pi * hz * t)
    return (np.stack([wave, -0.5 * wave]) + offset_uv).astype(np.float32)


def settled(
    sos: NDArray[np.float64], x: NDArray[np.float32], steady: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """scipy's output from the steady state of the first sample, or of another input."""
    first = x[:, 0].astype(np.float64) if steady is None else steady
    zi = signal.sosfilt_zi(sos)[:, None, :] * first[None, :, None]
    y: NDArray[np.float64] = signal.sosfilt(sos, x.astype(np.float64), axis=1, zi=zi)[0]
    return y


def noise(n_samples: int, seed: int = 1, offset_uv: float = OFFSET_UV) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(offset_uv, 20, (2, n_samples)).astype(np.float32)


# What it computes


@pytest.mark.parametrize(
    ("params", "reference"),
    [
        ({"low": 1, "high": 40}, signal.butter(2, [1, 40], "bandpass", fs=250, output="sos")),
        ({"low": 1, "high": 40, "order": 5}, signal.butter(5, [1, 40], "bandpass", fs=250, output="sos")),
        ({"low": 0, "high": 30, "order": 3}, signal.butter(3, 30, "lowpass", fs=250, output="sos")),
        ({"low": 0.5, "high": 0, "order": 4}, signal.butter(4, 0.5, "highpass", fs=250, output="sos")),
        ({"low": 0, "high": 0, "notch": 50, "q": 20}, signal.tf2sos(*signal.iirnotch(50, 20, 250))),
    ],
)
@pytest.mark.parametrize("n_frame", [1, 10, 400])
def test_each_kind_of_filter_is_scipys(params: dict[str, object], reference: Any, n_frame: int) -> None:
    x = noise(1000)
    got: Any = run(started(**params), x, n_frame)
    np.testing.assert_allclose(got, settled(reference, x), rtol=1e-5, atol=1e-3)


def test_band_and_notch_go_together() -> None:
    x = noise(1000)
    sos = np.concatenate([signal.butter(2, [1, 70], "bandpass", fs=250, output="sos"), design.notch(60, 250, 30)])
    got = run(started(low=1, high=70, notch=60), x)
    np.testing.assert_allclose(got, settled(sos, x), rtol=1e-5, atol=1e-3)


def test_without_any_filter_samples_pass_as_they_are() -> None:
    x = noise(100)
    np.testing.assert_array_equal(run(started(low=0, high=0), x), x)


def test_out_may_be_the_input_itself_also_while_fading() -> None:
    x = noise(1000)
    plugin, in_place = started(), started()
    set_live_at = 500
    expected = run(plugin, x[:, :set_live_at])
    set_live(plugin, high=20)
    expected = np.concatenate([expected, run(plugin, x[:, set_live_at:])], axis=1)
    for begin in range(0, 1000, 10):
        if begin == set_live_at:
            set_live(in_place, high=20)
        block = x[:, begin : begin + 10]
        in_place.process_inplace(block, Samples(block))
    np.testing.assert_array_equal(x, expected)


# Starting


def test_an_offset_makes_no_transient_at_the_start_or_after_a_gap() -> None:
    plugin = started(low=0.1, high=0, order=4)
    for offset_uv in (OFFSET_UV, -OFFSET_UV / 2):
        assert not run(plugin, np.full((2, 500), offset_uv, np.float32)).any()
        plugin.reset()


def test_after_a_gap_the_past_is_forgotten() -> None:
    x = noise(1000)
    plugin = started()
    run(plugin, x[:, :500])
    plugin.reset()
    np.testing.assert_array_equal(run(plugin, x[:, 500:]), run(started(), x[:, 500:]))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 9, 503])
def test_a_value_that_is_not_a_number_is_missing_in_its_channel_and_nowhere_else(odd: float, at: int) -> None:
    x = noise(1000)
    bad = x.copy()
    bad[0, at] = odd
    plugin, clean = started(), started()
    y, expected = run(plugin, bad), run(clean, x)
    np.testing.assert_array_equal(y[1], expected[1])
    assert np.flatnonzero(np.isnan(y[0])).tolist() == [at]
    np.testing.assert_array_equal(y[0, :at], expected[0, :at])
    np.testing.assert_array_equal(y[0, at + 1 :], run(started(), x[:, at + 1 :])[0])


def test_new_parameters_right_after_a_value_that_is_missing_make_a_filter_without_it() -> None:
    x = noise(3000)
    bad = x.copy()
    bad[0, 495:497] = np.nan
    plugin, clean = started(), started()
    for filter, block in ((plugin, bad[:, :500]), (clean, x[:, :500])):
        run(filter, block)
        set_live(filter, high=20)
    y, expected = run(plugin, bad[:, 500:]), run(clean, x[:, 500:])
    np.testing.assert_array_equal(y[1], expected[1])
    assert np.isfinite(y).all()
    np.testing.assert_allclose(y[0, 1500:], expected[0, 1500:], rtol=0, atol=1e-2)


# Changing


def ideal(x: NDArray[np.float32], n_frame: int, changes: dict[int, Any], fade: float) -> NDArray[np.float64]:
    """What the file of the plugin promises, computed by itself, each filter over all that it sees. changes: sections
    by the frame before which they are set; the first ones hold from 0 on."""
    n, n_past = round(fade * RATE_SPS), round(4.0 * RATE_SPS)
    now = settled(changes[0], x)
    y = now.copy()
    waiting, busy_until = None, 0
    for frame in range(1, x.shape[1] // n_frame):
        at = frame * n_frame
        waiting = changes.get(frame, waiting)
        if waiting is None or at < busy_until:
            continue
        begin = max(0, at - n_past)
        mean = x[:, begin:at].mean(axis=1, dtype=np.float64)
        now = settled(waiting, x[:, begin:], mean)[:, at - begin :]
        share = np.minimum(1, np.arange(1, x.shape[1] - at + 1) / (n + 1))
        y[:, at:] = y[:, at:] * (1 - share) + now * share
        waiting, busy_until = None, at + n
    return y


@pytest.mark.parametrize(("n_frame", "fade"), [(10, 0.1), (1, 0.1), (25, 0.03), (7, 0.0)])
def test_a_parameter_changed_a_thousand_times_while_a_sine_runs_gives_the_cross_faded_ideal(
    n_frame: int, fade: float
) -> None:
    rng = np.random.default_rng(n_frame)
    n_frames = 20_000 // n_frame * 2 if n_frame == 1 else 6000
    x = sine(10, 50, n_frames * n_frame, OFFSET_UV)
    plugin = started(low=1, high=40, fade=fade)
    changes: dict[int, Any] = {0: design.band_pass(1, 40, RATE_SPS, 2)}
    when = sorted(rng.choice(np.arange(1, n_frames), 1000, replace=False).tolist())
    out = np.empty_like(x)
    low, high = 1.0, 40.0
    for frame in range(n_frames):
        if frame in when:
            low, high = float(rng.uniform(0.3, 5)), float(rng.uniform(15, 100))
            set_live(plugin, low=low, high=high)
            changes[frame] = design.band_pass(low, high, RATE_SPS, 2)
        block = slice(frame * n_frame, (frame + 1) * n_frame)
        plugin.process(Samples(x[:, block]), out[:, block])
    assert len(changes) == 1001
    expected = ideal(x, n_frame, changes, fade)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)  # µV, of 50
    assert np.abs(out).max() < 60  # the offset is nowhere to be seen


@settings(deadline=None, max_examples=50)
@given(
    lows=st.tuples(st.floats(0.5, 5), st.floats(0.5, 5)),
    highs=st.tuples(st.floats(20, 100), st.floats(20, 100)),
    phase=st.integers(0, 24),
    orders=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_no_step_is_larger_than_either_filter_makes_by_itself(
    lows: tuple[float, float], highs: tuple[float, float], phase: int, orders: tuple[int, int]
) -> None:
    x = sine(10, 50, 3000, OFFSET_UV)
    at, n = 2000 + phase, 25
    before = {"low": lows[0], "high": highs[0], "order": orders[0]}
    after = {"low": lows[1], "high": highs[1], "order": orders[1]}
    plugin = started(**before)
    first = run(plugin, x[:, :at], 7)
    set_live(plugin, **after)
    y = np.concatenate([first, run(plugin, x[:, at:], 7)], axis=1)
    alone = [run(started(**params), x, 7)[:, 1900:] for params in (before, after)]
    largest = max(np.abs(np.diff(each, axis=1)).max() for each in alone)
    apart = np.abs(alone[0] - alone[1]).max() / (n + 1)
    assert np.abs(np.diff(y[:, 1900:], axis=1)).max() <= (largest + apart) * 1.01


def test_after_the_fade_the_output_is_that_of_a_filter_that_ran_all_the_time() -> None:
    x = sine(10, 50, 5000, OFFSET_UV)
    plugin = started(low=2, high=30)
    run(plugin, x[:, :3000])
    set_live(plugin, low=0.5, high=45)
    y = run(plugin, x[:, 3000:])
    always = run(started(low=0.5, high=45), x)[:, 3000:]
    np.testing.assert_allclose(y[:, 25:], always[:, 25:], rtol=0, atol=1e-4 * 50)


def test_a_change_during_a_fade_waits_and_of_several_the_last_one_holds() -> None:
    x = noise(2000)
    plugin, direct = started(fade=0.2), started(fade=0.2)
    for each in (plugin, direct):
        run(each, x[:, :1000])
        set_live(each, high=20)
        run(each, x[:, 1000:1010])
    set_live(plugin, high=80)
    set_live(plugin, high=15)
    np.testing.assert_array_equal(run(plugin, x[:, 1010:1050]), run(direct, x[:, 1010:1050]))
    set_live(direct, high=15)
    np.testing.assert_array_equal(run(plugin, x[:, 1050:]), run(direct, x[:, 1050:]))


def test_a_change_before_the_first_frame_and_one_at_a_gap_hold_at_once() -> None:
    x = noise(200)
    expected = run(started(high=20), x)
    plugin = started()
    set_live(plugin, high=20)
    np.testing.assert_array_equal(run(plugin, x), expected)
    plugin = started()
    run(plugin, x)
    set_live(plugin, high=20)
    plugin.reset()
    np.testing.assert_array_equal(run(plugin, x), expected)


def test_a_change_that_makes_no_other_filter_changes_nothing() -> None:
    x = noise(600)
    plugin = started()
    first = run(plugin, x[:, :300])
    set_live(plugin, fade=1.0, q=50)
    set_live(plugin, low=3)
    set_live(plugin, low=1)
    got = np.concatenate([first, run(plugin, x[:, 300:])], axis=1)
    np.testing.assert_array_equal(got, run(started(), x))


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"low": 50}, "low = 50, high = 40, notch = off: a band from 50 to 40 Hz: the first must be the lower one"),
        ({"high": 125}, "125 Hz at 250 SPS: more than 0 and less than half the rate, 125 Hz"),
    ],
)
def test_corners_that_cannot_be_are_refused_at_the_start_and_leave_a_running_filter_as_it_is(
    params: dict[str, object], reason: str
) -> None:
    with pytest.raises(ParamError, match=reason):
        started(**params)
    x = noise(600)
    plugin = started()
    first = run(plugin, x[:, :300])
    before = dict(plugin._param_values)
    with pytest.raises(ParamError, match=reason):
        set_live(plugin, **params)
    plugin._param_values = before
    np.testing.assert_array_equal(np.concatenate([first, run(plugin, x[:, 300:])], axis=1), run(started(), x))


# What it states


def test_the_delay_stated_is_the_group_delay_in_the_middle_of_the_band() -> None:
    sos = signal.butter(2, [1, 40], "bandpass", fs=250, output="sos")
    _, delay = signal.group_delay(signal.sos2tf(sos), [np.sqrt(40)], fs=250)
    assert started(low=1, high=40).outputs(info_at(250)).delay_s == pytest.approx(delay[0] / 250, rel=1e-6)
    assert started(low=0, high=0).outputs(info_at(250)).delay_s == 0
    assert 0 < started(low=0, high=0, notch=50).outputs(info_at(250)).delay_s < 0.002


def test_a_slow_modulation_comes_later_by_the_delay_stated() -> None:
    t = np.arange(5000) / RATE_SPS
    envelope = np.exp(-((t - 10) ** 2) / 2)
    x = np.stack([50 * envelope * np.sin(2 * np.pi * np.sqrt(40) * t)] * 2).astype(np.float32)
    plugin = started(low=1, high=40)
    y = run(plugin, x)[0]
    power = np.abs(signal.hilbert(y)) ** 2
    came = float(np.sum(t * power) / np.sum(power)) - 10
    assert came == pytest.approx(plugin.outputs(plugin.info).delay_s, abs=2e-4)


def test_a_live_change_leaves_the_outputs_as_the_epoch_states_them() -> None:
    plugin = started(low=1, high=40)
    before = plugin.outputs(plugin.info)
    set_live(plugin, high=15)
    assert plugin.outputs(plugin.info) == before


def test_low_and_high_may_be_given_by_place_and_notch_by_its_number() -> None:
    plugin = load_plugin("filter")
    words = parse_words(plugin, ["1", "high=45", "notch=50"], partial=False)
    assert (words["low"], words["high"], words["notch"]) == (1.0, 45.0, 50)
    assert parse_words(plugin, ["1", "45", "notch:off"], partial=False)["notch"] == "off"
