"""The clock against simulated edges: whatever the chip's rate and the host's lateness, times stay true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegd._native import ffi, lib

Floats = npt.NDArray[np.float64]
RATES_SPS = [250, 500, 1000, 2000, 4000, 8000, 16000]
START_NS = 10**15


@dataclass(frozen=True, slots=True)
class Fit:
    """What the clock made of one run of edges."""

    error_ns: Floats
    """Fitted minus true time of each edge."""
    time_ns: Floats
    """Fitted time of each edge, counted from the first true edge."""
    ppm: Floats
    """Fitted rate against the true one, after each edge."""
    clock: Any

    def rms_ns(self, first: int) -> float:
        return float(np.sqrt(np.mean(self.error_ns[first:] ** 2)))


def fit(rate_sps: float, ppm: float, position: npt.NDArray[np.int64], late_ns: Floats) -> Fit:
    """Feeds the edges at these positions (in sample periods), each stamped so much later than it fell."""
    nominal_ns = 1e9 / rate_sps
    period_ns = nominal_ns / (1 + ppm * 1e-6)
    true_ns = position * period_ns
    stamps = START_NS + np.floor(true_ns + late_ns).astype(np.int64)
    steps = np.diff(position, prepend=position[0] - 1)
    clock = ffi.new("struct eegd_clock *")
    assert lib.eegd_clock_init(clock, nominal_ns, 0.0) == 0
    time_ns, fitted_period_ns = np.empty(len(position)), np.empty(len(position))
    for i, (stamp, step) in enumerate(zip(stamps.tolist(), steps.tolist(), strict=True)):
        assert lib.eegd_clock_update(clock, stamp, step) >= 0
        time_ns[i] = clock.time_base_ns - START_NS + clock.time_offset_ns
        fitted_period_ns[i] = clock.period_ns
    return Fit(time_ns - true_ns, time_ns, (period_ns / fitted_period_ns - 1) * 1e6, clock)


def noise(kind: str, seed: int, n: int, rms_ns: float = 10_000.0) -> Floats:
    """Lateness of this rms, never negative."""
    print(f"{kind} lateness, seed {seed}")
    random = np.random.default_rng(seed)
    if kind == "half-normal":
        return np.abs(random.normal(0, rms_ns, n))
    if kind == "exponential":
        return random.exponential(rms_ns / np.sqrt(2), n)
    return random.uniform(0, rms_ns * np.sqrt(3), n)


@settings(max_examples=40, deadline=None)
@given(rate=st.sampled_from(RATES_SPS), ppm=st.floats(-25_000, 25_000))
def test_exact_stamps_are_fitted_within_a_microsecond_from_the_64th_on(rate: int, ppm: float) -> None:
    seen = fit(rate, ppm, np.arange(2 * rate), np.zeros(2 * rate))
    assert np.abs(seen.error_ns[64:]).max() < 1000
    assert np.abs(seen.error_ns[rate:]).max() < 10
    assert abs(seen.ppm[-1]) < 1
    assert seen.clock.n_limited == seen.clock.n_relocks == 0


@pytest.mark.parametrize("ppm", [-25_000.0, 37.0, 25_000.0])
def test_a_minute_of_exact_stamps_gives_the_rate_within_one_part_per_million(ppm: float) -> None:
    seen = fit(250, ppm, np.arange(60 * 250), np.zeros(60 * 250))
    assert abs(lib.eegd_clock_ppm(seen.clock) - ppm) < 0.01
    assert lib.eegd_clock_rate_sps(seen.clock) == pytest.approx(250 * (1 + ppm * 1e-6), rel=1e-8)
    assert np.abs(seen.error_ns[64:]).max() < 100


@settings(max_examples=25, deadline=None)
@given(
    rate=st.sampled_from([250, 500, 1000]),
    ppm=st.floats(-25_000, 25_000),
    kind=st.sampled_from(["half-normal", "exponential", "uniform"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_late_stamps_give_true_times_that_only_go_forward(rate: int, ppm: float, kind: str, seed: int) -> None:
    n = 20 * rate
    seen = fit(rate, ppm, np.arange(n), noise(kind, seed, n))
    assert seen.rms_ns(2 * rate) < 2000
    assert np.diff(seen.time_ns).min() > 0
    assert abs(seen.ppm[2 * rate]) < 20
    assert np.sqrt(np.mean(seen.ppm[5 * rate :] ** 2)) < 2


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), ppm=st.floats(-25_000, 25_000))
def test_missed_edges_and_stragglers_change_little(seed: int, ppm: float) -> None:
    random = np.random.default_rng(seed)
    n, rate = 10_000, 1000
    late_ns = noise("exponential", seed, n, 5000) + (random.random(n) < 0.01) * random.uniform(0, 3e6, n)
    late_ns[:32] = np.minimum(late_ns[:32], 50_000)
    steps = 1 + (random.random(n) < 0.02) * random.integers(1, 300, n)
    seen = fit(rate, ppm, np.cumsum(steps), late_ns)
    assert seen.rms_ns(3 * rate) < 2000
    assert np.diff(seen.time_ns).min() > 0
    assert seen.clock.n_relocks == 0


@settings(max_examples=50, deadline=None)
@given(
    stamps=st.lists(st.integers(-(2**61), 2**61), min_size=2, max_size=60),
    steps=st.lists(st.integers(1, 2**32), min_size=60, max_size=60),
)
def test_senseless_stamps_leave_a_finite_clock_that_goes_forward(stamps: list[int], steps: list[int]) -> None:
    clock = ffi.new("struct eegd_clock *")
    assert lib.eegd_clock_init(clock, 4e6, 0.0) == 0
    before: tuple[int, float] | None = None
    for stamp, step in zip(stamps, steps, strict=False):
        lib.eegd_clock_update(clock, stamp, step)
        now = (int(clock.time_base_ns), float(clock.time_offset_ns))
        assert 0 <= now[1] < 1
        assert before is None or now > before
        assert 3.8e6 <= clock.period_ns <= 4.2e6
        before = now


def test_thousands_of_days_of_uptime_cost_no_digits() -> None:
    clock = ffi.new("struct eegd_clock *")
    assert lib.eegd_clock_init(clock, 62_500.0, 0.0) == 0
    start_ns = 2**62
    for i in range(40_000):
        lib.eegd_clock_update(clock, start_ns + (i * 1_000_003) // 16, 1)
    late_ns = clock.time_base_ns - start_ns + clock.time_offset_ns - 39_999 * 1_000_003 / 16
    assert abs(late_ns) < 2
    assert lib.eegd_clock_ppm(clock) == pytest.approx(-3, abs=0.01)
    assert lib.eegd_clock_next(clock) - start_ns == pytest.approx(40_000 * 1_000_003 / 16, abs=2)
