"""The handshake of a reader with a stream's writer: the connection, packets and their answers, the description.

Any thread; each connection belongs to whoever opened it.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eegd.errors import AttachRefused, DaemonNotRunning, EegdError, ProtocolError, StreamEnded, StreamLost
from eegd.frame import StreamInfo
from eegd.near import meant
from eegd.packet import reason_of, receive_packet, send_packet
from eegd.runtime_dir import stream_socket

__all__ = [
    "CARRIED_ON",
    "HANDSHAKE_S",
    "LOOK_S",
    "answer",
    "ask",
    "describe_stream",
    "has_answer",
    "info_of",
    "open_stream_socket",
    "outage_of",
]

HANDSHAKE_S = 5.0
LOOK_S = 0.2
"""A writer that has said nothing for so long is between two epochs, or hangs: it is asked which."""
CARRIED_ON = ("reconfigured", "restarted")
"""Ends after which the same stream goes on in a new epoch, and a reader attaches again by itself."""


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


def ask(connection: socket.socket, stream: str, packet: dict[str, Any]) -> None:
    """Raises StreamLost."""
    try:
        send_packet(connection, packet)
    except OSError as error:
        raise StreamLost(f"stream {stream!r}: {error.strerror or error} while attaching") from None


def answer(connection: socket.socket, stream: str, operation: str, n_fds: int = 0) -> tuple[dict[str, Any], list[int]]:
    """The writer's answer, which must be the named operation, with so many descriptors, which are the caller's.

    Raises AttachRefused, StreamEnded, StreamLost, ProtocolError.
    """
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
    """A stream's description, without attaching. Raises DaemonNotRunning and what `answer` raises."""
    with contextlib.closing(open_stream_socket(directory, stream)) as connection:
        connection.settimeout(within_s)
        ask(connection, stream, {"op": "describe"})
        packet, _ = answer(connection, stream, "description")
    return info_of(packet)


def outage_of(directory: Path, stream: str) -> str:
    """Why the writer has no samples, in its own words; empty where it says nothing of the kind."""
    with contextlib.suppress(EegdError):
        return describe_stream(directory, stream, LOOK_S).outage
    return ""


def has_answer(connection: socket.socket, within_s: float, gives_up: Callable[[], bool]) -> bool:
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


def info_of(packet: dict[str, Any]) -> StreamInfo:
    """Raises ProtocolError."""
    try:
        return StreamInfo.from_description(packet["stream"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"description of a stream lacks or garbles {error}") from None
