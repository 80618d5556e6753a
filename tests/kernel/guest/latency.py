# SPDX-License-Identifier: MIT
"""From the DRDY edge to a published frame, to a program that has it and to a plugin; instructions per sample.

Frames of one sample at 250 SPS. On this machine 1 ns of processor time is 1 instruction, so that the processor time
of a thread (/proc/TID/schedstat) counts its instructions, those that the kernel executes for it included.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np

from eegd.frame import Frame
from tests.kernel.guest.eegd_kit import Eegd
from tests.kernel.guest.kit import expect, row, status
from tests.kernel.guest.plugins.delay_probe import PIPE

RATE = 250
WARM = 250
SAMPLES = 2500


def processor_ns(pid: int, tid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{tid}/schedstat").read_text().split()[0])


def words(ns: list[int]) -> str:
    us = np.array(ns) / 1e3
    return f"{np.median(us):.1f} / {np.percentile(us, 99):.1f} / {us.max():.1f}"


def measure(chips: int) -> None:
    published: list[int] = []
    received: list[int] = []
    with Eegd(RATE, chips, stream="frame_samples = 1") as daemon, daemon.reader("queue", 2) as (client, stream):
        take(stream.take, WARM, [], [])
        report = client.ask("status")["status"]
        pid, tid = int(report["pid"]), int(report["threads"]["capture_tid"])
        take(stream.take, WARM, [], [])  # what the question has stirred up
        before, emulator_before = processor_ns(pid, tid), status()
        frames = take(stream.take, SAMPLES, published, received)
        spent, emulator = processor_ns(pid, tid) - before, status()
    timer_ns = emulator["timer_ns"] - emulator_before["timer_ns"]
    row(
        test=f"{8 * chips} channels, DRDY to published",
        us_median_p99_max=words(published),
        instructions_per_sample=round(spent / frames),
    )
    row(
        test=f"{8 * chips} channels, DRDY to reader",
        us_median_p99_max=words(received),
        of_it_emulator_us_per_sample=round(timer_ns / frames / 1e3, 1),
    )


def take(next_frame: object, n: int, published: list[int], received: list[int]) -> int:
    assert callable(next_frame)
    for _ in range(n):
        frame: Frame = next_frame()
        now_ns = time.monotonic_ns()
        published.append(frame.publish_ns - frame.drdy_ns)
        received.append(now_ns - frame.drdy_ns)
        expect(frame.lost_before == 0, f"lost before sample {frame.sample_index}")
    return n


def measure_plugin(chips: int) -> None:
    """To the begin of process() in a plugin's own process, which the daemon starts and which publishes in turn."""
    os.mkfifo(PIPE)
    folder = Path(__file__).with_name("plugins")
    plugins = f'run = ["delay_probe"]\ndirs = ["{folder}"]'
    with Eegd(RATE, chips, stream="frame_samples = 1", plugins=plugins):
        found = json.loads(Path(PIPE).read_text())  # blocks: nothing of this program runs meanwhile
    os.unlink(PIPE)
    expect(found["lost"] == 0, f"{found['lost']} samples lost")
    row(test=f"{8 * chips} channels, DRDY to plugin", us_median_p99_max=words(found["ns"]))


def main() -> None:
    for chips in (1, 4):
        measure(chips)
        measure_plugin(chips)


if __name__ == "__main__":
    main()
