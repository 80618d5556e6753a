"""The built-in supervisor: the plugins that are wanted, each a child of the daemon (eegd.supervised), and their graph.

Wanted is what the configuration says, and what was added or removed while the daemon ran. A plugin that does not fit
into the graph is held with the reason, and runs once it fits; the others run.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eegd.errors import ConfigError, ParamError, PluginError
from eegd.graph import graph_problems, readers_of
from eegd.near import meant
from eegd.plugin_check import Checked, check_plugins
from eegd.plugin_command import input_of, limit_of, made_of, plugin_command, stages_in
from eegd.runtime_dir import clear_left_over, is_served, served_streams
from eegd.settings import PLUGIN, PLUGIN_SAYS, PluginsConfig
from eegd.supervised import KILL_AFTER_S, WAITING, Events, Supervised
from eegd.turns import Turns

__all__ = ["Supervisor"]

HEARD_S = 1.0
"""Within so long a plugin that lives has reported twice."""
MAX_PLUGINS = 64
LOOK_AGAIN_S = 1.0
"""How often it is looked whether a plugin that is held for its input can run by now."""
NEGATIVE = r"-\d+|-\d*\.\d+"
"""What the plugin's command line takes for a value without a name, though it begins like an option (argparse)."""
CHAIN_WORDS = ("chain=", "chain:")
INPUT_WORDS = ("input=", "input:")


