"""The sliding window: the newest samples at every step, never over a gap, and no copy per step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eegd.frame import StreamInfo
from eegd.plugin import Plugin
from eegd.window import SlidingWindow


@dataclass(slots=True)
class Samples:
    """As much of a frame as a window reads."""

    data: NDArray[np.float32]
    sample_index: int

    @classmethod
    def at(cls, index: int, n: int, n_channels: int = 1) -> Samples:
        """Every sample is its own index, plus 0.25 in the second channel."""
        rows = [np.arange(index, index + n) + 0.25 * row for row in range(n_channels)]
        return cls(np.array(rows, np.float32), index)


@given(
    st.integers(1, 40),
    st.integers(1, 60),
    st.lists(st.integers(1, 70), min_size=1, max_size=30),
)
def test_a_sliding_window_holds_the_newest_samples_at_every_step(
    n_window: int, n_step: int, lengths: list[int]
) -> None:
    sliding = SlidingWindow(1, n_window, n_step)
    begins, index = [], 100
    for n in lengths:
        for window in sliding.push(Samples.at(index, n)):
            np.testing.assert_array_equal(window.data[0], window.sample_index + np.arange(n_window))
            begins.append(window.sample_index)
        index += n
    assert begins == list(range(100, index - n_window + 1, n_step))


@given(
    st.integers(1, 40),
    st.integers(1, 60),
    st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 7]), st.integers(1, 70)), min_size=1, max_size=30),
)
def test_after_a_gap_the_window_fills_anew(n_window: int, n_step: int, pieces: list[tuple[int, int]]) -> None:
    sliding = SlidingWindow(1, n_window, n_step)
    begins, expected, index, since = [], [], 0, 0
    for gap, n in pieces:
        index += gap
        since = index if gap else since
        for window in sliding.push(Samples.at(index, n)):
            np.testing.assert_array_equal(window.data[0], window.sample_index + np.arange(n_window))
            begins.append(window.sample_index)
        expected += [b for b in range(since, index + n - n_window + 1, n_step) if b + n_window > index]
        index += n
    assert begins == expected


def test_every_position_is_a_view_of_one_memory_and_its_channels_are_contiguous() -> None:
    sliding = SlidingWindow(2, 500, 25)
    seen: list[NDArray[np.float32]] = []
    for index in range(0, 5000, 10):
        for window in sliding.push(Samples.at(index, 10, 2)):
            assert window.data.shape == (2, 500)
            assert window.data.strides[1] == 4
            assert window.data[1, -1] == window.sample_index + 499.25
            seen.append(window.data)
    assert len(seen) == (5000 - 500) // 25 + 1
    assert {id(data.base) for data in seen} == {id(seen[0].base)}
    assert not any(data.flags.owndata for data in seen)


def test_a_sample_is_copied_twice_at_most_however_small_the_step() -> None:
    sliding = SlidingWindow(1, 500, 1)
    copied = 0
    append = sliding._append

    def count(data: NDArray[np.float32]) -> None:
        nonlocal copied
        before = sliding._fill
        append(data)
        copied += data.shape[1] + (sliding._fill - data.shape[1] if sliding._fill <= before else 0)

    sliding._append = count  # type: ignore[method-assign]
    for index in range(0, 100_000, 10):
        list(sliding.push(Samples.at(index, 10)))
    assert copied <= 2 * 100_000


def test_lengths_in_seconds_become_whole_samples_of_the_input() -> None:
    plugin = Plugin()
    plugin.info = StreamInfo("raw", "raw", 1, 250.0, ("a", "b"), ("µV", "µV"), 1, 0, (), (), (1, 1), {})
    sliding = plugin.window(seconds=2, step=0.1)
    assert (sliding.n_samples, sliding.n_step) == (500, 25)
    shortest = plugin.window(seconds=0, step=0)
    assert (shortest.n_samples, shortest.n_step) == (1, 1)


def test_a_window_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="window of 0 samples, step of 1: both are at least 1"):
        SlidingWindow(1, 0, 1)
