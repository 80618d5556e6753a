"""Marker lines of this computer: how they are asked for, what is read from them, and who has them already."""

from __future__ import annotations

import select

import gpiod
import pytest

from eegd.config import parse_config
from eegd.edge_order import Edge
from eegd.errors import BoardError, ConfigError
from eegd.input_lines import GpioLines
from eegd.marker_lines import wanted_lines
from tests.unit.test_linux import WIRED, Computer, computer

__all__ = ["computer"]

INPUTS = """
[[marker]]
name = "button"
line = "GPIO20"
edge = "falling"
pull = "up"
[trigger]
lines = ["GPIO12", "GPIO5"]
strobe = "GPIO6"
"""
Direction, EdgeKind, Bias, Clock = gpiod.line.Direction, gpiod.line.Edge, gpiod.line.Bias, gpiod.line.Clock


def opened(computer: Computer, text: str = INPUTS) -> GpioLines:
    computer.add_chips()
    config = parse_config(WIRED + text, "eegd.toml")
    return GpioLines(config.board.gpio_chip, wanted_lines(config))


def test_all_lines_are_one_request_on_the_monotonic_clock_with_the_edges_that_count(computer: Computer) -> None:
    lines = opened(computer)
    [request] = computer.requests
    assert set(request.settings) == {20, 12, 5, 6} and request.consumer == "eegd-markers"
    assert request.event_buffer_size == 1024 and computer.open_chips == 0
    assert {settings.event_clock for settings in request.settings.values()} == {Clock.MONOTONIC}
    assert {settings.direction for settings in request.settings.values()} == {Direction.INPUT}
    asked = {offset: (settings.edge_detection, settings.bias) for offset, settings in request.settings.items()}
    assert asked == {
        20: (EdgeKind.FALLING, Bias.PULL_UP),
        12: (EdgeKind.BOTH, Bias.PULL_DOWN),
        5: (EdgeKind.BOTH, Bias.PULL_DOWN),
        6: (EdgeKind.RISING, Bias.PULL_DOWN),
    }
    lines.close()
    assert request.released


def test_edges_have_the_kernels_stamps_and_numbers_and_the_order_of_the_configuration(computer: Computer) -> None:
    lines = opened(computer)
    [request] = computer.requests
    assert not select.select([lines], [], [], 0)[0]
    request.rise(5, 1, 1_000)
    request.fall(20, 2, 2_000)
    request.high = {12, 6}
    assert select.select([lines], [], [], 0)[0]
    assert lines.read() == [Edge(1_000, 1, 2, True), Edge(2_000, 2, 0, False)]
    assert lines.levels() == 0b1010, "bit 1 is GPIO12, the first bit of the word, and bit 3 the strobe"
    lines.close()


def test_a_busy_line_is_named_with_who_has_it(computer: Computer) -> None:
    computer.used[12] = "psychopy"
    with pytest.raises(BoardError, match="line GPIO12 is in use by psychopy; stop that program first"):
        opened(computer)
    assert computer.open_chips == 0


def test_a_line_that_the_chip_does_not_have_is_named_with_its_place(computer: Computer) -> None:
    with pytest.raises(ConfigError, match=r'\[trigger\] lines = "GPIO99": GPIO chip pinctrl-rp1 .* has no line'):
        opened(computer, '[trigger]\nlines = ["GPIO99"]\n')
    with pytest.raises(ConfigError, match=r'\[\[marker\]\] line = "GPI5": .*did you mean GPIO5'):
        opened(computer, '[[marker]]\nname = "b"\nline = "GPI5"\n')
    assert computer.requests == [] and computer.open_chips == 0


def test_lines_whose_chip_is_gone_raise_a_board_error(computer: Computer) -> None:
    lines = opened(computer)
    computer.requests[0].hang_up()
    with pytest.raises(BoardError, match="GPIO lines of markers: No such device"):
        lines.levels()
    lines.close()
