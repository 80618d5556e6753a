"""Ctrl-C before a command has anything to end: while Python imports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import eegd
from eegd.cli.start import INTERRUPTED, while_importing

# Sends SIGINT to itself in the middle of importing the named module, then starts the command as its script does.
INTERRUPTED_START = """
import os, signal, sys
from eegd.cli import start
_, module, command, *sys.argv[1:] = sys.argv
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
            print("the import went on")
sys.meta_path.insert(0, Finder())
sys.exit(getattr(start, command)())
"""


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("eegd.cli.common", ["eegd", "demo"]),
        ("numpy", ["eegd", "demo"]),
        ("numpy.linalg", ["eegd", "demo"]),
        ("zmq", ["eegd", "demo"]),
        ("eegd.cli.view", ["eegd", "demo"]),
        ("eegd.errors", ["eegctl", "status"]),
        ("numpy", ["eegctl", "status"]),
    ],
)
def test_ctrl_c_while_importing_ends_a_command_without_a_word(module: str, words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_START, module, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "EEGD_RUNTIME_DIR": str(tmp_path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "")


def test_the_handler_is_there_only_while_importing() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with while_importing():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_ignores_sigint_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with while_importing():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_neither_the_package_nor_the_start_imports_anything_heavy() -> None:
    heavy = ("numpy", "zmq", "asyncio", "eegd._native")
    code = f"import sys, eegd, eegd.cli.start; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_the_package_has_every_name_that_it_promises_and_no_other() -> None:
    for name in eegd.__all__:
        assert getattr(eegd, name).__name__ == name
    assert eegd.errors.EegdError is eegd.EegdError
    with pytest.raises(AttributeError, match="module 'eegd' has no attribute 'nope'"):
        eegd.nope  # noqa: B018
