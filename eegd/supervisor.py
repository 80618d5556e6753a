"""The built-in supervisor: the plugins that the configuration wants, each a child of the daemon (eegd.supervised)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from eegd.plugin_command import PluginSettings, input_of, limit_of, plugin_command
from eegd.supervised import KILL_AFTER_S, WAITING, Events, Supervised

__all__ = ["Supervisor"]

HEARD_S = 1.0
"""Within so long a plugin that lives has reported twice."""


class Supervisor:
    """Keeps the plugins of the configuration running. Control thread only."""

    def __init__(self, directory: Path, settings: PluginSettings, events: Events) -> None:
        self._directory = directory
        self._settings = settings
        self._events = events
        self._plugins: dict[str, Supervised] = {}
        self._going: set[asyncio.Task[None]] = set()
        """Plugins that were taken out of the configuration and are on their way out."""

    def start(self) -> None:
        """Starts every plugin of the configuration. Needs a running loop."""
        self.apply(self._settings)

    def apply(self, settings: PluginSettings) -> None:
        """Starts what is new, ends what is gone, replaces what has other parameters. Replaced plugins' readers carry
        on in a new stream epoch; a plugin that was held gets another chance when its settings change."""
        self._settings = settings
        fixed = ("--runtime-dir", str(self._directory), "--supervised")
        wanted = {name: (*plugin_command(settings, name), *fixed) for name in settings.run}
        for name, plugin in list(self._plugins.items()):
            if wanted.get(name) != plugin.arguments:
                del self._plugins[name]
                going = asyncio.create_task(plugin.end(replaced=name in wanted))
                self._going.add(going)
                going.add_done_callback(self._going.discard)
        for name, arguments in wanted.items():
            if name not in self._plugins:
                plugin = self._plugins[name] = Supervised(
                    name,
                    arguments,
                    self._events,
                    input_stream=input_of(settings, name),
                    memory_mb=limit_of(settings, name, "memory_mb"),
                )
                plugin.start(after=self._going)
            self._plugins[name].hang_s = limit_of(settings, name, "hang_s")

    async def stop(self, patience_s: float = KILL_AFTER_S) -> None:
        """Ends every plugin. One whose input has ended works off what it still has and ends by itself: it is waited
        for as long as it makes progress, with pauses of up to patience_s. Then SIGTERM, and after 1.5 s SIGKILL."""
        plugins = list(self._plugins.values())
        # One that is said to wait for its input may have begun since: it reports twice a second.
        patience = {"running": patience_s, "starting": min(patience_s, HEARD_S), WAITING: min(patience_s, HEARD_S)}
        now = time.monotonic()
        for plugin in plugins:
            plugin.progress_s = now
        while any(time.monotonic() - p.progress_s < patience.get(p.state, 0.0) for p in plugins):
            await asyncio.sleep(0.01)
        await asyncio.gather(*(plugin.end() for plugin in plugins), *self._going)

    def report(self) -> list[dict[str, object]]:
        """One row per plugin, in the order of the configuration."""
        return [plugin.report() for plugin in self._plugins.values()]
