"""The registers of the ADS1299 (SBAS499C section 9.6): names, fields, and what a montage wants in them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from eegd.config import BoardConfig
from eegd.errors import ConfigError
from eegd.montage import CHIP_INPUTS, Channel, Montage, locate_input

__all__ = [
    "GAIN_CODES",
    "N_REGISTERS",
    "RATE_CODES",
    "RESET_VALUES",
    "VARIANT_IDS",
    "VARIANT_MASK",
    "Register",
    "compared_bits",
    "registers_for",
]


class Register(IntEnum):
    """Addresses, by the datasheet's names."""

    ID = 0x00
    CONFIG1 = 0x01
    CONFIG2 = 0x02
    CONFIG3 = 0x03
    LOFF = 0x04
    CH1SET = 0x05
    CH2SET = 0x06
    CH3SET = 0x07
    CH4SET = 0x08
    CH5SET = 0x09
    CH6SET = 0x0A
    CH7SET = 0x0B
    CH8SET = 0x0C
    BIAS_SENSP = 0x0D
    BIAS_SENSN = 0x0E
    LOFF_SENSP = 0x0F
    LOFF_SENSN = 0x10
    LOFF_FLIP = 0x11
    LOFF_STATP = 0x12
    LOFF_STATN = 0x13
    GPIO = 0x14
    MISC1 = 0x15
    MISC2 = 0x16
    CONFIG4 = 0x17


N_REGISTERS = len(Register)

VARIANT_IDS = {"ADS1299": 0x1E, "ADS1299-6": 0x1D, "ADS1299-4": 0x1C}
VARIANT_MASK = 0x1F
"""The bits of ID that name the variant; the rest is the revision."""

RATE_CODES = {250: 6, 500: 5, 1000: 4, 2000: 3, 4000: 2, 8000: 1, 16000: 0}
GAIN_CODES = {1: 0, 2: 1, 4: 2, 6: 3, 8: 4, 12: 5, 24: 6}

CONFIG1_BASE = 0x90
"""Bit 6, /DAISY_EN, is 0 (daisy chain) in every set-up: chains need it, it is the reset value, and multiple
readback gives nothing to a reader that clocks each conversion once."""
CONFIG1_CLK_EN = 0x20

CONFIG2_BASE = 0xC0
CONFIG2_INT_CAL = 0x10
CONFIG2_CAL_AMP = 0x04
TEST_FREQUENCY_CODES = {"slow": 0, "fast": 1}

CONFIG3_BASE = 0x60
CONFIG3_REFERENCE_ON = 0x80
"""PD_REFBUF: 1 is on, against its name; so with PD_BIAS."""
CONFIG3_BIASREF_INT = 0x08
CONFIG3_BIAS_ON = 0x04

LEAD_OFF_CURRENT_CODES = {6: 0, 24: 1, 6000: 2, 24000: 3}
LEAD_OFF_MODE_CODES = {"off": 0, "dc": 0, "ac_7.8": 1, "ac_31.25": 2}
LEAD_OFF_THRESHOLD_CODES = {95: 0, 92.5: 1, 90: 2, 87.5: 3, 85: 4, 80: 5, 75: 6, 70: 7}

CHNSET_OFF = 0x81
"""Powered down, inputs shorted."""
CHNSET_SRB2 = 0x08
MUX_CODES = {"electrodes": 0, "shorted": 1, "test_signal": 5}

MISC1_SRB1 = 0x20
CONFIG4_COMPARATORS_ON = 0x02

SENSE_REGISTERS = (Register.BIAS_SENSP, Register.BIAS_SENSN, Register.LOFF_SENSP, Register.LOFF_SENSN)
MISSING_CHANNEL_REGISTERS = (*SENSE_REGISTERS, Register.LOFF_FLIP)


RESET_VALUES = {
    Register.CONFIG1: 0x96,
    Register.CONFIG2: 0xC0,
    Register.CONFIG3: 0x60,
    **dict.fromkeys((Register(address) for address in range(Register.CH1SET, Register.CH8SET + 1)), 0x61),
    Register.GPIO: 0x0F,
}
"""What is not 00h after a reset, ID aside (SBAS499C table 11)."""


def compared_bits(register: Register, wrote: int) -> int:
    """Which bits must read back as written: not status bits, and no GPIO data bit of an input pin."""
    if register is Register.ID:
        return VARIANT_MASK
    if register is Register.CONFIG3:
        return 0xFE
    if register in (Register.LOFF_STATP, Register.LOFF_STATN):
        return 0x00
    if register is Register.GPIO:
        return 0x0F | (~wrote & 0x0F) << 4
    return 0xFF


def registers_for(board: BoardConfig, montage: Montage) -> list[bytes]:
    """What the 24 registers of each chip shall hold, ID included (its variant bits), in order of the chips.

    The chips of a daisy chain hear every command together and share all settings: a montage that needs two
    different ones is a ConfigError. Their images differ only in what smaller variants do not have.
    """
    images = [_chip_image(board, montage, chip) for chip in range(len(board.chips))]
    if board.topology == "daisy" and len(images) > 1:
        return _chain_images(board, montage, images)
    return [bytes(image) for image in images]


