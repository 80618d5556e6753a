"""Filter designs as second-order sections: Butterworth low, high and band pass, and a notch. NumPy alone.

Every design is an array (n_sections, 6) of b0 b1 b2 a0 a1 a2, with a0 = 1, for eegd.sos.Sos or scipy.signal.sosfilt.
Butterworth filters come from the analogue prototype by the bilinear transform, with the corners (−3 dB) moved so that
they end up exactly where they were asked for. Frequencies are in Hz; what cannot be is a ValueError that says why.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["MAX_ORDER", "band_pass", "cascade", "group_delay_s", "high_pass", "low_pass", "notch", "response"]

MAX_ORDER = 16

Sections = NDArray[np.float64]


def low_pass(high_hz: float, rate_sps: float, order: int) -> Sections:
    """Butterworth low pass; 6 · order dB per octave above high_hz."""
    corner = _warped(high_hz, rate_sps, order)
    poles = [corner * pole for pole in _prototype(order)]
    return _sections(poles, [(-1, -1)] * (order // 2) + [(-1, None)] * (order % 2), 1.0)


def high_pass(low_hz: float, rate_sps: float, order: int) -> Sections:
    """Butterworth high pass; 6 · order dB per octave below low_hz. A constant gives exactly 0."""
    corner = _warped(low_hz, rate_sps, order)
    poles = [corner / pole for pole in _prototype(order)]
    return _sections(poles, [(1, 1)] * (order // 2) + [(1, None)] * (order % 2), -1.0)


def band_pass(low_hz: float, high_hz: float, rate_sps: float, order: int) -> Sections:
    """Butterworth band pass with 6 · order dB per octave at either side, hence 2 · order poles."""
    if not low_hz < high_hz:
        raise ValueError(f"a band from {low_hz:g} to {high_hz:g} Hz: the first must be the lower one")
    low, high = _warped(low_hz, rate_sps, order), _warped(high_hz, rate_sps, order)
    centre_squared, width = low * high, high - low
    # Each pole of the prototype becomes two, whose product is centre²: so the small one loses no digits.
    large, small = [], []
    for pole in _prototype(order):
        half = pole * width / 2
        root = cmath.sqrt(half * half - centre_squared)
        large.append(half + root if abs(half + root) >= abs(half - root) else half - root)
        small.append(centre_squared / large[-1])
    n_pairs = order // 2
    poles = small[: 2 * n_pairs] + large[: 2 * n_pairs] + small[2 * n_pairs :] + large[2 * n_pairs :]
    zeros = [(1, 1)] * n_pairs + [(-1, -1)] * n_pairs + [(1, -1)] * (order % 2)
    return _sections(poles, zeros, cmath.exp(2j * math.atan(math.sqrt(centre_squared))))


def notch(hz: float, rate_sps: float, q: float) -> Sections:
    """Takes out one frequency; −3 dB over a width of hz / q. 1 at 0 Hz and far away."""
    _check_frequency(hz, rate_sps)
    if not q > 0 or not math.isfinite(q):
        raise ValueError(f"notch with Q = {q:g}: more than 0 is needed")
    angle = 2 * math.pi * hz / rate_sps
    if angle / q >= math.pi:
        raise ValueError(f"notch at {hz:g} Hz with Q = {q:g}: its width of {hz / q:g} Hz is half the rate, or more")
    gain = 1 / (1 + math.tan(angle / q / 2))
    middle = -2 * gain * math.cos(angle)
    return np.array([[gain, middle, gain, 1, middle, 2 * gain - 1]])


def cascade(*designs: Sections) -> Sections:
    """One after the other."""
    return np.concatenate(designs)


def response(sos: ArrayLike, hz: ArrayLike, rate_sps: float) -> NDArray[np.complex128]:
    """Complex gain at each frequency."""
    z = np.exp(-2j * np.pi * np.asarray(hz, np.float64) / rate_sps)
    gain = np.ones(z.shape, np.complex128)
    for b0, b1, b2, a0, a1, a2 in np.asarray(sos, np.float64):
        gain *= (b0 + (b1 + b2 * z) * z) / (a0 + (a1 + a2 * z) * z)
    return gain


def group_delay_s(sos: ArrayLike, hz: float, rate_sps: float) -> float:
    """By how much the envelope of a narrow band around `hz` comes later, in seconds. A causal recursive filter has
    another delay at each frequency, so there is no single one: it is largest near the corners. Within a few Hz above
    a high-pass corner it matters; where the gain is 0 it means nothing and is counted as that of the poles alone."""
    z = cmath.exp(-2j * math.pi * hz / rate_sps)
    delay = 0.0
    for b0, b1, b2, a0, a1, a2 in np.asarray(sos, np.float64).tolist():
        delay += _delay_samples(b0, b1, b2, z) - _delay_samples(a0, a1, a2, z)
    return delay / rate_sps


def _delay_samples(c0: float, c1: float, c2: float, z: complex) -> float:
    """Group delay of a polynomial in z⁻¹: the real part of the mean power of its terms, weighted with the terms."""
    value = c0 + (c1 + c2 * z) * z
    if abs(value) < 1e-9 * (abs(c0) + abs(c1) + abs(c2)):
        return 1.0 if c2 else 0.5  # a pair of zeros on the circle: half a sample each
    return ((c1 + 2 * c2 * z) * z / value).real


def _prototype(order: int) -> list[complex]:
    """Poles of the analogue low pass of 1 rad/s: one of each conjugate pair beside its partner, a real one last."""
    poles: list[complex] = []
    for k in range(order // 2):
        pole = cmath.exp(1j * math.pi * (2 * k + order + 1) / (2 * order))
        poles += [pole, pole.conjugate()]
    return poles + [-1 + 0j] * (order % 2)


def _warped(hz: float, rate_sps: float, order: int) -> float:
    """Where the analogue corner must be, in units of twice the rate, so that the bilinear transform puts it at hz."""
    if not 1 <= order <= MAX_ORDER or order != int(order):
        raise ValueError(f"order {order}: a whole number from 1 to {MAX_ORDER}")
    _check_frequency(hz, rate_sps)
    return math.tan(math.pi * hz / rate_sps)


def _check_frequency(hz: float, rate_sps: float) -> None:
    if not 0 < hz < rate_sps / 2:
        raise ValueError(f"{hz:g} Hz at {rate_sps:g} SPS: more than 0 and less than half the rate, {rate_sps / 2:g} Hz")


def _sections(poles: list[complex], zeros: Sequence[tuple[int, int | None]], unity: complex) -> Sections:
    """Sections from analogue poles, two each in the order given, and digital zeros at ±1; each has gain 1 at the
    point `unity` of the circle. A section with one zero has one pole."""
    rows = []
    left = iter(poles)
    for first, second in zeros:
        p = _bilinear(next(left))
        q = _bilinear(next(left)) if second is not None else 0j
        b = (1.0, -float(first + second), float(first * second)) if second is not None else (1.0, -float(first), 0.0)
        a = (1.0, -(p + q).real, (p * q).real)
        z = 1 / unity
        gain = abs((a[0] + (a[1] + a[2] * z) * z) / (b[0] + (b[1] + b[2] * z) * z))
        rows.append([gain * b[0], gain * b[1], gain * b[2], *a])
    return np.array(rows, np.float64)


def _bilinear(s: complex) -> complex:
    return (1 + s) / (1 - s)
