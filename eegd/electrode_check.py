"""How well electrodes sit, from some seconds of raw samples: offset, rails, lead-off, mains and noise per channel, each
judged against a threshold. Pure computation.

Numbers are of the signal as recorded: the chip's sinc³ filter weakens 50 Hz by 18 % at 250 SPS (SBAS499C 9.3.2.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["GREEN", "RED", "YELLOW", "Finding", "Samples", "Thresholds", "check_electrodes", "worst"]

GREEN, YELLOW, RED = "green", "yellow", "red"
VERDICTS = (GREEN, YELLOW, RED)

MAX_OFFSET_MV = 100.0
"""ANSI/AAMI EC12 allows a pair of disposable gel electrodes 100 mV; a good pair of Ag/AgCl shows less than 20 mV."""
RAILED_PERCENT, NEAR_RAIL_PERCENT = 90.0, 75.0
"""Of full scale: the limits of the frames' own masks, and of the warnings of OpenBCI's GUI."""
WATCHED_PERCENT = 50.0
MAX_MAINS_UV = 30.0
"""rms, our convention: 85 µV peak to peak, which is more than most EEG of an awake adult (10 to 100 µV)."""
MAX_NOISE_UV = 50.0
"""rms from 1 to 40 Hz, our convention: strong alpha stays below, movement and loose electrodes do not."""
QUIET_UV = 0.5
"""Below it there is no EEG, rather a bridge of gel to the reference, or an input without a person."""
MAX_FAST_UV = 10.0
"""rms above 100 Hz, our convention: muscle, or interference."""
NOISE_HZ = (1.0, 40.0)
FAST_FROM_HZ = 100.0
HIGHEST_OF_RATE = 0.45
"""Up to here in units of the rate: above, the filter is about to end and images fold back."""
CHIP_NOISE_FACTOR = 2.0
"""What the chip itself contributes at high rates and low gains is no fault of an electrode."""
WINDOW_S = 1.0
FLAT_LSB = 1.5
"""Peak to peak in codes; live inputs of this chip have at least 6 codes of noise."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is red. Half of offset and noise, and a third of mains, is yellow."""

    max_offset_mv: float = MAX_OFFSET_MV
    max_mains_uv: float = MAX_MAINS_UV
    max_noise_uv: float = MAX_NOISE_UV


@dataclass(frozen=True, slots=True)
class Samples:
    """Some seconds of one stream epoch."""

    data: NDArray[np.float32]
    """(n_channels, n_samples) µV, electrode minus reference."""
    rate_sps: float
    """Effective, so that frequencies are true although the chip's clock is not."""
    breaks: tuple[int, ...]
    """Columns before which samples are missing."""
    railed: NDArray[np.float64]
    """Share of the frames, 0 … 1, (n_channels,); likewise the next two."""
    near_rail: NDArray[np.float64]
    lead_off: NDArray[np.float64]
    """NaN where it is not sensed."""

    def stretches(self) -> list[NDArray[np.float32]]:
        """The data, cut at the breaks."""
        return list(np.split(self.data, [column for column in self.breaks if 0 < column < self.data.shape[1]], axis=1))


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason for a verdict, and what to do about it."""

    verdict: str
    reason: str
    remedy: str


def worst(verdicts: Sequence[str]) -> str:
    """The worst one; green where there is none."""
    return max(verdicts, key=VERDICTS.index, default=GREEN)


def check_electrodes(
    samples: Samples, montage: Mapping[str, Any], thresholds: Thresholds, chip_noise_uv: Sequence[float]
) -> list[dict[str, Any]]:
    """One row of plain JSON types per channel: what it is, `numbers` (units in the names; None: not measured),
    `findings` and `verdict`. montage: the stream's description. chip_noise_uv: rms that each channel has by itself."""
    rows = []
    spectra = _spectra(samples)
    for index, channel in enumerate(montage["channels"]):
        numbers = _levels(samples, index, channel) | _bands(spectra, index, samples.rate_sps, montage["mains_hz"])
        findings = _judge(numbers, channel, thresholds, float(chip_noise_uv[index]), montage["mains_hz"])
        verdict = worst([finding.verdict for finding in findings])
        if channel.get("bad"):
            verdict = min(verdict, YELLOW, key=VERDICTS.index)
        facts = {key: channel[key] for key in ("label", "type", "input", "gain", "p", "n", "bad") if key in channel}
        rows.append(
            {**facts, "verdict": verdict, "findings": [asdict(finding) for finding in findings], "numbers": numbers}
        )
    return rows


