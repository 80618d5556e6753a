"""A computer for the doctor's tests: a tree of files below a temporary directory, and what no file says."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eegd.config import Config, parse_config
from eegd.doctor.check import Context, Group, Result, run_checks
from eegd.doctor.probe import GpioChip, System
from eegd.doctor.running import Running

STRANGER = 4711
"""A user who is nobody here: owns nothing and is in no group."""
HEADER = {f"GPIO{number}": "" for number in range(28)}
REAL_BOARD: dict[str, object] = {"board.kind": "linux", "board.spi": ["/dev/spidev0.0"], "board.drdy_line": "GPIO26"}


class Computer:
    """Writes files as the kernel would show them; `system` reads them as an ordinary user."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.chips: dict[str, GpioChip] = {}
        self.facts: dict[str, Any] = {"uid": STRANGER, "gids": frozenset({STRANGER}), "run": lambda _: None}
        self.facts |= {"clock_state": lambda: 0, "environ": {}, "release": "6.12.62+rpt-rpi-v8-rt", "page_size": 4096}
        self.facts |= {"version": "#1 SMP PREEMPT_RT Debian", "gpio_chip": self._chip}

    def _chip(self, path: str) -> GpioChip:
        return self.chips[str(Path(path).relative_to(self.root))]

    def file(self, name: str, text: str = "", mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def gpio(self, label: str = "pinctrl-rp1", number: int = 0, mode: int = 0o666, **consumers: str) -> None:
        name = f"dev/gpiochip{number}"
        self.file(name, mode=mode)
        self.chips[name] = GpioChip(str(self.root / name), label, HEADER | consumers)

    def process(self, pid: int, name: str, policy: int = 0, priority: int = 0) -> None:
        """In /proc, with its first thread; field 40 of stat is the priority, 41 the policy."""
        stat = f"{pid} ({name}) S " + " ".join(["0"] * 36) + f" {priority} {policy} 0"
        self.file(f"proc/{pid}/comm", f"{name}\n")
        self.file(f"proc/{pid}/stat", stat)
        self.file(f"proc/{pid}/task/{pid}/stat", stat)

    def limits(self, pid: int | str, priority: str, memory: str) -> None:
        text = "Limit                     Soft Limit           Hard Limit           Units\n"
        text += f"Max locked memory         {memory}              {memory}              bytes\n"
        text += f"Max realtime priority     {priority}                    {priority}\n"
        self.file(f"proc/{pid}/limits", text)

    def open_by(self, pid: int, name: str, device: str) -> None:
        self.process(pid, name)
        link = self.root / f"proc/{pid}/fd/3"
        link.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(device, link)

    @property
    def system(self) -> System:
        return System(root=self.root, **self.facts)


def config_of(overrides: Mapping[str, object] | None = None) -> Config:
    return parse_config("", "test.toml", {"sim.clock": "virtual", **(overrides or {})})


def results_of(
    computer: Computer,
    name: str,
    overrides: Mapping[str, object] | None = None,
    group: Group = "system",
    running: Running | None = None,
) -> list[Result]:
    """What the checks say in rows of this name."""
    context = Context(computer.system, config_of(REAL_BOARD if overrides is None else overrides), running)
    return [result for result in run_checks(context, group) if result.check == name]


def result_of(
    computer: Computer,
    name: str,
    overrides: Mapping[str, object] | None = None,
    group: Group = "system",
    running: Running | None = None,
) -> Result:
    """The only row of this name."""
    (result,) = results_of(computer, name, overrides, group, running)
    return dataclasses.replace(result)
