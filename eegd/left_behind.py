"""Processes that a child of ours has started, found after its end, also those that left its group and its session."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

__all__ = ["MARK", "kill_left_behind", "left_behind"]

MARK = "EEGD_CHILD"
"""In the environment of a child, with a word that no other one has; whatever it starts inherits it."""
ROUNDS = 10
"""How often it is looked again for those that were started meanwhile."""


def left_behind(group: int, mark: str) -> list[int]:
    """Living processes of this group, or with this word in their environment; not the group's first one. None where
    there is no descriptor left to look with."""
    found: list[int] = []
    try:
        entries = os.scandir("/proc")
    except OSError:
        return found
    with entries:
        for entry in entries:
            if entry.name.isdecimal() and int(entry.name) != group:
                pid = int(entry.name)
                with contextlib.suppress(OSError, ValueError, IndexError):  # gone by now, or somebody else's
                    if entry.stat().st_uid == os.geteuid() and _belongs(pid, group, f"{MARK}={mark}".encode()):
                        found.append(pid)
    return found


def _belongs(pid: int, group: int, mark: bytes) -> bool:
    state, _parent, its_group = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:3]
    if state in "ZX":
        return False
    return int(its_group) == group or mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def kill_left_behind(group: int, mark: str) -> int:
    """Ends all of them; returns how many there were. The group's first process must not have been reaped: while it
    is there, no other group can have its number."""
    killed: set[int] = set()
    for _ in range(ROUNDS):
        found = set(left_behind(group, mark))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        if found <= killed:
            break
        for pid in found:
            _kill(pid, group, mark)
        killed |= found
    return len(killed)


def _kill(pid: int, group: int, mark: str) -> None:
    """By a descriptor that is looked through once more, so that a number that was given anew hurts nobody."""
    with contextlib.suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            if _belongs(pid, group, f"{MARK}={mark}".encode()):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
