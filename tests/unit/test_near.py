"""What a wrong name was meant to be."""

from __future__ import annotations

import pytest

from eegd.near import meant, nearest

NAMES = ("filter", "reference", "bandpower", "Fp1", "clean.low")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("filtr", "filter"),
        ("FILTER", "filter"),
        ("fp1", "Fp1"),
        ("band", "bandpower"),
        ("low", "clean.low"),
        ("xyz", None),
        ("b", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_found_by_letters_beginning_or_last_part(word: str, name: str | None) -> None:
    assert nearest(word, NAMES) == name
    assert meant(word, NAMES) == ("" if name is None else f" (did you mean {name}?)")


def test_what_may_not_be_printed_is_never_suggested() -> None:
    assert meant("abcd", ["abc\x1b"]) == ""


def test_a_word_and_a_list_of_any_length_are_cut() -> None:
    assert nearest("x" * 10**6, (f"name{n}" for n in range(10**6))) is None
