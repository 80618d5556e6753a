"""The real board: this computer's SPI devices and GPIO lines as a configuration names them, behind the Board."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any

from eegd._native import ffi, lib
from eegd.board import Board
from eegd.config import Config
from eegd.errors import BoardError
from eegd.gpio import RP1_LABEL, find_lines, open_chip, request_drdy, request_outputs
from eegd.settings import BoardConfig
from eegd.spi import open_spi, rp1_sclk_hz

if TYPE_CHECKING:
    import gpiod

__all__ = ["open_linux_board"]

log = logging.getLogger(__name__)

OUTPUTS = {
    "START": ("start_line", lib.EEGD_LINE_START),
    "RESET": ("reset_line", lib.EEGD_LINE_RESET),
    "PWDN": ("pwdn_line", lib.EEGD_LINE_PWDN),
}


def open_linux_board(config: Config) -> Board:
    """Opens, locks and configures devices and lines; the chips hear nothing yet. The caller closes the board.

    BoardError with the remedy for what this computer lacks, forbids or has given to somebody else; ConfigError for
    lines and chips that it does not have.
    """
    try:
        return _open(config)
    except OSError as error:  # a device that goes away while it is looked at
        raise BoardError(f"opening the board: {error}") from error


def _open(config: Config) -> Board:
    board = config.board
    native = ffi.new("struct eegd_linux_config *")
    # The C board duplicates all descriptors: whatever happens, those of the packages are closed here.
    with contextlib.ExitStack() as stack:
        native.n_spi = len(board.spi)
        for select, path in enumerate(board.spi):
            device = open_spi(path, board.sclk_hz)
            stack.callback(device.close)
            native.spi_fd[select] = device.fileno()
        chip = open_chip(board.gpio_chip)
        stack.callback(chip.close)
        on_rp1 = chip.get_info().label == RP1_LABEL
        _request_lines(chip, board, native, stack)
        error = ffi.new("int *")
        pointer = lib.eegd_board_linux_open(native, error)
        if pointer == ffi.NULL:
            raise BoardError(f"opening the board: {os.strerror(-error[0])}") from OSError(-error[0], "open")
    if on_rp1 and rp1_sclk_hz(board.sclk_hz) != board.sclk_hz:
        log.info("SPI clock: %d Hz asked for, RP1 makes %d Hz", board.sclk_hz, rp1_sclk_hz(board.sclk_hz))
    return Board(pointer, real_sclk_hz=rp1_sclk_hz if on_rp1 else None)


def _request_lines(chip: gpiod.Chip, board: BoardConfig, native: Any, stack: contextlib.ExitStack) -> None:
    """Finds all lines before it requests the first, and writes them into the C configuration."""
    keys = ("drdy_line", "idle_line", *(key for key, _ in OUTPUTS.values()))
    offsets = find_lines(chip, {key: name for key in keys if (name := getattr(board, key)) is not None})
    idle = offsets.get("idle_line")
    drdy = request_drdy(chip, offsets["drdy_line"], idle)
    stack.callback(drdy.release)
    native.drdy_fd, native.drdy_offset = drdy.fd, offsets["drdy_line"]
    native.idle_offset = -1 if idle is None else idle
    native.output_fd = -1
    native.output_index = [-1] * len(OUTPUTS)
    wired = {name: offsets[key] for name, (key, _) in OUTPUTS.items() if key in offsets}
    if not wired:
        return
    outputs = request_outputs(chip, wired)
    stack.callback(outputs.release)
    native.output_fd = outputs.fd
    for name, offset in wired.items():
        native.output_index[OUTPUTS[name][1]] = list(outputs.offsets).index(offset)
