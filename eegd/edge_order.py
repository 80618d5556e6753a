"""Edges of several input lines in the order in which they were stamped, whatever the order in which they come.

The kernel stamps and numbers an edge in the interrupt, but a thread of each line hands it on, and these overtake each
other (drivers/gpio/gpiolib-cdev.c). So an edge is held until none from before it can still be under way.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Edge", "EdgeOrder"]


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """One edge. Ordered by its stamp, then by its number."""

    time_ns: int
    """CLOCK_MONOTONIC, stamped in the interrupt."""
    seq: int
    """Counts the edges of all the lines that were asked for together, from 1; a jump is edges that are lost."""
    line: int
    rising: bool


class EdgeOrder:
    """Synchronization: one thread. Nothing here asks for the time."""

    def __init__(self) -> None:
        self._held: list[Edge] = []
        self.n_given = 0
        self.n_numbered = 0
        """The highest number among those given out."""
        self._told_lost = 0
        self._until_ns: int | None = None
        self.n_late = 0
        """Edges that came after others with later stamps had been given out."""

    def __len__(self) -> int:
        """Edges that are held."""
        return len(self._held)

    @property
    def first_ns(self) -> int | None:
        """Stamp of the earliest edge that is held."""
        return self._held[0].time_ns if self._held else None

    def put(self, edge: Edge) -> None:
        heapq.heappush(self._held, edge)

    def take(self, until_ns: int) -> Iterator[Edge]:
        """Gives out, in order, the edges that were stamped up to then: no more of these are to come."""
        while self._held and self._held[0].time_ns <= until_ns:
            edge = heapq.heappop(self._held)
            self.n_late += self._until_ns is not None and edge.time_ns <= self._until_ns
            self.n_given += 1
            self.n_numbered = max(self.n_numbered, edge.seq)
            yield edge
        self._until_ns = until_ns if self._until_ns is None else max(until_ns, self._until_ns)

    @property
    def n_lost(self) -> int:
        """Edges that were numbered but are not among those given out."""
        return max(0, self.n_numbered - self.n_given)

    def newly_lost(self) -> int:
        """Those of n_lost that this has not told yet. What was told, and then came late after all, is forgotten."""
        n = self.n_lost - self._told_lost
        self._told_lost += n
        return max(0, n)
