"""Terms of attaching: defaults, bounds, and what a peer gets to hear."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegd.errors import ProtocolError
from eegd.terms import Terms, read_terms


def terms(frames_per_s: float = 250.0, **asked: Any) -> Terms:
    return read_terms({"protocol": 1, **asked}, frames_per_s)


def test_a_reader_that_asks_for_nothing_gets_half_a_second_in_order() -> None:
    assert terms() == Terms("reader", "queue", "zeromq", 125)


@pytest.mark.parametrize(("frames_per_s", "depth"), [(0.1, 4), (10.0, 5), (1000.0, 500), (1e6, 16384)])
def test_the_default_depth_is_half_a_second_but_at_least_four(frames_per_s: float, depth: int) -> None:
    assert terms(frames_per_s).depth == depth


@pytest.mark.parametrize(("seconds", "depth"), [(2, 500), (0.5, 125), (1e-9, 2), (86399, 16384)])
def test_depth_can_be_given_in_seconds(seconds: float, depth: int) -> None:
    assert terms(depth_s=seconds).depth == depth


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"depth": 1}, "2 to 16384"),
        ({"depth": 16385}, "2 to 16384"),
        ({"depth": True}, "'depth'"),
        ({"depth": 4, "depth_s": 1}, "exclude"),
        ({"depth_s": 0}, "more than 0"),
        ({"depth_s": float("nan")}, "more than 0"),
        ({"depth_s": 10**400}, "less than a day"),
        ({"policy": "fast"}, "one of queue, latest, lossless"),
        ({"lane": "udp"}, "one of zeromq, direct"),
        ({"protocol": 2}, "speaks 1"),
        ({"name": 7}, "'name'"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(asked: dict[str, Any], text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        terms(**asked)


def test_a_name_cannot_upset_a_terminal() -> None:
    assert terms(name="a\x1b[31m\n" + "x" * 100).name == "a?[31m?" + "x" * 57


@given(st.dictionaries(st.sampled_from(["protocol", "name", "policy", "lane", "depth", "depth_s"]), st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=80), st.lists(st.integers(), max_size=2)
)))  # fmt: skip
def test_any_request_gives_terms_within_bounds_or_a_protocol_error(packet: dict[str, Any]) -> None:
    try:
        got = read_terms(packet, 250.0)
    except ProtocolError:
        return
    assert 2 <= got.depth <= 16384
    assert len(got.name) <= 64
