"""Losses as events, at a rate that people and logs can bear: what a second brings is one event for each cause."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from eegd.capture import NativeEvent

__all__ = ["LossEvents"]

APART_S = 1.0


class LossEvents:
    """Tells the first loss of a cause at once, and those of the second after it together. Control thread only."""

    def __init__(self, post: Callable[[NativeEvent], None]) -> None:
        self._post = post
        self._told_s: dict[str, float] = {}
        self._waiting: dict[str, NativeEvent] = {}

    def take(self, event: NativeEvent, now_s: float) -> None:
        before = self._waiting.get(event.kind)
        self._waiting[event.kind] = event if before is None else dataclasses.replace(before, n=before.n + event.n)
        self.tell(now_s)

    def tell(self, now_s: float, *, all_of_them: bool = False) -> None:
        """Posts what is due; or all, as when an epoch ends."""
        for kind, event in list(self._waiting.items()):
            if all_of_them or now_s - self._told_s.get(kind, -APART_S) >= APART_S:
                del self._waiting[kind]
                self._told_s[kind] = now_s
                self._post(event)
