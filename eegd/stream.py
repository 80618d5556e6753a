"""A stream as a program reads it: frames, or blocks of seconds, in any event loop, over restarts of the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
import warnings
from collections.abc import AsyncIterator, Iterator

from eegd.attachment import RETRY_S, Attachment
from eegd.block import Block, BlockBuilder
from eegd.errors import LeasesExhausted, ProtocolError, StreamClosed, StreamEnded, StreamForked, StreamLost, WaitTimeout
from eegd.frame import Frame, StreamInfo
from eegd.handshake import CARRIED_ON
from eegd.inlet import AttachRequest, End, InletStats

__all__ = ["MissedFrames", "Stream"]

EPIPE, ENOBUFS, ENODATA, EINTR, ECHILD = -32, -105, -61, -4, -10
SLICE_S = 0.1
"""The C core waits no longer at a time."""
RELEASE_GRACE_S = 0.2


class MissedFrames(RuntimeWarning):
    """Given once per stream, at the first frame that this reader missed."""


class Stream:
    """An open stream. Iterate over it, or call `take` or `read`; use one of the three at a time.

    Policy `queue`: frames in order; when the credit is used up, newer ones are missed and counted. `latest`: always the
    newest. `lossless`: as queue, with deep credit, and an alarm at the daemon when it runs out. Arrays of frames hold
    credit while they live: copy what you keep.

    Threads: one at a time; arrays may go to any thread. In a forked child every call raises StreamForked.
    """

    def __init__(self, request: AttachRequest, timeout: float | None = None) -> None:
        self._request = request
        self._timeout = timeout
        self._pid = os.getpid()
        self._closed = False
        self._warned = False
        self._current: Frame | None = None
        self._kept: Frame | None = None
        """Taken for a task that was cancelled meanwhile; the next one to ask gets it."""
        self._next_frame: int | None = None
        self._missed = 0
        self._builder = BlockBuilder()
        self._attachment = Attachment(request, timeout)

    # ---- what it is ----

    @property
    def info(self) -> StreamInfo:
        """The present epoch's description."""
        return self._attachment.inlet.info

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def ended(self) -> End | None:
        """How the stream ended, once it has."""
        return self._attachment.ended

    @property
    def n_epochs(self) -> int:
        """Stream epochs seen, this one included."""
        return self._attachment.n_epochs

    @property
    def policy(self) -> str:
        return self._request.policy

    @property
    def depth(self) -> int:
        """Credit in frames."""
        return self._attachment.inlet.depth

    @property
    def missed(self) -> int:
        """Frames that this reader did not get, over all epochs."""
        return self._missed

    @property
    def stats(self) -> InletStats:
        self._check_usable()
        return self._attachment.inlet.stats()

    @property
    def lag_frames(self) -> int:
        """Frames published that this reader has neither taken nor missed yet."""
        stats = self.stats
        return max(0, stats.published - (stats.last_frame + 1 if stats.taken else stats.published))

    @property
    def lag(self) -> float:
        """How far this reader is behind the writer, in seconds."""
        return self.lag_frames * self.info.frame_samples / self.info.rate_sps

    # ---- taking ----

    def _check_usable(self) -> None:
        if self._closed:
            raise StreamClosed(f"stream {self._request.stream!r} was closed")
        if os.getpid() != self._pid:
            raise self._forked()

    def _forked(self) -> StreamForked:
        return StreamForked(
            f"stream {self._request.stream!r} belongs to process {self._pid}; open one in this process instead"
        )

    def take(self, timeout: float | None = -1.0) -> Frame:
        """The next frame. timeout in seconds, None waits without limit; by default the stream's own.

        Raises WaitTimeout; StreamEnded after the last frame; LeasesExhausted where this program itself holds all the
        credit; StreamLost, StreamClosed, StreamForked.
        """
        if self._closed:
            raise StreamClosed(f"stream {self._request.stream!r} was closed")
        if timeout is not None and timeout < 0:
            timeout = self._timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        self._drop_current()
        if self._attachment.inlet.pointer is None:  # ended; or lost, and an earlier call gave up waiting
            self._check_usable()  # a system call; where there is an inlet the C core knows of a fork
            if self.ended is not None:
                raise StreamEnded(self._request.stream, self.ended.reason, self.ended.totals)
            self._attach_again(deadline)
        left = timeout
        while True:
            wait_s = SLICE_S if left is None else max(0.0, min(left, SLICE_S))
            result = self._attachment.inlet.take(int(wait_s * 1e9))
            if result == 1:
                return self._accept()
            if result not in (0, EINTR):
                self._on_refusal(result, deadline)
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0 and result == 0:
                    self._attachment.update_readiness()
                    raise WaitTimeout(f"stream {self._request.stream!r}: no frame within {timeout:g} s")

    def _on_refusal(self, result: int, deadline: float | None) -> None:
        if result == EPIPE:
            self._attachment.inlet.hear()
        elif result == ENODATA:
            self._on_end(deadline)
        elif result == ENOBUFS:
            grace = RELEASE_GRACE_S if deadline is None else min(RELEASE_GRACE_S, max(0, deadline - time.monotonic()))
            if not self._attachment.inlet.wait_for_release(grace):
                raise LeasesExhausted(
                    f"stream {self._request.stream!r}: arrays of this program hold all {self.depth} frames of credit, "
                    "so none can arrive. Keep copies (frame.copy()) instead of arrays, release what is done "
                    "(del, frame.release()), or open the stream with more depth"
                )
        elif result == ECHILD:
            raise self._forked()
        else:
            raise ProtocolError(
                f"stream {self._request.stream!r}: its memory contradicts itself: {os.strerror(-result)}"
            )

    def _accept(self) -> Frame:
        inlet = self._attachment.inlet
        native, info = inlet.taken(), inlet.info
        number = native.descriptor.frame_number
        missed = 0 if self._next_frame is None else max(0, number - self._next_frame)
        self._next_frame = number + 1
        frame = self._current = Frame(native, info, missed)
        if missed:
            self._count_missed(missed)
        self._attachment.update_readiness()
        return frame

    def _count_missed(self, missed: int) -> None:
        self._missed += missed
        if self._warned or self._request.policy == "latest":
            return
        self._warned = True
        warnings.warn(
            f"reader {self._request.name!r} of {self._request.stream!r} missed {missed} frame(s): it was more than "
            f"{self.depth} frames behind. Do less per frame, ask for more depth, or use policy='latest'",
            MissedFrames,
            stacklevel=4,
        )

    def _drop_current(self) -> None:
        if self._current is not None:
            self._current.release()
            self._current = None

    # ---- ends and new epochs ----

    def _on_end(self, deadline: float | None) -> None:
        """Everything of this epoch was taken. Goes on in the next one where there is one; else StreamEnded."""
        end = self._attachment.inlet.end
        assert end is not None
        frames = end.totals.get("frames")
        if isinstance(frames, int) and self._next_frame is not None and frames > self._next_frame:
            self._count_missed(frames - self._next_frame)  # the last ones never reached this reader
            self._next_frame = frames
        if end.reason != "lost" and end.reason not in CARRIED_ON:
            self._attachment.ended = end
            raise StreamEnded(self._request.stream, end.reason, end.totals)
        self._attach_again(deadline)

    def _attach_again(self, deadline: float | None) -> None:
        self._attachment.renew(deadline)
        self._next_frame = None

    # ---- iteration ----

    def __iter__(self) -> Iterator[Frame]:
        """Frames until the stream ends. A lost writer is waited for."""
        while True:
            try:
                frame = self.take()
            except StreamEnded:
                return
            yield frame

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """As iteration, in an asyncio loop: waits on `fileno()` on the zeromq lane, in a thread on the direct one and
        for a new epoch."""
        while True:
            try:
                yield await self._take_async()
            except StreamEnded:
                return

    async def _take_async(self) -> Frame:
        """As `take` with the stream's own timeout, but the loop goes on meanwhile."""
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            left = math.inf if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                if self._request.lane == "direct" or not self._attachment.is_open:
                    return await self._take_in_thread(min(left, SLICE_S))
                return self._take_at_once()
            except WaitTimeout:
                if not left:
                    raise WaitTimeout(f"stream {self._request.stream!r}: no frame within {self._timeout:g} s") from None
            except StreamLost:
                if not left:
                    raise
                await asyncio.sleep(RETRY_S)
                continue
            if self._request.lane == "zeromq":
                await self._await_readable(left)

    def _take_at_once(self) -> Frame:
        """As `take` with timeout 0, but StreamLost where it would have to attach again, which takes time."""
        self._attachment.may_renew = False
        try:
            return self.take(timeout=0)
        finally:
            self._attachment.may_renew = True

    async def _take_in_thread(self, timeout: float) -> Frame:
        taking = asyncio.create_task(asyncio.to_thread(self.take, timeout))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            await asyncio.wait([taking])  # the stream is the thread's until then: a slice, or a handshake
            if not taking.cancelled() and taking.exception() is None:
                self._kept = taking.result()
            raise

    async def _await_readable(self, within_s: float) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        fd = self.fileno()
        loop.add_reader(fd, ready.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if within_s == math.inf else within_s):
                    await ready.wait()
        finally:
            loop.remove_reader(fd)

    # ---- blocks ----

    def read(self, seconds: float, timeout: float | None = -1.0) -> Block:
        """The next `seconds` of samples as one copy, with their times and the gaps between them.

        Exactly round(seconds × rate) samples, fewer only where the stream ends or a new epoch begins (a block never
        mixes two; the new one's samples come with the next call). What a frame holds beyond the block is kept for the
        next call. Raises as `take`; nothing is lost by a WaitTimeout.
        """
        n_wanted = max(1, round(seconds * self.info.rate_sps))
        wait = self._timeout if timeout is not None and timeout < 0 else timeout
        deadline = None if wait is None else time.monotonic() + wait
        builder = self._builder
        while builder.n_samples < n_wanted:
            try:
                frame = self.take(None if deadline is None else max(0.0, deadline - time.monotonic()))
            except StreamEnded:
                if not builder.n_samples:
                    raise
                break
            if not builder.fits(frame):
                block = builder.cut(n_wanted)
                builder.add(frame)
                return block
            builder.add(frame)
            n_wanted = max(1, round(seconds * frame.info.rate_sps))  # an epoch may have begun at another rate
        return builder.cut(n_wanted)

    # ---- event loops ----

    def fileno(self) -> int:
        """A descriptor that is readable while a frame (or the end) can be taken with `timeout=0`. Lane zeromq."""
        self._check_usable()
        return self._attachment.fileno()

    # ---- leaving ----

    def close(self) -> None:
        """No more frames; harmless when repeated, and in a forked child. Arrays that are still held stay valid."""
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        self._drop_current()
        self._attachment.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Stream {self._request.stream!r}: policy {self._request.policy}, depth {self.depth}>"
