"""What bytes from the chips mean when they are not what they should be."""

from __future__ import annotations

from eegd.registers import VARIANT_IDS, VARIANT_MASK

__all__ = ["STATUS_NIBBLE", "explain_frame", "explain_registers"]

STATUS_NIBBLE = 0b1100
"""First four bits of every chip's conversion (SBAS499C 9.4.4.2)."""

ZEROS = (
    "every byte is 00: no power or clock, CS not connected, RESET or PWDN held low, or MISO pulled low",
    "measure DVDD, AVDD and MISO (pin 21); check CS (pin 24) and that no other program drives MISO",
)
ONES = (
    "every byte is FF: MISO floats; no chip answers this chip select, or a level shifter is off",
    "check that the board is seated, CS (pin 24) and MISO (pin 21) are connected, and [board] spi",
)
LATE_BIT = (
    "the right bits, one place late: the SPI mode is 0 and must be 1, or the clock is too fast for the wires",
    "in the configuration: a lower [board] register_sclk_hz; and let no other program set the mode of this SPI device",
)
EARLY_BIT = (
    "the right bits, one place early: one SCLK edge too many, from noise on SCLK or a glitch on CS",
    "shorten the SPI wires, add ground beside SCLK, lower [board] sclk_hz",
)
GARBAGE = (
    "no bits that a chip sends: wiring, supplies or clock; the chip may still be in reset",
    "check the wiring of SCLK (pin 23), MOSI (pin 19), MISO (pin 21) and CS, and the chip's clock",
)


def explain_registers(registers: bytes, model: str) -> tuple[str, str]:
    """(why, what mends it) for a dump whose ID is wrong."""
    if not any(registers):
        return ZEROS
    if all(byte == 0xFF for byte in registers):
        return ONES
    others = [name for name, value in VARIANT_IDS.items() if registers[0] & VARIANT_MASK == value]
    if others:
        return f"wiring, supply and clock are well: an {others[0]} answers", "in the configuration: [board] chips"
    # The top bits of the ID are the chip's revision, and any value.
    if registers[0] << 1 & 0x1E == VARIANT_IDS[model] & 0x1E:
        return LATE_BIT
    return GARBAGE


def explain_frame(raw: bytes) -> tuple[str, str]:
    """(why, what mends it) for a chip's conversion without 1100 at its head."""
    if not any(raw):
        return ZEROS
    if all(byte == 0xFF for byte in raw):
        return ONES
    head = raw[0] >> 4
    if head & 0b0111 == STATUS_NIBBLE >> 1:
        return LATE_BIT
    if head & 0b1110 == STATUS_NIBBLE << 1 & 0b1110:
        return EARLY_BIT
    return GARBAGE
