"""Chains: stages in order, in place where they can, with one description, and clear refusals."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eegd._native import ffi
from eegd.chain import Chain, make_chain
from eegd.errors import FrameReleased, FrameShared, InPlaceNotSupported, NeedsUnmet, ParamError, PluginError
from eegd.frame import Frame, StreamInfo
from eegd.output import Output
from eegd.params import assign_params, check_params, describe_params, parse_words
from eegd.plugin import Plugin
from eegd.plugin_command import stages_in
from eegd.plugin_source import load_plugin
from eegd.stage_frame import StageFrame

LABELS = ("Fz", "Oz")
PLUGINS = {
    "plus": """
from eegd.plugin import Outputs, Param, Plugin
class Plus(Plugin):
    by = Param(1.0, unit="µV")
    where = Param("all", kind="channels")
    def outputs(self, info):
        return Outputs(labels=info.labels, units=info.units, rate_sps=info.rate_sps, delay_s=0.002)
    def process(self, frame, out):
        out[:] = frame.data + self.by
""",
    "times": """
from eegd.plugin import Outputs, Param, Plugin
class Times(Plugin):
    by = Param(2.0)
    seen = None
    def process(self, frame, out):
        out[:] = frame.data * self.by
    def process_inplace(self, data, frame):
        self.seen = data.ctypes.data
        data *= self.by
""",
    "inplace": """
from eegd.plugin import Plugin
class Inplace(Plugin):
    def process_inplace(self, data, frame):
        frame.inplace()[:] -= 3
""",
    "first": """
from eegd.plugin import Outputs, Plugin
class First(Plugin):
    def outputs(self, info):
        return Outputs(labels=info.labels[:1], units=info.units[:1], rate_sps=info.rate_sps)
    def process(self, frame, out):
        return frame.data[:1] * 1
""",
    "mean": """
from eegd.plugin import Outputs, Plugin
class Mean(Plugin):
    kind = "features"
    def outputs(self, info):
        return Outputs(labels=("mean",), rate_sps=info.rate_sps / 10, delay_s=0.0045, window_s=0.01)
    def process(self, frame, out):
        self.kept = frame
        return {"mean": frame.data.mean()}
""",
    "pair": """
from eegd.plugin import Needs, Plugin
class Pair(Plugin):
    needs = Needs(n_channels=(2, 2))
    def process(self, frame, out):
        out[:] = frame.data
""",
    "counts": """
from eegd.plugin import Plugin
class Counts(Plugin):
    at_gap = "hold"
    resets = 0
    def reset(self):
        self.resets += 1
    def changed(self, names):
        self.names = names
    def process(self, frame, out):
        raise ValueError("not today")
    def stop(self):
        self.stopped = True
""",
    "resets": """
from eegd.plugin import Plugin
class Resets(Plugin):
    resets = 0
    def reset(self):
        self.resets += 1
    def process(self, frame, out):
        out[:] = frame.data
    def stop(self):
        raise RuntimeError("will not")
""",
    "breaks": """
from eegd.plugin import Plugin
class Breaks(Plugin):
    def start(self, info):
        raise ValueError("no start")
    def process(self, frame, out):
        out[:] = frame.data
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    for name, text in PLUGINS.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def info_of(labels: tuple[str, ...] = LABELS) -> StreamInfo:
    channels = [{"label": label, "unit": "µV", "type": "EEG", "lsb_uv": 0.5, "sign": 1} for label in labels]
    described = {
        **{"name": "raw", "kind": "raw", "stream_epoch": 7, "rate_sps": 1000.0, "frame_samples": 10},
        **{"delay_ns": 1_500_000, "channels": channels, "mains_hz": 50},
    }
    return StreamInfo.from_description(described)


def frame_of(n: int = 10, index: int = 0, info: StreamInfo | None = None) -> Frame:
    """A frame without a stream below it."""
    frame = Frame.__new__(Frame)
    descriptor: Any = ffi.new("struct eegd_descriptor *")
    descriptor.sample_index, descriptor.n_samples, descriptor.lead_off = index, n, 0b11
    frame._native, frame.descriptor, frame.missed = None, descriptor, 0
    frame.info = info or info_of()
    data: NDArray[np.float32] = np.arange(index, index + len(frame.info.labels) * n, dtype=np.float32)
    frame._array = data.reshape(-1, n)
    frame._array.flags.writeable = False
    return frame


