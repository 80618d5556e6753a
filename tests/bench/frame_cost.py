"""What one frame costs a plugin's process and the daemon: processor time, as a multiple of one call of scipy's sosfilt.

Part of `make bench-plugins`. The call, a band pass over 8 channels of 16 samples, is timed around each row and in the
same unit, so that a slower or busier processor moves both. "at once": in virtual time, one frame after the other, so
that nothing ever waits; what is left is work. "as they come": in real time, where each frame also wakes the process up.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal

from eegd.config import parse_config
from tests.simulation.conftest import DaemonProcess
from tests.simulation.test_200_plugins import folder_with, plugin_row

RATE_SPS = 1000
WARM_UP = 50
"""Frames that are not counted."""
EMPTY = """
from eegd.plugin import Plugin

class Empty(Plugin):
    def process(self, frame, out):
        pass
"""
CASES = (
    ("empty", 1, "virtual"),
    ("filter", 16, "virtual"),
    ("empty", 1, "real"),
    ("filter", 16, "real"),
)


@dataclass(frozen=True, slots=True)
class Used:
    """By all threads of a process since it began."""

    processor_ns: int
    switches: int
    """How often a thread went to sleep."""

    @classmethod
    def of(cls, pid: int) -> Used:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        ran = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
        lines = (line for task in tasks for line in (task / "status").read_text().splitlines())
        switches = sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
        return cls(ran, switches)

    def since(self, before: Used) -> Used:
        return Used(self.processor_ns - before.processor_ns, self.switches - before.switches)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one frame."""

    n_frames: int
    plugin_us: float
    plugin_switches: float
    daemon_us: float
    daemon_switches: float


def sosfilt_us() -> float:
    """Processor time of one call, the least of some batches: what it takes when nobody is in the way."""
    sos = signal.butter(2, (1, 40), "bandpass", fs=RATE_SPS, output="sos")
    x, zi = np.random.default_rng(1).normal(0, 50, (8, 16)).astype(np.float32), np.zeros((len(sos), 8, 2))
    batches = []
    for _ in range(20):
        began = time.thread_time_ns()
        for _ in range(100):
            signal.sosfilt(sos, x, axis=1, zi=zi)
        batches.append((time.thread_time_ns() - began) / 100)
    return min(batches) / 1000


def taken(status: dict[str, Any], reader: str) -> int:
    """Frames that this reader of `raw` has taken by now."""
    rows = [row for row in status["stream"]["readers"] if row["name"] == reader]
    return sum(row["sent"] - row["queued"] for row in rows)


def cost_of(plugin: str, n_samples: int, clock: str, run_s: float) -> Cost:
    home = Path(tempfile.mkdtemp(prefix="eegd-", dir="/tmp"))
    overrides = {
        "board.rate_sps": RATE_SPS,
        "sim.clock": clock,
        "sim.source": "sine",
        "stream.frame_samples": n_samples,
        "plugins.run": (plugin,),
        "plugins.dirs": (folder_with(home, empty=EMPTY),),
    }
    daemon = DaemonProcess(parse_config("", "bench", overrides), home, wait_readers=1)
    try:
        status = daemon.wait_for(lambda status: taken(status, plugin) > WARM_UP, 60)
        pid = plugin_row(status, plugin)["pid"]
        n_before, plugin_before, daemon_before = taken(daemon.status(), plugin), Used.of(pid), Used.of(daemon.pid)
        time.sleep(run_s)
        n_frames = taken(daemon.status(), plugin) - n_before
        of_plugin, of_daemon = Used.of(pid).since(plugin_before), Used.of(daemon.pid).since(daemon_before)
    finally:
        daemon.clean_up()
        shutil.rmtree(home, ignore_errors=True)
    n = max(1, n_frames)
    return Cost(
        n_frames,
        of_plugin.processor_ns / 1000 / n,
        of_plugin.switches / n,
        of_daemon.processor_ns / 1000 / n,
        of_daemon.switches / n,
    )


def print_frame_costs(run_s: float) -> None:
    print("\nwhat a frame of 8 channels costs, in calls of sosfilt (2 sections, 8 × 16), and how often a thread sleeps")
    print("plugin   samples   clock       frames      plugin      daemon   sleeps: plugin   daemon   sosfilt")
    for plugin, n_samples, clock in CASES:
        before_us = sosfilt_us()
        cost = cost_of(plugin, n_samples, clock, run_s)
        unit_us = (before_us + sosfilt_us()) / 2
        come = "at once" if clock == "virtual" else "as they come"
        print(
            f"{plugin:<7} {n_samples:9d}   {come:<12}{cost.n_frames:6d}   {cost.plugin_us / unit_us:7.2f} ×"
            f"   {cost.daemon_us / unit_us:7.2f} ×   {cost.plugin_switches:14.2f}   {cost.daemon_switches:6.2f}"
            f"   {unit_us:4.1f} µs",
            flush=True,
        )
