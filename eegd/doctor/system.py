"""Checks of what lies below the board: SPI and GPIO devices and their users, kernel, power, clock, disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from eegd.doctor.check import Context, Level, Result, check
from eegd.doctor.probe import GpioChip, System
from eegd.gpio import HEADER_LABELS

__all__ = ["header_chip"]

CONFIG_TXT = ("boot/firmware/config.txt", "boot/config.txt")
THROTTLED_FILES = (
    "sys/devices/platform/soc*/*firmware/get_throttled",
    "sys/devices/platform/*firmware/get_throttled",
)
THROTTLED_BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}
SINCE_BOOT = 16
UNSYNCHRONISED = 5
FULL_BYTES, LOW_BYTES = 100e6, 1e9
STATE_DIRS = ("var/lib/eegd", "var/lib", "var", ".")


@check("SPI devices", hardware=True)
def spi_devices(context: Context) -> Iterator[Result]:
    """Are the configured nodes there, and may this user use them?"""
    system = context.system
    wanted = context.config.board.spi
    paths = [system.path(name) for name in wanted]
    missing = [name for name, path in zip(wanted, paths, strict=True) if not path.exists()]
    if missing:
        yield _missing_spi(system, missing)
        return
    if not wanted:
        yield Result(
            *("SPI devices", Level.RED, "[board] spi names none", "the chips are read through them"),
            mend='in the configuration: [board] spi = ["/dev/spidev0.0"]',
        )
        return
    closed = [path for path in paths if not system.may_use(path)]
    if closed:
        group = system.group_of(closed[0], "spi")
        yield Result(
            *("SPI devices", Level.RED, f"user {system.user} may not use {_names(system, closed)}"),
            "the daemon of this user cannot open the chips",
            f"sudo usermod -aG {group} {system.user}, then log in again",
        )
        return
    yield Result("SPI devices", Level.OK, f"{', '.join(wanted)}, usable by {system.user}")


def _missing_spi(system: System, missing: list[str]) -> Result:
    there = [system.shown(path) for path in system.glob("dev/spidev*") if not path.name.startswith("spidev10.")]
    found = f"{', '.join(missing)} not there; there are {', '.join(there) or 'none'}"
    why = "without the device node nothing reaches the chips"
    for name in CONFIG_TXT:
        text = system.read(name)
        if text is None:
            continue
        if not re.search(r"^\s*dtparam=(?:.*,)?spi=on\b", text, re.MULTILINE):
            found += f"; /{name} has no dtparam=spi=on"
            return Result("SPI devices", Level.RED, found, why, "sudo raspi-config nonint do_spi 0 && sudo reboot")
        if there:
            mend = f"in the configuration: [board] spi among {', '.join(there)}; or a dtoverlay=spiN-… in /{name}"
            return Result("SPI devices", Level.RED, found, why, mend)
        return Result("SPI devices", Level.RED, f"{found}; /{name} has dtparam=spi=on", why, "sudo reboot")
    return Result(
        "SPI devices", Level.RED, found, why, "turn SPI on, on a Raspberry Pi: sudo raspi-config nonint do_spi 0"
    )


def _names(system: System, paths: list[Path]) -> str:
    return ", ".join(system.shown(path) for path in paths)


@check("SPI users", hardware=True)
def spi_users(context: Context) -> Iterator[Result]:
    own = context.running.pid if context.running is not None else None
    users = {user for name in context.config.board.spi for user in context.system.users_of(name) if user[0] != own}
    if not users:
        yield Result("SPI users", Level.OK, "no other program has the SPI devices open, as far as this user may see")
        return
    named = ", ".join(f"{name} ({pid})" for pid, name in sorted(users))
    yield Result(
        *("SPI users", Level.RED, f"also open in {named}"),
        "speed and mode belong to the device, not to a program: both would read garbage",
        f"kill {' '.join(str(pid) for pid, _ in sorted(users))}",
    )


@check("SPI driver", hardware=True)
def spi_driver(context: Context) -> Iterator[Result]:
    """Early 6.6 kernels timed out on SPI transfers by DMA (raspberrypi/linux 5696, 6020; mended by 6161)."""
    if (6, 6, 0) <= context.system.kernel < (6, 6, 31):
        yield Result(
            *("SPI driver", Level.WARN, f"kernel {context.system.release}"),
            "early 6.6 kernels time out on SPI transfers by DMA; eegd keeps its own short enough to go without",
            "sudo apt full-upgrade && sudo reboot",
        )


def header_chip(system: System, label: str | None) -> tuple[GpioChip | None, list[Path], list[str]]:
    """The chip with this label, or the header's; device nodes that this user may not open; labels of the others."""
    wanted = HEADER_LABELS if label is None else (label,)
    closed: list[Path] = []
    labels: list[str] = []
    for path in system.glob("dev/gpiochip*"):
        if path.is_symlink():
            continue
        if not system.may_use(path):
            closed.append(path)
            continue
        try:
            chip = system.gpio_chip(str(path))
        except OSError:
            continue
        if chip.label in wanted:
            return chip, closed, labels
        labels.append(chip.label)
    return None, closed, labels


