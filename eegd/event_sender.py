"""Sends events to the daemon from another process, without ever making the caller wait."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections import deque
from pathlib import Path
from typing import SupportsFloat, SupportsIndex

from eegd.errors import ProtocolError
from eegd.event_kinds import check_posted_kind
from eegd.event_values import nanoseconds_of, number_of, plain_of, whole_of
from eegd.packet import reason_of, receive_packet, send_packet
from eegd.runtime_dir import CONTROL_SOCKET

__all__ = ["EventSender"]

log = logging.getLogger(__name__)

QUEUE = 256
KEEP_S = 2.0
"""How long an event waits for a daemon that is away. One that comes back later counts its samples anew."""
RETRY_S = 0.1
ANSWER_S = 2.0
IDLE_S = 5.0
"""After so long without an event the connection is given back; the daemon has few."""
STACK = 512 * 1024
"""Bytes. The usual 8 MB count against a plugin's memory_mb, and none may be left when there is much to tell."""
LABEL_CHARACTERS = 400
SOURCE_CHARACTERS = 64


class EventSender:
    """A bounded queue and one small thread, which starts with the first event.

    `post` may be called from any thread: it never waits, and a daemon that is away, full or refuses is no error, but
    counted. What cannot be an event raises ValueError or TypeError at once, with the name of the argument.
    """

    def __init__(self, directory: Path, source: str = "client") -> None:
        self.source = source
        self.n_posted = 0
        """Events that the daemon has taken."""
        self.n_dropped = 0
        """Events that nobody got: queue full, or the daemon away."""
        self.n_refused = 0
        """Events that the daemon refused; its reason is in the log."""
        self._path = directory / CONTROL_SOCKET
        self._queue: deque[tuple[float, dict[str, object]]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._busy = False
        self._thread: threading.Thread | None = None
        self._connection: socket.socket | None = None
        self._last_refusal = ""

    def post(
        self,
        kind: str,
        label: str,
        *,
        value: SupportsFloat | None = None,
        sample_index: SupportsIndex | None = None,
        fraction: float = 0.0,
        time_ns: int | None = None,
        uncertainty_ns: int | None = None,
        source: str | None = None,
        **facts: object,
    ) -> bool:
        """Queues one event; False where it was dropped. time_ns: CLOCK_MONOTONIC; by default now, but where a sample
        index is given the daemon's to find. value: a finite number. facts: more about it: numbers, texts, booleans and
        lists of these, NumPy's as well."""
        check_posted_kind(kind)
        label = str(label)
        if not label.strip():
            raise ValueError(f"an event of kind {kind!r} has no label")
        value = None if value is None else number_of("value", value, label)
        fraction = number_of("fraction", fraction, label)
        if not 0 <= fraction < 1:
            raise ValueError(f"fraction {fraction} of event {label!r:.60}: from 0 to less than 1")
        more = {name: plain_of(name, fact, label) for name, fact in facts.items()}
        if time_ns is None and sample_index is None:
            time_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        event: dict[str, object] = {
            "kind": kind,
            "label": label[:LABEL_CHARACTERS],
            "value": value,
            "sample_index": None if sample_index is None else whole_of("sample_index", sample_index, label),
            "fraction": fraction,
            "time_ns": None if time_ns is None else nanoseconds_of("time_ns", time_ns, label),
            "source": str(source or self.source)[:SOURCE_CHARACTERS],
            "uncertainty_ns": None
            if uncertainty_ns is None
            else nanoseconds_of("uncertainty_ns", uncertainty_ns, label),
            **more,
        }
        with self._changed:
            if self._closing or len(self._queue) >= QUEUE:
                self.n_dropped += 1
                return False
            self._queue.append((time.monotonic(), event))
            if self._thread is None and not self._start():
                self.n_dropped += len(self._queue)
                self._queue.clear()
                return False
            self._changed.notify_all()
        return True

    def _start(self) -> bool:
        thread = threading.Thread(target=self._run, name="events", daemon=True)
        before = threading.stack_size(STACK)
        try:
            thread.start()
        except (RuntimeError, MemoryError):  # no memory for its stack
            return False
        finally:
            threading.stack_size(before)
        self._thread = thread
        return True

    def facts(self) -> dict[str, int]:
        return {
            "posted": self.n_posted,
            "dropped": self.n_dropped,
            "refused": self.n_refused,
            "depth": len(self._queue),
        }

    def flush(self, timeout: float = 1.0) -> bool:
        """Waits until every event has gone one way or another; whether that was within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._busy, timeout)

    def close(self, timeout: float = 0.5) -> None:
        """Sends what is still queued, for `timeout` seconds at most; the rest is dropped."""
        self.flush(timeout)
        with self._changed:
            self._closing = True
            self.n_dropped += len(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    # ---- the thread ----

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            try:
                self._deliver(*taken)
            except Exception:  # whatever it was, the next event has its chance
                self._fail(taken[1])
            with self._changed:
                self._busy = False
                self._changed.notify_all()
        self._disconnect()

    def _next(self) -> tuple[float, dict[str, object]] | None:
        with self._changed:
            while not self._queue:
                if self._closing:
                    return None
                if not self._changed.wait(IDLE_S if self._connection is not None else None):
                    self._disconnect()
            self._busy = True
            return self._queue.popleft()

    def _deliver(self, since: float, event: dict[str, object]) -> None:
        """Sends one event, and hears what the daemon says. It is not sent twice: one that was not answered counts as
        dropped, though the daemon may have it."""
        while not self._send(event):
            with self._changed:
                if self._closing or time.monotonic() - since > KEEP_S:
                    self.n_dropped += 1
                    return
                self._changed.wait_for(lambda: self._closing, RETRY_S)
        assert self._connection is not None
        try:
            answer = receive_packet(self._connection)
        except (OSError, ProtocolError):
            answer = None
        if answer is None:
            self.n_dropped += 1
            self._disconnect()
        elif answer[0].get("ok") is True:
            self.n_posted += 1
        else:
            self.n_refused += 1
            self._tell_refusal(event, reason_of(answer[0], "without a reason"))

    def _send(self, event: dict[str, object]) -> bool:
        for _ in range(2):  # the daemon may have dropped a connection that was idle
            fresh = self._connection is None
            try:
                if self._connection is None:
                    self._connection = self._connect()
                send_packet(self._connection, {"op": "post", "event": event})
                return True
            except OSError:
                self._disconnect()
                if fresh:
                    return False
        return False

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.settimeout(ANSWER_S)
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None

    def _fail(self, event: dict[str, object]) -> None:
        self.n_dropped += 1
        self._disconnect()
        with contextlib.suppress(Exception):
            log.exception("event %r of %s could not be sent", event["label"], event["source"])

    def _tell_refusal(self, event: dict[str, object], reason: str) -> None:
        if reason != self._last_refusal:
            log.warning("event %r of %s was refused: %s", event["label"], event["source"], reason)
            self._last_refusal = reason
