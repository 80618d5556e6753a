"""What a plugin's output says is the truth about its input, and what cannot be an output is refused."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eegd._native import ffi, lib
from eegd.errors import ParamError, PluginError
from eegd.frame import StreamInfo
from eegd.output import Output, Trail
from eegd.plugin import Outputs, Param, Plugin, Result
from eegd.plugin_source import load_plugin
from eegd.runner import make_plugin, warning_line
from eegd.stream import MissedFrames


def test_parameters_are_checked_before_a_plugin_is_made() -> None:
    with pytest.raises(ParamError, match=r"template: gain = 1000.0: a number from -100 to 100"):
        make_plugin("template", [], {"gain": 1000.0})
    assert make_plugin("template", [], {"gain": "2"}).gain == 2.0  # type: ignore[attr-defined]


# ---- what an output says about its input ----

LABELS = ("Fz", "Oz")


def info_of(**changes: Any) -> StreamInfo:
    channels = [{"label": label, "unit": "µV", "type": "EEG", "lsb_uv": 0.5, "sign": 1} for label in LABELS]
    info = StreamInfo(
        "raw",
        "raw",
        7,
        1000.0,
        LABELS,
        ("µV", "µV"),
        10,
        1_500_000,
        ("simulated",),
        (0.5, 0.5),
        (1, 1),
        {"channels": channels, "mains_hz": 50},
    )
    return replace(info, **changes)


class FakeFrame:
    """A frame without a stream below it."""

    def __init__(self, number: int, index: int, n: int = 10, lost: int = 0, flags: int = 1) -> None:
        self.descriptor: Any = ffi.new("struct eegd_descriptor *")
        self.descriptor.frame_number = number
        self.descriptor.drdy_ns = 10**9 + index * 10**6 + 3
        self.descriptor.time_ns = 1e9 + index * 1e6
        self.descriptor.period_ns = 1e6
        self.descriptor.flags = flags
        self.descriptor.lead_off = 2
        self.descriptor.sample_index, self.descriptor.n_samples, self.descriptor.lost_before = index, n, lost
        self.frame_number, self.sample_index, self.n_samples, self.lost_before = number, index, n, lost
        self.flags = flags
        self.data: NDArray[np.float32] = np.arange(index, index + 2 * n, dtype=np.float32).reshape(2, n)


class Doubled(Plugin):
    def process(self, frame: Any, out: NDArray[np.float32]) -> None:
        np.multiply(frame.data, 2, out=out)


class Mean(Plugin):
    """Mean over ten samples, one value per frame of input."""

    kind = "features"

    def outputs(self, info: StreamInfo) -> Outputs:
        return Outputs(labels=("mean",), rate_sps=info.rate_sps / 10, delay_s=0.0045, window_s=0.01)

    def process(self, frame: Any, out: NDArray[np.float32]) -> dict[str, float]:
        return {"mean": float(frame.data.mean())}


class Recorder:
    """An Output whose published slabs are kept, with their descriptors, instead of being sent."""

    def __init__(self, plugin: Plugin, info: StreamInfo | None = None) -> None:
        self.plugin = plugin
        plugin.info = info or info_of()
        plugin.start(plugin.info)
        self.output = Output(plugin, plugin.info, plugin.outputs(plugin.info), "raw", threading.Lock())
        self.frames: list[Any] = []
        self.data: list[NDArray[np.float32]] = []
        publish = self.output.outlet.publish

        def keep(slab: int) -> int:
            n = publish(slab)
            pointer = lib.eegd_outlet_descriptor(self.output.outlet.pointer, slab)
            copy = ffi.new("struct eegd_descriptor *", pointer[0])
            self.frames.append(copy)
            self.data.append(self.output.outlet.planes(slab)[:, : copy.n_samples].copy())
            return n

        self.output.outlet.publish = keep  # type: ignore[method-assign]

    def feed(self, frame: Any, *, fail: bool = False) -> None:
        self.output.trail.take(frame)
        if fail:
            self.output.trail.skip(frame)
            return
        out = self.output.room(frame.n_samples)
        self.output.put(self.plugin.process(frame, out), frame, out)

    def source(self, position: int) -> tuple[int, int, int, int]:
        origin = ffi.cast("struct eegd_descriptor_source *", ffi.addressof(self.frames[position], "status_or"))
        return origin.frame_number, origin.sample_index, origin.n_samples, origin.missed


def test_a_filtered_frame_names_its_input_and_keeps_its_times() -> None:
    recorder = Recorder(Doubled())
    recorder.feed(FakeFrame(0, 0))
    recorder.feed(FakeFrame(1, 10, n=4, flags=1 | 16))
    second = recorder.frames[1]
    assert recorder.source(1) == (1, 10, 4, 0)
    assert (second.frame_number, second.sample_index, second.n_samples) == (1, 10, 4)
    assert (second.time_ns, second.period_ns, second.drdy_ns) == (1.01e9, 1e6, 1_010_000_003)
    assert second.flags == lib.EEGD_FLAG_SIMULATED | lib.EEGD_FLAG_SHORT
    assert second.lead_off == 2
    assert second.kind == lib.EEGD_KIND_FILTERED
    np.testing.assert_array_equal(recorder.data[0], 2 * FakeFrame(0, 0).data)


def test_what_is_missing_upstream_is_missing_downstream() -> None:
    recorder = Recorder(Doubled())
    recorder.feed(FakeFrame(0, 0))
    recorder.feed(FakeFrame(3, 30, lost=0))  # two frames missed by this reader
    recorder.feed(FakeFrame(4, 45, lost=5))  # five samples lost by the writer
    recorder.feed(FakeFrame(5, 55))
    assert [frame.lost_before for frame in recorder.frames] == [0, 20, 5, 0]
    assert [recorder.source(n)[3] for n in range(4)] == [0, 20, 5, 0]
    lossy = [bool(frame.flags & lib.EEGD_FLAG_UPSTREAM_LOSS) for frame in recorder.frames]
    assert lossy == [False, True, True, False]


def test_a_frame_on_which_the_plugin_failed_is_missing_downstream() -> None:
    recorder = Recorder(Doubled())
    recorder.feed(FakeFrame(0, 0))
    recorder.feed(FakeFrame(1, 10), fail=True)
    recorder.feed(FakeFrame(2, 20))
    assert recorder.source(1) == (2, 20, 10, 10)
    assert recorder.frames[1].lost_before == 10
    assert recorder.frames[1].flags & lib.EEGD_FLAG_UPSTREAM_LOSS


def test_sample_indices_begin_at_zero_where_a_plugin_joins_late() -> None:
    recorder = Recorder(Doubled())
    recorder.feed(FakeFrame(500, 5000))
    assert (recorder.frames[0].sample_index, recorder.frames[0].lost_before) == (0, 0)
    assert recorder.source(0) == (500, 5000, 10, 0)


def test_a_loss_reported_by_the_first_frame_is_carried_on() -> None:
    recorder = Recorder(Doubled())
    recorder.feed(FakeFrame(500, 5000, lost=7))
    assert recorder.source(0)[3] == 7


@pytest.mark.parametrize("flag", [lib.EEGD_FLAG_REPLAY, lib.EEGD_FLAG_TEST_SIGNAL, lib.EEGD_FLAG_UPSTREAM_LOSS])
def test_flags_of_the_input_are_carried_on(flag: int) -> None:
    recorder = Recorder(Doubled())
    recorder.feed(FakeFrame(0, 0, flags=flag))
    assert recorder.frames[0].flags & flag


def test_a_feature_has_the_time_of_the_last_sample_it_covers() -> None:
    recorder = Recorder(Mean())
    recorder.feed(FakeFrame(0, 0))
    recorder.feed(FakeFrame(1, 10))
    assert recorder.source(1) == (1, 10, 10, 0)
    assert recorder.frames[1].time_ns == 1.019e9
    assert recorder.frames[1].period_ns == 1e7
    assert (recorder.frames[1].sample_index, recorder.frames[1].n_samples) == (1, 1)


def test_feature_values_that_a_gap_cost_are_counted_as_lost() -> None:
    recorder = Recorder(Mean())
    recorder.feed(FakeFrame(0, 0))
    recorder.feed(FakeFrame(4, 40))
    assert (recorder.frames[1].sample_index, recorder.frames[1].lost_before) == (4, 3)
    assert recorder.source(1) == (4, 40, 10, 30)


def test_a_plugin_that_holds_at_gaps_covers_what_came_before_them_too() -> None:
    class Sparse(Mean):
        at_gap = "hold"

        def process(self, frame: Any, out: NDArray[np.float32]) -> Any:
            return None if frame.frame_number == 4 else {"mean": 0.0}

    recorder = Recorder(Sparse())
    for frame in (FakeFrame(3, 30), FakeFrame(4, 40), FakeFrame(6, 60)):
        recorder.feed(frame)
    assert recorder.source(1) == (6, 40, 30, 10)


def test_several_results_of_one_frame_become_frames_of_their_own() -> None:
    class Halves(Mean):
        def outputs(self, info: StreamInfo) -> Outputs:
            return replace(super().outputs(info), rate_sps=info.rate_sps / 5)

        def process(self, frame: Any, out: NDArray[np.float32]) -> Any:
            return [Result(np.array([half], np.float32), frame.sample_index + 5 * half, 5) for half in (0, 1)]

    recorder = Recorder(Halves())
    recorder.feed(FakeFrame(0, 0))
    assert [float(data[0, 0]) for data in recorder.data] == [0, 1]
    assert [frame.time_ns for frame in recorder.frames] == [1.004e9, 1.009e9]
    assert [recorder.source(n)[1:3] for n in (0, 1)] == [(0, 5), (5, 5)]


@pytest.mark.parametrize(
    ("given_back", "text"),
    [
        ({"mean": 1.0, "median": 2.0}, "other labels than outputs.* median is unknown"),
        ({}, "other labels than outputs.* mean is missing"),
        (np.zeros(3, np.float32), r"shape \(3, 1\), wanted \(1, 1\)"),
        ([1.0], "a list with float in it: a list is of Results"),
    ],
)
def test_features_that_do_not_fit_the_labels_are_refused(given_back: Any, text: str) -> None:
    recorder = Recorder(Mean())
    recorder.plugin.process = lambda frame, out: given_back  # type: ignore[method-assign]
    with pytest.raises((ValueError, TypeError), match=text):
        recorder.feed(FakeFrame(0, 0))
    assert recorder.frames == []


def test_a_filtered_array_must_have_the_shape_of_the_frame() -> None:
    recorder = Recorder(Doubled())
    recorder.plugin.process = lambda frame, out: np.zeros((2, 9), np.float32)  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"shape \(2, 9\), wanted \(2, 10\)"):
        recorder.feed(FakeFrame(0, 0))


def test_the_description_sums_delays_and_carries_no_codes() -> None:
    described = StreamInfo.from_description({**Recorder(Doubled()).output.description, "stream_epoch": 1})
    assert described.flags == ("simulated",)
    assert described.lsb_uv == ()
    assert described.delay_ns == 1_500_000
    assert described.description["mains_hz"] == 50
    mean = Recorder(Mean()).output.description
    assert (mean["delay_ns"], mean["own_delay_ns"], mean["window_ns"]) == (6_000_000, 4_500_000, 10_000_000)
    assert (mean["input"], mean["input_epoch"]) == ("raw", 7)


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        (Outputs(labels=(), rate_sps=1), "at least one"),
        (Outputs(labels=("a", "a"), rate_sps=1), "only once"),
        (Outputs(labels=("a", "b"), units=("µV",), rate_sps=1), "1 units for 2 labels"),
        (Outputs(labels=("a",), rate_sps=0), "more than 0"),
        (Outputs(labels=("a",), rate_sps=float("nan")), "more than 0"),
        (Outputs(labels=("a",), rate_sps="5"), "rate_sps = '5': a number"),  # type: ignore[arg-type]
        (Outputs(labels=("a",), rate_sps=1000, delay_s=float("nan")), "delay_s = nan: a finite number"),
        (Outputs(labels=("a",), rate_sps=500), "keeps the rate of its input"),
        (Outputs(labels=("a",), rate_sps=1000, axes={"hz": np.arange(3)}), "as JSON: .*ndarray"),
        (Outputs(labels=("a",), rate_sps=1000, columns=({"q": float("nan")},)), "as JSON: Out of range"),
    ],
)
def test_outputs_that_cannot_be_are_refused(outputs: Outputs, text: str) -> None:
    plugin = Doubled()
    plugin.outputs = lambda info: outputs  # type: ignore[method-assign]
    with pytest.raises(PluginError, match=rf"plugin 'doubled': outputs\(\): .*{text}"):
        Recorder(plugin)


@pytest.mark.parametrize(("seconds", "step"), [(-1.0, 0.1), (1.0, -0.5), (float("nan"), 0.1)])
def test_a_window_of_less_than_no_time_is_refused(seconds: float, step: float) -> None:
    plugin = Doubled()
    plugin.accept(info_of())
    with pytest.raises(ValueError, match=r"window: (seconds|step) = .*: 0 s or more"):
        plugin.window(seconds=seconds, step=step)


def test_an_outputs_that_returns_nothing_is_told_what_it_forgot() -> None:
    plugin = Doubled()
    plugin.outputs = lambda info: None  # type: ignore
    with pytest.raises(PluginError, match=r"outputs\(\) returned NoneType, not Outputs; is a `return` missing"):
        Recorder(plugin)


def test_lists_of_labels_and_units_are_taken_as_tuples() -> None:
    listed: Any = ["a", "b"]
    outputs = Outputs(labels=listed, units=listed, rate_sps=1)
    assert (outputs.labels, outputs.units) == (("a", "b"), ("a", "b"))


@pytest.mark.parametrize("odd", [{"labels": "power"}, {"labels": (1, 2)}, {"labels": ("a",), "units": (None,)}])
def test_labels_and_units_that_are_no_texts_are_refused(odd: Any) -> None:
    with pytest.raises(TypeError, match=r"Outputs: (labels|units) = .*: a (text, or a )?tuple"):
        Outputs(**odd, rate_sps=1)


def test_features_without_outputs_say_what_is_missing() -> None:
    class Bare(Plugin):
        kind = "features"

    with pytest.raises(NotImplementedError, match=r"Bare.outputs: features need labels, units and a rate"):
        Bare().outputs(info_of())


def test_reset_starts_again_unless_a_plugin_says_otherwise() -> None:
    class Counting(Doubled):
        n_starts = 0

        def start(self, info: StreamInfo) -> None:
            self.n_starts += 1

    plugin = Counting()
    plugin.info = info_of()
    plugin.reset()
    plugin.changed(("gain",))
    assert plugin.n_starts == 2


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 50), st.booleans()), min_size=1, max_size=40))
def test_every_input_sample_is_covered_or_missing(steps: list[tuple[int, int, bool]]) -> None:
    trail, index, covered, missed = Trail(), 0, 0, 0
    for number, (gap, n, published) in enumerate(steps):
        index += gap
        frame: Any = FakeFrame(number, index, n=n, lost=gap)
        assert trail.take(frame) == gap
        index += n
        if published:
            covered += n
            missed += trail.give()[0]
        else:
            trail.skip(frame)
    missed += trail.missed
    assert covered + missed == index


def test_a_parameter_is_read_from_the_instance_in_process() -> None:
    class Gain(Plugin):
        gain = Param(3.0)

        def process(self, frame: Any, out: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.asarray(frame.data * self.gain, np.float32)

    recorder = Recorder(Gain())
    recorder.feed(FakeFrame(0, 0))
    np.testing.assert_array_equal(recorder.data[0], 3 * FakeFrame(0, 0).data)


README = Path(__file__).resolve().parents[2] / "plugins" / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: re.findall(r"class (\w+)", text)[0])
def test_the_examples_of_the_readme_work_as_they_stand(folder: Path, text: str) -> None:
    (folder / "example.py").write_text(text)
    plugin = load_plugin("example", [folder])()
    recorder = Recorder(plugin)
    for number in range(120):
        recorder.feed(FakeFrame(number, 10 * number))
    assert recorder.frames
    assert np.isfinite(recorder.data[-1]).all()
    assert recorder.data[-1].any()


def test_a_warning_is_one_line_of_the_log_and_that_of_missed_frames_names_no_source_file() -> None:
    assert warning_line("missed 3", MissedFrames, "/lib/loop.py", 106) == "MissedFrames: missed 3"
    assert warning_line("no", UserWarning, "/my/plugin.py", 7, "x = 1") == "UserWarning: no (/my/plugin.py:7)"
