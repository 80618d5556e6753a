"""How fast the signal blocks are: beside scipy and PyWavelets on the same input, and stage by stage at 20 kHz.

`make bench-dsp` prints it. Times are medians of calls from Python, so what a call costs by itself is in them, on both
sides; each pair is measured in turns within one run, and the results are compared before they are timed.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pywt
from numpy.typing import NDArray
from scipy import signal

from eegd.dwt import STAGES, Dwt, WaveletStream, max_levels
from eegd.sos import Sos

N_CHANNELS = 32
BLOCKS = (16, 400)
ROUNDS = 1000
LEVELS = 5
RATE_SPS = 20_000
BUDGET_US = 1e6 / RATE_SPS
SIMULATED_S = 2
WINDOW = 256
PYWT_NAMES = {"haar": "haar", "cdf53": "bior2.2", "db2": "db2"}


def machine() -> str:
    """Processor, cores and versions, as they belong beside every number."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            model = value.strip()
    virtual = ", virtual" if "hypervisor" in Path("/proc/cpuinfo").read_text(encoding="utf-8") else ""
    return (
        f"{model or platform.machine()}{virtual}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {version('scipy')}, "
        f"PyWavelets {pywt.__version__}"
    )


def version(package: str) -> str:
    from importlib import metadata

    return metadata.version(package)


def medians_us(*calls: Callable[[], object]) -> list[float]:
    """Median time of each, in µs; called in turns, so that what disturbs the machine disturbs all."""
    times = np.empty((ROUNDS, len(calls)))
    for call in calls:
        call()
    for row in times:
        for i, call in enumerate(calls):
            begin = time.perf_counter_ns()
            call()
            row[i] = time.perf_counter_ns() - begin
    return [float(median) / 1000 for median in np.median(times, axis=0)]


def noise(n_samples: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, 50, (N_CHANNELS, n_samples)).astype(np.float32)


def print_row(what: str, block: int, ours: float, theirs: float) -> None:
    print(f"{what:<38}{N_CHANNELS} × {block:<5}{ours:>9.1f} µs{theirs:>10.1f} µs{theirs / ours:>9.1f} ×")


def bench_sos(order: int, block: int) -> None:
    """A band-pass of `order` sections, with state carried from block to block on both sides."""
    sos = signal.butter(order, (1, 40), "bandpass", fs=250, output="sos")
    x, out = noise(block), np.empty((N_CHANNELS, block), np.float32)
    ours = Sos(sos, N_CHANNELS)
    zi = np.zeros((len(sos), N_CHANNELS, 2))
    expected, _ = signal.sosfilt(sos, x.astype(np.float64), axis=1, zi=zi)
    ours.run(x, out)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5 * np.abs(x).max())

    def scipy_call() -> None:
        nonlocal zi
        _, zi = signal.sosfilt(sos, x, axis=1, zi=zi)

    zi_32 = zi.astype(np.float32)
    sos_32 = sos.astype(np.float32)

    def scipy_float32_call() -> None:
        nonlocal zi_32
        _, zi_32 = signal.sosfilt(sos_32, x, axis=1, zi=zi_32)

    mine, scipys, scipys_32 = medians_us(lambda: ours.run(x, out), scipy_call, scipy_float32_call)
    print_row(f"Sos, {len(sos)} sections : sosfilt", block, mine, scipys)
    print_row(f"Sos, {len(sos)} sections : sosfilt, float32", block, mine, scipys_32)


def bench_dwt(wavelet: str, block: int) -> None:
    """The same number of levels on both sides, as many as PyWavelets allows up to LEVELS."""
    levels = min(LEVELS, max_levels(wavelet, block))
    x, dwt = noise(block), Dwt(wavelet, block, levels)
    expected = np.concatenate(pywt.wavedec(x, PYWT_NAMES[wavelet], mode="symmetric", level=levels), axis=1)
    np.testing.assert_allclose(dwt.forward(x), expected, rtol=0, atol=1e-5 * np.abs(x).max())
    mine, pywts = medians_us(
        lambda: dwt.forward(x),
        lambda: pywt.wavedec(x, PYWT_NAMES[wavelet], mode="symmetric", level=levels),
    )
    print_row(f"Dwt {wavelet}, {levels} level{'s' * (levels > 1)} : wavedec", block, mine, pywts)


def simulate(frame: int, step: int) -> None:
    """Signal at 20 kHz through a filter, the transform and all that follows, frame by frame as fast as it goes."""
    n_frames = SIMULATED_S * RATE_SPS // frame
    x = noise(frame * 64)
    stream = WaveletStream(
        "db2",
        n_channels=N_CHANNELS,
        n_window=WINDOW,
        n_step=step,
        n_levels=LEVELS,
        trip_threshold=400,
        n_stage_frames=n_frames,
        sos=Sos(signal.butter(4, (1, 3000), "bandpass", fs=RATE_SPS, output="sos"), N_CHANNELS),
    )
    stream.measure_stages(True)
    preempted = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    for number in range(n_frames):
        at = number % 64 * frame
        for _ in stream.push(x[:, at : at + frame], number * frame):
            pass
    preempted = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - preempted
    times = stream.stage_times_ns(n_frames) / 1000
    budget = BUDGET_US * frame
    print(
        f"\nframes of {frame} sample{'s' * (frame > 1)}, a window of {WINDOW} every {step}: "
        f"{n_frames} frames, {budget:.0f} µs each; other programs took the processor {preempted} times"
    )
    print(f"{'µs a frame':<12}{'p50':>9}{'p99':>9}{'p99.9':>9}{'p99.9 of the budget':>22}")
    done = times[:, STAGES.index("dwt")] > 0
    rows = [(name, times[:, i] if name in ("copy", "filter") else times[done, i]) for i, name in enumerate(STAGES)]
    for name, values in [*rows, ("all", times.sum(axis=1))]:
        p50, p99, p999 = np.percentile(values, (50, 99, 99.9))
        print(f"{name:<12}{p50:>9.2f}{p99:>9.2f}{p999:>9.2f}{p999 / budget:>20.0%}")


def main() -> None:
    print(f"machine: {machine()}\n")
    print(f"{'median of ' + str(ROUNDS) + ' calls':<38}{'block':<10}{'eegd':>12}{'other':>13}{'ratio':>11}")
    for block in BLOCKS:
        for order in (2, 4):
            bench_sos(order, block)
    for block in BLOCKS:
        for wavelet in PYWT_NAMES:
            bench_dwt(wavelet, block)
    print(f"\n20 kHz, {N_CHANNELS} channels: filter of 4 sections, db2 over {LEVELS} levels, energies, trip, publish")
    print(f"budget: {BUDGET_US:.0f} µs a sample; stages after the filter are of frames that complete a window")
    simulate(frame=1, step=1)
    simulate(frame=1, step=16)
    simulate(frame=16, step=16)


if __name__ == "__main__":
    main()
