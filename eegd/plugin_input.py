"""What a plugin reads: waits for the stream, attaches to it, and works off the rest when the plugin is to stop."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from eegd.errors import AttachRefused, DaemonNotRunning, EegdError, ProtocolError, StreamEnded, StreamLost
from eegd.frame import StreamInfo
from eegd.handshake import describe_stream
from eegd.inlet import AttachRequest
from eegd.output_thread import OutputThread
from eegd.plugin_counts import Counts
from eegd.stream import Stream

__all__ = ["NOT_THERE", "PATIENCE_S", "PluginInput", "policy_for"]

log = logging.getLogger(__name__)

PATIENCE_S = 0.1
DRAIN_S = 1.0
"""How long a plugin that was asked to stop still works off what is queued for it."""
DESCRIBE_S = 0.5
"""A writer without an epoch says nothing of its stream, and who waits for it hears no request to stop meanwhile."""
DEPTH_S = 1.0
"""Credit on the input: how far a plugin may fall behind before it misses frames."""
NOT_THERE = (DaemonNotRunning, StreamLost, AttachRefused, ProtocolError)
"""Reasons to wait."""


def policy_for(info: StreamInfo) -> str:
    """On the virtual clock the writer waits for its lossless readers, so that nothing is ever missed."""
    return "lossless" if info.description.get("virtual_clock") else "queue"


class PluginInput:
    """The stream that a plugin reads. Main thread of its process."""

    def __init__(self, stream: str, directory: Path, reader: str, thread: OutputThread, counts: Counts) -> None:
        """reader: the name under which it is attached. counts: where the state is told."""
        self._stream = stream
        self._directory = directory
        self._reader = reader
        self._thread = thread
        self._counts = counts
        self._drain_until: float | None = None

    def open(self) -> Stream | None:
        """Waits until the input is there; None when asked to stop before."""
        while not self._thread.stopping.is_set():
            try:
                info = describe_stream(self._directory, self._stream, DESCRIBE_S)
                if info.outage:  # attaching would wait, and be deaf meanwhile
                    raise StreamLost(f"recovering: {info.outage}")
                request = AttachRequest(
                    self._stream,
                    self._directory,
                    self._reader,
                    policy=policy_for(info),
                    lane="direct",  # nothing here selects on a descriptor: one wake-up a frame, and no library's thread
                    depth_s=DEPTH_S,
                    gives_up=self._thread.stopping.is_set,
                )
                return Stream(request)
            except NOT_THERE as error:
                self.wait(error)
        return None

    def wait(self, error: EegdError) -> None:
        if self._counts.state != "waiting for input":
            log.info("waiting for input %r: %s", self._stream, error)
        self._counts.state = "waiting for input"
        self._thread.stopping.wait(PATIENCE_S)

    def patience_left(self) -> float:
        """Seconds to wait for a frame after a request to stop: none, since only the rest is worked off."""
        if self._drain_until is None:
            self._drain_until = time.monotonic() + DRAIN_S
        if time.monotonic() > self._drain_until:
            raise StreamEnded(self._stream, self._thread.end_reason, {})
        return 0.0
