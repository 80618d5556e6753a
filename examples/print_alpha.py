"""Prints the alpha band (8 to 13 Hz) of the occipital channels once a second, in µV rms.

usage: print_alpha.py [SECONDS]
"""

from __future__ import annotations

import contextlib
import sys

import numpy as np

import eegd
from eegd.errors import StreamEnded

LOW_HZ, HIGH_HZ = 8.0, 13.0

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
ctrl_c = contextlib.suppress(KeyboardInterrupt)
with ctrl_c, eegd.connect() as eeg, eeg.open("raw", seconds=2, timeout=10) as stream:
    names = [name for name in stream.info.labels if name.startswith("O")] or list(stream.info.labels)[:2]
    shown = 0
    while shown < seconds:
        try:
            block = stream.read(seconds=1)
        except StreamEnded as end:
            print(end)
            break
        window = np.hanning(block.data.shape[1])
        frequencies = np.fft.rfftfreq(len(window), 1 / block.info.rate_sps)
        spectrum = np.fft.rfft((block.data - block.data.mean(axis=1, keepdims=True)) * window)
        power = 2 * np.abs(spectrum) ** 2 / (len(window) * np.sum(window**2))
        alpha = np.sqrt(power[:, (frequencies >= LOW_HZ) & (frequencies <= HIGH_HZ)].sum(axis=1))
        text = "  ".join(f"{name} {alpha[block.info.index(name)]:5.1f} µV" for name in names)
        print(text + ("" if block.is_contiguous else f"   gaps: {len(block.gaps)}"), flush=True)
        shown += 1
