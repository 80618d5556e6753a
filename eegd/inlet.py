"""The reading end: attaches to a stream, takes frames, follows it over epochs and crashes of its writer."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from eegd._native import ffi, lib
from eegd.errors import AttachRefused, DaemonNotRunning, EegdError, ProtocolError, StreamEnded, StreamLost
from eegd.frame import StreamInfo
from eegd.libzmq import load_libzmq
from eegd.near import meant
from eegd.outlet import LANES, POLICIES
from eegd.packet import PROTOCOL, reason_of, receive_packet, send_packet, value_of
from eegd.runtime_dir import stream_socket

__all__ = ["CARRIED_ON", "AttachRequest", "End", "Inlet", "InletStats", "describe_stream", "open_stream_socket"]

HANDSHAKE_S = 5.0
LOOK_S = 0.2
"""A writer that has said nothing for so long is between two epochs, or hangs: it is asked which."""
QUIET_S = 0.1
LEAST_HWM = 256
MAX_MESSAGE_BYTES = 256
"""A message has 32; ZeroMQ's handshake needs somewhat more."""
FRAME_RECORD = ffi.typeof("struct eegd_frame *")
_new_record = ffi.new_allocator(should_clear_after_alloc=False)  # C fills it whole
CARRIED_ON = ("reconfigured", "restarted")
"""Ends after which the same stream goes on in a new epoch, and a reader attaches again by itself."""


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


def _others_there(directory: Path, stream: str) -> str:
    """By their names alone: who waits for a stream asks often, and every knock would disturb its writer."""
    there = sorted(path.stem for path in directory.glob("*.stream") if path.stem != stream)
    return f" There are the streams {', '.join(there)}{meant(stream, there)}" if there else ""


def open_stream_socket(directory: Path, stream: str) -> socket.socket:
    """A connection to the writer of a stream. Raises DaemonNotRunning."""
    path = directory / stream_socket(stream)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(HANDSHAKE_S)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        if isinstance(error, PermissionError):
            raise DaemonNotRunning(f"{path}: {error.strerror}; readers must be in the daemon's group") from None
        text = f"{path}: {error.strerror}; is the daemon or plugin running?"
        raise DaemonNotRunning(f"{text}{_others_there(directory, stream)}") from None
    return connection


def _ask(connection: socket.socket, stream: str, packet: dict[str, Any]) -> None:
    try:
        send_packet(connection, packet)
    except OSError as error:
        raise StreamLost(f"stream {stream!r}: {error.strerror or error} while attaching") from None


def _answer(connection: socket.socket, stream: str, operation: str, n_fds: int = 0) -> tuple[dict[str, Any], list[int]]:
    """The writer's answer, which must be the named operation."""
    try:
        received = receive_packet(connection, n_fds)
    except TimeoutError:
        raise StreamLost(f"stream {stream!r}: no answer within {connection.gettimeout():g} s") from None
    except OSError as error:
        raise StreamLost(f"stream {stream!r}: {error.strerror or error} while attaching") from None
    if received is None:
        raise StreamLost(f"stream {stream!r}: the writer closed the connection while attaching")
    packet, fds = received
    if packet.get("op") == operation and len(fds) == n_fds:
        return packet, fds
    for fd in fds:
        os.close(fd)
    if packet.get("op") == "refused":
        raise AttachRefused(reason_of(packet, "refused without a reason"))
    if packet.get("op") == "end":
        reason = str(packet.get("reason"))[:40]
        if reason in CARRIED_ON:
            raise StreamLost(f"stream {stream!r}: its epoch ended while attaching ({reason})")
        raise StreamEnded(stream, reason, packet)
    raise ProtocolError(f"stream {stream!r}: answer {packet.get('op')!r:.40}, wanted {operation!r}")


def describe_stream(directory: Path, stream: str, within_s: float = HANDSHAKE_S) -> StreamInfo:
    """A stream's description, without attaching."""
    with contextlib.closing(open_stream_socket(directory, stream)) as connection:
        connection.settimeout(within_s)
        _ask(connection, stream, {"op": "describe"})
        packet, _ = _answer(connection, stream, "description")
    return _info_of(packet)


def _outage(request: AttachRequest) -> str:
    """Why the writer has no samples, in its own words; empty where it says nothing of the kind."""
    with contextlib.suppress(EegdError):
        return describe_stream(request.directory, request.stream, LOOK_S).outage
    return ""


def _answers(connection: socket.socket, within_s: float, gives_up: Callable[[], bool]) -> bool:
    """Whether there is something to read; also where it is not waited for any more."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    until_s = time.monotonic() + within_s
    while not gives_up():
        left_s = until_s - time.monotonic()
        if poll.poll(max(0.0, min(left_s, LOOK_S)) * 1000):
            return True
        if left_s <= LOOK_S:
            break
    return False


def _info_of(packet: dict[str, Any]) -> StreamInfo:
    try:
        return StreamInfo.from_description(packet["stream"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"description of a stream lacks or garbles {error}") from None


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
            _ask(self._connection, request.stream, asked)
            self._await_answer(patience_s)
            packet, fds = _answer(self._connection, request.stream, "attached", n_fds=2)
            self.info = _info_of(packet)
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
        if _answers(self._connection, LOOK_S, gives_up):
            return
        within_s = HANDSHAKE_S
        if patience_s is not None and _outage(self.request):
            within_s = patience_s
        if _answers(self._connection, within_s - LOOK_S, gives_up):
            return
        if gives_up():
            raise StreamLost(f"stream {self.request.stream!r}: given up while attaching")
        text = f"stream {self.request.stream!r}: no answer within {within_s:g} s"
        if outage := _outage(self.request):
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
        _answer(self._connection, self.request.stream, "ready")
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
