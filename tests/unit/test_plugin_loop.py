"""What a plugin's main thread does between its frames, fed with frames by hand; nothing is read, or asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eegd._native import ffi
from eegd.frame import StreamInfo
from eegd.live import LiveParams
from eegd.output_thread import OutputThread
from eegd.plugin import Plugin
from eegd.plugin_loop import PluginLoop

WAIT_S = 60.0
INFO = StreamInfo.from_description(
    {
        **{"name": "raw", "kind": "raw", "stream_epoch": 7, "rate_sps": 1000.0, "frame_samples": 1},
        "channels": [{"label": label, "unit": "µV"} for label in ("Fz", "Oz")],
    }
)


class Fails(Plugin):
    """Raises where it is told to."""

    at_gap = "hold"

    def __init__(self) -> None:
        self.called: list[str] = []
        self.refuse: set[str] = set()
        self.error: type[Exception] = ValueError

    def start(self, info: StreamInfo) -> None:
        pass

    def reset(self) -> None:
        self._note("reset")

    def process(self, frame: Any, out: NDArray[np.float32]) -> None:
        self._note("process")

    def _note(self, method: str) -> None:
        self.called.append(method)
        if method in self.refuse:
            raise self.error(method)


class Sender:
    """Where events would go."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []

    def post(self, kind: str, label: str, **facts: Any) -> None:
        self.posted.append({"kind": kind, "label": label, **facts})

    def close(self) -> None:
        pass


class Hosted:
    """A loop at the beginning of an epoch."""

    def __init__(self, directory: Path) -> None:
        self.plugin, self.sender = Fails(), Sender()
        self.thread = OutputThread("fails", directory)
        self.loop = PluginLoop(self.plugin, directory, "raw", self.thread, LiveParams(self.plugin))
        self.loop._events.sender = self.sender  # type: ignore[assignment]
        self.begin_epoch()

    def begin_epoch(self) -> None:
        self.loop._begin_epoch(SimpleNamespace(info=INFO, policy="queue"))  # type: ignore[arg-type]

    def frame(self, number: int) -> None:
        facts = {"sample_index": number, "frame_number": number, "n_samples": 1, "time_ns": 1e6 * number}
        descriptor = ffi.new("struct eegd_descriptor *", {**facts, "period_ns": 1e6})
        frame = SimpleNamespace(**facts, period_ns=1e6, descriptor=descriptor, missed=0, info=INFO)
        self.loop._process(frame)  # type: ignore[arg-type]


@pytest.fixture
def hosted() -> Iterator[Hosted]:
    with tempfile.TemporaryDirectory(prefix="eegd-", dir="/tmp") as directory:
        hosted = Hosted(Path(directory))
        yield hosted
        hosted.loop._end_epoch("stopped")
        hosted.loop._fds.close()
        hosted.thread.close()


def test_after_a_change_that_failed_no_frame_is_processed_before_a_reset_has_succeeded(hosted: Hosted) -> None:
    hosted.plugin.refuse = {"reset"}
    hosted.loop.fail_change()
    for number in range(3):
        hosted.frame(number)
    assert hosted.plugin.called == ["reset"] * 3
    hosted.plugin.refuse = set()
    hosted.frame(3)
    hosted.frame(4)
    assert hosted.plugin.called[3:] == ["reset", "process", "process"]


def test_a_failure_that_is_told_in_the_next_epoch_names_no_sample_of_that_one(hosted: Hosted) -> None:
    hosted.plugin.refuse = {"process"}
    for number in range(900, 903):
        hosted.frame(number)
    hosted.begin_epoch()
    told = [(event["value"], event["sample_index"], event["time_ns"]) for event in hosted.sender.posted]
    assert told == [(1, 900, 900_000_000), (2, None, 902_000_000)]


def test_an_exception_that_cannot_be_shown_costs_its_frame_and_no_more(hosted: Hosted) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    hosted.plugin.refuse, hosted.plugin.error = {"process"}, Mute
    hosted.frame(0)
    hosted.plugin.refuse = set()
    hosted.frame(1)
    assert [event["label"] for event in hosted.sender.posted] == ["frame 0 of raw skipped: Mute"]
    assert (hosted.loop.counts.errors, hosted.loop.counts.frames_out) == (1, 1)


def test_what_a_plugin_does_not_write_is_missing_and_no_signal_of_before(hosted: Hosted) -> None:
    output = hosted.loop._output
    assert output is not None
    output.room(1)[:] = 5
    again = output.room(1)
    assert np.isnan(again).all(), "the same slab, with what an earlier frame left in it"
    while output.outlet.claim() is not None:
        pass
    output._slab = None
    assert np.isnan(output.room(1)).all(), "plain memory"
