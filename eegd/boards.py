"""Boards by name: files with the wiring of known boards, shipped with the program. A user's own file goes over them."""

from __future__ import annotations

import difflib
from pathlib import Path

from eegd.errors import ConfigError

__all__ = ["board_file", "board_names", "board_summary", "boards_dir"]

INSTALLED = Path(__file__).resolve().parent / "board_files"
IN_CHECKOUT = Path(__file__).resolve().parents[1] / "config" / "boards"


def boards_dir() -> Path:
    """Where the board files are: beside this module once installed, in config/boards in a checkout."""
    return INSTALLED if INSTALLED.is_dir() else IN_CHECKOUT


def board_names() -> list[str]:
    """What `--board` can name."""
    return sorted(path.stem for path in boards_dir().glob("*.toml"))


def board_file(name: str) -> Path:
    """The file of a board. ConfigError lists the known ones."""
    names = board_names()
    if name not in names:
        close = difflib.get_close_matches(name.casefold(), names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ConfigError(f"board {name!r:.60}: unknown; {hint}there are {', '.join(names) or 'none'}")
    return boards_dir() / f"{name}.toml"


def board_summary(name: str) -> str:
    """One line about a board: the first of its file."""
    with board_file(name).open(encoding="utf-8") as file:
        return file.readline().strip("# \n")
