"""A spidev device opened for ADS1299: locked, in SPI mode 1, or refused with the remedy."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eegd.errors import BoardError

__all__ = ["open_spi", "rp1_sclk_hz"]

SPI_MODE = 1
"""CPOL = 0, CPHA = 1 (SBAS499C 9.5.1)."""
LEFTOVERS = ("cshigh", "lsbfirst", "loop", "threewire", "no_cs")
"""The mode is the device's, not the descriptor's: whoever used it before may have left these set."""
RP1_INPUT_HZ = 200_000_000
BOOT_FLASH_BUS = 10
DEVICES = Path("/dev")
LOCKS = Path("/proc/locks")


def rp1_sclk_hz(requested_hz: int) -> int:
    """SCLK that RP1 (Raspberry Pi 5) makes of a request: 200 MHz by an even divider, never above the request.

    As drivers/spi/spi-dw-core.c divides.
    """
    divider = (-(-RP1_INPUT_HZ // requested_hz) + 1) & ~1
    return RP1_INPUT_HZ // divider


def open_spi(path: str, max_speed_hz: int) -> Any:
    """An open `spidev.SpiDev` of /dev/spidevB.C, locked against other processes that lock it. The caller closes it.

    BoardError says what to do where the device is missing, forbidden, in use, or cannot do mode 1.
    """
    device = _open(path)
    try:
        _lock(device.fileno(), path)
        _set_up(device, path, max_speed_hz)
    except BaseException:
        device.close()
        raise
    return device


def _open(path: str) -> Any:
    try:
        import spidev
    except ImportError as error:
        raise BoardError("the package spidev is missing: pip install eegd[daemon]") from error
    bus, select = _numbers(path)
    device = spidev.SpiDev()
    try:
        device.open(bus, select)
    except FileNotFoundError as error:
        raise BoardError(f"{path}: no such device; {_missing(bus)}") from error
    except PermissionError as error:
        raise BoardError(
            f"{path}: no permission; add the user to group spi (sudo usermod -aG spi $USER, then log in again) "
            "or run the daemon as its service"
        ) from error
    except OSError as error:
        raise BoardError(f"{path}: {error.strerror or error}") from error
    return device


def _numbers(path: str) -> tuple[int, int]:
    match = re.fullmatch(r"/dev/spidev(\d+)\.(\d+)", path)
    if match is None or int(match[1]) == BOOT_FLASH_BUS:
        raise BoardError(f"{path} is no SPI device to use: such as /dev/spidev0.0, and not bus {BOOT_FLASH_BUS}")
    return int(match[1]), int(match[2])


def _missing(bus: int) -> str:
    here = sorted(str(path) for path in DEVICES.glob(f"spidev{bus}.*"))
    if here:
        return (
            f"bus {bus} has {', '.join(here)}; another chip select needs another overlay in /boot/firmware/config.txt"
        )
    switch = "dtparam=spi=on" if bus == 0 else f"dtoverlay=spi{bus}-1cs"
    return f"enable SPI: {switch} in /boot/firmware/config.txt, then reboot"


def _lock(fd: int, path: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holders = ", ".join(_holders(fd)) or "another process"
        raise BoardError(f"{path} is in use by {holders}: stop it first") from error


def _holders(fd: int) -> Iterator[str]:
    """Who holds a flock on this file, by /proc/locks."""
    status = os.fstat(fd)
    wanted = (os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)
    try:
        lines = LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for line in lines:
        match = re.match(r"\d+: FLOCK +\w+ +\w+ +(\d+) +([0-9a-f]+):([0-9a-f]+):(\d+) ", line)
        if match is None or (int(match[2], 16), int(match[3], 16), int(match[4])) != wanted:
            continue
        try:
            name = Path(f"/proc/{match[1]}/comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            name = "?"
        yield f"process {match[1]} ({name})"


def _set_up(device: Any, path: str, max_speed_hz: int) -> None:
    """Always writes the mode. The package reads it back from the kernel after each change."""
    try:
        for flag in LEFTOVERS:
            if getattr(device, flag):
                setattr(device, flag, False)
        device.mode = SPI_MODE
        device.bits_per_word = 8
        device.max_speed_hz = max_speed_hz
    except OSError as error:
        raise BoardError(f"{path}: SPI mode {SPI_MODE} at {max_speed_hz} Hz is refused: {error}") from error
    if (device.mode, device.bits_per_word) != (SPI_MODE, 8):
        raise BoardError(
            f"{path}: set to SPI mode {SPI_MODE} and 8 bits, reads back mode {device.mode} and "
            f"{device.bits_per_word} bits: this controller cannot read an ADS1299"
        )
