"""Test signal and shorted inputs against the datasheet, on made-up samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eegd.electrode_check import GREEN, RED, YELLOW, Samples
from eegd.montage import GAINS
from eegd.self_test import NOISE_UV_RMS, check_shorted, check_test_signal, expected_square, typical_noise_uv
from eegd.settings import RATES_SPS


def samples(values: NDArray[np.float64], breaks: tuple[int, ...] = ()) -> Samples:
    none = np.zeros(1)
    return Samples(values[None].astype(np.float32), 250.0, breaks, none, none, none)


def square(amplitude_uv: float, period: float, n: int = 1500) -> NDArray[np.float64]:
    wave = np.where((np.arange(n) + 17) % period < period / 2, amplitude_uv, -amplitude_uv)
    return np.convolve(wave, [1 / 6, 4 / 6, 1 / 6], "valid")  # edges as smeared as the filter makes them


FACTS: dict[str, Any] = {"rate_sps": 250.0, "channels": [{"label": "Oz", "gain": 24}]}


def judged(values: NDArray[np.float64], breaks: tuple[int, ...] = ()) -> dict[str, Any]:
    [row] = check_test_signal(samples(values, breaks), FACTS, expected_square(250, "fast", 1))
    return row


def test_the_datasheets_test_signal_is_1875_uv_and_128_samples_at_250_sps() -> None:
    assert expected_square(250, "fast", 1) == (1875.0, 128.0)
    assert expected_square(500, "slow", 2) == (3750.0, 512.0)


def test_a_true_square_wave_is_green_with_both_numbers() -> None:
    row = judged(square(1875, 128) + 300)
    assert row["verdict"] == GREEN
    assert row["amplitude_uv"] == pytest.approx(1875, rel=1e-4)
    assert row["period_samples"] == pytest.approx(128, rel=1e-4)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (square(1000, 128), "±1000 µV instead of ±1875 µV"),
        (square(1935, 128), "±1935 µV instead of ±1875 µV"),
        (square(1875, 256), "a period of 256.0 samples instead of 128"),
        (np.zeros(1500), "no square wave of 3750 µV peak to peak"),
        (square(1875, 4000), "no square wave"),
    ],
)
def test_what_is_wrong_with_a_test_signal_is_told(values: NDArray[np.float64], reason: str) -> None:
    row = judged(values)
    assert row["verdict"] == RED
    assert row["reason"].startswith(reason)


def test_a_gap_does_not_change_the_period() -> None:
    wave = square(1875, 128, 1600)
    assert judged(np.concatenate([wave[:400], wave[450:]]), (400,))["verdict"] == GREEN


def test_the_table_of_noise_has_every_rate_and_gain() -> None:
    assert set(NOISE_UV_RMS) == set(RATES_SPS)
    assert all(len(row) == len(GAINS) for row in NOISE_UV_RMS.values())
    assert typical_noise_uv(250.0, 24) == 0.14
    assert typical_noise_uv(16000, 1) == 21.70


@pytest.mark.parametrize(("uv_rms", "verdict"), [(0.14, GREEN), (0.22, YELLOW), (0.5, RED), (0.01, RED)])
def test_shorted_noise_is_judged_by_the_table(uv_rms: float, verdict: str) -> None:
    [row] = check_shorted(samples(np.random.default_rng(1).normal(50, uv_rms, 1500)), FACTS)
    assert row["verdict"] == verdict
    assert row["noise_uv_rms"] == pytest.approx(uv_rms, rel=0.1)
    assert (row["reason"] == "") == (verdict == GREEN)
