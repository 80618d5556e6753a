"""Fixtures that several unit tests use."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, whatever pytest's own directories are called: the names of sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="eegd-", dir="/tmp") as path:
        yield Path(path)
