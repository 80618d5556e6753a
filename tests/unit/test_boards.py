"""Boards: each shipped file is right for a Raspberry Pi, says where it comes from, and is found wherever it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from eegd.boards import board_file, board_names, board_summary
from eegd.changes import with_board
from eegd.cli import eegd as command
from eegd.clocks import split_clocks
from eegd.config import effective_toml, load_config, parse_config
from eegd.conversion import check_feasible
from eegd.doctor.check import Level
from eegd.doctor.examine import Options, examine
from eegd.errors import ConfigError
from eegd.registers import Register, registers_for

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ("ads1299eeg-fe", "daisy", "pieeg", "pieeg-16")
HEADER_PINS = {  # Raspberry Pi, 40-pin header: BCM number by pin
    3: 2, 5: 3, 7: 4, 8: 14, 10: 15, 11: 17, 12: 18, 13: 27, 15: 22, 16: 23, 18: 24, 19: 10, 21: 9, 22: 25, 23: 11,
    24: 8, 26: 7, 29: 5, 31: 6, 32: 12, 33: 13, 35: 19, 36: 16, 37: 26, 38: 20, 40: 21,
}  # fmt: skip
each_board = pytest.mark.parametrize("name", BOARDS)


def test_the_boards_are_these() -> None:
    assert tuple(board_names()) == BOARDS


@each_board
def test_a_board_file_is_whole_and_possible_on_linux(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["check-config", "--board", name]) == 0
    printed = capsys.readouterr().out
    config = load_config(None, base=name)
    assert config.board.kind == "linux" and config.base == name and config.path is None
    assert parse_config(printed, "printed") == config
    for part in split_clocks(config):
        check_feasible(part.board, part.montage)
        assert part.board.drdy_line is not None and len(part.board.spi) == 1
        assert part.montage.wiring == "SRB1" and all(channel.sign == 1 for channel in part.montage.on)


@each_board
def test_a_wiring_table_names_pins_as_the_header_has_them_and_every_line_that_the_keys_use(name: str) -> None:
    text = board_file(name).read_text()
    rows = re.findall(r"^#   (\d+) +GPIO(\d+) ", text, re.MULTILINE)
    assert len(rows) >= 5 and all(HEADER_PINS[int(pin)] == int(bcm) for pin, bcm in rows)
    board = tomllib.loads(text)["board"]
    used = {board.get(f"{line}_line") for line in ("drdy", "start", "reset", "pwdn")} | set(board.get("drdy_lines", ()))
    assert used - {None} <= {f"GPIO{bcm}" for _, bcm in rows}
    idle = {board["idle_line"]} if "idle_line" in board else set()
    assert not idle & {f"GPIO{bcm}" for _, bcm in rows}


@each_board
def test_a_board_file_says_what_was_never_tried_and_what_protects_people(name: str) -> None:
    text = " ".join(board_file(name).read_text().replace("#", " ").split())
    for words in ("Never tried on", "by eegd's authors", "opto-coupler", "3.3 V", "battery only", "Series resistors"):
        assert words in text, words
    assert "github.com/" in text and "SBAS499C" in text
    assert len(board_summary(name)) < 110 and board_summary(name) in text


def test_the_registers_of_a_pieeg_are_its_makers() -> None:
    """1.GUI/1.8_ch_Pi5_gpiod_1_5_4.py of github.com/pieeg-club/PiEEG, but for bits that move nothing at an input."""
    config = load_config(None, base="pieeg")
    (image,) = registers_for(config.board, config.montage)
    assert (image[Register.CONFIG1], image[Register.GPIO], image[Register.MISC1]) == (0x96, 0x80, 0x20)
    assert image[Register.CH1SET : Register.CH8SET + 1] == bytes(8)
    assert image[Register.LOFF] == 0 and image[Register.BIAS_SENSP : Register.LOFF_FLIP + 1] == bytes(5)
    assert image[Register.CONFIG3] & 0x8C == 0xFF & 0x8C  # reference, bias reference and bias amplifier are on


def test_a_users_file_goes_over_the_board_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[board]\nrate_sps = 1000\n[montage]\nlabels = ["Oz", "Pz"]\ngain = 24\n[stream]\nframe_samples = 5\n'
    )
    config = load_config(path, {"board.sclk_hz": 8_000_000}, "pieeg")
    assert (config.board.rate_sps, config.board.sclk_hz, config.board.gpio) == (1000, 8_000_000, 0x80)
    assert [(channel.label, channel.gain, channel.n) for channel in config.montage.channels] == [
        ("Oz", 24, "SRB1"),
        ("Pz", 24, "SRB1"),
    ]
    assert config.samples_per_frame == 5 and config.path == str(path) and config.base == "pieeg"
    assert with_board(config, {"rate": "500"}).base == "pieeg"  # a reload reads both again


def test_an_error_names_the_file_the_board_or_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[board]\nspi = ["/dev/spidev1.0"]\n')
    with pytest.raises(ConfigError, match=re.escape(f"{path}: [board] spi = ")):
        load_config(path, base="pieeg-16")
    path.write_text('[board]\nclocks = "shared"\n')
    with pytest.raises(ConfigError, match=r"^board pieeg-16: \[board\] drdy_lines = "):
        load_config(path, base="pieeg-16")
    path.write_text('[board]\ndrdy_line = "GPIO4"\nstart_line = "GPIO26"\n')
    with pytest.raises(ConfigError, match=r"^command line: \[board\] pwdn_line = "):
        load_config(path, {"board.pwdn_line": "GPIO4"}, "pieeg")
    path.write_text("board = 3\n")
    with pytest.raises(ConfigError, match="must be a table of keys"):
        load_config(path, base="pieeg")


def test_an_unknown_board_is_told_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["run", "--board", "PiEEG"], ["check-config", "--board", "pieg"], ["boards", "pie"]):
        assert command.main(words) == 2
        told = capsys.readouterr().err
        assert "did you mean pieeg?" in told and "there are ads1299eeg-fe, daisy, pieeg, pieeg-16" in told
    with pytest.raises(ConfigError):
        board_file("../eegd")


def test_boards_lists_each_with_its_line_and_prints_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["boards"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(BOARDS) and "two ADS1299" in lines[-1]
    assert command.main(["boards", "pieeg"]) == 0
    assert capsys.readouterr().out == board_file("pieeg").read_text()


def test_an_installed_eegd_has_the_board_files_beside_it(tmp_path: Path) -> None:
    environment = {**os.environ, "EEGD_WITHOUT_CORE": "1"}
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    egg_info = ["egg_info", "--egg-base", str(tmp_path)]
    subprocess.run([*build[:3], *egg_info, *build[3:]], cwd=ROOT, env=environment, check=True, capture_output=True)
    installed = tmp_path / "lib" / "eegd" / "board_files"
    assert sorted(path.name for path in installed.iterdir()) == sorted(f"{name}.toml" for name in BOARDS)
    code = "import eegd.boards as b; print(b.boards_dir(), *b.board_names())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "lib")},
        capture_output=True,
        text=True,
        check=False,
    )
    # Without its C core eegd does not import, but by then it was found there.
    assert done.stdout.split() == [str(installed), *BOARDS] or str(tmp_path / "lib" / "eegd") in done.stderr


def test_the_doctor_examines_each_chip_with_a_clock_of_its_own() -> None:
    found = examine(Options(board="pieeg-16", simulate=True, frames=300))
    checks = {result.check: result.level for result in found.results if result.group == "board"}
    for chip in (1, 2):
        for check in ("board", "chips", "registers", "DRDY", "conversions"):
            assert checks[f"{check}, chip {chip}"] is Level.OK


def test_effective_toml_of_a_board_needs_no_board_any_more() -> None:
    config = load_config(None, base="daisy")
    assert parse_config(effective_toml(config), "alone") == config