def started(folder: Path, *stages: str, **values: object) -> Chain:
    made = make_chain("clean", stages, [folder])
    chain = made()
    assign_params(chain, check_params(made, values))
    chain.accept(info_of())
    chain.start(chain.info)
    return chain


def run(chain: Chain, n: int = 10) -> NDArray[np.float32]:
    out = np.full((len(chain.outputs(chain.info).labels), n), np.nan, np.float32)
    assert chain.process(frame_of(n, info=chain.info), out) is None
    return out


# ---- values ----


def test_stages_work_one_after_the_other(folder: Path) -> None:
    x = frame_of().data
    np.testing.assert_array_equal(run(started(folder, "plus", "times", "inplace")), (x + 1) * 2 - 3)
    np.testing.assert_array_equal(run(started(folder, "times", "plus")), x * 2 + 1)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(["plus", "times", "inplace"]), max_size=6), st.integers(1, 10))
def test_any_order_of_stages_gives_what_they_give_one_by_one(folder: Path, names: list[str], n: int) -> None:
    stages = ["plus", *names]
    wanted = frame_of(n).data
    for name in stages:
        wanted = {"plus": wanted + 1, "times": wanted * 2, "inplace": wanted - 3}[name]
    chain = started(folder, *(f"s{place}={name}" for place, name in enumerate(stages)))
    np.testing.assert_array_equal(run(chain, n), wanted)


def test_stages_with_an_in_place_form_work_on_the_output_itself(folder: Path) -> None:
    chain = started(folder, "plus", "a=times", "b=times")
    out = np.zeros((2, 10), np.float32)
    chain.process(frame_of(), out)
    assert chain.stages["a"].seen == chain.stages["b"].seen == out.ctypes.data  # type: ignore[attr-defined]
    assert chain._scratch == [None, None, None]


def test_a_stage_without_an_in_place_form_gets_memory_that_was_made_at_the_start(folder: Path) -> None:
    chain = started(folder, "times", "a=times", "plus", "b=times")
    kept = [None if room is None else room.ctypes.data for room in chain._scratch]
    assert [room is not None for room in kept] == [True, False, False, False]
    run(chain)
    run(chain, 4)
    assert [None if room is None else room.ctypes.data for room in chain._scratch] == kept
    assert chain.stages["a"].seen == kept[0]  # type: ignore[attr-defined]


def test_what_a_stage_does_not_write_is_missing_behind_it_and_no_signal_of_before(folder: Path) -> None:
    chain = started(folder, "plus", "b=plus")
    assert not np.isnan(run(chain)).any()
    chain.stages["plus"].process = lambda frame, out: None  # type: ignore[method-assign]
    assert np.isnan(run(chain)).all()


def test_the_input_frame_is_never_written(folder: Path) -> None:
    chain, frame = started(folder, "plus", "times"), frame_of()
    before = frame.copy()
    chain.process(frame, np.zeros((2, 10), np.float32))
    np.testing.assert_array_equal(frame.data, before)


def test_a_stage_may_change_the_channels_and_return_its_array(folder: Path) -> None:
    chain = started(folder, "first", "times")
    assert chain.outputs(chain.info).labels == ("Fz",)
    np.testing.assert_array_equal(run(chain), frame_of().data[:1] * 2)


def test_features_come_last_and_a_frame_that_was_kept_says_that_it_is_over(folder: Path) -> None:
    chain = started(folder, "plus", "mean")
    given_back: Any = chain.process(frame_of(), np.zeros((1, 1), np.float32))
    assert given_back == {"mean": pytest.approx(frame_of().data.mean() + 1)}
    with pytest.raises(FrameReleased):
        _ = chain.stages["mean"].kept.data  # type: ignore[attr-defined]


# ---- what is said of it ----


def test_the_output_sums_the_delays_and_lists_the_stages(folder: Path) -> None:
    chain = started(folder, "plus", "again=plus", "times", "mean", **{"again.by": 4})
    described = Output(chain, chain.info, chain.outputs(chain.info), "raw", threading.Lock()).description
    assert described["delay_ns"] == 1_500_000 + 2_000_000 + 2_000_000 + 4_500_000
    assert (described["kind"], described["window_ns"], described["input"]) == ("features", 10_000_000, "raw")
    assert described["stages"] == [
        {"stage": "plus", "plugin": "plus", "kind": "filtered", "delay_ns": 2_000_000, "in_place": False},
        {"stage": "again", "plugin": "plus", "kind": "filtered", "delay_ns": 2_000_000, "in_place": False},
        {"stage": "times", "plugin": "times", "kind": "filtered", "delay_ns": 0, "in_place": True},
        {"stage": "mean", "plugin": "mean", "kind": "features", "delay_ns": 4_500_000, "in_place": False},
    ]
    assert described["params"]["again.by"] == 4.0  # type: ignore[index]


