"""What the machinery around a plugin does for each frame, counted rather than timed: the same on any computer."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegd._native import ffi
from eegd.frame import StreamInfo
from eegd.live import LiveParams
from eegd.output import Output
from eegd.output_thread import OutputThread
from eegd.plugin import Plugin
from eegd.plugin_loop import PluginLoop

MOST_FUNCTIONS, MOST_BUILTINS = 28, 27
"""Calls in Python for a frame of an empty plugin, of its own process too."""
N_BEFORE, N_COUNTED = 20, 100
INFO = StreamInfo.from_description(
    {
        **{"name": "source", "kind": "raw", "stream_epoch": 7, "rate_sps": 1000.0, "frame_samples": 1},
        "channels": [{"label": label, "unit": "µV"} for label in ("Fz", "Oz")],
    }
)


class Raw(Plugin):
    """Stands for the daemon: its stream is what the other one reads."""

    def process(self, frame: Any, out: NDArray[np.float32]) -> None: ...


class Empty(Plugin):
    """Counts the calls from one of its frames to another."""

    def start(self, info: StreamInfo) -> None:
        self.n_frames = 0
        self.counted: Counter[str] = Counter()
        self.done = threading.Event()

    def process(self, frame: Any, out: NDArray[np.float32]) -> None:
        self.n_frames += 1
        if self.n_frames == N_BEFORE:
            sys.setprofile(self.count)
        elif self.n_frames == N_BEFORE + N_COUNTED:
            sys.setprofile(None)
            self.done.set()

    def count(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "call":
            self.counted[f"{frame.f_code.co_filename.rpartition('/')[2]} {frame.f_code.co_name}"] += 1
        elif event == "c_call":
            self.counted[f"builtin {function.__name__}"] += 1


def publish(output: Output, number: int) -> None:
    frame: Any = type("Source", (), {})
    frame.descriptor = ffi.new("struct eegd_descriptor *", {"sample_index": number, "n_samples": 1, "period_ns": 1e6})
    output.trail.take(frame)
    output.put(None, frame, output.room(1))


def calls_of_a_frame() -> tuple[Counter[str], list[dict[str, object]]]:
    """How often what was called in N_COUNTED frames, and the readers of the stream while they came."""
    with tempfile.TemporaryDirectory(prefix="eegd-", dir="/tmp") as home:
        directory, raw, empty = Path(home), Raw(), Empty()
        source, sink = OutputThread("raw", directory), OutputThread("empty", directory)
        output = Output(raw, INFO, raw.outputs(INFO), "nothing", source.sending)
        source.begin_epoch(output)
        loop = PluginLoop(empty, directory, "raw", sink, LiveParams(empty))
        thread = threading.Thread(target=loop.run, args=("failed",))
        thread.start()
        source.await_readers(output, 1, 30.0)
        for number in range(N_BEFORE + N_COUNTED):
            publish(output, number)
        assert empty.done.wait(30.0)
        readers = source.call(source.server.readers.table)
        source.end_epoch(output, "stopped")
        thread.join()
        sink.close()
        source.close()
        return empty.counted, readers


def test_a_frame_takes_few_calls_and_a_plugin_reads_without_messages() -> None:
    counted, readers = calls_of_a_frame()
    del counted["builtin setprofile"]  # the end of counting itself
    table = "\n".join(f"{n / N_COUNTED:6.2f} {what}" for what, n in counted.most_common())
    n_builtins = sum(n for what, n in counted.items() if what.startswith("builtin")) / N_COUNTED
    n_functions = sum(counted.values()) / N_COUNTED - n_builtins
    assert counted["test_frame_calls.py process"] == N_COUNTED
    assert n_functions <= MOST_FUNCTIONS, table
    assert n_builtins <= MOST_BUILTINS, table
    assert [reader["lane"] for reader in readers] == ["direct"]
