"""The runtime directory: never open to everybody, owned by one, and cleared by the next."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eegd.errors import ConfigError, DaemonNotRunning
from eegd.runtime_dir import CONTROL_SOCKET, Lock, default_dir, find_dir, prepare_dir, stream_socket


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Short, whatever pytest's own directories are called: the names of sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="eegd-", dir="/tmp") as directory:
        yield Path(directory)


def test_a_new_directory_is_closed_to_others(tmp_path: Path) -> None:
    os.umask(0o022)
    made = prepare_dir(tmp_path / "d")
    assert made.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o752])
def test_a_directory_that_everybody_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(mode)
    with pytest.raises(ConfigError, match="writable for everybody"):
        prepare_dir(tmp_path / "d")


def test_a_symbolic_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "d").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError, match="not a directory"):
        prepare_dir(tmp_path / "d")


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("")
    with pytest.raises(ConfigError, match="d: "):
        prepare_dir(tmp_path / "d")


def test_a_path_too_long_for_sockets_is_refused_with_the_numbers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\d+ > 107 bytes"):
        prepare_dir(tmp_path / ("x" * 90))


@pytest.mark.parametrize("name", ["", "Raw", "../raw", "raw.stream", "a" * 33, "1raw", "r w"])
def test_a_stream_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="stream name"):
        stream_socket(name)


def test_a_lock_is_held_once_and_says_by_whom(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "eegd.lock")
    with pytest.raises(ConfigError, match=f"held by process {os.getpid()}"):
        Lock(tmp_path / "eegd.lock")
    lock.release()
    lock.release()
    Lock(tmp_path / "eegd.lock").release()


def test_the_owner_clears_what_a_crash_left_and_nothing_else(tmp_path: Path) -> None:
    for name in ("raw.stream", "raw.7.zmq", "bandpower.stream", "notes.txt"):
        (tmp_path / name).write_text("")
    lock = Lock(tmp_path / "raw.lock")
    lock.clear("raw.stream", "raw.*.zmq")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bandpower.stream", "notes.txt", "raw.lock"]
    lock.release()


def test_the_default_is_private_or_what_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EEGD_RUNTIME_DIR", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert default_dir() == Path(f"/tmp/eegd-{os.getuid()}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_dir() == tmp_path / "eegd"
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/eegd:/run/other")
    assert default_dir() == Path("/run/eegd")
    monkeypatch.setenv("EEGD_RUNTIME_DIR", "/elsewhere")
    assert default_dir() == Path("/elsewhere")


def test_a_client_finds_a_running_daemon_or_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EEGD_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("eegd.runtime_dir.SERVICE_DIR", tmp_path / "service")
    monkeypatch.setattr("eegd.runtime_dir._private_dir", lambda: tmp_path / "private")
    with pytest.raises(DaemonNotRunning, match="service"):
        find_dir()
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / CONTROL_SOCKET).write_text("")
    assert find_dir() == tmp_path / "service"
