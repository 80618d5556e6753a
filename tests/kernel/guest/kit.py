# SPDX-License-Identifier: MIT
"""What the guest's scripts share: loading the emulated chips, their status and faults, rows of the report.

A script fails by raising; what it measured it says with `row`. Runs in the guest, as root.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["JOB", "PARAMETERS", "expect", "fault", "load", "programs", "row", "status", "unload", "write_frames"]

JOB = Path("/run/job")
PARAMETERS = Path("/sys/module/eegd_chip/parameters")
UDEV_WORKER = "(udev-worker)"


def load(**parameters: object) -> None:
    """Plugs the emulated chips in: loads the module and waits for udev.

    Also for the end of its workers, which otherwise comes some seconds later, in the midst of a measurement: what the
    kernel then clears away of them, it does before any thread, whatever its priority.
    """
    words = [f"{name}={value}" for name, value in parameters.items()]
    subprocess.run(["insmod", JOB / "eegd_chip.ko", *words], check=True)
    subprocess.run(["udevadm", "settle"], check=True)
    while any(name == UDEV_WORKER for name in programs()):
        time.sleep(0.1)


def programs() -> Iterator[str]:
    """Names of all processes."""
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it has just ended
            yield path.read_text().strip()


def unload() -> None:
    subprocess.run(["rmmod", "eegd_chip"], check=True)


def status() -> dict[str, int]:
    """The hardware's own counters; those of violations carry the name of the rule."""
    found = {}
    for line in (PARAMETERS / "status").read_text().splitlines():
        name, number, *words = line.split(" ")
        found[" ".join([name, *words])] = int(number)
    return found


def violations() -> dict[str, int]:
    return {name: n for name, n in status().items() if name.startswith("violation_")}


def fault(text: str) -> None:
    (PARAMETERS / "fault").write_text(text)


def write_frames(content: bytes) -> None:
    """Gives the chips conversions, status words included; they cease when these are used up."""
    with open("/dev/eegd_chip", "wb", buffering=0) as device:
        while content:
            content = content[device.write(content) :]


def row(**fields: object) -> None:
    """One line of the table that the host prints."""
    print("@ROW", json.dumps(fields), flush=True)


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise SystemExit(f"FAILED: {what}")
