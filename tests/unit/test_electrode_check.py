"""Judgement of electrodes on signals whose offset, mains and noise are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eegd.electrode_check import GREEN, RED, YELLOW, Samples, Thresholds, check_electrodes, worst
from eegd.montage import VREF_UV

SECONDS = 6


def montage(n: int = 1, gain: int = 24, mains_hz: int = 50, **more: Any) -> dict[str, Any]:
    row = {"type": "EEG", "input": 1, "gain": gain, "lsb_uv": VREF_UV / 2**23 / gain, "full_scale_uv": VREF_UV / gain}
    return {"mains_hz": mains_hz, "channels": [{"label": f"E{k}", **row, **more} for k in range(n)]}


def samples(data: NDArray[np.float64], rate: float = 250.0, breaks: tuple[int, ...] = ()) -> Samples:
    none = np.zeros(len(data))
    return Samples(data.astype(np.float32), rate, breaks, none, none, np.full(len(data), np.nan))


def background(rate: float = 250.0, uv_rms: float = 10.0, seconds: float = SECONDS, seed: int = 1) -> Any:
    """(1, n) white noise of so much rms from 1 to 40 Hz."""
    n = round(seconds * rate)
    return np.random.default_rng(seed).normal(0, uv_rms * np.sqrt(rate / 2 / 40), (1, n))


def tone(hz: float, uv_rms: float, n: int, rate: float = 250.0) -> Any:
    return uv_rms * np.sqrt(2) * np.sin(2 * np.pi * hz * np.arange(n) / rate + 0.7)


def row_of(given: Samples, facts: dict[str, Any] | None = None, limits: Thresholds | None = None) -> dict[str, Any]:
    [row] = check_electrodes(given, facts or montage(), limits or Thresholds(), [0.14])
    return row


def test_quiet_eeg_without_offset_is_green_and_has_no_reason() -> None:
    row = row_of(samples(background()))
    assert (row["verdict"], row["findings"]) == (GREEN, [])
    assert row["numbers"]["noise_uv_rms"] == pytest.approx(10, rel=0.15)
    assert row["numbers"]["fast_uv_rms"] is None  # 250 SPS end at 112 Hz


@pytest.mark.parametrize(("offset_mv", "verdict"), [(-40, GREEN), (60, YELLOW), (-101, RED)])
def test_offset_is_told_in_mv_and_as_share_of_full_scale(offset_mv: float, verdict: str) -> None:
    row = row_of(samples(background() + 1000 * offset_mv))
    assert row["numbers"]["offset_mv"] == pytest.approx(offset_mv, abs=0.01)
    assert row["numbers"]["offset_percent"] == pytest.approx(100 * abs(offset_mv) / 187.5, abs=0.01)
    assert row["verdict"] == verdict


def test_a_large_share_of_full_scale_is_red_below_the_limit_in_mv_and_names_the_gain() -> None:
    row = row_of(samples(background() + 142_000), limits=Thresholds(max_offset_mv=300))
    [finding] = row["findings"]
    assert finding == {
        "verdict": RED,
        "reason": "142 mV offset, 76 % of full scale",
        "remedy": "re-gel or clean it or lower gain",
    }
    lowest = row_of(samples(background() + 3_500_000), montage(gain=1), Thresholds(max_offset_mv=1e4))
    assert lowest["verdict"] == RED
    assert "gain" not in lowest["findings"][0]["remedy"]


@pytest.mark.parametrize("mains_hz", [50, 60])
@pytest.mark.parametrize("rate", [250.0, 500.0, 1000.0, 249.0])
def test_mains_amplitude_is_exact_on_a_background_of_eeg(mains_hz: int, rate: float) -> None:
    data = background(rate, 3)
    row = row_of(samples(data + tone(mains_hz, 25, data.shape[1], rate), rate), montage(mains_hz=mains_hz))
    assert row["numbers"]["mains_uv_rms"] == pytest.approx(25, rel=0.03)
    assert row["verdict"] == YELLOW
    assert f"mains at {mains_hz} Hz" in row["findings"][0]["reason"]


def test_mains_that_is_half_a_hertz_off_is_found_all_the_same() -> None:
    data = background(uv_rms=2)
    row = row_of(samples(data + tone(49.5, 40, data.shape[1])))
    assert row["numbers"]["mains_uv_rms"] == pytest.approx(40, rel=0.03)
    assert row["verdict"] == RED


def test_no_mains_is_near_zero_in_broad_noise() -> None:
    assert row_of(samples(background()))["numbers"]["mains_uv_rms"] < 5


def test_a_harmonic_is_told_beside_the_fundamental() -> None:
    data = background(500, 2)
    row = row_of(samples(data + tone(100, 15, data.shape[1], 500), 500))
    assert row["numbers"]["harmonic_uv_rms"] == pytest.approx(15, rel=0.03)
    assert row["numbers"]["mains_uv_rms"] < 2
    assert row["numbers"]["fast_uv_rms"] < 5  # the harmonic is no muscle
    assert "100 Hz, a harmonic" in row["findings"][0]["reason"]


def test_blinks_do_not_count_as_noise() -> None:
    data = background(uv_rms=8)
    data[0, 300:360] += 150 * np.hanning(60)
    row = row_of(samples(data))
    assert row["verdict"] == GREEN
    assert row["numbers"]["noise_uv_rms"] < 12


@pytest.mark.parametrize(("uv_rms", "verdict"), [(0.2, YELLOW), (35.0, YELLOW), (70.0, RED)])
def test_too_much_and_too_little_noise_are_told(uv_rms: float, verdict: str) -> None:
    # Mains is judged apart: its limit is put out of the way of the white background.
    assert row_of(samples(background(uv_rms=uv_rms)), limits=Thresholds(max_mains_uv=1e5))["verdict"] == verdict


def test_the_noise_of_a_heart_is_not_judged() -> None:
    beats = samples(background(uv_rms=200))
    limits = Thresholds(max_mains_uv=1e5)
    assert row_of(beats, montage(type="ECG"), limits)["verdict"] == GREEN
    assert row_of(beats, montage(), limits)["verdict"] == RED


def test_muscle_above_100_hz_asks_for_a_look_where_the_rate_allows() -> None:
    data = background(1000, 1)
    row = row_of(samples(data + tone(222, 20, data.shape[1], 1000), 1000))
    assert row["numbers"]["fast_uv_rms"] == pytest.approx(20, rel=0.1)
    assert row["verdict"] == YELLOW


def test_the_chips_own_noise_at_high_rates_is_no_fault() -> None:
    data = np.random.default_rng(3).normal(0, 21.7, (1, 48000))
    [row] = check_electrodes(samples(data, 16000), montage(gain=1), Thresholds(), [21.7])
    assert row["numbers"]["fast_uv_rms"] > 15
    assert row["verdict"] == GREEN


def test_a_railed_channel_is_red_and_nothing_else_is_said_of_it() -> None:
    given = replace(samples(np.full((1, 1500), 187_400.0)), railed=np.array([1.0]), near_rail=np.array([1.0]))
    row = row_of(given)
    assert row["verdict"] == RED
    assert [finding["reason"] for finding in row["findings"]] == ["railed in 100 % of the frames"]


def test_lead_off_counts_where_it_is_sensed() -> None:
    given = replace(samples(background()), lead_off=np.array([1.0]))
    row = row_of(given)
    assert row["verdict"] == RED and row["numbers"]["lead_off_percent"] == 100
    assert row["findings"][0]["reason"] == "electrode off, says the chip"
    assert row_of(samples(background()))["numbers"]["lead_off_percent"] is None


def test_an_input_that_never_changes_is_flat() -> None:
    row = row_of(samples(np.full((1, 1500), 120.0)))
    assert row["numbers"]["flat"] and row["verdict"] == RED


def test_a_channel_marked_bad_is_never_red() -> None:
    row = row_of(samples(background() + 150_000), montage(bad=True))
    assert row["verdict"] == YELLOW
    assert {finding["verdict"] for finding in row["findings"]} == {RED, YELLOW}


def test_windows_do_not_span_a_gap() -> None:
    data = background(uv_rms=2)
    wave = tone(50, 25, 1630)
    torn = data + np.concatenate([wave[:700], wave[830:]])  # 130 samples are missing: half a turn of mains is too
    row = row_of(samples(torn, breaks=(700,)))
    assert row["numbers"]["mains_uv_rms"] == pytest.approx(25, rel=0.03)


def test_without_an_unbroken_second_spectra_are_not_measured() -> None:
    row = row_of(samples(background(), breaks=tuple(range(100, 1500, 100))))
    assert row["numbers"]["mains_uv_rms"] is None
    assert row["verdict"] == YELLOW and "no unbroken second" in row["findings"][0]["reason"]


def test_the_worst_verdict_wins() -> None:
    assert worst([GREEN, RED, YELLOW]) == RED
    assert worst([]) == GREEN
