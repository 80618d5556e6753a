"""Standard output and error of a plugin process, which the plugin's code may close."""

from __future__ import annotations

import fcntl
import os

__all__ = ["StandardFds"]

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
