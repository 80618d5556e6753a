"""The full board at the highest rate, and stalls of the whole daemon: nothing is lost. tests/soak has the long runs."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import pytest

from tests.simulation.reader_process import ReaderProcess
from tests.simulation.scenario import FULL_BOARD, SENDER, SMALL_BOARD, assert_complete, stopped_process, watched

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

FRAMES_PER_S = 250
PATHS = pytest.mark.parametrize("path", [{}, SENDER], ids=["capture publishes", "sender publishes"])


def full_load(daemon: DaemonFactory, seconds: float) -> str:
    """32 channels at 16000 SPS in real time to four reader processes, two on each lane, that check every byte."""
    d = daemon(FULL_BOARD, wait_readers=4)
    with contextlib.ExitStack() as stack:
        readers = [
            stack.enter_context(ReaderProcess("count", d.directory, lane=lane, depth=500, name=f"{lane}-{i}"))
            for i in range(2)
            for lane in ("zeromq", "direct")
        ]
        for reader in readers:
            reader.hear("first")
        n_frames = int(seconds * FRAMES_PER_S)
        status = d.wait_for(lambda s: s["stream"]["frames"] >= n_frames, 2 * seconds + 20)
        rows = status["stream"]["readers"]
        assert sorted(row["lane"] for row in rows) == ["direct", "direct", "zeromq", "zeromq"]
        assert len({row["pid"] for row in rows}) == 4 and status["threads"]["sender_tid"]
        assert sum(status["losses"].values()) == 0 and status["stream"]["pool"]["misses"] == 0
        complete = assert_complete(d, readers, n_frames)
    return f"{complete['summary']}; frames {complete['totals']['frames']}, peak of slabs in use " + str(
        status["stream"]["pool"]["peak_in_use"]
    )


def test_the_full_board_at_the_highest_rate_reaches_four_readers_whole(daemon: DaemonFactory) -> None:
    print(full_load(daemon, 4.0))


@PATHS
def test_a_daemon_stopped_for_two_seconds_loses_nothing(daemon: DaemonFactory, path: dict[str, object]) -> None:
    stopped_daemon(daemon({**SMALL_BOARD, **path}, wait_readers=2))


def stopped_daemon(d: DaemonProcess) -> None:
    """SIGSTOP to the whole process: the patient chip waits, and readers have credit for the rush that follows."""
    with watched(d) as readers:
        before = d.status()["stream"]["frames"]
        with stopped_process(d.pid, 2.0):
            pass
        d.wait_for(lambda s: s["stream"]["frames"] >= before + int(2.2 * FRAMES_PER_S))
        assert_complete(d, readers)


def test_a_stopped_daemon_does_not_make_readers_think_it_is_gone(daemon: DaemonFactory) -> None:
    d = daemon(SMALL_BOARD, wait_readers=1)
    with d.connect().open(timeout=10) as stream:
        stream.take()
        d.send(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            while True:
                stream.take(timeout=0.5)
        d.send(signal.SIGCONT)
        assert stream.take().n_samples and stream.n_epochs == 1
