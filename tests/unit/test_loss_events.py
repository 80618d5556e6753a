"""Losses as events: none is missing from the sum, and there is one a second for each cause."""

from __future__ import annotations

from eegd.capture import NativeEvent
from eegd.loss_events import LossEvents


def loss(kind: str, index: int, n: int = 1) -> NativeEvent:
    return NativeEvent(kind, index, 1000 * index, n, 0.0, 0, 0)


def test_the_first_loss_is_told_at_once_and_those_of_the_next_second_together() -> None:
    told: list[NativeEvent] = []
    losses = LossEvents(told.append)
    for i in range(300):
        losses.take(loss("bad", 10 + 2 * i, n=2), now_s=50 + i / 100)
    assert [(event.sample_index, event.n) for event in told] == [(10, 2), (12, 200), (212, 200)]
    losses.tell(52.99)
    assert len(told) == 3
    losses.tell(53.0)
    assert sum(event.n for event in told) == 600


def test_causes_do_not_wait_for_each_other_and_an_end_tells_all() -> None:
    told: list[NativeEvent] = []
    losses = LossEvents(told.append)
    for kind in ("bad", "late", "bad", "late"):
        losses.take(loss(kind, 5), now_s=7.0)
    assert [event.kind for event in told] == ["bad", "late"]
    losses.tell(7.1, all_of_them=True)
    assert [event.kind for event in told] == ["bad", "late"] * 2
    losses.tell(99.0, all_of_them=True)
    assert len(told) == 4
