"""Capture and sender in their steady state, from frame 512 on: no allocation, no page fault."""

from __future__ import annotations

import contextlib
import struct
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.simulation.reader_process import ROOT, ReaderProcess
from tests.simulation.scenario import SENDER, SMALL_BOARD, task_faults

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory

STEADY_FRAME = 512
MILLION = 1_000_000
FAST: Mapping[str, object] = {"sim.source": "pattern", "sim.clock": "virtual", "board.rate_sps": 16000}
SHORT_FRAMES: Mapping[str, object] = {**SMALL_BOARD, "stream.frame_ms": 1.0}


class AllocationCounts:
    """The file of tests/native/alloc_counter.c, which says what its lines hold."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, tid: int) -> tuple[int, ...]:
        """Calls of this thread so far: allocations, reallocations, frees, maps."""
        data = self._path.read_bytes()
        assert data[:8] == b"EEGDALC1"
        n_lines, line_bytes = struct.unpack_from("<II", data, 8)
        sums = (0, 0, 0, 0)
        for i in range(min(n_lines, (len(data) - 64) // line_bytes)):
            line_tid, *counts = struct.unpack_from("<i4x4Q", data, 64 + i * line_bytes)
            if line_tid == tid:
                sums = tuple(a + b for a, b in zip(sums, counts, strict=True))
        return sums


@contextlib.contextmanager
def counted_allocations(path: Path) -> Iterator[AllocationCounts]:
    """Programs started in here count what they allocate."""
    library = ROOT / "build" / "alloc_counter.so"
    subprocess.run(["make", "-s", str(library.relative_to(ROOT))], cwd=ROOT, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("EEGD_ALLOC_COUNTS", str(path))
        yield AllocationCounts(path)


def steady_state(
    daemon: DaemonFactory,
    place: Path,
    board: Mapping[str, object],
    n_samples: int,
    readers: list[dict[str, object]],
    text: str = "",
) -> str:
    """Counts over so many samples what the daemon's C threads allocate and how often they fault. text: more TOML."""
    with counted_allocations(place / "allocations") as counts:
        d = daemon(board, wait_readers=len(readers), text=text)
        d.connect()
    with contextlib.ExitStack() as stack:
        programs = [stack.enter_context(ReaderProcess("count", d.directory, **options)) for options in readers]
        for program in programs:
            program.hear("first")
        begun = d.wait_for(lambda s: s["stream"]["frames"] > STEADY_FRAME, 60)
        tids = {name: tid for name, tid in begun["threads"].items() if name.endswith("_tid") and tid}
        before = {name: (counts.of(tid), task_faults(d.pid, tid)) for name, tid in tids.items()}
        ended = d.wait_for(lambda s: s["samples"] >= begun["samples"] + n_samples, 100)
        after = {name: (counts.of(tid), task_faults(d.pid, tid)) for name, tid in tids.items()}
        assert sum(counts.of(d.pid)) > 0  # it does count
        d.stop()
        for program in programs:
            assert program.result()["bad"] == 0
    said = f"{ended['samples'] - begun['samples']} samples; (allocations, page faults) of {', '.join(tids)}"
    assert after == before, f"{said}: {before} became {after}"
    return f"{said}: none; before {before}"


@pytest.mark.parametrize("lane", ["zeromq", "direct"])
def test_capture_neither_allocates_nor_faults_over_a_million_samples(
    daemon: DaemonFactory, tmp_path: Path, lane: str
) -> None:
    readers: list[dict[str, object]] = [{"lane": lane, "policy": "lossless", "depth": 64}]
    print(steady_state(daemon, tmp_path, FAST, MILLION, readers))


@pytest.mark.parametrize(
    "board",
    [SHORT_FRAMES, {**SHORT_FRAMES, **SENDER}],
    ids=["capture publishes", "sender publishes"],
)
def test_neither_capture_nor_sender_allocates_or_faults_in_real_time(
    daemon: DaemonFactory, tmp_path: Path, board: Mapping[str, object]
) -> None:
    readers: list[dict[str, object]] = [{"lane": lane, "depth": 500} for lane in ("zeromq", "direct")]
    n_samples = int(str(board["board.rate_sps"])) * 2
    print(steady_state(daemon, tmp_path, board, n_samples, readers))


def test_detectors_and_their_full_rings_cost_no_allocation_and_no_fault(daemon: DaemonFactory, tmp_path: Path) -> None:
    crossings = '[[detector]]\nname = "up"\nchannel = "Fp1"\nthreshold_uv = 0\nedge = "both"\ndc_removal_hz = 10\n'
    values = '[[detector]]\nname = "all"\nchannel = "O1"\nkind = "stream"\ninterval_samples = 1\n'
    pins = '[[chip_marker]]\nname = "code"\npins = ["GPIO1", "GPIO2"]\n'
    readers: list[dict[str, object]] = [{"lane": "direct", "policy": "lossless", "depth": 64}]
    print(steady_state(daemon, tmp_path, FAST, MILLION // 10, readers, crossings + values + pins))
