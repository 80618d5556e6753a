"""Parameters of a running plugin: asked for and set over its stream's own socket, applied between two frames.

The control thread checks a change and queues it; the main thread applies one change before each frame, so that every
change holds for a frame of its own, and the answer names that frame.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from eegd.errors import ParamError, ProtocolError
from eegd.frame import Frame
from eegd.packet import value_of
from eegd.params import assign_params, check_params, describe_params, param_values, parse_words, resolve_channels
from eegd.plugin import Plugin
from eegd.schema import MAX_TEXT, is_plain_value

__all__ = ["Answer", "Host", "LiveParams"]

log = logging.getLogger(__name__)

PENDING_S = 2.0
"""After so long without a frame the answer says that the change waits for one."""
MAX_WAITING = 64
MAX_WORDS = 256
MAX_ERROR = 1000
MAX_KEPT = 64 * 1024
"""Characters of all that was set, as JSON. One argument of a command line has at most 128 KiB (execve(2))."""

Answer = Callable[[Mapping[str, object]], None]
"""Sends an answer, once. Control thread."""


class Host(Protocol):
    """What the main thread does for a change (eegd.plugin_loop.PluginLoop)."""

    def change(self, names: tuple[str, ...]) -> None:
        """Tells the plugin, and begins a new epoch where its outputs are other ones. Raises what the plugin raises."""

    def settle(self) -> None:
        """The answer has gone out, and the frame may be processed."""

    def fail_change(self) -> None:
        """The plugin raised, and what it holds is unknown: it is reset before the next frame."""

    def record(self, label: str, value: float | None, frame: Frame) -> None:
        """The change holds from this frame on: told to the supervisor and as an event."""


@dataclass(slots=True, eq=False)
class Change:
    """One call of `set`, from request to answer."""

    values: dict[str, Any]
    answer: Answer
    loop: asyncio.AbstractEventLoop
    timer: asyncio.TimerHandle | None = None
    is_answered: bool = False

    def finish(self, facts: Mapping[str, object]) -> None:
        """Control thread."""
        if self.timer is not None:
            self.timer.cancel()
        if not self.is_answered:
            self.is_answered = True
            self.answer(facts)
        elif facts.get("ok") is False:  # who asked has been told that it would hold
            log.warning("a change that waited for a frame is refused: %s", facts.get("error"))


class LiveParams:
    """The changes that wait for one plugin. `operations` are the control thread's; `apply` is the main thread's."""

    def __init__(self, plugin: Plugin, given: Mapping[str, Any] | None = None) -> None:
        self._plugin = plugin
        self._waiting: deque[Change] = deque()
        self.given: Mapping[str, Any] = dict(given or {})
        """What was set while the plugin ran, also before a restart. Each change makes another one, for any thread."""
        self.operations = {"params": self._params, "set": self._set}
        """For the attach server: each takes a request, and a function that takes the answer."""

    # ---- control thread ----

    def _params(self, _: Mapping[str, Any], answer: Answer) -> None:
        plugin = self._plugin
        answer(
            {
                "ok": True,
                "plugin": type(plugin).__name__,
                "values": param_values(plugin),
                "declared": describe_params(type(plugin)),
                "positional": list(plugin.positional),
            }
        )

    def _set(self, request: Mapping[str, Any], answer: Answer) -> None:
        values = self._asked(request)
        if len(self._waiting) >= MAX_WAITING:
            raise ParamError(f"{self._plugin.name}: {MAX_WAITING} changes wait for a frame; nothing was changed")
        loop = asyncio.get_running_loop()
        change = Change(values, answer, loop)
        pending = {"ok": True, "pending": True, "changed": [], "values": param_values(self._plugin)}
        pending |= {"frame_number": None, "sample_index": None}
        change.timer = loop.call_later(PENDING_S, change.finish, pending)
        self._waiting.append(change)

    def _asked(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The checked values of a request. Raises ParamError, ProtocolError."""
        values = value_of(request, "values", dict, {})
        words = value_of(request, "words", list, [])
        if not all(isinstance(word, str) for word in words) or len(words) > MAX_WORDS:
            raise ProtocolError(f"'words' is {words!r:.80}, wanted a list of at most {MAX_WORDS} texts")
        plugin = type(self._plugin)
        parsed = parse_words(plugin, words, partial=True)
        twice = sorted(parsed.keys() & values.keys())
        if twice:
            raise ParamError(f"{plugin.name}: {', '.join(twice)} is given twice")
        asked = {**parsed, **check_params(plugin, values, partial=True)}
        if not asked:
            known = ", ".join(param_values(self._plugin)) or "none"
            raise ParamError(f"{plugin.name}: nothing to set; its parameters: {known}")
        self._refuse_what_cannot_be_kept(asked)
        return asked

    def _refuse_what_cannot_be_kept(self, values: Mapping[str, Any]) -> None:
        """What was set is reported, and handed to a process that takes the place of this one, in its command line."""
        name = self._plugin.name
        for key, value in values.items():
            if not is_plain_value(list(value) if isinstance(value, tuple) else value):
                raise ParamError(
                    f"{name}: {key} = {value!r:.60}: while it runs, a text has at most {MAX_TEXT} characters, and a "
                    "whole number 64 bits"
                )
        n_kept = len(json.dumps({**self.given, **values}))
        if n_kept > MAX_KEPT:
            raise ParamError(f"{name}: {n_kept} characters would be set while it runs; at most {MAX_KEPT}")

    # ---- main thread ----

    def apply(self, frame: Frame, host: Host) -> None:
        """Applies the change that has waited longest, if any, before this frame is processed."""
        if not self._waiting:
            return
        change = self._waiting.popleft()
        facts = self._try(change.values, frame, host)
        change.loop.call_soon_threadsafe(change.finish, facts)
        host.settle()

    def _try(self, values: dict[str, Any], frame: Frame, host: Host) -> dict[str, object]:
        plugin = self._plugin
        before = dict(plugin.__dict__.get("_param_values", {}))
        shown_before = param_values(plugin)
        names = assign_params(plugin, values)
        try:
            if names:
                resolve_channels(plugin, plugin.info.labels)
                host.change(names)
        except Exception as error:
            plugin.__dict__["_param_values"] = before
            resolve_channels(plugin, plugin.info.labels)
            return {"ok": False, "error": self._refusal(error, names, host)[:MAX_ERROR]}
        self.given = {**self.given, **values}
        shown = param_values(plugin)
        if names:
            label = ", ".join(f"{name} {_text(shown_before[name])} → {_text(shown[name])}" for name in names)
            numbers = [shown[name] for name in names if type(shown[name]) in (int, float)]
            host.record(label, float(numbers[0]) if len(names) == len(numbers) == 1 else None, frame)
        return {
            "ok": True,
            "changed": list(names),
            "values": shown,
            "frame_number": frame.frame_number,
            "sample_index": frame.sample_index,
        }

    def _refusal(self, error: Exception, names: tuple[str, ...], host: Host) -> str:
        """What became of a change that the plugin did not take. A ParamError is its own way to say no: then it has
        changed nothing yet."""
        if isinstance(error, ParamError):
            text = str(error)
            name = self._plugin.name
            return text if text.startswith((f"{name}: ", f"{name}.")) else f"{name}: {text}"
        host.fail_change()
        text = f"{self._plugin.name}: {type(error).__name__} on a change of {', '.join(names)}: {error}"
        log.error("%s", text, exc_info=error)
        return f"{text}; the old values hold again, and the plugin was reset"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value) or "empty"
