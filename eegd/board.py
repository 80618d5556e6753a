"""The board as Python sees it: SPI transfers, lines, DRDY edges and time, over whichever C board lies below.

The driver talks to the chips through this class alone, so it cannot tell the emulated chip from a real one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from eegd._native import ffi, lib
from eegd.errors import BoardError

__all__ = ["Board", "Edge", "Line"]

Line = Literal["START", "RESET", "PWDN"]

_LINES: dict[str, int] = {
    "START": lib.EEGD_LINE_START,
    "RESET": lib.EEGD_LINE_RESET,
    "PWDN": lib.EEGD_LINE_PWDN,
}


@dataclass(frozen=True, slots=True)
class Edge:
    """One falling edge of DRDY."""

    drdy_ns: int
    """When it fell, on CLOCK_MONOTONIC (on a virtual clock: in the emulated chip's time)."""
    seq: int
    """The line's own count; a jump means edges that nobody can read any more."""


class Board:
    """Owns one `struct eegd_board *` until `close()`.

    Synchronization: one owner at a time. While a capture thread runs on `pointer`, only `wake()` may be
    called.
    """

    def __init__(self, pointer: Any, *, keep: object = None, real_sclk_hz: Callable[[int], int] | None = None) -> None:
        """Takes over `pointer`; holds on to `keep` (descriptors, C structs) as long as the board is open.

        real_sclk_hz: which SCLK its SPI controller makes of a request; None where it makes any.
        """
        if pointer == ffi.NULL:
            raise BoardError("no board: the pointer is NULL")
        self._pointer = pointer
        self._keep = keep
        self._real_sclk_hz = real_sclk_hz
        self.name = str(ffi.string(pointer.ops.name).decode("ascii", "replace"))
        """Which implementation this is, for messages; nothing may depend on it."""
        self.virtual_clock = bool(pointer.virtual_clock)
        """Whether time is the emulated chip's and runs as fast as its readers."""

    @property
    def pointer(self) -> Any:
        """The C board, for C code; dead after `close()`."""
        if self._pointer is None:
            raise BoardError("the board is closed")
        return self._pointer

    @property
    def closed(self) -> bool:
        return self._pointer is None

    def real_sclk_hz(self, requested_hz: int) -> int:
        """SCLK of a transfer with this speed; never above it."""
        return requested_hz if self._real_sclk_hz is None else self._real_sclk_hz(requested_hz)

    def transfer(self, tx: bytes, *, cs: int = 0, speed_hz: int, delay_us: int = 0) -> bytes:
        """Clocks `tx` out and as many bytes in; CS is low meanwhile and `delay_us` longer."""
        rx = ffi.new("uint8_t[]", len(tx))
        request = ffi.new("struct eegd_transfer *")
        out = ffi.from_buffer("uint8_t[]", tx)
        request.tx, request.rx, request.len = out, rx, len(tx)
        request.speed_hz, request.cs, request.delay_us = speed_hz, cs, delay_us
        status = lib.eegd_board_transfer(self.pointer, request, ffi.NULL)
        _check(status, f"SPI transfer of {len(tx)} bytes at {speed_hz / 1000:g} kHz, chip select {cs}")
        return bytes(ffi.buffer(rx))

    def set_line(self, line: Line, level: int) -> None:
        """Drives a pin of the chips to `level`; BoardError (ENOTSUP) where it is not wired."""
        if line not in _LINES:
            raise BoardError(f"no such line: {line}; there are {', '.join(_LINES)}")
        _check(lib.eegd_board_set_line(self.pointer, _LINES[line], level), f"setting line {line} to {level}")

    def now_ns(self) -> int:
        return int(lib.eegd_board_now(self.pointer))

    def sleep_ns(self, ns: int) -> None:
        """Waits in the board's own time: on a virtual clock at no cost."""
        _check(lib.eegd_board_sleep(self.pointer, ns), f"sleeping {ns} ns")

    def wait(self, timeout_ns: int) -> Edge | None:
        """The next DRDY edge, or None after `timeout_ns` (negative: no limit) or `wake()`.

        A replay that is over raises BoardError (ENODATA).
        """
        edge = ffi.new("struct eegd_edge *")
        if not _check(lib.eegd_board_wait(self.pointer, timeout_ns, edge), "waiting for DRDY"):
            return None
        return Edge(drdy_ns=int(edge.drdy_ns), seq=int(edge.seq))

    def drain(self) -> int:
        """Forgets pending edges; returns the sequence number of the last one so far."""
        seq = ffi.new("uint64_t *")
        _check(lib.eegd_board_drain(self.pointer, seq), "draining DRDY edges")
        return int(seq[0])

    def wake(self) -> None:
        """Ends a `wait` that is under way, or else the next one. From any thread."""
        lib.eegd_board_wake(self.pointer)

    def close(self) -> None:
        """Closes and frees the C board. Closing twice is harmless; everything else then raises BoardError."""
        if self._pointer is None:
            return
        pointer, self._pointer = self._pointer, None
        lib.eegd_board_close(pointer)
        self._keep = None

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check(status: int, tried: str) -> int:
    """Returns a count; turns -errno into a BoardError whose cause is the OSError, with its `errno`."""
    if status >= 0:
        return status
    number = -status
    name = errno.errorcode.get(number, f"errno {number}")
    raise BoardError(f"{tried}: {name} ({os.strerror(number)})") from OSError(number, os.strerror(number))
