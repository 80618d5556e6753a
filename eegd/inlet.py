"""The reading end: attaches to a stream, takes frames, follows it over epochs and crashes of its writer."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from eegd._native import ffi, lib
from eegd.errors import ProtocolError, StreamLost
from eegd.handshake import HANDSHAKE_S, LOOK_S, answer, ask, has_answer, info_of, open_stream_socket, outage_of
from eegd.libzmq import load_libzmq
from eegd.outlet import LANES, POLICIES
from eegd.packet import PROTOCOL, receive_packet, send_packet, value_of

__all__ = ["AttachRequest", "End", "Inlet", "InletStats"]

QUIET_S = 0.1
LEAST_HWM = 256
MAX_MESSAGE_BYTES = 256
"""A message has 32; ZeroMQ's handshake needs somewhat more."""
FRAME_RECORD = ffi.typeof("struct eegd_frame *")
_new_record = ffi.new_allocator(should_clear_after_alloc=False)  # C fills it whole


@dataclass(frozen=True, slots=True)
class AttachRequest:
    """What a reader asks for."""

    stream: str
    directory: Path
    name: str
    policy: str = "queue"
    lane: str = "zeromq"
    depth: int | None = None
    """Credits in frames."""
    depth_s: float | None = None
    """… or in seconds; half a second of frames where neither is given."""
    gives_up: Callable[[], bool] = lambda: False
    """Asked all the time while the writer has nothing to say, as during a recovery: whoever is to end waits no more."""

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"policy {self.policy!r}: one of {', '.join(POLICIES)}")
        if self.lane not in LANES:
            raise ValueError(f"lane {self.lane!r}: one of {', '.join(LANES)}")
        if self.depth is not None and self.depth_s is not None:
            raise ValueError("depth is given in frames or in seconds, not in both")


@dataclass(frozen=True, slots=True)
class End:
    """How a stream epoch ended."""

    reason: str
    """stopped, reconfigured, restarted, failed, replay over; `lost` where the writer crashed."""
    totals: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InletStats:
    depth: int
    held: int
    taken: int
    missed: int
    """Frames between the first and the last taken that this reader did not get."""
    stale: int
    published: int
    """Frames that the writer has published in this epoch."""
    last_frame: int


