"""How the electrodes see the synthetic head: weights of its sources by name and type, and wiring to the pins.

Names follow the 10-10 system; any other name gets a place of its own on the head, and looks like EEG too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eegd.montage import Channel, Montage

__all__ = ["NO_ELECTRODE", "Head", "electrode_position", "head_of", "input_wiring"]

N_REGIONS = 8
N_SOURCES = 16
ALPHA_LEFT, ALPHA_RIGHT, BLINK, GAZE, MUSCLE_LEFT, MUSCLE_RIGHT, HEART, MAINS = range(8, N_SOURCES)
NO_ELECTRODE = 255
WIRING = {"SRB1": 0, "SRB2": 1, "bipolar": 2}

# Places on a head seen from above: x to the right ear, y to the nose, both -1 … 1.
ROWS = {
    "NZ": 1.1, "FP": 0.9, "AF": 0.72, "F": 0.5, "FT": 0.25, "FC": 0.25, "T": 0.0, "C": 0.0,
    "TP": -0.25, "CP": -0.25, "P": -0.5, "PO": -0.72, "O": -0.9, "I": -1.1,
}  # fmt: skip
OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
EARS = {"A1": -1.05, "M1": -1.05, "A2": 1.05, "M2": 1.05, "TP9": -1.05, "TP10": 1.05}
NAME = re.compile(r"([A-Z]{1,2}?)(Z|\d{1,2})")

REGIONS = np.array(
    [(-0.35, 0.7), (0.35, 0.7), (-0.65, 0.1), (0.65, 0.1), (0, 0.2), (-0.4, -0.45), (0.4, -0.45), (0, -0.85)]
)
"""Centres of the independent 1/f backgrounds."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What `struct eegd_synth_config` needs. Rows belong to `electrodes`; pins hold rows or NO_ELECTRODE."""

    electrodes: tuple[str, ...]
    weights: NDArray[np.float32]
    """(n_electrodes, N_SOURCES) µV per unit of each source."""
    noise_uv: NDArray[np.float32]
    """rms of a background that no other electrode shares."""
    drift_uv: NDArray[np.float32]
    offset_uv: NDArray[np.float32]
    p: NDArray[np.uint8]
    """(32,) electrode at INxP."""
    n: NDArray[np.uint8]
    srb1: int
    srb2: int


