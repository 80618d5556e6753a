"""A daemon's start: what is left when it fails half-way."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eegd.ads1299 import Ads1299
from eegd.client import connect
from eegd.config import load_config, parse_config
from eegd.control import ControlServer
from eegd.daemon import Daemon
from eegd.errors import BoardError, ConfigError, EegdError, ReplayError


@pytest.fixture(autouse=True)
def _same_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def start(directory: Path, text: str = "") -> Daemon:
    overrides = {"daemon.runtime_dir": str(directory), "daemon.rt_priority": 0, "sim.source": "quiet"}
    return Daemon(parse_config(text, "eegd.toml", overrides), overrides)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[replay]\nfile = "/no/such/file"', ReplayError),
        ("[board]\nrate_sps = 16000\nsclk_hz = 1000000", ConfigError),
        (f"[board]\nchips = {['ADS1299'] * 4}\n[stream]\npool_mb = 0.25\nframe_ms = 1600", ConfigError),
    ],
)
def test_a_daemon_that_cannot_start_leaves_neither_lock_nor_socket(
    directory: Path, text: str, error: type[EegdError]
) -> None:
    async def work() -> None:
        with pytest.raises(error):
            start(directory, text)
        assert {path.suffix for path in directory.iterdir()} <= {".lock"}
        daemon = start(directory)
        daemon.stop()
        assert await daemon.run() == 0

    asyncio.run(work())


def test_a_failure_at_the_last_step_undoes_all_before_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(98, "Address already in use")

    async def work() -> None:
        with monkeypatch.context() as patch, pytest.raises(OSError, match="already in use"):
            patch.setattr(ControlServer, "__init__", refuse)
            start(directory)
        assert {path.suffix for path in directory.iterdir()} <= {".lock"}
        daemon = start(directory)
        daemon.stop()
        assert await daemon.run() == 0

    asyncio.run(work())


def test_control_answers_and_a_stop_is_heard_while_the_chips_power_up(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    powering, powered = threading.Event(), threading.Event()

    def power_up(_: Ads1299) -> None:
        powering.set()
        assert powered.wait(60)

    def ask_everything() -> None:
        try:
            assert powering.wait(60)
            with connect(directory) as client:
                assert client.ask("status")["status"]["epochs"] == 0
                with pytest.raises(EegdError, match="the chips are being set up; try again in a moment"):
                    client.ask("board", settings={"rate": "500"})
                client.ask("stop")
        finally:
            powered.set()

    async def work() -> None:
        daemon = start(directory)
        asking = asyncio.create_task(asyncio.to_thread(ask_everything))
        assert await daemon.run() == 0
        await asking
        assert daemon.acquisition.n_epochs == 0

    monkeypatch.setattr(Ads1299, "power_up", power_up)
    asyncio.run(work())


def test_chips_that_do_not_answer_at_the_start_end_the_daemon_with_their_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_up(_: Ads1299) -> None:
        raise BoardError("chip 1 is no ADS1299: ID read FFh")

    async def work() -> None:
        with pytest.raises(BoardError, match="ID read FFh"):
            await start(directory).run()
        assert {path.suffix for path in directory.iterdir()} <= {".lock"}

    monkeypatch.setattr(Ads1299, "power_up", power_up)
    asyncio.run(work())


def test_a_reload_that_is_refused_brings_no_removed_plugin_back(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = directory / "eegd.toml"
    file.write_text("[plugins]\nrun = ['template']\n")

    def refuse(*_: object) -> None:
        raise EegdError("the chips are being set up; try again in a moment")

    async def work() -> None:
        overrides = {"daemon.runtime_dir": str(directory), "daemon.rt_priority": 0, "sim.source": "quiet"}
        daemon = Daemon(load_config(file, overrides), overrides)
        running = asyncio.create_task(daemon.run())
        await asyncio.sleep(0)
        await daemon.supervisor.remove("template", force=True)
        with monkeypatch.context() as patch, pytest.raises(EegdError, match="try again"):
            patch.setattr(daemon.acquisitions, "apply", refuse)
            await daemon.reload()
        assert daemon.supervisor.settings.run == ()
        daemon.stop()
        assert await running == 0

    asyncio.run(work())


def test_where_a_chip_refuses_what_a_reload_says_the_plugins_and_the_configuration_still_agree(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = directory / "eegd.toml"
    file.write_text("[board]\nrate_sps = 250\n")

    def refuse(*_: object) -> None:
        raise EegdError("register 01h: wrote 95h, read 96h")

    async def work() -> None:
        overrides = {"daemon.runtime_dir": str(directory), "daemon.rt_priority": 0, "sim.source": "quiet"}
        daemon = Daemon(load_config(file, overrides), overrides)
        running = asyncio.create_task(daemon.run())
        while daemon.acquisition.capture is None:
            await asyncio.sleep(0.01)
        file.write_text("[board]\nrate_sps = 500\n[daemon]\nlog_level = 'error'\n[plugins]\nrun = ['template']\n")
        with monkeypatch.context() as patch:
            patch.setattr(daemon.acquisition.driver, "reconfigure", refuse)
            assert (await daemon.reload())["new_epoch"]
            while daemon.acquisitions._renewing:
                await asyncio.sleep(0.01)
        assert daemon.config.board.rate_sps == daemon.acquisition.config.board.rate_sps == 250
        assert daemon.config.daemon.log_level == "error"
        assert daemon.config.plugins.run == daemon.supervisor.settings.run == ("template",)
        daemon._op_board({"settings": {"rate": "1000"}})
        assert daemon.supervisor.settings.run == ("template",), "a change of the board is none of the plugins"
        daemon.stop()
        assert await running == 0

    level = logging.getLogger("eegd").level
    asyncio.run(work())
    logging.getLogger("eegd").setLevel(level)


def test_a_signal_to_reload_that_fails_does_not_end_the_daemon(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(**_: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    async def work() -> None:
        daemon = start(directory)
        monkeypatch.setattr(daemon, "reload", fail)
        running = asyncio.create_task(daemon.run())
        await asyncio.sleep(0)
        daemon._on_sighup()
        while "Resource temporarily unavailable" not in caplog.text and not running.done():
            await asyncio.sleep(0.01)
        assert not running.done()
        daemon.stop()
        assert await running == 0

    asyncio.run(work())


def test_the_daemons_process_loads_nothing_that_only_plugins_need() -> None:
    code = "import sys, eegd.daemon; print([name for name in ('eegd.plugin', 'eegd.runner') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
