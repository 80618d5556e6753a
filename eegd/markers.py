"""Digital inputs as events: edges of single lines as markers, several lines as trigger words, each with its sample.

What counts are the kernel's stamps. Edges are held until none from before can still be under way, so an event is
told some ms after it happened, but with its own time.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from eegd.edge_order import Edge, EdgeOrder
from eegd.errors import BoardError
from eegd.events import EventPublisher
from eegd.gpio import EVENT_BUFFER
from eegd.input_lines import InputLines
from eegd.marker_config import MarkerConfig, TriggerConfig
from eegd.posted import Timed
from eegd.sample_clock import NoSample, Place
from eegd.trigger_word import STROBE, Word, WordAssembler

__all__ = ["GRACE_NS", "Markers"]

log = logging.getLogger(__name__)

GRACE_NS = 5_000_000
"""How late the kernel's threads may hand on an edge that was stamped before another one."""
MAX_EDGES_PER_S = 20_000
"""More is a line that floats; edges above this are left to the kernel, which drops and numbers them."""
TELL_LOST_S = 1.0
SOURCE = "gpio"


class Markers:
    """Reads the lines, first those of [[marker]], then [trigger] lines and strobe. Control thread only.

    before: called before anything is told, so that what matters more is told first.
    """

    def __init__(
        self,
        markers: Sequence[MarkerConfig],
        trigger: TriggerConfig,
        lines: InputLines,
        events: EventPublisher,
        stream: Timed,
        before: Callable[[], None],
        latency_ns: int = 0,
    ) -> None:
        """latency_ns: known delay of stamps, subtracted as it is from those of samples."""
        self._markers, self._trigger, self._lines = tuple(markers), trigger, lines
        self._events, self._stream, self._before, self._latency_ns = events, stream, before, latency_ns
        self._order = EdgeOrder()
        self._words = WordAssembler(
            round(trigger.settle_us * 1000), strobed=trigger.strobe is not None, levels=self._bits(lines.levels())
        )
        self._told_ns = [-(1 << 62)] * len(self._markers)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._second, self._n_in_second = 0, 0
        self._lost_told_s = -math.inf
        self._lost = 0
        self._peak = 0
        self._closed = False
        self.n_told = 0
        self.player: asyncio.Task[None] | None = None
        """What drives emulated lines; ended with this."""
        self._loop.add_reader(lines, self._on_edges)

    # ---- edges ----

    def _on_edges(self) -> None:
        try:
            edges = self._lines.read()
        except BoardError as error:
            self._fail(error)
            return
        for edge in edges:
            self._order.put(edge)
        self._peak = max(self._peak, len(self._order))
        self._limit(len(edges))
        self.advance(time.clock_gettime_ns(time.CLOCK_MONOTONIC))

    def _limit(self, n_edges: int) -> None:
        second = int(self._loop.time())
        self._n_in_second = n_edges + (self._n_in_second if second == self._second else 0)
        self._second = second
        if self._n_in_second > MAX_EDGES_PER_S and self._pause is None:
            self._loop.remove_reader(self._lines)
            self._pause = self._loop.call_at(second + 1, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._lines, self._on_edges)

    def advance(self, now_ns: int) -> None:
        """Tells what has settled, and asks to be called again when something waits."""
        until_ns = now_ns - GRACE_NS
        for edge in self._order.take(until_ns):
            self._take(edge)
        self._tell_word(self._words.advance(until_ns))
        self._look_for_lost(now_ns)
        due = [ns for ns in (self._order.first_ns, self._words.due_ns) if ns is not None]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due or self._lost) and not self._closed:
            wait_ns = max(0, min(due) + GRACE_NS - now_ns) if due else TELL_LOST_S * 1e9
            self._timer = self._loop.call_later(wait_ns / 1e9 + 1e-6, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.advance(time.clock_gettime_ns(time.CLOCK_MONOTONIC))

    def _take(self, edge: Edge) -> None:
        bit = edge.line - len(self._markers)
        if bit < 0:
            self._tell_marker(edge)
        elif bit == len(self._trigger.lines):
            if edge.rising == (self._trigger.strobe_edge == "rising"):
                self._tell_word(self._words.edge(STROBE, True, edge.time_ns))
        else:
            self._tell_word(self._words.edge(bit, edge.rising != self._trigger.inverted, edge.time_ns))

    def _bits(self, levels: int) -> int:
        """The word of these levels of all lines."""
        mask = (1 << len(self._trigger.lines)) - 1
        return (levels >> len(self._markers) ^ (mask if self._trigger.inverted else 0)) & mask

    def _look_for_lost(self, now_ns: int) -> None:
        n_lost = self._order.newly_lost()
        if n_lost:
            self._lost += n_lost
            try:
                self._words.resync(self._bits(self._lines.levels()), now_ns)
            except BoardError as error:
                self._fail(error)
        if self._lost and self._loop.time() - self._lost_told_s >= TELL_LOST_S:
            label = f"{self._lost} edge(s) of marker lines lost: markers and words may be missing"
            log.warning("%s", label)
            self._events.post("edges lost", label, value=self._lost, source=SOURCE)
            self._lost, self._lost_told_s = 0, self._loop.time()

    def _fail(self, error: BoardError) -> None:
        log.error("%s; no markers from lines until the daemon is started again", error)
        self._events.post("line failed", str(error), source=SOURCE)
        self.close()

    # ---- events ----

    def _tell_marker(self, edge: Edge) -> None:
        marker = self._markers[edge.line]
        if edge.time_ns - self._told_ns[edge.line] < marker.quiet_ms * 1e6:
            return
        self._told_ns[edge.line] = edge.time_ns
        facts = {"line": marker.line, "edge": "rising" if edge.rising else "falling"}
        self._tell("marker", marker.name, int(edge.rising), edge.time_ns, 0, facts)

    def _tell_word(self, word: Word | None) -> None:
        if word is None or word.value == self._trigger.idle:
            return
        facts = {"skew_ns": word.skew_ns}
        self._tell("trigger", f"trigger {word.value}", word.value, word.time_ns, word.skew_ns, facts)

    def _tell(self, kind: str, label: str, value: int, stamp_ns: int, skew_ns: int, facts: dict[str, Any]) -> None:
        self._before()
        at_ns = stamp_ns - self._latency_ns
        where: dict[str, Any]
        try:
            place = self._place(at_ns)
            where = {"sample_index": place.sample_index, "fraction": place.fraction}
            where["uncertainty_ns"] = place.uncertainty_ns + skew_ns
        except NoSample as why:
            where = {"no_sample": str(why)}
        self.n_told += 1
        self._events.post(
            kind, label, value=value, time_ns=at_ns, source=SOURCE, stream=self._stream.stream, **where, **facts
        )

    def _place(self, at_ns: int) -> Place:
        if self._stream.virtual:
            raise NoSample("samples are on a virtual clock, the lines are not")
        return self._stream.sample_clock().place(at_ns)

    # ---- status ----

    def report(self) -> dict[str, object]:
        """Counts of edges, as of a ring, and of what they became."""
        order = self._order
        return {
            **{"posted": order.n_numbered, "taken": order.n_given, "dropped": order.n_lost, "depth": len(order)},
            **{"peak": self._peak, "capacity": EVENT_BUFFER, "healthy": not self._closed and not order.n_lost},
            **{"told": self.n_told, "late": order.n_late, "pulses": self._words.n_pulses},
            "unsettled": self._words.n_unsettled,
        }

    def close(self) -> None:
        """Gives the lines back. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        if self.player is not None:
            self.player.cancel()
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()
        self._loop.remove_reader(self._lines)
        self._lines.close()
