"""The built-in supervisor: starts the configured plugins as processes, restarts what dies, holds what dies too often.

Nothing here forks the daemon: asyncio's subprocesses without preexec_fn go through vfork, which copies no page.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from eegd.runner import EXIT_FAILED, EXIT_REFUSED

__all__ = ["Supervised", "Supervisor"]

log = logging.getLogger(__name__)

BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
BUDGET = 5
BUDGET_WINDOW_S = 60.0
"""Deaths within the window that are made good; one more, and the plugin is held."""
KILL_AFTER_S = 1.5
"""Less than the 2 s that the service manager gives the whole daemon."""
HEARD_S = 1.0
"""Within so long a plugin that lives has reported twice."""
WAITING = "waiting for input"
LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}
LONGEST_LINE = 64 * 1024


class PluginSettings(Protocol):
    """The part of the configuration that is read here (eegd.config.PluginsConfig)."""

    @property
    def run(self) -> tuple[str, ...]: ...
    @property
    def dirs(self) -> tuple[str, ...]: ...
    @property
    def params(self) -> Mapping[str, Mapping[str, object]]: ...


class Events(Protocol):
    """Where events go (eegd.events.EventPublisher)."""

    def post(self, kind: str, label: str, *, value: float | None = None, source: str = "eegd", **facts: Any) -> Any: ...


@dataclass(slots=True)
class Supervised:
    """One plugin, from the wish that it run to the end of that wish."""

    name: str
    arguments: tuple[str, ...]
    """Of its command line; other ones mean another process."""
    state: str = "starting"
    """starting, running, waiting for input, restarting, ended (in order), held (not restarted), stopping, stopped."""
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=BUDGET + 1))
    facts: dict[str, object] = field(default_factory=dict)
    """As the plugin told last: input, frames_in, frames_out, errors, missed, overruns."""
    last_error: str = ""
    progress_s: float = 0.0
    """When it last took a frame, on the monotonic clock."""
    task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.returncode is None else None


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
        wanted = {name: self._arguments(name) for name in settings.run}
        for name, plugin in list(self._plugins.items()):
            if wanted.get(name) != plugin.arguments:
                del self._plugins[name]
                going = asyncio.create_task(self._end(plugin, replaced=name in wanted))
                self._going.add(going)
                going.add_done_callback(self._going.discard)
        for name, arguments in wanted.items():
            if name not in self._plugins:
                plugin = self._plugins[name] = Supervised(name, arguments)
                plugin.task = asyncio.create_task(self._keep(plugin, list(self._going)))

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
        await asyncio.gather(*(self._end(plugin) for plugin in plugins), *self._going)

    def report(self) -> list[dict[str, object]]:
        """One row per plugin, in the order of the configuration."""
        return [
            {
                "name": plugin.name,
                "state": plugin.state,
                "pid": plugin.pid,
                "restarts": plugin.restarts,
                **({"input": self._input(plugin.name)} | plugin.facts),
                "last_error": plugin.last_error,
            }
            for plugin in self._plugins.values()
        ]

    # ---- one plugin ----

    def _input(self, name: str) -> str | None:
        """What the configuration says; None leaves it to the plugin."""
        value = self._settings.params.get(name, {}).get("input")
        return None if value is None else str(value)

    def _arguments(self, name: str) -> tuple[str, ...]:
        params = {key: value for key, value in self._settings.params.get(name, {}).items() if key != "input"}
        words = ["--runtime-dir", str(self._directory), "--supervised", "--params", json.dumps(params)]
        for path in self._settings.dirs:
            words += ["--plugin-dir", path]
        if self._input(name) is not None:
            words += ["--input", str(self._input(name))]
        return (name, *words)

    async def _keep(self, plugin: Supervised, after: list[asyncio.Task[None]]) -> None:
        """Starts it, and again after each death, until it ends in order, is held, or is to be stopped."""
        if after:
            await asyncio.wait(after)  # the one before may still own the stream
        while True:
            try:
                code = await self._run_once(plugin)
            except OSError as error:  # no process, no memory, no descriptors
                code, plugin.last_error = EXIT_FAILED, f"cannot be started: {error.strerror}"
            if plugin.state in ("stopping", "stopped"):
                plugin.state = "stopped"
                return
            if code == 0:
                plugin.state = "ended"
                self._tell("plugin ended", plugin, code)
                return
            plugin.deaths.append(time.monotonic())
            recent = [at for at in plugin.deaths if at > time.monotonic() - BUDGET_WINDOW_S]
            if code == EXIT_REFUSED or len(recent) > BUDGET:
                plugin.state = "held"
                self._tell("plugin held", plugin, code)
                return
            delay_s = BACK_OFF_S[min(len(recent), len(BACK_OFF_S)) - 1]
            plugin.state = "restarting"
            self._tell("plugin died", plugin, code, restart_in_s=delay_s)
            await asyncio.sleep(delay_s)
            plugin.restarts += 1

    async def _run_once(self, plugin: Supervised) -> int:
        plugin.state = "starting"
        plugin.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "eegd.runner",
            *plugin.arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
        )
        self._tell("plugin started", plugin, None)
        process = plugin.process
        assert process.stdout is not None
        assert process.stderr is not None
        hearing = asyncio.gather(self._hear(plugin, process.stdout), self._log(plugin, process.stderr))
        code = await process.wait()
        with contextlib.suppress(TimeoutError):  # a process that the plugin left behind may hold the pipes
            await asyncio.wait_for(hearing, KILL_AFTER_S)
        return code

    async def _hear(self, plugin: Supervised, stdout: asyncio.StreamReader) -> None:
        """The plugin's reports, twice a second."""
        async for line in _lines(stdout):
            with contextlib.suppress(ValueError):
                facts = json.loads(line)
                if not isinstance(facts, dict):
                    continue
                if facts.get("frames_in") != plugin.facts.get("frames_in"):
                    plugin.progress_s = time.monotonic()
                state = facts.pop("state", None)
                if isinstance(state, str) and plugin.state not in ("stopping", "stopped"):
                    plugin.state = state
                plugin.facts = facts

    async def _log(self, plugin: Supervised, stderr: asyncio.StreamReader) -> None:
        """Its log lines and all that it prints become ours, under its name."""
        logger = logging.getLogger(f"eegd.plugin.{plugin.name}")
        async for line in _lines(stderr):
            level, found, text = line.partition(": ")
            if not (found and level in LEVELS):
                level, text = "INFO", line
            if level == "ERROR":
                plugin.last_error = text[:500]
            logger.log(LEVELS[level], "%s", text)

    async def _end(self, plugin: Supervised, *, replaced: bool = False) -> None:
        """Asks it to end, and makes it end. Readers of a replaced one wait for the next."""
        alive = plugin.pid is not None
        plugin.state = "stopping" if alive else "stopped"
        if alive:
            assert plugin.process is not None
            assert plugin.process.stdin is not None
            if replaced:
                plugin.process.stdin.close()
            else:
                _signal(plugin.process, signal.SIGTERM)
            if plugin.task is not None:
                await asyncio.wait([plugin.task], timeout=KILL_AFTER_S)
            if plugin.pid is not None:
                log.warning("plugin %s does not end; it is killed", plugin.name)
                _signal(plugin.process, signal.SIGKILL)
                await plugin.process.wait()
        if plugin.task is not None and not plugin.task.done():
            plugin.task.cancel()
            await asyncio.wait([plugin.task])
        plugin.state = "stopped"

    def _tell(self, kind: str, plugin: Supervised, code: int | None, **facts: object) -> None:
        how = ""
        if code is not None:
            how = f": exit code {code}" if code >= 0 else f": {signal.Signals(-code).name}"
        if kind in ("plugin died", "plugin held") and plugin.last_error:
            how += f": {plugin.last_error}"
        level = logging.WARNING if kind in ("plugin died", "plugin held") else logging.INFO
        log.log(level, "%s %s%s", kind, plugin.name, how)
        self._events.post(
            kind,
            f"{plugin.name}{how}",
            value=code,
            source=plugin.name,
            pid=plugin.process.pid if plugin.process is not None else None,
            restarts=plugin.restarts,
            **facts,
        )


async def _lines(stream: asyncio.StreamReader) -> Any:
    """Lines as text, the ends of overlong ones cut off."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue
        if not line:
            return
        yield line.decode(errors="replace").rstrip("\n")


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
