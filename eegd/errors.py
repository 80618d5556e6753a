"""Every exception that eegd raises, sorted by whose doing it was. All derive from EegdError."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "AttachRefused",
    "BoardError",
    "ConfigError",
    "DaemonNotRunning",
    "EegdError",
    "FrameReleased",
    "FrameShared",
    "InPlaceNotSupported",
    "LeasesExhausted",
    "NameTaken",
    "NeedsUnmet",
    "ParamError",
    "PluginError",
    "ProtocolError",
    "ReadBackError",
    "ReplayError",
    "StreamClosed",
    "StreamEnded",
    "StreamForked",
    "StreamLost",
    "WaitTimeout",
]


class EegdError(Exception):
    """Base of all errors of this package."""


# What you asked for cannot be done as it stands.


class ConfigError(EegdError):
    """A configuration that cannot work; the text names file, key, value and what is allowed."""


class NameTaken(ConfigError):
    """Another process owns this name in the runtime directory; `pid` says which, where it is known."""

    def __init__(self, text: str, pid: int | None) -> None:
        super().__init__(text)
        self.pid = pid


class ParamError(EegdError):
    """A plugin parameter that is unknown, missing, or out of its declared range.

    problems: what is wrong by parameter, where that is known one by one.
    """

    def __init__(self, text: str = "", problems: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.problems = dict(problems or {})


class PluginError(EegdError):
    """A plugin that cannot be found, loaded or started as asked."""


class NeedsUnmet(PluginError):
    """A plugin whose input is not what it declares to need: another kind, rate, or number of channels."""


class InPlaceNotSupported(PluginError):
    """A plugin that cannot change its input in place, and was asked to."""


class FrameShared(PluginError):
    """A frame that other readers see too cannot be changed in place; only one inside a chain can."""


class FrameReleased(EegdError):
    """The frame's own hold has ended: it was released, or the next one was taken."""


class LeasesExhausted(EegdError):
    """Waiting for a frame while arrays of this program hold every credit: nothing could ever arrive."""


class StreamClosed(EegdError):
    """You closed this stream."""


class StreamForked(EegdError):
    """The stream was opened by the parent process; a forked child must open its own."""


class WaitTimeout(EegdError, TimeoutError):
    """Nothing arrived within the given time."""


# The other side's doing.


class DaemonNotRunning(EegdError):
    """No daemon answers in the runtime directory."""


class StreamEnded(EegdError):
    """The stream has ended and every frame was taken; `reason` and the writer's `totals` say how."""

    def __init__(self, stream: str, reason: str, totals: dict[str, object]) -> None:
        super().__init__(f"stream {stream!r} has ended: {reason}")
        self.reason = reason
        self.totals = totals


class AttachRefused(EegdError):
    """The writer refused to attach this reader; the text is the writer's reason."""


class ProtocolError(EegdError):
    """Bytes from a peer that do not follow the protocol."""


class StreamLost(EegdError):
    """The writer went away without an end packet and did not come back in time."""


# The hardware, or what stands in for it.


class BoardError(EegdError):
    """The board, or the kernel below it, refused something."""


class ReadBackError(BoardError):
    """A register did not hold what was written; the text names register, wrote and read."""


class ReplayError(EegdError):
    """A recording that cannot be replayed; the text names file, line or byte, and what was expected."""
