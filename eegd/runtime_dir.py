"""The runtime directory: where sockets live, how it is found, and the locks that say who owns what in it.

A crash leaves only dead socket names behind; the next owner clears them under its lock, as the daemon does for a plugin
of its own that was killed. Until then they count for nothing: whether a stream is there, connecting tells.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import stat
from collections.abc import Collection
from pathlib import Path

from eegd.errors import ConfigError, DaemonNotRunning, NameTaken

__all__ = [
    "CONTROL_SOCKET",
    "DAEMON",
    "EVENTS_SOCKET",
    "Lock",
    "check_dir",
    "clear_left_over",
    "daemon_pid",
    "default_dir",
    "find_dir",
    "is_served",
    "prepare_dir",
    "served_streams",
    "stream_socket",
]

CONTROL_SOCKET = "control.sock"
EVENTS_SOCKET = "events.zmq"
STREAM = ".stream"
"""How the names of streams' sockets end."""
DAEMON = "eegd"
"""The name of its lock."""
SERVICE_DIR = Path("/run/eegd")
PATH_LIMIT = 107
"""Bytes of a Unix socket's path, without the final zero (unix(7))."""

_STREAM_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def stream_socket(stream: str) -> str:
    """File name of a stream's attach socket. Raises ConfigError where the name is none."""
    if not _STREAM_NAME.fullmatch(stream):
        raise ConfigError(f"stream name {stream!r}: a letter, then at most 31 of a–z, 0–9, _ and -")
    if stream == DAEMON:
        raise ConfigError(f"stream name {stream!r}: that is the daemon's own")
    return f"{stream}{STREAM}"


def is_served(directory: Path, stream: str) -> bool:
    """Whether somebody lets readers in. The name alone may be what a killed process left behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as knock:
        try:
            knock.connect(str(directory / stream_socket(stream)))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # such as a crowd at the door
            return True
    return True


def served_streams(directory: Path, without: Collection[str] = ()) -> list[str]:
    """Names of the streams that let readers in, sorted. without: those of which nobody needs to ask."""
    names = {path.name.removesuffix(STREAM) for path in directory.glob(f"*{STREAM}")} - {DAEMON, *without}
    return [name for name in sorted(names) if _STREAM_NAME.fullmatch(name) and is_served(directory, name)]


def daemon_pid(directory: Path) -> int | None:
    """Of the one that runs here, or ran last."""
    with contextlib.suppress(OSError):
        fd = os.open(directory / f"{DAEMON}.lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return _pid_in(fd)
        finally:
            os.close(fd)
    return None


def _pid_in(fd: int) -> int | None:
    """What the owner of a lock has written into it."""
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _private_dir() -> Path:
    return Path("/tmp") / f"eegd-{os.getuid()}"


def default_dir() -> Path:
    """Where a daemon of this user puts its sockets: EEGD_RUNTIME_DIR; what systemd gave; the user's runtime
    directory; else a private directory below /tmp."""
    for name in ("EEGD_RUNTIME_DIR", "RUNTIME_DIRECTORY"):
        if os.environ.get(name):
            return Path(os.environ[name].split(":")[0])
    if os.environ.get("XDG_RUNTIME_DIR"):
        return Path(os.environ["XDG_RUNTIME_DIR"]) / "eegd"
    return _private_dir()


def _is_mine(path: Path) -> bool:
    """Anybody may have made a directory of this name in /tmp."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return False


def find_dir() -> Path:
    """Where a client looks: EEGD_RUNTIME_DIR alone when it is set; else this user's own daemon, then the service."""
    if os.environ.get("EEGD_RUNTIME_DIR"):
        return Path(os.environ["EEGD_RUNTIME_DIR"])
    candidates = [default_dir(), _private_dir(), SERVICE_DIR]
    for candidate in candidates:
        if (candidate / CONTROL_SOCKET).exists() and (candidate != _private_dir() or _is_mine(candidate)):
            return candidate
    looked = ", ".join(str(candidate) for candidate in dict.fromkeys(candidates))
    raise DaemonNotRunning(f"no daemon found (looked in {looked}); start one with `eegd run --simulate`")


def prepare_dir(path: Path) -> Path:
    """Makes the directory, or checks one that is there: ours, a directory, and not writable for everybody."""
    path = path.absolute()
    _check_length(path)
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise ConfigError(f"runtime directory {path}: {error.strerror}") from None
    _check_mode(path, status)
    if status.st_uid != os.getuid():
        raise ConfigError(f"runtime directory {path}: belongs to user {status.st_uid}, not to {os.getuid()}")
    return path


def check_dir(path: Path) -> None:
    """As prepare_dir, without making it, whoever it belongs to: who looks may be another user than the daemon's."""
    path = path.absolute()
    _check_length(path)
    try:
        _check_mode(path, path.lstat())
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"runtime directory {path}: {error.strerror}") from None


def _check_length(path: Path) -> None:
    longest = len(os.fsencode(path)) + len("/") + 32 + len(".000000.zmq")
    if longest > PATH_LIMIT:
        raise ConfigError(f"runtime directory {path}: too long for Unix sockets ({longest} > {PATH_LIMIT} bytes)")


def _check_mode(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigError(f"runtime directory {path}: not a directory")
    if status.st_mode & stat.S_IWOTH:
        raise ConfigError(f"runtime directory {path}: writable for everybody (mode {status.st_mode & 0o777:o})")


class Lock:
    """An exclusive lock on a name in the runtime directory, held while the process lives. Synchronization: none."""

    def __init__(self, path: Path, remedy: str = "") -> None:
        """Raises ConfigError with the process that holds it, and the remedy."""
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = _pid_in(self._fd)
            os.close(self._fd)
            self._fd = -1
            raise NameTaken(f"{path}: held by process {owner or '?'}; only one may own it{remedy}", owner) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def clear(self, *patterns: str) -> None:
        """Removes the dead sockets that an earlier owner left."""
        for pattern in patterns:
            for path in self.path.parent.glob(pattern):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def clear_left_over(directory: Path, stream: str) -> None:
    """Removes the sockets of a writer that was killed; nothing where somebody owns them."""
    with contextlib.suppress(ConfigError, OSError):
        lock = Lock(directory / f"{stream}.lock")
        lock.clear(stream_socket(stream), f"{stream}.*.zmq")
        lock.release()
