"""The terms on which a reader attaches: name, policy, lane and depth, read from its request and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eegd.errors import ProtocolError
from eegd.outlet import LANES, POLICIES
from eegd.packet import PROTOCOL, value_of

__all__ = ["Terms", "read_terms"]

MIN_DEPTH, MAX_DEPTH = 2, 16384
LEAST_DEFAULT_DEPTH = 4
DEFAULT_DEPTH_S = 0.5
MAX_NAME_CHARACTERS = 64
DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Terms:
    """Synchronization: none required."""

    name: str
    """For the status: printable, at most 64 characters."""
    policy: str
    lane: str
    depth: int
    """Credit in frames."""


def read_terms(packet: Mapping[str, Any], frames_per_s: float) -> Terms:
    """The terms in an attach request to a stream of so many frames per second. Raises ProtocolError."""
    if value_of(packet, "protocol", int) != PROTOCOL:
        raise ProtocolError(f"protocol {packet.get('protocol')!r:.40}: this writer speaks {PROTOCOL}")
    name = value_of(packet, "name", str, "reader")[:MAX_NAME_CHARACTERS]
    return Terms(
        name="".join(char if char.isprintable() else "?" for char in name) or "reader",
        policy=_choice(packet, "policy", POLICIES),
        lane=_choice(packet, "lane", LANES),
        depth=_depth(packet, frames_per_s),
    )


def _choice(packet: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = value_of(packet, key, str, choices[0])
    if value not in choices:
        raise ProtocolError(f"{key} {value!r:.40}: one of {', '.join(choices)}")
    return str(value)


def _depth(packet: Mapping[str, Any], frames_per_s: float) -> int:
    depth = value_of(packet, "depth", int)
    seconds = value_of(packet, "depth_s", (int, float))
    if depth is not None and seconds is not None:
        raise ProtocolError("depth and depth_s exclude each other")
    if depth is None:
        wanted = DEFAULT_DEPTH_S if seconds is None else seconds
        if not 0 < wanted < DAY_S:  # true of NaN; an int may be longer than any float
            raise ProtocolError(f"depth_s {wanted!r:.40}: more than 0 and less than a day")
        least = LEAST_DEFAULT_DEPTH if seconds is None else MIN_DEPTH
        depth = min(max(least, round(wanted * frames_per_s)), MAX_DEPTH)
    if not MIN_DEPTH <= depth <= MAX_DEPTH:
        raise ProtocolError(f"depth {depth!r:.40}: {MIN_DEPTH} to {MAX_DEPTH} frames")
    return int(depth)
