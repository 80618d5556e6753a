"""Daemons as a test sees them: processes of their own on the emulated chip, in short private runtime directories."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import eegd
from eegd.config import Config, effective_toml, parse_config
from eegd.errors import EegdError

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 10 if os.environ.get("EEGD_EMULATED_CPU") else 1
"""How many times longer than on a real processor everything may take."""
HANG_S = 120 * PATIENCE
"""A test that takes longer has hung: it then fails with a traceback instead of blocking the run."""
START_S = 30.0 * PATIENCE
STOP_S = 30.0 * PATIENCE
RETRY_S = 0.01
SUMMARY = re.compile(r"^[\d ]+ samples, \d+ lost.*$", re.MULTILINE)

# The command itself, on a board (of several: the first) whose faults are set before anything happens on it. One that
# hung up stays away until there is a file `plugged-in` beside the configuration.
WITH_FAULTS = """
import json, sys
from pathlib import Path
import eegd.acquisition
from eegd._native import ffi, lib
from eegd.cli.eegd import main
from eegd.errors import BoardError
opened = []
open_board, faults = eegd.acquisition.open_board, json.loads(sys.argv[1])
def open_with_faults(config):
    away = not Path(config.path).with_name("plugged-in").exists()
    if opened and away and any(fault["kind"] == "HANG_UP" for fault in faults):
        raise BoardError("/dev/spidev0.0: No such file or directory")
    opened.append(True)
    board = open_board(config)
    for fault in map(dict, faults if len(opened) == 1 else ()):
        kind = getattr(lib, "EEGD_FAULT_" + fault.pop("kind"))
        assert lib.eegd_board_sim_fault(board.pointer, ffi.new("struct eegd_fault *", {"kind": kind, **fault})) == 0
    return board
eegd.acquisition.open_board = open_with_faults
sys.exit(main(sys.argv[2:]))
"""


def command_of(
    config_file: Path, directory: Path, wait_readers: int, faults: Sequence[Mapping[str, object]]
) -> list[str]:
    """The command line that runs a daemon with this file in this directory."""
    words = ["run", "--config", str(config_file), "--runtime-dir", str(directory)]
    words += ["--wait-readers", str(wait_readers)]
    if faults:
        return [sys.executable, "-c", WITH_FAULTS, json.dumps(list(faults)), *words]
    return [sys.executable, "-m", "eegd.cli.eegd", *words]


class DaemonProcess:
    """One running daemon. `connect` waits until it answers; nothing here sleeps for luck."""

    def __init__(
        self,
        config: Config,
        home: Path,
        wait_readers: int = 0,
        faults: Sequence[Mapping[str, object]] = (),
        at: Path | None = None,
    ) -> None:
        self.home = home
        self.directory = at or home / "run"
        self.config_file = home / "eegd.toml"
        self.config = config
        self.config_file.write_text(effective_toml(config))
        self._out = (home / "stdout").open("a+")
        self._err = (home / "stderr").open("a+")
        self._clients: list[eegd.Client] = []
        self.process = subprocess.Popen(
            command_of(self.config_file, self.directory, wait_readers, faults),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stdout(self) -> str:
        return (self.home / "stdout").read_text()

    @property
    def stderr(self) -> str:
        """All that it has logged so far."""
        return (self.home / "stderr").read_text()

    def connect(self) -> eegd.Client:
        """A client, as soon as the daemon answers. Closed with the daemon."""
        attempts = int(START_S / RETRY_S)
        for _ in range(attempts):
            try:
                client = eegd.connect(self.directory)
            except EegdError:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = self.process.wait(RETRY_S)
                    pytest.fail(f"daemon ended with {code} instead of answering:\n{self.stderr}")
                continue
            self._clients.append(client)
            return client
        pytest.fail(f"daemon does not answer within {START_S:g} s:\n{self.stderr}")

    def status(self) -> dict[str, Any]:
        """The report behind `eegctl status --json`."""
        status: dict[str, Any] = self.connect().ask("status")["status"]
        return status

    def wait_for(self, condition: Callable[[dict[str, Any]], object], timeout: float = 20.0) -> dict[str, Any]:
        """Asks for the status until it fulfils the condition; returns that status."""
        client = self.connect()
        status: dict[str, Any] = {}
        for _ in range(int(timeout * PATIENCE / RETRY_S)):
            status = client.ask("status")["status"]
            if condition(status):
                return status
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self.process.wait(RETRY_S)
                pytest.fail(f"daemon ended with {code} while its status was waited for:\n{self.stderr}")
        pytest.fail(f"status does not become as expected within {timeout:g} s: {status}")

    def wait_for_log(self, text: str, timeout: float = 20.0) -> str:
        """Reads the log until the text is in it; returns the log."""
        for _ in range(int(timeout * PATIENCE / RETRY_S)):
            if text in (log := self.stderr):
                return log
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(RETRY_S)
        pytest.fail(f"{text!r} was not logged within {timeout:g} s:\n{self.stderr}")

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Ends it as Ctrl-C does; returns exit code and summary line."""
        self.send(number)
        return self.wait()

    def wait(self, timeout: float = STOP_S) -> tuple[int, str]:
        """Waits until it ends by itself; returns exit code and summary line (empty where there is none)."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"daemon does not end within {timeout:g} s:\n{self.stderr}")
        lines = SUMMARY.findall(self.stdout)
        return code, lines[-1] if lines else ""

    def kill(self) -> int:
        """SIGKILL, as a crash; returns the exit code."""
        self.process.kill()
        return self.process.wait()

    def clean_up(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()
        for pid in _session(self.pid):  # its plugins too
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._out.close()
        self._err.close()


def _session(leader: int) -> list[int]:
    """Processes of it that live."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state not in "ZX":
                found.append(int(path.parent.name))
    return found


DaemonFactory = Callable[..., DaemonProcess]


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory whose path leaves room for the names of sockets, which may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="eegd-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def daemon(home: Path) -> Iterator[DaemonFactory]:
    """`daemon(overrides, wait_readers=0, text="", name="d", faults=(), at=None)` starts a DaemonProcess.

    overrides are dotted keys such as {"board.rate_sps": 500}; text is TOML below them; daemons of one test that
    shall not share a runtime directory have different names. The clock is virtual unless overrides say otherwise.
    faults are those of native/board_sim.h, such as {"kind": "FRAME_00", "at": 100, "count": 3};
    at is a runtime directory other than its own.
    """
    started: list[DaemonProcess] = []

    def start(
        overrides: Mapping[str, object] | None = None,
        wait_readers: int = 0,
        text: str = "",
        name: str = "d",
        faults: Sequence[Mapping[str, object]] = (),
        at: Path | None = None,
    ) -> DaemonProcess:
        place = home / name
        place.mkdir(exist_ok=True)
        config = parse_config(text, "test.toml", {"sim.clock": "virtual", **(overrides or {})})
        process = DaemonProcess(config, place, wait_readers, faults, at)
        started.append(process)
        return process

    yield start
    gc.collect()
    for process in started:
        process.clean_up()
    for process in started:
        sys.stderr.write(process.stderr)
        assert "Traceback" not in process.stderr, "the daemon logged a traceback"
        assert "internal error" not in process.stderr


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Turns a hang into a failure. Blocking calls of the client return to Python every 100 ms."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"hung for {HANG_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(HANG_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
