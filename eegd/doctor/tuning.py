"""Checks of what makes latency: preemption, governor, PCIe power saving, limits, the kernel's thread for DRDY edges."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from math import inf

from eegd.doctor.check import Context, Fix, Level, Result, check
from eegd.doctor.probe import Scheduling, System

__all__ = ["bench_irq_thread"]

PREEMPT_NOW = "sys/kernel/debug/sched/preempt"
"""Root only: `none voluntary (full)`."""
PREEMPT_BUILT = {"CONFIG_PREEMPT": "full", "CONFIG_PREEMPT_LAZY": "lazy"}
PREEMPT_BUILT |= {"CONFIG_PREEMPT_VOLUNTARY": "voluntary", "CONFIG_PREEMPT_NONE": "none"}
PREEMPTIBLE = ("full", "lazy")
"""Of `lazy` only ordinary threads wait; a real-time thread interrupts a system call as under `full`."""
GOVERNORS = "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"
ASPM = "sys/module/pcie_aspm/parameters/policy"
CAP_IPC_LOCK, CAP_SYS_NICE = 14, 23
RTPRIO, MEMLOCK = "Max realtime priority", "Max locked memory"
IRQ_THREAD = r"^irq/\d+-eegd"
UNTIL_BOOT = "until the next boot"


@check("preemption", hardware=True)
def preemption(context: Context) -> Iterator[Result]:
    """May the capture thread interrupt another program's system call?"""
    system = context.system
    if system.real_time:
        yield Result("preemption", Level.OK, "PREEMPT_RT")
        return
    model, source = _preemption(system)
    if model is None:
        told = "PREEMPT_DYNAMIC; which model is in use only root can see"
        yield Result("preemption", Level.NOTE, told, mend=f"sudo cat /{PREEMPT_NOW}")
    elif model in PREEMPTIBLE:
        yield Result("preemption", Level.OK, f"{model} ({source})")
    else:
        mend = "preempt=full at the end of the kernel's command line (cmdline.txt of a Raspberry Pi), then reboot"
        if "PREEMPT" not in system.version:
            mend = "a kernel that is built with CONFIG_PREEMPT, as Raspberry Pi OS has it"
        why = "capture waits for other programs' system calls: at 8000 SPS and above samples are missed"
        yield Result("preemption", Level.WARN, f"{model} ({source})", why, mend)


def _preemption(system: System) -> tuple[str | None, str]:
    """(full, lazy, voluntary, none; where that is said); None where a kernel that can change it does not say it."""
    if "PREEMPT" not in system.version:
        return "voluntary or none", "the kernel's version says no PREEMPT"
    if "PREEMPT_DYNAMIC" not in system.version:
        return "full", "PREEMPT in the kernel's version"
    now = re.search(r"\((\w+)\)", system.read(PREEMPT_NOW) or "")
    if now:
        return now[1], "in use now"
    asked = re.findall(r"(?:^|\s)preempt=(full|lazy|voluntary|none)(?=\s|$)", system.read("proc/cmdline") or "")
    if asked:
        return asked[-1], "on the kernel's command line"
    built = re.findall(r"^(CONFIG_PREEMPT\w*)=y$", system.read(f"boot/config-{system.release}") or "", re.MULTILINE)
    return next((PREEMPT_BUILT[name] for name in built if name in PREEMPT_BUILT), None), "this kernel's default"


@check("governor")
def governor(context: Context) -> Iterator[Result]:
    system = context.system
    paths = system.glob(GOVERNORS)
    names = [str(path.relative_to(system.root)) for path in paths]
    slow = {name: value for name in names if (value := system.read(name)) not in ("performance", None)}
    if not names:
        yield Result("governor", Level.NOTE, "this kernel does not scale the processor's clock")
    elif not slow:
        yield Result("governor", Level.OK, f"performance on {len(names)} cores")
    else:

        def fix() -> None:
            for name in slow:
                system.write(name, "performance\n")

        yield Result(
            *("governor", Level.WARN, f"{', '.join(sorted(set(map(str, slow.values()))))} on {len(slow)} cores"),
            "a core that has slowed down adds its wake-up to every edge",
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
            Fix(fix, f"performance on {len(slow)} cores, {UNTIL_BOOT}"),
        )


@check("PCIe power", hardware=True)
def pcie_power(context: Context) -> Iterator[Result]:
    """On a Pi 5 the header is behind PCIe; waking that link delays edges by a varying time."""
    system = context.system
    text = system.read(ASPM)
    if text is None:
        yield Result("PCIe power", Level.NOTE, "no PCIe power saving here")
        return
    policy = next((word.strip("[]") for word in text.split() if word.startswith("[")), text)
    if policy == "performance":
        yield Result("PCIe power", Level.OK, "policy performance")
        return
    yield Result(
        *("PCIe power", Level.WARN, f"policy {policy}"),
        "SPI and GPIO of a Pi 5 lie behind PCIe: its sleeping link delays edges by a varying time",
        f"echo performance | sudo tee /{ASPM}; for good: pcie_aspm.policy=performance in cmdline.txt",
        Fix(lambda: system.write(ASPM, "performance\n"), f"policy performance, {UNTIL_BOOT}"),
    )


