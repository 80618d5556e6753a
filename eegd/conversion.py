"""The bytes of one conversion on the bus: where all lies in them, and whether they fit between two edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eegd.config import BoardConfig
from eegd.errors import ConfigError
from eegd.montage import CHIP_INPUTS, GAINS, Montage, locate_input, n_inputs
from eegd.registers import RATE_CODES, registers_for

__all__ = [
    "SLOWEST_CLOCK",
    "ConversionLayout",
    "check_feasible",
    "conversion_layout",
    "min_sclk_hz",
    "sample_period_ns",
]

MAX_CHIPS = 4
MAX_SCLK_HZ = 20_000_000
"""tSCLK ≥ 50 ns (SBAS499C 7.6)."""
CLOCK_TOLERANCE = 0.025
"""The internal oscillator over temperature (SBAS499C 7.5)."""
SLOWEST_CLOCK = 1 - CLOCK_TOLERANCE
KEEP_OUT_TCLK = 4
"""Before each DRDY edge the output register is renewed and must not be clocked (tUPDATE)."""
CS_HIGH_TCLK = 2
MAX_HARMLESS_CURRENT_NA = 24
PI_CALL_US, PI_EDGE_US = 20, 25
"""What an SPI call, and interrupt with wake-up, add to the wire time on a Raspberry Pi 5, as reported."""


@dataclass(frozen=True, slots=True)
class ConversionLayout:
    """One conversion of all chips, as the transfers of one DRDY edge deliver it."""

    n_bytes: int
    chip_offsets: tuple[int, ...]
    """Byte of each chip's status word."""
    channel_offsets: tuple[int, ...]
    """Byte of each plane's code; planes are the channels that are on, in file order."""
    lsb_uv: tuple[float, ...]
    """Microvolts per code of each plane; negative where the electrode is on N and the reference on P."""
    known_status: tuple[tuple[int, int], ...]
    """Per chip (mask, values) of the bits of its status word that are known beforehand."""
    transfers: tuple[tuple[int, int], ...]
    """(chip select, bytes) in bus order; their bytes follow each other."""

    def fill(self, cmap: Any) -> None:
        """Writes this layout into a `struct eegd_conversion_map *`."""
        cmap.n_chips, cmap.n_bytes, cmap.n_channels = len(self.chip_offsets), self.n_bytes, len(self.lsb_uv)
        for index, offset in enumerate(self.chip_offsets):
            cmap.chip_offset[index] = offset
            cmap.status_mask[index], cmap.status[index] = self.known_status[index]
        for index, (offset, lsb_uv) in enumerate(zip(self.channel_offsets, self.lsb_uv, strict=True)):
            cmap.channel_offset[index] = offset
            cmap.lsb_uv[index] = lsb_uv


def conversion_layout(board: BoardConfig, montage: Montage) -> ConversionLayout:
    """Layout of the conversions of these chips (SBAS499C 9.4.4.2, and 10.1.4 for several)."""
    sizes = [3 + 3 * CHIP_INPUTS[model] for model in board.chips]
    chip_offsets = tuple(sum(sizes[:chip]) for chip in range(len(sizes)))
    chained = board.topology == "daisy"
    places = [locate_input(board.chips, channel.input) for channel in montage.on]
    used = list(zip(montage.on, places, strict=True))
    return ConversionLayout(
        n_bytes=sum(sizes),
        chip_offsets=chip_offsets,
        channel_offsets=tuple(chip_offsets[chip] + 3 * own_input for chip, own_input in places),
        known_status=tuple(
            _known_status(
                board, any(channel.lead_off for channel, (its_chip, _) in used if chained or its_chip == chip)
            )
            for chip in range(len(sizes))
        ),
        lsb_uv=tuple(channel.sign * channel.lsb_uv for channel in montage.on),
        transfers=((0, sum(sizes)),) if chained else tuple(enumerate(sizes)),
    )


