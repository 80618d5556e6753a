"""The computer as the doctor sees it: files below a root, user, kernel, commands. Tests bring a tree of their own."""

from __future__ import annotations

import ctypes
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["GpioChip", "Scheduling", "System", "adjtimex_state"]

COMMAND_S = 30.0
POLICIES = {0: "OTHER", 1: "FIFO", 2: "RR", 3: "BATCH", 5: "IDLE", 6: "DEADLINE"}


@dataclass(frozen=True, slots=True)
class GpioChip:
    """One GPIO character device."""

    path: str
    label: str
    consumers: Mapping[str, str]
    """Line name → who uses it; empty text: nobody."""
    numbered: bool = False
    """Its lines have no names of their own: GPIO26 is offset 26."""


@dataclass(frozen=True, slots=True)
class Scheduling:
    """How the kernel runs a thread."""

    policy: str
    priority: int
    """1 to 99 of FIFO and RR, else 0."""

    def __str__(self) -> str:
        return f"{self.policy} {self.priority}" if self.priority else self.policy


def _run(command: list[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _gpio_chip(path: str) -> GpioChip:
    """OSError where it may not be opened or is none; ImportError without the package gpiod."""
    import gpiod

    with gpiod.Chip(path) as chip:
        info = chip.get_info()
        lines = [chip.get_line_info(offset) for offset in range(info.num_lines)]
        numbered = not any(line.name for line in lines)  # as the header does: offset 26 is GPIO26
        used = {
            f"GPIO{line.offset}" if numbered else line.name: (line.consumer or "the kernel") if line.used else ""
            for line in lines
            if numbered or line.name
        }
        return GpioChip(path, info.label, used, numbered)


def adjtimex_state() -> int | None:
    """What adjtimex(2) returns without setting anything: 5 is a clock that nothing synchronises."""
    timex = ctypes.create_string_buffer(256)  # struct timex has 208 bytes; modes = 0 reads
    state = int(ctypes.CDLL(None, use_errno=True).adjtimex(timex))
    return state if state >= 0 else None


@dataclass(frozen=True, slots=True)
class System:
    """Everything the doctor asks the computer. Reading never raises for what is not there.

    Synchronization: none inside; one thread.
    """

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    release: str = field(default_factory=lambda: os.uname().release)
    version: str = field(default_factory=lambda: os.uname().version)
    uid: int = field(default_factory=os.geteuid)
    gids: frozenset[int] = field(default_factory=lambda: frozenset({os.getegid(), *os.getgroups()}))
    page_size: int = field(default_factory=lambda: os.sysconf("SC_PAGE_SIZE"))
    run: Callable[[list[str]], str | None] = _run
    """Standard output of a command; None where it is not there or failed."""
    gpio_chip: Callable[[str], GpioChip] = _gpio_chip
    clock_state: Callable[[], int | None] = adjtimex_state

    @property
    def user(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    @property
    def kernel(self) -> tuple[int, int, int]:
        """6.12.47+rpt-rpi-2712 → (6, 12, 47); zeros for what is not said."""
        found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", self.release)
        return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)

    @property
    def real_time(self) -> bool:
        """Some of these kernels lack /sys/kernel/realtime, but all say it in their version."""
        return "PREEMPT_RT" in self.version

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def shown(self, path: Path) -> str:
        """The path as it is called on the machine itself."""
        return f"/{path.relative_to(self.root)}"

    def read(self, name: str) -> str | None:
        try:
            return self.path(name).read_text(errors="replace").strip("\0\n ")
        except OSError:
            return None

    def write(self, name: str, text: str) -> None:
        """Raises OSError."""
        self.path(name).write_text(text)

    def glob(self, pattern: str) -> list[Path]:
        return sorted(self.root.glob(pattern.lstrip("/")))

    def may_use(self, path: Path) -> bool:
        """Whether this user may read and write it, by owner, group and mode; FileNotFoundError."""
        status = path.stat()
        if self.uid == 0:
            return True
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.gids else 0
        return status.st_mode >> shift & 0o6 == 0o6

    def group_of(self, path: Path, otherwise: str) -> str:
        """The group that owns a device, where it is not root's."""
        import grp

        try:
            name = grp.getgrgid(path.stat().st_gid).gr_name
        except (OSError, KeyError):
            return otherwise
        return otherwise if name == "root" else name

    def scheduling(self, pid: int, tid: int | None = None) -> Scheduling | None:
        """Of a thread, from fields 40 and 41 of its stat (proc_pid_stat(5))."""
        text = self.read(f"proc/{pid}/task/{tid}/stat" if tid else f"proc/{pid}/stat")
        if text is None or ")" not in text:
            return None
        fields = text.rpartition(")")[2].split()  # from field 3 on
        if len(fields) < 39:
            return None
        return Scheduling(POLICIES.get(int(fields[38]), "?"), int(fields[37]))

    def limit(self, pid: int | str, name: str) -> float | None:
        """Soft limit of a process as in /proc/PID/limits; infinity for unlimited."""
        for line in (self.read(f"proc/{pid}/limits") or "").splitlines():
            if line.startswith(name):
                word = line.removeprefix(name).split()[0]
                return float("inf") if word == "unlimited" else float(word)
        return None

    def capable(self, pid: int | str, bit: int) -> bool:
        """Whether the process has an effective capability, by its number (capabilities(7))."""
        found = re.search(r"^CapEff:\s*([0-9a-fA-F]+)", self.read(f"proc/{pid}/status") or "", re.MULTILINE)
        return bool(found and int(found[1], 16) >> bit & 1)

    def threads_named(self, pattern: str) -> list[tuple[int, str]]:
        """(process number, name) of the kernel's threads and processes whose name matches."""
        found = []
        for path in self.glob("proc/[0-9]*/comm"):
            name = self.read(str(path.relative_to(self.root))) or ""
            if re.search(pattern, name):
                found.append((int(path.parent.name), name))
        return found

    def users_of(self, device: str) -> list[tuple[int, str]]:
        """Other processes that hold a device open, as far as this user may see."""
        users = set()
        for path in self.glob("proc/[0-9]*/fd/*"):
            pid = int(path.parts[-3])
            try:
                target = os.readlink(path)
            except OSError:
                continue
            if target == device and pid != os.getpid():
                users.add((pid, self.read(f"proc/{pid}/comm") or "?"))
        return sorted(users)

    def free_bytes(self, names: Iterable[str]) -> tuple[str, int] | None:
        """Free space for ordinary users at the first of these directories that is there."""
        for name in names:
            path = self.path(name)
            if path.is_dir():
                space = os.statvfs(path)
                return self.shown(path), space.f_bavail * space.f_frsize
        return None
