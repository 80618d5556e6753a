"""The listening end of the runtime directory's sockets."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import threading
from pathlib import Path

import pytest

from eegd.listener import Listener


def knock(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(str(path))
    return client


def test_a_connection_is_handed_over_and_does_not_block(tmp_path: Path) -> None:
    async def work() -> None:
        came: asyncio.Queue[socket.socket] = asyncio.Queue()
        listener = Listener(tmp_path / "s", came.put_nowait)
        with knock(tmp_path / "s"), await came.get() as connection:
            assert not connection.getblocking()
        listener.close()
        assert not (tmp_path / "s").exists()

    asyncio.run(work())


def test_without_descriptors_it_rests_and_goes_on_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        came: asyncio.Queue[socket.socket] = asyncio.Queue()
        listener = Listener(tmp_path / "s", came.put_nowait)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with knock(tmp_path / "s"):
            free = os.dup(0)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
            try:
                while not caplog.records:
                    await asyncio.sleep(0)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert "nobody is let in for now" in caplog.text
            (await came.get()).close()
        listener.close()
        assert len(caplog.records) == 1

    asyncio.run(work())


def test_a_dead_name_of_an_earlier_owner_is_taken_over(tmp_path: Path) -> None:
    async def work() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
            dead.bind(str(tmp_path / "s"))
        Listener(tmp_path / "s", lambda connection: connection.close()).close()

    asyncio.run(work())


def test_who_sees_the_name_is_never_refused(tmp_path: Path) -> None:
    path, rounds = tmp_path / "s", 300
    turn = threading.Barrier(2)
    outcomes: list[str] = []

    def knock_as_soon_as_the_name_is_there() -> None:
        for _ in range(rounds):
            turn.wait()
            while not path.exists():
                pass
            try:
                knock(path).close()
                outcomes.append("let in")
            except OSError as error:
                outcomes.append(str(error))
            turn.wait()

    async def work() -> None:
        for _ in range(rounds):
            turn.wait()
            listener = Listener(path, lambda connection: connection.close())
            turn.wait()
            listener.close()

    knocker = threading.Thread(target=knock_as_soon_as_the_name_is_there)
    knocker.start()
    asyncio.run(work())
    knocker.join()
    assert outcomes == ["let in"] * rounds
