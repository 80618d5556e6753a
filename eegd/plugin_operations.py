"""The control socket's requests about plugins: add, remove, restart."""

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
        plugin = _name_in(request, "plugin")
        return await supervisor.add(plugin, value_of(request, "as", str), words, value_of(request, "input", str))

    async def remove(request: Mapping[str, Any]) -> Answer:
        return await supervisor.remove(_name_in(request, "name"), force=value_of(request, "force", bool, False))

    def restart(request: Mapping[str, Any]) -> Answer:
        as_configured = value_of(request, "as_configured", bool, False)
        return supervisor.restart(_name_in(request, "name"), as_configured=as_configured)

    return {"plugin_add": add, "plugin_remove": remove, "plugin_restart": restart}


def _name_in(request: Mapping[str, Any], key: str) -> str:
    name: str | None = value_of(request, key, str)
    if name is None:
        raise ProtocolError(f"{key!r} is missing: the name of a plugin")
    return name
