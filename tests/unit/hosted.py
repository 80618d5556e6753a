"""A plugin without a process of its own: with parameters as given, on a stream as described, fed by a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegd.frame import StreamInfo
from eegd.params import assign_params, check_params
from eegd.plugin import Result
from eegd.plugin_source import load_plugin

LABELS = ("Fz", "Oz")
NO_OUT = np.empty((0, 1), np.float32)
"""What plugins of kind features are given to write into."""


@dataclass(slots=True)
class Samples:
    """As much of a frame as plugins read."""

    data: NDArray[np.float32]
    sample_index: int = 0
    time_ns: int = 1_000_000
    period_ns: float = 4e6


def info_at(rate_sps: float = 250.0, name: str = "raw", kind: str = "raw") -> StreamInfo:
    """Two channels, frames of 10 samples."""
    return StreamInfo(name, kind, 1, rate_sps, LABELS, ("µV", "µV"), 10, 6_000_000, (), (), (1, 1), {})


def made(name: str, **params: object) -> Any:
    """The plugin with its parameters, before it has accepted a stream."""
    plugin = load_plugin(name)()
    set_params(plugin, **params)
    return plugin


def set_params(plugin: Any, **params: object) -> None:
    """As the file does: checked, then set."""
    assign_params(plugin, check_params(type(plugin), params))


def results_of(plugin: Any, data: NDArray[np.float32], first: int = 0, n_frame: int = 10) -> list[Result]:
    """All results of a stretch of signal (channels, samples) that comes in frames."""
    results: list[Result] = []
    for begin in range(0, data.shape[1], n_frame):
        results += plugin.process(Samples(data[:, begin : begin + n_frame], first + begin), NO_OUT)
    return results