def test_channels_keep_what_is_known_of_them_but_no_codes(folder: Path) -> None:
    chain = started(folder, "plus", "times")
    described: Any = Output(chain, chain.info, chain.outputs(chain.info), "raw", threading.Lock()).description
    assert described["channels"][0] == {"type": "EEG", "label": "Fz", "unit": "µV"}


def test_each_stage_is_told_what_the_one_before_gives(folder: Path) -> None:
    chain = started(folder, "plus", "first", "times")
    infos = [stage.info for stage in chain.stages.values()]
    assert [info.labels for info in infos] == [LABELS, LABELS, ("Fz",)]
    assert [info.delay_ns for info in infos] == [1_500_000, 3_500_000, 3_500_000]
    assert [info.kind for info in infos] == ["raw", "filtered", "filtered"]


def test_masks_in_a_chain_are_those_of_the_channels_that_are_left(folder: Path) -> None:
    frame = frame_of()
    stage = StageFrame(frame, info_of(("Oz",)), np.zeros((1, 10), np.float32))
    assert (frame.lead_off, stage.lead_off) == (("Fz", "Oz"), ("Oz",))
    with pytest.raises(ValueError, match="read-only"):
        stage.data[0, 0] = 1


# ---- parameters ----


def test_parameters_are_named_after_their_stage(folder: Path) -> None:
    made = make_chain("clean", ["plus", "slow=plus"], [folder])
    assert [row["name"] for row in describe_params(made)] == ["plus.by", "plus.where", "slow.by", "slow.where"]
    assert parse_words(made, ["slow.by=3", "plus.where:Oz"]) == {"slow.by": 3.0, "plus.where": ("Oz",)}
    with pytest.raises(ParamError, match=r"^clean: no parameter 'by' \(did you mean plus.by\?\); there are: plus.by, "):
        check_params(made, {"by": 1})


def test_two_stages_of_one_plugin_have_values_of_their_own(folder: Path) -> None:
    chain = started(folder, "plus", "slow=plus", **{"slow.by": 10})
    np.testing.assert_array_equal(run(chain), frame_of().data + 11)
    assert started(folder, "plus", "slow=plus").stages["slow"].by == 1.0  # type: ignore[attr-defined]


def test_a_change_reaches_its_stage_alone(folder: Path) -> None:
    chain = started(folder, "counts", "plus")
    names = assign_params(chain, {"plus.by": 5.0, "plus.where": ("Oz",)})
    chain.changed(names)
    plus: Any = chain.stages["plus"]
    assert (plus.by, plus.where) == (5.0, ("Oz",))
    assert not hasattr(chain.stages["counts"], "names")


def test_a_stage_with_a_selection_of_channels_is_not_told_of_the_changes_of_others(folder: Path) -> None:
    chain = started(folder, "a=times", "plus")
    plus: Any = chain.stages["plus"]
    plus.changed = lambda names: pytest.fail(f"told of {names}")
    chain.changed(assign_params(chain, {"a.by": 3.0}))
    chain.reset()
    assert plus.where == LABELS


def test_a_change_that_one_stage_refuses_leaves_all_with_their_old_values(folder: Path) -> None:
    chain = started(folder, "plus", "a=times", "first", "b=plus")
    names = assign_params(chain, {"plus.by": 5.0, "b.where": ("Oz",)})
    with pytest.raises(ParamError, match=r"clean.b: where: no channel Oz; the input has Fz$"):
        chain.changed(names)
    assert [chain.stages[name].by for name in ("plus", "b")] == [1.0, 1.0]  # type: ignore[attr-defined]
    assert chain.stages["b"].where == ("Fz",)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(run(chain), (frame_of().data[:1] + 1) * 2 + 1)


