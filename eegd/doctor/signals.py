"""Checks of every channel against the datasheet: the internal square wave, and the noise of shorted inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from eegd.doctor.bench import Bench
from eegd.doctor.check import Level, Result
from eegd.montage import Channel
from eegd.self_test import (
    AMPLITUDE_TOLERANCE,
    MAX_NOISE_RATIO,
    MIN_NOISE_RATIO,
    PERIOD_TOLERANCE,
    WATCHED_NOISE_RATIO,
    expected_square,
    square_wave,
    typical_noise_uv,
)

__all__ = ["Array", "noise_check", "square_wave_check"]

Array = NDArray[np.float64]

RATE_SPS = 250
TEST_UV, TEST_PERIOD = expected_square(RATE_SPS, "fast", 1)
TEST_SAMPLES = int(2.5 * TEST_PERIOD)
NOISE_SAMPLES = 256
NAMED_CHANNELS = 4


def _microvolts(bench: Bench, n: int) -> Array:
    """(channels, n) at the chip's inputs, P − N, whatever the montage's sign."""
    recording = bench.record(n)
    return np.asarray(recording.codes(bench.layout.channel_offsets) * np.abs(bench.layout.lsb_uv)[:, None], np.float64)


def square_wave_check(bench: Bench) -> Iterator[Result]:
    """Amplitude and period of the internal test signal on every channel."""
    bench.change(input="test_signal", test_signal="fast", test_amplitude=1, rate_sps=RATE_SPS)
    uv = _microvolts(bench, TEST_SAMPLES)
    if uv.shape[1] < TEST_SAMPLES // 2:
        yield _too_few("test signal", uv.shape[1], TEST_SAMPLES)
        return
    waves = [square_wave(row) for row in uv]
    amplitudes = np.array([amplitude for amplitude, _ in waves])
    if bench.config.board.internal_reference:
        wrong = np.abs(amplitudes / TEST_UV - 1) > AMPLITUDE_TOLERANCE
    else:
        wrong = np.abs(amplitudes / np.median(amplitudes) - 1) > AMPLITUDE_TOLERANCE
    found = f"±{amplitudes.min() / 1000:.3f} to ±{amplitudes.max() / 1000:.3f} mV on {len(uv)} channels"
    if wrong.any():
        told = _told(bench.montage.on, wrong, [f"±{value / 1000:.3f} mV" for value in amplitudes])
        yield Result(
            *("test signal", Level.RED, f"{told}; ±1.875 mV ± {AMPLITUDE_TOLERANCE:.0%} expected"),
            "the scale of these channels is wrong: reference, gain, or bits that do not arrive",
            "check VREFP (4.5 V) and AVDD; in the configuration: internal_reference, and a lower sclk_hz",
        )
    else:
        yield Result("test signal", Level.OK, f"{found}, expected ±1.875")
    yield _period(bench, np.array([np.nan if period is None else period for _, period in waves]))


def _period(bench: Bench, periods: Array) -> Result:
    """`periods`: of each channel, in samples; NaN where there is none."""
    wrong = ~(np.abs(periods / TEST_PERIOD - 1) <= PERIOD_TOLERANCE)
    if wrong.any():
        told = _told(bench.montage.on, wrong, [f"{value:.1f} samples" for value in periods])
        return Result(
            *("test period", Level.RED, f"{told}; {TEST_PERIOD:g} expected"),
            "samples are missing or doubled, or another rate is set than is believed",
            "check DRDY for double edges (a pull-up, short wires)",
        )
    return Result(
        "test period", Level.OK, f"{periods.mean():.1f} samples on {len(periods)} channels, expected {TEST_PERIOD:g}"
    )


def noise_check(bench: Bench) -> Iterator[Result]:
    """Noise with the inputs shorted inside the chip, against the datasheet."""
    bench.change(input="shorted", rate_sps=RATE_SPS)
    uv = _microvolts(bench, NOISE_SAMPLES)
    if uv.shape[1] < NOISE_SAMPLES // 2:
        yield _too_few("noise", uv.shape[1], NOISE_SAMPLES)
        return
    rms = uv.std(axis=1)
    ratio = rms / np.array([typical_noise_uv(RATE_SPS, channel.gain) for channel in bench.montage.on])
    wrong = (ratio > WATCHED_NOISE_RATIO) | (ratio < MIN_NOISE_RATIO)
    if wrong.any():
        told = _told(bench.montage.on, wrong, [f"{value:.2f} µV rms" for value in rms])
        level = Level.RED
        if (ratio < MIN_NOISE_RATIO).any():
            why, mend = "a converter that does not convert: no noise at all", "power the board off and on"
        else:
            level = Level.RED if (ratio > MAX_NOISE_RATIO).any() else Level.WARN
            why = f"up to {ratio.max():.1f} times the datasheet's noise, with the inputs shorted inside the chip"
            mend = "a quieter supply for AVDD (a battery), shorter SPI wires, VREFP's capacitor"
        yield Result("noise", level, told, why, mend)
        return
    found = (
        f"{rms.min():.2f} to {rms.max():.2f} µV rms shorted, {ratio.min():.1f} to {ratio.max():.1f} × the datasheet's"
    )
    yield Result("noise", Level.OK, found)


def _too_few(name: str, n: int, wanted: int) -> Result:
    why = "edges stopped, or this computer was too busy to read in time"
    return Result(name, Level.RED, f"only {n} of {wanted} conversions", why, "eegctl doctor, on a quiet computer")


def _told(channels: Sequence[Channel], wrong: NDArray[np.bool_], values: Sequence[str]) -> str:
    rows = [f"{channel.label} {value}" for channel, bad, value in zip(channels, wrong, values, strict=True) if bad]
    more = f" and {len(rows) - NAMED_CHANNELS} more" if len(rows) > NAMED_CHANNELS else ""
    return ", ".join(rows[:NAMED_CHANNELS]) + more
