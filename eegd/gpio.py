"""The GPIO chip of the header and its lines: found by label and name, requested for DRDY, START, RESET and PWDN."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from eegd.errors import BoardError, ConfigError
from eegd.schema import near

if TYPE_CHECKING:
    import gpiod

__all__ = [
    "HEADER_LABELS",
    "RP1_LABEL",
    "find_line",
    "find_lines",
    "line_offsets",
    "open_chip",
    "request_drdy",
    "request_inputs",
    "request_loopback",
    "request_low",
    "request_outputs",
    "set_line",
]

DEVICES = Path("/dev")
RP1_LABEL = "pinctrl-rp1"
HEADER_LABELS = (RP1_LABEL, "pinctrl-bcm2711", "pinctrl-bcm2835")
"""Chips that carry the 40-pin header: Raspberry Pi 5, 4, and those before. Their numbers change between kernels."""
EVENT_BUFFER = 1024
"""The kernel's limit, 16 × 64: 4 s of edges at 250 SPS, 64 ms at 16000."""
QUIET_LEVELS = {"START": 0, "RESET": 1, "PWDN": 1}
"""Powered, not in reset, not converting."""


def _gpiod() -> ModuleType:
    try:
        import gpiod
    except ImportError as error:
        raise BoardError("the package gpiod is missing: pip install eegd[daemon]") from error
    if not hasattr(gpiod, "LineSettings"):
        raise BoardError("the package gpiod is older than 2.2: pip install eegd[daemon]")
    return gpiod


def open_chip(label: str | None) -> gpiod.Chip:
    """The chip with this label, or of the header where None. The caller closes it.

    BoardError where there is none that may be opened, with what there is instead.
    """
    package = _gpiod()
    wanted = HEADER_LABELS if label is None else (label,)
    found: list[str] = []
    denied: list[str] = []
    # A link is not another chip: some systems keep the old number as one.
    for path in sorted({path.resolve() for path in DEVICES.glob("gpiochip*")}):
        try:
            chip = package.Chip(str(path))
        except PermissionError:
            denied.append(str(path))
            continue
        except OSError:
            continue
        try:
            here = chip.get_info().label
        except OSError:  # gone since
            chip.close()
            continue
        if here in wanted:
            return chip  # type: ignore[no-any-return]
        chip.close()
        found.append(f"{here} ({path})")
    if denied:
        raise BoardError(
            f"no permission to open {', '.join(denied)}; add the user to group gpio (sudo usermod -aG gpio $USER, "
            "then log in again) or run the daemon as its service"
        )
    text = f"no GPIO chip is labelled {' or '.join(wanted)}; there are: {', '.join(found) or 'none'}"
    if label is None:
        raise BoardError(f"{text}; name the chip with the header in [board] gpio_chip")
    raise ConfigError(f'[board] gpio_chip = "{label}": {text}')


def line_offsets(chip: gpiod.Chip) -> dict[str, int]:
    """Offsets of all its lines, by name.

    A header chip whose lines have no names at all numbers them as the header does: GPIO26 is offset 26.
    """
    info = chip.get_info()
    offsets: dict[str, int] = {}
    for offset in range(info.num_lines):
        name = chip.get_line_info(offset).name
        if name:
            offsets.setdefault(name, offset)
    if not offsets and info.label in HEADER_LABELS:
        offsets = {f"GPIO{offset}": offset for offset in range(info.num_lines)}
    return offsets


def find_lines(chip: gpiod.Chip, lines: Mapping[str, str]) -> dict[str, int]:
    """Offsets of lines given as configuration key and name. ConfigError for a name that the chip does not have."""
    offsets = line_offsets(chip)
    return {key: _find(chip, offsets, f"[board] {key}", name) for key, name in lines.items()}


def find_line(chip: gpiod.Chip, where: str, name: str) -> int:
    """Offset of one line, which `where` names in the configuration. ConfigError as find_lines."""
    return _find(chip, line_offsets(chip), where, name)


def _find(chip: gpiod.Chip, offsets: Mapping[str, int], where: str, name: str) -> int:
    if name not in offsets:
        raise ConfigError(
            f'{where} = "{name}": GPIO chip {chip.get_info().label} ({chip.path}) has no line of that name; '
            f"{near(name, offsets) if offsets else 'its lines have no names'}"
        )
    return offsets[name]


