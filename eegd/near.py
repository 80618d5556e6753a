"""Which of the known names a wrong one was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

__all__ = ["meant", "nearest"]

MAX_NAMES = 100
MAX_WORD = 64
"""Both bound the time, which grows with their product; who compares is the daemon, too."""


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The known name that is most like the word, in any case of letters; None where none is."""
    folded = {name.casefold(): name for name in islice(names, MAX_NAMES)}
    word = word[:MAX_WORD].casefold()
    close = difflib.get_close_matches(word, folded, n=1)
    if not close and len(word) > 1:  # a beginning, or the last part of a name such as stage.parameter
        close = [known for known in folded if (len(word) > 2 and known.startswith(word)) or known.endswith(f".{word}")]
    return folded[close[0]] if close else None


def meant(word: str, names: Iterable[str]) -> str:
    """` (did you mean low?)`, to stand behind the word in a message; empty where no name is near."""
    name = nearest(word, names)
    return f" (did you mean {name}?)" if name is not None and name.isprintable() else ""
