"""The plugin wavelet: columns, energies of known signals, trips as events, gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pywt
from numpy.typing import NDArray

from eegd.errors import ParamError
from eegd.params import assign_params, check_params
from eegd.plugin_source import load_plugin
from tests.unit.hosted import info_at, made, results_of


def started(**params: object) -> Any:
    plugin = made("wavelet", **params)
    plugin.posted = []
    plugin.post = lambda label, *, value=None, sample_index=None: plugin.posted.append((label, value, sample_index))
    plugin.accept(info_at())
    plugin.start(plugin.info)
    return plugin


def noise(n_samples: int, scale_uv: float = 10) -> NDArray[np.float32]:
    return np.random.default_rng(9).normal(0, scale_uv, (2, n_samples)).astype(np.float32)


def test_columns_name_channel_and_level_and_the_axis_has_the_band_in_hz() -> None:
    outputs = started(levels=3, step=0.2).outputs(started().info)
    assert outputs.labels == ("Fz.D1", "Fz.D2", "Fz.D3", "Oz.D1", "Oz.D2", "Oz.D3")
    assert set(outputs.units) == {"µV²"}
    assert outputs.columns[4] == {"channel": "Oz", "level": 2}
    assert outputs.axes["level"] == {
        "unit": "Hz",
        "wavelet": "db2",
        "bands": {"D1": (62.5, 125.0), "D2": (31.25, 62.5), "D3": (15.625, 31.25)},
    }
    assert (outputs.rate_sps, outputs.window_s, outputs.delay_s) == (5.0, 256 / 250, 255 / 500)


@pytest.mark.parametrize(("wavelet", "name"), [("haar", "haar"), ("cdf53", "bior2.2"), ("db2", "db2")])
def test_values_are_mean_squares_of_what_pywavelets_gives(wavelet: str, name: str) -> None:
    x = noise(600)
    results = results_of(started(wavelet=wavelet, levels=4), x)
    assert [result.sample_index for result in results[:3]] == [0, 25, 50]
    for result in results:
        window = x[:, result.sample_index : result.sample_index + 256].astype(np.float64)
        details = pywt.wavedec(window, name, mode="symmetric", level=4)[:0:-1]
        expected = np.stack([(level**2).sum(axis=1) / 256 for level in details], axis=1)
        np.testing.assert_allclose(np.asarray(result.values).reshape(2, 4), expected, rtol=1e-5)
        assert result.n_samples == 256


@pytest.mark.parametrize(("hz", "level"), [(95, 1), (45, 2), (22, 3), (11, 4), (5.5, 5)])
def test_a_sine_shows_most_in_the_level_whose_band_it_is_in(hz: float, level: int) -> None:
    t = np.arange(1024) / 250
    x = np.stack([50 * np.sin(2 * np.pi * hz * t), 0 * t]).astype(np.float32)
    values = np.asarray(results_of(started(length=1024), x)[-1].values).reshape(2, 5)
    assert int(np.argmax(values[0])) + 1 == level
    assert not values[1].any()


def test_a_window_never_spans_a_gap() -> None:
    plugin = started()
    results_of(plugin, noise(300))
    results = results_of(plugin, noise(400), first=310)
    assert [result.sample_index for result in results][:2] == [310, 335]


def spike_at(sample: int, n_samples: int, channel: int = 1) -> NDArray[np.float32]:
    x = np.zeros((2, n_samples), np.float32)
    x[channel, sample] = 200
    return x


@pytest.mark.parametrize("trip_level", [0, 1, 3])
def test_a_spike_trips_its_channel_and_clears_after_the_hold(trip_level: int) -> None:
    plugin = started(
        length=64, levels=3, step=0.04, trip_channel="Oz", trip_level=trip_level, trip_threshold=20, trip_hold=0.4
    )
    results_of(plugin, spike_at(500, 1000, channel=0))
    assert plugin.posted == []
    results_of(plugin, spike_at(500, 1000), first=1000)
    (trip, value, at), (clear, _, cleared_at) = plugin.posted
    assert (trip, clear) == ("Oz trip", "Oz clear")
    assert value > 20
    assert 1500 <= at <= 1520
    assert 1563 + 60 <= cleared_at <= 1563 + 120


def test_a_trip_goes_on_over_a_gap_and_is_cleared_at_the_end() -> None:
    plugin = started(length=64, levels=3, trip_channel="Oz", trip_threshold=20, trip_hold=3600)
    results_of(plugin, spike_at(100, 200))
    results_of(plugin, noise(500, 0.1), first=1000)
    assert [label for label, *_ in plugin.posted] == ["Oz trip"]
    plugin.stop()
    plugin.stop()
    assert [label for label, *_ in plugin.posted] == ["Oz trip", "Oz clear"]


def test_new_parameters_begin_anew_and_clear_a_trip() -> None:
    plugin = started(length=64, levels=3, trip_channel="Oz", trip_threshold=20, trip_hold=10)
    results_of(plugin, spike_at(100, 200))
    assign_params(plugin, {"levels": 2})
    plugin.changed(("levels",))
    assert plugin.posted[-1] == ("Oz clear", None, None)
    assert len(plugin.outputs(plugin.info).labels) == 4


def test_another_threshold_holds_from_the_next_window_on_and_costs_no_value() -> None:
    plugin = started(length=64, levels=3, step=0.04, trip_channel="Oz", trip_threshold=1000)
    n_before = len(results_of(plugin, spike_at(100, 130)))
    assert plugin.posted == []
    assign_params(plugin, {"trip_threshold": 20.0})
    plugin.changed(("trip_threshold",))
    results = results_of(plugin, np.zeros((2, 130), np.float32), first=130)
    assert [result.sample_index for result in results] == [10 * (n_before + n) for n in range(len(results))]
    assert [label for label, *_ in plugin.posted] == ["Oz trip", "Oz clear"]


def test_without_a_threshold_nothing_trips() -> None:
    plugin = started()
    results_of(plugin, noise(1000, 10_000))
    assert plugin.posted == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"length": 32}, r"wavelet: levels = 5: 1 to 3 for db2 on 32"),
        ({"trip_threshold": 5}, r"trip_channel = Fz, Oz: one"),
        ({"trip_threshold": 5, "trip_channel": "Oz", "trip_level": 6}, r"trip_level = 6: 0 to 5"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(params: dict[str, object], message: str) -> None:
    with pytest.raises(ParamError, match=message):
        started(**params)


def test_a_length_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ParamError, match="length = 100"):
        check_params(load_plugin("wavelet"), {"length": 100})
