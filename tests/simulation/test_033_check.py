"""`eegctl check` on a daemon with the emulated chip: what it finds, what it keeps, and that it leaves no trace."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eegd.cli import check as check_module
from eegd.cli import eegctl
from eegd.cli.check import switched_board
from eegd.errors import EegdError
from tests.simulation.command import run_eegctl

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

COMMAND = [sys.executable, "-m", "eegd.cli.eegctl"]
BOARD = {"input": "electrodes", "test_signal": "slow", "test_amplitude": 1, "lead_off_mode": "off"}
WAIT_S = 60


def run(d: DaemonProcess, *words: str, code: int = 0) -> Any:
    """The result of one check, as JSON."""
    d.connect()
    done = run_eegctl(d.directory, "check", "--json", *words)
    assert done.code == code, done.stderr + done.stdout[:1000]
    return json.loads(done.stdout) if done.stdout else done.stderr


def by_label(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in result["channels"]}


def board_of(d: DaemonProcess) -> object:
    return d.connect().info.description["board"]


def test_a_head_with_good_electrodes_is_green_and_the_result_is_kept(daemon: DaemonFactory) -> None:
    d = daemon()
    result = run(d)
    assert result["verdict"] == "green"
    [stream] = result["streams"]
    assert stream["samples"] == 1250 and stream["missing_samples"] == 0 and result["flags"] == ["simulated"]
    assert all(abs(row["numbers"]["offset_mv"]) < 20 for row in result["channels"])
    assert run(d, "--last") == result
    kept = d.directory / "check.json"
    assert json.loads(kept.read_text()) == result
    assert kept.stat().st_mode & 0o777 == 0o640
    assert d.status()["epochs"] == 1


def test_before_the_first_check_there_is_no_last_one(daemon: DaemonFactory) -> None:
    assert "no check has been kept yet; run `eegctl check`" in run(daemon(), "--last", code=1)


def test_a_railed_channel_is_red_with_its_label_and_a_remedy(daemon: DaemonFactory) -> None:
    d = daemon(faults=[{"kind": "RAILED", "chip": 0, "channel": 4, "at": 0, "count": 10**9, "value": 1}])
    rows = by_label(run(d, code=1))
    assert {label for label, row in rows.items() if row["verdict"] == "red"} == {"P7"}
    [finding] = rows["P7"]["findings"]
    assert finding["reason"] == "railed in 100 % of the frames"
    assert finding["remedy"].startswith("put the electrode on")


def test_an_offset_of_a_recording_is_red_with_its_share_of_full_scale(daemon: DaemonFactory, home: Path) -> None:
    uv = np.random.default_rng(1).normal(0, 10, (1000, 8))
    uv[:, 6] += 142_000
    rows = "\n".join(",".join(f"{value:.2f}" for value in row) for row in uv)
    (home / "offset.csv").write_text(f"Fp1,Fp2,C3,C4,P7,P8,O1,O2\n{rows}\n")
    d = daemon({"replay.file": str(home / "offset.csv"), "replay.loop": True})
    result = run(d, "--max-offset-mv", "300", code=1)
    assert result["thresholds"]["max_offset_mv"] == 300 and result["flags"] == ["replay"]
    assert [row["label"] for row in result["channels"] if row["verdict"] == "red"] == ["O1"]
    [finding] = by_label(result)["O1"]["findings"]
    assert finding["reason"].startswith("142 mV offset, 76 % of full scale")
    assert finding["remedy"].endswith("or lower gain")


def test_mains_of_a_sine_source_has_its_amplitude(daemon: DaemonFactory) -> None:
    d = daemon({"sim.source": "sine", "sim.sine_hz": 49.7, "sim.sine_uv": 100.0})
    rows = run(d, code=1)["channels"]
    assert all(row["numbers"]["mains_uv_rms"] == pytest.approx(70.7, rel=0.02) for row in rows)
    assert all("of mains at 50 Hz" in row["findings"][0]["reason"] for row in rows)


def test_test_signal_and_shorted_inputs_are_measured_and_the_board_is_put_back(daemon: DaemonFactory) -> None:
    d = daemon(
        {"montage.wiring": "SRB2"},
        text="[montage]\nlabels = ['Fp1', 'Fp2']\n[[montage.channel]]\nlabel = 'Fp2'\ngain = 6\n",
    )
    d.connect()
    result = run(d, "--test-signal", "--shorted")
    assert all(row["amplitude_uv"] == pytest.approx(1875, rel=0.001) for row in result["test_signal"]["channels"])
    assert all(row["period_samples"] == pytest.approx(128, rel=1e-3) for row in result["test_signal"]["channels"])
    shorted = result["shorted"]["channels"]
    assert {row["typical_noise_uv_rms"] for row in shorted} == {0.14, 0.23}
    assert all(row["noise_uv_rms"] == pytest.approx(row["typical_noise_uv_rms"], rel=0.15) for row in shorted)
    parts = (result, result["test_signal"], result["shorted"])
    epochs = {row["stream_epoch"] for part in parts for row in part["channels"]}
    assert len(epochs) == 3
    assert board_of(d) == BOARD
    status = d.status()
    assert status["epochs"] == 4 and status["flags"] == ["simulated"]


def test_chips_with_clocks_of_their_own_are_checked_together(daemon: DaemonFactory) -> None:
    d = daemon(
        {"board.clocks": "own", "board.chips": ["ADS1299", "ADS1299-4"], "sim.clock": "real"},
        faults=[{"kind": "RAILED", "chip": 0, "channel": 1, "at": 0, "count": 10**9, "value": 1}],
    )
    d.connect()
    result = run(d, "--test-signal", "--seconds", "2", code=1)
    assert [stream["name"] for stream in result["streams"]] == ["raw", "raw2"]
    assert [row["stream"] for row in result["channels"]] == ["raw"] * 8 + ["raw2"] * 4
    red = [(row["stream"], row["input"]) for row in result["channels"] if row["verdict"] == "red"]
    assert ("raw", 2) in red
    assert [row["verdict"] for row in result["test_signal"]["channels"]].count("green") >= 10
    assert [stream["epochs"] for stream in d.status()["streams"]] == [3, 3]
    assert board_of(d) == BOARD


def test_frames_of_the_test_signal_are_flagged_for_every_other_reader(daemon: DaemonFactory) -> None:
    d = daemon({"sim.clock": "real"})
    client = d.connect()
    flags = []
    with client.open("raw", timeout=WAIT_S) as stream, switched_board(client) as switch:
        switch({"input": "test_signal"})
        while "test signal" not in (frame := stream.take()).flag_names:
            flags.append(frame.flag_names)
        assert frame.stream_epoch != 0 and all("test signal" not in names for names in flags)
    assert board_of(d) == BOARD


def test_the_board_is_put_back_after_an_error(daemon: DaemonFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    d = daemon()
    d.connect()

    def fail(*_: object) -> None:
        raise ZeroDivisionError("injected")

    monkeypatch.setattr(check_module, "check_test_signal", fail)
    with pytest.raises(ZeroDivisionError, match="injected"):
        eegctl.main(["--runtime-dir", str(d.directory), "check", "--json", "--test-signal", "--seconds", "2"])
    assert board_of(d) == BOARD


def test_where_the_board_cannot_be_put_back_the_command_that_does_it_is_told(
    daemon: DaemonFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = daemon()
    client = d.connect()
    with pytest.raises(EegdError, match="run `eegctl board input=electrodes`"), switched_board(client) as switch:
        switch({"input": "shorted"})

        def refuse(*_: object, **__: object) -> None:
            raise EegdError("refused")

        monkeypatch.setattr(client, "ask", refuse)
    monkeypatch.undo()
    assert "no electrode is measured; `eegctl board input=electrodes`" in run(d, code=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_test_signal_puts_the_board_back(daemon: DaemonFactory, number: int) -> None:
    d = daemon({"sim.clock": "real"})
    d.connect()
    command = [*COMMAND, "--runtime-dir", str(d.directory), "check", "--test-signal", "--seconds", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        d.wait_for(lambda status: "test signal" in status["flags"])
        program.send_signal(number)
        output, errors = program.communicate(timeout=WAIT_S)
    assert program.returncode == 130
    assert (output, errors) == ("", "eegctl: interrupted, nothing was kept\n")
    assert board_of(d) == BOARD
    assert not (d.directory / "check.json").exists()


def test_lead_off_is_told_where_it_is_sensed(daemon: DaemonFactory) -> None:
    d = daemon({"montage.lead_off": True, "board.lead_off_mode": "dc"})
    rows = run(d)["channels"]
    assert [row["numbers"]["lead_off_percent"] for row in rows] == [0.0] * 8


def test_tables_fit_80_columns_and_have_no_colour_in_a_pipe(daemon: DaemonFactory) -> None:
    d = daemon(faults=[{"kind": "RAILED", "chip": 0, "channel": 0, "at": 0, "count": 10**9, "value": -1}])
    d.connect()
    command = [*COMMAND, "--runtime-dir", str(d.directory), "check", "--test-signal", "--shorted"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=WAIT_S, check=False, env={"COLUMNS": "80", "LC_ALL": "C.UTF-8"}
    )
    assert done.returncode == 1, done.stderr
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80  # the last one is a path
    assert "\x1b" not in done.stdout
    assert "electrodes: 7 green, 1 RED; test signal: 7 of 8 green; shorted inputs: 7 of 8 green" in " ".join(
        done.stdout.split()
    )
    assert board_of(d) == BOARD
