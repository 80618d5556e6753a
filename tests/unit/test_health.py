"""What a service manager hears, on a real notification socket: of a stand-in, and of a whole daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from eegd.config import parse_config
from eegd.daemon import Daemon
from eegd.health import Health
from eegd.notify import Notifier, watchdog_interval_s

pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")

WAIT_S = 60.0
STATUS = "250.0 SPS, 0 samples, 0 lost"


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """Every line since the last call."""
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines


@pytest.fixture
def manager(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    manager = Manager(directory / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(directory / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    before = os.umask(0o022)
    yield manager
    os.umask(before)
    manager.socket.close()


@dataclass
class Acquisition:
    """What Health looks at, as the test wants it."""

    n_published: int = 0
    accepts_readers: bool = False
    frames_are_due: bool = False
    is_changing: bool = False
    stream: str = "raw"
    losses: dict[str, int] = field(default_factory=dict)

    @property
    def progress(self) -> object:
        return self.n_published

    def run(self) -> None:
        self.accepts_readers = self.frames_are_due = True


def health_of(*watched: Acquisition) -> Health:
    return Health(Notifier(), watched, lambda: STATUS)


def test_ready_is_the_first_published_frame(manager: Manager) -> None:
    watched = Acquisition()
    health = health_of(watched)
    health.look()
    watched.run()
    health.look()
    assert "READY=1" not in manager.heard()
    watched.n_published = 1
    health.look()
    health.look()
    heard = manager.heard()
    assert heard.count("READY=1") == 1
    assert f"STATUS={STATUS}" in heard


def test_a_daemon_that_waits_for_readers_is_ready_when_they_can_attach(manager: Manager) -> None:
    async def work() -> None:
        watched = Acquisition()
        task = asyncio.create_task(health_of(watched).run(wait_readers=1))
        await asyncio.sleep(0)
        assert "READY=1" not in manager.heard()
        watched.accepts_readers = True
        async with asyncio.timeout(WAIT_S):
            while "READY=1" not in manager.heard():
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(work())


def test_the_watchdog_is_fed_only_while_frames_come(manager: Manager) -> None:
    watched = Acquisition(n_published=1)
    watched.run()
    health = health_of(watched)
    health.look()
    assert "WATCHDOG=1" in manager.heard()
    health.look()
    assert "WATCHDOG=1" not in manager.heard()
    watched.n_published = 2
    health.look()
    assert "WATCHDOG=1" in manager.heard()


def test_the_watchdog_is_fed_without_frames_while_the_recovery_is_at_work(manager: Manager) -> None:
    watched = Acquisition(n_published=1)
    watched.run()
    health = health_of(watched)
    health.look()
    watched.frames_are_due, watched.is_changing = False, True
    manager.heard()
    for _ in range(3):
        health.look()
    assert manager.heard().count("WATCHDOG=1") == 3
    watched.frames_are_due, watched.is_changing = True, False
    health.look()
    assert "WATCHDOG=1" not in manager.heard()


def test_one_clock_of_two_that_hangs_starves_the_watchdog_and_holds_up_the_start(manager: Manager) -> None:
    one, other = Acquisition(), Acquisition(stream="raw2")
    health = health_of(one, other)
    one.run()
    other.run()
    one.n_published = 1
    health.look()
    heard = manager.heard()
    assert "READY=1" not in heard
    other.n_published = 1
    health.look()
    assert "READY=1" in manager.heard()
    one.n_published = 2
    health.look()
    assert "WATCHDOG=1" not in manager.heard()
    one.n_published = other.n_published = 3
    health.look()
    assert "WATCHDOG=1" in manager.heard()


def test_the_last_line_sums_up_all_streams(manager: Manager, caplog: pytest.LogCaptureFixture) -> None:
    one, other = Acquisition(losses={"missed": 2, "bad": 0}), Acquisition(stream="raw2", losses={"missed": 1, "bad": 4})
    caplog.set_level("INFO", "eegd")
    health_of(one, other).sum_up("7 samples, 7 lost")
    [record] = caplog.records
    assert record.getMessage() == "stopped: 7 samples, 7 lost"
    fields = {name: value for name, value in vars(record).items() if name.startswith("EEGD_")}
    assert fields == {"EEGD_STREAM": "raw raw2", "EEGD_LOST": 7, "EEGD_CAUSE": "missed bad"}


def test_a_reload_is_over_when_no_change_is_under_way(manager: Manager) -> None:
    watched = Acquisition(n_published=1)
    health = health_of(watched)
    health.look()
    manager.heard()
    health.reload()
    watched.is_changing = True
    health.look()
    heard = manager.heard()
    assert heard[0] == "RELOADING=1"
    assert heard[1].startswith("MONOTONIC_USEC=")
    assert "READY=1" not in heard
    watched.is_changing = False
    health.look()
    assert manager.heard().count("READY=1") == 1


def test_a_reload_before_the_first_frame_does_not_end_the_start(manager: Manager) -> None:
    health = health_of(Acquisition())
    health.reload()
    health.look()
    heard = manager.heard()
    assert "RELOADING=1" not in heard
    assert "READY=1" not in heard


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("10000000", "", 10.0),
        ("10000000", str(os.getpid()), 10.0),
        ("10000000", str(os.getppid()), None),
        ("", "", None),
        ("0", "", None),
        ("x", "", None),
    ],
)
def test_the_watchdog_s_patience_is_for_the_process_that_it_names(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, seconds: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert watchdog_interval_s() == seconds


def test_a_whole_daemon_gets_ready_with_a_frame_lives_reloads_and_stops(manager: Manager, directory: Path) -> None:
    file = directory / "eegd.toml"
    file.write_text('[board]\nkind = "sim"\n')
    overrides = {"daemon.runtime_dir": str(directory), "daemon.rt_priority": 0, "sim.source": "quiet"}

    async def work() -> list[str]:
        heard: list[str] = []

        async def until(line: str) -> None:
            async with asyncio.timeout(WAIT_S):
                while not any(line in text for text in heard):
                    heard.extend(manager.heard())
                    await asyncio.sleep(0.01)

        daemon = Daemon(parse_config(file.read_text(), str(file), overrides), overrides)
        running = asyncio.create_task(daemon.run())
        await until("READY=1")
        assert daemon.acquisition.n_published > 0
        await until("WATCHDOG=1")
        await until("STATUS=simulated: ")
        heard.clear()
        file.write_text('[board]\nkind = "sim"\nrate_sps = 500\n')
        os.kill(os.getpid(), signal.SIGHUP)
        await until("RELOADING=1")
        await until("READY=1")
        assert daemon.acquisition.n_epochs == 2
        daemon.stop()
        assert await running == 0
        return heard + manager.heard()

    assert "STOPPING=1" in asyncio.run(work())


def test_a_capture_thread_that_hangs_starves_the_watchdog(manager: Manager, directory: Path) -> None:
    overrides = {"daemon.runtime_dir": str(directory), "daemon.rt_priority": 0, "sim.source": "quiet"}

    async def work() -> None:
        daemon = Daemon(parse_config("", "eegd.toml", overrides), overrides)
        running = asyncio.create_task(daemon.run())
        async with asyncio.timeout(WAIT_S):
            while not daemon.acquisition.n_published:
                manager.heard()  # its socket holds few messages, and a slow start sends more
                await asyncio.sleep(0.01)
        frozen = daemon.acquisition.progress
        with pytest.MonkeyPatch.context() as patch:
            # As it looks to control when the capture thread is stuck in a system call.
            patch.setattr(type(daemon.acquisition), "progress", property(lambda _: frozen))
            daemon.health.look()
            manager.heard()
            for _ in range(3):
                daemon.health.look()
            assert "WATCHDOG=1" not in manager.heard()
        async with asyncio.timeout(WAIT_S):
            while "WATCHDOG=1" not in manager.heard():
                await asyncio.sleep(0.01)
        daemon.stop()
        await running

    asyncio.run(work())
