"""Packets of the attach and control sockets: a JSON object per SOCK_SEQPACKET message, with descriptors beside it.

Whatever a peer sends is checked here: size, UTF-8, JSON, an object, known types. The peer's mistakes become
ProtocolError; file descriptors that came along are closed unless they were asked for.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from eegd.errors import ProtocolError

__all__ = [
    "MAX_PACKET_BYTES",
    "PROTOCOL",
    "RECOVERING",
    "decode_packet",
    "reason_of",
    "receive_packet",
    "send_packet",
    "value_of",
]

PROTOCOL = 1
MAX_PACKET_BYTES = 256 * 1024
MAX_FDS = 4
RECOVERING = "recovering"
"""State in a stream's description: there are no samples, for nobody knows how long."""


def decode_packet(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. Raises ProtocolError."""
    try:
        packet = json.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"packet of {len(data)} bytes is not JSON: {error}") from None
    if not isinstance(packet, dict):
        raise ProtocolError(f"packet is a JSON {type(packet).__name__}, not an object")
    return packet


def send_packet(connection: socket.socket, packet: Mapping[str, object], fds: Sequence[int] = ()) -> None:
    """Sends one packet whole, or raises OSError (BlockingIOError where the peer does not read)."""
    data = json.dumps(packet, separators=(",", ":"), allow_nan=False).encode()
    if len(data) > MAX_PACKET_BYTES:
        raise ProtocolError(f"packet of {len(data)} bytes is longer than {MAX_PACKET_BYTES}")
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    connection.sendmsg([data], ancillary)


def receive_packet(connection: socket.socket, n_fds: int = 0) -> tuple[dict[str, Any], list[int]] | None:
    """The next packet and its descriptors (close-on-exec, the caller's to close); None at end of file.

    Raises ProtocolError for bytes that are no packet, BlockingIOError or TimeoutError as the socket is set.
    """
    space = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
    data, ancillary, flags, _ = connection.recvmsg(MAX_PACKET_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    try:
        if not data and not fds:
            return None
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ProtocolError(f"packet longer than {MAX_PACKET_BYTES} bytes, or with too many descriptors")
        if len(fds) != n_fds and fds:
            raise ProtocolError(f"packet came with {len(fds)} descriptors, {n_fds} wanted")
        packet = decode_packet(data)
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return packet, list(fds)


def value_of(packet: Mapping[str, Any], key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
    """packet[key] if it is of the kind (a bool is no number); the default where it is absent. Raises ProtocolError."""
    value = packet.get(key, default)
    if value is default:
        return value
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(k.__name__ for k in kinds)
        raise ProtocolError(f"{key!r} is {value!r:.80}, wanted {wanted}")
    return value


def reason_of(packet: Mapping[str, Any], default: str) -> str:
    """The `error` of a refusal, never empty."""
    return str(packet.get("error") or "").strip()[:4000] or default
