"""The runtime directory: never open to everybody, owned by one, and cleared by the next."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from eegd.errors import ConfigError, DaemonNotRunning
from eegd.handshake import open_stream_socket
from eegd.runtime_dir import (
    CONTROL_SOCKET,
    Lock,
    clear_left_over,
    daemon_pid,
    default_dir,
    find_dir,
    is_served,
    prepare_dir,
    served_streams,
    stream_socket,
)


def test_a_new_directory_is_closed_to_others(directory: Path) -> None:
    os.umask(0o022)
    made = prepare_dir(directory / "d")
    assert made.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o752])
def test_a_directory_that_everybody_can_write_is_refused(directory: Path, mode: int) -> None:
    (directory / "d").mkdir()
    (directory / "d").chmod(mode)
    with pytest.raises(ConfigError, match="writable for everybody"):
        prepare_dir(directory / "d")


def test_a_symbolic_link_in_its_place_is_refused(directory: Path) -> None:
    (directory / "target").mkdir()
    (directory / "d").symlink_to(directory / "target")
    with pytest.raises(ConfigError, match="not a directory"):
        prepare_dir(directory / "d")


def test_a_file_in_its_place_is_refused(directory: Path) -> None:
    (directory / "d").write_text("")
    with pytest.raises(ConfigError, match="d: "):
        prepare_dir(directory / "d")


def test_a_path_too_long_for_sockets_is_refused_with_the_numbers(directory: Path) -> None:
    with pytest.raises(ConfigError, match=r"\d+ > 107 bytes"):
        prepare_dir(directory / ("x" * 90))


@pytest.mark.parametrize("name", ["", "Raw", "../raw", "raw.stream", "a" * 33, "1raw", "r w"])
def test_a_stream_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="stream name"):
        stream_socket(name)


def test_a_lock_is_held_once_and_says_by_whom(directory: Path) -> None:
    lock = Lock(directory / "eegd.lock")
    with pytest.raises(ConfigError, match=f"held by process {os.getpid()}"):
        Lock(directory / "eegd.lock")
    lock.release()
    lock.release()
    Lock(directory / "eegd.lock").release()


def test_the_owner_clears_what_a_crash_left_and_nothing_else(directory: Path) -> None:
    for name in ("raw.stream", "raw.7.zmq", "bandpower.stream", "notes.txt"):
        (directory / name).write_text("")
    lock = Lock(directory / "raw.lock")
    lock.clear("raw.stream", "raw.*.zmq")
    assert sorted(path.name for path in directory.iterdir()) == ["bandpower.stream", "notes.txt", "raw.lock"]
    lock.release()


def test_the_default_is_private_or_what_the_environment_says(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EEGD_RUNTIME_DIR", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert default_dir() == Path(f"/tmp/eegd-{os.getuid()}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    assert default_dir() == directory / "eegd"
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/eegd:/run/other")
    assert default_dir() == Path("/run/eegd")
    monkeypatch.setenv("EEGD_RUNTIME_DIR", "/elsewhere")
    assert default_dir() == Path("/elsewhere")


def test_a_client_finds_a_running_daemon_or_says_where_it_looked(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EEGD_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    monkeypatch.setattr("eegd.runtime_dir.SERVICE_DIR", directory / "service")
    monkeypatch.setattr("eegd.runtime_dir._private_dir", lambda: directory / "private")
    with pytest.raises(DaemonNotRunning, match="service"):
        find_dir()
    (directory / "service").mkdir()
    (directory / "service" / CONTROL_SOCKET).write_text("")
    assert find_dir() == directory / "service"


@pytest.mark.parametrize("made_by", ["himself", "another user", "another user, as a link"])
def test_a_directory_that_somebody_else_made_under_the_private_name_is_passed_over(
    directory: Path, monkeypatch: pytest.MonkeyPatch, made_by: str
) -> None:
    for name in ("EEGD_RUNTIME_DIR", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    private = directory / "private"
    monkeypatch.setattr("eegd.runtime_dir.SERVICE_DIR", directory / "service")
    monkeypatch.setattr("eegd.runtime_dir._private_dir", lambda: private)
    (directory / "made").mkdir()
    (directory / "made" / CONTROL_SOCKET).write_text("")
    if made_by.endswith("link"):
        private.symlink_to(directory / "made")
    else:
        (directory / "made").rename(private)
    if made_by == "himself":
        assert find_dir() == private
        return
    uid = os.getuid() + (made_by == "another user")
    monkeypatch.setattr("eegd.runtime_dir.os.getuid", lambda: uid)
    with pytest.raises(DaemonNotRunning):
        find_dir()


# ---- sockets of those who were killed ----


@contextlib.contextmanager
def stream_of(directory: Path, name: str) -> Iterator[socket.socket]:
    """Its socket, with room for one who knocks; the name stays behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(directory / stream_socket(name)))
        listener.listen(0)
        yield listener


def test_the_socket_of_one_that_was_killed_is_no_stream(directory: Path) -> None:
    with stream_of(directory, "dead"):
        assert served_streams(directory) == ["dead"]
    (directory / "odd name.stream").touch()
    (directory / "eegd.stream").touch()
    with stream_of(directory, "raw"), stream_of(directory, "alpha"):
        assert (directory / "dead.stream").exists()
        assert served_streams(directory) == ["alpha", "raw"]
        assert served_streams(directory, without=["raw"]) == ["alpha"]


def test_a_stream_with_a_crowd_at_its_door_is_there(directory: Path) -> None:
    with stream_of(directory, "raw"), contextlib.ExitStack() as crowd:
        for _ in range(4):
            knock = crowd.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK))
            with contextlib.suppress(BlockingIOError):
                knock.connect(str(directory / "raw.stream"))
        assert is_served(directory, "raw")


def test_what_a_killed_writer_left_is_cleared_and_what_somebody_owns_is_not(directory: Path) -> None:
    with stream_of(directory, "dead"), stream_of(directory, "deadly"):
        (directory / "dead.1.zmq").touch()
        owned = Lock(directory / "dead.lock")
        clear_left_over(directory, "dead")
        assert (directory / "dead.stream").exists()
        owned.release()
        clear_left_over(directory, "dead")
    assert sorted(path.name for path in directory.iterdir()) == ["dead.lock", "deadly.stream"]


def test_the_daemon_of_a_directory_is_known_by_its_lock(directory: Path) -> None:
    assert daemon_pid(directory) is None
    (directory / "eegd.lock").write_text("nonsense")
    assert daemon_pid(directory) is None
    Lock(directory / "eegd.lock").release()
    assert daemon_pid(directory) == os.getpid()


def test_a_lock_that_cannot_be_made_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none/x\.lock: No such file or directory$"):
        Lock(tmp_path / "none" / "x.lock")


def test_a_stream_that_is_not_there_is_answered_with_those_there_are(directory: Path) -> None:
    with stream_of(directory, "raw"), pytest.raises(DaemonNotRunning) as refused:
        open_stream_socket(directory, "rw")
    assert str(refused.value).endswith("running? There are the streams raw (did you mean raw?)")
