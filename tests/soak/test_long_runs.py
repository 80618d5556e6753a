"""What the simulation tests show in seconds, for as long as it takes to be sure. `make test-soak` runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.simulation.reader_process import ReaderProcess
from tests.simulation.scenario import FULL_BOARD, SENDER, SMALL_BOARD
from tests.simulation.test_010_readers_that_fail import come_and_go, stopped_reader
from tests.simulation.test_012_load import full_load, stopped_daemon
from tests.simulation.test_013_memory import MILLION, steady_state

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory

pytestmark = pytest.mark.soak
PATHS = pytest.mark.parametrize("path", [{}, SENDER], ids=["capture publishes", "sender publishes"])


def test_a_minute_of_the_full_board_reaches_four_readers_whole(daemon: DaemonFactory) -> None:
    print(full_load(daemon, 60.0))


def test_a_million_samples_of_the_full_board_cost_no_allocation_and_no_fault(
    daemon: DaemonFactory, tmp_path: Path
) -> None:
    readers: list[dict[str, object]] = [{"lane": lane, "depth": 500} for lane in ("zeromq", "direct") * 2]
    print(steady_state(daemon, tmp_path, FULL_BOARD, MILLION, readers))


@pytest.mark.parametrize("priority", [50, 0])
def test_frames_of_one_sample_at_the_highest_rate_lose_nothing(daemon: DaemonFactory, priority: int) -> None:
    """16000 frames a second. Without real-time priority the sender is scheduled late, and what lies before it waits."""
    d = daemon({**FULL_BOARD, "stream.frame_samples": 1, "daemon.rt_priority": priority}, wait_readers=1)
    with ReaderProcess("count", d.directory, lane="direct", depth=8000) as reader:
        reader.hear("first")
        d.wait_for(lambda s: s["samples"] > 10 * 16000, 60)
        code, summary = d.stop()
        result = reader.result()
    print(summary, result)
    assert code == 0 and summary.endswith("samples, 0 lost"), summary
    assert result["bad"] == result["disorder"] == result["lost"] == 0


def test_a_daemon_of_the_full_board_stopped_for_two_seconds_loses_nothing(daemon: DaemonFactory) -> None:
    stopped_daemon(daemon(FULL_BOARD, wait_readers=2))


@PATHS
def test_readers_stopped_for_twenty_seconds_harm_nobody(daemon: DaemonFactory, path: dict[str, object]) -> None:
    stopped_reader(daemon({**SMALL_BOARD, **path}, wait_readers=4), 5000)


@PATHS
def test_a_thousand_attachments_leave_nothing_behind(daemon: DaemonFactory, path: dict[str, object]) -> None:
    come_and_go(daemon({**SMALL_BOARD, **path, "daemon.log_level": "warning"}, wait_readers=2), 1000)
