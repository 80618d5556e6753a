"""Checks of every channel against the datasheet: the internal square wave, and the noise of shorted inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from eegd.doctor.bench import Bench
from eegd.doctor.check import Level, Result
from eegd.montage import Channel
from eegd.self_test import expected_square, typical_noise_uv

__all__ = ["Array", "noise_check", "plateaus", "square_wave_check"]

Array = NDArray[np.float64]

RATE_SPS = 250
TEST_TOLERANCE = 0.03
"""±2 % of the signal, 0.5 % gain error, and the offset of the two plateaus' noise."""
TEST_UV, TEST_PERIOD = expected_square(RATE_SPS, "fast", 1)
TEST_SAMPLES = int(2.5 * TEST_PERIOD)
NOISE_SAMPLES = 256
NOISY = 3.0
SILENT = 0.1
"""Less than this part of the datasheet's noise is no converter at work."""
NAMED_CHANNELS = 4


def _microvolts(bench: Bench, n: int) -> Array:
    """(channels, n) at the chip's inputs, P − N, whatever the montage's sign."""
    recording = bench.record(n)
    return np.asarray(recording.codes(bench.layout.channel_offsets) * np.abs(bench.layout.lsb_uv)[:, None], np.float64)


def plateaus(row: Array) -> tuple[float, float]:
    """Upper and lower level of a square wave: medians of what lies above and below its middle."""
    middle = (row.max() + row.min()) / 2
    high, low = row[row > middle], row[row <= middle]
    if not high.size:
        return float(middle), float(middle)
    return float(np.median(high)), float(np.median(low))


def square_wave_check(bench: Bench) -> Iterator[Result]:
    """Amplitude and period of the internal test signal on every channel."""
    bench.change(input="test_signal", test_signal="fast", test_amplitude=1, rate_sps=RATE_SPS)
    uv = _microvolts(bench, TEST_SAMPLES)
    if uv.shape[1] < TEST_SAMPLES // 2:
        yield _too_few("test signal", uv.shape[1], TEST_SAMPLES)
        return
    levels = [plateaus(row) for row in uv]
    amplitudes = np.array([(high - low) / 2 for high, low in levels])
    if bench.config.board.internal_reference:
        wrong = np.abs(amplitudes / TEST_UV - 1) > TEST_TOLERANCE
    else:
        wrong = np.abs(amplitudes / np.median(amplitudes) - 1) > TEST_TOLERANCE
    found = f"±{amplitudes.min() / 1000:.3f} to ±{amplitudes.max() / 1000:.3f} mV on {len(uv)} channels"
    if wrong.any():
        told = _told(bench.montage.on, wrong, [f"±{value / 1000:.3f} mV" for value in amplitudes])
        yield Result(
            *("test signal", Level.RED, f"{told}; ±1.875 mV ± {TEST_TOLERANCE:.0%} expected"),
            "the scale of these channels is wrong: reference, gain, or bits that do not arrive",
            "check VREFP (4.5 V) and AVDD; in the configuration: internal_reference, and a lower sclk_hz",
        )
    else:
        yield Result("test signal", Level.OK, f"{found}, expected ±1.875")
    yield _period(bench, uv)


def _period(bench: Bench, uv: Array) -> Result:
    periods = np.array([_mean_period(row) for row in uv])
    wrong = ~(np.abs(periods - TEST_PERIOD) <= 1)
    if wrong.any():
        told = _told(bench.montage.on, wrong, [f"{value:.1f} samples" for value in periods])
        return Result(
            *("test period", Level.RED, f"{told}; {TEST_PERIOD:g} expected"),
            "samples are missing or doubled, or another rate is set than is believed",
            "check DRDY for double edges (a pull-up, short wires)",
        )
    return Result(
        "test period", Level.OK, f"{periods.mean():.1f} samples on {len(uv)} channels, expected {TEST_PERIOD:g}"
    )


def _mean_period(row: Array) -> float:
    """Samples from one rising edge to the next; NaN where there are not two."""
    above = row > (row.max() + row.min()) / 2
    rising = np.flatnonzero(above[1:] & ~above[:-1])
    return float(np.diff(rising).mean()) if rising.size > 1 else float("nan")


def noise_check(bench: Bench) -> Iterator[Result]:
    """Noise with the inputs shorted inside the chip, against the datasheet."""
    bench.change(input="shorted", rate_sps=RATE_SPS)
    uv = _microvolts(bench, NOISE_SAMPLES)
    if uv.shape[1] < NOISE_SAMPLES // 2:
        yield _too_few("noise", uv.shape[1], NOISE_SAMPLES)
        return
    rms = uv.std(axis=1)
    ratio = rms / np.array([typical_noise_uv(RATE_SPS, channel.gain) for channel in bench.montage.on])
    wrong = (ratio > NOISY) | (ratio < SILENT)
    if wrong.any():
        told = _told(bench.montage.on, wrong, [f"{value:.2f} µV rms" for value in rms])
        if (ratio < SILENT).any():
            why, mend = "a converter that does not convert: no noise at all", "power the board off and on"
        else:
            why = f"more than {NOISY:g} times the datasheet's noise, with the inputs shorted inside the chip"
            mend = "a quieter supply for AVDD (a battery), shorter SPI wires, VREFP's capacitor"
        yield Result("noise", Level.RED, told, why, mend)
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
