"""What a stream's `fileno()` is: one descriptor for everything by which a reader learns that it can take a frame."""

from __future__ import annotations

import contextlib
import os
import select

from eegd.inlet import Inlet

__all__ = ["Readiness"]


class Readiness:
    """An epoll of an inlet's ZMQ_FD, its connection, and an eventfd of our own that stands for what is queued already,
    since ZMQ_FD tells of edges only. Lane zeromq. Synchronization: the thread that takes frames.
    """

    def __init__(self, inlet: Inlet) -> None:
        self._epoll = select.epoll()
        self._more_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._more_fd, select.EPOLLIN)
        self.watch(inlet)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def watch(self, inlet: Inlet) -> None:
        """From now on this inlet, another one having been given up by `unwatch`."""
        if inlet.pointer is not None:  # else the writer is away
            for fd in (inlet.zmq_fd, inlet.connection_fd):
                self._epoll.register(fd, select.EPOLLIN)
        self.update(inlet)

    def unwatch(self, inlet: Inlet) -> None:
        """Closing would not do: where leases are out, the connection lives on, and would stay readable."""
        if inlet.pointer is None:
            return
        for fd in (inlet.zmq_fd, inlet.connection_fd):
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def update(self, inlet: Inlet) -> None:
        """After each take: says whether there is more to be had without waiting."""
        more = inlet.end is not None or inlet.message_waits
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._more_fd)
        if more:
            os.eventfd_write(self._more_fd, 1)

    def close(self) -> None:
        self._epoll.close()
        os.close(self._more_fd)
