"""Which of a plugin's failures are told, on a clock of our own."""

from __future__ import annotations

from eegd.failures import TELL_EVERY_S, Failures


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_is_told_at_once_and_then_one_a_second_with_the_number_since() -> None:
    clock = Clock()
    failures = Failures(clock)
    told = []
    for number in range(3500):
        if failure := failures.note(number, {"time_ns": number}, f"error {number}"):
            told.append(failure)
        clock.now_s += TELL_EVERY_S / 1000
    assert [failure.frame_number for failure in told] == [0, 1000, 2000, 3000]
    assert [failure.n for failure in told] == [1, 1000, 1000, 1000]
    assert (told[1].place, told[1].text) == ({"time_ns": 1000}, "error 1000")


def test_those_that_were_not_told_are_once_it_is_time_although_no_more_come() -> None:
    clock = Clock()
    failures = Failures(clock)
    assert failures.rest() is None
    assert failures.note(1, {}, "a") is not None
    assert [failures.note(number, {}, "b") for number in (2, 3, 4)] == [None] * 3
    assert failures.rest() is None
    clock.now_s += TELL_EVERY_S
    rest = failures.rest()
    assert rest is not None
    assert (rest.frame_number, rest.n, rest.text) == (4, 3, "b")
    assert failures.rest() is None


def test_at_the_end_the_rest_is_told_at_once() -> None:
    failures = Failures(Clock())
    failures.note(1, {}, "a")
    failures.note(2, {}, "b")
    rest = failures.rest(over=True)
    assert rest is not None
    assert rest.n == 1
    assert failures.rest(over=True) is None
