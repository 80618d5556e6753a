"""Which line of the header has edges? For a DRDY that is wired to another pin than the configuration says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Protocol

from eegd.board import Board
from eegd.doctor.probe import GpioChip

__all__ = ["HeaderScan", "LineScan", "candidates", "reserved"]

SCAN_S = 0.5
HEADER = tuple(f"GPIO{number}" for number in range(4, 28))
"""Without the header's first I²C bus, which has pull-ups and devices on it."""
SPI_PINS = {
    "spidev0": {f"GPIO{number}" for number in range(7, 12)},
    "spidev1": {f"GPIO{number}" for number in range(16, 22)},
}
SERIAL_PINS = {"GPIO14", "GPIO15"}


class LineScan(Protocol):
    def rates(self, board: Board) -> dict[str, float]:
        """Falling edges per second on each line tried, while the chips convert."""


def reserved(spi: Collection[str], own: Collection[str | None]) -> set[str]:
    """Lines of the board, its SPI bus and the serial port, in use or not."""
    kept = {pin for bus, pins in SPI_PINS.items() if any(bus in name for name in spi) for pin in pins}
    return kept | SERIAL_PINS | {name for name in own if name is not None}


def candidates(chip: GpioChip, spi: Collection[str], own: Collection[str | None]) -> list[str]:
    """Free lines that may be made inputs: not the board's, not a bus's, used by nobody."""
    kept = reserved(spi, own)
    return [name for name in HEADER if name not in kept and chip.consumers.get(name) == ""]


class HeaderScan:
    """Requests the free lines of the header as inputs for half a second. Needs the package gpiod."""

    def __init__(self, chip: GpioChip, lines: list[str]) -> None:
        self._chip, self._lines = chip, lines

    def rates(self, board: Board) -> dict[str, float]:
        """OSError where a line was taken meanwhile."""
        import gpiod
        from gpiod.line import Direction, Edge

        if not self._lines:
            return {}
        settings = gpiod.LineSettings(direction=Direction.INPUT, edge_detection=Edge.FALLING)
        end_ns = board.now_ns() + int(SCAN_S * 1e9)
        edges: Counter[int] = Counter()
        wanted: tuple[str | int, ...] = tuple(self._lines)
        if self._chip.numbered:
            wanted = tuple(int(name.removeprefix("GPIO")) for name in self._lines)
        with gpiod.request_lines(
            self._chip.path, consumer="eegd-doctor", config={wanted: settings}, event_buffer_size=1024
        ) as request:
            while (left_ns := end_ns - board.now_ns()) > 0:
                if request.wait_edge_events(left_ns / 1e9):
                    edges.update(event.line_offset for event in request.read_edge_events())
            offsets = dict(zip(self._lines, request.offsets, strict=True))
        return {name: edges[offset] / SCAN_S for name, offset in offsets.items()}
