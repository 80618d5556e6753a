"""What /proc tells of a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from eegd.process import is_stopped, is_traced, memory_of


def test_memory_of_a_process_is_what_it_has_touched_and_what_its_limit_counts() -> None:
    before = memory_of(os.getpid())
    block = bytearray(50_000_000)
    block[::4096] = b"x" * len(block[::4096])
    after = memory_of(os.getpid())
    assert after["rss_mb"] - before["rss_mb"] > 40
    assert after["data_mb"] - before["data_mb"] > 40


def test_a_process_that_is_no_more_has_no_memory_and_is_neither_stopped_nor_traced() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert memory_of(process.pid) == {}
    assert not is_stopped(process.pid)
    assert not is_traced(process.pid)


def test_a_stopped_process_is_seen_to_be_so() -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            assert not is_stopped(process.pid)
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            assert is_stopped(process.pid)
            assert not is_traced(process.pid)
        finally:
            process.kill()
