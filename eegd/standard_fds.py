"""Standard output and error of a plugin process, which the plugin's code may close."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import sys
from collections.abc import Iterator

__all__ = ["StandardFds", "report_fd"]

HIGH = 64
"""Where nobody who closes a few by number comes."""


class StandardFds:
    """Gives both numbers something harmless again. A shared page that came to lie at number 2 would be written over by
    the next line of the log."""

    def __init__(self) -> None:
        try:
            self._kept = fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, HIGH)
        except OSError:
            self._kept = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def restore(self) -> None:
        """Opens those that are closed, as what standard error was at first."""
        for fd in (1, 2):
            try:
                os.fstat(fd)
            except OSError:
                os.dup2(self._kept, fd)

    def close(self) -> None:
        os.close(self._kept)


@contextlib.contextmanager
def report_fd() -> Iterator[int]:
    """Standard output becomes the supervisor's; what the plugin prints goes with the log."""
    sys.stdout.flush()
    fd = os.dup(sys.stdout.fileno())
    os.set_blocking(fd, False)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # or the last words of a plugin that dies would be lost
    try:
        yield fd
    finally:
        os.close(fd)