def request_drdy(chip: gpiod.Chip, drdy: int, idle: int | None) -> gpiod.LineRequest:
    """Falling edges of DRDY, stamped on CLOCK_MONOTONIC. BoardError names who has the line already.

    An idle line is a plain input: that it is part of the request makes the kernel number edges in the interrupt,
    and without edges of its own it brings no noise into that number. No debounce: it would delay the edges by
    milliseconds.
    """
    package = _gpiod()
    settings = {drdy: _falling_edges(package)}
    if idle is not None:
        settings[idle] = package.LineSettings(direction=package.line.Direction.INPUT)
    return _request(chip, settings, "eegd-drdy", EVENT_BUFFER)


def request_loopback(chip: gpiod.Chip, out: int, into: int) -> tuple[gpiod.LineRequest, gpiod.LineRequest]:
    """An output, high, and an input whose falling edges are stamped as those of DRDY. BoardError as request_drdy."""
    package = _gpiod()
    line = package.line
    high = package.LineSettings(direction=line.Direction.OUTPUT, output_value=line.Value.ACTIVE)
    watched = _request(chip, {into: _falling_edges(package)}, "eegd-loopback", EVENT_BUFFER)
    try:
        return _request(chip, {out: high}, "eegd-loopback", None), watched
    except BaseException:
        watched.release()
        raise


def _falling_edges(package: ModuleType) -> gpiod.LineSettings:
    line = package.line
    settings: gpiod.LineSettings = package.LineSettings(
        direction=line.Direction.INPUT,
        edge_detection=line.Edge.FALLING,
        bias=line.Bias.AS_IS,
        event_clock=line.Clock.MONOTONIC,
    )
    return settings


def request_inputs(chip: gpiod.Chip, lines: Mapping[int, tuple[str, bool, bool]]) -> gpiod.LineRequest:
    """Inputs by offset, each with its pull (up, down, none) and whether rising and falling edges are wanted, stamped
    on CLOCK_MONOTONIC. BoardError as request_drdy."""
    package = _gpiod()
    line = package.line
    pulls = {"up": line.Bias.PULL_UP, "down": line.Bias.PULL_DOWN, "none": line.Bias.DISABLED}
    edges = {
        (True, False): line.Edge.RISING,
        (False, True): line.Edge.FALLING,
        (True, True): line.Edge.BOTH,
    }
    settings = {
        offset: package.LineSettings(
            direction=line.Direction.INPUT,
            edge_detection=edges[rising, falling],
            bias=pulls[pull],
            event_clock=line.Clock.MONOTONIC,
        )
        for offset, (pull, rising, falling) in lines.items()
    }
    return _request(chip, settings, "eegd-markers", EVENT_BUFFER)


def request_outputs(chip: gpiod.Chip, offsets: Mapping[str, int]) -> gpiod.LineRequest:
    """START, RESET and PWDN, by name, at levels that keep the chips quiet. BoardError as request_drdy."""
    package = _gpiod()
    line = package.line
    settings = {
        offset: package.LineSettings(
            direction=line.Direction.OUTPUT,
            output_value=line.Value.ACTIVE if QUIET_LEVELS[name] else line.Value.INACTIVE,
        )
        for name, offset in offsets.items()
    }
    return _request(chip, settings, "eegd-lines", None)


def request_low(chip: gpiod.Chip, offset: int) -> gpiod.LineRequest:
    """An output for a stimulus, low. BoardError as request_drdy."""
    line = _gpiod().line
    low = _gpiod().LineSettings(direction=line.Direction.OUTPUT, output_value=line.Value.INACTIVE)
    return _request(chip, {offset: low}, "eegd-trigger", None)


def set_line(request: gpiod.LineRequest, offset: int, high: bool) -> None:
    """Drives an output. Raises OSError."""
    value = _gpiod().line.Value
    request.set_value(offset, value.ACTIVE if high else value.INACTIVE)


def _request(
    chip: gpiod.Chip, settings: dict[int, gpiod.LineSettings], consumer: str, event_buffer_size: int | None
) -> gpiod.LineRequest:
    try:
        return chip.request_lines(cast(Any, settings), consumer=consumer, event_buffer_size=event_buffer_size)
    except OSError as error:
        where = f"GPIO chip {chip.get_info().label} ({chip.path})"
        if error.errno != errno.EBUSY:
            numbers = ", ".join(str(offset) for offset in settings)
            raise BoardError(f"{where} refuses lines {numbers}: {error.strerror}") from error
        owners = [_owner(chip, offset) for offset in settings if chip.get_line_info(offset).used]
        raise BoardError(f"{where}: {', '.join(owners) or 'a line is in use'}; stop that program first") from error


def _owner(chip: gpiod.Chip, offset: int) -> str:
    info = chip.get_line_info(offset)
    return f"line {info.name or offset} is in use by {info.consumer or 'a nameless program'}"
