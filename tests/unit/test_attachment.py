"""A reader's attachment over epochs: renewed where the next one comes, given up where none will."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import zmq

from eegd.attach import AttachServer
from eegd.attachment import Attachment
from eegd.errors import EegdError, StreamEnded, StreamLost
from eegd.inlet import AttachRequest
from eegd.outlet import Outlet

DESCRIPTION: dict[str, object] = {
    **{"name": "s", "kind": "raw", "flags": [], "virtual_clock": False},
    **{"rate_sps": 250.0, "frame_samples": 4, "frames_per_s": 62.5, "delay_ns": 0},
    **{"channels": [{"label": "a", "unit": "µV"}], "chips": ["ADS1299"]},
}

T = TypeVar("T")


class Writer:
    """A stream without samples; its sending thread is the loop."""

    def __init__(self, directory: Path, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.directory = directory
        self._closed = False
        self.server = AttachServer("s", directory, context, lambda: DESCRIPTION)
        self.begin()

    def begin(self) -> None:
        self.outlet = Outlet("s", n_slabs=64, n_channels=1, slab_samples=4, rate_sps=250)
        self.server.begin_epoch(self.outlet)

    def close(self) -> None:
        if self.server.outlet is not None:
            self.server.end_epoch("stopped")
        if not self._closed:
            self._closed = True
            self.server.close()

    async def meanwhile(self, work: Callable[[], T]) -> T:
        """What a reader does, in its thread."""
        working = asyncio.create_task(asyncio.to_thread(work))
        while not working.done():
            if self.server.outlet is not None:
                self.outlet.idle()
            await asyncio.sleep(0.001)
        return await working

    async def attach(self, lane: str = "zeromq") -> Attachment:
        return await self.meanwhile(lambda: Attachment(AttachRequest("s", self.directory, "test", lane=lane), 20.0))


def run(directory: Path, scene: Callable[[Writer], Awaitable[None]]) -> None:
    async def on_loop() -> None:
        with zmq.Context() as context:
            writer = Writer(directory, context)
            await scene(writer)
            writer.close()

    asyncio.run(on_loop())


def test_an_epoch_that_follows_is_attached_to_behind_the_same_descriptor(directory: Path) -> None:
    async def scene(writer: Writer) -> None:
        attachment = await writer.attach()
        before, fd = attachment.inlet.info.stream_epoch, attachment.fileno()
        writer.server.end_epoch("reconfigured")
        writer.begin()
        await writer.meanwhile(lambda: attachment.renew(time.monotonic() + 20))
        assert attachment.n_epochs == 2 and attachment.is_open and attachment.ended is None
        assert attachment.inlet.info.stream_epoch == writer.outlet.stream_epoch != before
        assert attachment.fileno() == fd
        await writer.meanwhile(attachment.close)
        assert not attachment.is_open

    run(directory, scene)


def test_a_writer_that_stops_instead_of_beginning_anew_is_the_end(directory: Path) -> None:
    async def scene(writer: Writer) -> None:
        attachment = await writer.attach()
        writer.server.end_epoch("reconfigured")
        renewing = asyncio.create_task(asyncio.to_thread(attachment.renew, None))
        while not any(reader.depth for reader in writer.server.readers):
            await asyncio.sleep(0.001)
        writer.close()
        with pytest.raises(StreamEnded):
            await renewing
        assert attachment.ended is not None and attachment.ended.reason == "stopped"
        assert attachment.n_epochs == 1 and not attachment.is_open

    run(directory, scene)


def test_a_writer_that_does_not_come_back_in_time_is_lost_and_may_be_asked_for_again(directory: Path) -> None:
    async def scene(writer: Writer) -> None:
        attachment = await writer.attach()
        writer.server.end_epoch("failed")
        writer.close()
        for _ in range(2):
            with pytest.raises(StreamLost, match=r"'s' was lost and has not come back: .*No such file"):
                attachment.renew(time.monotonic())
        assert attachment.ended is None and attachment.n_epochs == 1

    run(directory, scene)


def test_who_has_no_time_to_attach_is_told_so_at_once(directory: Path) -> None:
    async def scene(writer: Writer) -> None:
        attachment = await writer.attach()
        attachment.may_renew = False
        writer.server.end_epoch("reconfigured")
        with pytest.raises(StreamLost, match="'s' is between two epochs"):
            attachment.renew(None)

    run(directory, scene)


def test_the_direct_lane_has_no_descriptor_and_says_why(directory: Path) -> None:
    async def scene(writer: Writer) -> None:
        attachment = await writer.attach("direct")
        with pytest.raises(EegdError, match=r"fileno\(\) needs lane='zeromq'"):
            attachment.fileno()
        await writer.meanwhile(attachment.close)

    run(directory, scene)


def test_one_that_is_to_end_while_no_epoch_comes_waits_no_more(directory: Path) -> None:
    async def scene(writer: Writer) -> None:
        stopping = threading.Event()
        request = AttachRequest("s", directory, "test", gives_up=stopping.is_set)
        attachment = await writer.meanwhile(lambda: Attachment(request, 20.0))
        writer.server.end_epoch("restarted")
        renewing = asyncio.create_task(writer.meanwhile(lambda: attachment.renew(time.monotonic())))
        while not writer.server._pending:
            await asyncio.sleep(0.001)
        stopping.set()
        with pytest.raises(StreamLost, match="given up while attaching"):
            await renewing
        attachment.close()

    run(directory, scene)
