"""What happens to a raw stream, as events: losses and faults, channel states, detections, and its readers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from eegd.capture import LOSSES, CaptureStats, EventRing, NativeEvent
from eegd.channel_state import ChannelStates
from eegd.detectors import Detectors
from eegd.events import EventPublisher
from eegd.loss_events import LossEvents
from eegd.montage import Montage
from eegd.reader import Reader

__all__ = ["StreamEvents"]

log = logging.getLogger(__name__)


class StreamEvents:
    """Owns the rings that a stream's C threads post into, and what has been told of it, over all its epochs.

    Control thread only, and in its asyncio loop: what is posted wakes it.
    """

    def __init__(self, stream: str, events: EventPublisher, montage: Callable[[], Montage]) -> None:
        """montage: returns that in force, whose channels C threads count."""
        self.ring = EventRing()
        self.detectors = Detectors(stream, events.post)
        self.states = ChannelStates()
        self._stream = stream
        self._events = events
        self._losses = LossEvents(self._post_loss)
        self._montage = montage
        self._told = asyncio.Event()

    @property
    def _rings(self) -> dict[str, EventRing]:
        """One per priority, in this order: nothing can push out what matters more."""
        return {"faults": self.ring, **self.detectors.rings}

    def ring_report(self) -> dict[str, dict[str, int]]:
        """Each event ring in order of priority: posted, taken, dropped, depth, peak, capacity, healthy."""
        return {name: ring.stats() for name, ring in self._rings.items()}

    def listen(self) -> None:
        """From now on what is posted is published by itself, until `close`."""
        for ring in self._rings.values():
            asyncio.get_running_loop().add_reader(ring, self.drain)

    # ---- what C threads post ----

    def drain(self) -> None:
        """Publishes what waits: faults, and of each detector ring a batch."""
        self.tell_faults()
        self.detectors.drain()

    def tell_faults(self) -> None:
        """Publishes the losses and faults that wait."""
        for event in self.ring.take():
            self._told.set()
            if event.kind in LOSSES:
                self._losses.take(event, time.monotonic())
            elif event.kind == "channel state":
                label, facts = ChannelStates.told(self._montage(), event)
                self._post(event, label, facts)
                log.info("%s", label)
            else:
                self._post(event, event.kind, {"n": event.n})

    def _post_loss(self, event: NativeEvent) -> None:
        self._post(event, f"{event.n} sample(s) lost: {event.kind}", {"n": event.n})

    def _post(self, event: NativeEvent, label: str, facts: Mapping[str, Any]) -> None:
        at = {"sample_index": event.sample_index, "time_ns": event.time_ns}
        self._events.post(event.kind, label, value=event.value, source=self._stream, **at, **facts)

    async def wait(self, within_s: float) -> None:
        """Until a loss or fault was told, or a while; then tells what was held back for its rate."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):  # wait_for of Python 3.11 may swallow a cancellation
                await self._told.wait()
        self._told.clear()
        self._losses.tell(time.monotonic())
        self.detectors.tell_dropped(time.monotonic())

    def note_states(self, stats: CaptureStats) -> None:
        """Takes over which channels are railed, flat or off by now."""
        self.states.note(self._montage(), stats.states)

    def end_epoch(self, stats: CaptureStats) -> None:
        """Tells everything of a capture thread that has ended; stats: its last. Frees the tables of its detectors."""
        self.drain()
        self.detectors.drain(everything=True)
        self._losses.tell(time.monotonic(), all_of_them=True)
        self.note_states(stats)
        self.detectors.release()

    # ---- readers ----

    def tell_reader(self, kind: str, reader: Reader, facts: Mapping[str, Any]) -> None:
        """A reader was attached, or has left."""
        self._events.post(f"reader {kind}", reader.name, source=self._stream, pid=reader.pid, **facts)
        told = ", ".join(f"{name} {value}" for name, value in facts.items())
        log.info("reader %s (pid %d) of %s %s: %s", reader.name, reader.pid, self._stream, kind, told)

    def tell_misses(self, misses: Iterable[tuple[Reader, int]]) -> None:
        """Readers, and how many frames each has missed since the last look: an alarm, where it is a lossless one."""
        for reader, n_missed in misses:
            alarm = reader.policy == "lossless"
            kind = "alarm" if alarm else "reader missed"
            label = f"{reader.name} (policy {reader.policy}, depth {reader.depth}) missed {n_missed} frame(s)"
            self._events.post(kind, label, value=n_missed, source=self._stream, pid=reader.pid)
            if alarm or reader.told_missed == n_missed:
                log.warning("reader %s", label)

    def close(self) -> None:
        """Tells what is left. There must be no capture thread."""
        self.drain()
        for ring in self._rings.values():
            asyncio.get_running_loop().remove_reader(ring)
