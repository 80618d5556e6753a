"""Reader programs that run in processes of their own, and the handle by which a test runs one.

    python reader_process.py PROGRAM DIRECTORY OPTIONS     (OPTIONS: JSON)

A program prints one JSON object per line; the last one is its result. Lines on its standard input are its orders.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

import eegd
from eegd.errors import EegdError, StreamForked
from eegd.inlet import Inlet
from eegd.pattern import check_pattern, find_pattern
from eegd.stream import MissedFrames, Stream

__all__ = ["PatternCheck", "ReaderProcess"]

BATCH = 100
"""Frames that are checked together."""
START_S = 20.0
ROOT = Path(__file__).resolve().parents[2]


class ReaderProcess:
    """A running reader program. Blocking calls have no limit of their own: the test has one."""

    def __init__(self, program: str, directory: Path, **options: object) -> None:
        command = [sys.executable, __file__, program, str(directory), json.dumps(options)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self._stdin, self._stdout = self.process.stdin, self.process.stdout

    @property
    def pid(self) -> int:
        return self.process.pid

    def hear(self, key: str = "") -> dict[str, Any]:
        """The next line that it prints, or the next one with this key."""
        while True:
            line = self._stdout.readline()
            assert line, f"reader ended with {self.process.wait()} instead of saying {key!r}"
            said: dict[str, Any] = json.loads(line)
            if not key or key in said:
                return said

    def tell(self, order: str) -> None:
        self._stdin.write(order + "\n")
        self._stdin.flush()

    def result(self) -> dict[str, Any]:
        """Waits for its end; it must have ended well."""
        result = self.hear("result")
        assert self.process.wait() == 0
        return result

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> ReaderProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._stdin.close()
        self.kill()
        self._stdout.close()


class PatternCheck:
    """Checks the codes of every frame against the emulator's pattern, and the numbers of frames and samples."""

    def __init__(self, info: eegd.StreamInfo) -> None:
        self._scale = 1.0 / (np.array(info.lsb_uv) * np.array(info.signs))[:, np.newaxis]
        self._parts: list[np.ndarray[Any, Any]] = []
        self._first = 0
        self._shift: int | None = None
        self.first_frame: int | None = None
        self.next_frame = 0
        self.next_sample = 0
        self.frames = 0
        self.samples = 0
        self.skipped = 0
        """Frames between the first and the last that did not come."""
        self.lost = 0
        self.disorder = 0
        """Frames whose number or sample index is not beyond the one before, or contradicts lost_before."""
        self.bad = 0
        """Conversions with a wrong byte."""

    def take(self, frame: eegd.Frame) -> None:
        number, index = frame.frame_number, frame.sample_index
        if self.first_frame is None:
            self.first_frame, self.next_frame, self.next_sample = number, number, index - frame.lost_before
        gap = number - self.next_frame
        self.skipped += max(0, gap)
        self.disorder += gap < 0 or (gap == 0 and index != self.next_sample + frame.lost_before)
        self.lost += frame.lost_before
        if gap or frame.lost_before or len(self._parts) == BATCH:
            self.flush()
        if not self._parts:
            self._first = index
        self._parts.append(frame.copy())
        self.next_frame, self.next_sample = number + 1, index + frame.n_samples
        self.frames += 1
        self.samples += frame.n_samples

    def flush(self) -> None:
        if not self._parts:
            return
        codes = np.rint(np.concatenate(self._parts, axis=1) * self._scale).astype(np.int32)
        self._parts.clear()
        if self._shift is None:
            found = find_pattern(codes, self._first)
            if found is None:
                self.bad += codes.shape[1]
                return
            self._shift = found - self._first
        self.bad += check_pattern(codes, self._first + self._shift)

    def result(self) -> dict[str, Any]:
        self.flush()
        names = ("first_frame", "frames", "samples", "skipped", "lost", "disorder", "bad")
        return {name: getattr(self, name) for name in names}


# ---- the programs ----


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")  # in one piece: a forked child may be speaking too
    sys.stdout.flush()


def await_order() -> str:
    return sys.stdin.readline().strip()


