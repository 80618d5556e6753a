"""Band powers against a known sine, against scipy, and across gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from eegd.plugin import Plugin, Result
from eegd.plugin_source import load_plugin
from tests.unit.hosted import LABELS, info_at, made, results_of


def started(rate_sps: float = 250.0, **params: object) -> Any:
    plugin = made("bandpower", **params)
    plugin.info = info_at(rate_sps)
    plugin.start(plugin.info)
    return plugin


def sine(hz: float, amplitude_uv: float, seconds: float, rate_sps: float = 250.0) -> NDArray[np.float32]:
    t = np.arange(round(seconds * rate_sps)) / rate_sps
    wave = amplitude_uv * np.sin(2 * np.pi * hz * t)
    return np.stack([wave, 0 * wave + 1000]).astype(np.float32)


def value(plugin: Any, result: Result, label: str) -> float:
    return float(np.asarray(result.values)[plugin.outputs(plugin.info).labels.index(label)])


def test_it_is_a_plugin_of_kind_features_that_reads_raw() -> None:
    plugin = load_plugin("bandpower")
    assert issubclass(plugin, Plugin)
    assert (plugin.name, plugin.kind, plugin.input) == ("bandpower", "features", "raw")


@pytest.mark.parametrize(
    ("hz", "band"), [(2.5, "delta"), (6.0, "theta"), (10.0, "alpha"), (20.0, "beta"), (40.0, "gamma")]
)
def test_a_sine_of_amplitude_a_gives_half_a_squared_in_its_band_and_nothing_elsewhere(hz: float, band: str) -> None:
    plugin = started()
    result = results_of(plugin, sine(hz, 50.0, 2))[-1]
    assert value(plugin, result, f"Fz.{band}") == pytest.approx(1250, rel=1e-5)
    others = [label for label in plugin.outputs(plugin.info).labels if label != f"Fz.{band}"]
    assert max(value(plugin, result, label) for label in others) < 1250e-6


@pytest.mark.parametrize("window", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("rate_sps", [250.0, 333.0, 1000.0])
def test_band_powers_are_the_integral_of_scipys_density(window: float, rate_sps: float) -> None:
    noise = np.random.default_rng(5).normal(30, 20, (2, round(3 * rate_sps))).cumsum(axis=1).astype(np.float32)
    plugin = started(rate_sps, length=window, step=0.5)
    results = results_of(plugin, noise)
    assert len(results) >= 3
    for result in results:
        block = noise[:, result.sample_index : result.sample_index + result.n_samples]
        hz, density = signal.welch(
            block.astype(np.float64), rate_sps, "hann", nperseg=result.n_samples, detrend="constant"
        )
        for row, label in enumerate(LABELS):
            for band, (low, high) in {"delta": (1, 4), "alpha": (8, 13), "gamma": (30, 45)}.items():
                inside = (hz >= low) & (hz < high)
                expected = density[row, inside].sum() * hz[1]
                assert value(plugin, result, f"{label}.{band}") == pytest.approx(expected, rel=1e-4)


def test_total_power_of_all_bins_is_the_variance_under_the_window() -> None:
    plugin = started()
    noise = np.random.default_rng(6).normal(0, 10, (2, 500)).astype(np.float32)
    centred = noise - noise.mean(axis=1, keepdims=True)
    hann = signal.get_window("hann", 500)
    expected = (centred * hann).astype(np.float64) ** 2
    spectrum = np.abs(np.fft.rfft(centred * plugin._hann, axis=1)) ** 2 * plugin._scale
    np.testing.assert_allclose(spectrum.sum(axis=1), expected.sum(axis=1) / np.sum(hann**2), rtol=1e-6)


def test_relative_powers_are_shares_of_all_bands() -> None:
    plugin = started(relative=True)
    result = results_of(plugin, sine(10, 50, 2))[-1]
    assert plugin.outputs(plugin.info).units == "1"
    assert value(plugin, result, "Fz.alpha") == pytest.approx(1, abs=1e-6)
    assert value(plugin, result, "Oz.alpha") == 0


def test_columns_are_named_by_channel_and_band_in_squared_units() -> None:
    outputs = started().outputs(info_at(250))
    assert outputs.labels[:6] == ("Fz.delta", "Fz.theta", "Fz.alpha", "Fz.beta", "Fz.gamma", "Oz.delta")
    assert set(outputs.units) == {"µV²"}
    assert outputs.columns[7] == {"channel": "Oz", "band": "alpha"}


def test_rate_window_and_delay_are_those_of_whole_samples() -> None:
    outputs = started(length=1.0, step=0.25).outputs(info_at(250))
    assert outputs.rate_sps == 250 / 62
    assert outputs.window_s == 1.0
    assert outputs.delay_s == 249 / 2 / 250


def test_a_value_comes_every_step_once_the_first_window_is_full() -> None:
    results = results_of(started(length=1.0, step=0.2), sine(10, 50, 2))
    assert [result.sample_index for result in results] == [0, 50, 100, 150, 200, 250]
    assert {result.n_samples for result in results} == {250}


@pytest.mark.parametrize("n_frame", [1, 7, 400])
def test_values_do_not_depend_on_the_length_of_frames(n_frame: int) -> None:
    noise = np.random.default_rng(7).normal(0, 10, (2, 2000)).astype(np.float32)
    expected = results_of(started(length=0.5, step=0.1), noise, n_frame=50)
    got = results_of(started(length=0.5, step=0.1), noise, n_frame=n_frame)
    assert [result.sample_index for result in got] == [result.sample_index for result in expected]
    np.testing.assert_array_equal([result.values for result in got], [result.values for result in expected])


def test_a_window_never_spans_a_gap() -> None:
    plugin = started(length=1.0, step=0.2)
    wave = sine(10, 50, 3)
    results_of(plugin, wave[:, :300])
    results = results_of(plugin, wave[:, 310:], first=310)
    assert [result.sample_index for result in results][:2] == [310, 360]


def test_bands_beyond_the_nyquist_frequency_are_left_out() -> None:
    assert started(80.0).outputs(info_at(80)).labels == tuple(
        f"{label}.{band}" for label in LABELS for band in ("delta", "theta", "alpha", "beta")
    )


def test_a_band_without_a_bin_in_so_short_a_window_is_left_out() -> None:
    labels = started(length=0.25).outputs(info_at(250)).labels
    assert "Fz.delta" not in labels
    assert "Fz.alpha" in labels
