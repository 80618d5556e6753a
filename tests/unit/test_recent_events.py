"""Which events are kept when there are more than can be."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import zmq

from eegd.events import KEPT, EventPublisher
from eegd.packet import send_packet
from eegd.recent_events import RecentEvents


def kept(kinds: list[str], most: int = 8) -> list[tuple[str, int]]:
    recent = RecentEvents(most, 10**6)
    for number, kind in enumerate(kinds):
        recent.append(number, {"kind": kind, "number": number}, 1)
    assert len(recent) == min(most, len(kinds))
    return [(str(event["kind"]), int(str(event["number"]))) for event in recent]


def test_the_latest_of_one_kind_are_kept() -> None:
    assert kept(["epoch"] * 20) == [("epoch", number) for number in range(12, 20)]


def test_a_flood_of_detections_leaves_a_loss_where_it_is() -> None:
    assert kept(["missed", *["detection"] * 1000, "marker", *["detection"] * 1000]) == [
        ("missed", 0),
        ("marker", 1001),
        *(("detection", number) for number in range(1996, 2002)),
    ]


def test_of_kinds_that_come_once_the_oldest_goes() -> None:
    assert kept([f"word {number}" for number in range(10)])[0] == ("word 2", 2)


def test_what_is_kept_is_in_order_and_no_kind_has_less_than_its_share() -> None:
    rng = random.Random(1)
    kinds = rng.choices(["detection", "marker", "missed", "bad"], [1000, 100, 10, 1], k=5000)
    events = kept(kinds, most=40)
    numbers = [number for _, number in events]
    assert numbers == sorted(numbers)
    counts = {kind: sum(found == kind for found, _ in events) for kind in set(kinds)}
    assert all(counts[kind] >= min(10, kinds.count(kind)) for kind in counts)


def test_long_events_leave_room_for_fewer_and_all_that_are_kept_fit_into_one_answer(directory: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with zmq.Context() as context, ours, theirs:
        events = EventPublisher(directory, context)
        events.post("epoch", "the first")
        for number in range(2 * KEPT):
            events.post("marker", 400 * "ж", value=number, note=680 * "ж")
        kept = list(events.recent)
        assert kept[0]["label"] == "the first" and kept[-1]["value"] == 2 * KEPT - 1
        assert 20 < len(kept) < KEPT
        send_packet(ours, {"ok": True, "events": kept})
        events.close()
