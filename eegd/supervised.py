"""One plugin as the daemon's child: its process and its life, from the wish that it run to the end of that wish."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from eegd.child import Child, how_it_ended
from eegd.liveness import Liveness
from eegd.plugin_log import PluginLog, without_name
from eegd.plugin_report import ENDED, EXIT_FAILED, EXIT_REFUSED, read_report
from eegd.process import is_stopped, is_traced, memory_of

__all__ = ["KILL_AFTER_S", "WAITING", "Events", "Supervised"]

log = logging.getLogger(__name__)

BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
BUDGET = 5
BUDGET_WINDOW_S = 60.0
"""Deaths within the window that are made good; one more, and the plugin is held."""
KILL_AFTER_S = 1.5
"""Less than the 2 s that the service manager gives the whole daemon."""
LOOK_S = 0.25
ABORT_S = 1.0
"""After SIGABRT, by which the process says where it hangs, until SIGKILL."""
WAITING = "waiting for input"
STATES = ("starting", "running", WAITING)
"""That a plugin may say of itself."""


class Events(Protocol):
    """Where events go (eegd.events.EventPublisher)."""

    def post(self, kind: str, label: str, *, value: float | None = None, source: str = "eegd", **facts: Any) -> Any: ...


class Supervised:
    """One plugin: started, restarted after each death, held after too many. Control thread only.

    state: starting, running, waiting for input, restarting, ended (in order), held (not restarted), stopping, stopped.
    """

    def __init__(
        self,
        name: str,
        arguments: tuple[str, ...],
        events: Events,
        *,
        input_stream: str | None = None,
        memory_mb: float = 0.0,
        plugin: str | None = None,
        chain: Sequence[str] = (),
        given: Mapping[str, object] | None = None,
        on_input: Callable[[], None] = lambda: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """arguments: of its command line; other ones mean another process. input_stream: what the configuration says
        of its input; None leaves it to the plugin. memory_mb, plugin, chain: its limit, which plugin it is, and its
        stages if it is a chain, for the report. given: parameters that were set live. on_input: called when the plugin
        has told what it reads. on_end: called when a process of it is no more."""
        self.name = name
        self.arguments = arguments
        self.hang_s = 0.0
        """After so long without an answer it is restarted; 0: never."""
        self._state = "starting"
        self._since_s = time.monotonic()
        """When that began."""
        self._restart_at_s = 0.0
        self.restarts = 0
        self.hangs = 0
        self.progress_s = 0.0
        """When it last took a frame, on the monotonic clock."""
        self._events = events
        self._input = input_stream
        self._memory_mb = memory_mb
        self._plugin = None if chain else plugin or name
        self._chain = list(chain)
        self._given = given or {}
        self._on_input = on_input
        self._on_end = on_end
        self.refused = False
        """Held by others than itself: it does not fit into the graph."""
        self._child: Child | None = None
        self._deaths: deque[float] = deque(maxlen=BUDGET + 1)
        self._facts: dict[str, object] = {}
        """As the plugin told last: input, frames_in, frames_out, errors, missed, overruns."""
        self._liveness = Liveness(2 * LOOK_S)
        self._log = PluginLog(name, self._on_error)
        self._hung = ""
        """How the process that runs, or ran last, was found to hang."""
        self._said_end = False
        """It has ended in order; a process that exits without a word has not."""
        self._said_error = False
        self._last_error = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        if state != self._state:
            self._state, self._since_s = state, time.monotonic()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and not self._child.has_ended else None

    @property
    def is_begun(self) -> bool:
        return self._task is not None

    @property
    def has_worked(self) -> bool:
        """It has had frames, in this process or the one before."""
        return bool(self._facts.get("frames_in"))

    @property
    def input(self) -> str | None:
        """The stream that it reads, as it says, or else as the configuration does; None: not known yet."""
        told = self._facts.get("input", self._input)
        return None if told is None else str(told)

    @property
    def given(self) -> Mapping[str, object]:
        """Parameters that were set while it ran; a process that takes its place begins with them."""
        told = self._facts.get("set")
        return told if isinstance(told, dict) else self._given

    @property
    def readers(self) -> list[str]:
        """Who has its stream open, plugins included."""
        told = self._facts.get("readers")
        return list(map(str, told)) if isinstance(told, list) and self.pid is not None else []

    def hold(self, reason: str) -> None:
        """It does not fit into the graph, for this reason. It must not run."""
        self.refused, self.state, self._last_error = True, "held", without_name(self.name, reason)
        self._tell("plugin held", None)

    def start(self, after: Iterable[asyncio.Task[None]] = ()) -> None:
        """Starts it once those tasks have ended, and keeps it running. Needs a running loop."""
        self._task = asyncio.create_task(self._keep(list(after)))

    async def end(self, *, replaced: bool = False) -> None:
        """Asks it to end, and makes it end. Readers of a replaced one wait for the next."""
        alive = self.pid is not None
        self.state = "stopping" if alive else "stopped"
        if alive:
            assert self._child is not None
            assert self._task is not None
            if replaced:
                self._child.close_input()
            else:
                self._child.send(signal.SIGTERM)
            await asyncio.wait([self._task], timeout=KILL_AFTER_S)
            if self.pid is not None:
                log.warning("plugin %s does not end; it is killed", self.name)
                self._child.send(signal.SIGKILL)
                await asyncio.wait([self._task], timeout=KILL_AFTER_S)
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        self.state = "stopped"

    def report(self) -> dict[str, object]:
        """Its row in the status."""
        waits = self.state == "restarting"
        return {
            "name": self.name,
            "plugin": self._plugin,
            "chain": self._chain,
            "state": self.state,
            "state_s": round(time.monotonic() - self._since_s, 1),
            "restart_in_s": max(0.0, round(self._restart_at_s - time.monotonic(), 1)) if waits else None,
            "refused": self.refused,
            "pid": self.pid,
            "restarts": self.restarts,
            "hangs": self.hangs,
            "memory_mb": self._memory_mb or None,
            **(memory_of(self.pid) if self.pid is not None else {}),
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
                self._said_error = True
            if self.state in ("stopping", "stopped"):
                self.state = "stopped"
                return
            if self._said_end and (code == 0 or self._hung):
                self.state = ENDED
                self._tell("plugin ended", code)
                return
            self._note_death(code)
            recent = [at for at in self._deaths if at > time.monotonic() - BUDGET_WINDOW_S]
            if code == EXIT_REFUSED or len(recent) > BUDGET:
                self.state = "held"
                self._tell("plugin held", code)
                return
            delay_s = BACK_OFF_S[min(len(recent), len(BACK_OFF_S)) - 1]
            self.state, self._restart_at_s = "restarting", time.monotonic() + delay_s
            self._tell("plugin hung" if self._hung else "plugin died", code, restart_in_s=delay_s)
            await asyncio.sleep(delay_s)
            self.restarts += 1

    async def _run_once(self) -> int:
        self.state = "starting"
        self._liveness = Liveness(2 * LOOK_S)
        self._log.begin()
        self._hung, self._said_end, self._said_error = "", False, False
        child = self._child = Child(
            [
                *(sys.executable, "-m", "eegd.runner", *self.arguments),
                *(("--set", json.dumps(self.given)) if self.given else ()),
            ],
            self._hear,
            self._log.hear,
        )
        self._tell("plugin started", None)
        watching = asyncio.create_task(self._watch())
        try:
            code = await child.wait()
        finally:
            watching.cancel()
            self._on_end()
            self._log.tell_stopped()
            if n := child.n_left_behind:
                log.warning("plugin %s left %d process%s behind, which %s killed", self.name, n, *_numbered(n))
        return code

    def _note_death(self, code: int) -> None:
        """Into the budget, and into the last error where it did not live to log why."""
        at = f"; it was at {self._log.where}" if self._log.where else ""
        if self._hung:
            self.hangs += 1
            self._last_error = f"hung: {self._hung}{at}"
            # The time that it hung is none in which it could have died again.
            self._deaths = deque((s + self._liveness.without_answer_s for s in self._deaths), self._deaths.maxlen)
        elif at or not self._said_error:
            self._last_error = f"{how_it_ended(code)}{at or ', without a word'}"
        self._deaths.append(time.monotonic())

    # ---- is it alive ----

    async def _watch(self) -> None:
        """Ends it when it hangs."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._liveness.step()
            pid = self.pid
            if pid is None or self.state in ("stopping", "stopped"):
                return
            hung = self._liveness.hangs(self.hang_s)
            if hung and is_traced(pid):
                self._liveness.excuse()
            elif hung:
                await self._abort(pid, hung)
                return

    async def _abort(self, pid: int, hung: str) -> None:
        self._hung = hung + (", stopped by a signal" if is_stopped(pid) else "")
        log.warning("plugin %s hangs: %s; it is ended", self.name, self._hung)
        self._signal(signal.SIGABRT)
        await asyncio.sleep(ABORT_S)
        if self.pid is not None:
            self._signal(signal.SIGKILL)

    # ---- what it says ----

    def _hear(self, line: str) -> None:
        """The plugin's reports, twice a second."""
        facts = read_report(line)
        if not facts:
            return
        self._liveness.heard(facts.get("state"), facts.pop("busy", None))
        if facts.get("frames_in") != self._facts.get("frames_in"):
            self.progress_s = time.monotonic()
        state = facts.pop("state", None)
        if state == ENDED:
            self._said_end = True
        elif state in STATES and self.state not in ("stopping", "stopped"):
            self.state = state
        before, self._facts = self.input, facts
        if self.input != before:
            self._on_input()

    def _on_error(self, text: str) -> None:
        self._last_error, self._said_error = text, True

    def _tell(self, kind: str, code: int | None, **facts: object) -> None:
        how = "" if code is None else f": {how_it_ended(code)}"
        fields = {"EEGD_PLUGIN": self.name}
        bad = kind in ("plugin died", "plugin hung", "plugin held")
        if bad and self._last_error:
            told = code is None or self._last_error.startswith(how_it_ended(code))
            how = f": {self._last_error}" if told else f"{how}: {self._last_error}"
        log.log(logging.WARNING if bad else logging.INFO, "%s %s%s", kind, self.name, how, extra=fields)
        self._events.post(
            kind,
            f"{self.name}{how}",
            value=code,
            source=self.name,
            pid=self._child.pid if self._child is not None else None,
            restarts=self.restarts,
            **facts,
        )

    def _signal(self, number: int) -> None:
        if self._child is not None:
            self._child.send(number)


def _numbered(n: int) -> tuple[str, str]:
    """Ending and verb."""
    return ("es", "were") if n > 1 else ("", "was")
