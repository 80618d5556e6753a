# SPDX-License-Identifier: MIT
"""The emulated computer: QEMU with one processor whose clock is its own count of instructions.

With `-icount shift=0,sleep=off` an instruction takes 1 ns of guest time and idle time none of the host's. So what
else the host does changes no figure, and guest time passes as fast as the host can compute it. One script goes in
and one text comes out; there is no dialogue, since guest time would race while the guest waits for the host.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.kernel.host import BUILD, ROOT, HostError, say
from tests.kernel.image import guest_disk, initial_ram_disk
from tests.kernel.linux import build_module, kernel

__all__ = ["Outcome", "prepare", "run_script"]

JOB_BYTES = 64 << 20
SNAPSHOT = "ready"
BOOT_SECONDS = 600
# preempt=full and no huge pages: as the Raspberry Pi's kernel is built (raspberrypi/linux, bcm2712_defconfig).
COMMAND_LINE = "console=ttyS0 quiet panic=-1 systemd.show_status=0 preempt=full transparent_hugepage=never"
GUEST = Path(__file__).with_name("guest")
END_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run needs besides its job."""

    image: Path
    initrd: Path
    disk: Path
    module: Path

    def command(self, job: Path, console: Path) -> list[str]:
        """Standard input and output are the agent's."""
        return [
            "qemu-system-x86_64",
            *("-accel", "tcg", "-icount", "shift=0,sleep=off", "-rtc", "clock=vm"),
            *("-cpu", "max", "-smp", "1", "-m", "1024"),
            *("-seed", "1"),  # of what the guest takes for random
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-kernel", str(self.image), "-initrd", str(self.initrd), "-append", COMMAND_LINE),
            *("-drive", f"file={self.disk},if=virtio,format=qcow2"),
            *("-drive", f"file={job},if=virtio,format=raw,readonly=on"),
            *("-serial", f"file:{console}"),
            *("-chardev", "stdio,id=agent,signal=off", "-serial", "chardev:agent"),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"),
        ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one script."""

    status: int | None
    """Its exit status; None where it did not come to an end."""
    text: str
    """What it printed."""
    console: str
    """What the guest's kernel said meanwhile."""
    seconds: float
    """Wall time, the start of QEMU included."""


def prepare() -> Machine:
    """Makes what is missing: kernel, module, disk, snapshot."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with only_one() as lock:
        linux = kernel()
        machine = Machine(linux.image, initial_ram_disk(linux), guest_disk(linux), build_module(linux))
        key = snapshot_key(machine)
        mark = BUILD / "snapshot.key"
        if not (mark.exists() and mark.read_text(encoding="utf-8") == key):
            mark.unlink(missing_ok=True)
            take_snapshot(machine, lock)
            mark.write_text(key, encoding="utf-8")
    return machine


def snapshot_key(machine: Machine) -> str:
    """Changes with the command line, the disk, the initial RAM disk and QEMU itself."""
    empty = Path()
    version = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True).stdout
    made = ((BUILD / name).read_text(encoding="utf-8") for name in ("disk.key", "initrd.key"))
    parts = [*machine.command(empty, empty), version, *made]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def take_snapshot(machine: Machine, lock: IO[str]) -> None:
    """Boots until the agent waits for its line, and keeps that moment in the disk."""
    say("booting the guest once …")
    with tempfile.TemporaryDirectory(prefix="eegd-boot-") as scratch:
        job, console, out, monitor = (Path(scratch) / name for name in ("job", "console", "out", "monitor"))
        write_job(job, {})
        command = [*machine.command(job, console), "-monitor", f"unix:{monitor},server=on,wait=off"]
        with out.open("wb") as output, running(command, subprocess.PIPE, output, lock) as qemu:
            end = time.monotonic() + BOOT_SECONDS
            while b"READY" not in out.read_bytes():
                if qemu.poll() is not None or time.monotonic() > end:
                    tail = console.read_text(errors="replace")[-2000:] if console.exists() else ""
                    raise HostError(f"the guest did not come up; its console ends with:\n{tail}")
                time.sleep(0.1)
            said = tell_monitor(monitor, f"stop\nsavevm {SNAPSHOT}\nquit\n")
            qemu.wait()
        if "Error" in said:
            raise HostError(f"savevm: {said}")


def tell_monitor(path: Path, commands: str) -> str:
    """Sends commands to QEMU's monitor; returns all that it says until it closes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(commands.encode())
        said = b""
        while part := connection.recv(4096):
            said += part
    return said.decode(errors="replace")


def write_job(path: Path, files: Mapping[str, Path | bytes]) -> None:
    """A tar file of fixed size; names are places below /run/job in the guest."""
    with tarfile.open(path, "w") as tar:
        for name, content in sorted(files.items()):
            if isinstance(content, Path):
                tar.add(content, name, filter=without_caches)
            else:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    if path.stat().st_size > JOB_BYTES:
        raise HostError(f"the job is {path.stat().st_size} bytes, more than the {JOB_BYTES} of its disk")
    with path.open("ab") as disk:
        disk.truncate(JOB_BYTES)


def without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name else entry


def project_files(machine: Machine) -> dict[str, Path | bytes]:
    """The project as the guest sees it: eegd and its plugins, the module, the scripts."""
    return {
        "site/eegd": ROOT / "eegd",
        "site/eegd_plugins": ROOT / "plugins",
        "site/tests/kernel/guest": GUEST,
        "systemd": ROOT / "systemd",
        "eegd_chip.ko": machine.module,
    }


@contextlib.contextmanager
def only_one() -> Iterator[IO[str]]:
    """The disk serves one machine at a time, and is made once; another run waits here. The lock, for QEMU to hold."""
    with (BUILD / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for the end of another run of the kernel tests …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


@contextlib.contextmanager
def running(
    command: list[str], stdin: int | IO[bytes], stdout: IO[bytes], lock: IO[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with this block, and with this process however that ends; it holds the lock until then."""
    alone = [*END_WITH_PARENT, *command]
    process = subprocess.Popen(alone, stdin=stdin, stdout=stdout, pass_fds=(lock.fileno(),))
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def run_script(
    machine: Machine,
    name: str,
    arguments: tuple[str, ...] = (),
    files: Mapping[str, Path | bytes] | None = None,
    limit_s: float = 900,
) -> Outcome:
    """Runs guest/NAME.py from the snapshot. `limit_s` (wall time) only ends what hangs."""
    begin = time.monotonic()
    with only_one() as lock, tempfile.TemporaryDirectory(prefix="eegd-run-") as scratch:
        job, console, out, into = (Path(scratch) / part for part in ("job", "console", "out", "in"))
        write_job(job, {**project_files(machine), **(files or {})})
        into.write_text(f"{' '.join((name, *arguments))}\n", encoding="utf-8")
        command = [*machine.command(job, console), "-monitor", "none", "-loadvm", SNAPSHOT]
        with (
            into.open("rb") as line,
            out.open("wb") as output,
            running(command, line, output, lock) as qemu,
            contextlib.suppress(subprocess.TimeoutExpired),
        ):
            qemu.wait(timeout=limit_s)
        said = out.read_text(encoding="utf-8", errors="replace")
        kernel_said = console.read_text(encoding="utf-8", errors="replace") if console.exists() else ""
    text, _, rest = said.rpartition("\nEXIT ")
    ended = rest.strip().isdigit()
    return Outcome(int(rest) if ended else None, text if ended else said, kernel_said, time.monotonic() - begin)


def keep(outcome: Outcome, name: str) -> Path:
    """Writes what a script and its kernel said where one can look at it."""
    folder = BUILD / "logs"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.txt"
    path.write_text(f"{outcome.text}\n---- console ----\n{outcome.console}", encoding="utf-8")
    return path
