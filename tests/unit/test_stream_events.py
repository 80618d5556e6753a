"""What happens to a raw stream, as events: woken by the rings, in the words of the montage, and all of it at an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from eegd._native import ffi, lib
from eegd.capture import CHANNEL_STATES
from eegd.config import parse_config
from eegd.stream_events import StreamEvents

MONTAGE = parse_config("", "test").montage


class Published:
    """Stands in for EventPublisher, and keeps what it was given."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.told: Any = StreamEvents("raw", self, lambda: MONTAGE)  # type: ignore[arg-type]

    def post(self, kind: str, label: str, **facts: Any) -> None:
        self.events.append({"kind": kind, "label": label, **facts})

    @property
    def labels(self) -> list[str]:
        return [event["label"] for event in self.events]

    def native(self, kind: int, **fields: int) -> None:
        """As the capture thread posts."""
        event = ffi.new("struct eegd_event *", {"kind": kind, **fields})
        assert lib.eegd_events_post(self.told.ring.pointer, event) == 1


def run(scene: Callable[[Published], Awaitable[None]]) -> None:
    async def on_loop() -> None:
        await scene(Published())

    asyncio.run(on_loop())


def ended(states: tuple[int, ...] = (0,) * len(CHANNEL_STATES)) -> Any:
    """As much of a capture thread's last statistics as events need."""
    return SimpleNamespace(states=states)


def reader(policy: str, told_missed: int) -> Any:
    return SimpleNamespace(name="scope", pid=7, policy=policy, depth=8, told_missed=told_missed)


def test_what_a_thread_posts_is_published_without_being_asked_for_and_ends_a_wait() -> None:
    async def scene(published: Published) -> None:
        published.told.listen()
        waiting = asyncio.create_task(published.told.wait(60.0))
        await asyncio.sleep(0)
        published.native(lib.EEGD_EVENT_LOSS_MISSED, sample_index=41, a=3)
        await waiting
        (event,) = published.events
        assert (event["kind"], event["n"], event["sample_index"], event["source"]) == ("missed", 3, 41, "raw")
        published.told.close()
        published.native(lib.EEGD_EVENT_STALLED)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(published.events) == 1

    run(scene)


def test_a_channel_state_is_told_by_the_channels_label() -> None:
    async def scene(published: Published) -> None:
        railed, electrode_off = CHANNEL_STATES.index("railed"), CHANNEL_STATES.index("electrode off")
        published.native(lib.EEGD_EVENT_CHANNEL_STATE, a=railed, b=1, source=0)
        published.native(lib.EEGD_EVENT_CHANNEL_STATE, a=electrode_off, b=0, source=7)
        published.told.tell_faults()
        first, last = MONTAGE.on[0].label, MONTAGE.on[7].label
        assert published.labels == [f"{first}: railed", f"{last}: electrode on again"]

    run(scene)


def test_an_end_tells_losses_that_were_held_back_and_keeps_the_states_for_the_next_epoch() -> None:
    async def scene(published: Published) -> None:
        for index in range(5):
            published.native(lib.EEGD_EVENT_LOSS_BAD, sample_index=index, a=1)
        published.told.drain()
        assert published.labels == ["1 sample(s) lost: bad"]
        states = tuple(0b10 if name == "flat" else 0 for name in CHANNEL_STATES)
        published.native(lib.EEGD_EVENT_STALLED)
        published.told.end_epoch(ended(states))
        assert sum(event.get("n", 0) for event in published.events if event["kind"] == "bad") == 5
        assert "stalled" in published.labels
        assert published.told.states.report() == {MONTAGE.on[1].label: ["flat"]}
        assert tuple(published.told.states.masks(MONTAGE)) == states

    run(scene)


def test_misses_of_a_lossless_reader_are_an_alarm_and_those_of_others_are_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene(published: Published) -> None:
        published.told.tell_misses([(reader("lossless", 5), 2), (reader("queue", 3), 3), (reader("queue", 4), 1)])
        assert [event["kind"] for event in published.events] == ["alarm", "reader missed", "reader missed"]
        assert [event["value"] for event in published.events] == [2, 3, 1]

    run(scene)
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 2


def test_rings_are_reported_with_what_matters_most_first() -> None:
    async def scene(published: Published) -> None:
        published.native(lib.EEGD_EVENT_STALLED)
        report = published.told.ring_report()
        assert list(report) == ["faults", "markers", "detections", "reports"]
        assert [ring["depth"] for ring in report.values()] == [1, 0, 0, 0]

    run(scene)
