"""Digital inputs of this computer: their edges with stamps, and their levels, from gpiod or from an emulation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from eegd.edge_order import Edge
from eegd.errors import BoardError
from eegd.gpio import find_line, open_chip, request_inputs

if TYPE_CHECKING:
    import gpiod

__all__ = ["GpioLines", "InputLines", "Wanted"]

BATCH = 256


class Wanted(Protocol):
    """What is asked of one line."""

    @property
    def where(self) -> str:
        """What names it in the configuration, for messages: `[[marker]] line`."""
        ...

    @property
    def name(self) -> str: ...

    @property
    def pull(self) -> str: ...

    @property
    def rising(self) -> bool: ...

    @property
    def falling(self) -> bool: ...


class InputLines(Protocol):
    """Lines that were asked for together; they are numbered in the order of the request. One thread."""

    def fileno(self) -> int:
        """Readable while there are edges."""
        ...

    def read(self) -> list[Edge]:
        """Edges that wait, at most a batch; not blocking where the descriptor was readable. BoardError where the
        lines are gone."""
        ...

    def levels(self) -> int:
        """Now; bit n is line n."""
        ...

    def close(self) -> None: ...


class GpioLines:
    """Lines of the header's GPIO chip, in one request: so the kernel numbers their edges in the interrupt."""

    def __init__(self, label: str | None, lines: Sequence[Wanted]) -> None:
        """label: of the chip; None: the header's. BoardError or ConfigError name what this computer does not have, and
        who has a line already."""
        chip = open_chip(label)
        try:
            self._offsets = [find_line(chip, line.where, line.name) for line in lines]
            self._request: gpiod.LineRequest = request_inputs(
                chip,
                {
                    offset: (line.pull, line.rising, line.falling)
                    for offset, line in zip(self._offsets, lines, strict=True)
                },
            )
        finally:
            chip.close()
        self._number = {offset: number for number, offset in enumerate(self._offsets)}

    def fileno(self) -> int:
        return int(self._request.fd)

    def read(self) -> list[Edge]:
        try:
            events = self._request.read_edge_events(BATCH)
        except OSError as error:
            raise BoardError(f"GPIO lines of markers: {error.strerror}") from error
        return [
            Edge(
                event.timestamp_ns,
                event.global_seqno,
                self._number[event.line_offset],
                event.event_type is event.Type.RISING_EDGE,
            )
            for event in events
        ]

    def levels(self) -> int:
        try:
            values = self._request.get_values(self._offsets)
        except OSError as error:
            raise BoardError(f"GPIO lines of markers: {error.strerror}") from error
        return sum(int(value.value) << number for number, value in enumerate(values))

    def close(self) -> None:
        self._request.release()
