"""Trigger words: every one once, at its time, and never one that was only half there."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegd.edge_order import Edge, EdgeOrder
from eegd.trigger_word import STROBE, Word, WordAssembler

SETTLE_NS = 100_000


def edges_of(words: Sequence[tuple[int, int, Sequence[int]]], n_lines: int, before: int = 0) -> list[Edge]:
    """Edges of (time, value, skew of each line): a line that changes does so within its skew."""
    edges: list[Edge] = []
    for at_ns, value, skews in words:
        for line in range(n_lines):
            if (before ^ value) >> line & 1:
                edges.append(Edge(at_ns + skews[line], 0, line, bool(value >> line & 1)))
        before = value
    return sorted(edges)


def words_of(edges: Iterable[Edge], assembler: WordAssembler, end_ns: int) -> list[Word]:
    found = [assembler.edge(edge.line, edge.rising, edge.time_ns) for edge in edges]
    return [word for word in (*found, assembler.advance(end_ns)) if word is not None]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_of_100_000_random_words_with_skew_each_is_seen_once(seed: int) -> None:
    draw = random.Random(seed)
    sent: list[tuple[int, int, list[int]]] = []
    at_ns, value = 10**9, 0
    for _ in range(100_000):
        at_ns += draw.randint(200_000, 2_000_000)
        value = draw.choice([v for v in (draw.randrange(256), draw.randrange(256), value ^ 1) if v != value])
        sent.append((at_ns, value, [draw.randint(1_000, 50_000) for _ in range(8)]))
    edges = edges_of(sent, 8)
    found = words_of(edges, WordAssembler(SETTLE_NS), at_ns + 10**9)
    assert [word.value for word in found] == [value for _, value, _ in sent]
    assert all(
        at < word.time_ns <= at + 50_000 and word.skew_ns < 50_000 for word, (at, _, _) in zip(found, sent, strict=True)
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(150_001, 400_000),
            st.integers(0, 65_535),
            st.lists(st.integers(0, 50_000), min_size=16, max_size=16),
        ),
        max_size=40,
    ),
    st.integers(0, 65_535),
    st.randoms(use_true_random=False),
)
def test_only_words_that_were_sent_appear_even_where_edges_overtake_each_other(
    changes: list[tuple[int, int, list[int]]], before: int, draw: random.Random
) -> None:
    at_ns, sent = 0, []
    for step_ns, value, skews in changes:
        at_ns += step_ns
        sent.append((at_ns, value, skews))
    edges = [
        Edge(edge.time_ns, seq, edge.line, edge.rising) for seq, edge in enumerate(edges_of(sent, 16, before), start=1)
    ]
    assembler, order, found = WordAssembler(SETTLE_NS, levels=before), EdgeOrder(), []
    arrivals = sorted(edges, key=lambda edge: edge.time_ns + draw.randint(0, 1_000_000))
    for edge in arrivals:
        order.put(edge)
        for known in order.take(max(0, edge.time_ns - 1_000_000)):
            found.append(assembler.edge(known.line, known.rising, known.time_ns))
    found += [assembler.edge(edge.line, edge.rising, edge.time_ns) for edge in order.take(2**62)]
    found.append(assembler.advance(2**62))
    values = [before, *(value for _, value, _ in sent)]
    distinct = [value for last, value in itertools.pairwise(values) if value != last]
    assert [word.value for word in found if word is not None] == distinct
    assert order.n_lost == order.n_late == 0


def test_a_code_that_is_only_half_changed_is_never_seen() -> None:
    assembler = WordAssembler(SETTLE_NS)
    assert assembler.edge(0, True, 1_000) is None
    assert assembler.advance(100_999) is None, "one ns before it has settled"
    assert assembler.edge(1, True, 100_999) is None
    assert assembler.due_ns == 200_999
    assert assembler.advance(200_999) == Word(3, 1_000, 99_999)
    assert not assembler.due_ns
    assert assembler.advance(10**9) is None


def test_a_pulse_that_is_over_before_it_settled_is_no_word() -> None:
    assembler = WordAssembler(SETTLE_NS)
    for time_ns, rising in ((0, True), (30_000, False)):
        assert assembler.edge(4, rising, time_ns) is None
    assert assembler.advance(10**9) is None and assembler.n_pulses == 1


def test_an_edge_that_comes_after_the_settle_time_tells_the_word_before_it() -> None:
    assembler = WordAssembler(SETTLE_NS)
    assembler.edge(0, True, 0)
    assert assembler.edge(0, False, 500_000) == Word(1, 0, 0)
    assert assembler.advance(600_000) == Word(0, 500_000, 0)


def test_each_strobe_is_a_word_also_when_the_code_is_the_same() -> None:
    assembler = WordAssembler(SETTLE_NS, strobed=True)
    edges = [(0, True, 0), (2, True, 20_000), (STROBE, True, 30_000), (STROBE, True, 1_030_000)]
    found = [assembler.edge(*edge) for edge in edges] + [assembler.advance(2_000_000)]
    assert [word for word in found if word] == [Word(5, 30_000, 0), Word(5, 1_030_000, 0)]


def test_a_line_that_is_stamped_after_its_strobe_still_belongs_to_it() -> None:
    assembler = WordAssembler(SETTLE_NS, strobed=True)
    for edge in ((STROBE, True, 0), (3, True, 4_000)):
        assert assembler.edge(*edge) is None
    assert assembler.advance(104_000) == Word(8, 0, 4_000)
    assert assembler.edge(3, False, 300_000) is None and assembler.advance(10**9) is None, "no strobe, no word"


def test_strobes_that_follow_too_soon_are_counted() -> None:
    assembler = WordAssembler(SETTLE_NS, strobed=True)
    assembler.edge(STROBE, True, 0)
    assert assembler.edge(STROBE, True, 50_000) is None and assembler.n_unsettled == 1
    assert assembler.advance(150_000) == Word(0, 50_000, 0)


def test_after_lost_edges_the_levels_are_the_next_word() -> None:
    assembler = WordAssembler(SETTLE_NS)
    assembler.edge(0, True, 0)
    assembler.resync(6, 40_000)
    assert assembler.advance(139_999) is None and assembler.advance(140_000) == Word(6, 40_000, 0)
    assembler.resync(6, 500_000)
    assert assembler.due_ns is None, "nothing has changed meanwhile"


def test_lost_edges_are_counted_once_and_overtaking_is_no_loss() -> None:
    order = EdgeOrder()
    for seq in (1, 3, 2, 7):
        order.put(Edge(1000 * seq, seq, 0, True))
    assert [edge.seq for edge in order.take(3000)] == [1, 2, 3] and order.newly_lost() == 0
    assert [edge.seq for edge in order.take(9000)] == [7]
    assert (order.newly_lost(), order.newly_lost(), order.n_lost) == (3, 0, 3)
    order.put(Edge(4000, 4, 0, True))
    assert len(list(order.take(9000))) == 1 and order.n_late == 1


def test_an_edge_that_came_late_after_all_hides_no_later_loss() -> None:
    order = EdgeOrder()
    order.put(Edge(2000, 2, 0, True))
    assert len(list(order.take(9000))) == 1 and order.newly_lost() == 1
    order.put(Edge(1000, 1, 0, True))
    assert len(list(order.take(9000))) == 1 and order.newly_lost() == 0
    order.put(Edge(10_000, 4, 0, True))
    assert len(list(order.take(19_000))) == 1 and order.newly_lost() == 1
