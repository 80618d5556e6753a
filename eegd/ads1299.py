"""Driver of one to four ADS1299 on one board: power-up, registers, start and stop (SBAS499C 9.5, 9.6, 10.1).

It speaks through a Board alone. Conversions themselves are read by C code; this prepares the chips for it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from eegd._native import ffi
from eegd.board import Board
from eegd.config import BoardConfig
from eegd.conversion import (
    SLOWEST_CLOCK,
    ConversionLayout,
    check_feasible,
    conversion_layout,
    min_sclk_hz,
    sample_period_ns,
)
from eegd.errors import BoardError, ConfigError, ReadBackError
from eegd.montage import CHIP_INPUTS, Montage
from eegd.read_back import RegisterReport, explain_id, find_differences, tell_differences, why_changed
from eegd.registers import N_REGISTERS, VARIANT_IDS, VARIANT_MASK, Register, registers_for

__all__ = [
    "Ads1299",
    "ConversionLayout",
    "Opcode",
    "Register",
    "RegisterReport",
    "StartSequence",
    "check_feasible",
    "conversion_layout",
    "conversion_map",
    "min_sclk_hz",
    "registers_for",
    "sample_period_ns",
]

log = logging.getLogger(__name__)


class Opcode(IntEnum):
    NOP = 0x00
    WAKEUP = 0x02
    STANDBY = 0x04
    RESET = 0x06
    START = 0x08
    STOP = 0x0A
    RDATAC = 0x10
    SDATAC = 0x11
    RDATA = 0x12
    RREG = 0x20
    WREG = 0x40


COMMAND_DELAY_US = 3
"""Between a command's last bit and CS high: more than 4 tCLK of any clock, or the chip drops the command."""
CS_HIGH_NS = 2_000
"""More than 2 tCLK between two accesses."""
POWER_ON_NS = 180_000_000
"""tPOR = 2^18 tCLK: 128 ms at the nominal clock, 175 ms at the slowest one allowed."""
RESET_PULSE_NS = 10_000
RESET_NS = 50_000
"""More than 18 tCLK after a reset."""
WAKEUP_NS = 100_000
REFERENCE_NS = 150_000_000
"""Start-up of the internal reference."""
ID_ATTEMPTS = 5

WRITTEN_SPANS = (
    (Register.CONFIG1, Register.CONFIG3),
    (Register.LOFF, Register.CH8SET),
    (Register.BIAS_SENSP, Register.LOFF_FLIP),
    (Register.GPIO, Register.CONFIG4),
)
"""First and last register of each WREG: all that can be written."""


@dataclass(frozen=True, slots=True)
class StartSequence:
    """What begins conversions on all chips: the last step before the capture thread waits for DRDY."""

    uses_start_line: bool
    """Raise START; `start_bytes` is then empty. Line and command are not to be mixed."""
    start_bytes: tuple[tuple[int, bytes], ...]
    """(chip select, bytes) to send in this order. In a cascade the chip whose DRDY is watched starts last, so
    that the others' conversions are ready before its edge."""
    speed_hz: int
    delay_us: int
    """From the last bit to CS high."""


def conversion_map(layout: ConversionLayout) -> Any:
    """A new `struct eegd_conversion_map *` of this layout, owned by the caller."""
    cmap = ffi.new("struct eegd_conversion_map *")
    layout.fill(cmap)
    return cmap


