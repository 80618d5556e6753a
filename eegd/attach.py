"""The attach server of one stream: shakes hands with readers, hands them over to the sending thread, and reaps them.

Runs on the control thread's asyncio loop. No step blocks it; a handshake without progress for two seconds ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zmq

from eegd.errors import EegdError, ProtocolError
from eegd.listener import Listener
from eegd.outlet import Outlet
from eegd.packet import PROTOCOL, RECOVERING, receive_packet, send_packet, value_of
from eegd.reader import Reader
from eegd.readers import LEAVING_POLL_S, Readers
from eegd.runtime_dir import Lock, stream_socket
from eegd.terms import read_terms

__all__ = ["AttachServer", "Operation"]

HANDSHAKE_S = 2.0
POLL_S = 0.001
MAX_PENDING = 64

Operation = Callable[[Mapping[str, Any], Callable[[Mapping[str, object]], None]], None]
"""Takes a request, and a function that takes the answer, then or later. Raises EegdError."""


class AttachServer:
    """Serves `<stream>.stream` in the runtime directory over any number of stream epochs.

    describe: returns the stream's description for the epoch at hand. Between two epochs a request for it waits for the
    next one, unless the description's `state` is RECOVERING: that may take hours. on_event: told (kind, reader, facts)
    when readers come and go. Synchronization: control thread only.
    """

    def __init__(
        self,
        stream: str,
        directory: Path,
        context: zmq.Context[zmq.Socket[bytes]],
        describe: Callable[[], Mapping[str, object]],
        on_event: Callable[[str, Reader, Mapping[str, Any]], None] = lambda kind, reader, facts: None,
        max_readers: int = 63,
        operations: Mapping[str, Operation] | None = None,
    ) -> None:
        """operations: further requests, which need no attaching, such as those of eegd.live."""
        self.stream = stream
        self.directory = directory
        self.readers = Readers()
        self._context = context
        self._describe = describe
        self._on_event = on_event
        self._max_readers = max_readers
        self._operations = operations or {}
        self._asking: set[Reader] = set()
        """They wait for the answer to one of those."""
        self._stream_epoch = 0
        """The last one; 0 before the first."""
        self._pending: list[Reader] = []
        self._n_endpoints = 0
        self._loop = asyncio.get_running_loop()
        path = directory / stream_socket(stream)
        self._lock = Lock(directory / f"{stream}.lock")
        self._lock.clear(f"{stream}.stream", f"{stream}.*.zmq")
        try:
            self._listener = Listener(path, self._on_connection)
        except BaseException:
            self._lock.release()
            raise

    # ---- epochs ----

    @property
    def outlet(self) -> Outlet | None:
        """Of the epoch at hand; None between two."""
        return self.readers.outlet

    def begin_epoch(self, outlet: Outlet) -> None:
        """Readers that wait, and those that come, now attach to this outlet."""
        self.readers.outlet = outlet
        self._stream_epoch = outlet.stream_epoch
        waiting, self._pending = self._pending, []
        for reader in waiting:
            self._loop.call_soon(self._serve, reader)

    def tell_waiting(self) -> None:
        """Describes the stream to those who wait for that, where its state is one that may last."""
        if self._describe().get("state") != RECOVERING:
            return
        for reader in [reader for reader in self._pending if not reader.depth]:
            self._pending.remove(reader)
            self._serve(reader)

    def end_epoch(self, reason: str, text: str = "", lost_at_end: int = 0) -> None:
        """Tells every reader why and with which totals, and lets all of them go. There must be no sending thread.

        lost_at_end: samples lost after the last frame, which no frame can tell.
        """
        outlet = self.outlet
        assert outlet is not None
        stats = outlet.stats()
        packet = {
            "op": "end",
            "reason": reason,
            "text": text,
            "frames": stats.frames,
            "samples": stats.samples,
            "next_sample": stats.next_sample + lost_at_end,
            "lost": stats.lost + lost_at_end,
            "stream_epoch": outlet.stream_epoch,
        }
        for reader in [reader for reader in self.readers if reader.depth]:  # the others have asked for no epoch
            with contextlib.suppress(OSError):
                send_packet(reader.connection, packet)
            self._part(reader)
        self.readers.close_outlet()

    def close(self, reason: str = "stopped") -> None:
        """No more attaching. Ends nothing that end_epoch has not ended; who waits for an epoch is told the reason."""
        self._listener.close()
        for reader in self.readers:  # those that wait for an epoch which will not come
            with contextlib.suppress(OSError):
                send_packet(reader.connection, {"op": "end", "reason": reason})
            self._part(reader)
        self._lock.clear(f"{self.stream}.stream", f"{self.stream}.*.zmq")
        self._lock.release()

    # ---- handshake ----

    def _on_connection(self, connection: socket.socket) -> None:
        reader = Reader.of(connection)
        if len(self.readers) >= self._max_readers + MAX_PENDING:
            # A crowd that lingers in its handshakes does not keep others out: the one that came first has to go.
            # Those who wait for an epoch come after those who only linger.
            lingering = next((r for r in self.readers if r.place is None and r not in self._pending), None)
            lingering = lingering or next(iter(self._pending), None)
            if lingering is None:
                connection.close()
                return
            self._refuse(lingering, "too many connections")
        self.readers.add(reader)
        self._loop.add_reader(connection, self._on_packet, reader)
        self._loop.call_later(HANDSHAKE_S, self._check_progress, reader)

    def _check_progress(self, reader: Reader) -> None:
        if reader in self._asking:
            self._loop.call_later(HANDSHAKE_S, self._check_progress, reader)
        elif reader in self.readers and reader.place is None and reader not in self._pending:
            self._refuse(reader, f"no progress within {HANDSHAKE_S:g} s")

    def _on_packet(self, reader: Reader) -> None:
        try:
            received = receive_packet(reader.connection)
        except BlockingIOError:
            return
        except (ProtocolError, OSError) as error:
            self._refuse(reader, str(error))
            return
        if received is None:
            self._gone(reader, "closed")
            return
        packet, _ = received
        try:
            self._on_request(reader, packet)
        except (EegdError, OSError, zmq.ZMQError) as error:
            self._refuse(reader, str(error))

    def _on_request(self, reader: Reader, packet: dict[str, Any]) -> None:
        operation = value_of(packet, "op", str)
        if operation == "describe":
            self._answer_describe(reader)
            return
        if operation in self._operations and not reader.depth:
            self._ask(reader, self._operations[operation], packet)
            return
        if operation == "quiet" and reader.place is not None and self.outlet is not None:
            self.outlet.quiet(reader.place)
            send_packet(reader.connection, {"op": "quieted"})
            return
        if operation != "attach" or reader.depth:
            also = "".join(f", {name!r}" for name in self._operations)
            raise ProtocolError(
                f"operation {operation!r:.40}: this socket knows 'describe'{also}, 'attach' (once), and then 'quiet'"
            )
        reader.terms = read_terms(packet, float(str(self._describe().get("frames_per_s", 250.0))))
        reader.open_process()
        if reader.pidfd is not None:
            self._loop.add_reader(reader.pidfd, self._gone, reader, "process ended")
        self._serve(reader)

    def _ask(self, reader: Reader, operation: Operation, packet: dict[str, Any]) -> None:
        """Has a request answered, at once or later; an error of it is an answer, and no end."""

        def answer(facts: Mapping[str, object]) -> None:
            self._asking.discard(reader)
            if reader in self.readers:
                try:
                    send_packet(reader.connection, facts)
                except (OSError, ProtocolError) as error:
                    self._gone(reader, f"answer not taken: {error}")

        if reader in self._asking:
            raise ProtocolError("the request before has not been answered yet")
        self._asking.add(reader)
        try:
            operation(packet, answer)
        except EegdError as error:
            answer({"ok": False, "error": str(error)[:1000]})

    def _answer_describe(self, reader: Reader) -> None:
        description = self._describe_now()
        if self.outlet is None and description.get("state") != RECOVERING:
            self._wait(reader)  # for an epoch that is a moment away, and may differ from the one before
        else:
            send_packet(reader.connection, {"op": "description", "stream": description})

    def _wait(self, reader: Reader) -> None:
        if reader not in self._pending:  # once, whatever else it asks: a reader served twice would have two places
            self._pending.append(reader)

    def _describe_now(self) -> dict[str, object]:
        return {**self._describe(), "stream_epoch": self._stream_epoch}

    def _serve(self, reader: Reader) -> None:
        """Serves a request; without an epoch at hand it waits for the next one."""
        outlet = self.outlet
        if reader not in self.readers:
            return
        if not reader.depth:
            with contextlib.suppress(OSError):
                self._answer_describe(reader)
        elif outlet is None:
            self._wait(reader)
        elif self._is_full(reader):
            pass
        elif reader.depth <= outlet.credit_left:
            self._offer(reader, outlet)
        elif self.readers.are_leaving:
            self._loop.call_later(LEAVING_POLL_S, self._serve, reader)  # what those held comes back in a moment
        else:
            self._refuse(reader, self._overcommit_text(reader, outlet), holders=self.readers.holders())

    def _offer(self, reader: Reader, outlet: Outlet) -> None:
        """Makes page and pipe, and answers with both."""
        self._n_endpoints += 1
        try:
            reader.make_page()
            endpoint = reader.open_pipe(
                self._context, self.directory / f"{self.stream}.{self._n_endpoints % 1_000_000}.zmq"
            )
        except EegdError as error:
            self._refuse(reader, str(error))
            return
        answer = {
            "op": "attached",
            "protocol": PROTOCOL,
            "stream": self._describe_now(),
            "policy": reader.policy,
            "lane": reader.terms.lane,
            "depth": reader.depth,
            "endpoint": endpoint,
        }
        try:
            send_packet(reader.connection, answer, [outlet.segment_fd, reader.page_fd])
        except OSError as error:
            self._gone(reader, f"answer not taken: {error.strerror}")
            return
        reader.deadline = self._loop.time() + HANDSHAKE_S
        self._await_pipe(reader, outlet)

    def _is_full(self, reader: Reader) -> bool:
        """True after the reader was refused because all places are taken."""
        if len(self.readers.holders()) < self._max_readers:
            return False
        text = f"all {self._max_readers} places of stream {self.stream!r} are taken; held by: {self.readers.held_by()}"
        self._refuse(reader, text, holders=self.readers.holders())
        return True

    def _overcommit_text(self, reader: Reader, outlet: Outlet) -> str:
        return (
            f"depth {reader.depth} would overcommit stream {self.stream!r}: {outlet.credit_left} of "
            f"{outlet.stats().n_slabs} slabs are left; held by: {self.readers.held_by()}. "
            "Ask for less depth, or raise [stream] pool_mb"
        )

    def _await_pipe(self, reader: Reader, outlet: Outlet) -> None:
        """Hands over as soon as the peer has connected its end."""
        if reader not in self.readers or outlet is not self.outlet:
            return
        if reader.is_connected:
            self._hand_over(reader, outlet)
        elif self._loop.time() > reader.deadline:
            self._refuse(reader, f"the PULL socket was not connected within {HANDSHAKE_S:g} s")
        else:
            self._loop.call_later(POLL_S, self._await_pipe, reader, outlet)

    def _hand_over(self, reader: Reader, outlet: Outlet) -> None:
        """From here on the sending thread owns the reader's socket."""
        reader.hide_pipe()
        if self._is_full(reader):  # others may have been quicker
            return
        lane = reader.terms.lane
        try:
            address = reader.push.underlying if reader.push is not None else None
            reader.place = outlet.join(reader.page_fd, reader.depth, reader.policy, lane, address)
        except EegdError as error:
            self._refuse(reader, str(error), holders=self.readers.holders())
            return
        with contextlib.suppress(OSError):
            send_packet(reader.connection, {"op": "ready"})
        self._on_event("attached", reader, {"policy": reader.policy, "depth": reader.depth, "lane": lane})

    def _refuse(self, reader: Reader, text: str, **facts: object) -> None:
        with contextlib.suppress(OSError, ProtocolError):
            send_packet(reader.connection, {"op": "refused", "error": text[:1000], **facts})
        self._gone(reader, f"refused: {text[:200]}")

    # ---- leaving ----

    def _gone(self, reader: Reader, why: str) -> None:
        """The peer left, died, or is sent away."""
        if reader not in self.readers:
            return
        stats = None
        if reader.place is not None and self.outlet is not None:
            stats = self.outlet.reader_stats(reader.place)
        self._part(reader)
        if reader.place is not None:
            facts = {} if stats is None else {"sent": stats.sent, "missed": stats.missed}
            self._on_event("left", reader, {"why": why, **facts})

    def _part(self, reader: Reader) -> None:
        if reader in self._pending:
            self._pending.remove(reader)
        self._asking.discard(reader)
        self.readers.part(reader)
