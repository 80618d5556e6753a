"""Whichever call to the board fails, the daemon goes on, its readers stay, and the gap is stated."""

from __future__ import annotations

import asyncio
import errno
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from eegd.changes import with_board
from eegd.config import Config, parse_config
from eegd.daemon import Daemon
from tests.faults.bench import Case, Result, run_case
from tests.faults.calls import FailingCalls
from tests.faults.cases import CASES

WAIT_S = 60.0
PERIOD_S = 0.004
MOST_CALLS = 100
FIRST_START = 3
"""Calls before the first sample: RDATAC, drain, START."""
BY_NAME = {case.name: case for case in CASES}
STALL = BY_NAME["DRDY stops"]
RESET = replace(BY_NAME["200 conversions all 00"], until=600)
NUMBERS = pytest.mark.parametrize("number", [errno.ENODEV, errno.ETIMEDOUT], ids=["ENODEV", "ETIMEDOUT"])


def told_gap_s(result: Result) -> float:
    return sum(float(event["without_data_ns"]) for event in result.events if event["kind"] == "epoch") / 1e9


@NUMBERS
@pytest.mark.parametrize(
    ("case", "least"),
    [
        (STALL, 9),
        (replace(STALL, overrides={"board.start_line": "GPIO22"}), 7),  # START itself is no SPI call
        (RESET, 20),
    ],
    ids=["stall", "stall, START wired", "reset"],
)
def test_a_call_that_fails_at_any_step_is_recovered_and_no_sample_is_wrong(case: Case, least: int, number: int) -> None:
    n_reopened = 0
    for k in range(1, MOST_CALLS):
        calls = FailingCalls(k, number)
        with calls.installed():
            result = run_case(replace(case, at_least=True))
        assert (result.wrong, result.unexplained) == (0, 0), f"call {k}"
        assert result.recoveries, f"call {k}"
        assert result.epochs > 1 or k <= FIRST_START, f"call {k}"
        assert result.gap_s <= told_gap_s(result) + result.lost * PERIOD_S + 0.01, f"call {k}"
        if not calls.has_failed:
            break
        n_reopened += calls.n_opened - 1
    assert k > least and n_reopened >= (least if number == errno.ENODEV else 0)


def config_at(directory: Path) -> Config:
    values = {
        "sim.source": "pattern",
        "sim.clock": "virtual",
        "daemon.runtime_dir": str(directory),
        "daemon.rt_priority": 0,
    }
    return parse_config("", "eegd.toml", values)


async def reconfigure_with(calls: FailingCalls, directory: Path) -> tuple[int, list[str]]:
    """Changes the rate of a running daemon. Returns the rate that is in force after it, and the events' kinds."""
    config = config_at(directory)
    daemon = Daemon(config, {"daemon.runtime_dir": str(directory)})
    running = asyncio.create_task(daemon.run())

    async def until_published(n_epochs: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while daemon.acquisition.n_epochs < n_epochs or not daemon.acquisition.n_published:
                assert not running.done(), running.exception()
                await asyncio.sleep(0.001)

    await until_published(1)
    calls.begin()
    daemon._reconfigure(with_board(config, {"rate": "500"}))
    await until_published(2)
    daemon.stop()
    assert await running == 0
    return daemon.acquisition.config.board.rate_sps, [str(event["kind"]) for event in daemon.events.recent]


@NUMBERS
def test_a_call_that_fails_while_the_rate_is_changed_ends_with_one_of_the_two_rates(number: int) -> None:
    rates = set()
    for k in range(1, MOST_CALLS):
        calls = FailingCalls(k, number, from_first_start=False)
        with tempfile.TemporaryDirectory(prefix="eegd-", dir="/tmp") as path, calls.installed():
            rate, kinds = asyncio.run(reconfigure_with(calls, Path(path) / "r"))
        if not calls.has_failed:
            break
        refused = "reconfiguration failed" in kinds
        assert rate == (250 if refused else 500), f"call {k}"
        rates.add(rate)
    assert k > 10 and rates == {250, 500}
