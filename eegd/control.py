"""The control socket: one JSON request, one JSON answer, for eegctl and client programs."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
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
Operation = Callable[[Mapping[str, Any]], Answer]


class ControlServer:
    """Serves the operations that it is given. An operation's EegdError becomes the answer's `error`.

    Synchronization: control thread only. The directory must be under the caller's lock.
    """

    def __init__(self, directory: Path, operations: Mapping[str, Operation]) -> None:
        self._operations = operations
        self._loop = asyncio.get_running_loop()
        self._connections: dict[socket.socket, asyncio.TimerHandle] = {}
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
        fds: list[int] = []
        answer: Mapping[str, object]
        try:
            received = receive_packet(connection)
            if received is None:
                self._drop(connection)
                return
            answer, fds = self._answer(received[0])
        except BlockingIOError:
            return
        except ProtocolError as error:
            answer = {"ok": False, "error": str(error)}
        except OSError:
            self._drop(connection)
            return
        try:
            send_packet(connection, answer, fds)
        except (OSError, ProtocolError):
            self._drop(connection)

    def _answer(self, request: dict[str, Any]) -> tuple[Mapping[str, object], list[int]]:
        try:
            name = value_of(request, "op", str)
            operation = self._operations.get(name)
            if operation is None:
                raise ProtocolError(f"operation {name!r:.40}: one of {', '.join(sorted(self._operations))}")
            result = operation(request)
        except EegdError as error:
            return {"ok": False, "error": str(error)}, []
        except Exception as error:  # a bug of ours must not take the daemon down; it is told and logged
            log.exception("operation %r failed", request.get("op"))
            return {"ok": False, "error": f"internal error: {type(error).__name__}: {error}"}, []
        facts, fds = result if isinstance(result, tuple) else (result, [])
        return {"ok": True, **facts}, fds

    def close(self) -> None:
        """Ends every connection."""
        self._listener.close()
        for connection in list(self._connections):
            self._drop(connection)
