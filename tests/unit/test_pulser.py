"""Pulses: none unarmed, none too close or too many, and what each came to."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from eegd.errors import BoardError
from eegd.output_line import EmulatedLine
from eegd.pulser import MINUTE_NS, Limits, Pulser

WAIT_S = 20.0
WIDTH_NS, REFRACTORY_NS = 100_000, 50_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = 10**12 - REFRACTORY_NS

    def __call__(self) -> int:
        return self.now_ns


class Rig:
    def __init__(self, line: EmulatedLine, armed: bool = True, per_minute: int = 5) -> None:
        self.line, self.clock = line, Clock()
        self.limits = Limits(armed, WIDTH_NS, REFRACTORY_NS, per_minute)
        self.pulser = Pulser(line, self.limits, self.clock)
        self.clock.now_ns += REFRACTORY_NS

    def fire(self, after_ns: int = 0) -> bool:
        assert self.pulser.wait_idle(WAIT_S)
        self.clock.now_ns += after_ns
        return self.pulser.fire(self.clock.now_ns - 7)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig(EmulatedLine())
    yield rig
    rig.pulser.close()


def test_a_pulse_is_high_and_low_again_with_asked_and_done_times(rig: Rig) -> None:
    assert rig.fire()
    assert rig.pulser.wait_idle(WAIT_S) and not rig.line.high and rig.line.n_pulses == 1
    [pulse] = rig.pulser.taken()
    assert (pulse.cause_ns, pulse.asked_ns, pulse.done_ns) == (10**12 - 7, 10**12, 10**12)
    assert rig.pulser.taken() == []


def test_unarmed_nothing_is_driven_and_the_refusal_says_so() -> None:
    rig = Rig(EmulatedLine(), armed=False)
    assert not rig.fire() and rig.line.n_pulses == 0
    assert [pulse.why_not for pulse in rig.pulser.taken()] == ["not armed"]
    rig.pulser.set_limits(Limits(True, WIDTH_NS, REFRACTORY_NS, 5))
    assert rig.fire(), "a refusal counts for no refractory time"
    rig.pulser.close()


def test_within_the_refractory_time_there_is_none_and_at_its_end_the_next(rig: Rig) -> None:
    assert [rig.fire(), rig.fire(REFRACTORY_NS - 1), rig.fire(1)] == [True, False, True]
    assert rig.pulser.wait_idle(WAIT_S)
    assert [pulse.why_not for pulse in rig.pulser.taken()] == ["", "within 50 ms of the one before", ""]


def test_a_minute_brings_no_more_than_allowed(rig: Rig) -> None:
    fired = [rig.fire(REFRACTORY_NS) for _ in range(8)]
    assert fired == [True] * 5 + [False] * 3
    assert not rig.fire(MINUTE_NS - 8 * REFRACTORY_NS + REFRACTORY_NS - 1)
    assert rig.fire(1), "a minute after the first"
    assert rig.line.n_pulses <= 6


def test_closing_ends_a_pulse_that_is_on_and_leaves_the_line_low() -> None:
    line = EmulatedLine()
    pulser = Pulser(line, Limits(True, 1000 * 10**9, 0, 5))
    assert pulser.fire(0) and not pulser.fire(0)
    pulser.close()
    assert line.n_pulses == 1 and line.closed and not line.high
    assert not pulser.fire(0)
    assert [pulse.why_not for pulse in pulser.taken()] == ["a pulse is on", "", "the line is being given back"]


LONG_NS = 1000 * 10**9
"""A pulse that does not end by itself while a test runs."""


class Watched(EmulatedLine):
    """Says when it is high."""

    def __init__(self) -> None:
        super().__init__()
        self.is_high = threading.Event()

    def set(self, high: bool) -> None:
        super().set(high)
        if high:
            self.is_high.set()


def test_a_pulse_keeps_its_width_when_limits_change_in_its_midst() -> None:
    line = Watched()
    pulser = Pulser(line, Limits(True, LONG_NS, 0, 5))
    assert pulser.fire(0) and line.is_high.wait(WAIT_S)
    pulser.set_limits(Limits(True, 1, 0, 5))
    assert not pulser.wait_idle(0) and line.high
    assert not pulser.fire(0), "the one that is on counts still"
    pulser.close()
    assert [pulse.width_ns for pulse in pulser.taken() if not pulse.why_not] == [LONG_NS]


def test_disarming_ends_a_pulse_at_once() -> None:
    line = Watched()
    pulser = Pulser(line, Limits(True, LONG_NS, 0, 5))
    assert pulser.fire(0) and line.is_high.wait(WAIT_S)
    pulser.set_limits(Limits(False, LONG_NS, 0, 5))
    assert pulser.wait_idle(WAIT_S) and not line.high
    assert not pulser.fire(0)
    pulser.close()


def test_a_pulse_that_was_asked_for_and_disarmed_before_it_began_is_never_driven() -> None:
    rig = Rig(EmulatedLine())
    with rig.pulser._changed:  # its thread cannot begin before both have come
        assert rig.pulser.fire(rig.clock.now_ns)
        rig.pulser.set_limits(Limits(False, WIDTH_NS, REFRACTORY_NS, 5))
    assert rig.pulser.wait_idle(WAIT_S)
    [pulse] = rig.pulser.taken()
    assert (rig.line.n_pulses, pulse.done_ns, pulse.why_not) == (0, None, "disarmed before it began")
    rig.pulser.close()


def test_a_longer_refractory_time_holds_for_the_pulse_before_it_was_set(rig: Rig) -> None:
    assert rig.fire()
    rig.pulser.set_limits(Limits(True, WIDTH_NS, 4 * REFRACTORY_NS, 5))
    assert [rig.fire(2 * REFRACTORY_NS), rig.fire(2 * REFRACTORY_NS)] == [False, True]


def test_a_new_one_begins_with_the_refractory_time() -> None:
    clock = Clock()
    pulser = Pulser(EmulatedLine(), Limits(True, WIDTH_NS, REFRACTORY_NS, 5), clock)
    clock.now_ns += REFRACTORY_NS - 1
    assert not pulser.fire(0)
    assert pulser.taken()[0].why_not == "within 50 ms of the start"
    clock.now_ns += 1
    assert pulser.fire(0)
    pulser.close()


def test_on_another_line_the_pulses_of_the_one_before_count() -> None:
    rig = Rig(EmulatedLine(), per_minute=3)
    assert [rig.fire(), rig.fire(REFRACTORY_NS)] == [True, True]
    rig.pulser.close()
    rig.pulser = Pulser(EmulatedLine(), rig.limits, rig.clock, after=rig.pulser)
    assert [rig.fire(REFRACTORY_NS - 1), rig.fire(1), rig.fire(REFRACTORY_NS)] == [False, True, False]
    assert rig.pulser.wait_idle(WAIT_S)
    whys = [pulse.why_not for pulse in rig.pulser.taken()]
    assert whys == ["within 50 ms of the one before", "", "more than 3 a minute"]
    rig.pulser.close()


def test_a_line_that_fails_is_told_and_the_next_pulse_is_tried() -> None:
    class Broken(EmulatedLine):
        broken = True

        def set(self, high: bool) -> None:
            if high and self.broken:
                raise BoardError("line GPIO17: No such device")
            super().set(high)

    line = Broken()
    rig = Rig(line)
    assert rig.fire() and rig.pulser.wait_idle(WAIT_S)
    [pulse] = rig.pulser.taken()
    assert pulse.done_ns is None and pulse.why_not == "line GPIO17: No such device"
    line.broken = False
    assert rig.fire(REFRACTORY_NS) and rig.pulser.wait_idle(WAIT_S) and line.n_pulses == 1
    rig.pulser.close()
