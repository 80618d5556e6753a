"""Memory and scheduling of the process: what may be locked, and which threads may be real-time."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq

__all__ = [
    "headroom",
    "io_thread_priority",
    "limit_memory",
    "lock_memory",
    "memory_limit_mb",
    "priority_refused",
    "stand_back",
]

MCL_CURRENT, MCL_FUTURE = 1, 2
PR_SET_THP_DISABLE = 41
MB = 1_000_000
HEADROOM = 16 * MB
"""What may go beyond the limit while its end is told."""


def lock_memory() -> list[str]:
    """Keeps the process in memory where the limit is unlimited, and its pages where they are; returns warnings.

    Under a finite limit later allocations of Python would fail, so only the segments are locked there, one by one.
    Huge pages are given up: khugepaged makes them by moving pages, locked ones too, and meanwhile holds up whoever
    touches them (Documentation/admin-guide/mm/transhuge.rst).
    """
    _allow_huge_pages(False)
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY:
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE) < 0:
        return [f"mlockall: {os.strerror(ctypes.get_errno())}"]
    return []


def _allow_huge_pages(allow: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_THP_DISABLE, ctypes.c_ulong(not allow), *[ctypes.c_ulong(0)] * 3)  # a kernel without them: none


def priority_refused(reason: str) -> str:
    """What the operator is told where a thread stays an ordinary one."""
    return f"real-time priority refused ({reason}): latencies depend on other programs"


def io_thread_priority(context: zmq.Context[Any], priority: int) -> list[str]:
    """FIFO for the context's I/O thread, tried in a thread of our own first: libzmq ends the process when refused."""
    if priority <= 0:
        return []
    refused: list[str] = []

    def attempt() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        except OSError as error:
            refused.append(priority_refused(error.strerror or str(error)))

    trial = threading.Thread(target=attempt)
    trial.start()
    trial.join()
    if not refused:
        context.set(zmq.THREAD_SCHED_POLICY, os.SCHED_FIFO)
        context.set(zmq.THREAD_PRIORITY, priority)
    return refused


def stand_back() -> None:
    """Gives up what a process has inherited from the daemon: a better nice, being spared when memory runs out, no huge
    pages, and for good the right to real-time priorities, by which it could stop the capture of samples."""
    _allow_huge_pages(True)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(OSError):
        if nice < 0:
            os.nice(-nice)
    adjustment = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError, ValueError):
        if int(adjustment.read_text()) < 0:
            adjustment.write_text("0")


def limit_memory(mb: float) -> None:
    """What this process may have of its own: heap, arrays, stacks; not what it shares, such as the slabs of streams.
    Beyond it an allocation fails. 0 leaves it as it is. Raises OSError, ValueError where a lower limit holds already.
    """
    if mb:
        limit = int(mb * MB)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit + HEADROOM))


def memory_limit_mb() -> float:
    """What limit_memory has set; 0 for none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY:
        return 0.0 if soft == resource.RLIM_INFINITY else soft / MB
    return (hard - HEADROOM) / MB


@contextlib.contextmanager
def headroom() -> Iterator[None]:
    """Lets the limit go a little while what ran out of memory is told. It stays so when that ends with an exception."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == hard:
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
