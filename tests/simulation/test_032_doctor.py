"""`eegctl doctor` as a command: alone, with faults below it, beside a running daemon, and in its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.conftest import ROOT, DaemonFactory

# The command itself, on boards whose faults are set before anything happens on them.
WITH_FAULT = """
import json, sys
import eegd.open_board
from eegd._native import ffi, lib
open_board, fault = eegd.open_board.open_board, json.loads(sys.argv[1])
def open_with_fault(config):
    board = open_board(config)
    values = {**fault, "kind": getattr(lib, "EEGD_FAULT_" + fault["kind"])}
    assert lib.eegd_board_sim_fault(board.pointer, ffi.new("struct eegd_fault *", values)) == 0
    return board
eegd.open_board.open_board = open_with_fault
from eegd.cli.eegctl import main
sys.exit(main(sys.argv[2:]))
"""
BOARD_CHECKS = [
    *("board", "chips", "registers", "DRDY", "conversions"),
    *("test signal", "test period", "noise", "SPI clock"),
]


def doctor(
    home: Path, *words: str, fault: dict[str, object] | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command where no daemon is found but in `home`/d/run."""
    start = [sys.executable, "-m", "eegd.cli.eegctl"] if fault is None else [sys.executable, "-c", WITH_FAULT]
    given = [] if fault is None else [json.dumps(fault)]
    return subprocess.run(
        [*start, *given, "doctor", *words],
        cwd=ROOT,
        env={**os.environ, "EEGD_RUNTIME_DIR": str(home / "d/run"), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def board_rows(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    assert "Traceback" not in done.stderr, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)["checks"]
    return {row["check"]: row for row in rows if row["group"] == "board"}


def test_an_emulated_board_is_all_green(home: Path) -> None:
    done = doctor(home, "--simulate", "--json")
    rows = board_rows(done)
    assert done.returncode == 0 and json.loads(done.stdout)["ok"]
    assert list(rows) == BOARD_CHECKS and {row["level"] for row in rows.values()} == {"ok"}


FAULTS = [
    ("SPI_MODE", {}, "chips", "one place late"),
    ("MISO_STUCK", {"value": 0}, "chips", "every byte is 00"),
    ("MISO_STUCK", {"value": 1}, "chips", "every byte is FF"),
    ("DEAD", {}, "chips", "00"),
    ("DRDY_MISSED", {}, "DRDY", "another pin"),
    ("BIT_SLIP", {}, "conversions", "one place early"),
]


@pytest.mark.parametrize(("kind", "values", "check", "said"), FAULTS)
def test_each_fault_is_one_red_row_that_explains_it(
    home: Path, kind: str, values: dict[str, object], check: str, said: str
) -> None:
    done = doctor(home, "--simulate", "--json", fault={"kind": kind, **values})
    red = [row for row in json.loads(done.stdout)["checks"] if row["level"] == "red"]
    assert done.returncode == 1 and [row["check"] for row in red] == [check]
    assert said in red[0]["why"] and red[0]["mend"]


def test_a_computer_without_the_configured_devices_is_red_and_the_rest_is_still_told(home: Path) -> None:
    file = home / "pi.toml"
    file.write_text('[board]\nkind = "linux"\nspi = ["/dev/spidev99.0"]\ndrdy_line = "GPIO26"\n')
    done = doctor(home, "--config", str(file), "--json")
    rows = {row["check"]: row for row in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert rows["SPI devices"]["level"] == "red" and "/dev/spidev99.0" in rows["SPI devices"]["found"]
    assert rows["board"]["level"] == "note" and "SPI devices" in rows["board"]["mend"] and "chips" not in rows
    assert "kernel" in rows and "disk" in rows


def test_a_wrong_configuration_is_a_usage_error(home: Path) -> None:
    file = home / "wrong.toml"
    file.write_text("[board]\nrate_sps = 300\n")
    done = doctor(home, "--config", str(file))
    assert done.returncode == 2 and "rate_sps = 300" in done.stderr and not done.stdout


@pytest.mark.parametrize("width", [60, 100])
def test_the_table_fits_and_a_pipe_gets_no_colours(home: Path, width: int) -> None:
    done = doctor(home, "--simulate", COLUMNS=str(width))
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= width
    assert "the board" in done.stdout and "SPI clock" in done.stdout


def test_a_running_daemon_is_looked_at_and_goes_on(home: Path, daemon: DaemonFactory) -> None:
    running = daemon({"sim.clock": "real"})
    before = running.wait_for(lambda status: status["samples"] > 50)
    done = doctor(home, "--json")
    tree = json.loads(done.stdout)
    service = {row["check"]: row for row in tree["checks"] if row["group"] == "service"}
    assert done.returncode == 0 and {"daemon", "losses", "rate", "priority", "warnings"} <= set(service)
    assert "0 lost" in service["losses"]["found"] and str(running.pid) in service["daemon"]["found"]
    (board,) = [row for row in tree["checks"] if row["group"] == "board"]
    assert board["level"] == "note" and board["mend"] == "eegctl doctor --stop"
    after = running.wait_for(lambda status: status["samples"] > before["samples"])
    assert after["epochs"] == before["epochs"] and after["pid"] == before["pid"]


def test_losses_of_a_running_daemon_are_red(home: Path, daemon: DaemonFactory) -> None:
    running = daemon({"sim.clock": "real"}, faults=[{"kind": "DRDY_MISSED", "at": 20, "count": 3}])
    running.wait_for(lambda status: status["losses"]["missed"] >= 3)
    done = doctor(home, "--json")
    (losses,) = [row for row in json.loads(done.stdout)["checks"] if row["check"] == "losses"]
    assert done.returncode == 1 and losses["level"] == "red" and "3 missed" in losses["found"]


def test_a_plain_daemon_is_stopped_when_asked_and_its_board_examined(home: Path, daemon: DaemonFactory) -> None:
    running = daemon({"sim.clock": "real", "board.chips": ["ADS1299-6"]})
    running.wait_for(lambda status: status["samples"] > 0)
    done = doctor(home, "--stop", "--json")
    rows = board_rows(done)
    assert running.wait()[0] == 0
    assert done.returncode == 0 and "ADS1299-6" in rows["chips"]["found"] and rows["noise"]["level"] == "ok"
    assert json.loads(done.stdout)["remarks"] == [f"stopped process {running.pid}; start it again by hand"]
