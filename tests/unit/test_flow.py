"""Floods, on a clock of our own."""

from __future__ import annotations

from eegd.flow import Flow


def test_so_many_pass_in_a_second_and_the_others_are_counted() -> None:
    now_s = 50.0
    flow = Flow(3, lambda: now_s)
    assert [flow.passes() for _ in range(5)] == [True, True, True, False, False]
    now_s = 50.9
    assert not flow.passes()
    assert flow.take_stopped() == 3
    assert flow.take_stopped() == 0
    now_s = 51.0
    assert [flow.passes() for _ in range(4)] == [True, True, True, False]
    assert flow.take_stopped() == 1


def test_those_that_come_slowly_all_pass() -> None:
    now_s = 0.0
    flow = Flow(2, lambda: now_s)
    for _ in range(100):
        assert flow.passes()
        now_s += 0.5
    assert flow.take_stopped() == 0
