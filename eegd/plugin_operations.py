"""The control socket's requests about plugins: add, remove, restart; one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eegd.control import Answer, Operation
from eegd.errors import ProtocolError
from eegd.packet import value_of
from eegd.supervisor import Supervisor

__all__ = ["plugin_operations"]

MAX_WORDS = 256


def plugin_operations(supervisor: Supervisor) -> dict[str, Operation]:
    """By name, for the control server."""

    async def add(request: Mapping[str, Any]) -> Answer:
        words = value_of(request, "words", list, [])
        if not all(isinstance(word, str) for word in words) or len(words) > MAX_WORDS:
            raise ProtocolError(f"'words' is {words!r:.80}, wanted a list of at most {MAX_WORDS} texts")
        plugin, name, stream = (
            _name_in(request, "plugin"),
            value_of(request, "as", str),
            value_of(request, "input", str),
        )
        async with supervisor.turns.turn(f"plugin add {plugin}"):
            return await supervisor.add(plugin, name, words, stream)

    async def remove(request: Mapping[str, Any]) -> Answer:
        name, force = _name_in(request, "name"), value_of(request, "force", bool, False)
        async with supervisor.turns.turn(f"plugin remove {name}"):
            return await supervisor.remove(name, force=force)

    async def restart(request: Mapping[str, Any]) -> Answer:
        name, as_configured = _name_in(request, "name"), value_of(request, "as_configured", bool, False)
        async with supervisor.turns.turn(f"plugin restart {name}"):
            return await supervisor.restart(name, as_configured=as_configured)

    return {"plugin_add": add, "plugin_remove": remove, "plugin_restart": restart}


def _name_in(request: Mapping[str, Any], key: str) -> str:
    name: str | None = value_of(request, key, str)
    if name is None:
        raise ProtocolError(f"{key!r} is missing: the name of a plugin")
    return name
