"""Trigger words: several digital lines read as one number, and only when they have stopped changing.

Equipment switches the lines of a code within some µs of each other, never at once. Whoever reads them in between
sees a code that nobody sent. So a word counts once its lines have been still for the settle time; its own time is
that of the first edge of the change. With a strobe line each of its edges is one word, taken likewise.

All is decided by the stamps of the edges: it does not matter when, and how much later, they are handed in.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STROBE", "Word", "WordAssembler"]

STROBE = -1
"""The strobe's number among the lines."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word."""

    value: int
    time_ns: int
    """Of the first edge that led to it, or of the strobe's."""
    skew_ns: int
    """From there to the last edge that belongs to it."""


class WordAssembler:
    """Makes words of edges. Synchronization: one thread.

    Edges are handed in by the order of their stamps, and so is the passing of time. Without a strobe, a word is told
    when it differs from the one before: a pulse shorter than the settle time tells nothing.
    """

    def __init__(self, settle_ns: int, *, strobed: bool = False, levels: int = 0) -> None:
        """levels: of the lines at the start; bit 0 is line 0."""
        self._settle_ns = settle_ns
        self._strobed = strobed
        self._levels = levels
        self._word = levels
        self._first_ns: int | None = None
        """What may become a word began here."""
        self._last_ns = 0
        self.n_pulses = 0
        """Changes that were gone again before they had settled."""
        self.n_unsettled = 0
        """Strobes that were followed by another one before the lines had been still."""

    @property
    def levels(self) -> int:
        """Of the lines now, settled or not."""
        return self._levels

    @property
    def due_ns(self) -> int | None:
        """When the lines will have settled, unless another edge comes; None where nothing waits for that."""
        return None if self._first_ns is None else self._last_ns + self._settle_ns

    def edge(self, line: int, rising: bool, time_ns: int) -> Word | None:
        """An edge of a line, or of STROBE. Returns the word that had settled before it."""
        word = self.advance(time_ns)
        if line == STROBE:
            self.n_unsettled += self._first_ns is not None
            self._first_ns = self._last_ns = time_ns
            return word
        bit = 1 << line
        self._levels = self._levels | bit if rising else self._levels & ~bit
        if self._first_ns is None and not self._strobed:
            self._first_ns = time_ns
        self._last_ns = max(self._last_ns, time_ns)
        return word

    def advance(self, until_ns: int) -> Word | None:
        """All edges stamped before then have been handed in. Returns the word that has settled."""
        if self._first_ns is None or until_ns - self._last_ns < self._settle_ns:
            return None
        word = Word(self._levels, self._first_ns, self._last_ns - self._first_ns)
        self._first_ns = None
        if self._strobed:
            return word
        if word.value == self._word:
            self.n_pulses += 1
            return None
        self._word = word.value
        return word

    def resync(self, levels: int, time_ns: int) -> None:
        """Edges are lost, and these are the levels now. A change that was under way begins here."""
        self._levels = levels
        if self._strobed:
            self._first_ns = None  # which word a lost strobe was for is not known
        elif levels != self._word or self._first_ns is not None:
            self._first_ns = self._last_ns = time_ns
