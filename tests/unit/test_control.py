"""The control socket: operations that take their time hold up nobody else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from eegd.control import Answer, ControlServer, Operation
from eegd.errors import ConfigError
from eegd.packet import receive_packet, send_packet
from eegd.runtime_dir import CONTROL_SOCKET


class Asker:
    """One client in the loop of the server itself."""

    def __init__(self, directory: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        self.socket.connect(str(directory / CONTROL_SOCKET))

    def ask(self, operation: str) -> None:
        send_packet(self.socket, {"op": operation})

    async def answer(self) -> dict[str, Any]:
        while True:
            try:
                received = receive_packet(self.socket)
            except BlockingIOError:
                await asyncio.sleep(0)
                continue
            assert received is not None
            return received[0]


def run(directory: Path, work: Any) -> None:
    async def all_of_it() -> None:
        release = asyncio.Event()

        async def slow(_: Mapping[str, Any]) -> Answer:
            await release.wait()
            return {"slow": True}

        async def refused(_: Mapping[str, Any]) -> Answer:
            raise ConfigError("not so")

        async def broken(_: Mapping[str, Any]) -> Answer:
            raise KeyError("a bug")

        operations: dict[str, Operation] = {
            "slow": slow,
            "quick": lambda _: {"quick": True},
            "refused": refused,
            "broken": broken,
        }
        server = ControlServer(directory, operations)
        try:
            await work(server, release)
        finally:
            server.close()

    asyncio.run(all_of_it())


def test_while_one_waits_for_its_answer_others_are_served(tmp_path: Path) -> None:
    async def work(_: ControlServer, release: asyncio.Event) -> None:
        patient, other = Asker(tmp_path), Asker(tmp_path)
        patient.ask("slow")
        patient.ask("quick")  # comes after it
        other.ask("quick")
        assert await other.answer() == {"ok": True, "quick": True}
        release.set()
        assert [await patient.answer(), await patient.answer()] == [
            {"ok": True, "slow": True},
            {"ok": True, "quick": True},
        ]

    run(tmp_path, work)


def test_refusals_and_bugs_of_slow_operations_are_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work(_: ControlServer, release: asyncio.Event) -> None:
        asker = Asker(tmp_path)
        for operation, error in (("refused", "not so"), ("broken", "internal error: KeyError: 'a bug'")):
            asker.ask(operation)
            assert await asker.answer() == {"ok": False, "error": error}
        assert "operation 'broken' failed" in caplog.text

    run(tmp_path, work)


def test_the_end_of_the_server_ends_what_is_being_worked_on(tmp_path: Path) -> None:
    askers = []

    async def work(_: ControlServer, release: asyncio.Event) -> None:
        asker, other = Asker(tmp_path), Asker(tmp_path)
        asker.ask("slow")
        other.ask("quick")
        await other.answer()
        askers.append(asker)

    run(tmp_path, work)
    assert receive_packet(askers[0].socket) is None
