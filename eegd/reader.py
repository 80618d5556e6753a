"""One reader of a stream as its writer sees it: connection, process, lease page and pipe, from first packet to end."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from eegd._native import lib
from eegd.errors import EegdError
from eegd.outlet import ReaderStats
from eegd.terms import Terms

__all__ = ["Reader"]

LEAST_HWM = 256
"""ZeroMQ's own mark is a second fence, well above the credit: libzmq hears late of what was drained."""
MAX_INBOUND_BYTES = 256
"""Of what a peer sends into its pipe, which should be nothing but ZeroMQ's handshake."""


@dataclass(slots=True, eq=False)
class Reader:
    """One peer. Control thread only; while it has a place, its PUSH socket is the sending thread's."""

    connection: socket.socket
    pid: int
    pidfd: int | None = None
    """None where the peer lives in another pid namespace: then only end of file tells of its death."""
    terms: Terms = field(default_factory=lambda: Terms("?", "queue", "zeromq", 0))
    """As asked for; depth 0 until it has asked."""
    place: int | None = None
    """In the outlet's table, once handed over."""
    page_fd: int = -1
    push: zmq.Socket[bytes] | None = None
    deadline: float = 0.0
    """Loop time by which the handshake must have made progress."""
    told_missed: int = 0
    """Missed frames that were reported already."""
    _path: Path | None = None

    @classmethod
    def of(cls, connection: socket.socket) -> Reader:
        """A peer that has just connected, with its process as the kernel names it."""
        connection.setblocking(False)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return cls(connection, struct.unpack("3i", credentials)[0])

    @property
    def name(self) -> str:
        return self.terms.name

    @property
    def depth(self) -> int:
        return self.terms.depth

    @property
    def policy(self) -> str:
        return self.terms.policy

    def terms_report(self) -> dict[str, object]:
        """Who it is and what it may hold, as plain JSON types."""
        return {"name": self.name, "pid": self.pid, "policy": self.policy, "depth": self.depth}

    def report(self, stats: ReaderStats) -> dict[str, object]:
        """The same with its lane and how things stand, for the status."""
        return self.terms_report() | {
            "lane": self.terms.lane,
            "state": stats.state,
            "queued": stats.queued,
            "held": stats.held,
            "sent": stats.sent,
            "missed": stats.missed,
            "corrupt": stats.corrupt,
            "send_failed": stats.send_failed,
            "lag_frames": stats.lag_frames,
        }

    def open_process(self) -> None:
        """Gets hold of the peer's process, so that its death is seen whatever its children keep open."""
        with contextlib.suppress(OSError):
            self.pidfd = os.pidfd_open(self.pid) if self.pid > 0 else None

    def make_page(self) -> None:
        """Raises EegdError where there is no memory."""
        fd = lib.eegd_page_create(self.depth)
        if fd < 0:
            raise EegdError(f"no memory for a lease page: {os.strerror(-fd)}")
        self.page_fd = fd

    def open_pipe(self, context: zmq.Context[zmq.Socket[bytes]], path: Path) -> str | None:
        """Binds the pipe on the zeromq lane; returns its endpoint. Raises EegdError."""
        if self.terms.lane != "zeromq":
            return None
        try:
            push: zmq.Socket[bytes] = context.socket(zmq.PUSH)
            self.push, self._path = push, path
            push.linger = 0
            push.sndhwm = max(LEAST_HWM, 2 * self.depth)
            push.maxmsgsize = MAX_INBOUND_BYTES
            push.bind(f"ipc://{path}")
        except zmq.ZMQError as error:
            raise EegdError(f"no ZeroMQ socket: {error}") from None
        return f"ipc://{path}"

    @property
    def is_connected(self) -> bool:
        """Whether the pipe takes messages, which means that the peer is at its other end."""
        return self.push is None or bool(int(self.push.getsockopt(zmq.EVENTS)) & zmq.POLLOUT)

    def hide_pipe(self) -> None:
        """Removes the pipe's name: a second peer would get half of the messages."""
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            self._path = None

    def release(self) -> None:
        """Closes page and pipe. Not while it has a place in a living outlet."""
        self.hide_pipe()
        if self.push is not None:
            self.push.close(linger=0)
            self.push = None
        if self.page_fd >= 0:
            os.close(self.page_fd)
            self.page_fd = -1
