"""Blocks hold exactly the samples asked for, and name every gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eegd.block import Block, BlockBuilder, Gap
from eegd.frame import StreamInfo


def info(stream_epoch: int = 1) -> StreamInfo:
    return StreamInfo("raw", "raw", stream_epoch, 250.0, ("Oz",), ("µV",), 4, 0, (), (), (), {})


@dataclass
class StandIn:
    """What a builder uses of a Frame."""

    info: StreamInfo
    sample_index: int
    n_samples: int
    lost_before: int = 0
    missed: int = 0

    def copy(self) -> NDArray[np.float32]:
        return np.arange(self.sample_index, self.sample_index + self.n_samples, dtype=np.float32)[None, :]

    def times_ns(self) -> NDArray[np.float64]:
        return 4e6 * np.arange(self.sample_index, self.sample_index + self.n_samples, dtype=np.float64)


def add(builder: BlockBuilder, *frames: StandIn) -> None:
    for frame in frames:
        builder.add(frame)  # type: ignore[arg-type]


def indices(block: Block) -> list[int]:
    assert block.data.shape == (1, len(block.sample_index))
    assert block.data[0].tolist() == block.sample_index.tolist()
    assert block.times_ns.tolist() == (4e6 * block.sample_index).tolist()
    return [int(index) for index in block.sample_index]


def test_a_block_has_just_the_samples_asked_for_and_the_rest_comes_next() -> None:
    builder, epoch = BlockBuilder(), info()
    add(builder, StandIn(epoch, 0, 4), StandIn(epoch, 4, 4))
    assert indices(builder.cut(5)) == [0, 1, 2, 3, 4]
    assert builder.n_samples == 3
    add(builder, StandIn(epoch, 8, 4))
    block = builder.cut(7)
    assert indices(block) == [5, 6, 7, 8, 9, 10, 11]
    assert block.is_contiguous


def test_a_gap_is_named_with_its_size_and_its_cause() -> None:
    builder, epoch = BlockBuilder(), info()
    add(builder, StandIn(epoch, 0, 2), StandIn(epoch, 5, 2, lost_before=3), StandIn(epoch, 9, 2, missed=1))
    add(builder, StandIn(epoch, 14, 2, lost_before=1, missed=1))
    assert builder.cut(8).gaps == (Gap(2, 3, "lost"), Gap(4, 2, "missed"), Gap(6, 3, "lost and missed"))


def test_a_gap_at_the_border_of_two_blocks_belongs_to_the_second() -> None:
    builder, epoch = BlockBuilder(), info()
    add(builder, StandIn(epoch, 0, 2), StandIn(epoch, 5, 2, lost_before=3))
    assert builder.cut(2).gaps == ()
    assert builder.cut(2).gaps == (Gap(0, 3, "lost"),)


def test_a_gap_is_seen_although_the_frame_before_it_was_cut_long_ago() -> None:
    builder, epoch = BlockBuilder(), info()
    add(builder, StandIn(epoch, 0, 2))
    builder.cut(2)
    add(builder, StandIn(epoch, 6, 2, missed=2))
    assert builder.cut(2).gaps == (Gap(0, 4, "missed"),)


def test_a_new_epoch_does_not_fit_and_begins_with_a_gap_that_cannot_be_counted() -> None:
    builder, first, second = BlockBuilder(), info(1), info(2)
    add(builder, StandIn(first, 100, 2))
    newer = StandIn(second, 0, 2)
    assert not builder.fits(newer)  # type: ignore[arg-type]
    assert builder.cut(10).info is first
    add(builder, newer)
    block = builder.cut(2)
    assert block.info is second
    assert block.gaps == (Gap(0, 0, "epoch"),)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=30),
    st.lists(st.integers(1, 20), min_size=1, max_size=50),
)
def test_blocks_of_any_length_hold_every_sample_once_and_every_gap_once(
    frames: list[tuple[int, int]], lengths: list[int]
) -> None:
    builder, epoch, index = BlockBuilder(), info(), 0
    wanted: list[int] = []
    jumps = {}
    for n_samples, lost in frames:
        if lost and wanted:
            jumps[index + lost] = lost
        index += lost
        add(builder, StandIn(epoch, index, n_samples, lost_before=lost))
        wanted += range(index, index + n_samples)
        index += n_samples
    got: list[int] = []
    seen = {}
    for length in lengths:
        if not builder.n_samples:
            break
        block = builder.cut(length)
        for gap in block.gaps:
            seen[int(block.sample_index[gap.position])] = gap.n_samples
        got += indices(block)
    assert got == wanted[: len(got)]
    assert seen == {at: n for at, n in jumps.items() if at in got}
