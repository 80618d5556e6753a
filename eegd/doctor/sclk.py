"""The SPI clock: how fast the wires between computer and chips are, by conversions that must be as they are.

All channels carry the square wave, whose plateaus are known to a few codes. At each clock every status word and
every code is judged; the first clock with an error ends the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eegd.doctor.bench import Bench, Recording
from eegd.doctor.bytes_read import STATUS_NIBBLE, explain_frame
from eegd.doctor.check import Level, Result
from eegd.self_test import plateaus

__all__ = ["CLOCKS_HZ", "Damage", "damage_of", "sclk_check"]

CLOCKS_HZ = (1_000_000, 2_000_000, 4_000_000, 8_000_000, 10_000_000, 16_000_000, 20_000_000)
"""Asked for. A Pi 5 makes 7.69 and 14.29 MHz of 8 and 16."""
RATES_SPS = (1000, 500, 250)
WIRE_PART = 0.5
"""Of the period may go into clocking: the rest is this program's."""
FEW = 0.9
"""A clock is judged from this part of the conversions on."""
EDGE_SAMPLES = 4
"""Around each step of the square wave, where the filter is between its levels."""
PLATEAU_PART = 0.01
"""Of the step: far above noise at any gain, far below one wrong bit among the upper eight."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What was wrong in the conversions at one clock."""

    n: int
    """Conversions judged."""
    headers: int
    """With a status word other than it must be."""
    codes: int
    """With a code off its plateau."""
    example: bytes = b""
    """The first bad conversion of a chip, from its status word on."""

    @property
    def clean(self) -> bool:
        return not self.headers and not self.codes


def sclk_check(bench: Bench, frames: int) -> Iterator[Result]:
    """The fastest clock at which `frames` conversions are clean, against the configured one."""
    configured = bench.config.board.sclk_hz
    clean: list[int] = []
    for asked in sorted({*CLOCKS_HZ, configured}):
        made = bench.board.real_sclk_hz(asked)
        rate_sps = _rate_for(bench, made)
        if rate_sps is None:
            continue
        bench.change(input="test_signal", test_signal="fast", test_amplitude=1, rate_sps=rate_sps, sclk_hz=asked)
        recording = bench.record(frames, asked)
        if len(recording.raw) < FEW * frames:
            found = f"only {len(recording.raw)} of {frames} conversions at {_mhz(made)}"
            why = "edges stopped, or this computer was too busy to read in time"
            yield Result("SPI clock", Level.RED, found, why, "eegctl doctor, on a quiet computer")
            return
        damage = damage_of(recording, bench)
        if not damage.clean:
            yield _judge(bench, clean, made, damage)
            return
        clean.append(asked)
    found = (
        f"clean up to {_mhz(bench.board.real_sclk_hz(clean[-1]))}, {frames} conversions at each of {len(clean)} clocks"
    )
    yield Result("SPI clock", Level.OK, f"{found}; {_mhz(configured)} is configured")


def _judge(bench: Bench, clean: list[int], made: int, damage: Damage) -> Result:
    configured = bench.config.board.sclk_hz
    spoiled = f"at {_mhz(made)} {damage.headers + damage.codes} of {damage.n} conversions are damaged"
    why, mend = explain_frame(damage.example)
    if not damage.headers:
        why = "status words are right but codes are not: the wires are at their limit"
    if not clean:
        return Result("SPI clock", Level.RED, f"{spoiled}, at the slowest clock tried", why, mend)
    best = clean[-1]
    upto = f"clean up to {_mhz(bench.board.real_sclk_hz(best))}, {spoiled}"
    if best >= configured:
        return Result("SPI clock", Level.OK, f"{upto}; {_mhz(configured)} is configured")
    return Result(
        *("SPI clock", Level.RED, f"{upto}; {_mhz(configured)} is configured", f"samples will be lost as bad: {why}"),
        f"in the configuration: [board] sclk_hz = {best}",
    )


def _rate_for(bench: Bench, sclk_hz: float) -> int | None:
    """The fastest rate whose period leaves time beside the wire; None where even the slowest does not."""
    wire_s = 8 * bench.layout.n_bytes / sclk_hz
    return next((rate for rate in RATES_SPS if wire_s * rate <= WIRE_PART), None)


def _mhz(hz: float) -> str:
    return f"{hz / 1e6:.4g} MHz"


def damage_of(recording: Recording, bench: Bench) -> Damage:
    """Judges every status word and every code of conversions of the square wave."""
    layout, n = bench.layout, len(recording.raw)
    heads = np.zeros(n, bool)
    for at in layout.chip_offsets:
        heads |= recording.raw[:, at] >> 4 != STATUS_NIBBLE
        # Without lead-off detection its bits are zero: the nibble below, the next byte, and a half.
        heads |= (
            (recording.raw[:, at] & 0x0F != 0) | (recording.raw[:, at + 1] != 0) | (recording.raw[:, at + 2] > 0x0F)
        )
    codes = recording.codes(layout.channel_offsets).astype(np.float64)
    off = np.zeros(n, bool)
    for row in codes:
        off |= _off_plateau(row)
    off &= ~heads
    example = b""
    bad = np.flatnonzero(heads | off)
    if bad.size:
        example = _bad_part(recording.raw[bad[0]], layout.chip_offsets)
    return Damage(n, int(heads.sum()), int(off.sum()), example)


def _off_plateau(row: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Samples that are neither on one of the two levels nor in a step between them."""
    ordered = np.sort(row)
    # Medians of the halves, so that a few wild values do not move the levels.
    high, low = plateaus(np.clip(row, ordered[len(row) // 20], ordered[-1 - len(row) // 20]))
    tolerance = PLATEAU_PART * max(high - low, 1.0)
    on_level = (np.abs(row - high) <= tolerance) | (np.abs(row - low) <= tolerance)
    between = (row > low - tolerance) & (row < high + tolerance)
    above = np.abs(row - high) < np.abs(row - low)
    steps = np.flatnonzero(above[1:] != above[:-1])
    near = np.zeros(len(row), bool)
    for step in steps:
        near[max(0, step - EDGE_SAMPLES) : step + EDGE_SAMPLES + 1] = True
    return np.asarray(~(on_level | (between & near)))


def _bad_part(raw: NDArray[np.uint8], offsets: tuple[int, ...]) -> bytes:
    """From the first chip whose head is wrong; else the whole conversion."""
    for at in offsets:
        if raw[at] >> 4 != STATUS_NIBBLE:
            return raw[at:].tobytes()
    return raw.tobytes()
