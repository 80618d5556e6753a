"""Copies some seconds of the raw stream into one NumPy file: samples, their times, labels and gaps.

usage: frames_to_numpy.py FILE.npz [SECONDS]
"""

from __future__ import annotations

import sys

import numpy as np

import eegd

path = sys.argv[1] if len(sys.argv) > 1 else "eeg.npz"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0

try:
    with eegd.connect() as eeg, eeg.open("raw", policy="lossless", seconds=2, timeout=10) as stream:
        block = stream.read(seconds)
except KeyboardInterrupt:
    sys.exit("interrupted, nothing was written")

np.savez(
    path,
    uv=block.data,  # (n_channels, n_samples) float32, electrode minus reference
    times_ns=block.times_ns,  # CLOCK_MONOTONIC
    sample_index=block.sample_index,  # jumps where samples are missing
    labels=np.array(block.info.labels),
    not_a_person=np.array(block.info.flags),  # simulated, replay, test signal, shorted
)
n_channels, n_samples = block.data.shape
print(f"{path}: {n_channels} channels, {n_samples} samples, {len(block.gaps)} gaps")
for gap in block.gaps:
    print(f"  before column {gap.position}: {gap.n_samples} samples {gap.reason}")
