"""What a daemon would refuse as it starts, or would hold a plugin for, found without starting one.

Nothing of the board is opened and nothing is made. No plugin is started, but the plugins' files are loaded, in a
process of their own (eegd.plugin_check).
"""

from __future__ import annotations

import asyncio
import grp
import os
from pathlib import Path

from eegd.clocks import split_clocks, stream_names
from eegd.config import Config
from eegd.conversion import check_feasible
from eegd.epoch import pool_size
from eegd.errors import ConfigError, EegdError
from eegd.marker_lines import check_triggers
from eegd.open_board import check_cpu
from eegd.planned_plugins import check_planned_plugins
from eegd.replay import load_recording
from eegd.runtime_dir import check_dir
from eegd.schema import Problems, show
from eegd.sim import check_recording

__all__ = ["check_start"]


def check_start(config: Config, problems: Problems) -> list[str]:
    """Adds to what eegd.config.examine_config found. Returns warnings about what may not work.

    Tables in which something is wrong already are left out: what they would mean nobody knows.
    """
    warnings: list[str] = []
    if problems.sound("board", "montage"):
        try:
            warnings += check_feasible(config.board, config.montage)
        except ConfigError as error:
            problems.relay(error)
    if problems.sound("board", "montage", "stream", "sim"):
        try:
            for part in split_clocks(config):
                pool_size(part, config.sim.clock == "virtual")
        except ConfigError as error:
            problems.relay(error)
    if config.board.kind == "sim":
        _check_emulation(config, problems)
    warnings += _check_process(config, problems)
    raw = dict(zip(stream_names(config), split_clocks(config), strict=True))
    rates = {name: float(part.board.rate_sps) for name, part in raw.items()} if problems.sound("board") else {}
    labels = {name: [channel.label for channel in part.montage.on] for name, part in raw.items()}
    if not problems.sound("board", "montage"):
        labels = {}
    warnings += asyncio.run(check_planned_plugins(config.plugins, list(raw), rates, labels, problems))
    return warnings


def _check_emulation(config: Config, problems: Problems) -> None:
    """Files that the emulated board plays."""
    file = config.replay.file
    if file is not None and problems.sound("board", "replay"):
        try:
            check_recording(load_recording(file, config.replay.format), config)
        except ConfigError as error:
            problems.relay(error)
        except (EegdError, OSError) as error:
            problems.add("replay", "file", str(error).removeprefix(f"{file}: "), file)
    if problems.sound("board", "sim", "marker", "trigger"):
        try:
            check_triggers(config)
        except ConfigError as error:
            problems.relay(error)


def _check_process(config: Config, problems: Problems) -> list[str]:
    """[daemon]: what this computer does not have. Returns what only another user than this one may be able to do."""
    warnings = []
    daemon = config.daemon
    try:
        check_cpu(config)
    except ConfigError as error:
        problems.relay(error)
    if daemon.group is not None:
        try:
            grp.getgrnam(daemon.group)
        except KeyError:
            text = f"no such group on this computer; make it with: sudo groupadd --system {daemon.group}"
            problems.add("daemon", "group", text, daemon.group)
    if daemon.runtime_dir is not None:
        wanted = Path(daemon.runtime_dir)
        try:
            check_dir(wanted)
        except ConfigError as error:
            text = str(error).removeprefix(f"runtime directory {wanted}: ")
            problems.add("daemon", "runtime_dir", text, daemon.runtime_dir)
        there = next((path for path in (wanted, *wanted.parents) if path.exists()), wanted)
        if not os.access(there, os.W_OK):
            warnings.append(f"[daemon] runtime_dir = {show(daemon.runtime_dir)}: this user may not write to {there}")
    return warnings
