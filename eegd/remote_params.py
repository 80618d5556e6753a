"""Asking a running plugin for its parameters, and setting them, over its stream's socket."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eegd.absent import why_absent
from eegd.errors import AttachRefused, DaemonNotRunning, EegdError, ParamError, ProtocolError, StreamLost
from eegd.handshake import open_stream_socket
from eegd.packet import reason_of, receive_packet, send_packet, value_of
from eegd.runtime_dir import is_served

__all__ = ["Applied", "PluginParams", "as_word", "ask_params", "set_params"]

ANSWER_S = 5.0
"""More than the 2 s after which a plugin says that a change waits for a frame."""


@dataclass(frozen=True, slots=True)
class PluginParams:
    """The parameters of a running plugin."""

    plugin: str
    """Name of its class."""
    values: dict[str, Any]
    declared: list[dict[str, Any]]
    """Kind, range, unit, default and sentence of each."""
    positional: tuple[str, ...]
    """Those that need no name, in their order."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one change."""

    changed: tuple[str, ...]
    """Parameters that have another value than before."""
    values: dict[str, Any]
    """All of them."""
    frame_number: int | None
    """First input frame that was processed with them; None: pending."""
    sample_index: int | None
    """First sample of that frame, as its stream counts."""
    pending: bool
    """The plugin has no input now: they will hold from its next frame on, or be refused in its log."""


def ask_params(directory: Path, stream: str) -> PluginParams:
    """Raises EegdError, also for a stream that is no plugin's."""
    packet = _exchange(directory, stream, {"op": "params"})
    plugin, values = value_of(packet, "plugin", str, ""), value_of(packet, "values", dict, {})
    positional = tuple(map(str, value_of(packet, "positional", list, [])))
    return PluginParams(plugin, values, value_of(packet, "declared", list, []), positional)


def set_params(directory: Path, stream: str, words: Sequence[str], values: Mapping[str, object]) -> Applied:
    """All of them, or none: ParamError, or another EegdError, with the plugin's reason."""
    request = {"op": "set", "words": list(words), "values": {name: _plain(value) for name, value in values.items()}}
    packet = _exchange(directory, stream, request)
    return Applied(
        tuple(map(str, value_of(packet, "changed", list, []))),
        value_of(packet, "values", dict, {}),
        value_of(packet, "frame_number", int),
        value_of(packet, "sample_index", int),
        value_of(packet, "pending", bool, False),
    )


def as_word(value: object) -> str:
    """A value as it is written on a command line."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(as_word, value))
    return str(value)


def _exchange(directory: Path, stream: str, request: Mapping[str, object]) -> dict[str, Any]:
    operation = request["op"]
    try:
        opened = open_stream_socket(directory, stream)
    except DaemonNotRunning as error:
        if is_served(directory, stream):  # but not for us
            raise
        raise EegdError(why_absent(directory, stream)) from error
    with contextlib.closing(opened) as connection:
        connection.settimeout(ANSWER_S)
        try:
            send_packet(connection, request)
            received = receive_packet(connection)
        except TimeoutError:
            raise StreamLost(f"plugin {stream!r}: no answer to {operation!r} within {ANSWER_S:g} s") from None
        except OSError as error:
            raise StreamLost(f"plugin {stream!r}: {error.strerror or error}") from None
    if received is None:
        raise StreamLost(f"plugin {stream!r} has ended before it answered")
    packet = received[0]
    if packet.get("ok") is True:
        return packet
    if packet.get("ok") is False:
        raise ParamError(reason_of(packet, f"{stream}: refused without a reason"))
    if packet.get("op") == "refused":
        reason = reason_of(packet, "refused without a reason")
        if reason.startswith("operation "):
            raise EegdError(f"stream {stream!r} is no plugin's: it has no parameters")
        raise AttachRefused(f"plugin {stream!r}: {reason}")
    if packet.get("op") == "end":
        raise StreamLost(f"plugin {stream!r} has ended before it answered")
    raise ProtocolError(f"plugin {stream!r}: answer {packet.get('op')!r:.40} to {operation!r}")


def _plain(value: object) -> object:
    """NumPy's numbers as Python's."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
