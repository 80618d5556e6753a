"""The emulated board's check pattern: codes that tell which conversion this is and that it is intact.

With n inputs, k the conversion's number since the board was opened, and all of it modulo 2^24:
scramble(x): x *= FACTOR1; x ^= x >> 12; x *= FACTOR2; x ^= x >> 11; fold(k) = k + FOLD * (k div 2^24);
input c < n - 1: scramble(fold(k) + STEP * c); the last one: scramble(fold(k) + sum of (2c + 1) * code c).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_pattern", "find_pattern", "pattern_codes"]

FACTOR1 = 0x9E3779
FACTOR2 = 0x85EBCB
FOLD = 0x5BD1E9
STEP = 0x3C6EF3
MASK = 0xFFFFFF


def pattern_codes(first_index: int, n: int, n_inputs: int) -> NDArray[np.int32]:
    """The codes of conversions first_index … first_index + n - 1, (n_inputs, n)."""
    folded = fold(first_index + np.arange(n, dtype=np.int64))
    steps = STEP * np.arange(n_inputs, dtype=np.int64)
    bits = scramble((folded + steps[:, np.newaxis]) & MASK)
    bits[-1] = checksum(folded, bits[:-1])
    return (((bits ^ 0x800000) & MASK) - 0x800000).astype(np.int32)


def check_pattern(codes: NDArray[np.integer], first_index: int) -> int:
    """Counts the conversions in `codes` (n_inputs, n) that differ anywhere from first_index onward."""
    wanted = pattern_codes(first_index, codes.shape[1], codes.shape[0])
    return int(np.count_nonzero((codes != wanted).any(axis=0)))


def find_pattern(codes: NDArray[np.integer], near: int = 0) -> int | None:
    """Which conversion comes first in `codes`: the possible one nearest to `near`; None where it is damaged.

    Discarded conversions shift k against a stream's sample index: find the shift once, check from there.
    """
    if codes.shape[1] == 0:
        return None
    low = unscramble(int(codes[0, 0]) & MASK)
    turns = [turn for turn in (near // 2**24 + step for step in (-1, 0, 1)) if turn >= 0]
    candidates = [turn * 2**24 + ((low - FOLD * turn) & MASK) for turn in turns]
    index = min(candidates, key=lambda candidate: abs(candidate - near))
    return index if check_pattern(codes[:, :1], index) == 0 else None


def fold(index: NDArray[np.int64]) -> NDArray[np.int64]:
    return index + (index >> 24) * FOLD & MASK


def scramble(x: NDArray[np.int64]) -> NDArray[np.int64]:
    x = x * FACTOR1 & MASK
    x = (x ^ (x >> 12)) * FACTOR2 & MASK
    return x ^ (x >> 11)


def unscramble(x: int) -> int:
    x = x ^ (x >> 11) ^ (x >> 22)
    x = x * pow(FACTOR2, -1, 2**24) & MASK
    return (x ^ (x >> 12)) * pow(FACTOR1, -1, 2**24) & MASK


def checksum(folded: NDArray[np.int64], bits: NDArray[np.int64]) -> NDArray[np.int64]:
    weights = 2 * np.arange(len(bits), dtype=np.int64) + 1
    return scramble(folded + weights @ bits & MASK)
