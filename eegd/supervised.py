"""One plugin as the daemon's child: its process and its life, from the wish that it run to the end of that wish.

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
from collections.abc import AsyncIterator, Iterable
from typing import Any, Protocol

from eegd.runner import EXIT_FAILED, EXIT_REFUSED

__all__ = ["KILL_AFTER_S", "WAITING", "Events", "Supervised"]

log = logging.getLogger(__name__)

BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
BUDGET = 5
BUDGET_WINDOW_S = 60.0
"""Deaths within the window that are made good; one more, and the plugin is held."""
KILL_AFTER_S = 1.5
"""Less than the 2 s that the service manager gives the whole daemon."""
WAITING = "waiting for input"
LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}
LONGEST_LINE = 64 * 1024


class Events(Protocol):
    """Where events go (eegd.events.EventPublisher)."""

    def post(self, kind: str, label: str, *, value: float | None = None, source: str = "eegd", **facts: Any) -> Any: ...


class Supervised:
    """One plugin: started, restarted after each death, held after too many. Control thread only.

    state: starting, running, waiting for input, restarting, ended (in order), held (not restarted), stopping, stopped.
    """

    def __init__(self, name: str, arguments: tuple[str, ...], events: Events, input_stream: str | None = None) -> None:
        """arguments: of its command line; other ones mean another process. input_stream: what the configuration says
        of its input; None leaves it to the plugin."""
        self.name = name
        self.arguments = arguments
        self.state = "starting"
        self.restarts = 0
        self.progress_s = 0.0
        """When it last took a frame, on the monotonic clock."""
        self._events = events
        self._input = input_stream
        self._process: asyncio.subprocess.Process | None = None
        self._deaths: deque[float] = deque(maxlen=BUDGET + 1)
        self._facts: dict[str, object] = {}
        """As the plugin told last: input, frames_in, frames_out, errors, missed, overruns."""
        self._last_error = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def start(self, after: Iterable[asyncio.Task[None]] = ()) -> None:
        """Starts it once those tasks have ended, and keeps it running. Needs a running loop."""
        self._task = asyncio.create_task(self._keep(list(after)))

    async def end(self, *, replaced: bool = False) -> None:
        """Asks it to end, and makes it end. Readers of a replaced one wait for the next."""
        alive = self.pid is not None
        self.state = "stopping" if alive else "stopped"
        if alive:
            assert self._process is not None
            assert self._process.stdin is not None
            if replaced:
                self._process.stdin.close()
            else:
                self._signal(signal.SIGTERM)
            if self._task is not None:
                await asyncio.wait([self._task], timeout=KILL_AFTER_S)
            if self.pid is not None:
                log.warning("plugin %s does not end; it is killed", self.name)
                self._signal(signal.SIGKILL)
                await self._process.wait()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        self.state = "stopped"

    def report(self) -> dict[str, object]:
        """Its row in the status."""
        return {
            "name": self.name,
            "state": self.state,
            "pid": self.pid,
            "restarts": self.restarts,
            **({"input": self._input} | self._facts),
            "last_error": self._last_error,
        }

    # ---- its life ----

    async def _keep(self, after: list[asyncio.Task[None]]) -> None:
        """Starts it, and again after each death, until it ends in order, is held, or is to be stopped."""
        if after:
            await asyncio.wait(after)  # the one before may still own the stream
        while True:
            try:
                code = await self._run_once()
            except OSError as error:  # no process, no memory, no descriptors
                code, self._last_error = EXIT_FAILED, f"cannot be started: {error.strerror}"
            if self.state in ("stopping", "stopped"):
                self.state = "stopped"
                return
            if code == 0:
                self.state = "ended"
                self._tell("plugin ended", code)
                return
            self._deaths.append(time.monotonic())
            recent = [at for at in self._deaths if at > time.monotonic() - BUDGET_WINDOW_S]
            if code == EXIT_REFUSED or len(recent) > BUDGET:
                self.state = "held"
                self._tell("plugin held", code)
                return
            delay_s = BACK_OFF_S[min(len(recent), len(BACK_OFF_S)) - 1]
            self.state = "restarting"
            self._tell("plugin died", code, restart_in_s=delay_s)
            await asyncio.sleep(delay_s)
            self.restarts += 1

    async def _run_once(self) -> int:
        self.state = "starting"
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "eegd.runner",
            *self.arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
        )
        self._tell("plugin started", None)
        assert process.stdout is not None
        assert process.stderr is not None
        hearing = asyncio.gather(self._hear(process.stdout), self._log(process.stderr))
        code = await process.wait()
        with contextlib.suppress(TimeoutError):  # a process that the plugin left behind may hold the pipes
            await asyncio.wait_for(hearing, KILL_AFTER_S)
        return code

    # ---- what it says ----

    async def _hear(self, stdout: asyncio.StreamReader) -> None:
        """The plugin's reports, twice a second."""
        async for line in _lines(stdout):
            with contextlib.suppress(ValueError):
                facts = json.loads(line)
                if not isinstance(facts, dict):
                    continue
                if facts.get("frames_in") != self._facts.get("frames_in"):
                    self.progress_s = time.monotonic()
                state = facts.pop("state", None)
                if isinstance(state, str) and self.state not in ("stopping", "stopped"):
                    self.state = state
                self._facts = facts

    async def _log(self, stderr: asyncio.StreamReader) -> None:
        """Its log lines and all that it prints become ours, under its name."""
        logger = logging.getLogger(f"eegd.plugin.{self.name}")
        async for line in _lines(stderr):
            level, found, text = line.partition(": ")
            if not (found and level in LEVELS):
                level, text = "INFO", line
            if level == "ERROR":
                self._last_error = text[:500]
            logger.log(LEVELS[level], "%s", text)

    def _tell(self, kind: str, code: int | None, **facts: object) -> None:
        how = ""
        if code is not None:
            how = f": exit code {code}" if code >= 0 else f": {signal.Signals(-code).name}"
        if kind in ("plugin died", "plugin held") and self._last_error:
            how += f": {self._last_error}"
        level = logging.WARNING if kind in ("plugin died", "plugin held") else logging.INFO
        log.log(level, "%s %s%s", kind, self.name, how)
        self._events.post(
            kind,
            f"{self.name}{how}",
            value=code,
            source=self.name,
            pid=self._process.pid if self._process is not None else None,
            restarts=self.restarts,
            **facts,
        )

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines as text, the ends of overlong ones cut off."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue
        if not line:
            return
        yield line.decode(errors="replace").rstrip("\n")