def test_stages_behind_one_that_gives_other_channels_after_a_change_start_anew(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text(
        "from eegd.plugin import Outputs, Param, Plugin\n"
        "class Some(Plugin):\n"
        "    n = Param(2)\n"
        "    def outputs(self, info):\n"
        "        return Outputs(labels=info.labels[:self.n], rate_sps=info.rate_sps, delay_s=self.n / 1000)\n"
        "    def process(self, frame, out):\n"
        "        out[:] = frame.data[:self.n]\n"
    )
    chain = make_chain("clean", ["a=times", "some", "b=times"], [folder, tmp_path])()
    chain.accept(info_of())
    chain.start(chain.info)
    chain.changed(assign_params(chain, {"some.n": 1}))
    outputs = chain.outputs(chain.info)
    assert (outputs.labels, outputs.delay_s) == (("Fz",), 0.001)
    assert [stage.info.labels for stage in chain.stages.values()] == [LABELS, LABELS, ("Fz",)]
    np.testing.assert_array_equal(run(chain), frame_of().data[:1] * 4)


SOME = """
from eegd.plugin import Outputs, Param, Plugin
class Some(Plugin):
    n = Param(2)
    def outputs(self, info):
        return Outputs(labels=info.labels[:self.n], rate_sps=info.rate_sps)
    def process(self, frame, out):
        out[:] = frame.data[:self.n]
"""


@pytest.mark.parametrize(
    ("behind", "values", "error"),
    [("plus", {"plus.where": "Oz"}, ParamError), ("pair", {}, NeedsUnmet), ("breaks2", {}, PluginError)],
)
def test_a_change_that_a_stage_behind_cannot_live_with_leaves_the_chain_as_it_was(
    folder: Path, tmp_path: Path, behind: str, values: dict[str, object], error: type[Exception]
) -> None:
    (tmp_path / "some.py").write_text(SOME)
    (tmp_path / "breaks2.py").write_text(
        "from eegd.plugin import Plugin\n"
        "class Breaks2(Plugin):\n"
        "    def start(self, info):\n"
        "        if len(info.labels) < 2: raise ValueError('no start')\n"
        "    def process(self, frame, out):\n"
        "        out[:] = frame.data\n"
    )
    made = make_chain("clean", ["a=times", "some", behind], [folder, tmp_path])
    chain = made()
    assign_params(chain, check_params(made, values))
    chain.accept(info_of())
    chain.start(chain.info)
    before = run(chain)
    names = assign_params(chain, {"some.n": 1})
    with pytest.raises(error):
        chain.changed(names)
    assign_params(chain, {"some.n": 2})
    assert chain.stages["some"].n == 2  # type: ignore[attr-defined]
    np.testing.assert_array_equal(run(chain), before)
    chain.reset()
    np.testing.assert_array_equal(run(chain), before)


def test_after_a_change_that_failed_all_stages_have_the_chain_s_values_again_even_those_that_hold(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "holds.py").write_text(
        "from eegd.plugin import Param, Plugin\n"
        "class Holds(Plugin):\n"
        "    at_gap = 'hold'\n"
        "    by = Param(1.0)\n"
        "    def start(self, info):\n"
        "        self.used = self.by\n"
        "        if self.by == 13: raise ValueError('thirteen')\n"
        "    def process(self, frame, out):\n"
        "        out[:] = frame.data * self.used\n"
    )
    chain = make_chain("clean", ["a=times", "holds"], [folder, tmp_path])()
    chain.accept(info_of())
    chain.start(chain.info)
    before = run(chain)
    with pytest.raises(ValueError, match="thirteen"):
        chain.changed(assign_params(chain, {"holds.by": 13.0}))
    assign_params(chain, {"holds.by": 1.0})
    chain.reset()
    np.testing.assert_array_equal(run(chain), before)

    chain.changed(assign_params(chain, {"holds.by": 3.0}))
    assign_params(chain, {"holds.by": 1.0})  # what its output made of it could not be published
    chain.reset()
    np.testing.assert_array_equal(run(chain), before)


def test_channels_of_a_stage_are_those_of_its_own_input(folder: Path) -> None:
    with pytest.raises(ParamError, match=r"clean.plus: where: no channel Oz; the input has Fz$"):
        started(folder, "first", "plus", **{"plus.where": "Oz"})


# ---- gaps, ends and failures ----


def test_at_a_gap_only_the_stages_that_want_it_are_reset(folder: Path) -> None:
    chain = started(folder, "counts", "resets")
    assert chain.at_gap == "reset"
    chain.reset()
    assert [stage.resets for stage in chain.stages.values()] == [0, 1]  # type: ignore[attr-defined]
    assert started(folder, "counts").at_gap == "hold"


def test_every_stage_is_stopped_even_where_one_raises(folder: Path) -> None:
    chain = started(folder, "resets", "counts")
    with pytest.raises(PluginError, match=r"plugin 'clean.resets': stop: RuntimeError: will not"):
        chain.stop()
    assert chain.stages["counts"].stopped  # type: ignore[attr-defined]


def test_an_exception_says_in_which_stage_it_was_raised(folder: Path) -> None:
    with pytest.raises(ValueError, match="not today") as raised:
        run(started(folder, "plus", "counts"))
    assert raised.value.__notes__ == ["in stage 'clean.counts' of a chain"]


def test_a_reset_that_fails_costs_a_frame_as_it_does_outside_of_a_chain(folder: Path) -> None:
    chain = started(folder, "plus", "resets")
    chain.stages["resets"].reset = lambda: 1 / 0  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError) as raised:
        chain.reset()
    assert raised.value.__notes__ == ["in stage 'clean.resets' of a chain"]


