"""Changes of parameters while frames come: all or none, one per frame, and each answered with its frame."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegd import live as live_module
from eegd.cli.params import text_of
from eegd.errors import ParamError, ProtocolError
from eegd.live import LiveParams
from eegd.params import resolve_channels
from eegd.plugin import Param, Plugin
from eegd.plugin_report import read_report

LABELS = ("Fz", "Cz", "Oz")


class Band(Plugin):
    """A plugin that says no to a band without width, and cannot stand 13."""

    positional = ("low", "high")
    low = Param(1.0, min=0, max=100, unit="Hz", doc="Lower edge")
    high = Param(40.0, min=0, max=100, unit="Hz", doc="Upper edge")
    on = Param(True)
    channels = Param("all", kind="channels")

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def changed(self, names: tuple[str, ...]) -> None:
        if self.low >= self.high:
            raise ParamError(f"low = {self.low:g} must be below high = {self.high:g}")
        if self.low == 13:
            raise ValueError("thirteen")
        self.told.append(names)


class HostOf:
    """What PluginLoop does, noted."""

    def __init__(self, plugin: Band) -> None:
        self.plugin = plugin
        self.n_resets = 0
        self.recorded: list[tuple[str, float | None, int]] = []

    def change(self, names: tuple[str, ...]) -> None:
        self.plugin.changed(names)

    def settle(self) -> None:
        pass

    def fail_change(self) -> None:
        self.n_resets += 1

    def record(self, label: str, value: float | None, frame: Any) -> None:
        self.recorded.append((label, value, frame.frame_number))


class Running:
    """A plugin whose frames come when the test says so."""

    def __init__(self) -> None:
        self.plugin = Band()
        self.plugin.info = SimpleNamespace(labels=LABELS)  # type: ignore[assignment]
        self.live = LiveParams(self.plugin)
        self.host = HostOf(self.plugin)
        self.answers: list[Any] = []
        self.n = 0

    def ask(self, operation: str, **request: object) -> None:
        self.live.operations[operation](request, self.answers.append)

    async def frame(self) -> Any:
        """One frame; returns the newest answer once it has gone out."""
        frame: Any = SimpleNamespace(frame_number=self.n, sample_index=10 * self.n)
        self.live.apply(frame, self.host)
        self.n += 1
        await asyncio.sleep(0)
        return self.answers[-1] if self.answers else None


def run(work: Any) -> Running:
    running = Running()
    asyncio.run(work(running))
    return running


def test_values_of_one_call_hold_together_from_the_frame_that_the_answer_names() -> None:
    async def work(r: Running) -> None:
        await r.frame()
        r.ask("set", values={"low": "8", "high": 13})
        assert (r.plugin.low, r.plugin.high, r.answers) == (1, 40, [])
        answer = await r.frame()
        assert (answer["ok"], answer["changed"]) == (True, ["low", "high"])
        assert (answer["frame_number"], answer["sample_index"]) == (1, 10)
        assert answer["values"] == {"low": 8.0, "high": 13.0, "on": True, "channels": "all"}
        assert (r.plugin.low, r.plugin.high, r.plugin.told) == (8, 13, [("low", "high")])

    r = run(work)
    assert r.host.recorded == [("low 1 → 8, high 40 → 13", None, 1)]
    assert r.live.given == {"low": 8.0, "high": 13.0}


def test_words_may_be_by_place_by_name_or_mixed() -> None:
    async def work(r: Running) -> None:
        r.ask("set", words=["2", "high:45"], values={"on": False})
        assert (await r.frame())["changed"] == ["low", "high", "on"]

    assert run(work).plugin.high == 45


def test_a_text_is_set_as_it_is_written() -> None:
    class Noted(Band):
        name = "noted"
        positional = ("note", "low")
        note = Param("", max=20)

    async def work(r: Running) -> None:
        r.plugin = Noted()
        r.plugin.info = SimpleNamespace(labels=LABELS)  # type: ignore[assignment]
        r.live, r.host = LiveParams(r.plugin), HostOf(r.plugin)
        r.ask("set", words=["12:30 = a, b", "low=2"])
        answer = await r.frame()
        assert answer["changed"] == ["note", "low"] and answer["values"]["note"] == "12:30 = a, b"
        for values in ({"note": "x\ny"}, {"note": 21 * "x"}, {"note": True}):
            with pytest.raises(ParamError, match="a text of up to 20 characters"):
                r.ask("set", values=values)
        r.ask("set", values={"note": 17})
        assert (await r.frame())["values"]["note"] == "17"

    r = run(work)
    assert r.host.recorded == [("note empty → 12:30 = a, b, low 1 → 2", None, 0), ("note 12:30 = a, b → 17", None, 1)]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"values": {"low": 8, "high": 999}}, "high = 999: a number from 0 to 100 Hz"),
        ({"values": {"low": 8, "colour": 1}}, "no parameter 'colour'; there are: low, high, on, channels"),
        ({"values": {"low": None}}, "low = None: a number"),
        ({"values": {"low": 10**400}}, "low = 1000"),
        ({"values": {"low": float("nan")}}, "low = nan"),
        ({"values": {"low": [[]]}}, r"low = \[\[\]\]"),
        ({"values": {"on": 1}}, "on = 1: true or false"),
        ({"values": {"low": 8}, "words": ["9"]}, "low is given twice"),
        ({"words": ["1", "2", "3"]}, "'3'"),
        ({}, "nothing to set; its parameters: low, high, on, channels"),
    ],
)
def test_a_request_with_one_bad_value_is_refused_whole_and_at_once(request_: Any, reason: str) -> None:
    async def work(r: Running) -> None:
        with pytest.raises(ParamError, match=reason):
            r.ask("set", **request_)
        await r.frame()

    r = run(work)
    assert (r.plugin.low, r.plugin.told, r.answers, r.live.given) == (1, [], [], {})


def test_what_could_not_be_kept_over_a_restart_is_refused() -> None:
    class Wide(Band):
        name = "wide"
        note = Param("", max=5000)
        count = Param(0)
        weights = Param((1.0,))

    async def work(r: Running) -> None:
        r.plugin = Wide()
        r.plugin.info = SimpleNamespace(labels=LABELS)  # type: ignore[assignment]
        r.live, r.host = LiveParams(r.plugin), HostOf(r.plugin)
        bad: dict[str, object] = {"note": 401 * "x", "count": 10**400, "weights": [0.125] * 20_000}
        for name, value in bad.items():
            with pytest.raises(ParamError, match="while it runs"):
                r.ask("set", values={name: value})
        good = {"note": 400 * "x", "count": -(2**63), "weights": [0.5, 0.25]}
        r.ask("set", values=good)
        assert (await r.frame())["ok"] is True
        kept = read_report(json.dumps({"set": r.live.given}))["set"]
        assert kept == good

    run(work)


@pytest.mark.parametrize("request_", [{"values": []}, {"words": "low"}, {"words": [1]}, {"words": ["1"] * 257}])
def test_a_request_of_another_form_is_against_the_protocol(request_: Any) -> None:
    async def work(r: Running) -> None:
        with pytest.raises(ProtocolError):
            r.ask("set", **request_)

    run(work)


def test_the_event_of_a_change_has_a_value_only_where_that_is_a_number() -> None:
    async def work(r: Running) -> None:
        for values in ({"on": False}, {"low": 9}):
            r.ask("set", values=values)
            await r.frame()

    assert run(work).host.recorded == [("on true → false", None, 0), ("low 1 → 9", 9.0, 1)]


def test_a_plugin_that_says_no_keeps_its_old_values_and_its_state() -> None:
    async def work(r: Running) -> None:
        r.ask("set", values={"low": 50})
        assert await r.frame() == {"ok": False, "error": "band: low = 50 must be below high = 40"}

    r = run(work)
    assert (r.plugin.low, r.host.n_resets, r.live.given) == (1, 0, {})


def test_a_plugin_that_raises_on_a_change_has_its_old_values_and_is_reset() -> None:
    async def work(r: Running) -> None:
        r.ask("set", values={"low": 13})
        answer = await r.frame()
        assert answer["error"].startswith("band: ValueError on a change of low: thirteen; the old values hold again")

    r = run(work)
    assert (r.plugin.low, r.host.n_resets, r.host.recorded) == (1, 1, [])


def test_a_selection_of_channels_is_resolved_anew_and_an_unknown_label_refused() -> None:
    async def work(r: Running) -> None:
        r.ask("set", values={"channels": "Oz,Fz"})
        assert (await r.frame())["values"]["channels"] == ["Oz", "Fz"]
        assert list(r.plugin.channels) == ["Oz", "Fz"]
        r.ask("set", values={"channels": "T9", "low": 3})
        assert "no channel T9; the input has Fz, Cz, Oz" in (await r.frame())["error"]
        assert (list(r.plugin.channels), r.plugin.low) == (["Oz", "Fz"], 1)

    run(work)


def test_the_selection_of_channels_that_holds_already_changes_nothing() -> None:
    async def work(r: Running) -> None:
        resolve_channels(r.plugin, LABELS)
        r.ask("set", values={"channels": "all"})
        assert (await r.frame())["changed"] == []

    assert run(work).plugin.told == []


def test_of_several_changes_each_has_a_frame_of_its_own() -> None:
    async def work(r: Running) -> None:
        for low in (2, 3, 4):
            r.ask("set", values={"low": low})
        frames = [(await r.frame())["frame_number"] for _ in range(3)]
        assert frames == [0, 1, 2]

    assert run(work).plugin.low == 4


def test_the_same_value_again_is_acknowledged_but_changes_nothing() -> None:
    async def work(r: Running) -> None:
        r.ask("set", values={"low": 1})
        answer = await r.frame()
        assert (answer["changed"], answer["frame_number"]) == ([], 0)

    r = run(work)
    assert (r.plugin.told, r.host.recorded) == ([], [])


def test_without_frames_the_answer_says_pending_and_the_change_holds_from_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_module, "PENDING_S", 0.0)

    async def work(r: Running) -> None:
        r.ask("set", values={"low": 5})
        while not r.answers:
            await asyncio.sleep(0)
        assert (r.answers[0]["ok"], r.answers[0]["pending"], r.answers[0]["frame_number"]) == (True, True, None)
        await r.frame()
        assert len(r.answers) == 1

    assert run(work).plugin.low == 5


def test_a_change_that_was_pending_and_is_refused_then_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_module, "PENDING_S", 0.0)

    async def work(r: Running) -> None:
        r.ask("set", values={"low": 50})
        while not r.answers:
            await asyncio.sleep(0)
        await r.frame()
        assert len(r.answers) == 1

    assert run(work).plugin.low == 1
    assert "a change that waited for a frame is refused: band: low = 50 must be below high = 40" in caplog.text


def test_a_crowd_of_changes_that_wait_is_refused() -> None:
    async def work(r: Running) -> None:
        for _ in range(live_module.MAX_WAITING):
            r.ask("set", values={"low": 5})
        with pytest.raises(ParamError, match="64 changes wait for a frame"):
            r.ask("set", values={"low": 6})

    run(work)


def test_params_tells_values_and_declarations() -> None:
    async def work(r: Running) -> None:
        r.ask("params")

    (answer,) = run(work).answers
    assert (answer["plugin"], answer["values"]["channels"]) == ("Band", "all")
    assert [row["name"] for row in answer["declared"]] == ["low", "high", "on", "channels"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["low", "on", "Oz"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["low", "high", "on", "x"]), inner),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional={"values": JSON, "words": JSON, "op": JSON}))
def test_whatever_is_asked_is_refused_or_becomes_a_change_that_holds(request_: dict[str, Any]) -> None:
    async def work(r: Running) -> None:
        try:
            r.live.operations["set"](request_, r.answers.append)
        except (ParamError, ProtocolError):
            assert not r.answers
            return
        answer = await r.frame()
        if answer["ok"]:
            assert (answer["frame_number"], answer["values"]["low"]) == (0, r.plugin.low)
            json.dumps(answer, allow_nan=False)

    r = run(work)
    assert r.plugin.low < r.plugin.high


@pytest.mark.parametrize(("value", "unit", "text"), [("off", "Hz", "off"), (0.1, "s", "0.1 s"), ([1, 2], "", "1,2")])
def test_a_value_is_shown_with_its_unit_where_it_is_a_number(value: object, unit: str, text: str) -> None:
    assert text_of(value, unit) == text
