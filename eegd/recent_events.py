"""The latest events, for those who come later: no kind that comes often pushes out those that come rarely."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

__all__ = ["RecentEvents"]


class RecentEvents:
    """At most `most` events. Where they are more, the kind that has the most loses its oldest. Control thread only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._n = 0
        self._by_kind: dict[str, deque[tuple[int, dict[str, object]]]] = {}

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[dict[str, object]]:
        """In the order in which they were told."""
        return (event for _, event in heapq.merge(*self._by_kind.values(), key=lambda item: item[0]))

    def append(self, number: int, event: dict[str, object]) -> None:
        """number: greater than that of any before."""
        self._by_kind.setdefault(str(event["kind"]), deque()).append((number, event))
        self._n += 1
        if self._n > self._most:
            self._drop()

    def _drop(self) -> None:
        kind, events = max(self._by_kind.items(), key=lambda item: (len(item[1]), -item[1][0][0]))
        events.popleft()
        self._n -= 1
        if not events:
            del self._by_kind[kind]
