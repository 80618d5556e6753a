"""Clocks: a board whose chips have one each is split into boards of one chip, and what contradicts that is refused."""

from __future__ import annotations

import pytest

from eegd.clocks import split_clocks, stream_names
from eegd.config import Config, effective_toml, parse_config
from eegd.conversion import check_feasible
from eegd.errors import ConfigError
from eegd.registers import Register, registers_for

OWN = """
[board]
chips = ["ADS1299", "ADS1299-4"]
clocks = "own"
spi = ["/dev/spidev0.0", "/dev/spidev0.1"]
drdy_lines = ["GPIO26", "GPIO13"]
idle_lines = ["GPIO5", "GPIO6"]
[sim]
fclk_ppm = -1000
clock_spread_ppm = 5000
[montage]
labels = ["Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2", "F7", "F8"]
bias = true
"""
LINUX = OWN.replace("[board]", '[board]\nkind = "linux"')


def parsed(text: str) -> Config:
    return parse_config(text, "own.toml")


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    return str(caught.value)


def test_each_clock_gets_its_chip_its_lines_and_its_channels_by_label() -> None:
    first, second = split_clocks(parsed(LINUX))
    assert (first.board.chips, second.board.chips) == (("ADS1299",), ("ADS1299-4",))
    assert (first.board.spi, second.board.spi) == (("/dev/spidev0.0",), ("/dev/spidev0.1",))
    assert (first.board.drdy_line, second.board.drdy_line) == ("GPIO26", "GPIO13")
    assert (first.board.idle_line, second.board.idle_line) == ("GPIO5", "GPIO6")
    assert [(channel.label, channel.input) for channel in second.montage.channels] == [("F7", 1), ("F8", 2)]
    assert [channel.input for channel in first.montage.channels] == list(range(1, 9))
    assert (first.sim.fclk_ppm, second.sim.fclk_ppm) == (-1000, 4000)
    for part in (first, second):  # each is a whole configuration of one chip
        assert parse_config(effective_toml(part), "part").montage == part.montage
        assert part.board.clocks == "shared" and not part.board.drdy_lines
        assert check_feasible(part.board, part.montage) == []


def test_only_the_first_chip_drives_the_bias_electrode() -> None:
    first, second = (registers_for(part.board, part.montage)[0] for part in split_clocks(parsed(OWN)))
    assert (first[Register.CONFIG3], second[Register.CONFIG3]) == (0xEC, 0xE8)
    assert second[Register.BIAS_SENSP] == 0x03  # and still feeds it, where the board joins BIASINV


def test_one_clock_is_one_configuration_unchanged() -> None:
    config = parsed('[board]\nchips = ["ADS1299", "ADS1299"]')
    assert split_clocks(config) == [config] and stream_names(config) == ("raw",)


def test_the_streams_of_four_clocks_are_numbered_from_the_second_on() -> None:
    config = parsed('[board]\nchips = ["ADS1299-4", "ADS1299-4", "ADS1299-4", "ADS1299-4"]\nclocks = "own"')
    assert stream_names(config) == ("raw", "raw2", "raw3", "raw4")
    assert [part.board.first_chip for part in split_clocks(config)] == [0, 1, 2, 3]


REFUSED = {
    "one chip": (OWN.replace('"ADS1299", "ADS1299-4"', '"ADS1299"'), "clocks", "one chip has one clock"),
    "daisy": (OWN.replace("clocks", 'topology = "daisy"\nclocks'), "clocks", "must share a clock"),
    "clock out": (OWN.replace("clocks", "clock_out = true\nclocks"), "clock_out", "denies"),
    "start": (OWN.replace("clocks", 'start_line = "GPIO22"\nclocks'), "start_line", "cannot belong to several"),
    "one DRDY": (OWN.replace("clocks", 'drdy_line = "GPIO22"\nclocks'), "drdy_line", "drdy_lines, a list of 2"),
    "DRDY missing": (LINUX.replace('"GPIO26", "GPIO13"', '"GPIO26"'), "drdy_lines", "2 chips need 2 lines"),
    "no DRDY": (LINUX.replace('["GPIO26", "GPIO13"]', "[]"), "drdy_lines", "2 chips need 2 lines"),
    "DRDY twice": (OWN.replace('"GPIO13"', '"GPIO26"'), "drdy_lines", "already the drdy_line"),
    "DRDY idle": (OWN.replace('"GPIO6"', '"GPIO13"'), "idle_lines", "already the drdy_line"),
    "one idle": (OWN.replace('["GPIO5", "GPIO6"]', '["GPIO5"]'), "idle_lines", "none, or 2"),
    "SPI missing": (LINUX.replace(', "/dev/spidev0.1"', ""), "spi", "need 2 devices"),
    "chip without channel": (OWN.replace(', "F7", "F8"]', "]"), "montage", "chip 2 has a clock of its own"),
    "virtual time": (OWN.replace("fclk_ppm", 'clock = "virtual"\nfclk_ppm', 1), "clock", "in real time only"),
    "recording": (OWN + '[replay]\nfile = "night.bdf"', "file", "a recording has one clock"),
    "too fast": (OWN.replace("-1000", "24000"), "clock_spread_ppm", "chip 2 wrong by 29000 ppm"),
    "shared, spread": ("[sim]\nclock_spread_ppm = 100", "clock_spread_ppm", "cannot differ"),
    "shared, lines": ('[board]\ndrdy_lines = ["GPIO26"]', "drdy_lines", 'drdy_line = "GPIO26"'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_contradicts_clocks_of_their_own_is_refused_by_key_and_remedy(case: str) -> None:
    text, key, told = REFUSED[case]
    lines = [line for line in refusal(text).splitlines() if told in line]
    assert lines and key in lines[0] and lines[0].startswith("own.toml: [")


def test_a_cascade_by_shared_clock_is_still_warned_about_start_and_own_clocks_are_not() -> None:
    shared, own = parsed('[board]\nchips = ["ADS1299", "ADS1299"]'), parsed(OWN)
    assert any("START" in warning for warning in check_feasible(shared.board, shared.montage))
    assert check_feasible(own.board, own.montage) == []
