# SPDX-License-Identifier: MIT
"""Runs scripts of guest/ in the emulated computer, one after the other, and prints what they measured.

usage: python -m tests.kernel.run [NAME …] [-- ARGUMENT …]      (no NAME: all that begin with test_)

Exit status: 0 all ran and were good, 1 something failed, 2 this machine cannot run them, and why.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from eegd.replay import load_recording
from tests.kernel.host import ROOT, HostError, ensure_tools
from tests.kernel.linux import ModuleError
from tests.kernel.machine import GUEST, Outcome, keep, prepare, run_script

__all__ = ["main", "print_outcome", "rows_of", "scripts"]

RECORDING = ROOT.parent / "shared" / "data" / "PiEEG_eeg_data_3.txt"
LIMIT_S = 600.0
"""Wall time after which a script has hung; an hour of the guest's time gets more."""
LONG_LIMIT_S = {"hour": 3600.0}


def scripts(names: Sequence[str], folder: Path = GUEST) -> list[str]:
    """Names of scripts: those asked for, or all tests."""
    there = sorted(path.stem for path in folder.glob("*.py"))
    if unknown := [name for name in names if name not in there]:
        raise HostError(f"no such script: {', '.join(unknown)}; there are {', '.join(there)}")
    return list(names) or [name for name in there if name.startswith("test_")]


def rows_of(text: str) -> list[dict[str, object]]:
    """What a script said with `row`."""
    return [json.loads(line.removeprefix("@ROW ")) for line in text.splitlines() if line.startswith("@ROW ")]


def skipped(text: str) -> str | None:
    """Why a script did not run, if it says so."""
    return next((line.removeprefix("@SKIP ") for line in text.splitlines() if line.startswith("@SKIP ")), None)


def format_row(row: dict[str, object]) -> str:
    first, *rest = row.items()
    return f"  {first[1]:<38}" + "  ".join(f"{name} {value}" for name, value in rest)


def print_outcome(name: str, outcome: Outcome) -> bool:
    """Prints a script's rows and its verdict; whether it did its work."""
    reason = skipped(outcome.text)
    good = outcome.status == 0
    verdict = "skipped" if good and reason else "ok" if good else "FAILED"
    print(f"{name:<40}{verdict}  ({outcome.seconds:.0f} s){f': {reason}' if reason else ''}")
    for row in rows_of(outcome.text):
        print(format_row(row))
    if not good:
        said = [line for line in outcome.text.splitlines() if not line.startswith("@ROW ")]
        print("\n".join(f"  | {line}" for line in said[-25:]))
        how = f"exit status {outcome.status}" if outcome.status is not None else "it did not come to an end"
        print(f"  {how}; all of it: {keep(outcome, name)}")
    sys.stdout.flush()
    return good


def job_files(script: str | None) -> dict[str, Path | bytes]:
    """What scripts find beside themselves: the recording as the bytes of its frames, and somebody else's program."""
    files: dict[str, Path | bytes] = {}
    if RECORDING.exists():
        frames = load_recording(RECORDING).frames
        assert frames is not None
        files["recording.bin"] = frames.tobytes()
    if script:
        if not Path(script).is_file():
            raise HostError(f"KERNEL_SCRIPT={script}: there is no such file")
        files["foreign.py"] = Path(script)
    return files


def main(arguments: Sequence[str]) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: QEMU ends, temporary files go
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup stays what it is
            signal.signal(number, signal.default_int_handler)
    try:
        return run_scripts(arguments)
    except KeyboardInterrupt:
        print("kernel tests: interrupted", file=sys.stderr)
        return 130


def run_scripts(arguments: Sequence[str]) -> int:
    """Prepares the machine and runs what was asked for; the exit code."""
    split = list(arguments).index("--") if "--" in arguments else len(arguments)
    try:
        names = scripts(arguments[:split])
        ensure_tools()
        machine = prepare()
        files = job_files(os.environ.get("KERNEL_SCRIPT"))
    except HostError as error:
        print(f"kernel tests: {error}", file=sys.stderr)
        return 2
    except ModuleError as error:
        print(f"kernel tests: {error}", file=sys.stderr)
        return 1
    begin, results = time.monotonic(), []
    for name in names:
        outcome = run_script(machine, name, tuple(arguments[split + 1 :]), files, LONG_LIMIT_S.get(name, LIMIT_S))
        keep(outcome, name)
        results.append(print_outcome(name, outcome))
    print(f"{sum(results)} of {len(results)} scripts ok, {time.monotonic() - begin:.0f} s in all")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
