# SPDX-License-Identifier: MIT
"""Draws what the plugins make of a recording of somebody who blinks and then closes the eyes: docs/alpha.svg.

The samples go through `filter` and its output through `bandpower`, in frames of 40 ms as a daemon would give them, and
the same is computed by scipy over the whole recording at once. Prints how far the two are apart.

    python tools/plot_alpha.py RECORDING [FILE.svg]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from eegd.frame import StreamInfo
from eegd.params import assign_params, check_params
from eegd.plugin_source import load_plugin
from eegd.replay import load_recording

N_FRAME = 10
LOW_HZ, HIGH_HZ, ORDER, MAINS_HZ, Q = 1.0, 40.0, 2, 60, 30.0
WINDOW_S, STEP_S = 2.0, 0.2
FRONTAL, OCCIPITAL = "EXG0", "EXG7"
BANDS_HZ = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}


@dataclass(slots=True)
class Samples:
    """As much of a frame as the two plugins read."""

    data: NDArray[np.float32]
    sample_index: int


@dataclass(slots=True)
class Analysis:
    """Filtered signal and band powers of a recording."""

    labels: tuple[str, ...]
    rate_sps: float
    filtered_uv: NDArray[Any]
    """(n_channels, n_samples)"""
    powers_uv2: NDArray[Any]
    """(n_windows, n_channels, n_bands)"""

    def band(self, label: str, band: str) -> NDArray[Any]:
        power: NDArray[Any] = self.powers_uv2[:, self.labels.index(label), list(BANDS_HZ).index(band)]
        return power

    def times_s(self) -> NDArray[np.float64]:
        """The middle of each window."""
        step = round(STEP_S * self.rate_sps)
        times: NDArray[np.float64] = np.arange(len(self.powers_uv2)) * step / self.rate_sps + WINDOW_S / 2
        return times


def load(path: Path) -> tuple[NDArray[np.float32], tuple[str, ...], float]:
    """Samples (n_channels, n_samples) in µV, labels, rate."""
    recording = load_recording(path)
    if recording.uv is None or recording.rate_sps is None:
        raise SystemExit(f"{path}: a recording in µV with a rate is needed")
    return np.ascontiguousarray(recording.uv.T, np.float32), recording.labels, recording.rate_sps


def by_plugins(uv: NDArray[np.float32], labels: tuple[str, ...], rate_sps: float) -> Analysis:
    """Frame by frame through the plugins."""
    n = len(labels)
    info = StreamInfo("raw", "raw", 1, rate_sps, labels, ("µV",) * n, N_FRAME, 0, (), (), (1,) * n, {})
    filter = _started("filter", info, low=LOW_HZ, high=HIGH_HZ, order=ORDER, notch=MAINS_HZ, q=Q)
    bandpower = _started("bandpower", info, length=WINDOW_S, step=STEP_S)
    filtered = np.empty_like(uv)
    powers = []
    for at in range(0, uv.shape[1], N_FRAME):
        out = filtered[:, at : at + N_FRAME]
        filter.process(Samples(uv[:, at : at + N_FRAME], at), out)
        powers += [result.values for result in bandpower.process(Samples(out, at), out)]
    return Analysis(labels, rate_sps, filtered, np.reshape(powers, (len(powers), n, len(BANDS_HZ))))


def by_scipy(uv: NDArray[np.float32], labels: tuple[str, ...], rate_sps: float) -> Analysis:
    """The same in float64 over the whole recording, by scipy alone."""
    band = signal.butter(ORDER, [LOW_HZ, HIGH_HZ], "bandpass", fs=rate_sps, output="sos")
    sos = np.concatenate([band, signal.tf2sos(*signal.iirnotch(MAINS_HZ, Q, rate_sps))])
    x = uv.astype(np.float64)
    filtered = signal.sosfilt(sos, x, zi=signal.sosfilt_zi(sos)[:, None, :] * x[None, :, :1])[0]
    n, step = round(WINDOW_S * rate_sps), round(STEP_S * rate_sps)
    windows = np.lib.stride_tricks.sliding_window_view(filtered, n, axis=1)[:, ::step]
    hz, density = signal.welch(windows, rate_sps, "hann", nperseg=n, detrend="constant")
    bins = [(hz >= low) & (hz < high) for low, high in BANDS_HZ.values()]
    powers = np.stack([density[..., where].sum(axis=-1) * hz[1] for where in bins], axis=-1)
    return Analysis(labels, rate_sps, filtered, powers.transpose(1, 0, 2))


def apart(ours: Analysis, reference: Analysis) -> tuple[float, float]:
    """The largest difference of a sample, as a share of its channel's rms; and of a band power, as a share of it."""
    rms = np.sqrt(np.mean(reference.filtered_uv**2, axis=1, keepdims=True))
    of_samples = np.abs(ours.filtered_uv - reference.filtered_uv) / rms
    of_powers = np.abs(ours.powers_uv2 / reference.powers_uv2 - 1)
    return float(of_samples.max()), float(of_powers.max())


