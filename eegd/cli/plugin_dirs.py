"""Where a daemon looks for plugins, as far as a command line may load what is there as its own user.

Loading a plugin runs its file. The daemon may be another user's, and so may what it names.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["daemon_dirs"]


def daemon_dirs(runtime_dir: Path, status: Mapping[str, Any]) -> list[str]:
    """Of the status of a daemon: all, where that is this user's own; else those that nobody but this user and root
    can change, or put another one in the place of."""
    dirs = [str(path) for path in status.get("plugin_dirs", [])]
    if _owner(runtime_dir) == os.getuid():
        return dirs
    return [path for path in dirs if _is_safe(Path(path))]


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None


def _is_safe(path: Path) -> bool:
    """Also every directory above it; of those, others may write to one such as /tmp, where each has his own."""
    try:
        real = path.resolve(strict=True)
        return _is_ours(real) and all(_is_ours(above, shared=stat.S_ISVTX) for above in real.parents)
    except (OSError, RuntimeError):
        return False


def _is_ours(path: Path, shared: int = 0) -> bool:
    status = path.stat()
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return status.st_uid in (0, os.getuid()) and (not others_write or bool(status.st_mode & shared))
