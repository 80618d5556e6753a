"""One GPIO line that is driven: of the header through gpiod, or an emulated one. Low when opened and when closed."""

from __future__ import annotations

import contextlib
from typing import Protocol

from eegd.errors import BoardError
from eegd.gpio import find_line, open_chip, request_low, set_line

__all__ = ["EmulatedLine", "GpioOutput", "OutputLine"]


class OutputLine(Protocol):
    """Synchronization: one thread at a time."""

    name: str

    def set(self, high: bool) -> None:
        """Returns when it is driven so. BoardError where it cannot be."""
        ...

    def close(self) -> None:
        """Low, and given back. Harmless when repeated."""
        ...


class EmulatedLine:
    """Drives nothing; counts what it was asked for."""

    def __init__(self, name: str = "emulated line") -> None:
        self.name = name
        self.high = False
        self.n_pulses = 0
        self.closed = False

    def set(self, high: bool) -> None:
        self.n_pulses += high and not self.high
        self.high = high

    def close(self) -> None:
        self.high = False
        self.closed = True


class GpioOutput:
    """A line of the header. BoardError or ConfigError name what is missing, and who has it already."""

    def __init__(self, name: str) -> None:
        self.name = name
        chip = open_chip(None)
        try:
            self._offset = find_line(chip, "line", name)
            self._request = request_low(chip, self._offset)
        finally:
            chip.close()
        self._closed = False

    def set(self, high: bool) -> None:
        try:
            set_line(self._request, self._offset, high)
        except OSError as error:
            raise BoardError(f"line {self.name}: {error.strerror}") from error

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(BoardError):
            self.set(False)
        self._request.release()