@pytest.mark.parametrize(
    ("stages", "error", "text"),
    [
        ([], PluginError, "chain 'clean' has no stages"),
        (
            ["plus", "plus"],
            PluginError,
            "chain 'clean': two stages are named 'plus'; name one of them, as in plus2=plus",
        ),
        (["mean", "plus"], PluginError, "chain 'clean': stage 'mean' gives features, so it can only be the last"),
        (["plus", "Big=plus"], PluginError, "chain 'clean': stage 'Big=plus': a plugin's name, or stage=plugin"),
        (["plus", "nosuch"], PluginError, "no plugin 'nosuch'; there are: "),
        (["first", "pair"], NeedsUnmet, "plugin 'clean.pair' needs 2 channels, and 'clean.first' has 1"),
        (["plus", "breaks"], PluginError, "plugin 'clean.breaks': start: ValueError: no start"),
        (
            ["inplace"],
            FrameShared,
            "plugin 'clean.inplace' works in place only, and the frames of 'raw' are shared with other readers: write",
        ),
        (
            ["inplace", "plus"],
            FrameShared,
            "plugin 'clean.inplace' works in place only, and the frames of 'raw' are shared",
        ),
    ],
)
def test_a_chain_that_cannot_be_is_refused_with_its_stage(
    folder: Path, stages: list[str], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as refused:
        started(folder, *stages)
    assert str(refused.value).startswith(text)


def test_a_shared_frame_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrameShared, match=r"frame 0 of 'raw' is shared with all readers .*frame.copy\(\)"):
        frame_of().inplace()


def test_a_plugin_that_works_in_place_only_is_refused_by_itself(folder: Path) -> None:
    with pytest.raises(FrameShared, match=r"plugin 'inplace' works in place only, and the frames of 'raw' are shared"):
        load_plugin("inplace", [folder])().accept(info_of())


def test_a_plugin_without_an_in_place_form_says_so(folder: Path) -> None:
    plugin = load_plugin("plus", [folder])()
    with pytest.raises(InPlaceNotSupported, match=r"plugin 'plus' has no in-place form"):
        plugin.process_inplace(np.zeros((2, 10), np.float32), frame_of())


def test_an_in_place_stage_cannot_change_the_number_of_channels(folder: Path, tmp_path: Path) -> None:
    text = PLUGINS["first"].replace("First", "Fewer") + "    def process_inplace(self, data, frame):\n        pass\n"
    (tmp_path / "fewer.py").write_text(text)
    chain = make_chain("clean", ["plus", "fewer"], [folder, tmp_path])()
    chain.accept(info_of())
    with pytest.raises(PluginError, match=r"plugin 'clean.fewer': outputs\(\) names 1 labels, but in place there are"):
        chain.start(chain.info)


def test_stages_on_a_command_line_are_separated_by_commas() -> None:
    assert stages_in("reference, notch=filter,") == ["reference", "notch=filter"]


def test_the_plugin_itself_keeps_its_name(folder: Path) -> None:
    plugin: type[Plugin] = load_plugin("plus", [folder])
    assert make_chain("clean", ["plus"], [folder]).stage_classes["plus"].name == "clean.plus"
    assert plugin.name == "plus"
