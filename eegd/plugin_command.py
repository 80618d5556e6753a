"""What the configuration says of a plugin, as the command line of its process (eegd.runner)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

__all__ = ["OWN_LIMITS", "PluginSettings", "input_of", "limit_of", "made_of", "plugin_command", "stages_in"]

OWN_LIMITS = ("hang_s", "memory_mb")
"""Keys of [plugins] that a plugin's own table may have too, for itself."""
NO_PARAMS = ("input", "plugin", "chain", *OWN_LIMITS)


class PluginSettings(Protocol):
    """The part of the configuration that is read here (eegd.config.PluginsConfig)."""

    @property
    def run(self) -> tuple[str, ...]: ...
    @property
    def dirs(self) -> tuple[str, ...]: ...
    @property
    def hang_s(self) -> float: ...
    @property
    def memory_mb(self) -> float: ...
    @property
    def params(self) -> Mapping[str, Mapping[str, object]]: ...


def input_of(settings: PluginSettings, name: str) -> str | None:
    """The stream that the configuration names; None leaves it to the plugin."""
    value = settings.params.get(name, {}).get("input")
    return None if value is None else str(value)


def limit_of(settings: PluginSettings, name: str, key: str) -> float:
    """The plugin's own hang_s or memory_mb, or else that of all."""
    return float(str(settings.params.get(name, {}).get(key, getattr(settings, key))))


def made_of(settings: PluginSettings, name: str) -> tuple[str, list[str]]:
    """Which plugin it is, and its stages if it is a chain."""
    table = settings.params.get(name, {})
    chain = table.get("chain", [])
    return str(table.get("plugin", name)), stages_in(_chain_text(chain))


def plugin_command(settings: PluginSettings, name: str) -> tuple[str, ...]:
    """Its name and parameters, where to look for it, and what it reads: the same in whatever process it runs."""
    table = settings.params.get(name, {})
    params = {key: value for key, value in table.items() if key not in NO_PARAMS}
    words = [name, "--params", json.dumps(params)]
    if "plugin" in table:
        words += ["--plugin", str(table["plugin"])]
    words += ["--memory-mb", f"{limit_of(settings, name, 'memory_mb'):g}"]
    if (chain := table.get("chain")) is not None:
        words += ["--chain", _chain_text(chain)]
    for path in settings.dirs:
        words += ["--plugin-dir", path]
    input_stream = input_of(settings, name)
    if input_stream is not None:
        words += ["--input", input_stream]
    return tuple(words)


def _chain_text(chain: object) -> str:
    return ",".join(map(str, chain)) if isinstance(chain, list) else str(chain)


def stages_in(text: str) -> list[str]:
    """The stages of `reference,notch=filter`."""
    return [stage.strip() for stage in text.split(",") if stage.strip()]
