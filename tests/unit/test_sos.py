"""Sections against scipy.signal.sosfilt: any design, any blocks, any strides; and calls that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from eegd import design
from eegd.sos import Sos

RATE_SPS = 1000.0


@st.composite
def designs(draw: st.DrawFn) -> NDArray[np.float64]:
    """A filter of any kind that one would use, at 1000 SPS."""
    order = draw(st.integers(1, 6))
    low, high = draw(st.floats(0.1, 50)), draw(st.floats(60, 450))
    kind = draw(st.sampled_from(["low", "high", "band", "notch", "cheby"]))
    if kind == "low":
        return design.low_pass(high, RATE_SPS, order)
    if kind == "high":
        return design.high_pass(low, RATE_SPS, order)
    if kind == "band":
        return design.band_pass(low, high, RATE_SPS, order)
    if kind == "notch":
        return design.cascade(
            design.notch(50, RATE_SPS, draw(st.floats(2, 60))), design.low_pass(high, RATE_SPS, order)
        )
    sos: NDArray[np.float64] = signal.cheby2(order, 40, high, fs=RATE_SPS, output="sos")
    return sos


def sosfilt(sos: NDArray[np.float64], x: NDArray[np.float32], state: NDArray[np.float64]) -> NDArray[np.float64]:
    y: NDArray[np.float64] = signal.sosfilt(sos, x.astype(np.float64), axis=1, zi=state)[0]
    return y


def cut(n: int, sizes: list[int]) -> list[slice]:
    """Blocks of these sizes in turn that cover n samples."""
    cuts, at, k = [], 0, 0
    while at < n:
        end = min(n, at + sizes[k % len(sizes)])
        cuts.append(slice(at, end))
        at, k = end, k + 1
    return cuts


def zi(sos: NDArray[np.float64], first: NDArray[np.float32]) -> NDArray[np.float64]:
    """The steady state as scipy computes it."""
    scaled: NDArray[np.float64] = signal.sosfilt_zi(sos)[:, None, :] * first.astype(np.float64)[None, :, None]
    return scaled


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    sos=designs(),
    n_channels=st.integers(1, 32),
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    offset=st.sampled_from([0.0, 60_000.0]),
    in_place=st.booleans(),
    gap=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_design_in_any_blocks_equals_sosfilt(
    sos: Any, n_channels: int, sizes: list[int], offset: float, in_place: bool, gap: int, seed: int
) -> None:
    n_samples = 1200
    noise = np.random.default_rng(seed).normal(offset, 50, (n_channels, n_samples)).astype(np.float32)
    x = np.zeros((n_channels, n_samples + gap), np.float32)[:, :n_samples]
    x[:] = noise
    out = x if in_place else np.full((n_channels * 2, n_samples), np.nan, np.float32)[::2]
    filter = Sos(sos, n_channels)
    filter.settle(noise[:, 0])
    state = filter.state()
    for block in cut(n_samples, sizes):
        filter.run(x[:, block], out[:, block])
    whole = Sos(sos, n_channels)
    whole.settle(noise[:, 0])
    at_once = np.empty_like(noise)
    whole.run(noise, at_once)
    np.testing.assert_array_equal(out, at_once)
    # The same operations in the same order; but scipy may have been built with fused ones.
    size = np.abs(noise).max()
    np.testing.assert_allclose(out, sosfilt(sos, noise, state), rtol=1e-6, atol=1e-8 * size)
    reference = sosfilt(sos, noise, zi(sos, noise[:, 0]))
    np.testing.assert_allclose(out, reference, rtol=1e-5, atol=1e-5 * size)


def test_one_channel_is_filtered_in_place_whatever_the_distance_of_its_rows() -> None:
    x = np.arange(16, dtype=np.float32)
    expected, run = np.empty((1, 16), np.float32), Sos(design.low_pass(40, 250, order=2), 1)
    Sos(design.low_pass(40, 250, order=2), 1).run(x[None].copy(), expected)
    run.run(np.lib.stride_tricks.as_strided(x, (1, 16), (64, 4)), x[None])  # the same samples; another stride
    np.testing.assert_array_equal(x, expected[0])


def test_a_slow_high_pass_on_a_large_offset_equals_sosfilt() -> None:
    x = np.random.default_rng(3).normal(60_000, 20, (8, 10 * 16000)).astype(np.float32)
    for order in (1, 2, 4):
        sos = design.high_pass(0.1, 16000, order)
        filter = Sos(sos, 8)
        filter.settle(x[:, 0])
        state, y = filter.state(), np.empty_like(x)
        for block in cut(x.shape[1], [16, 400, 1]):
            filter.run(x[:, block], y[:, block])
        # From the same state; scipy computes the state itself to some 1e-7 of the offset only.
        np.testing.assert_allclose(y, sosfilt(sos, x, state), rtol=0, atol=1e-6 * np.abs(y).max())
        np.testing.assert_allclose(y, sosfilt(sos, x, zi(sos, x[:, 0])), rtol=0, atol=1e-7 * 60_000)
        assert np.abs(y).max() < 200  # µV: no trace of 60 000


def test_a_slow_high_pass_loses_nothing_to_rounding() -> None:
    """Against the same recursion in the longest floating-point type that there is."""
    if np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps:
        pytest.skip("long double is no longer than double here")
    sos = design.high_pass(0.1, 16000, 2)
    x = np.random.default_rng(4).normal(60_000, 20, (1, 40_000)).astype(np.float32)
    filter, y = Sos(sos, 1), np.empty_like(x)
    filter.settle(x[:, 0])
    filter.run(x, y)
    b0, b1, b2, _, a1, a2 = sos[0].astype(np.longdouble)
    s0, s1 = -b0 * x[0, 0], b2 * x[0, 0]
    truth = []
    for sample in x[0].astype(np.longdouble):
        truth.append(b0 * sample + s0)
        s0, s1 = b1 * sample - a1 * truth[-1] + s1, b2 * sample - a2 * truth[-1]
    np.testing.assert_allclose(y[0], np.array(truth, np.float64), rtol=0, atol=5e-5)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sos=designs(), offset=st.floats(-60_000, 60_000))
def test_a_settled_filter_answers_a_constant_with_a_constant(sos: Any, offset: float) -> None:
    filter, x = Sos(sos, 3), np.full((3, 500), offset, np.float32)
    y = np.empty_like(x)
    filter.settle(x[:, 0])
    filter.run(x, y)
    assert np.ptp(y) <= 1e-6 * abs(offset)
    gain = np.prod(sos[:, :3].sum(axis=1) / sos[:, 3:].sum(axis=1))
    np.testing.assert_allclose(y, gain * x, rtol=1e-5, atol=1e-6 * abs(offset))


def test_one_number_settles_all_channels() -> None:
    one, each = Sos(design.low_pass(10, 250, 2), 3), Sos(design.low_pass(10, 250, 2), 3)
    one.settle(7.0)
    each.settle([7.0, 7.0, 7.0])
    np.testing.assert_array_equal(one.state(), each.state())
    assert one.state().any()


def test_what_is_not_a_cascade_is_refused() -> None:
    good = design.low_pass(10, 250, 2)
    for sos, n_channels, reason in (
        (good[0], 1, r"shape \(6,\)"),
        (good[:, :5], 1, r"\(n_sections, 6\) is needed"),
        (np.empty((0, 6)), 1, "1 to 64 sections"),
        (good, 0, "0 channels: 1 to 4096"),
        (good * np.nan, 1, "must be finite"),
        (good * [1, 1, 1, 0, 1, 1], 1, r"a0 \(the fourth\), which is not 0"),
        (good * [1, 1, 1, 1e-320, 1, 1], 1, "must be finite, also divided"),
    ):
        with pytest.raises(ValueError, match=reason):
            Sos(sos, n_channels)


def test_blocks_that_do_not_fit_are_refused() -> None:
    filter = Sos(design.low_pass(10, 250, 2), 2)
    x = np.zeros((2, 10), np.float32)
    frozen = x.copy()
    frozen.flags.writeable = False
    base = np.zeros(64, np.float32)
    calls: list[tuple[Any, Any, str]] = [
        (x.astype(np.float64), x, "x is float64: float32 is needed"),
        (x, np.zeros((3, 10), np.float32), r"out has shape \(3, 10\): \(2, n_samples\) is needed"),
        (x, np.zeros((2, 9), np.float32), "x is 10 samples long and out 9"),
        (np.zeros((10, 2), np.float32).T, x, "must lie side by side"),
        (x, frozen, "out is read-only"),
        (base[:20].reshape(2, 10), base[4:24].reshape(2, 10), "overlap"),
        (x[0], x, "x has shape"),
    ]
    for block, out, reason in calls:
        with pytest.raises(ValueError, match=reason):
            filter.run(block, out)
    filter.run(frozen, x)
    filter.run(x[:, :0], x[:, :0])
    with pytest.raises(ValueError, match="broadcast"):
        filter.settle([1.0, 2.0, 3.0])