@check("GPIO chip", hardware=True)
def gpio_chip(context: Context) -> Iterator[Result]:
    """Is the header there, with the configured lines, and does nobody else hold them?"""
    system, board = context.system, context.config.board
    chip, closed, labels = header_chip(system, board.gpio_chip)
    if chip is None and closed:
        yield Result(
            *("GPIO chip", Level.RED, f"user {system.user} may not use {_names(system, closed)}"),
            "DRDY cannot be watched",
            f"sudo usermod -aG {system.group_of(closed[0], 'gpio')} {system.user}, then log in again",
        )
        return
    if chip is None:
        yield Result(
            *("GPIO chip", Level.RED, f"no chip is labelled {board.gpio_chip or ' or '.join(HEADER_LABELS)}"),
            f"DRDY is on that chip; there {'are ' + ', '.join(labels) if labels else 'is no GPIO chip at all'}",
            "in the configuration: [board] gpio_chip, the label of the chip with the header, as gpiodetect shows it"
            if labels
            else "run eegd on the Raspberry Pi that carries the board, or try --simulate",
        )
        return
    wanted = board.lines
    missing = [name for name in wanted if name not in chip.consumers]
    if missing:
        yield Result(
            *("GPIO chip", Level.RED, f"{chip.label} has no line {', '.join(missing)}", "the line cannot be watched"),
            "in the configuration: names as `gpioinfo` shows them, such as GPIO26",
        )
        return
    yield Result("GPIO chip", Level.OK, f"{chip.label} is {chip.path.rpartition('/')[2]}, with {', '.join(wanted)}")
    yield _line_users(context, {name: chip.consumers[name] for name in wanted})


def _line_users(context: Context, lines: dict[str, str]) -> Result:
    """Whether somebody else holds one of the board's lines."""
    taken = {name: user for name, user in lines.items() if user}
    if context.running is not None:
        taken = {name: user for name, user in taken.items() if not user.startswith("eegd")}
    if not taken:
        return Result("GPIO lines", Level.OK, "free, or held by the running eegd")
    return Result(
        *("GPIO lines", Level.RED, ", ".join(f"{name} is held by {user!r}" for name, user in taken.items())),
        "a line has one owner: eegd cannot request it",
        f"stop that program; `gpioinfo | grep {next(iter(taken))}` shows when the line is free",
    )


