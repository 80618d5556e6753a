"""The control thread of a plugin process: serves the readers of its stream, hears signals, reports how things stand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import zmq

from eegd.attach import AttachServer, Operation
from eegd.notify import Notifier
from eegd.output import Output
from eegd.reader import Reader

__all__ = ["REPORT_S", "OutputThread"]

log = logging.getLogger(__name__)
T = TypeVar("T")

TEND_S = 0.05
REPORT_S = 0.5
HURRY_S = 1.0
"""After a request to stop, how long publishing may still wait for a reader in virtual time."""
ORPHAN_S = 5.0
"""After the supervisor's end, how long the process may still take."""


class OutputThread:
    """An asyncio loop in a thread of its own. It owns the attach server of the plugin's stream, and hears signals even
    while the main thread is in C.

    Every method may be called from the main thread, and waits for the control thread; `stopping` and `end_reason` say
    what that thread has heard.
    """

    def __init__(self, stream: str, directory: Path, operations: Mapping[str, Operation] | None = None) -> None:
        """operations: what may be asked on the stream's socket besides attaching; answered on this thread."""
        self.sending = threading.Lock()
        self.stopping = threading.Event()
        self.end_reason = "stopped"
        self._last_reason: str | None = None
        """Why the last epoch ended, which holds for those who wait for another one."""
        self._description: dict[str, object] = {"name": stream}
        self._report: Callable[[], None] = lambda: None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self.server = self.call(
                lambda: AttachServer(
                    stream, directory, self._context, lambda: self._description, self._on_reader, operations=operations
                )
            )
        except BaseException:
            self._end_loop()
            raise
        self.call(self._tend)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def call(self, function: Callable[[], T]) -> T:
        """Runs a function on the control thread and returns what it returns."""

        async def work() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result()

    # ---- epochs ----

    @property
    def n_active(self) -> int:
        return self.call(lambda: self.server.readers.n_active)

    def begin_epoch(self, output: Output) -> None:
        """Readers can attach from now on."""

        def begin() -> None:
            self._description = output.description
            self.server.begin_epoch(output.outlet)

        self.call(begin)

    def await_readers(self, output: Output, n_readers: int, within_s: float) -> None:
        """Waits for as many as there were before this epoch, but not long."""
        deadline = time.monotonic() + within_s
        while self.n_active < n_readers and time.monotonic() < deadline and not self.stopping.is_set():
            with self.sending:
                output.outlet.idle()
            self.stopping.wait(0.002)

    def end_epoch(self, output: Output, reason: str) -> None:
        output.finish()
        self._last_reason = reason
        self.call(lambda: self.server.end_epoch(reason))

    # ---- what is heard ----

    def hear_signals(self, fd: int) -> None:
        """fd: where Python writes the numbers of signals that came (signal.set_wakeup_fd). Others than these two are
        the plugin's own, such as an alarm."""

        def heard() -> None:
            if {signal.SIGTERM, signal.SIGINT}.intersection(os.read(fd, 64)):
                self._stop("stopped")

        self.call(lambda: self._loop.add_reader(fd, heard))

    def deafen(self, fd: int) -> None:
        self.call(lambda: self._loop.remove_reader(fd))

    def watch_supervisor(self, fd: int) -> None:
        """End of file on fd: the supervisor is gone, or wants this process replaced. Readers wait for the next one."""

        def heard() -> None:
            if not os.read(fd, 4096):
                self._loop.remove_reader(fd)
                self._stop("restarted")
                self._loop.call_later(ORPHAN_S, os._exit, 1)

        self.call(lambda: self._loop.add_reader(fd, heard))

    def report_to(self, fd: int, facts: Callable[[], Mapping[str, object]]) -> None:
        """Writes one line of JSON at once, and again twice a second."""

        def write() -> None:
            with contextlib.suppress(OSError, MemoryError):  # full, or nobody there: the next one, or none, is heard
                os.write(fd, json.dumps(facts()).encode() + b"\n")

        def report() -> None:
            self._loop.call_later(REPORT_S, report)
            write()

        self._report = write
        self.call(report)

    def feed_watchdog(self, interval_s: float, answers: Callable[[], bool]) -> None:
        """Gives the service manager a sign of life, at once and twice a second, while the main thread answers."""
        notifier = Notifier()

        def feed() -> None:
            self._loop.call_later(REPORT_S, feed)
            if answers():
                notifier.alive()

        self.call(lambda: notifier.patience(interval_s))
        self.call(feed)

    def report_now(self) -> None:
        """Once more, since something has changed that must be known even when this process says nothing any more."""
        self.call(self._report)

    def _stop(self, reason: str) -> None:
        if not self.stopping.is_set():
            self.end_reason = reason
            self.stopping.set()
            self._loop.call_later(HURRY_S, self._hurry)

    def _hurry(self) -> None:
        """In virtual time the main thread may be waiting for a reader that never comes back to it."""
        if self.server.outlet is not None:
            self.server.outlet.hurry()

    def _tend(self) -> None:
        """Takes in readers that come and go while the main thread does not: it waits for input, or computes."""
        outlet = self.server.outlet
        if outlet is not None and self.sending.acquire(blocking=False):
            try:
                outlet.idle()
            finally:
                self.sending.release()
        self._loop.call_later(TEND_S, self._tend)

    @staticmethod
    def _on_reader(kind: str, reader: Reader, facts: Mapping[str, object]) -> None:
        log.debug("reader %s (pid %d) %s: %s", reader.name, reader.pid, kind, dict(facts))

    # ---- leaving ----

    def close(self) -> None:
        """After the last epoch has ended."""
        reason = self._last_reason or self.end_reason
        self.call(lambda: self.server.close(reason))
        self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._context.destroy(linger=0)
