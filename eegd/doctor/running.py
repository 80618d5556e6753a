"""A daemon that runs while the doctor looks: its status, its unit, and how it is stopped and started again."""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eegd.client import Client, connect
from eegd.doctor.probe import Scheduling, System
from eegd.errors import DaemonNotRunning, EegdError

__all__ = ["Running", "find_running", "lock_holder"]

LOCK_NAME = "eegd.lock"


@dataclass(frozen=True, slots=True)
class Running:
    """One daemon that answers. Synchronization: one thread at a time."""

    client: Client
    status: dict[str, Any]
    unit: str | None
    """The systemd unit that it belongs to; None for a plain process."""
    of_user: bool = False
    """The unit is of a user's own systemd."""

    @property
    def pid(self) -> int:
        return int(self.status["pid"])

    @property
    def streams(self) -> list[dict[str, Any]]:
        """The raw streams' reports: several where chips have clocks of their own."""
        return list(self.status.get("streams") or [self.status])

    def named(self, check: str, stream: dict[str, Any]) -> str:
        """The check's name, with the stream's where there are several."""
        return check if len(self.streams) == 1 else f"{check}, {stream['name']}"

    def capture_thread(self, stream: dict[str, Any], system: System) -> Scheduling | None:
        tid = stream["threads"].get("capture_tid")
        return system.scheduling(self.pid, int(tid)) if tid else None


def find_running(runtime_dir: str | None, system: System) -> Running | None:
    """The daemon that clients would find. EegdError from one that answers but makes no sense."""
    try:
        client = connect(runtime_dir)
    except DaemonNotRunning:
        return None
    status = client.ask("status")["status"]
    unit, of_user = unit_of(system, int(status["pid"]))
    return Running(client, status, unit, of_user)


def unit_of(system: System, pid: int) -> tuple[str | None, bool]:
    """The service's name in the process's control group, such as `0::/system.slice/eegd.service`, and whether a
    user's own systemd has it."""
    text = system.read(f"proc/{pid}/cgroup") or ""
    found = re.findall(r"/([^/\n]+\.service)(?=/|$)", text, re.MULTILINE)
    names = [name for name in found if not name.startswith("user@")]
    return (names[-1] if names else None), len(names) < len(found)


def lock_holder(directory: Path) -> str | None:
    """Process that holds the daemon's lock in a runtime directory, though no daemon answers there."""
    try:
        fd = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "?"
    finally:
        os.close(fd)
    return None


def stop_running(running: Running, system: System) -> str:
    """Stops the daemon and waits for its end; returns what was done. EegdError where it stays."""
    from eegd.cli.change import await_end

    if running.unit is not None:
        _systemctl(running, system, "stop")
        return f"stopped {running.unit}"
    running.client.ask("stop")
    await_end(running.client, running.pid)
    return f"stopped process {running.pid}; start it again by hand"


def start_again(running: Running, system: System) -> str:
    """Starts the unit that was stopped. EegdError with the command where that is refused."""
    _systemctl(running, system, "start")
    return f"started {running.unit} again"


def _systemctl(running: Running, system: System, verb: str) -> None:
    command = ["systemctl", *(["--user"] if running.of_user else []), "--no-ask-password", verb, str(running.unit)]
    if system.run(command) is None:
        shown = f"systemctl --user {verb}" if running.of_user else f"sudo systemctl {verb}"
        raise EegdError(f"{' '.join(command)} was refused: run `{shown} {running.unit}`")
