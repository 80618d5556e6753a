"""Prints the loss counters of the daemon whenever one of them moves. Reading them costs the daemon nothing.

usage: watch_losses.py [SECONDS]
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

import eegd
from eegd.counters import CounterReader

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
end = time.monotonic() + seconds

with eegd.connect() as eeg:
    fd = eeg.counters_fd()
with contextlib.suppress(KeyboardInterrupt), CounterReader(fd) as counters:  # Ctrl-C
    os.close(fd)  # the map stays
    before: dict[str, int] | None = None
    while time.monotonic() < end:
        values = counters.values()
        losses = {label: value for label, value in values.items() if label.startswith("loss.")}
        if losses != before:
            words = ", ".join(f"{label.removeprefix('loss.')} {value}" for label, value in losses.items())
            print(f"{values['capture.samples']} samples; lost: {words}", flush=True)
            before = losses
        time.sleep(min(1.0, max(0.0, end - time.monotonic())))