def _chip_image(board: BoardConfig, montage: Montage, chip: int) -> bytearray:
    n_channels = CHIP_INPUTS[board.chips[chip]]
    image = bytearray(N_REGISTERS)
    image[Register.ID] = VARIANT_IDS[board.chips[chip]]
    image[Register.CONFIG1] = CONFIG1_BASE | RATE_CODES[board.rate_sps]
    if board.clock_out and chip == 0:
        image[Register.CONFIG1] |= CONFIG1_CLK_EN
    image[Register.CONFIG2] = _config2(board)
    image[Register.CONFIG3] = _config3(board, chip)
    image[Register.LOFF] = _loff(board)
    image[Register.CH1SET : Register.CH1SET + n_channels] = bytes([CHNSET_OFF]) * n_channels
    image[Register.GPIO] = board.gpio
    for index, channel in _channels_of_chip(board, montage, chip):
        _set_channel(image, board, index, channel)
    if board.lead_off_mode == "dc" and (image[Register.LOFF_SENSP] or image[Register.LOFF_SENSN]):
        image[Register.CONFIG4] = CONFIG4_COMPARATORS_ON
    return image


def _config2(board: BoardConfig) -> int:
    if board.input != "test_signal":
        return CONFIG2_BASE
    amplitude = CONFIG2_CAL_AMP if board.test_amplitude == 2 else 0
    return CONFIG2_BASE | CONFIG2_INT_CAL | amplitude | TEST_FREQUENCY_CODES[board.test_signal]


def _config3(board: BoardConfig, chip: int) -> int:
    value = CONFIG3_BASE
    if board.internal_reference:
        value |= CONFIG3_REFERENCE_ON
    if board.bias_amplifier:
        # One amplifier drives the body; the other chips only need its reference.
        value |= CONFIG3_BIASREF_INT | (CONFIG3_BIAS_ON if board.first_chip + chip == 0 else 0)
    return value


def _loff(board: BoardConfig) -> int:
    if board.lead_off_mode == "off":
        return 0x00
    threshold = LEAD_OFF_THRESHOLD_CODES[board.lead_off_threshold_percent]
    current = LEAD_OFF_CURRENT_CODES[board.lead_off_current_na]
    return threshold << 5 | current << 2 | LEAD_OFF_MODE_CODES[board.lead_off_mode]


def _channels_of_chip(board: BoardConfig, montage: Montage, chip: int) -> Iterator[tuple[int, Channel]]:
    """(index on the chip from 0, channel) of every channel that is on."""
    for channel in montage.on:
        its_chip, own_input = locate_input(board.chips, channel.input)
        if its_chip == chip:
            yield own_input - 1, channel


def _set_channel(image: bytearray, board: BoardConfig, index: int, channel: Channel) -> None:
    value = GAIN_CODES[channel.gain] << 4 | MUX_CODES[board.input]
    if board.input == "electrodes":
        if channel.p == "SRB2":
            value |= CHNSET_SRB2
        if channel.n == "SRB1":
            image[Register.MISC1] = MISC1_SRB1
        _set_sense(image, board, index, channel)
    image[Register.CH1SET + index] = value


def _set_sense(image: bytearray, board: BoardConfig, index: int, channel: Channel) -> None:
    """Bias drive and lead-off act where this channel's own electrode is: not on the common reference."""
    bit = 1 << index
    electrode_on_p, electrode_on_n = channel.p != "SRB2", channel.n != "SRB1"
    if channel.bias:
        image[Register.BIAS_SENSP] |= bit * electrode_on_p
        image[Register.BIAS_SENSN] |= bit * electrode_on_n
    if channel.lead_off and board.lead_off_mode != "off":
        image[Register.LOFF_SENSP] |= bit * electrode_on_p
        image[Register.LOFF_SENSN] |= bit * electrode_on_n


def _chain_images(board: BoardConfig, montage: Montage, images: list[bytearray]) -> list[bytes]:
    """One set of values for all chips; an input that is used on one chip is switched on in all of them."""
    shared = bytearray(images[0])
    users: dict[int, Channel] = {}
    for chip, image in enumerate(images):
        shared[Register.MISC1] |= image[Register.MISC1]
        shared[Register.CONFIG4] |= image[Register.CONFIG4]
        for index, channel in _channels_of_chip(board, montage, chip):
            first = users.setdefault(index, channel)
            _refuse_different_settings(board, index, first, channel)
    for index in range(max(CHIP_INPUTS.values())):
        shared[Register.CH1SET + index] = CHNSET_OFF
    for index, channel in users.items():
        _set_channel(shared, board, index, channel)
    return [_without_missing_channels(shared, model) for model in board.chips]


def _refuse_different_settings(board: BoardConfig, index: int, first: Channel, other: Channel) -> None:
    one, two = bytearray(N_REGISTERS), bytearray(N_REGISTERS)
    _set_channel(one, board, index, first)
    _set_channel(two, board, index, other)
    for register in (Register(Register.CH1SET + index), *SENSE_REGISTERS):
        if one[register] != two[register]:
            both = f"inputs {first.input} ({first.label}) and {other.input} ({other.label})"
            raise ConfigError(
                f"{both} share {register.name} as one channel of two chips in a daisy chain, but ask for "
                f"{one[register]:02X}h and {two[register]:02X}h: give both the same gain, electrode sides, "
                "bias and lead_off, or wire the board as a cascade"
            )


def _without_missing_channels(shared: bytearray, model: str) -> bytes:
    image, n_channels = bytearray(shared), CHIP_INPUTS[model]
    image[Register.ID] = VARIANT_IDS[model]
    image[Register.CH1SET + n_channels : Register.CH8SET + 1] = bytes(8 - n_channels)
    for register in MISSING_CHANNEL_REGISTERS:
        image[register] &= (1 << n_channels) - 1
    return bytes(image)
