"""What both commands share: exit codes, signals that end a loop, and rich, which not every installation has."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import select
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from types import FrameType

from eegd.errors import EegdError

__all__ = [
    "CANNOT_START",
    "FAILED",
    "OK",
    "USAGE",
    "MissingExtra",
    "Stopper",
    "add_runtime_dir",
    "fail",
    "need_rich",
    "no_echo",
    "number",
    "positive_seconds",
    "whole_number",
    "write_stdout",
]

OK, FAILED, USAGE, CANNOT_START = 0, 1, 2, 3


class MissingExtra(EegdError):
    """A package of an extra is not installed."""


def need_rich(what: str) -> None:
    """Raises MissingExtra, which names the remedy, where rich is not installed."""
    try:
        importlib.import_module("rich")
    except ImportError:
        raise MissingExtra(f"{what} needs the package rich: pip install 'eegd[tools]'") from None


def fail(program: str, error: object, code: int) -> int:
    """Says one error in one line and returns the exit code. Each further line of it is another error, but for those
    that are indented: they belong to the line above."""
    for line in str(error).splitlines() or ["unknown"]:
        print(line if line.startswith("    ") else f"{program}: error: {line}", file=sys.stderr)
    return code


def add_runtime_dir(parser: argparse.ArgumentParser, default: object = None) -> None:
    parser.add_argument("--runtime-dir", metavar="DIR", default=default, help="directory of the daemon's sockets")


def number(text: str) -> float:
    """A number on the command line, for argparse, whose own words for a wrong one name a Python function."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: not a number") from None


def whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: not a whole number") from None


def positive_seconds(text: str) -> float:
    """A span of time on the command line, for argparse."""
    seconds = number(text)
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text}: more than 0 s")
    return seconds


def write_stdout(command: Callable[[], int]) -> int:
    """Runs a command that writes to stdout. A reader that goes away (`… | head`) ends it without a word."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without UTF-8 shows `?` for µ instead of ending the program.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


@contextlib.contextmanager
def no_echo() -> Iterator[None]:
    """Keys that are pressed meanwhile leave no trace on the terminal, nor for the shell after it; Ctrl-C works."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = list(before)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)


class Stopper:
    """Turns SIGINT, SIGTERM and SIGHUP into a request to stop, while it is entered. Main thread."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.stopped = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before: list[object] = []

    def stop(self) -> None:
        self.stopped = True
        with contextlib.suppress(OSError):
            os.write(self._write, b".")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stop()

    def wait(self, seconds: float) -> bool:
        """Waits; returns at once, and True, when asked to stop."""
        if not self.stopped:
            select.select([self._read], [], [], max(0.0, seconds))
        return self.stopped

    def __enter__(self) -> Stopper:
        self._before = [signal.signal(number, self._on_signal) for number in self.SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(self.SIGNALS, self._before, strict=True):
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._read)
        os.close(self._write)
