"""The Board class over a C board whose functions are written here."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from eegd._native import ffi, lib
from eegd.board import Board, Edge
from eegd.errors import BoardError


class Recorder:
    """A `struct eegd_board` that notes every call and answers with `status`."""

    def __init__(self, *, virtual_clock: int = 0) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.status = 0
        self._functions = [
            ffi.callback("int(struct eegd_board *, int64_t, struct eegd_edge *)", self._wait),
            ffi.callback("int(struct eegd_board *, const struct eegd_transfer *, int64_t *)", self._transfer),
            ffi.callback("int(struct eegd_board *, int, int)", self._set_line),
            ffi.callback("int64_t(struct eegd_board *)", lambda _: 123_456_789_012),
            ffi.callback("int(struct eegd_board *, int64_t)", lambda _, ns: self._note("sleep", ns)),
            ffi.callback("int(struct eegd_board *, uint64_t *)", lambda _board, _seq: self._note("drain")),
            ffi.callback("void(struct eegd_board *)", lambda _: self.calls.append(("wake",))),
            ffi.callback("void(struct eegd_board *)", lambda _: self.calls.append(("close",))),
        ]
        self._name = ffi.new("char[]", b"recorder")
        self._ops = ffi.new("struct eegd_board_ops *", [self._name, *self._functions])
        self.pointer = ffi.new("struct eegd_board *", [self._ops, virtual_clock])

    def _note(self, *call: Any) -> int:
        self.calls.append(call)
        return self.status

    def _wait(self, _: Any, timeout_ns: int, edge: Any) -> int:
        edge.drdy_ns, edge.seq = 5_000_000_000_000, 2**40
        return self._note("wait", timeout_ns)

    def _transfer(self, _: Any, transfer: Any, end_ns: Any) -> int:
        tx = bytes(ffi.buffer(transfer.tx, transfer.len))
        ffi.buffer(transfer.rx, transfer.len)[:] = bytes(byte ^ 0xFF for byte in tx)
        assert end_ns == ffi.NULL
        return self._note("transfer", tx, transfer.cs, transfer.speed_hz, transfer.delay_us)

    def _set_line(self, _: Any, line: int, level: int) -> int:
        return self._note("set_line", line, level)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_transfer_sends_all_fields_and_returns_what_came_in(recorder: Recorder) -> None:
    board = Board(recorder.pointer)
    assert board.transfer(b"\x20\x17\x00", cs=2, speed_hz=2_000_000, delay_us=3) == b"\xdf\xe8\xff"
    assert recorder.calls == [("transfer", b"\x20\x17\x00", 2, 2_000_000, 3)]


def test_wait_gives_an_edge_or_none(recorder: Recorder) -> None:
    board = Board(recorder.pointer)
    assert board.wait(1_000) is None
    recorder.status = 1
    assert board.wait(-1) == Edge(drdy_ns=5_000_000_000_000, seq=2**40)
    assert recorder.calls == [("wait", 1_000), ("wait", -1)]


def test_lines_go_by_name(recorder: Recorder) -> None:
    board = Board(recorder.pointer)
    board.set_line("START", 1)
    board.set_line("RESET", 0)
    board.set_line("PWDN", 1)
    assert recorder.calls == [
        ("set_line", lib.EEGD_LINE_START, 1),
        ("set_line", lib.EEGD_LINE_RESET, 0),
        ("set_line", lib.EEGD_LINE_PWDN, 1),
    ]
    with pytest.raises(BoardError, match="no such line: DRDY"):
        board.set_line("DRDY", 1)  # type: ignore[arg-type]


def test_time_passes_through(recorder: Recorder) -> None:
    board = Board(recorder.pointer)
    assert board.now_ns() == 123_456_789_012
    board.sleep_ns(150_000_000)
    board.drain()
    board.wake()
    assert recorder.calls == [("sleep", 150_000_000), ("drain",), ("wake",)]


def test_facts_of_the_board(recorder: Recorder) -> None:
    assert Board(recorder.pointer).name == "recorder"
    assert not Board(recorder.pointer).virtual_clock
    assert Board(Recorder(virtual_clock=1).pointer).virtual_clock
    assert Board(recorder.pointer).pointer == recorder.pointer


def test_errors_name_the_errno_and_what_was_tried(recorder: Recorder) -> None:
    board = Board(recorder.pointer)
    recorder.status = -errno.ETIMEDOUT
    with pytest.raises(BoardError, match=r"of 1 bytes at 2000 kHz, chip select 1: ETIMEDOUT") as seen:
        board.transfer(b"\x11", cs=1, speed_hz=2_000_000)
    assert isinstance(seen.value.__cause__, OSError)
    assert seen.value.__cause__.errno == errno.ETIMEDOUT
    recorder.status = -errno.EOPNOTSUPP
    with pytest.raises(BoardError, match="setting line RESET to 0: "):
        board.set_line("RESET", 0)
    recorder.status = -errno.ENODATA
    with pytest.raises(BoardError, match="waiting for DRDY: ENODATA"):
        board.wait(0)
    recorder.status = -9999
    with pytest.raises(BoardError, match="draining DRDY edges: errno 9999"):
        board.drain()


def test_a_closed_board_refuses_everything_and_closes_once(recorder: Recorder) -> None:
    board = Board(recorder.pointer)
    with board:
        board.drain()
    board.close()
    assert board.closed
    assert recorder.calls == [("drain",), ("close",)]
    for use in (
        lambda: board.transfer(b"\0", speed_hz=1),
        lambda: board.set_line("START", 1),
        lambda: board.sleep_ns(1),
        lambda: board.wait(0),
        board.now_ns,
        board.drain,
        board.wake,
        lambda: board.pointer,
    ):
        with pytest.raises(BoardError, match="closed"):
            use()


def test_null_is_no_board() -> None:
    with pytest.raises(BoardError, match="NULL"):
        Board(ffi.NULL)
