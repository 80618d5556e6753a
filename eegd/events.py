"""The `events` topic: everything worth telling, as JSON over one ZeroMQ PUB socket in the runtime directory."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq

from eegd.recent_events import RecentEvents
from eegd.runtime_dir import EVENTS_SOCKET

__all__ = ["EventPublisher", "subscribed"]

KEPT = 256
KEPT_BYTES = 192 * 1024
"""As JSON: all that is kept goes into one answer, of which a socket takes 208 KiB (net.core.wmem_default)."""
PERIODIC = ("stream value",)
"""Kinds that come at an interval: they would soon fill what is kept, and are told once only."""


class EventPublisher:
    """Publishes events and keeps the latest ones for those who come later. Control thread only.

    Every event has kind, label, value, sample_index, fraction (of a sample), time_ns (CLOCK_MONOTONIC), wall_time_ns,
    source, uncertainty_ns and number (which counts from 0 without gaps, so that a subscriber sees what it missed).
    """

    def __init__(self, directory: Path, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.recent = RecentEvents(KEPT, KEPT_BYTES)
        self.n_posted = 0
        self.n_dropped = 0
        self._path = directory / EVENTS_SOCKET
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._socket: zmq.Socket[bytes] = context.socket(zmq.PUB)
        self._socket.linger = 100
        self._socket.bind(f"ipc://{self._path}")

    def post(
        self,
        kind: str,
        label: str,
        *,
        value: float | None = None,
        sample_index: int | None = None,
        fraction: float = 0.0,
        time_ns: int | None = None,
        source: str = "eegd",
        uncertainty_ns: int | None = None,
        **facts: Any,
    ) -> dict[str, object]:
        """Sends one event to all who listen; nobody can slow it down."""
        now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        at_ns = now_ns if time_ns is None else time_ns
        event: dict[str, object] = {
            "number": self.n_posted,
            "kind": kind,
            "label": label,
            "value": value,
            "sample_index": sample_index,
            "fraction": fraction,
            "time_ns": at_ns,
            "wall_time_ns": time.time_ns() - now_ns + at_ns,
            "source": source,
            "uncertainty_ns": uncertainty_ns,
            **facts,
        }
        self.n_posted += 1
        data = json.dumps(event).encode()
        if kind not in PERIODIC:
            self.recent.append(self.n_posted, event, len(data))
        try:
            self._socket.send(data, zmq.DONTWAIT)
        except zmq.Again:
            self.n_dropped += 1
        return event

    def report(self) -> dict[str, object]:
        """Counts, as of a ring. Nothing waits here; `depth` is what is kept for those who come later."""
        return {
            **{"posted": self.n_posted, "taken": self.n_posted - self.n_dropped, "dropped": self.n_dropped},
            **{"depth": len(self.recent), "peak": len(self.recent), "capacity": KEPT, "healthy": not self.n_dropped},
        }

    def close(self) -> None:
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()


@contextlib.contextmanager
def subscribed(directory: Path) -> Iterator[zmq.Socket[bytes]]:
    """A SUB socket on the events of the daemon in this directory; over restarts, too. One thread at a time."""
    subscriber: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    subscriber.linger = 0
    try:
        subscriber.subscribe(b"")
        subscriber.connect(f"ipc://{directory / EVENTS_SOCKET}")
        yield subscriber
    finally:
        subscriber.close()