class Ads1299:
    """The chips of one board. Does not own the board.

    Synchronization: none inside; call it only from the thread that owns the board, not while capturing.
    """

    def __init__(self, board: Board, config: BoardConfig, montage: Montage) -> None:
        """ConfigError for a set-up that cannot work."""
        self.warnings = check_feasible(config, montage, board.real_sclk_hz)
        """What may not work; for the operator."""
        self._board = board
        self._config = config
        self._registers = registers_for(config, montage)
        self._ids: dict[int, int] = {}
        self._reference_on = False

    @property
    def registers(self) -> list[bytes]:
        """What `configure` writes: 24 registers per chip, ID included."""
        return list(self._registers)

    @property
    def uses_start_line(self) -> bool:
        return self._config.start_line is not None

    @property
    def start_bytes(self) -> tuple[tuple[int, bytes], ...]:
        return self.start_sequence.start_bytes

    @property
    def start_sequence(self) -> StartSequence:
        """What to do after `prepare_start`, and nothing in between."""
        by_command = () if self.uses_start_line else reversed(self._buses())
        return StartSequence(
            uses_start_line=self.uses_start_line,
            start_bytes=tuple((cs, bytes([Opcode.START])) for cs in by_command),
            speed_hz=self._config.register_sclk_hz,
            delay_us=COMMAND_DELAY_US,
        )

    def id_of(self, chip: int) -> int | None:
        """ID register of a chip, from 0, as `power_up` read it; None inside a daisy chain."""
        return self._ids.get(chip)

    def power_up(self) -> None:
        """Brings the chips from any state to reset registers, stopped, ready for commands.

        BoardError when a chip does not give its ID, with what that usually means.
        """
        self._raise_lines()
        first, *others = self._buses()
        self._identify(first)
        if self._config.clock_out and len(self._config.chips) > 1:
            # The other chips live on this clock: only now does their power-on reset begin to run.
            self._write(first, Register.CONFIG1, self._bus_image(first)[Register.CONFIG1 : Register.CONFIG2])
            self._board.sleep_ns(POWER_ON_NS)
            self._command(first, Opcode.SDATAC)
        for cs in others:
            self._identify(cs)
        self._reference_on = False

    def configure(self) -> RegisterReport:
        """Writes every register of the stopped chips and reads it back. ReadBackError names what differs."""
        for cs in self._buses():
            self._write(cs, Register.CONFIG3, self._bus_image(cs)[Register.CONFIG3 : Register.LOFF])
        if self._config.internal_reference and not self._reference_on:
            self._board.sleep_ns(REFERENCE_NS)
        self._reference_on = self._config.internal_reference
        for cs in self._buses():
            for first, last in WRITTEN_SPANS:
                self._write(cs, first, self._bus_image(cs)[first : last + 1])
        return self._compare()

    def verify(self) -> RegisterReport:
        """Compares all registers with what was written. Ends continuous reading (SDATAC) first."""
        self._command_all(Opcode.SDATAC)
        return self._compare()

    def inspect(self) -> str | None:
        """Stops conversions, then compares all registers: None where they are as written, else what was found.

        Nobody can say so of a chain, of which one chip can be read: another may have lost its registers.
        """
        self.stop()
        dumps = self._dumps()
        differences = self._differences(dumps)
        if not differences:
            unread = ", ".join(str(number) for number in RegisterReport(tuple(dumps)).unverified)
            return f"the registers of chip {unread} cannot be read back" if unread else None
        return tell_differences(differences, dumps) + why_changed(dumps, self._config.chips)

    def prepare_start(self) -> None:
        """Turns continuous reading on and forgets old edges; then follows the start sequence."""
        self._command_all(Opcode.RDATAC)
        self._board.drain()

    def start(self) -> None:
        """`prepare_start` and the start sequence, for callers without a capture thread."""
        self.prepare_start()
        sequence = self.start_sequence
        if sequence.uses_start_line:
            self._board.set_line("START", 1)
        for cs, tx in sequence.start_bytes:
            self._send(cs, tx)

    def stop(self) -> None:
        """Ends conversions and continuous reading, and waits until the one that was under way has given its edge."""
        if self.uses_start_line:
            self._board.set_line("START", 0)
        # SDATAC goes before any other command (SBAS499C 9.5.3.6).
        self._command_all(Opcode.SDATAC)
        if not self.uses_start_line:
            self._command_all(Opcode.STOP)
        # That edge must not be taken for the first one after the next start (SBAS499C 9.5.3, STOP).
        self._board.sleep_ns(int(sample_period_ns(self._config) / SLOWEST_CLOCK))

    def reconfigure(self, config: BoardConfig, montage: Montage) -> RegisterReport:
        """Stops and writes a new set-up. ConfigError, nothing touched, where that cannot work."""
        warnings = check_feasible(config, montage, self._board.real_sclk_hz)
        for key in ("kind", "chips", "topology", "spi", "start_line", "reset_line", "pwdn_line"):
            if getattr(config, key) != getattr(self._config, key):
                raise ConfigError(f"[board] {key} cannot change while the board is open: restart")
        self.stop()
        clock_changed = config.clock_out != self._config.clock_out
        self.warnings, self._config = warnings, config
        self._registers = registers_for(config, montage)
        if clock_changed:
            self.power_up()
        return self.configure()

    def _buses(self) -> range:
        """The chip selects: one per chip in a cascade, one for all in a daisy chain."""
        return range(len(self._config.chips) if self._config.topology == "cascade" else 1)

    def _bus_image(self, cs: int) -> bytes:
        """What to write under this chip select; in a chain of variants, what the largest one needs."""
        if self._config.topology == "cascade":
            return self._registers[cs]
        largest = max(range(len(self._registers)), key=lambda chip: CHIP_INPUTS[self._config.chips[chip]])
        return self._registers[largest]

    def _raise_lines(self) -> None:
        if self._config.start_line is not None:
            self._board.set_line("START", 0)
        if self._config.pwdn_line is not None:
            self._board.set_line("PWDN", 1)
        if self._config.reset_line is not None:
            self._board.set_line("RESET", 1)
        # Nobody knows when the supplies came up.
        self._board.sleep_ns(POWER_ON_NS)
        if self._config.reset_line is not None:
            self._board.set_line("RESET", 0)
            self._board.sleep_ns(RESET_PULSE_NS)
            self._board.set_line("RESET", 1)
            self._board.sleep_ns(RESET_NS)

    def _identify(self, cs: int) -> None:
        model = self._config.chips[cs]
        seen: list[int] = []
        for attempt in range(ID_ATTEMPTS):
            if attempt:
                self._recover_interface(cs)
            # NOP moves CS once, which puts the serial interface in step.
            for opcode in (Opcode.NOP, Opcode.SDATAC, Opcode.STOP, Opcode.RESET):
                self._command(cs, opcode)
            self._board.sleep_ns(RESET_NS)
            self._command(cs, Opcode.SDATAC)
            seen.append(self._read(cs, Register.ID, 1)[0])
            if seen[-1] & VARIANT_MASK == VARIANT_IDS[model]:
                self._ids[cs] = seen[-1]
                return
        values = ", ".join(f"{value:02X}h" for value in seen)
        raise BoardError(
            f"{self._name(cs)} (chip select {cs}) is no {model}: ID read {values} in {len(seen)} attempts; "
            f"{explain_id(seen[-1], model)}"
        )

    def _name(self, chip: int) -> str:
        return f"chip {self._config.first_chip + chip + 1}"

    def _recover_interface(self, cs: int) -> None:
        """For a chip that was left in standby, or is still powering up."""
        for opcode in (Opcode.SDATAC, Opcode.WAKEUP):
            self._command(cs, opcode)
        self._board.sleep_ns(WAKEUP_NS + POWER_ON_NS)

    def _compare(self) -> RegisterReport:
        dumps = self._dumps()
        if differences := self._differences(dumps):
            raise ReadBackError(tell_differences(differences, dumps))
        report = RegisterReport(tuple(dumps))
        if report.unverified:
            log.info(
                "daisy chain: the registers of chip %s cannot be read back", ", ".join(map(str, report.unverified))
            )
        return report

    def _dumps(self) -> list[bytes | None]:
        dumps: list[bytes | None] = [None] * len(self._registers)
        for cs in self._buses():
            dumps[cs] = self._read_all(cs)
        return dumps

    def _differences(self, dumps: Sequence[bytes | None]) -> list[str]:
        return find_differences(self._registers, dumps, self._name)

    def _read_all(self, cs: int) -> bytes:
        registers = self._read(cs, Register.ID, N_REGISTERS)
        if not any(registers):
            # A chip that reset itself, or missed SDATAC, is still in continuous reading.
            self._command(cs, Opcode.SDATAC)
            registers = self._read(cs, Register.ID, N_REGISTERS)
        return registers

    def _command_all(self, opcode: Opcode) -> None:
        for cs in self._buses():
            self._command(cs, opcode)

    def _command(self, cs: int, opcode: Opcode) -> None:
        self._send(cs, bytes([opcode]))

    def _write(self, cs: int, first: Register, values: bytes) -> None:
        self._send(cs, bytes([Opcode.WREG | first, len(values) - 1]) + values)

    def _read(self, cs: int, first: Register, count: int) -> bytes:
        return self._send(cs, bytes([Opcode.RREG | first, count - 1]) + bytes(count))[2:]

    def _send(self, cs: int, tx: bytes) -> bytes:
        """One command, slow enough for the chip to decode each byte before the next has come."""
        speed_hz = self._config.register_sclk_hz
        rx = self._board.transfer(tx, cs=cs, speed_hz=speed_hz, delay_us=COMMAND_DELAY_US)
        self._board.sleep_ns(CS_HIGH_NS)
        return rx
