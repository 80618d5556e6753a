"""systemd's notifications, through systemd-python where it is installed and NOTIFY_SOCKET is set."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

__all__ = ["Notifier"]


def _sender() -> Callable[[str], object] | None:
    if not os.environ.get("NOTIFY_SOCKET"):
        return None
    try:
        from systemd.daemon import notify
    except ImportError:
        return None
    return notify  # type: ignore[no-any-return]


class Notifier:
    """Tells the service manager how things stand. Without one every call does nothing."""

    def __init__(self) -> None:
        self._notify = _sender()

    def _send(self, text: str) -> None:
        if self._notify is not None:
            self._notify(text)

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        self._send(f"STATUS={status}")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")
