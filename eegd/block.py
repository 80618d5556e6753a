"""Blocks: copied samples of a stretch of a stream, with their times and the gaps between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eegd.frame import Frame, StreamInfo

__all__ = ["Block", "BlockBuilder", "Gap"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples that are not in a block."""

    position: int
    """Column of the block before which they are missing."""
    n_samples: int
    """How many, by the sample index; 0 at the border of two stream epochs, where they cannot be counted."""
    reason: str
    """lost (by the writer), missed (by this reader), lost and missed, or epoch."""


@dataclass(frozen=True, slots=True, repr=False)
class Block:
    """Copied samples of one stretch of one stream epoch."""

    data: NDArray[np.float32]
    """(n_channels, n_samples), in the stream's units."""
    times_ns: NDArray[np.float64]
    """(n_samples,), fitted, CLOCK_MONOTONIC ns."""
    sample_index: NDArray[np.int64]
    """(n_samples,)"""
    gaps: tuple[Gap, ...]
    info: StreamInfo
    """Of the epoch that the samples belong to."""

    @property
    def is_contiguous(self) -> bool:
        return not self.gaps

    def __repr__(self) -> str:
        n_channels, n_samples = self.data.shape
        gaps = f"{len(self.gaps)} gap(s)" if self.gaps else "contiguous"
        return (
            f"<Block of {self.info.stream!r}: {n_channels} × {n_samples} samples, "
            f"{self.sample_index[0]}…{self.sample_index[-1]}, {gaps}>"
        )


@dataclass(frozen=True, slots=True)
class _Part:
    data: NDArray[np.float32]
    times_ns: NDArray[np.float64]
    sample_index: NDArray[np.int64]
    gap: Gap | None
    """Before the first sample."""


class BlockBuilder:
    """Collects copies of one epoch's frames and cuts blocks of any length from them. One thread at a time."""

    def __init__(self) -> None:
        self.n_samples = 0
        """Collected and not yet cut."""
        self._parts: list[_Part] = []
        self._info: StreamInfo | None = None
        self._end: int | None = None
        """Sample index after the last frame added."""

    def fits(self, frame: Frame) -> bool:
        """Whether the frame is of the epoch that is being collected. If not, cut first what is there."""
        return not self._parts or self._info is frame.info

    def add(self, frame: Frame) -> None:
        """Copies a frame's samples."""
        gap = None
        if self._info is not None and self._info is not frame.info:
            gap = Gap(0, 0, "epoch")
        elif self._end is not None and frame.sample_index > self._end:
            lost, missed = frame.lost_before > 0, frame.missed > 0
            reason = "lost and missed" if lost and missed else "missed" if missed else "lost"
            gap = Gap(0, frame.sample_index - self._end, reason)
        index = frame.sample_index + np.arange(frame.n_samples, dtype=np.int64)
        self._parts.append(_Part(frame.copy(), frame.times_ns(), index, gap))
        self._info = frame.info
        self._end = frame.sample_index + frame.n_samples
        self.n_samples += frame.n_samples

    def cut(self, n_samples: int) -> Block:
        """The first n samples (at most what is there, at least one); the rest stays for the next block."""
        assert self._info is not None
        assert self._parts
        parts, position, gaps = self._parts, 0, []
        for part in parts:
            if part.gap is not None:
                gaps.append(Gap(position, part.gap.n_samples, part.gap.reason))
            position += part.data.shape[1]
        data = np.concatenate([part.data for part in parts], axis=1)
        times = np.concatenate([part.times_ns for part in parts])
        index = np.concatenate([part.sample_index for part in parts])
        self._keep(parts, n_samples)
        kept = tuple(gap for gap in gaps if gap.position < n_samples)
        return Block(data[:, :n_samples], times[:n_samples], index[:n_samples], kept, self._info)

    def _keep(self, parts: list[_Part], n_cut: int) -> None:
        self._parts = []
        for part in parts:
            n = part.data.shape[1]
            if n_cut >= n:
                n_cut -= n
            elif n_cut > 0:
                self._parts.append(_Part(part.data[:, n_cut:], part.times_ns[n_cut:], part.sample_index[n_cut:], None))
                n_cut = 0
            else:
                self._parts.append(part)
        self.n_samples = sum(part.data.shape[1] for part in self._parts)
