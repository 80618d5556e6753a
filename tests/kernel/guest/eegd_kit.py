# SPDX-License-Identifier: MIT
"""eegd in the guest: started on the emulated chips, with readers that check every sample.

Everything of it is the product: its command, its configuration, its client. Only the chips are emulated.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import eegd
from eegd.errors import DaemonNotRunning
from eegd.pattern import check_pattern, find_pattern
from eegd.stream import Stream
from tests.kernel.guest.kit import expect, load, unload

__all__ = ["Checker", "Eegd", "sclk_for"]

RUNTIME = Path("/run/eegd-test")
CONFIG = Path("/run/eegd-test.toml")
LOG = Path("/run/eegd-test.log")
DRDY_LINES = ("GPIO26", "GPIO25", "GPIO24", "GPIO23")
"""Of chips with clocks of their own."""


def sclk_for(rate: int, chips: int) -> int:
    """An SPI clock at which a conversion takes at most a third of the sample period, 4 MHz or more, at most 20."""
    return min(max(4_000_000, 27 * 8 * chips * rate * 3), 20_000_000)


class Eegd:
    """The daemon on `chips` emulated chips, from `with` to its end."""

    def __init__(
        self,
        rate: int = 250,
        chips: int = 1,
        readers: int = 1,
        extra: str = "",
        stream: str = "",
        cascade: bool = False,
        plugins: str = "",
        own_clocks: bool = False,
        **module: object,
    ) -> None:
        names = ", ".join(['"ADS1299"'] * chips)
        cascade |= own_clocks
        devices = ", ".join(f'"/dev/spidev0.{select}"' for select in range(chips if cascade else 1))
        clocks = 'drdy_line = "GPIO26"'
        if own_clocks:
            clocks = f'clocks = "own"\ndrdy_lines = {json.dumps(DRDY_LINES[:chips])}'
        load(chips=chips, daisy=int(not cascade), **module)
        CONFIG.write_text(
            f'[board]\nkind = "linux"\nchips = [{names}]\ntopology = "{"cascade" if cascade else "daisy"}"\n'
            f"spi = [{devices}]\n{clocks}\nrate_sps = {rate}\nsclk_hz = {sclk_for(rate, chips)}\n"
            f'discard = 0\n{extra}\n[stream]\n{stream}\n[plugins]\n{plugins}\n[daemon]\nruntime_dir = "{RUNTIME}"\n'
        )
        command = ["/opt/eegd/bin/eegd", "run", "--config", str(CONFIG), "--wait-readers", str(readers)]
        # Addresses and hashes are the same in every run, so that its instructions are.
        Path("/proc/sys/kernel/randomize_va_space").write_text("0")
        with LOG.open("wb") as log:
            environment = {**os.environ, "PYTHONHASHSEED": "0"}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def connect(self) -> eegd.Client:
        while True:
            if self.process.poll() is not None:
                raise SystemExit(f"FAILED: eegd has ended:\n{LOG.read_text()}")
            try:
                return eegd.connect(RUNTIME)
            except DaemonNotRunning:
                time.sleep(0.02)

    @contextlib.contextmanager
    def reader(self, policy: str = "lossless", seconds: float = 10) -> Iterator[tuple[eegd.Client, Stream]]:
        """A connection and the raw stream, which gives up after a minute without a frame."""
        with self.connect() as client, client.open("raw", policy=policy, seconds=seconds, timeout=60) as stream:
            yield client, stream

    def __enter__(self) -> Eegd:
        return self

    def __exit__(self, *failure: object) -> None:
        self.process.terminate()
        self.process.wait()
        if failure[0] is None:
            unload()
        else:
            print(LOG.read_text(), flush=True)


class Checker:
    """Checks the pattern in frames as they come, and adds up what is missing.

    The pattern tells which conversion a sample is. Within a stream epoch its number and the sample index differ by a
    constant; where that changes, samples were lost or doubled that eegd has not counted: they are unexplained.
    """

    def __init__(self) -> None:
        self.samples = self.wrong = self.lost = self.missed = self.unexplained = 0
        self.drdy_ns = 0
        """Of the last frame."""
        self.gaps: list[tuple[int, int]] = []
        """The first sample after a loss, and how many were lost."""
        self._shift: int | None = None
        self._epoch = 0
        self._next = 0

    def take(self, frame: eegd.Frame) -> None:
        codes, index = frame.codes(), frame.sample_index
        if frame.stream_epoch != self._epoch:
            self._shift, self._epoch = None, frame.stream_epoch
        elif index != self._next + frame.lost_before and frame.missed == 0:
            self.unexplained += abs(index - self._next - frame.lost_before)
        self._next = index + frame.n_samples
        self.drdy_ns = frame.drdy_ns
        self.samples += frame.n_samples
        self.lost += frame.lost_before
        if frame.lost_before:
            self.gaps.append((index, frame.lost_before))
        self.missed += frame.missed
        found = find_pattern(codes, index + (self._shift or 0))
        if found is None:
            self.wrong += frame.n_samples
            return
        if self._shift is not None and found - index != self._shift:
            self.unexplained += abs(found - index - self._shift)
        self._shift = found - index
        self.wrong += check_pattern(codes, found)

    def read(self, stream: Stream, n_samples: int) -> None:
        for frame in frames(stream, n_samples):
            self.take(frame)

    def expect_whole(self, what: str) -> None:
        told = f"{what}: {self.samples} samples, {self.wrong} wrong, {self.lost} lost, {self.missed} frames missed, "
        told += f"{self.unexplained} unexplained"
        expect(self.wrong == self.lost == self.missed == self.unexplained == 0, told)


def frames(stream: Stream, n_samples: int) -> Iterator[eegd.Frame]:
    """Frames until n samples have come."""
    done = 0
    for frame in stream:
        yield frame
        done += frame.n_samples
        if done >= n_samples:
            return
