"""What a channel measures of the chip's own test signal, and with its inputs shorted, against the datasheet.

The limits stand here for both who use them, `eegctl check` and `eegctl doctor`. Pure computation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegd.electrode_check import GREEN, RED, YELLOW, Samples
from eegd.montage import GAINS

__all__ = [
    "AMPLITUDE_TOLERANCE",
    "MAX_NOISE_RATIO",
    "MIN_NOISE_RATIO",
    "PERIOD_TOLERANCE",
    "WATCHED_NOISE_RATIO",
    "check_shorted",
    "check_test_signal",
    "expected_square",
    "plateaus",
    "square_wave",
    "typical_noise_uv",
]

NOISE_UV_RMS = {
    16000: (21.70, 10.85, 5.60, 3.87, 3.05, 2.27, 1.66),
    8000: (6.93, 3.65, 1.98, 1.31, 1.11, 0.92, 0.80),
    4000: (4.33, 2.28, 1.24, 0.93, 0.79, 0.65, 0.56),
    2000: (3.06, 1.61, 0.88, 0.66, 0.56, 0.46, 0.40),
    1000: (2.17, 1.14, 0.62, 0.46, 0.39, 0.32, 0.28),
    500: (1.53, 0.81, 0.44, 0.33, 0.28, 0.23, 0.20),
    250: (1.08, 0.57, 0.31, 0.23, 0.20, 0.16, 0.14),
}
"""Input-referred, inputs shorted, per rate and in the order of GAINS (SBAS499C table 1; typical at 25 °C)."""
MAX_NOISE_RATIO, WATCHED_NOISE_RATIO, MIN_NOISE_RATIO = 2.0, 1.4, 0.3
"""The table is typical, without limits: these are ours. At 1.4 times, something else adds as much power as the chip
itself; at twice, three times as much. A channel that is quieter than any chip is none."""
TEST_STEP_UV = 4.5e6 / 2400
"""±VREF/2400 = 1.875 mV. The electrical table's ±1 mV belongs to a reference of 2.4 V."""
AMPLITUDE_TOLERANCE = 0.03
"""The signal is good for 2 %, the gain for 0.5 % (SBAS499C 7.5); the rest is for the reference and noise."""
PERIOD_S = {"slow": 2**21 / 2.048e6, "fast": 2**20 / 2.048e6}
"""2^21 or 2^20 clock cycles. Samples are made by the same clock, so that in samples it is exact."""
PERIOD_TOLERANCE = 0.01


def typical_noise_uv(rate_sps: float, gain: int) -> float:
    """rms of a channel with shorted inputs, by the datasheet. KeyError for a rate that the chip does not have."""
    return NOISE_UV_RMS[round(rate_sps)][GAINS.index(gain)]


def expected_square(nominal_sps: float, speed: str, amplitude: int) -> tuple[float, float]:
    """(amplitude in µV, period in samples) of the test signal."""
    return amplitude * TEST_STEP_UV, PERIOD_S[speed] * nominal_sps


def check_test_signal(
    samples: Samples, montage: Mapping[str, Any], expected: tuple[float, float]
) -> list[dict[str, Any]]:
    """One row per channel: amplitude and period, measured and expected, with a verdict."""
    amplitude_uv, period = expected
    longest = _longest(samples)
    rows = []
    for channel, values in zip(montage["channels"], longest, strict=True):
        found_uv, found_period = square_wave(values)
        reason = ""
        if found_period is None:
            reason = f"no square wave of {2 * amplitude_uv:.0f} µV peak to peak"
        elif abs(found_uv / amplitude_uv - 1) > AMPLITUDE_TOLERANCE:
            reason = f"±{found_uv:.0f} µV instead of ±{amplitude_uv:.0f} µV"
        elif abs(found_period / period - 1) > PERIOD_TOLERANCE:
            reason = f"a period of {found_period:.1f} samples instead of {period:.0f}"
        rows.append(
            {
                "label": channel["label"],
                "verdict": RED if reason else GREEN,
                "reason": reason,
                "amplitude_uv": found_uv,
                "expected_amplitude_uv": amplitude_uv,
                "period_samples": found_period,
                "expected_period_samples": period,
            }
        )
    return rows


def check_shorted(samples: Samples, montage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per channel: noise with shorted inputs beside the datasheet's, with a verdict."""
    rows = []
    for channel, values in zip(montage["channels"], _longest(samples), strict=True):
        noise_uv = float(np.std(values))
        typical_uv = typical_noise_uv(montage["rate_sps"], channel["gain"])
        ratio = noise_uv / typical_uv
        verdict, reason = GREEN, ""
        if ratio > WATCHED_NOISE_RATIO:
            verdict = RED if ratio > MAX_NOISE_RATIO else YELLOW
            reason = f"{ratio:.1f} times the datasheet's noise: look at supplies, reference and clock"
        elif ratio < MIN_NOISE_RATIO:
            verdict, reason = RED, "quieter than any chip: are these conversions?"
        rows.append(
            {
                "label": channel["label"],
                "verdict": verdict,
                "reason": reason,
                "noise_uv_rms": noise_uv,
                "typical_noise_uv_rms": typical_uv,
                "offset_uv": float(np.mean(values)),
            }
        )
    return rows


def _longest(samples: Samples) -> NDArray[np.float64]:
    return max(samples.stretches(), key=lambda stretch: stretch.shape[1]).astype(np.float64)


def plateaus(values: NDArray[np.float64]) -> tuple[float, float]:
    """Upper and lower level of a square wave: medians of what lies above and below its middle.

    The few samples on an edge, which the filter smears, do not count.
    """
    middle = (values.max() + values.min()) / 2
    high, low = values[values > middle], values[values <= middle]
    if not high.size:
        return float(middle), float(middle)
    return float(np.median(high)), float(np.median(low))


def square_wave(values: NDArray[np.float64]) -> tuple[float, float | None]:
    """(amplitude, period in samples); no period where there are no two rising edges."""
    upper, lower = plateaus(values)
    middle = (values.min() + values.max()) / 2
    high = values > middle
    rising = np.flatnonzero(~high[:-1] & high[1:])
    if len(rising) < 2:
        return (upper - lower) / 2, None
    edges = rising + (middle - values[rising]) / (values[rising + 1] - values[rising])
    return (upper - lower) / 2, float((edges[-1] - edges[0]) / (len(edges) - 1))
