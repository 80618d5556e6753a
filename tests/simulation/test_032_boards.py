"""Each shipped board on the emulated chip, in the board's own set-up: frames flow, with the right sign and marker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import eegd
from eegd.errors import EegdError

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 30.0
SINE_UV = 3000.0
MARKED = {"pieeg": ["raw"], "pieeg-16": ["raw", "raw2"], "ads1299eeg-fe": [], "daisy": ["raw"]}
CHANNELS = {"pieeg": [8], "pieeg-16": [8, 8], "ads1299eeg-fe": [8], "daisy": [16]}


@pytest.fixture
def run(home: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`run(*words)` is `eegd run` in a directory of its own."""
    started = []

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "eegd.cli.eegd", "run", "--runtime-dir", str(home / "r"), *words]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def connected(process: subprocess.Popen[str], directory: Path) -> eegd.Client:
    for _ in range(int(WAIT_S / 0.01)):
        try:
            return eegd.connect(directory)
        except EegdError:
            try:
                process.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail(process.communicate()[1])
    pytest.fail("no daemon")


def test_a_board_that_is_not_there_is_told_with_the_remedy_and_the_doctor(
    run: Callable[..., subprocess.Popen[str]],
) -> None:
    process = run("--board", "pieeg", "-s", 'board.spi=["/dev/spidev0.77"]')
    errors = process.communicate(timeout=WAIT_S)[1].splitlines()
    assert process.returncode == 3
    assert errors[0].startswith("eegd: error: /dev/spidev0.77: no such device; ")
    assert errors[1].endswith(": eegctl doctor --board pieeg") and len(errors) == 2


@pytest.mark.parametrize("name", MARKED)
def test_a_board_runs_on_the_emulated_chip_with_its_sign_and_its_marker(
    name: str, run: Callable[..., subprocess.Popen[str]], home: Path
) -> None:
    sine = ("sim.source=sine", "sim.sine_hz=5.0", f"sim.sine_uv={SINE_UV}")
    words = [word for setting in sine for word in ("-s", setting)]
    process = run("--simulate", "--board", name, "--wait-readers", "1", *words)
    client = connected(process, home / "r")
    names = client.info.description["streams"]
    streams = [client.open(stream, policy="lossless", seconds=4, timeout=WAIT_S) for stream in names]
    assert [len(stream.info.labels) for stream in streams] == CHANNELS[name]
    for stream in streams:
        frames = []
        for frame in stream:
            frames.append((frame.copy(), frame.status_or))
            if len(frames) == 150:
                break
        data = np.concatenate([data for data, _ in frames], axis=1)
        wanted = SINE_UV * np.sin(2 * np.pi * 5.0 * np.arange(data.shape[1]) / 250)
        lsb_uv = max(stream.info.lsb_uv)
        assert np.abs(data - wanted).max() <= lsb_uv + 0.01  # electrode minus reference, of every chip
        n_chips = len(stream.info.description["chips"])
        for _, status in frames:
            assert all(int(word) >> 20 == 0xC for word in status[:n_chips])
            if stream.info.stream in MARKED[name]:
                assert all(int(word) & 0xF == 0x8 for word in status[:n_chips])
    losses = [report["losses"] for report in client.ask("status")["status"]["streams"]]
    assert losses == [dict.fromkeys(("missed", "bad", "late", "overrun"), 0)] * len(names)
    client.ask("stop")
    assert process.wait(WAIT_S) == 0
    client.close()


def test_a_configuration_goes_over_the_board_and_is_reloaded_with_it(
    run: Callable[..., subprocess.Popen[str]], home: Path
) -> None:
    path = home / "mine.toml"
    path.write_text('[montage]\nlabels = ["Oz", "Pz"]\n')
    process = run("--simulate", "--board", "pieeg", "--config", str(path))
    client = connected(process, home / "r")
    assert client.info.labels == ("Oz", "Pz") and client.info.lsb_uv == pytest.approx([4.5e6 / 2**23] * 2)
    path.write_text('[montage]\nlabels = ["Oz", "Cz"]\n')
    while True:
        try:
            answer = client.ask("reload")
            break
        except EegdError as error:
            assert "try again in a moment" in str(error)
    assert not answer["new_epoch"] and not answer["needs_restart"]
    assert client.info.labels == ("Oz", "Cz") and client.info.lsb_uv == pytest.approx([4.5e6 / 2**23] * 2)


def test_chips_with_clocks_of_their_own_refuse_virtual_time_in_words(run: Callable[..., subprocess.Popen[str]]) -> None:
    process = run("--simulate", "--board", "pieeg-16", "--fast")
    _, told = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2 and "real time only" in told and told.startswith("eegd: error: command line: [sim]")
