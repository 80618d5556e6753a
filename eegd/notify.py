"""systemd's notifications, through systemd-python where it is installed and NOTIFY_SOCKET is set."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

__all__ = ["Notifier", "watchdog_interval_s"]


def _sender() -> Callable[[str], object] | None:
    if not os.environ.get("NOTIFY_SOCKET"):
        return None
    try:
        from systemd.daemon import notify
    except ImportError:
        return None
    return notify  # type: ignore[no-any-return]


def watchdog_interval_s() -> float | None:
    """What the service manager waits for a sign of life before it ends this process; None: it does not wait for one
    (sd_watchdog_enabled(3))."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or int(usec) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(usec) / 1e6


class Notifier:
    """Tells the service manager how things stand. Without one every call does nothing. Control thread only."""

    def __init__(self) -> None:
        self._notify = _sender()
        self._status = ""
        self.is_ready = False

    @property
    def has_manager(self) -> bool:
        """Somebody listens."""
        return self._notify is not None

    def _send(self, text: str) -> None:
        if self._notify is not None:
            self._notify(text)

    def ready(self, status: str) -> None:
        """Start or reload is over."""
        self.is_ready = True
        self._status = status
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Sent only where it has changed."""
        if status != self._status:
            self._status = status
            self._send(f"STATUS={status}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def patience(self, seconds: float) -> None:
        """From now on the watchdog waits so long for a sign of life."""
        self._send(f"WATCHDOG_USEC={round(seconds * 1e6)}")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")