class Supervisor:
    """Keeps the wanted plugins running. Control thread only."""

    def __init__(
        self, directory: Path, settings: PluginsConfig, events: Events, raw_streams: Collection[str] = ("raw",)
    ) -> None:
        self._directory = directory
        self._configured = settings
        self._events = events
        self._raw_streams = raw_streams
        self._plugins: dict[str, Supervised] = {}
        self._added: dict[str, dict[str, object]] = {}
        """Tables of plugins that were added while the daemon ran."""
        self._removed: set[str] = set()
        """Plugins of the configuration that were removed while the daemon ran."""
        self._past: set[str] = set()
        """Names of plugins that were removed while the daemon ran, and are not there again."""
        self._going: set[asyncio.Task[None]] = set()
        """Plugins that are on their way out."""
        self._again: asyncio.TimerHandle | None = None
        self._stopping = False
        self.turns = Turns()
        """Of additions, removals, restarts and reloads."""

    @property
    def settings(self) -> PluginsConfig:
        """What is wanted now."""
        return self._with_changes(self._configured)

    def _with_changes(self, settings: PluginsConfig) -> PluginsConfig:
        run = [name for name in settings.run if name not in self._removed or name in self._added]
        run += [name for name in self._added if name not in run]
        return replace(settings, run=tuple(run), params={**settings.params, **self._added})

    def start(self) -> None:
        """Starts every plugin of the configuration. Needs a running loop."""
        self.apply(self._configured)

    def apply(self, configured: PluginsConfig) -> None:
        """Starts what is new, ends what is gone, replaces what has other parameters. Replaced plugins' readers carry
        on in a new stream epoch. A plugin that was held gets another chance when its settings change; a replaced one
        begins with what the configuration says, and no longer with what was set while it ran."""
        self._configured = configured
        settings = self.settings
        fixed = ("--runtime-dir", str(self._directory), "--supervised")
        wanted = {name: (*plugin_command(settings, name), *fixed) for name in settings.run}
        for name, plugin in list(self._plugins.items()):
            if wanted.get(name) != plugin.arguments:
                del self._plugins[name]
                self._let_go(plugin.end(replaced=name in wanted))
        for name, arguments in wanted.items():
            if name not in self._plugins:
                self._plugins[name] = self._made(name, arguments, settings)
            self._plugins[name].hang_s = limit_of(settings, name, "hang_s")
        self._fit()

    def _made(
        self, name: str, arguments: tuple[str, ...], settings: PluginsConfig, given: Mapping[str, object] | None = None
    ) -> Supervised:
        plugin, chain = made_of(settings, name)
        return Supervised(
            name,
            arguments,
            self._events,
            input_stream=input_of(settings, name),
            memory_mb=limit_of(settings, name, "memory_mb"),
            plugin=plugin,
            chain=chain,
            given=given,
            on_input=self._fit,
            on_end=lambda: clear_left_over(self._directory, name),
        )

    def _let_go(self, work: Coroutine[Any, Any, None]) -> None:
        going = asyncio.create_task(work)
        self._going.add(going)
        going.add_done_callback(self._going.discard)

    # ---- the graph ----

    def _inputs(self) -> dict[str, str]:
        """What each plugin reads, as far as that is known."""
        return {name: plugin.input for name, plugin in self._plugins.items() if plugin.input is not None}

    def _others(self, settings: PluginsConfig) -> set[str]:
        """Streams that are, or will be, without our plugins: raw ones, and those of plugins that others run."""
        known = {*self._raw_streams, *settings.params, *settings.run}
        return known | set(served_streams(self._directory, without={*known, *self._plugins}))

    def _in_use(self) -> set[str]:
        """Streams that were there, and may come back: who reads them is not held for their absence."""
        return {plugin.input for plugin in self._plugins.values() if plugin.input is not None and plugin.has_worked}

    def _fit(self) -> None:
        """Starts what fits into the graph, and holds what does not."""
        if self._stopping:
            return
        problems = graph_problems(self._inputs(), self._others(self.settings) | self._in_use())
        for name, plugin in list(self._plugins.items()):
            if name in problems and not plugin.refused:
                plugin.refused = True
                self._let_go(self._hold(plugin, problems[name]))
            elif name not in problems and (plugin.refused or not plugin.is_begun):
                self._begin(plugin)
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if problems:  # a stream that others write may come at any time
            self._again = asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._fit)

    def _begin(self, plugin: Supervised) -> None:
        if plugin.refused:  # its time has come
            settings = self.settings
            plugin = self._plugins[plugin.name] = self._made(plugin.name, plugin.arguments, settings, plugin.given)
            plugin.hang_s = limit_of(settings, plugin.name, "hang_s")
        plugin.start(after=self._going)

    @staticmethod
    async def _hold(plugin: Supervised, reason: str) -> None:
        await plugin.end()
        plugin.hold(reason)

    async def check(self, configured: PluginsConfig) -> None:
        """Raises ConfigError that names all that is wrong with the plugins of a configuration that differ from those
        that run: unknown plugins, parameters, inputs, and circles."""
        kept = {name: table for name, table in self._added.items() if name not in configured.run}
        settings = replace(configured, run=(*configured.run, *kept), params={**configured.params, **kept})
        commands = {name: plugin_command(settings, name) for name in settings.run}
        n_fixed = 3
        new = {
            name: command
            for name, command in commands.items()
            if name not in self._plugins or self._plugins[name].arguments[:-n_fixed] != command
        }
        found = await check_plugins(new)
        problems = {name: checked.error for name, checked in found.items() if checked.error}
        inputs = {name: stream for name, stream in self._inputs().items() if name in commands and name not in new}
        inputs |= {name: checked.input for name, checked in found.items() if not checked.error}
        graph = graph_problems(inputs, self._others(settings))
        # What was wrong before, with a plugin that stays as it is, is no fault of this configuration.
        gone = self._plugins.keys() - commands.keys()
        problems |= {name: reason for name, reason in graph.items() if name in new or inputs[name] in gone}
        if problems:
            raise ConfigError("\n".join(problems.values()))

    # ---- changes while it runs ----

    async def add(
        self, plugin: str, name: str | None = None, words: Sequence[str] = (), input_stream: str | None = None
    ) -> dict[str, object]:
        """Starts one more plugin; returns its name, input and table. Raises ConfigError, ParamError, PluginError."""
        name = name or plugin
        self._check_name(plugin, name)
        for word in words:
            if word.startswith("-") and not re.fullmatch(NEGATIVE, word):
                raise ParamError(f"{name}: {word!r:.60}: parameters are written name=value")
        settings = self._configured
        table = dict(settings.params.get(name, {}))
        for chain in (word for word in words if word.startswith(CHAIN_WORDS)):
            table["chain"] = stages_in(chain[len(CHAIN_WORDS[0]) :])
        words = [word for word in words if not word.startswith(CHAIN_WORDS)]
        if name != plugin and "chain" not in table:
            table["plugin"] = plugin
        if input_stream is not None:
            table["input"] = input_stream
        names_input = any(word.startswith(INPUT_WORDS) for word in words)
        tried = replace(settings, params={**settings.params, name: table})
        checked: Checked = (await check_plugins({name: (*plugin_command(tried, name), *words)}))[name]
        if checked.error:
            raise PluginError(checked.error)
        self._check_name(plugin, name)  # somebody may have started one by hand
        problems = graph_problems({**self._inputs(), name: checked.input}, self._others(tried))
        if name in problems:
            raise PluginError(problems[name])
        if names_input:
            table["input"] = checked.input
        self._added[name] = {**table, **checked.values}
        self._past.discard(name)
        self._events.post("plugin added", f"{name}, reads {checked.input}", source=name)
        self.apply(self._configured)
        return {"name": name, "input": checked.input, "table": self._added[name], "run": list(self.settings.run)}

    def _check_name(self, plugin: str, name: str) -> None:
        for text in (plugin, name):
            if not re.fullmatch(PLUGIN, text):
                raise ConfigError(f"{text!r:.60}: no plugin's name: {PLUGIN_SAYS}")
        if name in self._plugins:
            raise ConfigError(f"plugin {name!r} is there already; remove it first, or add this one as=ANOTHER_NAME")
        if name in self._raw_streams or is_served(self._directory, name):
            raise ConfigError(f"there is a stream {name!r} already; add this plugin as=ANOTHER_NAME")
        if len(self._plugins) >= MAX_PLUGINS:
            raise ConfigError(f"{MAX_PLUGINS} plugins are there already")

    async def remove(self, name: str, *, force: bool = False) -> dict[str, object]:
        """Ends one plugin for good, and waits for that. Raises PluginError with the names of those who read its stream,
        unless forced."""
        plugin = self._known(name)
        programs = [reader for reader in plugin.readers if reader not in self._past]  # it may not know yet who left
        readers = list(dict.fromkeys([*readers_of(name, self._inputs()), *programs]))
        if readers and not force:
            raise PluginError(f"plugin {name!r} is read by {', '.join(readers)}; end those first, or use --force")
        self._added.pop(name, None)
        if name in self._configured.run:
            self._removed.add(name)
        self._events.post("plugin removed", name, source=name)
        self.apply(self._configured)
        self._past.add(name)
        await self._all_gone()
        return {"name": name, "readers": readers, "configured": name in self._configured.run}

    async def restart(self, name: str, *, as_configured: bool = False) -> dict[str, object]:
        """A new process, with a new budget of deaths, also for one that is held or has ended; waits for the end of the
        old one. What was set while it ran holds on, unless as_configured."""
        before = self._known(name)
        given = {} if as_configured else before.given
        self._let_go(before.end(replaced=True))
        settings = self.settings
        plugin = self._plugins[name] = self._made(name, before.arguments, settings, given)
        plugin.hang_s = limit_of(settings, name, "hang_s")
        self._fit()
        await self._all_gone()
        return {"name": name, "set": dict(given)}

    async def _all_gone(self) -> None:
        """Those that are on their way out."""
        if self._going:
            await asyncio.wait([*self._going])

    def _known(self, name: str) -> Supervised:
        if name not in self._plugins:
            there = ", ".join(self._plugins) or "none"
            if name not in self._raw_streams and re.fullmatch(PLUGIN, name) and is_served(self._directory, name):
                how = f"end it where it runs (Ctrl-C, or: systemctl stop eegd-plugin@{name})"
                raise PluginError(f"plugin {name!r} is not run by this daemon: {how}; it runs: {there}")
            raise PluginError(f"no plugin {name!r} here{meant(name, self._plugins)}; there are: {there}")
        return self._plugins[name]

    def read_again(self, configured: PluginsConfig) -> None:
        """The file was read again: what it wants runs, also where it was removed before, and as it says."""
        self._removed.clear()
        for name in configured.run:
            self._added.pop(name, None)

    async def stop(self, patience_s: float = KILL_AFTER_S) -> None:
        """Ends every plugin. One whose input has ended works off what it still has and ends by itself: it is waited
        for as long as it makes progress, with pauses of up to patience_s. Then SIGTERM, and after 1.5 s SIGKILL."""
        self._stopping = True
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
        """One row per plugin, in the order in which they were started."""
        return [plugin.report() for plugin in self._plugins.values()]