def _known_status(board: BoardConfig, has_lead_off: bool) -> tuple[int, int]:
    """1100, then 16 bits of the lead-off comparators, which are 0 while these are off, then the levels of four GPIO
    pins (SBAS499C 9.4.4.2).

    Pins that the chip drives say that it still has its registers: after a reset all are inputs. With the comparators
    on none of their bits is known: those of inputs without lead-off are to be ignored (LOFF_STATP, LOFF_STATN).
    """
    outputs = ~board.gpio & 0x0F
    comparators_off = board.lead_off_mode != "dc" or not has_lead_off
    mask = 0xF00000 | outputs | (0x0FFFF0 if comparators_off and board.check_lead_off_bits else 0)
    return mask, 0xC00000 | board.gpio >> 4 & outputs


def sample_period_ns(board: BoardConfig) -> float:
    """Nominal time between two DRDY edges."""
    return _sample_tclk(board.rate_sps) / board.fclk_hz * 1e9


def min_sclk_hz(board: BoardConfig, rate_sps: int | None = None) -> int:
    """The slowest SCLK, in whole kHz, that reads all chips between two edges, without any latency."""
    n_reads = 1 if board.topology == "daisy" else len(board.chips)
    tclk = _sample_tclk(rate_sps or board.rate_sps) - KEEP_OUT_TCLK - (n_reads - 1) * CS_HIGH_TCLK
    return math.ceil(_conversion_bits(board) * board.fclk_hz / tclk / 1000) * 1000


Sclk = Callable[[int], int]
"""The SPI clock that a controller makes of a request, both in Hz."""


def exact_sclk_hz(requested_hz: int) -> int:
    return requested_hz


def check_feasible(board: BoardConfig, montage: Montage, real_sclk_hz: Sclk = exact_sclk_hz) -> list[str]:
    """Raises ConfigError, with the numbers, for what cannot work. Returns warnings about what may not."""
    _check_chips(board)
    _check_values(board, montage)
    _check_bus(board, real_sclk_hz)
    registers_for(board, montage)
    return [*_chain_warnings(board, montage), *_linux_warnings(board, real_sclk_hz(board.sclk_hz))]


def _check_chips(board: BoardConfig) -> None:
    for model in board.chips:
        if model not in CHIP_INPUTS:
            raise ConfigError(f"[board] chips: {model} is unknown; there are {', '.join(CHIP_INPUTS)}")
    if not 1 <= len(board.chips) <= MAX_CHIPS:
        raise ConfigError(f"[board] chips: {len(board.chips)} chips; 1 to {MAX_CHIPS} are possible")
    n_devices = len(board.chips) if board.topology == "cascade" else 1
    if board.kind == "linux" and len(board.spi) != n_devices:
        raise ConfigError(
            f"[board] spi: {len(board.spi)} devices; a {board.topology} of {len(board.chips)} chips needs {n_devices}"
        )


def _check_values(board: BoardConfig, montage: Montage) -> None:
    if board.rate_sps not in RATE_CODES:
        offered = ", ".join(str(rate) for rate in RATE_CODES)
        raise ConfigError(f"[board] rate_sps = {board.rate_sps}: ADS1299 offers {offered}")
    inputs = n_inputs(board.chips)
    if len(montage.on) > inputs:
        raise ConfigError(f"[montage] {len(montage.on)} channels are on, but the chips have {inputs} inputs")
    if not montage.on:
        raise ConfigError("[montage] no channel is on")
    for channel in montage.on:
        if not 1 <= channel.input <= inputs:
            raise ConfigError(f"channel {channel.label}: input = {channel.input}: the chips have inputs 1 to {inputs}")
        if channel.gain not in GAINS:
            offered = ", ".join(str(gain) for gain in GAINS)
            raise ConfigError(f"channel {channel.label}: gain = {channel.gain}: ADS1299 offers {offered}")
    current_na, mode = board.lead_off_current_na, board.lead_off_mode
    if mode != "off" and current_na > MAX_HARMLESS_CURRENT_NA and not board.allow_high_lead_off_current:
        raise ConfigError(
            f"[board] lead_off_current_na = {current_na}: 6000 and 24000 need allow_high_lead_off_current "
            "= true (24 µA DC exceeds the 10 µA that IEC 60601-1 allows through a patient)"
        )


