"""What a plugin's process logs and prints, line by line, as the daemon's log has it. Control thread only."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from eegd.flow import Flow
from eegd.liveness import Traceback

__all__ = ["PluginLog", "without_name"]

log = logging.getLogger(__name__)

LINES_PER_S = 500
"""Of its log; a traceback has some twenty."""
LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}
LEVEL = re.compile(r"(?:(DEBUG|INFO|WARNING|ERROR)([:|]) )?(.*)", re.DOTALL)
"""A line of the plugin's process: of its log, with a bar where it goes on; else whatever it prints."""
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
"""Which a terminal that shows the log would obey."""
SKIPPED = re.compile(r"frame (\d+) of \S+ skipped")


def without_name(name: str, text: str) -> str:
    """It stands beside the name wherever it is shown."""
    for before in (f"plugin {name!r}: ", f"{name}: "):
        text = text.removeprefix(before)
    return text


class PluginLog:
    """Of one plugin, over all its processes."""

    def __init__(self, name: str, on_error: Callable[[str], None]) -> None:
        """on_error: is told each line of level ERROR."""
        self._name = name
        self._on_error = on_error
        self._flow = Flow(LINES_PER_S)
        self.begin()

    def begin(self) -> None:
        """A new process."""
        self._traceback = Traceback()

    @property
    def where(self) -> str:
        """The plugin's own line at which its process was ended, if it could still say so."""
        return self._traceback.where

    def hear(self, line: str) -> None:
        """All that it logs and prints becomes ours, under its name."""
        level, mark, text = LEVEL.match(line).groups()  # type: ignore[union-attr]
        if self._traceback.read(line):
            level = "ERROR"
        if level == "ERROR" and mark != "|":
            self._on_error(CONTROL.sub("\ufffd", without_name(self._name, text)[:500]))
        if not self._flow.passes():
            return
        self.tell_stopped()
        fields = {"EEGD_PLUGIN": self._name}
        if frame := SKIPPED.search(text):
            fields["EEGD_FRAME"] = frame[1]
        text = CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
        logging.getLogger(f"eegd.plugin.{self._name}").log(LEVELS[level or "INFO"], "%s", text, extra=fields)

    def tell_stopped(self) -> None:
        """How many lines were not shown."""
        if n := self._flow.take_stopped():
            log.warning("plugin %s: %d lines not shown, of more than %d a second", self._name, n, LINES_PER_S)
