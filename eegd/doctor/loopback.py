"""How late edge stamps are at their least, which the stamps themselves cannot show: an output line of the header is
wired to an input line, driven low many times, and the kernel's stamps are compared with the clock around each time.

An edge comes after the clock was read and the driving system call began, and before the input was read as low: on a
Pi 5 the write itself may return before it has crossed the PCIe link, but not a read behind it. So each stamp is late
by `stamp - seen low` at least and by `stamp - before` at most.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fcntl import ioctl
from time import monotonic_ns, sleep
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from eegd.conversion import sample_period_ns
from eegd.doctor.check import Level, Result
from eegd.doctor.linescan import reserved
from eegd.errors import BoardError, ConfigError
from eegd.gpio import line_offsets, open_chip, request_loopback
from eegd.schema import near
from eegd.settings import BoardConfig

if TYPE_CHECKING:
    import gpiod

__all__ = ["Lateness", "Loop", "loopback_check"]

CHECK = "edge latency"
EDGES = 1000
EDGE_S = 0.1
"""How long an edge that was seen as a level may take to be reported."""
LOOKS = 1000
"""Reads of the input before it is said not to follow: some ms."""
GET_VALUES, SET_VALUES = 0xC010B40E, 0xC010B40F
"""GPIO_V2_LINE_GET_VALUES_IOCTL and its counterpart (include/uapi/linux/gpio.h)."""
VALUES = struct.Struct("=QQ")
"""struct gpio_v2_line_values: bits, mask."""
EVENT = struct.Struct("=QIIII24x")
"""struct gpio_v2_line_event: stamp, id, offset, two numbers."""
LOW, HIGH, ASK = VALUES.pack(0, 1), VALUES.pack(1, 1), VALUES.pack(0, 1)


@dataclass(frozen=True, slots=True)
class Lateness:
    """Bounds of each stamp's lateness, in ns. A stamp is never early, so a lower bound is at least 0."""

    lower_ns: NDArray[np.int64]
    upper_ns: NDArray[np.int64]

    @property
    def least_ns(self) -> tuple[int, int]:
        """Between which two the least lateness lies."""
        return int(self.lower_ns.min()), int(self.upper_ns.min())

    @property
    def text(self) -> str:
        """`least 0.40 … 1.20 µs, median …, 99 % …`"""
        at = (("least", 0), ("median", 50), ("99 %", 99))
        bounds = [(name, *(np.percentile(row, q) / 1e3 for row in (self.lower_ns, self.upper_ns))) for name, q in at]
        return ", ".join(f"{name} {low:.2f} … {high:.2f} µs" for name, low, high in bounds)


