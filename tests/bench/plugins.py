"""Three heavy plugins, each in a process of its own, against a chain of the same three: `make bench-plugins`.

Each plugin reads the one before it, and virtual time waits for all of them, so that both layouts work on every frame as
fast as they can, and must give the same values. Both run on the same two cores, in turn.

Three stages on two cores are no obstacle: each stage has up to ten frames queued before it (a second of credit), so
that whichever core is free finds work, and nobody waits for the slowest on each frame. What can be had is then the time
in which the plugins and all that belongs to them (daemon, queues, this reader) use the cores, shared out evenly: that
is printed as `at best`, from the processor time that both runs took. The speed-up stays below it where a core was idle
although there was work, and `at best` stays below what the cores do at once where processes cost more than a chain.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eegd.config import parse_config
from tests.bench.frame_cost import print_frame_costs
from tests.simulation.conftest import DaemonProcess
from tests.simulation.test_200_plugins import folder_with, open_when_there

STAGES = ("first", "second", "third")
CHAIN = "all"
STAGE = """
import numpy as np
from eegd.plugin import Param, Plugin

BLOCK = np.random.default_rng(1).normal(size=(8, 1024))

class {name}(Plugin):
    rounds = Param(1, min=1, doc="Work per frame: transforms of 8 x 1024 samples")
    def process(self, frame, out):
        out[:] = frame.data
        self.process_inplace(out, frame)
    def process_inplace(self, data, frame):
        for _ in range(self.rounds):
            np.fft.rfft(BLOCK)
        data += 1
"""
AT_MOST_CORES = 2
DISTURBED = 0.05
"""Part of the cores' time that others may take; a round with more is not counted."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
WARM_UP = 20
"""Frames that are not counted: caches, clocks and credits settle."""


def rounds_for(work_ms: float) -> int:
    """Transforms that take so long on this computer."""
    block = np.random.default_rng(1).normal(size=(8, 1024))
    took_s = []
    for _ in range(50):
        began = time.perf_counter()
        np.fft.rfft(block)
        took_s.append(time.perf_counter() - began)
    return max(1, round(work_ms / 1000 / statistics.median(took_s)))


class Cores:
    """Who uses the cores from now on, by the kernel's accounts, in clock ticks (proc(5))."""

    def __init__(self, daemon: int) -> None:
        children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
        self._pids = [os.getpid(), daemon, *map(int, children)]
        self._began = self._used()

    def _used(self) -> tuple[int, int, int]:
        """All that passed, all that somebody used, what this benchmark used."""
        names = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        rows = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        ticks = [[int(word) for word in row[1:9]] for row in rows if row[0] in names]
        everything = sum(map(sum, ticks))
        idle = sum(row[3] + row[4] for row in ticks)
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids]
        return everything, everything - idle, sum(int(stat[11]) + int(stat[12]) for stat in stats)

    def shares(self) -> tuple[float, float]:
        """Seconds of processor time that this benchmark took; and the part of the cores' time that other programs, or
        the host of this virtual machine, took, 0 to 1."""
        everything, used, ours = (after - before for after, before in zip(self._used(), self._began, strict=True))
        return max(1, ours) / TICKS_PER_S, max(0.0, (used - ours) / max(1, everything))


@dataclass(frozen=True, slots=True)
class Run:
    frames_per_s: float
    total: float
    """Sum of all values."""
    others: float
    processor_s: float
    """Of a frame: plugins, daemon and reader."""


def layout(is_chain: bool, rounds: int) -> tuple[str, tuple[str, ...]]:
    """Configuration of the plugins, and which of them run; the last one has the result."""
    if is_chain:
        tables = "".join(f"[plugins.{CHAIN}.{name}]\nrounds = {rounds}\n" for name in STAGES)
        return f"[plugins.{CHAIN}]\nchain = {list(STAGES)}\n{tables}", (CHAIN,)
    inputs = zip(("raw", *STAGES), STAGES, strict=False)
    return "".join(f'[plugins.{name}]\nrounds = {rounds}\ninput = "{before}"\n' for before, name in inputs), STAGES


def transforms(rounds: int) -> None:
    """Work as the stages do it, without eegd."""
    block = np.random.default_rng(1).normal(size=(8, 1024))
    for _ in range(rounds):
        np.fft.rfft(block)


def cores_at_once(cores: int, rounds: int) -> float:
    """What these cores do at once, as a multiple of what one does alone: two threads of one core are no two cores."""
    took_s = []
    for n in (1, cores):
        with ProcessPoolExecutor(n) as pool:
            list(pool.map(transforms, [1] * n * 4))  # started, and numpy loaded
            began = time.monotonic()
            list(pool.map(transforms, [rounds] * n))
            took_s.append(time.monotonic() - began)
    return cores * took_s[0] / took_s[1]


