"""The completion scripts in the shells themselves, and words that a shell must never evaluate."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eegd.cli.shells import SCRIPTS

HANGS_S = 60


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    for name, text in SCRIPTS.items():
        (tmp_path / name).write_text(text)
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": commands, "HOME": str(tmp_path), "TERM": "dumb", "EEGD_RUNTIME_DIR": str(tmp_path)}


def hostile(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """With an eegctl whose candidate is a command."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "eegctl").write_text("#!/bin/sh\nprintf '%s\\t%s\\n' '$(touch${IFS}x)' '`touch y`'\n")
    (bin_dir / "eegctl").chmod(0o755)
    return {**environment, "PATH": f"{bin_dir}{os.pathsep}{environment['PATH']}"}


def said(command: list[str], environment: dict[str, str], cwd: Path) -> list[str]:
    done = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=HANGS_S, check=False
    )
    return done.stdout.splitlines()


def in_bash(line: str, environment: dict[str, str], cwd: Path) -> list[str]:
    text = 'source "$1"; COMP_LINE=$2; COMP_POINT=${#2}; _eegd_complete "${2%% *}"; printf "%s\\n" "${COMPREPLY[@]}"'
    return said([shell("bash"), "--norc", "-c", text, "bash", str(cwd / "bash"), line], environment, cwd)


def in_fish(line: str, environment: dict[str, str], cwd: Path) -> list[str]:
    text = f"source {cwd / 'fish'}; complete -C '{line}'"
    return said([shell("fish"), "--no-config", "-c", text], environment, cwd)


def in_zsh(line: str, wanted: bytes, environment: dict[str, str], cwd: Path) -> bytes:
    """What an interactive zsh shows after the line and a press of the tab key, up to what is wanted."""
    path = shell("zsh")
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(path, ["zsh", "-f", "-i"], environment)
    try:
        setting_up = f"PS1=; autoload -Uz compinit; compinit -u -D; source {cwd / 'zsh'}; print re''ady\n"
        os.write(fd, setting_up.encode())
        read_until(fd, b"ready")
        os.write(fd, line.encode() + b"\t")
        return read_until(fd, wanted)
    finally:
        os.close(fd)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def read_until(fd: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        assert select.select([fd], [], [], HANGS_S)[0], f"waited for {wanted!r}, saw {seen!r}"
        seen += os.read(fd, 4096)
    return seen


def test_bash_completes_what_is_not_given_yet(environment: dict[str, str], tmp_path: Path) -> None:
    assert in_bash("eegctl plugin add filter 1 hi", environment, tmp_path) == ["high="]
    assert in_bash("eegd run --board piee", environment, tmp_path) == ["pieeg", "pieeg-16"]


def test_bash_keeps_what_it_takes_for_the_beginning_of_a_word(environment: dict[str, str], tmp_path: Path) -> None:
    assert in_bash("eegctl plugin add filter notch=5", environment, tmp_path) == ["50"]
    assert in_bash("eegctl plugin add filter notch:", environment, tmp_path) == ["off", "50", "60"]


def test_bash_leaves_the_commas_of_a_list_as_they_were_typed(environment: dict[str, str], tmp_path: Path) -> None:
    found = in_bash("eegctl plugin add clean chain=filter,re", environment, tmp_path)
    assert found == ["filter,reference"]


def test_fish_completes_with_descriptions(environment: dict[str, str], tmp_path: Path) -> None:
    [line] = in_fish("eegctl plugin add filter 1 hi", environment, tmp_path)
    assert line.startswith("high=\tfloat, 0 to 8000 Hz, default 40: Upper corner")


def test_zsh_completes_in_an_interactive_line(environment: dict[str, str], tmp_path: Path) -> None:
    assert b"high=" in in_zsh("eegctl plugin add filter 1 hi", b"high=", environment, tmp_path)
    assert b"Sample rate" in in_zsh("eegctl board ", b"Sample rate", environment, tmp_path)


def test_no_shell_evaluates_a_candidate(environment: dict[str, str], tmp_path: Path) -> None:
    environment = hostile(environment, tmp_path)
    assert in_bash("eegctl channel ", environment, tmp_path) == [r"\$\(touch\$\{IFS\}x\)"]
    if shutil.which("fish"):
        assert in_fish("eegctl channel ", environment, tmp_path) != []
    if shutil.which("zsh"):
        assert b"touch" in in_zsh("eegctl channel ", b"touch", environment, tmp_path)
    assert not (tmp_path / "x").exists() and not (tmp_path / "y").exists()
