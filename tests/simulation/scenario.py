"""What several tests share: boards with the check pattern, readers that see everything, and looks into /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulation.reader_process import ReaderProcess

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonProcess

__all__ = [
    "FULL_BOARD",
    "SENDER",
    "SMALL_BOARD",
    "Usage",
    "assert_complete",
    "descriptors",
    "settled_descriptors",
    "slabs_come_back",
    "stopped_process",
    "task_faults",
    "wait_until",
    "watched",
]

SMALL_BOARD: Mapping[str, object] = {"sim.source": "pattern", "sim.clock": "real", "board.rate_sps": 1000}
"""8 channels, 250 frames a second in real time; the capture thread publishes by itself."""
SENDER: Mapping[str, object] = {"stream.direct_publish_readers": 0}
"""… or a thread of its own does."""
FULL_BOARD: Mapping[str, object] = {
    "sim.source": "pattern",
    "sim.clock": "real",
    "board.chips": ("ADS1299",) * 4,
    "board.topology": "daisy",
    "board.rate_sps": 16000,
    "board.sclk_hz": 20_000_000,
}
"""32 channels at the chips' highest rate."""
LENT_TO_SENDER = 32
POLL_S = 0.005


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    """Looks again and again until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        time.sleep(POLL_S)


class Usage:
    """Descriptors and memory of a process, as the kernel counts them."""

    def __init__(self, pid: int) -> None:
        self.descriptors = descriptors(pid)
        rollup = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        self.rss_kb = int(rollup["Rss"].split()[0])
        self.pss_kb = int(rollup["Pss"].split()[0])

    def __repr__(self) -> str:
        return f"{len(self.descriptors)} descriptors, RSS {self.rss_kb} kB, PSS {self.pss_kb} kB"


def descriptors(pid: int) -> list[str]:
    """What each open descriptor is, sorted; numbers of sockets and the like left out."""
    names = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(os.readlink(fd).split("[")[0].split(":[")[0])
    return sorted(names)


@contextlib.contextmanager
def stopped_process(pid: int, seconds: float) -> Iterator[None]:
    """SIGSTOP for so long. There is no event to wait for: the passing of time itself is what is tested."""
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "stopped")
        end = time.monotonic() + seconds
        yield
        wait_until(lambda: time.monotonic() >= end, "time", seconds + 1)
    finally:
        os.kill(pid, signal.SIGCONT)


def settled_descriptors(pid: int) -> list[str]:
    """What is open once nothing has been opened or closed for some looks: libzmq and requests close a little later."""
    seen: list[list[str]] = []

    def is_settled() -> bool:
        seen.append(descriptors(pid))
        return len(seen) > 40 and all(names == seen[-1] for names in seen[-40:])

    wait_until(is_settled, "descriptors settled")
    return seen[-1]


def task_faults(pid: int, tid: int) -> int:
    """Page faults of one thread so far, minor and major (proc(5), stat, fields 10 and 12)."""
    fields = Path(f"/proc/{pid}/task/{tid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[10 - 3]) + int(fields[12 - 3])


@contextlib.contextmanager
def watched(daemon: DaemonProcess, **options: object) -> Iterator[list[ReaderProcess]]:
    """Two readers, one on each lane, that take and check every frame until the stream ends.

    The daemon must be waiting for two readers, so that both see the first frame.
    """
    with contextlib.ExitStack() as stack:
        readers = [
            stack.enter_context(
                ReaderProcess("count", daemon.directory, lane=lane, name=f"watch-{lane}", **{"depth": 1000, **options})
            )
            for lane in ("zeromq", "direct")
        ]
        for reader in readers:
            reader.hear("first")
        yield readers


def assert_complete(daemon: DaemonProcess, readers: list[ReaderProcess], least_frames: int = 1) -> dict[str, Any]:
    """Stops the daemon: it lost nothing, and every one of these readers has every frame and every byte."""
    code, summary = daemon.stop()
    assert code == 0 and summary.endswith("samples, 0 lost"), summary
    results = [reader.result() for reader in readers]
    for result in results:
        totals = result["totals"]
        assert totals["frames"] >= least_frames
        assert totals["lost"] == 0
        assert (result["first_frame"], result["frames"], result["samples"]) == (0, totals["frames"], totals["samples"])
        faults = {name: result[name] for name in ("missed", "skipped", "lost", "disorder", "bad")}
        assert not any(faults.values()), faults
    return {"summary": summary, "totals": results[0]["totals"]}


def slabs_come_back(daemon: DaemonProcess, n_readers: int, timeout: float = 20.0) -> dict[str, Any]:
    """Waits until so many readers are left and hold next to nothing; returns that status."""

    def all_back(status: dict[str, Any]) -> bool:
        stream = status["stream"]
        if stream["pool"]["promised"] != sum(row["depth"] for row in stream["readers"]):
            return False  # the sending thread has yet to let go of some
        held = sum(row["queued"] + row["held"] for row in stream["readers"])
        lent = LENT_TO_SENDER if status["threads"]["sender_tid"] else 1
        # A reader that keeps up has a frame or two under way; they change while the report is made.
        return len(stream["readers"]) == n_readers and stream["pool"]["in_use"] <= lent + held + 2 * n_readers

    return daemon.wait_for(all_back, timeout)
