"""What the kernel tells of another process, in /proc/PID/status (proc(5))."""

from __future__ import annotations

from pathlib import Path

__all__ = ["is_stopped", "is_traced", "memory_of", "parent_of"]

MB = 1_000_000


def _status(pid: int) -> dict[str, str]:
    """Empty where there is no such process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, found, value in (line.partition(":") for line in lines) if found}


def memory_of(pid: int) -> dict[str, float]:
    """In MB: `rss_mb` that it has touched, shared slabs included, and `data_mb` that its limit counts."""
    status = _status(pid)
    fields = {"rss_mb": "VmRSS", "data_mb": "VmData"}
    return {name: round(int(status[key].split()[0]) * 1024 / MB, 1) for name, key in fields.items() if key in status}


def is_stopped(pid: int) -> bool:
    """By SIGSTOP or its like."""
    return _status(pid).get("State", "").startswith("T")


def is_traced(pid: int) -> bool:
    """By a debugger, which may hold it for as long as somebody thinks."""
    return _status(pid).get("TracerPid", "0") != "0"


def parent_of(pid: int) -> int | None:
    """None where there is no such process."""
    text = _status(pid).get("PPid")
    return None if text is None else int(text)
