"""Registers that were read back: what differs, what is not compared, and what it usually means."""

from __future__ import annotations

import pytest

from eegd.config import BoardConfig
from eegd.montage import standard_montage
from eegd.read_back import RegisterReport, explain_id, find_differences, tell_differences, why_changed
from eegd.registers import RESET_VALUES, Register, registers_for

WROTE = registers_for(BoardConfig(), standard_montage(("ADS1299",)))[0]


def changed(**registers: int) -> bytes:
    dump = bytearray(WROTE)
    for name, value in registers.items():
        dump[Register[name]] = value
    return bytes(dump)


def differences(dump: bytes | None) -> list[str]:
    return find_differences([WROTE], [dump], lambda chip: f"chip {chip + 1}")


def test_a_register_that_differs_is_named_with_both_values() -> None:
    assert differences(changed(CH3SET=0x81)) == ["chip 1: CH3SET (07h): wrote 60h, read 81h"]


def test_status_bits_revisions_and_levels_of_input_pins_may_differ() -> None:
    dump = changed(LOFF_STATP=0xFF, LOFF_STATN=0x01, GPIO=0xFF, ID=WROTE[Register.ID] | 0xE0)
    assert differences(dump) == []
    assert differences(None) == []
    assert RegisterReport((dump, None)).unverified == (2,)


def test_many_differences_are_told_as_four_and_a_number() -> None:
    dump = bytes(24)
    text = tell_differences(differences(dump), [dump])
    assert text.count("wrote") == 4 and " more (all zeros: the chip is unpowered" in text


def test_reset_values_are_a_lost_supply_and_another_id_is_explained() -> None:
    reset = bytearray(24)
    reset[Register.ID] = 0x3E
    for register, value in RESET_VALUES.items():
        reset[register] = value
    assert "lost its supply" in why_changed([bytes(reset)], ["ADS1299"])
    assert why_changed([changed(LOFF=0x02)], ["ADS1299"]) == ""
    assert "ADS1299-4" in why_changed([changed(ID=0x3C)], ["ADS1299"])


@pytest.mark.parametrize(
    ("value", "text"), [(0x00, "all zeros"), (0xFF, "MISO floats"), (0x1F, "SPI mode"), (0x42, "check wiring")]
)
def test_an_id_that_is_none_is_explained(value: int, text: str) -> None:
    assert text in explain_id(value, "ADS1299")
