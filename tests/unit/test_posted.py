"""Events from outside: what is refused, and which sample and time the others get."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegd.errors import ProtocolError
from eegd.event_kinds import DAEMON_KINDS, check_posted_kind
from eegd.events import EventPublisher
from eegd.posted import PostedEvents
from eegd.sample_clock import NoSample, SampleClock

NOW_NS = 5_000_000_000
FIT = SampleClock(1000, 4_998_000_000, 4e6, 500.0, 1_000_000_000)


class Publisher:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def post(self, kind: str, label: str, **facts: Any) -> dict[str, Any]:
        self.events.append({"number": len(self.events), "kind": kind, "label": label, **facts})
        return self.events[-1]


class Raw:
    def __init__(self, stream: str, clock: SampleClock | None = FIT, virtual: bool = False) -> None:
        self.stream, self.virtual, self._clock = stream, virtual, clock

    def sample_clock(self) -> SampleClock:
        if self._clock is None:
            raise NoSample(f"{self.stream} has no samples now")
        return self._clock


def post(*streams: Raw, **event: Any) -> dict[str, Any]:
    posted = PostedEvents(cast(EventPublisher, Publisher()), streams or (Raw("raw"),), lambda: NOW_NS)
    return cast(dict[str, Any], posted.post({"op": "post", "event": {"label": "tone", **event}})["event"])


def where(event: dict[str, Any]) -> tuple[object, ...]:
    return tuple(event[name] for name in ("sample_index", "fraction", "time_ns", "uncertainty_ns"))


def test_a_time_becomes_the_sample_at_it() -> None:
    assert where(post(time_ns=4_999_000_000)) == (1000, 0.25, 4_999_000_000, None)
    assert where(post(time_ns=4_989_000_000, uncertainty_ns=2000)) == (997, 0.75, 4_989_000_000, 2509)


def test_without_a_time_it_is_now() -> None:
    assert where(post()) == (1000, 0.5, NOW_NS, None)
    asked = post(now_ns=4_999_999_000)
    assert where(asked)[2:] == (4_999_999_000, 502), "when the sender asked, which it knows"


def test_a_sample_becomes_its_time() -> None:
    assert where(post(sample_index=1001, fraction=0.5)) == (1001, 0.5, 5_004_000_000, 506)
    assert where(post(sample_index=250)) == (250, 0.0, 1_998_000_000, 3500), "also one that is long gone"
    assert where(post(sample_index=9999)) == (9999, 0.0, NOW_NS, None), "not one that is far ahead"
    assert where(post(sample_index=7, time_ns=99)) == (7, 0.0, 99, None), "and what the sender says stays"


def test_a_time_that_the_fit_does_not_cover_keeps_its_time_and_says_why_there_is_no_sample() -> None:
    late = post(time_ns=NOW_NS + 10**12)
    assert where(late) == (None, 0.0, NOW_NS + 10**12, None)
    assert "at most 1 s are foretold" in late["no_sample"]


def test_while_there_are_no_samples_an_event_has_its_time_alone() -> None:
    event = post(Raw("raw", None), now_ns=NOW_NS - 5)
    assert where(event) == (None, 0.0, NOW_NS - 5, None) and event["no_sample"] == "raw has no samples now"
    assert where(post(Raw("raw", None), sample_index=3)) == (3, 0.0, NOW_NS, None)


def test_of_several_clocks_the_named_stream_counts_else_raw() -> None:
    other = SampleClock(9, NOW_NS, 1e6, 0.0, 0)
    both = (Raw("raw"), Raw("raw2", other))
    assert [post(*both, **more)["sample_index"] for more in ({}, {"stream": "raw2"}, {"source": "raw2"})] == [
        1000,
        9,
        9,
    ]
    assert post(*both, source="spectra")["stream"] == "raw"


def test_a_time_on_a_stream_that_is_not_raw_is_found_on_raw() -> None:
    assert post(stream="alpha", time_ns=4_998_000_000)["stream"] == "raw"


def test_facts_of_the_sender_are_handed_on() -> None:
    event = post(values=["low", 1.5], frame_number=7)
    assert (event["values"], event["frame_number"]) == (["low", 1.5], 7)


def test_on_a_virtual_clock_now_is_the_latest_sample() -> None:
    assert where(post(Raw("raw", virtual=True), now_ns=99)) == (1000, 0.0, FIT.time_ns, None)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "of nothing": ({"label": ""}, "label: a text of 1 to 400 characters"),
    "of too much": ({"label": "x" * 401}, "label has 401 characters; at most 400"),
    "of the daemon": ({"kind": "overrun"}, "kind 'overrun': only the daemon makes these"),
    "of no kind": ({"kind": "Marker!"}, "kind 'Marker!': short lower-case words"),
    "a key of ours": ({"number": 3}, "key 'number': letters, digits and _, and none of number"),
    "a word of Python": ({"self": 3}, "key 'self': letters"),
    "an odd key": ({"Wo rum": 3}, "key 'Wo rum': letters"),
    "no plain fact": ({"more": {"a": 1}}, "more {'a': 1}: a number, true, false, a text"),
    "too many facts": ({f"list{n}": ["x" * 400] * 3 for n in range(4)}, "more than 4096 bytes"),
    "text value": ({"value": "7"}, "'value' is '7', wanted int or float"),
    "true value": ({"value": True}, "'value' is True, wanted int or float"),
    "infinite": ({"value": float("inf")}, "value inf: a finite number"),
    "vast": ({"value": 10**400}, "a finite number"),
    "fraction": ({"sample_index": 3, "fraction": 1}, "fraction 1: of a sample period, 0 up to but not 1"),
    "lone fraction": ({"fraction": 0.5}, "fraction: goes with a sample_index"),
    "negative": ({"sample_index": -1}, "sample_index -1: a whole number of 64 bits, not negative"),
    "time": ({"time_ns": 2**63}, "time_ns 9223372036854775808: a whole number of 64 bits"),
    "stream": ({"stream": "raw2", "sample_index": 1}, "stream 'raw2': one of raw"),
    "float time": ({"time_ns": 1.5}, "'time_ns' is 1.5, wanted int"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_event_is_refused_with_what_is_allowed(name: str) -> None:
    event, text = REFUSED[name]
    with pytest.raises(ProtocolError) as refused:
        post(**event)
    assert text in str(refused.value)


def test_a_request_without_an_event_is_refused_with_an_example() -> None:
    with pytest.raises(ProtocolError, match='"op": "post", "event"'):
        PostedEvents(cast(EventPublisher, Publisher()), (Raw("raw"),)).post({"op": "post"})


def test_every_kind_of_the_daemon_is_refused_and_those_of_programs_are_taken() -> None:
    for kind in DAEMON_KINDS:
        with pytest.raises(ValueError, match="only the daemon"):
            check_posted_kind(kind)
    for kind in ("marker", "detection", "parameter", "plugin", "eye blink"):
        assert check_posted_kind(kind) == kind


def test_a_label_has_no_control_characters() -> None:
    assert post(label="a\x1b[2J\nb")["label"] == "a [2J b"


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.none())


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "kind",
                "label",
                "value",
                "sample_index",
                "fraction",
                "time_ns",
                "now_ns",
                "source",
                "stream",
                "uncertainty_ns",
            ]
        ),
        json_values,
    )
)
def test_any_event_is_taken_or_refused_with_protocol_error(event: dict[str, Any]) -> None:
    try:
        taken = post(**event)
    except ProtocolError:
        return
    assert 0 <= taken["fraction"] < 1
