"""Designs against scipy's, and their stated delay against the phase."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from eegd import design

RATES = st.sampled_from([250.0, 333.3, 1000.0, 16000.0])
ORDERS = st.integers(1, 8)


def grid(rate_sps: float) -> NDArray[np.float64]:
    """Frequencies from far below every corner to just below half the rate."""
    return np.concatenate([np.geomspace(1e-3, rate_sps / 4, 300), np.linspace(rate_sps / 4, 0.4999 * rate_sps, 100)])


def assert_responds_like(ours: NDArray[np.float64], reference: NDArray[np.float64], rate_sps: float) -> None:
    """Both have the same complex gain. Coefficients in float64 say where poles close to 1 are with fewer digits the
    closer they are; hence 1e-6 and not 1e-12."""
    hz = grid(rate_sps)
    assert ours.shape == reference.shape
    wanted = design.response(reference, hz, rate_sps)
    np.testing.assert_allclose(design.response(ours, hz, rate_sps), wanted, rtol=0, atol=1e-6)


@settings(deadline=None)
@given(rate=RATES, order=ORDERS, share=st.floats(0.002, 0.98))
def test_low_and_high_passes_are_scipys(rate: float, order: int, share: float) -> None:
    hz = share * rate / 2
    assert_responds_like(
        design.low_pass(hz, rate, order), signal.butter(order, hz, "lowpass", fs=rate, output="sos"), rate
    )
    assert_responds_like(
        design.high_pass(hz, rate, order), signal.butter(order, hz, "highpass", fs=rate, output="sos"), rate
    )


@settings(deadline=None)
@given(rate=RATES, order=ORDERS, low=st.floats(0.002, 0.9), width=st.floats(0.05, 0.98))
def test_band_passes_are_scipys(rate: float, order: int, low: float, width: float) -> None:
    edges = low * rate / 2, (low + (0.99 - low) * width) * rate / 2
    assert_responds_like(
        design.band_pass(*edges, rate, order), signal.butter(order, edges, "bandpass", fs=rate, output="sos"), rate
    )


@settings(deadline=None)
@given(rate=RATES, share=st.floats(0.002, 0.98), q=st.floats(1.0, 100.0))
def test_notches_are_scipys_to_the_last_digits(rate: float, share: float, q: float) -> None:
    hz = share * rate / 2
    b, a = signal.iirnotch(hz, q, rate)
    np.testing.assert_allclose(design.notch(hz, rate, q), [[*b, *a]], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("order", [1, 2, 4, 8])
@pytest.mark.parametrize("low", [0.01, 0.1, 1.0])
def test_a_high_pass_takes_a_constant_out_to_nothing_at_all(order: int, low: float) -> None:
    for sos in (design.high_pass(low, 16000, order), design.band_pass(low, 100, 16000, order)):
        assert np.prod(sos[:, :3].sum(axis=1)) == 0


def test_corners_are_3_db_down_and_the_middle_of_a_band_is_0() -> None:
    sos = design.band_pass(1, 40, 250, 3)
    np.testing.assert_allclose(np.abs(design.response(sos, [1, 40], 250)) ** 2, 0.5, rtol=1e-9)
    middle = np.arctan(np.sqrt(np.tan(np.pi * 1 / 250) * np.tan(np.pi * 40 / 250))) * 250 / np.pi
    np.testing.assert_allclose(design.response(sos, [middle], 250), 1, rtol=1e-9)


@settings(deadline=None)
@given(rate=RATES, order=ORDERS, low=st.floats(0.01, 0.4), at=st.floats(0.005, 0.95))
def test_the_group_delay_is_the_slope_of_the_phase(rate: float, order: int, low: float, at: float) -> None:
    assume(abs(at - 0.9) > 1e-3)  # at the notch itself the phase jumps
    sos = design.cascade(
        design.band_pass(low * rate / 2, 0.9 * rate / 2, rate, order), design.notch(0.45 * rate, rate, 9)
    )
    hz, step = at * rate / 2, 1e-6 * rate
    before, after = design.response(sos, [hz - step, hz + step], rate)
    if min(abs(before), abs(after)) < 1e-9:
        return  # no phase to speak of
    slope = -np.angle(after / before) / (2 * np.pi * 2 * step)
    assert design.group_delay_s(sos, hz, rate) == pytest.approx(slope, rel=1e-3, abs=0.01 / rate)


def test_the_group_delay_at_a_zero_is_finite() -> None:
    assert 0 < design.group_delay_s(design.notch(50, 250, 30), 50, 250) < 1
    assert 0 < design.group_delay_s(design.high_pass(1, 250, 2), 0, 250) < 1


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: design.low_pass(125, 250, 2), "125 Hz at 250 SPS: more than 0 and less than half the rate, 125 Hz"),
        (lambda: design.high_pass(0, 250, 2), "0 Hz at 250 SPS"),
        (lambda: design.low_pass(10, 250, 0), "order 0: a whole number from 1 to 16"),
        (lambda: design.band_pass(40, 8, 250, 2), "from 40 to 8 Hz: the first must be the lower one"),
        (lambda: design.notch(60, 100, 30), "60 Hz at 100 SPS"),
        (lambda: design.notch(50, 250, 0), "Q = 0: more than 0"),
        (lambda: design.notch(50, 250, 0.3), "width of 166.667 Hz is half the rate, or more"),
        (lambda: design.low_pass(float("nan"), 250, 2), "nan Hz"),
    ],
)
def test_what_cannot_be_designed_is_refused_with_the_reason(make: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("(", r"\(")):
        make()  # type: ignore[operator]
