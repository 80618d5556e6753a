"""The board that a configuration names: of this computer, or emulated; and what its frames say of their origin."""

from __future__ import annotations

import os

from eegd.board import Board
from eegd.config import Config
from eegd.errors import ConfigError
from eegd.frame import FLAGS
from eegd.linux import open_linux_board
from eegd.sim import open_sim_board, sim_flags

__all__ = ["check_cpu", "frame_flags", "open_board"]


def check_cpu(config: Config) -> None:
    """Raises ConfigError where this computer has no such core."""
    cpu, n_cpus = config.daemon.cpu, os.cpu_count()
    if cpu is not None and n_cpus is not None and cpu >= n_cpus:
        raise ConfigError(f"[daemon] cpu = {cpu}: this computer has cores 0 to {n_cpus - 1}")


def open_board(config: Config) -> Board:
    """Opens it; the caller owns it. ConfigError or BoardError where this computer does not have it."""
    check_cpu(config)
    if config.board.kind == "sim":
        return open_sim_board(config)
    return open_linux_board(config)


def frame_flags(config: Config) -> int:
    """Flags that every frame of this configuration carries: what tells that data are not a person's."""
    flags = sim_flags(config) if config.board.kind == "sim" else 0
    return flags | FLAGS.get(config.board.input.replace("_", " "), 0)