# ---- numbers ----


def _levels(samples: Samples, index: int, channel: Mapping[str, Any]) -> dict[str, Any]:
    values = samples.data[index].astype(np.float64)
    mean_uv, off = float(values.mean()), float(samples.lead_off[index])
    return {
        "offset_mv": mean_uv / 1000,
        "full_scale_mv": channel["full_scale_uv"] / 1000,
        "offset_percent": 100 * abs(mean_uv) / channel["full_scale_uv"],
        "railed_percent": 100 * float(samples.railed[index]),
        "near_rail_percent": 100 * float(samples.near_rail[index]),
        "lead_off_percent": None if np.isnan(off) else 100 * off,
        "flat": bool(np.ptp(values) < FLAT_LSB * channel["lsb_uv"]),
    }


def _spectra(samples: Samples) -> NDArray[np.float64] | None:
    """Power in µV² per bin, (n_windows, n_channels, n_bins), in windows of a second that overlap by half. None where no
    window is whole."""
    length = _length(samples.rate_sps)
    window = np.hanning(length + 1)[:-1]
    slope = np.linspace(-1, 1, length)
    powers = []
    for stretch in samples.stretches():
        for start in range(0, stretch.shape[1] - length + 1, length // 2):
            x = stretch[:, start : start + length].astype(np.float64)
            x -= x.mean(axis=1, keepdims=True)
            x -= (x @ slope / (slope @ slope))[:, None] * slope
            powers.append(2 * np.abs(np.fft.rfft(x * window, axis=1)) ** 2 / (length * (window @ window)))
    return np.array(powers) if powers else None


def _length(rate_sps: float) -> int:
    return max(8, round(WINDOW_S * rate_sps))


def _bands(spectra: NDArray[np.float64] | None, index: int, rate_sps: float, mains_hz: float) -> dict[str, Any]:
    names = ("mains_uv_rms", "harmonic_uv_rms", "noise_uv_rms", "fast_uv_rms")
    if spectra is None:
        return dict.fromkeys(names)
    power = spectra[:, index]
    hz = np.arange(power.shape[1]) * rate_sps / _length(rate_sps)
    highest = HIGHEST_OF_RATE * rate_sps
    fast = (hz >= FAST_FROM_HZ) & (hz <= highest) & (np.abs((hz + mains_hz / 2) % mains_hz - mains_hz / 2) > 2.5)
    slow = (hz >= NOISE_HZ[0] - 0.1) & (hz <= NOISE_HZ[1] + 0.1)
    return {
        "mains_uv_rms": _tone(power, hz, mains_hz),
        "harmonic_uv_rms": _tone(power, hz, 2 * mains_hz) if 2 * mains_hz + 3 <= highest else None,
        "noise_uv_rms": _usual_rms(power[:, slow].sum(axis=1)),
        "fast_uv_rms": _usual_rms(power[:, fast].sum(axis=1)) if highest > FAST_FROM_HZ + 20 else None,
    }


def _usual_rms(powers: NDArray[np.float64]) -> float:
    """The median over windows: blinks and other short events do not count."""
    return float(np.sqrt(max(0.0, np.median(powers))))


def _tone(power: NDArray[np.float64], hz: NDArray[np.float64], at_hz: float) -> float:
    """rms in µV of a tone within 1 Hz of this, less what the spectrum beside it says is noise."""
    distance = np.abs(hz - at_hz)
    inside, beside = distance <= 2.5, (distance > 3.5) & (distance <= 7.5)
    noise = power[:, beside].mean(axis=1) * np.count_nonzero(inside)
    return _usual_rms(power[:, inside].sum(axis=1) - noise)


# ---- judgement ----


def _judge(
    numbers: Mapping[str, Any], channel: Mapping[str, Any], limits: Thresholds, chip_noise_uv: float, mains_hz: float
) -> list[Finding]:
    """The worst first."""
    dead = _dead(numbers)
    found = dead or [*_offset(numbers, channel, limits), *_spectral(numbers, channel, limits, chip_noise_uv, mains_hz)]
    if channel.get("bad"):
        found.append(Finding(YELLOW, "marked bad in the montage", "nothing, if you know; else put it right"))
    return sorted(found, key=lambda finding: -VERDICTS.index(finding.verdict))


def _dead(numbers: Mapping[str, Any]) -> list[Finding]:
    """What makes every other number meaningless."""
    off = (numbers["lead_off_percent"] or 0) >= 50
    if numbers["railed_percent"] > 0 or numbers["offset_percent"] >= RAILED_PERCENT:
        reason = f"railed in {numbers['railed_percent']:.0f} % of the frames" + (
            ", the chip says it is off" if off else ""
        )
        return [Finding(RED, reason, "put the electrode on or re-gel it; check the reference")]
    if off:
        return [Finding(RED, "electrode off, says the chip", "put it on or re-gel it, and check its lead")]
    if numbers["flat"]:
        return [Finding(RED, "flat: the same code all the time", "check the cable to the input and the board's supply")]
    return []


def _offset(numbers: Mapping[str, Any], channel: Mapping[str, Any], limits: Thresholds) -> list[Finding]:
    offset_mv, percent = abs(numbers["offset_mv"]), numbers["offset_percent"]
    reason = f"{offset_mv:.3g} mV offset, {percent:.0f} % of full scale"
    if numbers["near_rail_percent"]:
        reason += f", near the rail in {numbers['near_rail_percent']:.0f} % of the frames"
    remedy = "re-gel or clean it" + (" or lower gain" if percent >= WATCHED_PERCENT and channel["gain"] > 1 else "")
    if offset_mv > limits.max_offset_mv or percent >= NEAR_RAIL_PERCENT:
        return [Finding(RED, reason, remedy)]
    if offset_mv > limits.max_offset_mv / 2 or percent >= WATCHED_PERCENT or numbers["near_rail_percent"]:
        return [Finding(YELLOW, reason, remedy)]
    return []


def _spectral(
    numbers: Mapping[str, Any], channel: Mapping[str, Any], limits: Thresholds, chip_noise_uv: float, mains_hz: float
) -> list[Finding]:
    mains, harmonic, noise, fast = (
        numbers[name] for name in ("mains_uv_rms", "harmonic_uv_rms", "noise_uv_rms", "fast_uv_rms")
    )
    if mains is None:
        return [Finding(YELLOW, "no unbroken second of samples", "see `eegctl status` for losses, then check again")]
    found = []
    if mains > limits.max_mains_uv / 3:
        verdict = RED if mains > limits.max_mains_uv else YELLOW
        remedy = "re-gel it and the reference, twist the leads, and run from a battery"
        found.append(Finding(verdict, f"{mains:.3g} µV rms of mains at {mains_hz:g} Hz", remedy))
    if harmonic is not None and harmonic > limits.max_mains_uv / 3:
        remedy = "look for a dimmer or a switched supply near the leads"
        found.append(Finding(YELLOW, f"{harmonic:.3g} µV rms at {2 * mains_hz:g} Hz, a harmonic of mains", remedy))
    if channel.get("type", "EEG") != "EEG":  # a heart or a muscle may be as large as it likes
        return found
    band = f"{NOISE_HZ[0]:g} to {NOISE_HZ[1]:g} Hz"
    if noise > limits.max_noise_uv / 2:
        verdict = RED if noise > limits.max_noise_uv else YELLOW
        found.append(Finding(verdict, f"{noise:.3g} µV rms from {band}", "sit still; is it loose? then re-gel it"))
    if noise < QUIET_UV:
        reason = f"only {noise:.2g} µV rms from {band}, less than any EEG"
        found.append(Finding(YELLOW, reason, "look for gel that joins it to the reference"))
    if fast is not None and fast > max(MAX_FAST_UV, CHIP_NOISE_FACTOR * chip_noise_uv):
        found.append(Finding(YELLOW, f"{fast:.3g} µV rms above {FAST_FROM_HZ:g} Hz", "relax jaw and neck, check again"))
    return found
