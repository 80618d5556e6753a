"""A stream as the terminal tools read it: opened again whenever its writer comes back, with notes on what happens."""

from __future__ import annotations

import time
import warnings

from eegd.cli.text import count
from eegd.client import Client
from eegd.errors import AttachRefused, DaemonNotRunning, StreamEnded, StreamLost, WaitTimeout
from eegd.frame import Frame, StreamInfo
from eegd.stream import MissedFrames, Stream

__all__ = ["Feed"]

RETRY_S = 0.5


class Feed:
    """Frames of one stream for a viewer, which must neither hang nor give up. Synchronization: one thread."""

    def __init__(self, client: Client, stream: str, name: str, seconds: float = 1.0) -> None:
        """seconds: depth; a viewer that draws rarely is that far behind at most."""
        self.ended: str | None = None
        """Why the stream ended, once it has."""
        self.notes: list[str] = []
        """Losses, missed frames and new epochs, in the order in which they happened; the caller takes them out."""
        self.missed = 0
        self._client = client
        self._name = name
        self._stream_name = stream
        self._seconds = seconds
        self._stream: Stream | None = None
        self._epoch = 0
        self._seen_missed = 0
        self._retry_at = 0.0
        self._told = False
        warnings.simplefilter("ignore", MissedFrames)  # told as a note instead

    @property
    def info(self) -> StreamInfo | None:
        """The present epoch's description; None while the writer is away."""
        return None if self._stream is None else self._stream.info

    def open(self) -> None:
        """Attaches. Raises DaemonNotRunning, StreamLost, AttachRefused."""
        self._stream = self._client.open(self._stream_name, policy="queue", seconds=self._seconds, name=self._name)
        self._seen_missed = 0
        self._told = False

    def take(self, timeout: float) -> Frame | None:
        """The next frame, or None where none came in time. After `ended` there is no other."""
        if self.ended is not None:
            return None
        if self._stream is None and not self._reopen(timeout):
            return None
        assert self._stream is not None
        try:
            frame = self._stream.take(timeout)
            self._note(frame)
            return frame
        except WaitTimeout:
            pass
        except StreamEnded as end:
            self._note_missed()
            self.ended = end.reason
        except (StreamLost, DaemonNotRunning):
            self._lost()
        except AttachRefused as refusal:
            self.ended = f"not let in: {refusal}"
        return None

    def _note(self, frame: Frame) -> None:
        self._note_missed()
        if self._epoch and frame.stream_epoch != self._epoch:
            rate = f"{frame.info.rate_sps:g} SPS"
            self.notes.append(f"new stream epoch, {rate}, {len(frame.info.labels)} channels")
        self._epoch = frame.stream_epoch
        if frame.lost_before:
            self.notes.append(f"{count(frame.lost_before)} samples lost before sample {frame.sample_index}")

    def _note_missed(self) -> None:
        assert self._stream is not None
        missed = self._stream.missed - self._seen_missed
        if missed:
            self._seen_missed += missed
            self.missed += missed
            self.notes.append(f"{count(missed)} frames missed: this reader was too slow")

    def _lost(self) -> None:
        if not self._told:
            self._told = True
            self.notes.append(f"the writer of {self._stream_name!r} is gone; waiting for it")
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._retry_at = time.monotonic() + RETRY_S

    def _reopen(self, timeout: float) -> bool:
        wait = self._retry_at - time.monotonic()
        if wait > timeout:
            time.sleep(timeout)
            return False
        time.sleep(max(0.0, wait))
        try:
            self.open()
        except (DaemonNotRunning, StreamLost):
            self._lost()
            return False
        except AttachRefused as refusal:
            self.ended = f"not let in: {refusal}"
            return False
        return True

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
