"""The lifting transform against PyWavelets, and what is made of it over frames."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import pywt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eegd.dwt import CLEARED, STAGES, TRIPPED, WAVELETS, Dwt, WaveletStream, max_levels
from eegd.sos import Sos

NAMES = {"haar": "haar", "cdf53": "bior2.2", "db2": "db2"}


@st.composite
def windows(draw: st.DrawFn) -> tuple[str, int, NDArray[np.float32]]:
    """A wavelet, a number of levels, and a window of it: noise, walks, offsets of up to 60 mV."""
    wavelet = draw(st.sampled_from(sorted(WAVELETS)))
    n_samples = draw(st.one_of(st.sampled_from([2**n for n in range(3, 13)]), st.integers(6, 700)))
    n_samples = max(n_samples, 10)
    levels = draw(st.integers(1, max_levels(wavelet, n_samples)))
    n_channels = draw(st.integers(1, 32))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.normal(0, draw(st.floats(0.01, 1000)), (n_channels, n_samples))
    if draw(st.booleans()):
        x = x.cumsum(axis=1)
    x += draw(st.sampled_from([0.0, -60_000.0, 1.0]))
    return wavelet, levels, x.astype(np.float32)


def by_pywavelets(wavelet: str, levels: int, x: NDArray[np.float32]) -> NDArray[np.float64]:
    parts = pywt.wavedec(x.astype(np.float64), NAMES[wavelet], mode="symmetric", level=levels)
    return np.concatenate(parts, axis=1)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(windows())
def test_coefficients_are_those_of_pywavelets(case: tuple[str, int, NDArray[np.float32]]) -> None:
    wavelet, levels, x = case
    expected = by_pywavelets(wavelet, levels, x)
    got = Dwt(wavelet, x.shape[1], levels).forward(x)
    assert got.shape == expected.shape
    # Details are of the signal without its offset; approximations of coarse levels are larger than any sample.
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * float(np.ptp(x)) + 1e-6)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(windows())
def test_the_inverse_gives_the_window_back(case: tuple[str, int, NDArray[np.float32]]) -> None:
    wavelet, levels, x = case
    dwt = Dwt(wavelet, x.shape[1], levels)
    np.testing.assert_allclose(dwt.inverse(dwt.forward(x)), x, rtol=0, atol=1e-5 * np.abs(x).max())


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(windows())
def test_the_inverse_of_pywavelets_takes_our_coefficients(case: tuple[str, int, NDArray[np.float32]]) -> None:
    wavelet, levels, x = case
    dwt = Dwt(wavelet, x.shape[1], levels)
    rows = dwt.forward(x).astype(np.float64)
    parts = [rows[:, dwt.levels[0].slice]] + [rows[:, dwt.levels[j].slice] for j in range(levels, 0, -1)]
    back = pywt.waverec(parts, NAMES[wavelet], mode="symmetric")[:, : x.shape[1]]
    np.testing.assert_allclose(back, x, rtol=0, atol=1e-5 * np.abs(x).max())


@pytest.mark.parametrize("wavelet", sorted(WAVELETS))
def test_as_many_levels_as_pywavelets_allows(wavelet: str) -> None:
    for n in (2, 3, 5, 6, 9, 10, 11, 64, 255, 256, 257, 65536):
        assert max_levels(wavelet, n) == pywt.dwt_max_level(n, NAMES[wavelet]), n


def test_rows_may_lie_apart_and_are_changed_in_place() -> None:
    dwt = Dwt("db2", 64, 3)
    x = np.random.default_rng(1).normal(0, 10, (4, 64)).astype(np.float32)
    wide = np.full((4, 200), 7, np.float32)
    wide[:, 10 : 10 + 64] = x
    dwt.forward_in_place(wide[:, 10 : 10 + dwt.room])
    np.testing.assert_array_equal(wide[:, 10 : 10 + dwt.room], dwt.forward(x))
    assert (wide[:, :10] == 7).all()
    assert (wide[:, 10 + dwt.room :] == 7).all()


def test_what_cannot_be_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="one of haar, cdf53, db2"):
        Dwt("db4", 64, 1)
    with pytest.raises(ValueError, match=r"5 levels of db2 on a window of 64 samples: 1 to 4"):
        Dwt("db2", 64, 5)
    with pytest.raises(ValueError, match="too short"):
        Dwt("cdf53", 9, 1)
    dwt = Dwt("haar", 64, 1)
    with pytest.raises(ValueError, match="float32"):
        dwt.forward_in_place(np.zeros((2, 64), np.float64))
    with pytest.raises(ValueError, match=r"\(n_channels, 64\)"):
        dwt.forward(np.zeros((2, 65), np.float32))
    with pytest.raises(ValueError, match="one after another"):
        dwt.forward_in_place(np.zeros((64, 64), np.float32, order="F"))
    with pytest.raises(ValueError, match="power of two"):
        WaveletStream("haar", n_channels=1, n_window=48, n_step=1, n_levels=2)
    with pytest.raises(ValueError, match="out of its range"):
        WaveletStream("haar", n_channels=1, n_window=64, n_step=0)
    with pytest.raises(ValueError, match="sos of 2 channels"):
        WaveletStream("haar", n_channels=1, n_window=64, n_step=1, sos=Sos([[1, 0, 0, 1, 0, 0]], 2))


# ---- over frames ----


def stream(n_step: int = 16, **more: Any) -> WaveletStream:
    return WaveletStream("cdf53", n_channels=2, n_window=128, n_step=n_step, n_levels=4, **more)


def noise(n_samples: int, seed: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 20, (2, n_samples)).astype(np.float32)


@pytest.mark.parametrize("n_frame", [1, 7, 128, 400])
def test_every_result_is_the_transform_of_its_window_whatever_the_frames(n_frame: int) -> None:
    x, made, n_results = noise(1000), stream(), 0
    dwt = Dwt("cdf53", 128, 4)
    for begin in range(0, 1000, n_frame):
        for result in made.push(x[:, begin : begin + n_frame], 70 + begin):
            first = 16 * n_results
            rows = dwt.forward(x[:, first : first + 128])
            energies = [(rows[:, dwt.levels[j].slice].astype(float) ** 2).sum(axis=1) for j in range(1, 5)]
            assert (result.sample_index, result.number) == (70 + first, n_results + 1)
            np.testing.assert_array_equal(result.coefficients, rows)
            np.testing.assert_allclose(result.energies.T, energies, rtol=1e-6)
            np.testing.assert_array_equal(result.peaks, np.abs(rows[:, dwt.levels[1].slice]).max(axis=1))
            n_results += 1
    assert n_results == 1 + (1000 - 128) // 16


def test_latest_and_history_are_copies_of_the_newest() -> None:
    made = stream(n_history=10)
    assert made.latest() is None
    assert made.history().energies.shape == (0, 2, 4)
    energies = [result.energies.copy() for result in made.push(noise(1000), 0)]
    latest = made.latest()
    assert latest is not None
    assert latest.number == len(energies) == 55
    history = made.history()
    assert (history.first, len(history.energies)) == (46, 10)
    np.testing.assert_array_equal(history.energies, energies[-10:])
    np.testing.assert_array_equal(history.sample_index, 16 * np.arange(45, 55))
    np.testing.assert_array_equal(made.history(3).energies, energies[-3:])
    for _ in made.push(noise(500, seed=4), 1000):
        pass
    np.testing.assert_array_equal(latest.energies, energies[-1])


def test_another_thread_never_sees_a_torn_result() -> None:
    made, over, wrong, n_read = stream(n_step=1), threading.Event(), [], 0
    dwt, x = Dwt("cdf53", 128, 4), noise(4000)

    def write() -> None:
        for _ in made.push(x, 0):
            pass
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not over.is_set() or n_read == 0:
        result = made.latest()
        if result is not None:
            n_read += 1
            window = x[:, result.sample_index : result.sample_index + 128]
            if not np.array_equal(result.coefficients, dwt.forward(window)):
                wrong.append(result.number)
    writer.join()
    assert wrong == []
    assert made.history().first == 4000 - 127 - 500 + 1


def test_a_filter_runs_before_the_transform() -> None:
    x = noise(256)
    sos = [[0.25, 0.5, 0.25, 1, 0, 0]]
    filtered = np.empty_like(x)
    Sos(sos, 2).run(x, filtered)
    expected = [result.coefficients.copy() for result in stream().push(filtered, 0)]
    made = WaveletStream("cdf53", n_channels=2, n_window=128, n_step=16, n_levels=4, sos=Sos(sos, 2))
    got = [result.coefficients.copy() for n in range(0, 256, 8) for result in made.push(x[:, n : n + 8], n)]
    np.testing.assert_array_equal(got, expected)


def test_it_trips_and_clears_at_the_samples_of_a_plain_loop() -> None:
    x = noise(4000)
    x[1, 1000:1500] *= 3
    made = stream(n_step=5, trip_channel=1, trip_threshold=120, trip_hysteresis=30, trip_hold=40)
    tripped, above, expected, got = False, 0, [], []
    for result in made.push(x, 0):
        value, sample = float(result.peaks[1]), result.sample_index + 127
        if not tripped and value > 120:
            tripped, above = True, sample
            expected.append((TRIPPED, sample))
        elif tripped and value > 90:
            above = sample
        elif tripped and sample - above >= 40:
            tripped = False
            expected.append((CLEARED, sample))
        if result.trip_change:
            got.append((result.trip_change, result.trip_since))
        assert result.tripped == tripped
    assert got == expected
    assert len(got) >= 2


def test_stages_are_measured_only_while_that_is_on() -> None:
    made = stream(n_stage_frames=100)
    x = noise(320)
    for _ in made.push(x, 0):
        pass
    assert len(made.stage_times_ns(100)) == 0
    made.measure_stages(True)
    results = [result for n in range(0, 320, 16) for result in made.push(x[:, n : n + 16], 320 + n)]
    times = made.stage_times_ns(100)
    assert times.shape == (20, len(STAGES))
    assert len(results) == 20
    assert (times[:, STAGES.index("dwt")] > 0).all()
    assert (times[:, STAGES.index("filter")] == 0).all()


def test_rows_at_any_distance_give_the_same_windows() -> None:
    x = np.random.default_rng(5).normal(0, 50, (2, 256)).astype(np.float32)
    expected = [(one.sample_index, one.energies.copy()) for one in stream(16).push(x, 0)]
    assert len(expected) == 9
    odd = np.ndarray((2, 256), np.float32, bytearray(4096), strides=(1026, 4))  # no whole number of samples
    odd[:] = x
    for data in (odd, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], np.flipud(np.flipud(x).copy())):
        found = [(one.sample_index, one.energies.copy()) for one in stream(16).push(data, 0)]
        assert [index for index, _ in found] == [index for index, _ in expected]
        np.testing.assert_array_equal([energies for _, energies in found], [energies for _, energies in expected])
    assert list(stream(16).push(x[:, :0], 0)) == []