def electrode_position(name: str) -> tuple[float, float] | None:
    """(x, y) of a 10-20 or 10-10 name; None for any other name."""
    upper = OLD_NAMES.get(name.upper(), name.upper())
    if upper in EARS:
        return EARS[upper], -0.2
    if upper == "NZ":
        return 0.0, ROWS["NZ"]
    match = NAME.fullmatch(upper)
    if match is None or match[1] not in ROWS or match[2] == "0":
        return None
    y = ROWS[match[1]]
    if match[2] == "Z":
        return 0.0, y
    number = int(match[2])
    rim = float(np.sqrt(max(0.0, 1.0 - y * y))) if abs(y) < 0.95 else 0.3
    x = min(1.0, 0.25 * ((number + 1) // 2)) * max(rim, 0.6)
    return (-x if number % 2 else x), y


def head_of(montage: Montage, seed: int) -> Head:
    """Lays the electrodes on the head. Half-cell potentials come from the seed, places from the names."""
    names = list(dict.fromkeys(name for channel in montage.channels for name in electrodes_of(channel)))
    wired = {channel.wiring for channel in montage.channels} - {"bipolar"}
    reference = len(names)
    if wired:
        names.append(f"reference {montage.reference}")
    weights = np.zeros((len(names), N_SOURCES), np.float32)
    noise = np.full(len(names), 5.5, np.float32)
    for row, name in enumerate(names[:reference]):
        channel = next(c for c in montage.channels if name in electrodes_of(c))
        weights[row] = electrode_weights(channel, name, row)
    if wired:
        weights[reference] = reference_weights()
        noise[reference] = 1.5
    random = np.random.default_rng(seed)
    offsets = random.uniform(-8000, 8000, len(names)).astype(np.float32)
    weights[:, MAINS] *= random.uniform(0.85, 1.15, len(names)).astype(np.float32)
    pins = np.full((2, 32), NO_ELECTRODE, np.uint8)
    for channel in montage.channels:
        for side, name in enumerate((channel.p, channel.n)):
            if name not in ("SRB1", "SRB2"):
                pins[side, channel.input - 1] = names.index(name)
    drift = np.full(len(names), 30.0, np.float32)
    srb1, srb2 = (reference if side in wired else NO_ELECTRODE for side in ("SRB1", "SRB2"))
    return Head(tuple(names), weights, noise, drift, offsets, pins[0], pins[1], srb1, srb2)


def input_wiring(montage: Montage, n_inputs: int) -> NDArray[np.uint8]:
    """One EEGD_WIRING_… per input: where a recorded electrode-minus-reference potential is laid."""
    wiring = np.zeros(n_inputs, np.uint8)
    for channel in montage.channels:
        wiring[channel.input - 1] = WIRING[channel.wiring]
    return wiring


def electrodes_of(channel: Channel) -> Sequence[str]:
    return [name for name in (channel.p, channel.n) if name not in ("SRB1", "SRB2")]


def electrode_weights(channel: Channel, name: str, row: int) -> NDArray[np.float32]:
    """By the channel's type; the second electrode of a bipolar pair sees body signals from the other side."""
    side = -0.5 if name == channel.n and channel.p != "SRB2" else 0.5 if channel.wiring == "bipolar" else 1.0
    weights = np.zeros(N_SOURCES, np.float32)
    weights[MAINS] = 20.0
    if channel.type == "ECG":
        weights[HEART] = 1200.0 * side
        weights[MUSCLE_LEFT] = 8.0 * side
    elif channel.type == "EMG":
        weights[MUSCLE_LEFT if row % 2 else MUSCLE_RIGHT] = 250.0 * side
    elif channel.type == "EOG":
        weights[BLINK] = 150.0 * side
        weights[GAZE] = 120.0 * side
    else:
        weights[:N_SOURCES] = scalp_weights(*(electrode_position(name.rstrip("+-")) or spread_position(row)))
        if channel.wiring == "bipolar" and name.endswith("-"):
            weights[:] = reference_weights()
    return weights


def spread_position(row: int) -> tuple[float, float]:
    """A place for an electrode whose name says nothing: around the head in steps that never repeat."""
    angle, radius = 2.4 * row + 1.2, 0.85 if row % 3 else 0.5
    return float(radius * np.sin(angle)), float(radius * np.cos(angle))


def scalp_weights(x: float, y: float) -> NDArray[np.float32]:
    """What an electrode at this place sees."""
    weights = np.zeros(N_SOURCES, np.float32)
    nearness = np.exp(-((REGIONS - (x, y)) ** 2).sum(axis=1) / (2 * 0.45**2))
    weights[:N_REGIONS] = 10.5 * nearness / np.sqrt((nearness**2).sum())
    back = float(np.exp(-(((y + 0.9) / 0.55) ** 2)))
    alpha = 2.0 + 34.0 * back
    right = 0.5 + 0.45 * float(np.tanh(3 * x))
    weights[ALPHA_LEFT], weights[ALPHA_RIGHT] = alpha * (1 - right), alpha * right
    weights[BLINK] = 125.0 * float(np.exp(-((max(0.0, 0.9 - y) / 0.38) ** 2)))
    weights[GAZE] = 35.0 * x * float(np.exp(-(((y - 0.65) / 0.35) ** 2)))
    for source, ear in ((MUSCLE_LEFT, -0.95), (MUSCLE_RIGHT, 0.95)):
        weights[source] = 32.0 * float(np.exp(-((x - ear) ** 2 + (y - 0.1) ** 2) / 0.35))
    weights[MAINS] = 20.0
    return weights


def reference_weights() -> NDArray[np.float32]:
    """A quiet place such as an ear lobe: mains as everywhere, a trace of the rest."""
    weights = np.zeros(N_SOURCES, np.float32)
    weights[:N_REGIONS] = 0.5
    weights[[ALPHA_LEFT, ALPHA_RIGHT, BLINK]] = 1.0
    weights[HEART] = 2.0
    weights[MAINS] = 20.0
    return weights