class Inlet:
    """One attachment to one stream epoch. Threads: one at a time, except that leases may end anywhere."""

    def __init__(
        self, request: AttachRequest, context: zmq.Context[zmq.Socket[bytes]], patience_s: float | None = None
    ) -> None:
        """patience_s: how long a recovery of the chips is waited for; None: no longer than for any other answer."""
        load_libzmq()
        self.request = request
        self.end: End | None = None
        self._pull: zmq.Socket[bytes] | None = None
        self._record: Any = None
        """For the next frame; each record then belongs to its Frame."""
        self.pointer: Any = None
        """The `struct eegd_inlet *`; None before it is open and after it was closed."""
        self._connection = open_stream_socket(request.directory, request.stream)
        fds: list[int] = []
        try:
            asked = {
                "op": "attach",
                "protocol": PROTOCOL,
                "name": request.name,
                "policy": request.policy,
                "lane": request.lane,
            }
            if request.depth is not None:
                asked["depth"] = request.depth
            if request.depth_s is not None:
                asked["depth_s"] = request.depth_s
            ask(self._connection, request.stream, asked)
            self._await_answer(patience_s)
            packet, fds = answer(self._connection, request.stream, "attached", n_fds=2)
            self.info = info_of(packet)
            self.depth: int = value_of(packet, "depth", int, 0)
            if not 0 < self.depth <= lib.EEGD_MAX_DEPTH:
                raise ProtocolError(f"stream {request.stream!r}: a depth of {self.depth:#x} frames was given")
            if request.lane == "zeromq":
                self._connect_pull(context, value_of(packet, "endpoint", str, ""))
            self._open(fds)
            self._await_ready()
        except BaseException:
            self._abandon()
            raise
        finally:
            for fd in fds:
                os.close(fd)

    def _await_answer(self, patience_s: float | None) -> None:
        """Returns once there is something to read. Raises StreamLost with what the writer says of its silence."""
        gives_up = self.request.gives_up
        if has_answer(self._connection, LOOK_S, gives_up):
            return
        within_s = HANDSHAKE_S
        if patience_s is not None and outage_of(self.request.directory, self.request.stream):
            within_s = patience_s
        if has_answer(self._connection, within_s - LOOK_S, gives_up):
            return
        if gives_up():
            raise StreamLost(f"stream {self.request.stream!r}: given up while attaching")
        text = f"stream {self.request.stream!r}: no answer within {within_s:g} s"
        if outage := outage_of(self.request.directory, self.request.stream):
            text = f"stream {self.request.stream!r}: no samples within {within_s:g} s; recovering: {outage}"
        raise StreamLost(text)

    def _connect_pull(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        pull: zmq.Socket[bytes] = context.socket(zmq.PULL)
        self._pull = pull
        pull.linger = 0
        pull.rcvhwm = max(LEAST_HWM, 2 * self.depth)
        pull.setsockopt(zmq.RECONNECT_IVL, -1)
        pull.maxmsgsize = MAX_MESSAGE_BYTES
        try:
            if not endpoint.startswith("ipc://"):
                raise ValueError("not a local one")
            pull.connect(endpoint)
        except (zmq.ZMQError, ValueError) as error:
            raise ProtocolError(f"stream {self.request.stream!r}: endpoint {endpoint!r:.120}: {error}") from None

    def _open(self, fds: list[int]) -> None:
        error = ffi.new("int *")
        address = 0 if self._pull is None else self._pull.underlying
        self.pointer = lib.eegd_inlet_open(
            fds[0],
            fds[1],
            LANES.index(self.request.lane),
            ffi.cast("void *", address),
            self._connection.fileno(),
            error,
        )
        if not self.pointer:
            raise ProtocolError(f"stream {self.request.stream!r}: its memory is refused: {os.strerror(-error[0])}")

    def _await_ready(self) -> None:
        answer(self._connection, self.request.stream, "ready")
        self._connection.setblocking(False)

    def _abandon(self) -> None:
        if self.pointer:
            lib.eegd_inlet_close(self.pointer)
            self.pointer = None
        if self._pull is not None:
            self._pull.close(linger=0)
        self._connection.close()

    def take(self, timeout_ns: int) -> int:
        """One call of eegd_inlet_take (at most 100 ms) on an open inlet; after a 1, `taken` gives the frame."""
        if self._record is None:  # before the wait, not after it
            self._record = _new_record(FRAME_RECORD)
        return int(lib.eegd_inlet_take(self.pointer, timeout_ns, self._record))

    def taken(self) -> Any:
        """The `struct eegd_frame *` that `take` filled; it is the caller's now."""
        record, self._record = self._record, None
        return record

    def hear(self) -> None:
        """Reads what the connection has to say: an end packet, or end of file. Either starts the drain."""
        try:
            received = receive_packet(self._connection)
        except BlockingIOError:
            return
        except (ProtocolError, OSError):
            received = None
        if received is None:
            self._finish(End("lost", {}))
        elif received[0].get("op") == "end":
            self._finish(End(str(received[0].get("reason", "stopped")), received[0]))

    def _finish(self, end: End) -> None:
        self.end = end
        lib.eegd_inlet_drain(self.pointer)

    @property
    def zmq_fd(self) -> int:
        assert self._pull is not None
        return int(self._pull.getsockopt(zmq.FD))

    @property
    def message_waits(self) -> bool:
        """Whether a message is there; asking also re-arms ZMQ_FD, which signals edges only."""
        return self._pull is not None and bool(int(self._pull.getsockopt(zmq.EVENTS)) & zmq.POLLIN)

    @property
    def connection_fd(self) -> int:
        return self._connection.fileno()

    def stats(self) -> InletStats:
        """As they were last, once closed."""
        if self.pointer is None:
            return self._last_stats
        raw = ffi.new("struct eegd_inlet_stats *")
        lib.eegd_inlet_stats(self.pointer, raw)
        return InletStats(raw.depth, raw.held, raw.taken, raw.missed, raw.stale, raw.published, raw.last_frame)

    def wait_for_release(self, timeout_s: float) -> bool:
        """True once this process holds less than all credit; cycles are collected first."""
        gc.collect()
        deadline = time.monotonic() + timeout_s
        while self.stats().held >= self.depth:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def _ask_for_quiet(self) -> None:
        """Ends the frames before the pipe is taken down, so that the writer counts none as missed."""
        with contextlib.suppress(OSError, ProtocolError):
            self._connection.settimeout(QUIET_S)
            send_packet(self._connection, {"op": "quiet"})
            receive_packet(self._connection)

    def close(self) -> None:
        """Asks for no more frames. Where leases are still out, the connection stays until the last one ends, so that
        the writer keeps them valid."""
        if self.pointer is None:
            return
        if self.end is None:
            self._ask_for_quiet()
        self._last_stats = self.stats()
        self._connection.close()  # the C core holds a duplicate until the last lease has ended
        lib.eegd_inlet_close(self.pointer)
        self.pointer = None
        if self._pull is not None:
            self._pull.close(linger=0)
            self._pull = None
