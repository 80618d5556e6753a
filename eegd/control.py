"""The control socket: one JSON request, one JSON answer, for eegctl and client programs."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from eegd.errors import EegdError, ProtocolError
from eegd.listener import Listener
from eegd.packet import receive_packet, send_packet, value_of
from eegd.runtime_dir import CONTROL_SOCKET

__all__ = ["Answer", "ControlServer", "Operation"]

log = logging.getLogger(__name__)

IDLE_S = 30.0
MAX_CONNECTIONS = 64

Answer = Mapping[str, object] | tuple[Mapping[str, object], list[int]]
"""What an operation returns: facts, or facts and descriptors that go along (and stay the daemon's)."""
Operation = Callable[[Mapping[str, Any]], Answer | Coroutine[Any, Any, Answer]]
"""A coroutine may take its time; its connection hears nothing else meanwhile."""


class ControlServer:
    """Serves the operations that it is given. An operation's EegdError becomes the answer's `error`.

    Synchronization: control thread only. The directory must be under the caller's lock.
    """

    def __init__(self, directory: Path, operations: Mapping[str, Operation]) -> None:
        self._operations = operations
        self._loop = asyncio.get_running_loop()
        self._connections: dict[socket.socket, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        """Operations that take their time."""
        self._listener = Listener(directory / CONTROL_SOCKET, self._on_connection)

    def _on_connection(self, connection: socket.socket) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:  # whoever has been here longest makes room
            self._drop(next(iter(self._connections)))
        self._connections[connection] = self._loop.call_later(IDLE_S, self._drop, connection)
        self._loop.add_reader(connection, self._on_packet, connection)

    def _drop(self, connection: socket.socket) -> None:
        timer = self._connections.pop(connection, None)
        if timer is not None:
            timer.cancel()
            self._loop.remove_reader(connection)
            connection.close()

    def _on_packet(self, connection: socket.socket) -> None:
        try:
            received = receive_packet(connection)
        except BlockingIOError:
            return
        except ProtocolError as error:
            self._send(connection, {"ok": False, "error": str(error)})
            return
        except OSError:
            self._drop(connection)
            return
        if received is None:
            self._drop(connection)
            return
        request = received[0]
        try:
            result = self._begin(request)
        except Exception as error:
            self._send(connection, _refusal(request, error))
            return
        if isinstance(result, Coroutine):
            self._loop.remove_reader(connection)
            task = self._loop.create_task(self._finish(connection, request, result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._answer(connection, result)

    def _begin(self, request: dict[str, Any]) -> Answer | Coroutine[Any, Any, Answer]:
        name = value_of(request, "op", str)
        operation = self._operations.get(name)
        if operation is None:
            raise ProtocolError(f"operation {name!r:.40}: one of {', '.join(sorted(self._operations))}")
        return operation(request)

    async def _finish(
        self, connection: socket.socket, request: Mapping[str, Any], work: Coroutine[Any, Any, Answer]
    ) -> None:
        try:
            self._answer(connection, await work)
        except Exception as error:
            self._send(connection, _refusal(request, error))
        if connection in self._connections:
            self._loop.add_reader(connection, self._on_packet, connection)

    def _answer(self, connection: socket.socket, answer: Answer) -> None:
        facts, fds = answer if isinstance(answer, tuple) else (answer, [])
        self._send(connection, {"ok": True, **facts}, fds)

    def _send(self, connection: socket.socket, answer: Mapping[str, object], fds: Sequence[int] = ()) -> None:
        if connection not in self._connections:  # dropped while its request was worked on
            return
        try:
            send_packet(connection, answer, fds)
        except (OSError, ProtocolError):
            self._drop(connection)

    def close(self) -> None:
        """Ends every connection."""
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        for connection in list(self._connections):
            self._drop(connection)


def _refusal(request: Mapping[str, Any], error: Exception) -> dict[str, object]:
    if isinstance(error, EegdError):
        return {"ok": False, "error": str(error)}
    # A bug of ours must not take the daemon down; it is told and logged.
    log.error("operation %r failed", request.get("op"), exc_info=error)
    return {"ok": False, "error": f"internal error: {type(error).__name__}: {error}"}
