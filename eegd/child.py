"""A child process whose end is known from the process itself: whoever else holds its pipes does not matter.

It has a process group of its own, but the daemon's session: with a session of its own it would, under autogroup
(sched(7)), be weighed as much as the daemon whatever their nice values are.

Nothing here forks the daemon: subprocess without preexec_fn goes through vfork, which copies no page.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from eegd.left_behind import MARK, kill_left_behind, left_behind

__all__ = ["CUT", "Child", "Lines", "how_it_ended"]

log = logging.getLogger(__name__)

CHUNK = 16 * 1024
"""Read at once, so that one that floods leaves the loop time for others."""
OUTPUT_LINE = 1 << 20
ERROR_LINE = 8 * 1024
"""The longest lines, in bytes, that are heard whole."""
REST_BYTES = 1 << 20
"""What a pipe may hold at most where nobody has raised /proc/sys/fs/pipe-max-size."""
LEFT_S = 0.25
"""What a process leaves behind may end by itself for so long, as those do that clean up after it."""
LOOK_S = 0.02
REAP_S = 1.0
CUT = " … (cut off)"

Hear = Callable[[str], None]


def how_it_ended(code: int) -> str:
    """An exit code, or a signal's number below zero, for a person. Most real-time signals have no name."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class Lines:
    """Bytes as lines of text. Of an overlong one the beginning is kept, with CUT, whatever comes until its end."""

    def __init__(self, longest: int = ERROR_LINE) -> None:
        self._longest = longest
        self._begun = bytearray()
        self._is_cut = False

    def feed(self, data: bytes) -> Iterator[str]:
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._add(part)
            yield self._take()
        self._add(rest)

    def end(self) -> Iterator[str]:
        """What came without an end of line."""
        if self._begun:
            yield self._take()

    def _add(self, part: bytes) -> None:
        room = self._longest - len(self._begun)
        self._is_cut |= len(part) > room
        self._begun += part[:room]

    def _take(self) -> str:
        text = self._begun.decode(errors="replace") + CUT * self._is_cut
        self._begun, self._is_cut = bytearray(), False
        return text


class Child:
    """One process, its three pipes, and whatever it starts. Control thread only; needs a running loop.

    Every one must be waited for: `wait` is what gives the descriptors back and ends what the process left behind.
    """

    def __init__(self, command: Sequence[str], on_output: Hear, on_error: Hear, given: bytes | None = None) -> None:
        """Starts it. on_output, on_error: called for each line that it writes. given: all that it can read; None: its
        input stays open until `close_input`. Raises OSError."""
        self._mark = secrets.token_hex(16)
        self._loop = asyncio.get_running_loop()
        with contextlib.nullcontext(subprocess.PIPE) if given is None else _memory(given) as stdin:
            self._process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                process_group=0,
                env={**os.environ, MARK: self._mark},
            )
        self.pid = self._process.pid
        self.has_ended = False
        """Its process is no more, or a zombie."""
        self.n_left_behind = 0
        """Processes that it left behind, and that were killed; known once `wait` has returned."""
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._heard: dict[int, tuple[Lines, Hear]] = {}
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except OSError:
            self._pidfd = -1
            self._process.kill()
            self._clear()
            raise
        self._loop.add_reader(self._pidfd, self._on_end)
        for stream, longest, hear in (
            (self._process.stdout, OUTPUT_LINE, on_output),
            (self._process.stderr, ERROR_LINE, on_error),
        ):
            fd = stream.fileno()
            os.set_blocking(fd, False)
            self._heard[fd] = (Lines(longest), hear)
            self._loop.add_reader(fd, self._read, fd)

    def close_input(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def send(self, number: int) -> None:
        """A signal to the process itself, if it lives."""
        if self._pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    async def wait(self) -> int:
        """Until it has ended; returns its exit code, or the signal's number below zero. What it left behind may end
        by itself for a moment, and is then killed. When cancelled, the process is killed as well."""
        try:
            await self._ended
            until = self._loop.time() + LEFT_S
            while left_behind(self.pid, self._mark) and self._loop.time() < until:
                await asyncio.sleep(LOOK_S)
        finally:
            code = self._clear()
        return code

    # ---- what it says ----

    def _read(self, fd: int) -> int:
        """Hears what is there; returns how many bytes that were."""
        lines, hear = self._heard[fd]
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        self._tell(hear, lines.feed(data) if data else lines.end())
        if not data:
            self._deafen(fd)
        return len(data)

    def _tell(self, hear: Hear, lines: Iterator[str]) -> None:
        """What cannot be heard, by a fault of ours, must not keep the descriptors open."""
        for line in lines:
            try:
                hear(line)
            except Exception:
                log.exception("a line of process %d", self.pid)

    def _deafen(self, fd: int) -> None:
        if self._heard.pop(fd, None) is not None:
            self._loop.remove_reader(fd)

    # ---- its end ----

    def _on_end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self.has_ended = True
        if not self._ended.done():
            self._ended.set_result(None)

    def _clear(self) -> int:
        """Kills what still lives, hears what is in the pipes, and closes everything."""
        process = self._process
        self.send(signal.SIGKILL)  # not Popen.kill, which would reap one that has ended just now, and free its number
        self.n_left_behind = kill_left_behind(self.pid, self._mark)
        with contextlib.suppress(subprocess.TimeoutExpired):  # SIGKILL has come; who sleeps in the kernel ends later
            process.wait(REAP_S)
        self.has_ended = True
        for fd in list(self._heard):
            n_heard = 0
            while fd in self._heard and n_heard < REST_BYTES and (n := self._read(fd)):
                n_heard += n
            if fd in self._heard:
                lines, hear = self._heard[fd]
                self._tell(hear, lines.end())
                self._deafen(fd)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        return process.returncode if process.returncode is not None else -signal.SIGKILL


def _memory(data: bytes) -> IO[bytes]:
    """A file that is nowhere, to be read from its beginning. Other than a pipe it takes all at once."""
    file = os.fdopen(os.memfd_create("given"), "r+b")
    file.write(data)
    file.seek(0)
    return file
