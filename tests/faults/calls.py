"""A board that fails at its k-th call: in the driver, or at the START that the capture thread sends."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import eegd.acquisition
from eegd._native import ffi, lib
from eegd.ads1299 import Opcode
from eegd.board import Board
from eegd.config import Config
from eegd.errors import BoardError

__all__ = ["FailingCalls"]

DRIVER_CALLS = ("transfer", "set_line", "drain")


class FailingCalls:
    """Stands in for open_board. From the first RDATAC on, or from `begin`, calls are counted, and number k fails.

    With ENODEV the board is gone from there on, until it is opened again; any other errno is seen once.
    """

    def __init__(self, k: int, number: int, *, from_first_start: bool = True) -> None:
        self.k, self.number = k, number
        self.has_failed = False
        self.n_opened = 0
        self._n: int | None = None
        self._from_first_start = from_first_start
        self._gone: Board | None = None

    def begin(self) -> None:
        self._n = 0

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        before = eegd.acquisition.open_board  # type: ignore[attr-defined]

        def open_board(config: Config) -> Board:
            board = before(config)
            self.n_opened += 1
            for name in DRIVER_CALLS:
                setattr(board, name, self._counted(board, name, getattr(board, name)))
            return board

        with mock.patch("eegd.acquisition.open_board", open_board):
            yield

    def _counted(self, board: Board, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            if self._n is None and self._from_first_start and name == "transfer" and args[0][0] == Opcode.RDATAC:
                self.begin()
            if self._is_hit() or board is self._gone:
                if self.number == errno.ENODEV:
                    self._gone = board
                raise BoardError(f"{name}: {os.strerror(self.number)}") from OSError(self.number, name)
            result = call(*args, **named)
            if name == "drain" and self._is_hit():  # what comes next is START
                fault = {"kind": lib.EEGD_FAULT_IOCTL, "at": lib.EEGD_FAULT_NOW, "count": 1, "value": self.number}
                assert lib.eegd_board_sim_fault(board.pointer, ffi.new("struct eegd_fault *", fault)) == 0
            return result

        return counted

    def _is_hit(self) -> bool:
        if self._n is None:
            return False
        self._n += 1
        self.has_failed = self.has_failed or self._n == self.k
        return self._n == self.k
