"""The latest events, for those who come later: no kind that comes often pushes out those that come rarely."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

__all__ = ["RecentEvents"]


class RecentEvents:
    """At most `most` events, of most_bytes together. Where they are more, the kind that has the most loses its oldest.
    Control thread only."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._n = 0
        self._n_bytes = 0
        self._by_kind: dict[str, deque[tuple[int, dict[str, object], int]]] = {}

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[dict[str, object]]:
        """In the order in which they were told."""
        return (event for _, event, _ in heapq.merge(*self._by_kind.values(), key=lambda item: item[0]))

    def append(self, number: int, event: dict[str, object], n_bytes: int) -> None:
        """number: greater than that of any before. n_bytes: of the event as JSON."""
        self._by_kind.setdefault(str(event["kind"]), deque()).append((number, event, n_bytes))
        self._n += 1
        self._n_bytes += n_bytes
        while self._n > self._most or (self._n_bytes > self._most_bytes and self._n > 1):
            self._drop()

    def _drop(self) -> None:
        kind, events = max(self._by_kind.items(), key=lambda item: (len(item[1]), -item[1][0][0]))
        _, _, n_bytes = events.popleft()
        self._n -= 1
        self._n_bytes -= n_bytes
        if not events:
            del self._by_kind[kind]
