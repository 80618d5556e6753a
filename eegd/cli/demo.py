"""`eegd demo`: a daemon on the emulated chip with band powers in a directory of its own, and the live view of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from eegd.cli.common import FAILED, OK, Stopper
from eegd.cli.start import INTERRUPTED
from eegd.cli.view import watch
from eegd.client import Client
from eegd.errors import EegdError
from eegd.runtime_dir import CONTROL_SOCKET

__all__ = ["run_demo"]

START_S = 30.0
STOP_S = 15.0
POLL_S = 0.02
MAX_PARENT_BYTES = 40
"""A longer temporary directory leaves too little for the names of sockets."""
LAST_LINES = 30


def run_demo(seconds: float | None) -> int:
    """Until Ctrl-C, SIGTERM, or `seconds` are over. The daemon's summary is the last line."""
    with Stopper() as stopper, _private_dir() as directory, tempfile.TemporaryFile("w+") as log:
        child = _start(directory, log)
        try:
            if _await_daemon(child, directory, stopper):
                hint = f"Ctrl-C ends everything   elsewhere: eegctl --runtime-dir {directory} status"
                watch(Client(directory), stopper, seconds, hint, goes_on=lambda: child.poll() is None)
        finally:
            summary, by_itself = _stop(child)
        if child.returncode != 0 and stopper.stopped and not by_itself:
            return INTERRUPTED  # ended before it could end in order
        if child.returncode != 0 or (by_itself and not stopper.stopped):
            _show_log(log, child.returncode)
            return FAILED
        print(summary or "ended before the first sample", flush=True)
        return OK


@contextlib.contextmanager
def _private_dir() -> Iterator[Path]:
    parent = tempfile.gettempdir()
    path = tempfile.mkdtemp(prefix="eegd-", dir=parent if len(os.fsencode(parent)) <= MAX_PARENT_BYTES else "/tmp")
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _start(directory: Path, log: IO[str]) -> subprocess.Popen[str]:
    """The daemon in a process group of its own: Ctrl-C reaches the view, which then ends it, in this order."""
    command = [sys.executable, "-m", "eegd.cli.eegd", "run", "--simulate", "--runtime-dir", str(directory)]
    command += ["--set", 'plugins.run=["bandpower"]', "--with-parent", str(os.getpid())]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, process_group=0
    )


def _await_daemon(child: subprocess.Popen[str], directory: Path, stopper: Stopper) -> bool:
    deadline = time.monotonic() + START_S
    while child.poll() is None and time.monotonic() < deadline:
        if (directory / CONTROL_SOCKET).exists():
            with contextlib.suppress(EegdError):
                Client(directory).ask("info", timeout=1.0)
                return True
        if stopper.wait(POLL_S):
            return False
    return False


def _stop(child: subprocess.Popen[str]) -> tuple[str, bool]:
    """Ends the daemon where it has not ended by itself; returns the last line that it wrote, and which it was."""
    by_itself = child.poll() is not None
    if not by_itself:
        child.terminate()
    try:
        output, _ = child.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        output, _ = child.communicate()
    lines = output.strip().splitlines()
    return (lines[-1] if lines else ""), by_itself


def _show_log(log: IO[str], code: int) -> None:
    log.seek(0)
    lines = log.read().splitlines()
    for line in lines[-LAST_LINES:]:
        print(line, file=sys.stderr)
    how = f"exit code {code}" if code >= 0 else f"signal {-code}"
    print(f"eegd: error: the daemon has ended ({how})", file=sys.stderr)