def _check_bus(board: BoardConfig, real_sclk_hz: Sclk) -> None:
    if board.sclk_hz > MAX_SCLK_HZ:
        raise ConfigError(f"[board] sclk_hz = {board.sclk_hz}: at most {MAX_SCLK_HZ} (one period is at least 50 ns)")
    fastest_hz = int(8 * board.fclk_hz * SLOWEST_CLOCK / KEEP_OUT_TCLK)
    if not 0 < board.register_sclk_hz <= fastest_hz:
        raise ConfigError(
            f"[board] register_sclk_hz = {board.register_sclk_hz}: at most {fastest_hz}, "
            "so that a command byte takes 4 tCLK even of a chip clock that is 2.5 % slow"
        )
    sclk_hz = real_sclk_hz(board.sclk_hz)
    if sclk_hz < min_sclk_hz(board):
        window_us = (_sample_tclk(board.rate_sps) - KEEP_OUT_TCLK) / board.fclk_hz * 1e6
        made = "" if sclk_hz == board.sclk_hz else f" (this computer makes {sclk_hz} of it)"
        raise ConfigError(
            f"[board] sclk_hz = {board.sclk_hz}{made}: {_conversion_bits(board)} bits take "
            f"{_wire_us(board, sclk_hz):.1f} µs, but at {board.rate_sps} SPS two edges leave {window_us:.1f} µs; "
            f"{_remedy(board, real_sclk_hz)}"
        )


def _remedy(board: BoardConfig, real_sclk_hz: Sclk) -> str:
    ways = []
    wanted = range(min_sclk_hz(board), MAX_SCLK_HZ + 1, 1000)
    if (enough := next((hz for hz in wanted if real_sclk_hz(hz) >= wanted.start), None)) is not None:
        ways.append(f"sclk_hz = {enough} or more")
    slower = [rate for rate in RATE_CODES if real_sclk_hz(board.sclk_hz) >= min_sclk_hz(board, rate)]
    if slower:
        ways.append(f"rate_sps = {max(slower)} or less")
    return f"needed: {' or '.join(ways)}" if ways else "no rate is slow enough"


def _chain_warnings(board: BoardConfig, montage: Montage) -> list[str]:
    if len(board.chips) == 1:
        return []
    if board.topology == "cascade":
        if board.start_line is None and board.clocks == "shared":
            return ["the chips of the cascade start one after another by command: wire START for one instant"]
        return []
    warnings = ["daisy chain: only the registers of chip 1 can be read back"]
    if board.bias_amplifier:
        warnings.append("daisy chain: the bias amplifier is on in every chip; connect BIASOUT of one only")
    if n_inputs(board.chips) > len(montage.on):
        warnings.append("daisy chain: an unused input is powered down only if it is unused in every chip")
    return warnings


def _linux_warnings(board: BoardConfig, sclk_hz: int) -> list[str]:
    if board.kind != "linux":
        return []
    if board.rate_sps == max(RATE_CODES):
        return [f"{board.rate_sps} SPS on a real board is experimental: 62.5 µs between two edges"]
    n_reads = 1 if board.topology == "daisy" else len(board.chips)
    needed_us = _wire_us(board, sclk_hz) + PI_EDGE_US + n_reads * PI_CALL_US
    period_us = sample_period_ns(board) / 1000
    if needed_us > period_us:
        return [
            f"reading takes about {needed_us:.0f} µs on a Raspberry Pi 5, of {period_us:.0f} µs per "
            "sample: expect late reads; raise sclk_hz or lower rate_sps"
        ]
    return []


def _sample_tclk(rate_sps: int) -> int:
    return 128 << RATE_CODES[rate_sps]


def _conversion_bits(board: BoardConfig) -> int:
    return sum(24 + 24 * CHIP_INPUTS[model] for model in board.chips)


def _wire_us(board: BoardConfig, sclk_hz: int) -> float:
    return _conversion_bits(board) / sclk_hz * 1e6