class Loop:
    """Two requested lines with a wire between them. One thread; the caller owns the requests.

    names: of output and input, for messages.
    """

    def __init__(self, out: gpiod.LineRequest, into: gpiod.LineRequest, names: tuple[str, str]) -> None:
        self._out, self._in = out.fd, into.fd
        self._names = names
        self._poll = select.poll()
        self._poll.register(self._in, select.POLLIN)

    def measure(self, n: int, pause_s: float) -> Lateness:
        """n edges, so far apart as a chip's, since an idle computer is slower to stamp. BoardError without a wire."""
        lower, upper = [], []
        self._drive(HIGH)
        self._seen(1)
        gc.disable()
        try:
            for _ in range(n):
                sleep(pause_s)
                before, seen, stamp = self._fall()
                lower.append(max(0, stamp - seen))
                upper.append(stamp - before)
                self._drive(HIGH)
                self._seen(1)
        finally:
            gc.enable()
        return Lateness(np.array(lower, np.int64), np.array(upper, np.int64))

    def _drive(self, level: bytes) -> None:
        ioctl(self._out, SET_VALUES, level)

    def _seen(self, level: int) -> int:
        """When the input was first read at this level."""
        for _ in range(LOOKS):
            answer = ioctl(self._in, GET_VALUES, ASK)
            now_ns = monotonic_ns()
            if VALUES.unpack(answer)[0] == level:
                return now_ns
        out, into = self._names
        raise BoardError(f"{into} does not follow {out}: it is {1 - level} where {out} is {level}")

    def _fall(self) -> tuple[int, int, int]:
        """Times before, and when the input was seen low, and the stamp between."""
        while self._poll.poll(0):  # of another program's noise, before ours
            self._stamps()
        before_ns = monotonic_ns()
        self._drive(LOW)
        seen_ns = self._seen(0)
        if not self._poll.poll(EDGE_S * 1000):
            out, into = self._names
            raise BoardError(f"{into} follows {out}, but its edges are not reported")
        [stamp_ns, *_] = self._stamps()
        if stamp_ns < before_ns:
            raise BoardError(f"an edge of {self._names[1]} is stamped {before_ns - stamp_ns} ns before it was made")
        return before_ns, seen_ns, stamp_ns

    def _stamps(self) -> list[int]:
        events = os.read(self._in, 64 * EVENT.size)
        return [stamp for stamp, *_ in EVENT.iter_unpack(events[: len(events) // EVENT.size * EVENT.size])]


def loopback_check(board: BoardConfig, out: str, into: str) -> Result:
    """Measures over the header's lines of these names, and says what to configure. Releases both as inputs."""
    try:
        lateness = _measure(board, out, into)
    except (BoardError, ConfigError, OSError) as error:
        why = "without a measurement a constant lateness stays in all times"
        mend = f"a jumper wire from {out} to {into}, two lines that nothing else uses"
        return Result(CHECK, Level.RED, str(error), why, mend, group="board")
    return _judge(lateness, board.edge_latency_ns)


def _judge(lateness: Lateness, configured_ns: int) -> Result:
    low, high = lateness.least_ns
    middle, half = (low + high) // 2, (high - low + 1) // 2
    found = f"{len(lateness.upper_ns)} edges are stamped late: {lateness.text}"
    if configured_ns and low <= configured_ns <= high:  # 0 is no measurement, even where it cannot be excluded
        known = f"the configured {configured_ns} ns lies within the bounds of the least, {middle} ± {half} ns"
        return Result(CHECK, Level.OK, f"{found}; {known}", group="board")
    why = (
        f"{configured_ns} ns are configured; the least is {middle} ± {half} ns, which is constant and is in all times. "
        "What comes on top of it varies, and the fit removes it"
    )
    return Result(
        CHECK, Level.NOTE, found, why, f"in the configuration: [board] edge_latency_ns = {middle}", group="board"
    )


def _measure(board: BoardConfig, out: str, into: str) -> Lateness:
    taken = reserved(board.spi, board.lines)
    for name in (out, into):
        if name in taken:
            raise ConfigError(f"{name} belongs to the board, SPI or the serial port and may not be driven")
    chip = open_chip(board.gpio_chip)
    with contextlib.closing(chip):
        offsets = line_offsets(chip)
        for name in (out, into):
            if name not in offsets:
                raise ConfigError(f"--loopback: GPIO chip {chip.path} has no line {name}; {near(name, offsets)}")
        with _requested(chip, offsets[out], offsets[into]) as (driven, watched):
            return Loop(driven, watched, (out, into)).measure(EDGES, sample_period_ns(board) / 1e9)


@contextlib.contextmanager
def _requested(chip: gpiod.Chip, out: int, into: int) -> Iterator[tuple[gpiod.LineRequest, gpiod.LineRequest]]:
    driven, watched = request_loopback(chip, out, into)
    try:
        yield driven, watched
    finally:
        watched.release()
        with contextlib.suppress(OSError):  # or some kernels would go on driving it
            driven.reconfigure_lines(cast(Any, {out: _input()}))
        driven.release()


def _input() -> gpiod.LineSettings:
    import gpiod

    return gpiod.LineSettings(direction=gpiod.line.Direction.INPUT)