def connected(directory: str) -> eegd.Client:
    """As soon as the daemon, which may just have been started, answers."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            return eegd.connect(directory)
        except EegdError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def await_frames(directory: str, n: int) -> None:
    client = connected(directory)
    while client.ask("status")["status"]["stream"].get("frames", 0) < n:
        time.sleep(0.01)


def opened(directory: str, options: dict[str, Any]) -> Stream:
    stream = connected(directory).open(**{"timeout": 30.0, **options})
    say(attached=True, depth=stream.depth, pid=os.getpid())
    return stream


def count(directory: str, options: dict[str, Any]) -> None:
    """Takes and checks every frame until the stream ends; `pause_s` after each. Comes once there are `wait_frames`."""
    pause_s, wait_frames = options.pop("pause_s", 0.0), options.pop("wait_frames", 0)
    if wait_frames:
        await_frames(directory, wait_frames)
    stream = opened(directory, options)
    check = PatternCheck(stream.info)
    for frame in stream:
        check.take(frame)
        if check.frames == 1:
            say(first=frame.frame_number)
        if pause_s:
            time.sleep(pause_s)
    end = stream.ended
    say(result=True, missed=stream.missed, reason=end and end.reason, totals=end and end.totals, **check.result())


def hold(directory: str, options: dict[str, Any]) -> None:
    """Takes `n` frames, keeps their arrays, and goes on only when told; then gives all back and ends."""
    n = options.pop("n")
    stream = opened(directory, options)
    kept = [stream.take().data for _ in range(n)]
    say(holding=len(kept))
    await_order()
    kept.clear()
    stream.close()
    say(result=True)


def idle(directory: str, options: dict[str, Any]) -> None:
    """Attaches and reads neither its connection nor its messages."""
    stream = opened(directory, options)
    await_order()
    stream.close()
    say(result=True)


def come_and_go(directory: str, options: dict[str, Any]) -> None:
    """Attaches and detaches `n` times for each order, on both lanes, with all policies, with and without a frame."""
    n = options.pop("n")
    client = connected(directory)
    say(attached=True)
    while await_order() == "again":
        kept, frame = [], None
        for i in range(n):
            lane, policy = ("zeromq", "direct")[i % 2], ("queue", "latest", "lossless")[i % 3]
            with client.open(lane=lane, policy=policy, depth=4 + i % 29, timeout=10) as stream:
                if i % 4:
                    frame = stream.take()
                    kept.append(frame.data)
                    if i % 8 != 1:  # else given back only after the stream was closed
                        kept.clear()
            frame = None
            kept.clear()
        say(rounds=n)
    say(result=True)


def fork(directory: str, options: dict[str, Any]) -> None:
    """Forks while it holds frames; the child tries the stream and stays, the parent waits to be killed."""
    stream = opened(directory, options)
    kept = [stream.take().data for _ in range(3)]
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # it ends, even if the test does not come to end it
        try:
            stream.take(timeout=1)
            say(child=os.getpid(), error="none")
        except StreamForked as error:
            stream.close()
            say(child=os.getpid(), error=type(error).__name__, text=str(error))
        signal.pause()
    say(parent=os.getpid(), holding=len(kept))
    signal.pause()


def scribble(directory: str, options: dict[str, Any]) -> None:
    """Fills its lease page with random bytes, and punches holes in it, while another thread of it claims frames."""
    original = Inlet._open
    pages: list[int] = []

    def open_and_keep(self: Inlet, fds: list[int]) -> None:
        pages.append(os.dup(fds[1]))
        original(self, fds)

    setattr(Inlet, "_open", open_and_keep)  # noqa: B010 - mypy refuses the plain assignment
    stream = opened(directory, options)
    stopped = threading.Event()
    page = mmap.mmap(pages[0], os.fstat(pages[0]).st_size)

    def spoil() -> None:
        while not stopped.is_set():
            page[:] = os.urandom(len(page))
            punch_hole(pages[0], len(page))

    spoiler = threading.Thread(target=spoil)
    spoiler.start()
    n_taken = n_refused = 0
    while not stopped.is_set():
        try:
            stream.take(timeout=0.001)
            n_taken += 1
        except (EegdError, AssertionError):
            n_refused += 1
        if select.select([sys.stdin], [], [], 0)[0]:
            stopped.set()
    spoiler.join()
    say(result=True, taken=n_taken, refused=n_refused)
    sys.stdout.flush()
    os._exit(0)  # nothing in this process can be trusted to clean up


def punch_hole(fd: int, n_bytes: int) -> int:
    """fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) over the whole file; 0, or the errno."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return ctypes.get_errno() if libc.fallocate(fd, 3, 0, n_bytes) < 0 else 0


PROGRAMS: dict[str, Callable[[str, dict[str, Any]], None]] = {
    program.__name__: program for program in (count, hold, idle, come_and_go, fork, scribble)
}


def main() -> None:
    warnings.simplefilter("ignore", MissedFrames)
    program, directory, options = sys.argv[1:]
    PROGRAMS[program](directory, json.loads(options))


if __name__ == "__main__":
    main()
