"""What the registers of chips say when they are read back: where they differ from what was written, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eegd.montage import CHIP_INPUTS
from eegd.registers import RESET_VALUES, VARIANT_IDS, VARIANT_MASK, Register, compared_bits

__all__ = ["RegisterReport", "explain_id", "find_differences", "tell_differences", "why_changed"]

MAX_NAMED_DIFFERENCES = 4
RESET_REGISTERS = (Register.CONFIG1, Register.CONFIG2, Register.CONFIG3, Register.CH1SET, Register.CH2SET)
"""Not all of them hold reset values in any set-up."""


@dataclass(frozen=True, slots=True)
class RegisterReport:
    """What a comparison of all registers read."""

    read: tuple[bytes | None, ...]
    """The 24 registers of each chip; None for a chip that cannot be read, inside a daisy chain."""

    @property
    def unverified(self) -> tuple[int, ...]:
        """Numbers, from 1, of the chips that could not be read back."""
        return tuple(number for number, dump in enumerate(self.read, 1) if dump is None)


def find_differences(
    registers: Sequence[bytes], dumps: Sequence[bytes | None], name: Callable[[int], str]
) -> list[str]:
    """A text for each register that does not read as written. dumps: None for a chip that cannot be read."""
    return [
        f"{name(chip)}: {register.name} ({register:02X}h): wrote {wrote[register]:02X}h, read {dump[register]:02X}h"
        for chip, (wrote, dump) in enumerate(zip(registers, dumps, strict=True))
        if dump is not None
        for register in Register
        if (wrote[register] ^ dump[register]) & compared_bits(register, wrote[register])
    ]


def tell_differences(differences: Sequence[str], dumps: Sequence[bytes | None]) -> str:
    """One line for a person."""
    text = "; ".join(differences[:MAX_NAMED_DIFFERENCES])
    if len(differences) > MAX_NAMED_DIFFERENCES:
        text += f"; and {len(differences) - MAX_NAMED_DIFFERENCES} more"
    if any(not any(dump) for dump in dumps if dump is not None):
        text += " (all zeros: the chip is unpowered, without clock, or not connected)"
    return text


def why_changed(dumps: Sequence[bytes | None], models: Sequence[str]) -> str:
    """Why registers that were as written are so no more; empty where nobody knows."""
    for dump, model in zip(dumps, models, strict=True):
        if dump is None or not any(dump):
            continue
        if dump[Register.ID] & VARIANT_MASK != VARIANT_IDS[model]:
            return f" ({explain_id(dump[Register.ID], model)})"
        if all(dump[register] == RESET_VALUES[register] for register in RESET_REGISTERS):
            return " (reset values: the chip lost its supply or was reset)"
    return ""


def explain_id(value: int, model: str) -> str:
    """What an ID that is not `model`'s usually means."""
    if value == 0x00:
        return "all zeros: no power or clock, CS or MISO not connected, or reset held low"
    if value == 0xFF:
        return "all ones: MISO floats; no chip answers this chip select, or a level shifter is off"
    for other, variant in VARIANT_IDS.items():
        if value & VARIANT_MASK == variant and value & ~VARIANT_MASK:
            return f"this is an {other} with {CHIP_INPUTS[other]} channels: correct [board] chips"
    if value << 1 & 0x1E == VARIANT_IDS[model] & 0x1E:
        return "these are the right bits one place late: the SPI mode is 0 and must be 1"
    return "check wiring, supplies and clock; the chip may still be in reset"
