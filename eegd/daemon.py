"""The daemon: acquisition, events, control and plugins, in the order in which they depend on each other.

One asyncio loop is the control thread. Samples never pass through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import zmq

from eegd.acquisition import Acquisition
from eegd.acquisitions import Acquisitions
from eegd.changes import classify_changes, with_board, with_channel
from eegd.check_file import CheckFile, state_dir
from eegd.config import Config, load_config
from eegd.control import Answer, ControlServer
from eegd.detector_config import ROWS
from eegd.errors import ConfigError, EegdError
from eegd.events import EventPublisher
from eegd.frame import flag_names
from eegd.health import Health
from eegd.journal import stderr_is_journal
from eegd.libzmq import load_libzmq
from eegd.marker_lines import open_markers
from eegd.memory import io_thread_priority, lock_memory
from eegd.notify import Notifier
from eegd.plugin_operations import plugin_operations
from eegd.posted import PostedEvents
from eegd.runtime_dir import Lock, default_dir, prepare_dir
from eegd.status import daemon_info, daemon_status, status_line, summary_line
from eegd.supervisor import Supervisor
from eegd.turns import PATIENCE_S

__all__ = ["Daemon", "run_daemon"]

log = logging.getLogger(__name__)

TICK_S = 0.5
DRAIN_S = 30.0
"""How long plugins may take to finish a replay that has ended."""
WIND_DOWN_S = 0.5
"""How long a stop waits, on the virtual clock, for readers that hold it up."""
MAX_ZMQ_SOCKETS = 256


def _runtime_directory(config: Config) -> Path:
    """Prepared, and open to the configured group."""
    wanted = config.daemon.runtime_dir
    directory = prepare_dir(Path(wanted) if wanted else default_dir())
    if config.daemon.group is not None:
        try:
            os.chown(directory, -1, grp.getgrnam(config.daemon.group).gr_gid)
            directory.chmod(0o2750)  # sockets made here get the directory's group
        except KeyError:
            raise ConfigError(f"[daemon] group = {config.daemon.group!r}: no such group") from None
        except OSError as error:
            raise ConfigError(f"[daemon] group = {config.daemon.group!r}: {error.strerror}") from None
    return directory


class Daemon:
    """One daemon. Everything here runs on the control thread.

    Raises EegdError or OSError where it cannot start, and then leaves nothing behind; else `run` takes it down.
    """

    def __init__(self, config: Config, overrides: Mapping[str, object]) -> None:
        self.pid = os.getpid()
        self.started_s = time.monotonic()
        self._overrides = dict(overrides)
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._replay_over = False
        self._tasks: set[asyncio.Task[None]] = set()
        os.umask(0o007)
        load_libzmq()
        with contextlib.ExitStack() as undo:
            self._set_up(config, undo)
            self._undo = undo.pop_all()

    def _set_up(self, config: Config, undo: contextlib.ExitStack) -> None:
        """Opens everything, in the order of dependence; `undo` closes it in reverse."""
        self.directory = _runtime_directory(config)
        end_it = f"; to end that daemon: eegctl --runtime-dir {self.directory} stop; beside it: another --runtime-dir"
        lock = Lock(self.directory / "eegd.lock", end_it)
        undo.callback(lock.release)
        warnings = lock_memory()
        self._io: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        undo.callback(self._io.destroy, linger=100)
        # Outlets have a context of their own, so that nothing else takes the lock of its I/O thread.
        outlet_io: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        undo.callback(outlet_io.destroy, linger=0)
        outlet_io.set(zmq.MAX_SOCKETS, MAX_ZMQ_SOCKETS)
        warnings += io_thread_priority(outlet_io, config.daemon.rt_priority - 2)
        self.events = EventPublisher(self.directory, self._io)
        undo.callback(self.events.close)
        self.notifier = Notifier()
        self.acquisitions = Acquisitions(config, self.directory, outlet_io, self.events, self._on_replay_over)
        undo.callback(self.acquisitions.close)
        self.health = Health(self.notifier, list(self.acquisitions), lambda: status_line(self.acquisitions))
        for warning in warnings:
            self.acquisition.warn(warning)
        if self.notifier.has_manager and self.acquisition.flags:
            self.acquisition.warn(f"these data are no person's: {', '.join(flag_names(self.acquisition.flags))}")
        self.supervisor = Supervisor(
            self.directory, config.plugins, self.events, [acquisition.stream for acquisition in self.acquisitions]
        )
        self.markers = open_markers(config, self.events, self.acquisitions)
        if self.markers is not None:
            undo.callback(self.markers.close)
        self.posted = PostedEvents(self.events, list(self.acquisitions))
        self.check_file = CheckFile(state_dir(self.directory))
        control = ControlServer(
            self.directory,
            {
                "info": lambda _: daemon_info(self),
                "status": lambda _: {"status": daemon_status(self)},
                "counters": lambda _: ({}, [self.acquisitions.counters.fd]),
                "recent_events": lambda _: {"events": list(self.events.recent)},
                "board": self._op_board,
                "channel": self._op_channel,
                "post": self.posted.post,
                "reload": lambda _: self.reload(),
                "stop": self._op_stop,
                "keep_check": self._op_keep_check,
                "last_check": lambda _: {"check": self.check_file.last()},
                **plugin_operations(self.supervisor),
            },
        )
        undo.callback(control.close)
        loop = asyncio.get_running_loop()
        for number, handler in (
            (signal.SIGINT, self.stop),
            (signal.SIGTERM, self.stop),
            (signal.SIGHUP, self._on_sighup),
        ):
            loop.add_signal_handler(number, handler)
            undo.callback(loop.remove_signal_handler, number)

    @property
    def config(self) -> Config:
        """What is in force now."""
        return self.acquisitions.config

    @property
    def acquisition(self) -> Acquisition:
        """Of the stream `raw`; most boards have no other."""
        return self.acquisitions.first

    @property
    def virtual_clock(self) -> bool:
        return self.acquisition.board.virtual_clock

    @property
    def summary(self) -> str:
        return summary_line(self.acquisitions.counters.values())

    # ---- running ----

    async def run(self, wait_readers: int = 0) -> int:
        """Until stopped, or a replay is over; returns the exit code. Conversions wait for so many readers."""
        watch = asyncio.create_task(self.health.run(wait_readers))
        watch.add_done_callback(self._on_done)
        try:
            self.supervisor.start()
            for acquisition in self.acquisitions:
                self._spawn(self._follow(acquisition, wait_readers))
            return await self._code
        finally:
            await self._shut_down()
            watch.cancel()

    async def _follow(self, acquisition: Acquisition, wait_readers: int) -> None:
        await acquisition.begin(wait_readers)
        while not acquisition.closing:
            cause = await acquisition.look(TICK_S)
            if cause is not None:
                await acquisition.recover(cause)
            acquisition.watch_readers()

    def stop(self) -> None:
        """Has `run` end, with exit code 0."""
        self.acquisitions.let_end()
        if not self._code.done():
            self._code.set_result(0)

    def _on_replay_over(self) -> None:
        self._replay_over = True
        self.stop()

    async def _shut_down(self) -> None:
        """Samples first, then those who still work on them, then everything else in reverse order."""
        if not self._replay_over:  # then plugins may take long, and a manager that knew would cut them short
            self.notifier.stopping()
        with self._undo:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # the board is nobody else's from here on
            await self.acquisitions.wind_down(WIND_DOWN_S)
            self.acquisitions.close()
            self.health.end()
            if stderr_is_journal():  # now, since a plugin that hangs may use up the time that is left
                self.health.sum_up(self.summary)
            await self.supervisor.stop(patience_s=DRAIN_S if self._replay_over else 0.0)
            self.events.post("stopped", self.summary)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not self._code.done():
            self._code.set_exception(task.exception() or EegdError("unknown"))

    # ---- operations ----

    def _op_stop(self, _: Mapping[str, Any]) -> Answer:
        self.stop()
        return {}

    def _op_keep_check(self, request: Mapping[str, Any]) -> Answer:
        self.check_file.keep(request.get("result"))
        self.events.post("check", f"electrode check kept in {self.check_file.path}")
        return {"path": str(self.check_file.path)}

    def _op_board(self, request: Mapping[str, Any]) -> Answer:
        return self._reconfigure(with_board(self.config, _settings(request)))

    def _op_channel(self, request: Mapping[str, Any]) -> Answer:
        label = request.get("label")
        if not isinstance(label, str):
            raise ConfigError("a channel's label is wanted, as in `eegctl channel Oz gain=12`")
        return self._reconfigure(with_channel(self.config, label, _settings(request)))

    def _reconfigure(self, config: Config, *, is_read_again: bool = False) -> Mapping[str, object]:
        live, renewed, restart = classify_changes(self.config, config)
        if restart:
            raise ConfigError(f"needs a restart of the daemon: {', '.join(restart)}")
        n_epochs = self.acquisitions.n_epochs
        streams, work = self.acquisitions.apply(config)  # refuses before anything stops
        if work is not None:
            self._spawn(work)
        logging.getLogger("eegd").setLevel(config.daemon.log_level.upper())
        if is_read_again:
            self.supervisor.read_again(config.plugins)
        self.supervisor.apply(config.plugins)
        epochs = {stream: n_epochs[stream] for stream in streams}
        return {"changed": live + renewed, "new_epoch": bool(streams), "epochs": epochs}

    def _on_sighup(self) -> None:
        self.health.reload()
        self._spawn(self._reload())

    async def _reload(self) -> None:
        try:
            log.info("reloaded: %s", await self.reload(patience_s=None))  # nobody would ask again
        except EegdError as error:
            log.error("reload refused, nothing was changed: %s", error)
        except Exception:  # such as no process to look at plugins in; nobody may lose samples for that
            log.exception("reload failed")
        self.health.look()

    async def reload(self, patience_s: float | None = PATIENCE_S) -> Mapping[str, object]:
        """Reads the file again: live keys at once, chip settings through a new epoch; names what needs a restart.
        Plugins are looked at before anything is changed. patience_s: how long another change may be waited for."""
        async with self.supervisor.turns.turn("reload", patience_s):
            return await self._read_again()

    async def _read_again(self) -> Mapping[str, object]:
        config = load_config(self.config.path, self._overrides, self.config.base)
        await self.supervisor.check(config.plugins)
        _, _, restart = classify_changes(self.config, config)
        answer = dict(self._reconfigure(_without(config, self.config, restart), is_read_again=True))
        for key in restart:
            log.warning("%s: changed in the file, but needs a restart of the daemon", key)
        return {**answer, "needs_restart": restart}


def _without(config: Config, running: Config, keys: list[str]) -> Config:
    """The configuration with these keys (table.name) as they are in the running one."""
    kept: dict[str, dict[str, object]] = {}
    for key in keys:
        table, _, name = key.partition(".")
        if table in ROWS:
            field = ROWS[table][0]
            config = replace(config, **{field: getattr(running, field)})
            continue
        kept.setdefault(table, {})[name] = getattr(getattr(running, table), name)
    tables = {table: replace(getattr(config, table), **values) for table, values in kept.items()}
    return replace(config, **tables)


def _settings(request: Mapping[str, Any]) -> dict[str, str]:
    settings = request.get("settings")
    if not isinstance(settings, dict) or not settings or not all(isinstance(text, str) for text in settings.values()):
        raise ConfigError("settings as name=value are wanted, as in `eegctl board rate=500`")
    return settings


def run_daemon(
    config: Config,
    overrides: Mapping[str, object],
    wait_readers: int = 0,
    on_ready: Callable[[Daemon], None] = lambda daemon: None,
) -> tuple[int, str]:
    """Runs a daemon until it ends; returns exit code and summary line. Raises EegdError where it cannot start.

    on_ready: called once readers can attach.
    """

    async def run() -> tuple[int, str]:
        daemon = Daemon(config, overrides)
        on_ready(daemon)
        code = await daemon.run(wait_readers)
        return code, daemon.summary

    return asyncio.run(run())
