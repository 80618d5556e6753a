"""Which sample a moment belongs to, and what the fit does not say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegd.sample_clock import AHEAD_NS, BACK_NS, NoSample, SampleClock

EPOCH_NS = 3_000_000_000_000
CLOCK = SampleClock(100_000, EPOCH_NS + 400_000_000_000, 4_000_123.25, 700.0, EPOCH_NS)


def test_an_edge_is_its_sample_and_half_a_period_later_half_a_sample() -> None:
    place = CLOCK.place(CLOCK.time_ns)
    assert (place.sample_index, place.fraction, place.uncertainty_ns) == (100_000, 0.0, 700)
    place = CLOCK.place(CLOCK.time_ns + 2_000_062)
    assert place.sample_index == 100_000 and place.fraction == pytest.approx(0.5, abs=1e-6)


@given(st.integers(-BACK_NS, AHEAD_NS), st.floats(62_000, 4_100_000))
def test_a_place_leads_back_to_its_time_within_a_nanosecond(since_ns: int, period_ns: float) -> None:
    clock = SampleClock(10**9, 10**18, period_ns, 0.0, 10**17)
    place = clock.place(10**18 + since_ns)
    assert 0 <= place.fraction < 1
    # A ns before the span the rounding may step out of it.
    if -BACK_NS + 1 < since_ns < AHEAD_NS - 1:
        assert abs(clock.time_of(place.sample_index, place.fraction) - (10**18 + since_ns)) <= 1


def test_the_uncertainty_grows_with_the_distance_from_the_latest_edge() -> None:
    assert CLOCK.place(CLOCK.time_ns - 1_000_000_000).uncertainty_ns == 1700


@pytest.mark.parametrize(
    ("since_ns", "why"),
    [
        (AHEAD_NS + 1, "1 s after the latest sample; at most 1 s are foretold"),
        (-BACK_NS - 1, "10 s before the latest sample; the fit is kept for 10 s"),
    ],
)
def test_a_moment_beyond_the_fit_has_no_sample_and_says_why(since_ns: int, why: str) -> None:
    with pytest.raises(NoSample, match=why):
        CLOCK.place(CLOCK.time_ns + since_ns)


def test_a_moment_before_the_first_sample_of_the_epoch_has_none() -> None:
    young = SampleClock(250, EPOCH_NS + 1_000_000_000, 4e6, 0.0, EPOCH_NS)
    assert young.place(EPOCH_NS).sample_index == 0
    with pytest.raises(NoSample, match="before the first sample"):
        young.place(EPOCH_NS - 4_000_001)


def test_a_sample_far_ahead_has_no_time_and_one_long_gone_has() -> None:
    assert CLOCK.time_of(100_001, 0.0) == CLOCK.time_ns + 4_000_123
    assert CLOCK.time_of(7, 0.0) == CLOCK.time_ns - round(99_993 * CLOCK.period_ns)
    with pytest.raises(NoSample, match="sample 110000 is 40 s ahead of the latest one, 100000"):
        CLOCK.time_of(110_000, 0.0)
