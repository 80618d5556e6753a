"""Crossings as the C core finds them, against the same written down in Python."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegd.detect import EDGES, Change, Changes, Crossing, change_config

RATE = 250.0


def reference(
    values: list[float], threshold: float, hysteresis: float, edge: str, corner_hz: float
) -> list[tuple[int, str, float]]:
    """(index, edge, value) of each crossing that counts, by the words of native/change.h."""
    share = -math.expm1(-2 * math.pi * corner_hz / RATE)
    settle = math.ceil(1 / share) if share else 0
    side, mean, n_finite, crossings = "unknown", 0.0, 0, []
    for index, raw in enumerate(values):
        if not math.isfinite(raw):
            continue
        if share:
            mean += max(share, 1 / (n_finite + 1) if n_finite < settle else 0) * (raw - mean)
        value = raw - mean
        n_finite += 1
        if n_finite <= settle:
            continue
        if value >= threshold + hysteresis / 2:
            now = "above"
        elif value < threshold - hysteresis / 2:
            now = "below"
        else:
            continue
        turned = {("below", "above"): "rising", ("above", "below"): "falling"}.get((side, now))
        if turned and edge in (turned, "both"):
            crossings.append((index, turned, value))
        side = now
    return crossings


def found(values: list[float], change: Change, block: int) -> list[tuple[int, str, float]]:
    crossings = []
    for first in range(0, len(values), block):
        for one in change.run(np.array(values[first : first + block], np.float32)):
            crossings.append((first + one.index, one.edge, one.value))
    return crossings


# Values and levels on a coarse grid, so that values often lie exactly on a level.
GRID = st.integers(-40, 40).map(lambda n: n / 4)


@settings(max_examples=500, deadline=None)
@given(
    values=st.lists(GRID | st.sampled_from([math.nan, math.inf, -math.inf]), max_size=200),
    threshold=GRID,
    hysteresis=st.integers(0, 20).map(lambda n: n / 2),
    edge=st.sampled_from(sorted(EDGES)),
    corner_hz=st.sampled_from([0.0, 0.0, 1.0, 20.0, 60.0]),
    offset=st.sampled_from([0.0, 60_000.0]),
    block=st.integers(1, 50),
)
def test_crossings_are_exactly_those_of_the_reference(
    values: list[float],
    threshold: float,
    hysteresis: float,
    edge: str,
    corner_hz: float,
    offset: float,
    block: int,
) -> None:
    shifted = [value + (offset if corner_hz else 0) for value in values]
    change = Change(threshold, hysteresis=hysteresis, edge=edge, dc_removal_hz=corner_hz, rate_sps=RATE)
    assert found(shifted, change, block) == reference(shifted, threshold, hysteresis, edge, corner_hz)


def test_a_random_walk_of_a_million_samples_has_no_duplicate() -> None:
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.normal(size=1_000_000)).astype(np.float32) + rng.normal(size=1_000_000).astype(np.float32)
    walk -= np.float32(np.median(walk))
    change = Change(0.0, hysteresis=2.0, edge="both", rate_sps=RATE)
    crossings = [one for block in np.array_split(walk, 977) for one in change.run(block)]
    assert len(crossings) > 100
    assert all(first.rising != then.rising for first, then in pairwise(crossings))
    assert all(one.value >= 1 if one.rising else one.value < -1 for one in crossings)
    plain = [float(value) for value in walk[:100_000]]
    again = Change(0.0, hysteresis=2.0, edge="both", rate_sps=RATE)
    assert found(plain, again, 400) == reference(plain, 0.0, 2.0, "both", 0.0)


def test_after_a_gap_nothing_is_told_until_a_side_is_known() -> None:
    change = Change(0.0, rate_sps=RATE)
    assert change.run(np.array([-1, -1], np.float32)) == []
    change.settle()
    assert change.run(np.array([5, 5], np.float32)) == []
    assert [one.index for one in change.run(np.array([-1, 5], np.float32))] == [1]


def test_an_offset_of_60_mv_gives_no_crossing() -> None:
    time_s = np.arange(5000) / RATE
    signal = (60_000 + 20 * np.sin(2 * np.pi * 10 * time_s)).astype(np.float32)
    change = Change(50.0, hysteresis=10.0, edge="both", dc_removal_hz=0.5, rate_sps=RATE)
    assert change.run(signal) == []
    blink = signal + np.where((time_s > 10) & (time_s < 10.2), np.float32(150), np.float32(0))
    again = Change(50.0, hysteresis=10.0, edge="rising", dc_removal_hz=0.5, rate_sps=RATE)
    assert [one.index for one in again.run(blink.astype(np.float32))] == [2501]


def test_rows_of_any_stride_are_taken() -> None:
    values = np.zeros((10, 4), np.float32)
    values[5:, 2] = 9
    assert [one.index for one in Change(5.0, rate_sps=RATE).run(values[:, 2])] == [5]


@given(
    st.lists(st.integers(-3, 3), min_size=12, max_size=60).map(lambda numbers: numbers[: len(numbers) // 4 * 4]),
    st.lists(st.integers(1, 5), max_size=20),
)
@settings(deadline=None)
def test_rows_at_once_cross_as_each_does_alone_however_the_block_is_cut(numbers: list[int], lengths: list[int]) -> None:
    block = np.array(numbers, np.float32).reshape(4, -1)
    wanted = {"hysteresis": 1.0, "edge": "both", "rate_sps": RATE}
    rows = (2, 0, 3)
    expected = {
        (row, one.index, one.rising, one.value)
        for row in rows
        for one in Change(0.5, **wanted).run(block[row])  # type: ignore[arg-type]
    }
    together, found, at = Changes(rows, 0.5, **wanted), set(), 0  # type: ignore[arg-type]
    for length in [*lengths, block.shape[1]]:
        part = np.asfortranarray(block)[:, at : at + length]  # samples of a row do not lie side by side
        found |= {(one.row, at + one.index, one.rising, one.value) for one in together.run(part)}
        at += length
    assert found == expected


def test_rows_begin_anew_after_a_gap_and_a_block_without_them_is_refused() -> None:
    changes = Changes((1,), 0.0, hysteresis=2.0, rate_sps=RATE)
    low, high = np.full((2, 1), -5, np.float32), np.full((2, 1), 5, np.float32)
    assert changes.run(low) == []
    changes.settle()
    assert changes.run(high) == []
    assert changes.run(low) == []
    assert changes.run(high) == [Crossing(0, True, 5.0, 1)]
    assert Changes((), 0.0, rate_sps=RATE).run(high) == []
    with pytest.raises(ValueError, match="block of 1 rows: row 1 is looked at"):
        changes.run(high[:1])


def test_a_row_that_stays_goes_on_where_others_come_and_another_edge_is_wanted() -> None:
    changes = Changes((0, 1), 0.0, edge="rising", rate_sps=RATE)
    low, high = np.full((3, 1), -5, np.float32), np.full((3, 1), 5, np.float32)
    assert changes.run(high) == []
    changes.look_at((2, 1), "both")
    assert changes.run(low) == [Crossing(0, False, -5.0, 1)], "row 2 learns its side"
    assert [(one.row, one.rising) for one in changes.run(high)] == [(2, True), (1, True)]


def test_without_a_corner_nothing_is_removed() -> None:
    assert change_config(1.0, 0.0, "rising", 0.0, RATE)["dc_share"] == 0.0
    assert change_config(1.0, 0.0, "rising", 0.5, RATE)["settle"] == 81


def test_a_corner_next_to_nothing_never_settles() -> None:
    for corner_hz in (1e-15, 1e-18, 1e-300, 1e-307):
        change = Change(0.5, dc_removal_hz=corner_hz, rate_sps=16000)
        assert change.run(np.array([0, 1, 0, 1], np.float32)) == []