@check("limits")
def own_limits(context: Context) -> Iterator[Result]:
    """Of this user, for a daemon started by hand."""
    yield _limits(context, "limits", "self", f"of {context.system.user}", "/etc/security/limits.d/eegd.conf")


@check("daemon limits", "service")
def daemon_limits(context: Context) -> Iterator[Result]:
    assert context.running is not None
    pid, unit = context.running.pid, context.running.unit
    yield _limits(context, "daemon limits", pid, f"of process {pid}", unit)


def _limits(context: Context, name: str, pid: int | str, whose: str, unit: str | None) -> Result:
    system, wanted = context.system, context.config.daemon.rt_priority
    priority, memory = system.limit(pid, RTPRIO), system.limit(pid, MEMLOCK)
    if priority is None or memory is None:
        return Result(name, Level.NOTE, f"{whose}: not readable")
    if system.capable(pid, CAP_SYS_NICE):
        priority = inf
    if system.capable(pid, CAP_IPC_LOCK):
        memory = inf
    need = context.config.stream.pool_mb * 1e6 + 8e6
    shown = f"{whose}: real-time priority up to {_shown(priority)}, locked memory {_shown(memory, 'MB')}"
    short = []
    if priority < wanted:
        short.append(f"[daemon] rt_priority = {wanted} will be refused: latencies then depend on other programs")
    if memory < need:
        short.append(f"the pool needs about {need / 1e6:.0f} MB: a page fault then delays capture")
    if not short:
        return Result(name, Level.OK, shown)
    return Result(name, Level.WARN, shown, "; ".join(short), _limits_command(system, unit, wanted))


def _limits_command(system: System, unit: str | None, wanted: int) -> str:
    if unit is not None and unit.endswith(".service"):
        return f"sudo systemctl edit {unit}: [Service] LimitRTPRIO={wanted} LimitMEMLOCK=infinity"
    lines = rf"{system.user} - rtprio {wanted}\n{system.user} - memlock unlimited\n"
    return f"printf '{lines}' | sudo tee /etc/security/limits.d/eegd.conf, then log in again"


def _shown(value: float, unit: str = "") -> str:
    if value == inf:
        return "any" if not unit else "unlimited"
    return f"{value / 1e6:.0f} MB" if unit else f"{value:.0f}"


@check("DRDY interrupt", "service", hardware=True)
def running_irq_thread(context: Context) -> Iterator[Result]:
    """The kernel's thread that queues DRDY edges must run before the thread that waits for them."""
    assert context.running is not None
    running = context.running
    threads = [running.capture_thread(stream, context.system) for stream in running.streams]
    capture = max((thread for thread in threads if thread), key=lambda thread: thread.priority, default=None)
    for result, pid, wanted in _irq_threads(context.system, capture):
        if result.level is not Level.WARN:
            yield result
            continue
        fix = Fix(partial(_make_fifo, pid, wanted), f"FIFO {wanted} until the daemon starts anew")
        yield replace(result, mend=f"sudo chrt -f -p {wanted} {pid}", fix=fix)


def bench_irq_thread(context: Context) -> Iterator[Result]:
    """The same of the doctor's own board, against the priority that capture would have."""
    priority = context.config.daemon.rt_priority
    capture = Scheduling("FIFO" if priority else "OTHER", priority)
    for result, _, wanted in _irq_threads(context.system, capture):
        mend = f"while the daemon runs: sudo chrt -f -p {wanted} $(pgrep '^irq/.*-eegd')"
        yield (
            replace(result, mend=mend, group="board") if result.level is Level.WARN else replace(result, group="board")
        )


def _irq_threads(system: System, capture: Scheduling | None) -> Iterator[tuple[Result, int, int]]:
    """(result, process number, priority that is wanted) for each of eegd's interrupt threads."""
    name, found = "DRDY interrupt", system.threads_named(IRQ_THREAD)
    if not found:
        told = "no thread irq/N-eegd…: this kernel handles the edge without one"
        yield Result(name, Level.NOTE, told), 0, 0
    for pid, thread in found:
        own = system.scheduling(pid)
        told = f"{thread} runs {own or 'unknown'}, capture {capture or 'unknown'}"
        if own is None or capture is None:
            yield Result(name, Level.NOTE, told), pid, 0
        elif own.priority > capture.priority:
            yield Result(name, Level.OK, told), pid, 0
        else:
            why = "capture can hold up the thread that queues its edges: edges merge, and samples are missed"
            yield Result(name, Level.WARN, told, why), pid, min(99, capture.priority + 1)


def _make_fifo(pid: int, priority: int) -> None:
    os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(priority))
