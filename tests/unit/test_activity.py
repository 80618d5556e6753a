"""What the main thread of a plugin is in, as its control thread sees it."""

from __future__ import annotations

import pytest

from eegd import activity
from eegd.activity import Activity
from tests.unit.test_liveness import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(activity, "time", made)
    return made


def test_only_one_and_the_same_call_grows_old(clock: Clock) -> None:
    main = Activity(longest_step_s=1.0)
    for number in range(3):
        before = main.enter("process", number)
        call, seconds = main.look()
        assert call is not None
        assert (call.method, call.frame_number, seconds) == ("process", number, 0.0)
        clock.now_s += 0.5
        assert main.look() == (call, 0.5)
        main.leave(before)
        clock.now_s += 0.5
        assert main.look() == (None, 0.0)


def test_a_step_counts_no_longer_than_it_can_be(clock: Clock) -> None:
    main = Activity(longest_step_s=1.0)
    main.enter("process", 1)
    main.look()
    clock.now_s += 3600  # stopped as a whole, and on again
    assert main.look()[1] == 1.0


def test_the_same_method_on_the_same_frame_is_another_call(clock: Clock) -> None:
    main = Activity(longest_step_s=1.0)
    main.leave(main.enter("process", 1))
    main.enter("process", 1)
    main.look()
    clock.now_s += 0.5
    main.leave(None)
    main.enter("process", 1)
    assert main.look()[1] == 0.0


def test_a_call_within_a_call_gives_way_to_it_again(clock: Clock) -> None:
    main = Activity(longest_step_s=1.0)
    before = main.enter("reset", 7)
    outer = main.call
    main.leave(main.enter("start"))
    assert main.call is outer
    main.leave(before)
    assert main.call is None
