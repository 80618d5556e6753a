"""One examination: which configuration, which daemon, who is stopped and started again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eegd.client import Client
from eegd.doctor import examine as examination
from eegd.doctor.check import Level
from eegd.doctor.examine import Options, examine
from eegd.doctor.running import Running
from eegd.errors import ConfigError, StreamLost
from tests.unit.computer import Computer

QUICK = 300


def status_of(config: Path | None) -> dict[str, Any]:
    return {
        "pid": 700,
        "config": str(config) if config else None,
        "board": "sim: ADS1299",
        "stream": {"state": "running"},
        "samples": 1,
        "losses": {"missed": 0},
        "rate": {"nominal_sps": 250},
        "threads": {},
        "warnings": [],
    }


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path / "root")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory without a daemon, where everybody looks."""
    monkeypatch.setenv("EEGD_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(examination, "SERVICE_DIR", tmp_path / "run")
    return tmp_path / "run"


def found_running(monkeypatch: pytest.MonkeyPatch, unit: str | None, of_user: bool = False) -> None:
    running = Running(Client(Path("/nowhere")), status_of(None), unit, of_user)
    monkeypatch.setattr(examination, "find_running", lambda *_: running)


def test_without_anything_the_emulated_board_is_examined_and_that_is_said(empty: Path, computer: Computer) -> None:
    found = examine(Options(frames=QUICK), computer.system)
    assert found.well and any("--config FILE" in remark for remark in found.remarks)
    assert [r.check for r in found.results if r.group == "board"][:2] == ["board", "chips"]


def test_the_services_file_is_taken_where_there_is_one(empty: Path, computer: Computer) -> None:
    computer.file("etc/eegd/eegd.toml", '[board]\nchips = ["ADS1299-4"]\n')
    found = examine(Options(frames=QUICK), computer.system)
    assert found.remarks == ["the board of /etc/eegd/eegd.toml was examined"]
    assert any("ADS1299-4" in result.found for result in found.results)


def test_a_wrong_file_is_an_error_of_the_configuration(empty: Path, computer: Computer) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        examine(Options(config="/none.toml"), computer.system)


def test_a_running_daemon_keeps_its_board(empty: Path, computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    found_running(monkeypatch, None)
    found = examine(Options(), computer.system)
    (board,) = [result for result in found.results if result.group == "board"]
    assert board.level is Level.NOTE and board.mend == "eegctl doctor --stop"
    assert any(result.group == "service" for result in found.results)


def test_a_daemon_that_does_not_answer_keeps_its_board_and_is_red(
    empty: Path, computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> Running | None:
        raise StreamLost("no answer within 10 s")

    monkeypatch.setattr(examination, "find_running", silent)
    found = examine(Options(stop=True), computer.system)
    assert not found.well
    assert [result.level for result in found.results if result.check in ("daemon", "board")] == [Level.RED, Level.NOTE]


@pytest.mark.parametrize(("of_user", "manager"), [(False, []), (True, ["--user"])])
def test_a_unit_is_stopped_and_started_again_around_the_checks(
    empty: Path, computer: Computer, monkeypatch: pytest.MonkeyPatch, of_user: bool, manager: list[str]
) -> None:
    commands: list[list[str]] = []

    def note(command: list[str]) -> str:
        commands.append(command)
        return ""

    computer.facts["run"] = note
    found_running(monkeypatch, "eegd.service", of_user)
    found = examine(Options(stop=True, frames=QUICK), computer.system)
    systemctl = [command for command in commands if command[0] == "systemctl"]
    assert systemctl == [
        ["systemctl", *manager, "--no-ask-password", verb, "eegd.service"] for verb in ("stop", "start")
    ]
    assert found.remarks == ["stopped eegd.service", "started eegd.service again"]
    assert any(result.check == "noise" for result in found.results)


def test_a_unit_that_may_not_be_stopped_keeps_its_board(
    empty: Path, computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_running(monkeypatch, "eegd.service")
    found = examine(Options(stop=True), computer.system)
    (board,) = [result for result in found.results if result.group == "board"]
    assert board.level is Level.RED and "sudo systemctl stop eegd.service" in board.found


def test_a_unit_that_does_not_start_again_is_said(
    empty: Path, computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    computer.facts["run"] = lambda command: None if "start" in command else ""
    found_running(monkeypatch, "eegd.service")
    found = examine(Options(stop=True, frames=QUICK), computer.system)
    assert not found.well
    assert any("sudo systemctl start eegd.service" in result.found for result in found.results)


def test_a_device_that_may_not_be_used_is_the_only_red_row(empty: Path, computer: Computer, tmp_path: Path) -> None:
    computer.file("dev/spidev0.0", mode=0o600)
    (computer.root / "dev/spidev0.0").chmod(0)
    computer.gpio()
    config = tmp_path / "board.toml"
    config.write_text('[board]\nkind = "linux"\nspi = ["/dev/spidev0.0"]\ndrdy_line = "GPIO26"\n')
    found = examine(Options(config=str(config), frames=QUICK), computer.system)
    assert [result.check for result in found.results if result.level is Level.RED] == ["SPI devices"]
    (board,) = [result for result in found.results if result.check == "board"]
    assert board.level is Level.NOTE and board.mend == "see SPI devices above"