def _started(name: str, info: StreamInfo, **params: object) -> Any:
    plugin = load_plugin(name)()
    assign_params(plugin, check_params(type(plugin), params))
    plugin.accept(info)
    plugin.start(info)
    return plugin


# ---- the picture ----

LEFT, WIDTH, HEIGHT = 70, 900, 190
INK, FAINT, LINE, POWER = "#333333", "#dddddd", "#1f4e79", "#b03a2e"


def draw(analysis: Analysis) -> str:
    """Two panels as SVG: the blinks in the filtered signal, and the power of alpha at the back of the head."""
    seconds = analysis.filtered_uv.shape[1] / analysis.rate_sps
    trace = analysis.filtered_uv[analysis.labels.index(FRONTAL)]
    alpha = analysis.band(OCCIPITAL, "alpha")
    band = f"{LOW_HZ:g}–{HIGH_HZ:g} Hz, notch {MAINS_HZ:g} Hz"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 30} {2 * HEIGHT + 150}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="100%" height="100%" fill="white"/><g fill="{INK}">',
        *_panel(40, seconds, f"{FRONTAL} after filter ({band}), µV", (-260, 260), (-200, -100, 0, 100, 200)),
        _path(_envelope(trace, 40, (-260, 260)), LINE),
        *_panel(
            HEIGHT + 90,
            seconds,
            f"{OCCIPITAL}: alpha, 8–13 Hz, after filter and bandpower, µV²",
            (0, 300),
            (0, 100, 200, 300),
        ),
        _path(list(zip(_x(analysis.times_s(), seconds), _y(alpha, HEIGHT + 90, (0, 300)), strict=True)), POWER),
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(time_s: NDArray[Any], seconds: float) -> NDArray[Any]:
    return LEFT + time_s / seconds * WIDTH


def _y(value: NDArray[Any], top: int, limits: tuple[float, float]) -> NDArray[Any]:
    low, high = limits
    scaled: NDArray[Any] = top + HEIGHT * (high - np.clip(value, low, high)) / (high - low)
    return scaled


def _panel(top: int, seconds: float, title: str, limits: tuple[float, float], marks: tuple[float, ...]) -> list[str]:
    """Title, grid and axes."""
    parts = [f'<text x="{LEFT}" y="{top - 12}">{title}</text>']
    for mark in marks:
        y = float(_y(np.array(mark), top, limits))
        parts.append(f'<path d="M{LEFT} {y:.1f}h{WIDTH}" stroke="{FAINT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{mark:g}</text>')
    for second in range(0, int(seconds) + 1, 10):
        x = LEFT + second / seconds * WIDTH
        parts.append(f'<path d="M{x:.1f} {top}v{HEIGHT}" stroke="{FAINT}"/>')
        parts.append(f'<text x="{x:.1f}" y="{top + HEIGHT + 17}" text-anchor="middle">{second} s</text>')
    return parts


def _envelope(trace: NDArray[Any], top: int, limits: tuple[float, float]) -> list[tuple[float, float]]:
    """Lowest and highest value of each column of the picture, so that no peak is left out."""
    points: list[tuple[float, float]] = []
    for column, piece in enumerate(np.array_split(trace, WIDTH)):
        low, high = _y(np.array([piece.min(), piece.max()]), top, limits).tolist()
        points += [(LEFT + column, low), (LEFT + column, high)]
    return points


def _path(points: list[tuple[float, float]], colour: str) -> str:
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{steps}" fill="none" stroke="{colour}"/>'


def main(path: str, picture: str = "docs/alpha.svg") -> None:
    recording = load(Path(path))
    ours = by_plugins(*recording)
    samples, powers = apart(ours, by_scipy(*recording))
    times, alpha = ours.times_s(), ours.band(OCCIPITAL, "alpha")
    print(f"against scipy: samples to {samples:.1e} of the rms, band powers to {powers:.1e}")
    for begin, end in ((18, 28), (30, 75), (76, 82)):
        median = np.median(alpha[(times >= begin) & (times < end)])
        print(f"{OCCIPITAL} alpha, {begin} to {end} s: median {median:.0f} µV²")
    Path(picture).write_text(draw(ours), encoding="utf-8")
    print(f"drawn: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:])
