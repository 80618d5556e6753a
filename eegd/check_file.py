"""The last electrode check, as a file that the daemon keeps for the next recording."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eegd.errors import ConfigError, EegdError

__all__ = ["CheckFile", "state_dir"]

NAME = "check.json"
MODE = 0o640


def state_dir(runtime_dir: Path) -> Path:
    """Where a daemon keeps what outlives it: STATE_DIRECTORY, which systemd sets, else beside its sockets."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(given) if given else runtime_dir


class CheckFile:
    """Written whole or not at all. Synchronization: one writer, the daemon's control thread; readers at any time."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME

    def keep(self, result: object) -> None:
        """Replaces the check before. Raises ConfigError for what is no result, EegdError where it cannot be written."""
        if not isinstance(result, dict) or not isinstance(result.get("channels"), list):
            raise ConfigError("a check's result, an object with `channels`, is wanted, as `eegctl check` sends it")
        text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
        draft = self.path.with_name(f".{NAME}.{os.getpid()}")
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
            with open(fd, "w", encoding="utf-8") as file:
                os.fchmod(fd, MODE)
                file.write(text)
            draft.rename(self.path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise EegdError(f"{self.path}: the check cannot be kept: {error.strerror}") from None

    def last(self) -> Mapping[str, Any] | None:
        """None where there is none, or where what is there is no JSON object (as after a loss of power)."""
        try:
            result = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return result if isinstance(result, dict) else None
