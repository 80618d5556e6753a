"""The event ring as the control thread sees it: through its descriptor."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from eegd._native import ffi, lib


@pytest.fixture
def events() -> Iterator[Any]:
    ring = ffi.gc(lib.eegd_events_new(8), lib.eegd_events_free)
    yield ring
    ffi.release(ring)


def post(events: Any, a: int, kind: int = 0) -> int:
    event = ffi.new("struct eegd_event *", {"kind": kind, "sample_index": 7 * a, "time_ns": -a, "a": a})
    return int(lib.eegd_events_post(events, event))


def take(events: Any, most: int = 16) -> list[Any]:
    out = ffi.new("struct eegd_event[]", most)
    taken = out[0 : lib.eegd_events_take(events, out, most)]
    # Copies: out[i] refers to memory that goes with `out`, and the producer's next event may lie there.
    return [SimpleNamespace(number=event.number, sample_index=event.sample_index, a=event.a) for event in taken]


def stats(events: Any) -> dict[str, int]:
    seen = ffi.new("struct eegd_ring_stats *")
    lib.eegd_events_stats(events, seen)
    return {name: getattr(seen, name) for name in ("capacity", "depth", "peak", "posted", "taken", "dropped")}


def is_readable(events: Any) -> bool:
    return bool(select.select([lib.eegd_events_fd(events)], [], [], 0)[0])


def test_an_event_is_one_cache_line() -> None:
    assert ffi.sizeof("struct eegd_event") == 64


@pytest.mark.parametrize("capacity", [0, 1, 3, 100, 1 << 21])
def test_a_capacity_that_is_no_power_of_two_in_range_is_refused(capacity: int) -> None:
    assert lib.eegd_events_new(capacity) == ffi.NULL


def test_the_descriptor_is_readable_until_the_ring_was_found_empty(events: Any) -> None:
    assert not is_readable(events)
    for a in range(3):
        assert post(events, a) == lib.EEGD_RING_DONE
    assert [event.a for event in take(events, 2)] == [0, 1]
    assert is_readable(events)
    assert [event.sample_index for event in take(events)] == [14]
    assert not is_readable(events)


def test_what_finds_the_ring_full_is_counted_and_leaves_a_jump_in_the_numbers(events: Any) -> None:
    answers = [post(events, a) for a in range(11)]
    assert answers == [lib.EEGD_RING_DONE] * 8 + [lib.EEGD_RING_FULL] * 3
    assert stats(events) == {"capacity": 8, "depth": 8, "peak": 8, "posted": 8, "taken": 0, "dropped": 3}
    assert len(take(events)) == 8
    post(events, 11)
    assert [event.number for event in take(events)] == [11]
    assert stats(events) == {"capacity": 8, "depth": 0, "peak": 8, "posted": 9, "taken": 9, "dropped": 3}


def test_a_waiting_consumer_gets_every_event_of_another_thread_in_order(events: Any) -> None:
    room = threading.Semaphore(8)

    def produce() -> None:
        for a in range(3000):
            room.acquire()
            assert post(events, a) == lib.EEGD_RING_DONE

    producer = threading.Thread(target=produce)
    producer.start()
    seen: list[int] = []
    while len(seen) < 3000:
        assert select.select([lib.eegd_events_fd(events)], [], [], 60)[0], f"no wake after {len(seen)} events"
        for event in take(events, 3):
            seen.append(event.a)
            room.release()
    producer.join()
    assert seen == list(range(3000))
    assert take(events) == []  # clears the wake of a post whose event was taken while it was under way
    assert not is_readable(events)
