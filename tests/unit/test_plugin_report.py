"""What a plugin process may report, and what is passed over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegd.packet import MAX_PACKET_BYTES
from eegd.plugin_report import read_report

WHOLE: dict[str, Any] = {
    "state": "running",
    "busy": {"method": "process", "frame": 7, "seconds": 0.5},
    "input": "raw",
    "frames_in": 3,
    "frames_out": 2,
    "errors": 1,
    "missed": 0,
    "overruns": 0,
    "set": {"low": 1.5, "channels": ["O1", "O2"]},
    "readers": ["view"],
    "events": {"posted": 1, "dropped": 0},
}


def test_a_whole_report_is_taken_as_it_is() -> None:
    assert read_report(json.dumps(WHOLE)) == WHOLE
    assert read_report(json.dumps({**WHOLE, "busy": None}))["busy"] is None


@pytest.mark.parametrize(
    "line",
    ["", "nonsense", "[1]", "7", '"text"', "[" * 100_000, '{"frames_in": ' * 50_000, "\x00\ufffd", "9" * 5000],
)
def test_what_is_no_report_says_nothing(line: str) -> None:
    assert read_report(line) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("name", '"another"'),
        ("pid", "1"),
        ("last_error", '"none"'),
        ("state", "5"),
        ("frames_in", "NaN"),
        ("frames_in", "-1"),
        ("frames_in", "true"),
        ("missed", "1e999"),
        ("overruns", f"1{'0' * 30}"),
        ("input", "null"),
        ("set", '{"low": Infinity}'),
        ("set", '{"low": {"a": 1}}'),
        ("readers", '"view"'),
        ("readers", "[7]"),
        ("events", '{"posted": NaN}'),
        ("busy", "7"),
        ("busy", '{"method": "process", "frame": 1, "seconds": NaN}'),
        ("busy", '{"method": ["process"], "frame": 1, "seconds": 1}'),
    ],
)
def test_a_fact_that_cannot_be_is_left_out_and_the_others_count(name: str, text: str) -> None:
    assert read_report(f'{{"{name}": {text}, "errors": 4}}') == {"errors": 4}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(sorted(WHOLE)) | st.text(), x),
    )
)
def test_whatever_is_reported_can_be_handed_on_in_the_status(value: Any) -> None:
    facts = read_report(json.dumps(value))
    assert facts.keys() <= WHOLE.keys()
    assert len(json.dumps(facts, allow_nan=False)) < MAX_PACKET_BYTES
