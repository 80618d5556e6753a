"""The command `eegctl` in the test's own process, since to start one costs more than most commands do."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from eegd.cli.eegctl import main

__all__ = ["Done", "eegctl", "run_eegctl"]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it wrote."""

    code: int
    stdout: str
    stderr: str


def run_eegctl(directory: Path, *words: str) -> Done:
    """Runs one command on the daemon in this directory."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(["--runtime-dir", str(directory), *words])
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def eegctl(directory: Path, *words: str, code: int = 0) -> str:
    """What a command says that has to end with this code: on stderr where it is not 0."""
    done = run_eegctl(directory, *words)
    assert done.code == code, done.stderr
    return done.stdout if code == 0 else done.stderr
