"""Samples that are no numbers, as plugins may make them: seen as missing where they are, and gone from the state of
every block and plugin once its memory is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eegd import design
from eegd.dwt import WAVELETS, Dwt, WaveletStream
from eegd.frame import StreamInfo
from eegd.params import assign_params, check_params
from eegd.plugin_source import load_plugin
from eegd.sos import Sos

RATE_SPS = 250.0
LABELS = ("Fz", "Cz", "Oz")
N_SAMPLES = 2200
N_FRAME = 11
LATEST = 800
"""Behind it nothing is missing, so that every memory is over at the end."""
Array = NDArray[np.float32]

ODD = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, LATEST), st.sampled_from([np.nan, np.inf, -np.inf])),
    min_size=1,
    max_size=6,
)
"""Channel, sample, and what is there. The last channel is never touched."""


@dataclass(slots=True)
class Samples:
    """As much of a frame as the plugins read."""

    data: Array
    sample_index: int
    time_ns: int = 0
    railed: tuple[str, ...] = ()
    flat: tuple[str, ...] = ()
    lead_off: tuple[str, ...] = ()


class Posts:
    """Stands in for what sends a plugin's events, and refuses what that refuses."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str]] = []

    def post(self, kind: str, label: str, _source: str, value: Any, *_: Any) -> None:
        assert value is None or np.isfinite(value), label
        self.posted.append((kind, label))


def started(name: str, params: dict[str, object]) -> Any:
    plugin = load_plugin(name)()
    assign_params(plugin, check_params(type(plugin), params))
    plugin._events = Posts()  # type: ignore[assignment]
    info = StreamInfo("own", "filtered", 1, RATE_SPS, LABELS, ("µV",) * 3, N_FRAME, 6_000_000, (), (), (1, 1, 1), {})
    plugin.accept(info)
    plugin.start(info)
    return plugin


def frames(data: Array) -> list[Samples]:
    return [Samples(data[:, at : at + N_FRAME], at) for at in range(0, data.shape[1], N_FRAME)]


def signal(seed: int = 5) -> Array:
    return np.random.default_rng(seed).normal(60_000, 50, (3, N_SAMPLES)).astype(np.float32)


def with_odd(x: Array, odd: list[tuple[int, int, float]]) -> Array:
    y = x.copy()
    for channel, at, value in odd:
        y[channel, at] = value
    return y


def run(name: str, params: dict[str, object], data: Array) -> Array:
    plugin, out = started(name, params), np.empty_like(data)
    for frame in frames(data):
        plugin.process(frame, out[:, frame.sample_index : frame.sample_index + frame.data.shape[1]])
    return out


@pytest.mark.parametrize("name", ["filter", "reference", "template", "detect"])
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(odd=ODD)
def test_a_plugin_that_filters_has_what_is_missing_there_only(name: str, odd: list[tuple[int, int, float]]) -> None:
    params: dict[str, object] = {"threshold": 60_000.0, "edge": "both"} if name == "detect" else {}
    x = signal()
    expected, y = run(name, params, x), run(name, params, with_odd(x, odd))
    missing = ~np.isfinite(with_odd(x, odd))
    if name == "reference":
        missing = np.broadcast_to(missing.any(axis=0), missing.shape)
    np.testing.assert_array_equal(np.isfinite(y), ~missing)
    if name == "filter":
        np.testing.assert_array_equal(y[2], expected[2])
        np.testing.assert_allclose(y[:, LATEST + 1000 :], expected[:, LATEST + 1000 :], rtol=0, atol=1e-3)
    else:
        np.testing.assert_array_equal(y[~missing], expected[~missing])


FEATURES: dict[str, tuple[str, dict[str, object]]] = {
    "bandpower": ("bandpower", {"length": 1.0, "step": 0.1}),
    "relative": ("bandpower", {"length": 1.0, "step": 0.1, "relative": True}),
    "wavelet": ("wavelet", {"trip_channel": "Fz", "trip_threshold": 80.0}),
    "wavelet level": ("wavelet", {"trip_channel": "Cz", "trip_threshold": 2000.0, "trip_level": 2}),
}


@pytest.mark.parametrize("case", FEATURES)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(odd=ODD)
def test_a_feature_is_missing_while_the_window_has_what_is_missing(
    case: str, odd: list[tuple[int, int, float]]
) -> None:
    name, params = FEATURES[case]
    x, y = signal(), with_odd(signal(), odd)
    clean, plugin = started(name, params), started(name, params)
    n_missing = 0
    for good, bad in zip(frames(x), frames(y), strict=True):
        expected, results = clean.process(good, x[:, :0]), plugin.process(bad, x[:, :0])
        for one, other in zip(expected, results, strict=True):
            window = slice(other.sample_index, other.sample_index + other.n_samples)
            missing = ~np.isfinite(y[:, window]).all(axis=1)
            values = np.asarray(other.values).reshape(3, -1)
            np.testing.assert_array_equal(np.isnan(values).all(axis=1), missing)
            np.testing.assert_array_equal(values[~missing], np.asarray(one.values).reshape(3, -1)[~missing])
            n_missing += int(missing.any())
    assert n_missing or all(at < 10 for _, at, _ in odd)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(odd=ODD, wavelet=st.sampled_from(sorted(WAVELETS)))
def test_a_wavelet_stream_behind_a_filter_forgets_them(odd: list[tuple[int, int, float]], wavelet: str) -> None:
    def made(data: Array) -> list[tuple[Array, Array, Array]]:
        sos = Sos(design.band_pass(1, 40, RATE_SPS, 2), 3)
        sos.settle(np.nan)
        stream = WaveletStream(wavelet, n_channels=3, n_window=128, n_step=50, n_levels=3, sos=sos)
        results = []
        for frame in frames(data):
            for result in stream.push(frame.data, frame.sample_index):
                results.append((result.coefficients.copy(), result.energies.copy(), result.peaks.copy()))
        return results

    x = signal()
    expected, results = made(x), made(with_odd(x, odd))
    for one, other in zip(expected, results, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a[2], b[2])
    for one, other in zip(expected[-3:], results[-3:], strict=True):
        np.testing.assert_allclose(one[0], other[0], rtol=0, atol=1e-3)
    for channel in {channel for channel, _, _ in odd}:
        assert any(np.isnan(peaks[channel]) and np.isnan(energies[channel]).all() for _, energies, peaks in results)


@settings(deadline=None, max_examples=30)
@given(odd=ODD, wavelet=st.sampled_from(sorted(WAVELETS)))
def test_a_transform_keeps_nothing_of_them(odd: list[tuple[int, int, float]], wavelet: str) -> None:
    x, dwt = signal()[:, :256], Dwt(wavelet, 256, 4)
    expected = dwt.forward(x)
    spoilt = dwt.forward(with_odd(x, [(channel, at % 256, value) for channel, at, value in odd]))
    np.testing.assert_array_equal(spoilt[2], expected[2])
    np.testing.assert_array_equal(dwt.forward(x), expected)
    assert not np.isfinite(spoilt[odd[0][0]]).all()
