"""The readers of a stream: who holds what, and that nothing is taken from under the sending thread when they leave."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from eegd.outlet import Outlet
from eegd.reader import Reader
from eegd.readers import Readers
from eegd.terms import Terms


class Scene:
    """Readers on the direct lane of an outlet without a sending thread: `outlet.idle` does its work."""

    def __init__(self, undo: contextlib.ExitStack) -> None:
        self.outlet = Outlet("s", n_slabs=64, n_channels=2, slab_samples=4, rate_sps=250)
        self.readers = Readers()
        self.readers.outlet = self.outlet
        self._undo = undo

    def connect(self, name: str, depth: int = 4, policy: str = "queue") -> Reader:
        """One that has asked, and has no place yet."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._undo.enter_context(ours)
        self._undo.enter_context(theirs)
        reader = Reader.of(ours)
        reader.terms = Terms(name, policy, "direct", depth)
        self.readers.add(reader)
        return reader

    def attach(self, name: str, depth: int = 4, policy: str = "queue") -> Reader:
        reader = self.connect(name, depth, policy)
        reader.make_page()
        reader.place = self.outlet.join(reader.page_fd, depth, policy, "direct", None)
        self.outlet.idle()
        return reader


def run(scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def on_loop() -> None:
        with contextlib.ExitStack() as undo:
            await scene(Scene(undo))

    asyncio.run(on_loop())


async def turns(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


def test_only_those_with_a_place_hold_credit_and_get_frames() -> None:
    async def scene(made: Scene) -> None:
        made.connect("early")
        made.attach("scope", 8)
        made.attach("view", 2, "latest")
        readers = made.readers
        assert len(readers) == 3 and readers.n_active == 2
        assert [(holder["name"], holder["depth"]) for holder in readers.holders()] == [("scope", 8), ("view", 2)]
        assert readers.held_by() == f"scope (pid {os.getpid()}) 8, view (pid {os.getpid()}) 2"
        assert [row["name"] for row in readers.table()] == ["scope", "view"]
        readers.outlet = None
        assert readers.n_active == 0 and readers.table() == []

    run(scene)


def test_who_holds_a_writer_up_is_named_though_others_came_before_and_have_no_place() -> None:
    async def scene(made: Scene) -> None:
        made.connect("lingers")
        scope, view = made.attach("scope"), made.attach("view")
        places = [reader.place for reader in (scope, view) if reader.place is not None]
        assert [made.readers.name_at(place) for place in places] == ["scope", "view"]
        assert made.readers.name_at(40) is None

    run(scene)


def test_a_page_outlives_its_reader_until_the_sending_thread_has_struck_it_off() -> None:
    async def scene(made: Scene) -> None:
        scope = made.attach("scope", 8)
        made.readers.part(scope)
        assert scope not in made.readers and scope.connection.fileno() == -1
        for _ in range(5):
            await asyncio.sleep(0)
        assert scope.page_fd >= 0 and made.readers.are_leaving and made.outlet.stats().promised == 8
        made.outlet.idle()
        await turns(lambda: not made.readers.are_leaving)
        assert scope.page_fd == -1 and made.outlet.stats().promised == 0

    run(scene)


def test_the_end_of_an_epoch_releases_all_who_have_left_at_once() -> None:
    async def scene(made: Scene) -> None:
        attached = [made.attach(name) for name in ("scope", "view")]
        for reader in made.readers:  # they leave while they are gone through
            made.readers.part(reader)
        made.readers.close_outlet()
        assert not made.readers and not made.readers.are_leaving and made.readers.outlet is None
        assert [reader.page_fd for reader in attached] == [-1, -1]
        for _ in range(5):
            await asyncio.sleep(0)  # what was on its way for them finds another epoch

    run(scene)


def test_who_leaves_before_it_has_a_place_is_released_at_once() -> None:
    async def scene(made: Scene) -> None:
        early = made.connect("early")
        early.make_page()
        made.readers.part(early)
        assert early.page_fd == -1 and not made.readers.are_leaving

    run(scene)


def test_missed_frames_are_reported_once_and_never_for_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    missed: dict[int | None, int] = {}

    def stats(_: Outlet, place: int) -> Any:
        return SimpleNamespace(missed=missed[place])

    async def scene(made: Scene) -> None:
        scope, view = made.attach("scope"), made.attach("view", 2, "latest")
        missed.update({scope.place: 0, view.place: 9})
        assert made.readers.new_misses() == []
        missed[scope.place] = 3
        assert made.readers.new_misses() == [(scope, 3)]
        assert made.readers.new_misses() == []
        missed[scope.place] = 4
        assert made.readers.new_misses() == [(scope, 1)]

    monkeypatch.setattr(Outlet, "reader_stats", stats)
    run(scene)
