# SPDX-License-Identifier: MIT
"""Without eegd: the chip reads as on a board with the ordinary spidev and gpiod of Python."""

import time
from datetime import timedelta

import gpiod
import numpy as np
import spidev
from numpy.typing import NDArray

from eegd.pattern import check_pattern, find_pattern
from tests.kernel.guest.kit import expect, load, row, status, violations

RATE = 250
FRAMES = 500


def find_line(name: str) -> tuple[str, int]:
    for number in range(16):
        try:
            with gpiod.Chip(f"/dev/gpiochip{number}") as chip:
                if chip.get_info().label == "pinctrl-rp1":
                    return f"/dev/gpiochip{number}", chip.line_offset_from_id(name)
        except OSError:
            continue
    raise SystemExit("no gpiochip has the label pinctrl-rp1")


def command(spi: spidev.SpiDev, *data: int) -> list[int]:
    return list(spi.xfer2(list(data), 2_000_000, 3))


def configure(spi: spidev.SpiDev) -> list[int]:
    command(spi, 0x11)
    command(spi, 0x06)
    time.sleep(0.001)
    command(spi, 0x11)
    command(spi, 0x43, 0, 0xE0)
    command(spi, 0x41, 0, 0x96)
    for channel in range(8):
        command(spi, 0x45 + channel, 0, 0x60)
    return command(spi, 0x20, 23, *[0] * 24)[2:]


def decode(frames: bytes) -> NDArray[np.int32]:
    raw = np.frombuffer(frames, np.uint8).reshape(-1, 27)[:, 3:].reshape(-1, 8, 3).astype(np.int32)
    codes = raw[..., 0] << 16 | raw[..., 1] << 8 | raw[..., 2]
    return np.asarray((codes - ((codes & 0x800000) << 1)).T)


def main() -> None:
    load()
    spi = spidev.SpiDev()
    spi.open(0, 0)
    spi.mode = 1
    registers = configure(spi)
    expect(registers[:4] == [0x3E, 0x96, 0xC0, 0xE0], f"registers read {registers}")
    path, offset = find_line("GPIO26")
    settings = gpiod.LineSettings(edge_detection=gpiod.line.Edge.FALLING)
    stamps: list[int] = []
    delays: list[int] = []
    frames = b""
    with gpiod.request_lines(path, {offset: settings}, "plain") as lines:
        command(spi, 0x10)
        command(spi, 0x08)
        while len(stamps) < FRAMES:
            expect(lines.wait_edge_events(timedelta(seconds=1)), "no DRDY edge within a second")
            events = lines.read_edge_events()
            frames += bytes(spi.xfer2([0] * 27, 4_000_000))
            delays.append(time.monotonic_ns() - events[-1].timestamp_ns)
            stamps += [event.timestamp_ns for event in events]
    codes = decode(frames)
    periods = np.diff(stamps)
    first = find_pattern(codes)
    expect(first == 0, f"the first conversion is {first}")
    expect(check_pattern(codes, 0) == 0, f"{check_pattern(codes, 0)} conversions of {FRAMES} are wrong")
    expect(not violations(), f"the chip was handled wrongly: {violations()}")
    expect(status()["overruns"] == 0, "conversions were lost")
    row(
        test="spidev and gpiod",
        frames=len(stamps),
        wrong=0,
        period_us=f"{periods.min() / 1e3:.1f} … {periods.max() / 1e3:.1f}",
        read_us=f"{np.median(delays) / 1e3:.1f} median, {max(delays) / 1e3:.1f} max",
    )


if __name__ == "__main__":
    main()
