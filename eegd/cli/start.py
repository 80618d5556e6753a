"""Where both commands begin. Importing takes up to a second; Ctrl-C meanwhile ends them without a word.

Nothing heavy may be imported here, nor by `eegd/__init__.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["INTERRUPTED", "eegctl", "eegd", "while_importing"]

INTERRUPTED = 130
"""Exit code, as a shell gives it for SIGINT."""


@contextmanager
def while_importing() -> Iterator[None]:
    """SIGINT ends the process at once with 130: an exception may be swallowed, or told, by what is half imported.

    Main thread. Who ignores SIGINT, as under nohup, or handles it already, goes on doing so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def eegd() -> int:
    """The command `eegd`."""
    with while_importing():
        from eegd.cli.eegd import main
    return _run(main)


def eegctl() -> int:
    """The command `eegctl`."""
    with while_importing():
        from eegd.cli.eegctl import main
    return _run(main)


def _run(main: Callable[[], int]) -> int:
    try:
        return main()
    except KeyboardInterrupt:
        return INTERRUPTED
