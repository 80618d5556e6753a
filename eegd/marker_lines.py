"""Opens the marker lines that a configuration names: of this computer, or emulated ones on the emulated board."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from eegd.acquisitions import Acquisitions
from eegd.config import Config
from eegd.events import EventPublisher
from eegd.input_lines import GpioLines, InputLines
from eegd.markers import Markers
from eegd.sim_lines import DEMO, Change, SimLines, demo_changes, play, read_changes

__all__ = ["check_triggers", "open_markers"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it is asked for."""

    where: str
    name: str
    pull: str
    rising: bool = True
    falling: bool = True


def wanted_lines(config: Config) -> list[Line]:
    """All of them: markers, then the bits of the trigger word, then its strobe."""
    trigger = config.trigger
    lines = [
        Line("[[marker]] line", marker.line, marker.pull, marker.edge != "falling", marker.edge != "rising")
        for marker in config.markers
    ]
    lines += [Line("[trigger] lines", name, trigger.pull) for name in trigger.lines]
    if trigger.strobe is not None:
        rising = trigger.strobe_edge == "rising"
        lines.append(Line("[trigger] strobe", trigger.strobe, trigger.pull, rising, not rising))
    return lines


def open_markers(config: Config, events: EventPublisher, acquisitions: Acquisitions) -> Markers | None:
    """None where the configuration names no lines. BoardError or ConfigError where they cannot be had."""
    wanted = wanted_lines(config)
    if not wanted:
        return None
    changes = _changes(config, wanted)
    lines: InputLines
    if config.board.kind == "sim":
        lines = emulated = SimLines(wanted)
    else:
        lines = GpioLines(config.board.gpio_chip, wanted)

    def tell_faults() -> None:
        for acquisition in acquisitions:
            acquisition.told.tell_faults()

    latency_ns = config.board.edge_latency_ns
    try:
        markers = Markers(
            config.markers, config.trigger, lines, events, acquisitions.first, tell_faults, latency_ns=latency_ns
        )
    except BaseException:
        lines.close()
        raise
    if config.board.kind == "sim" and changes is not None:
        markers.player = asyncio.create_task(play(emulated, changes))
    return markers


def check_triggers(config: Config) -> None:
    """Raises ConfigError where [sim] triggers is a file that cannot be read, or names lines that are not there."""
    if config.sim.triggers is not None:
        _changes(config, wanted_lines(config))


def _changes(config: Config, wanted: list[Line]) -> Iterator[Change] | None:
    triggers = config.sim.triggers
    if config.board.kind != "sim" or triggers is None:
        return None
    if triggers != DEMO:
        return iter(read_changes(triggers, [line.name for line in wanted]))
    n_markers, n_bits = len(config.markers), len(config.trigger.lines)
    bits = range(n_markers, n_markers + n_bits)
    strobe = n_markers + n_bits if config.trigger.strobe is not None else None
    return demo_changes(range(n_markers), bits, strobe, config.sim.seed)
