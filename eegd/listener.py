"""The listening end of a socket in the runtime directory: hands over each connection, and survives a crowd."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

__all__ = ["Listener"]

log = logging.getLogger(__name__)

BACKLOG = 512
"""So many may knock at once; beyond that connect() fails with EAGAIN for those who do not wait."""
PAUSE_S = 0.1
"""After a refusal by the kernel: those who knock stay in the backlog, and would be announced again at once."""


class Listener:
    """A SOCK_SEQPACKET socket, open to user and group. on_connection gets each new connection, which does not block.

    Synchronization: control thread only. The path must be under the caller's lock. Raises OSError.
    """

    def __init__(self, path: Path, on_connection: Callable[[socket.socket], None]) -> None:
        self._path = path
        self._on_connection = on_connection
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            # Under its name only once it listens: who sees the name is let in, and never refused.
            new = path.with_suffix(".new")
            for stale in (new, path):
                with contextlib.suppress(FileNotFoundError):
                    stale.unlink()
            self._socket.bind(str(new))
            os.chmod(new, 0o660)
            self._socket.listen(BACKLOG)
            new.rename(path)
        except BaseException:
            self._socket.close()
            raise
        self._resume()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # no descriptors or no memory
            log.warning("%s: nobody is let in for now: %s", self._path.name, error.strerror)
            self._loop.remove_reader(self._socket)
            self._pause = self._loop.call_later(PAUSE_S, self._resume)
            return
        connection.setblocking(False)
        self._on_connection(connection)

    def close(self) -> None:
        """Lets nobody in any more, and removes the name."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
