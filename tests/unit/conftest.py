"""Fixtures that several unit tests use."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, whatever pytest's own directories are called: the names of sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="eegd-", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For plugins of a test; what was loaded from it is forgotten afterwards."""
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("eegd_plugin_")]:
        del sys.modules[name]