def run_once(is_chain: bool, rounds: int, n_frames: int) -> Run:
    """As fast as it goes."""
    text, names = layout(is_chain, rounds)
    home = Path(tempfile.mkdtemp(prefix="eegd-", dir="/tmp"))
    files = {name: STAGE.format(name=name.capitalize()) for name in STAGES}
    overrides = {
        "sim.clock": "virtual",
        "sim.source": "sine",
        "stream.frame_samples": 25,
        "plugins.run": names,
        "plugins.dirs": (folder_with(home, **files),),
    }
    daemon = DaemonProcess(parse_config(text, "bench", overrides), home, wait_readers=2)
    try:
        client = daemon.connect()
        total = 0.0
        with open_when_there(client, names[-1], policy="lossless", depth=8) as stream:
            with client.open("raw", policy="latest"):  # the second reader, so that the first frame is seen by all
                for _ in range(WARM_UP):
                    total += float(stream.take(30).data.sum(dtype=np.float64))
                cores, began = Cores(daemon.pid), time.monotonic()
                for _ in range(n_frames):
                    total += float(stream.take(30).data.sum(dtype=np.float64))
                took_s = time.monotonic() - began
                processor_s, others = cores.shares()
            assert stream.missed == 0
        daemon.stop()
        return Run(n_frames / took_s, total, others, processor_s / n_frames)
    finally:
        daemon.clean_up()
        shutil.rmtree(home, ignore_errors=True)


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    return names.get("model name") or names.get("Model") or platform.machine()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--work-ms", type=float, default=5.0, help="per frame and stage")
    parser.add_argument("--rounds", type=int, default=3, help="undisturbed ones")
    parser.add_argument("--most", type=int, default=15, help="rounds that are tried for that")
    parser.add_argument("--cost-s", type=float, default=3.0, help="for each row of costs of a frame; 0: none")
    arguments = parser.parse_args(argv)
    cores = sorted(os.sched_getaffinity(0))[:AT_MOST_CORES]
    os.sched_setaffinity(0, cores)  # daemons and plugins inherit it
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[variable] = "1"
    work = rounds_for(arguments.work_ms)
    load = os.getloadavg()[0]
    print(f"{processor()}, {len(cores)} of its {os.cpu_count()} cores; load before it {load:.1f}")
    print(f"{len(STAGES)} stages, {work} transforms a frame each (about {arguments.work_ms:g} ms)")
    print(f"{'':8}three processes{'':17}one process")
    heads = ["round", *["    fps", "ms of cores a frame"] * 2, "speed-up", "at best", "cores at once", "others took"]
    print("   ".join(heads))
    ratios, bests, possible = [], [], []
    for n in range(arguments.most):
        together = run_once(False, work, arguments.frames)
        alone = run_once(True, work, arguments.frames)
        if together.total != alone.total:
            print(f"the two layouts differ: {together.total} and {alone.total}", file=sys.stderr)
            return 1
        at_once = cores_at_once(len(cores), work * arguments.frames // 2)
        ratio, others = together.frames_per_s / alone.frames_per_s, max(together.others, alone.others)
        # Alone, one core is busy with the chain all the time, but for what the daemon and this reader do on the other.
        best = len(cores) / (together.processor_s * alone.frames_per_s)
        undisturbed = others <= DISTURBED
        print(
            f"{n + 1:5d}   {together.frames_per_s:7.1f}   {together.processor_s * 1000:19.2f}"
            f"   {alone.frames_per_s:7.1f}   {alone.processor_s * 1000:19.2f}"
            f"   {ratio:8.2f}   {best:7.2f}   {at_once:13.2f}   {others:11.0%}{'' if undisturbed else '  disturbed'}",
            flush=True,
        )
        if undisturbed:
            ratios.append(ratio)
            bests.append(best)
            possible.append(at_once)
        if len(ratios) == arguments.rounds:
            break
    tell(ratios, bests, possible)
    if arguments.cost_s:
        print_frame_costs(arguments.cost_s)
    return 0


def tell(ratios: list[float], bests: list[float], possible: list[float]) -> None:
    """What the undisturbed rounds say."""
    if not ratios:
        print(f"no speed-up to tell: in each round other programs took more than {DISTURBED:.0%} of the cores")
        return
    print(
        f"speed-up, median of {len(ratios)} undisturbed: {statistics.median(ratios):.2f}, "
        f"at best {statistics.median(bests):.2f}; "
        f"without eegd these cores do {statistics.median(possible):.2f} times the work of one"
    )


if __name__ == "__main__":
    sys.exit(main())
