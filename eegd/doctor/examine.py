"""One examination: which configuration, which daemon, and the checks of computer, daemon and board in their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from eegd.clocks import split_clocks
from eegd.config import Config, load_config
from eegd.doctor import service, system, tuning
from eegd.doctor.board import BoardOptions, check_board
from eegd.doctor.check import Context, Level, Result, apply_fixes, run_checks
from eegd.doctor.linescan import HeaderScan, candidates
from eegd.doctor.loopback import loopback_check
from eegd.doctor.probe import System
from eegd.doctor.running import Running, find_running, lock_holder, start_again, stop_running
from eegd.errors import EegdError
from eegd.runtime_dir import SERVICE_DIR, default_dir

__all__ = ["Examination", "Options", "examine"]

REGISTERED = (system, tuning, service)
"""Modules whose import fills the list of checks, in its order."""
DEVICES = ("SPI devices", "GPIO chip", "GPIO lines")
"""What is red among these is why a board cannot be opened."""
EMULATED = "the emulated board was examined; --config FILE examines yours"
SERVICE_CONFIG = "etc/eegd/eegd.toml"
"""What eegd.service runs with."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    config: str | None = None
    board: str | None = None
    runtime_dir: str | None = None
    simulate: bool = False
    stop: bool = False
    fix: bool = False
    frames: int = 500
    """Conversions per SPI clock."""
    loopback: tuple[str, str] | None = None
    """An output line that is wired to an input line; then the lateness of stamps is measured, and nothing else."""


@dataclass(slots=True)
class Examination:
    """All that was found. Synchronization: none."""

    results: list[Result] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        return not any(result.level is Level.RED for result in self.results)


def examine(options: Options, computer: System | None = None) -> Examination:
    """Runs every check that can run. Raises ConfigError for a configuration that cannot be read."""
    computer = computer or System()
    found = Examination()
    config = None
    if options.config or options.board:
        kind = "sim" if options.simulate else "linux" if options.board else None
        config = _config(options.config, kind, options.board)
    running = None if options.simulate else _running(options, config, computer, found.results)
    silent = bool(found.results)
    config = config or _config_of(running, options.simulate, computer, found.remarks)
    if options.loopback is not None:
        return Examination([loopback_check(config.board, *options.loopback)])
    context = Context(computer, config, running)
    found.results += run_checks(context, "system")
    if running is not None:
        found.results += run_checks(context, "service")
    board = [_held()] if silent else _board(context, options, found.remarks)
    causes = [result.check for result in found.results if result.level is Level.RED and result.check in DEVICES]
    found.results += [_told_already(result, causes) for result in board]
    if options.fix:
        found.results = list(apply_fixes(found.results))
    return found


def _config(path: str | None, kind: str | None = None, base: str | None = None) -> Config:
    """The emulated chip goes on a virtual clock: its time is not worth waiting for. Each chip with a clock of its own
    has to be asked for that by itself, later."""
    config = load_config(path, {"board.kind": kind}, base)
    if config.board.clocks == "own":
        return config
    return load_config(path, {"sim.clock": "virtual", "board.kind": kind}, base)


def _config_of(running: Running | None, simulate: bool, computer: System, remarks: list[str]) -> Config:
    """Without a file: what the running daemon uses, else the service's file, else the defaults."""
    if running is not None:
        kind = "sim" if str(running.status["board"]).startswith("sim") else "linux"
        path, base = running.status["config"], running.status.get("base")
        return _config(str(path) if path else None, kind, str(base) if base else None)
    installed = computer.path(SERVICE_CONFIG)
    if installed.exists() and not simulate:
        remarks.append(f"the board of {computer.shown(installed)} was examined")
        return _config(str(installed))
    if not simulate:
        remarks.append(EMULATED)
    return _config(None, "sim")


def _running(options: Options, config: Config | None, computer: System, results: list[Result]) -> Running | None:
    directory = options.runtime_dir or (config.daemon.runtime_dir if config is not None else None)
    try:
        running = find_running(directory, computer)
    except EegdError as error:
        results.append(_silent(f"a daemon is there but does not answer: {error}", "eegd"))
        return None
    if running is None:
        for place in (Path(directory),) if directory else (default_dir(), SERVICE_DIR):
            holder = lock_holder(place)
            if holder is not None:
                results.append(_silent(f"process {holder} holds {place} but does not answer", holder))
    return running


def _silent(found: str, who: str) -> Result:
    mend = f"kill {who}" if who.isdecimal() else "sudo systemctl restart eegd"
    return Result("daemon", Level.RED, found, "it starts, hangs, or belongs to another user", mend, group="service")


def _board(context: Context, options: Options, remarks: list[str]) -> Iterator[Result]:
    """The board's checks; beside a daemon only where it may be stopped for them."""
    running = context.running
    if running is not None and not options.stop:
        yield _held()
        return
    if running is None:
        yield from _check_chips(context, options.frames)
        return
    try:
        remarks.append(stop_running(running, context.system))
    except EegdError as error:
        yield Result("board", Level.RED, str(error), "the daemon has the board", "eegctl stop", group="board")
        return
    refused = ""
    try:
        yield from _check_chips(context, options.frames)
    finally:  # also when interrupted
        if running.unit is not None:
            try:
                remarks.append(start_again(running, context.system))
            except EegdError as error:
                refused = str(error)
    if refused:
        yield Result("daemon", Level.RED, refused, "nothing is acquired until it runs", group="service")


def _told_already(result: Result, causes: list[str]) -> Result:
    """A board that cannot be opened for what is red above is no second fault."""
    if not causes or result.level is not Level.RED or not result.check.startswith("board"):
        return result
    return replace(result, level=Level.NOTE, mend=f"see {', '.join(causes)} above")


def _held() -> Result:
    why = "ID, registers, test signal, noise and SPI clock need it to themselves"
    return Result("board", Level.NOTE, "a daemon has it, and goes on", why, "eegctl doctor --stop", group="board")


def _options(context: Context, frames: int) -> BoardOptions:
    if not context.on_hardware:
        return BoardOptions(frames)
    board = context.config.board
    irq = partial(tuning.bench_irq_thread, context)
    chip, _, _ = system.header_chip(context.system, board.gpio_chip)
    if chip is None:
        return BoardOptions(frames, opened=irq)
    return BoardOptions(frames, scan=HeaderScan(chip, candidates(chip, board.spi, board.lines)), opened=irq)


def _check_chips(context: Context, frames: int) -> Iterator[Result]:
    """The board's checks; chips with clocks of their own are boards of their own."""
    config = context.config
    parts = [replace(part, sim=replace(part.sim, clock="virtual")) for part in split_clocks(config)]
    for number, part in enumerate(parts, start=1):
        for result in check_board(part, _options(context, frames)):
            yield result if len(parts) == 1 else replace(result, check=f"{result.check}, chip {number}")