@check("kernel")
def kernel(context: Context) -> Iterator[Result]:
    """PREEMPT_RT or not, and the faults that are known of this version."""
    system = context.system
    pages = f"{system.page_size // 1024} KiB pages"
    if system.real_time:
        yield Result("kernel", Level.OK, f"{system.release}, PREEMPT_RT, {pages}")
    else:
        yield Result(
            *("kernel", Level.NOTE, f"{system.release}, not PREEMPT_RT, {pages}"),
            "under load an edge may wait milliseconds; below about 1000 SPS the kernel's queue still keeps every edge",
            "on a Raspberry Pi: sudo apt install linux-image-rpi-v8-rt, kernel=kernel8_rt.img in config.txt, reboot",
        )
    if system.real_time and system.kernel < (6, 12, 62) and system.path("sys/module/v3d").exists():
        yield Result(
            *("kernel faults", Level.RED, f"{system.release} with PREEMPT_RT and the graphics driver v3d"),
            "RT kernels before 6.12.62 can lock up with v3d",
            "sudo apt full-upgrade && sudo reboot; or sudo systemctl set-default multi-user.target",
        )
    if context.on_hardware and context.config.daemon.cpu is not None and system.kernel < (7, 0, 0):
        yield Result(
            *("interrupt core", Level.NOTE, f"[daemon] cpu = {context.config.daemon.cpu}, kernel {system.release}"),
            "before 7.0 the threaded half of a Pi 5 GPIO interrupt does not follow smp_affinity (raspberrypi/linux "
            "7301): the edge's stamp may be made on the chosen core, but not the wake-up",
        )


@check("power")
def power(context: Context) -> Iterator[Result]:
    """The firmware's word on voltage and temperature, now (bits 0 to 3) and since the boot (16 to 19)."""
    word = _throttled(context.system)
    if word is None:
        yield Result("power", Level.NOTE, "this computer does not tell about under-voltage")
        return
    now = [name for bit, name in THROTTLED_BITS.items() if word >> bit & 1]
    before = [name for bit, name in THROTTLED_BITS.items() if word >> (bit + SINCE_BOOT) & 1]
    if not now and not before:
        yield Result("power", Level.OK, "no under-voltage and no throttling since the boot")
        return
    found = f"now: {', '.join(now)}" if now else f"since the boot: {', '.join(before)}"
    cold = any("under-voltage" in name for name in now + before)
    yield Result(
        *("power", Level.RED if now else Level.WARN, f"{found} ({word:#x})"),
        "the processor slows down, and a chip whose supply breaks down loses its registers",
        "a supply or battery of 5 V and 5 A, and a short cable" if cold else "cooling: a fan or a heat sink",
    )


def _throttled(system: System) -> int | None:
    for pattern in THROTTLED_FILES:
        for path in system.glob(pattern):
            text = system.read(str(path.relative_to(system.root)))
            if text:
                return int(text, 16)
    text = system.run(["vcgencmd", "get_throttled"])
    found = re.search(r"throttled=(0x[0-9a-fA-F]+)", text or "")
    return int(found[1], 16) if found else None


@check("clock")
def clock(context: Context) -> Iterator[Result]:
    """Wall time: samples are timed by CLOCK_MONOTONIC, recordings are dated by this."""
    system = context.system
    state = system.clock_state()
    if state is None:
        yield Result("clock", Level.NOTE, "the kernel does not tell whether it is synchronised")
    elif state == UNSYNCHRONISED:
        yield Result(
            *("clock", Level.WARN, "nothing synchronises the system clock"),
            "wall times of recordings may be wrong; the times between samples are not",
            "sudo timedatectl set-ntp true",
        )
    else:
        yield Result("clock", Level.OK, "synchronised")
    if system.glob("dev/rtc*"):
        yield Result("RTC", Level.OK, "there; it keeps time without power only with a battery")
    else:
        yield Result("RTC", Level.NOTE, "none", "after a boot without network the date is wrong")


@check("disk")
def disk(context: Context) -> Iterator[Result]:
    chosen = context.system.environ.get("STATE_DIRECTORY", "").split(":")[0]
    space = context.system.free_bytes([name for name in (chosen, *STATE_DIRS) if name])
    if space is None:
        yield Result("disk", Level.NOTE, "no state directory")
        return
    where, free = space
    level = Level.RED if free < FULL_BYTES else Level.WARN if free < LOW_BYTES else Level.OK
    found = f"{free / 1e9:.1f} GB free in {where}" if free >= LOW_BYTES else f"{free / 1e6:.0f} MB free in {where}"
    if level is Level.OK:
        yield Result("disk", level, found)
    else:
        why = "recordings and logs end when it is full (8 channels, 250 SPS: about 30 MB an hour)"
        yield Result("disk", level, found, why, "sudo apt clean && sudo journalctl --vacuum-size=50M")
