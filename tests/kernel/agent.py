# SPDX-License-Identifier: MIT
"""Runs in the guest, as a service: waits for one line on the second serial port, runs that script, ends QEMU.

The line is "NAME ARGUMENT …"; the script is tests/kernel/guest/NAME.py on the second disk, a bare tar file.
Before it says that it is ready it reads all files that a script may need: while the guest waits for its disk its
clock races. It waits in a busy loop for the same reason.
"""

import contextlib
import glob
import os
import subprocess
import termios
import tty

PORT = "/dev/ttyS1"
JOB = "/run/job"
WARM = ("/opt/eegd", *glob.glob("/usr/lib/python3*"), "/usr/lib/x86_64-linux-gnu", "/usr/bin", "/usr/sbin")
MODULES = ("numpy", "zmq", "gpiod", "spidev", "cffi", "systemd.daemon")
EXIT_PORT = 0xF4  # isa-debug-exit: v written there ends QEMU with status 2 v + 1


def warm_up() -> None:
    for tree in WARM:
        for place, _, names in os.walk(tree):
            for name in names:
                path = os.path.join(place, name)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        while file.read(1 << 20):
                            pass
    subprocess.run(["/opt/eegd/bin/python", "-c", f"import {', '.join(MODULES)}"], check=True)


def read_line(port: int) -> list[str]:
    line = b""
    os.set_blocking(port, False)
    while not line.endswith(b"\n"):
        with contextlib.suppress(BlockingIOError):
            line += os.read(port, 1)
    os.set_blocking(port, True)
    return line.decode().split()


def run(name: str, arguments: list[str], port: int) -> int:
    os.makedirs(JOB)
    subprocess.run(["tar", "-C", JOB, "-xf", "/dev/vdb"], check=True)
    command = ["/opt/eegd/bin/python", "-u", "-m", f"tests.kernel.guest.{name}", *arguments]
    done = subprocess.run(command, check=False, stdout=port, stderr=port, stdin=subprocess.DEVNULL, cwd=JOB)
    return done.returncode


def main() -> None:
    port = os.open(PORT, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    warm_up()
    os.write(port, b"READY\n")
    name, *arguments = read_line(port)
    status = 1
    try:
        status = run(name, arguments, port)
    finally:
        os.write(port, b"\nEXIT %d\n" % status)
        termios.tcdrain(port)
        with open("/dev/port", "wb", buffering=0) as ports:
            ports.seek(EXIT_PORT)
            ports.write(bytes([1 if status else 0]))


if __name__ == "__main__":
    main()
