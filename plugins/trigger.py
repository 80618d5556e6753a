"""Trigger: a pulse on a GPIO line of the header for each crossing of a threshold, or for each detection of the daemon.

Nothing is driven until `armed` is true, which it is not by default: `eegctl set trigger armed=yes`. Pulses have one
width, begin at least `refractory` apart, also from the start of the plugin, and are at most `per_minute` a minute; what
is refused for one of these is an event `pulse refused`, at most one a second, with their number. Parameters that change
during a pulse hold from the next one on; but `armed=no`, and another line, end it at once. Each pulse is two events:
`pulse asked`, when this plugin wanted it, and `pulse`, when the line was high, whose value is the ms since what caused
it.

on = "threshold": the channel, or the column of a stream of features, crosses `threshold`, as in plugin `detect`; found
when its frame is there. on = "detection": any event of kind `detection` on these channels, such as those of
[[detector]] in the configuration, as soon as it is published.

`line` is the name of a GPIO line of the header, such as GPIO17, or its number alone; `emulated` (or -1) drives nothing,
for trying it out. A process that is killed in a pulse leaves the line high on a Raspberry Pi. A line drives 3.3 V and
some mA: equipment belongs behind an opto-coupler, and what is attached to a person behind its own medical isolation,
with limits of its own; see docs/events.md. This is no safety device.

What comes in goes out unchanged: no delay. Memory: side and mean of each channel. After a gap it settles anew, and the
side that it finds is no crossing; a pulse that is on goes on, and the limits count over it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eegd.detect import Changes
from eegd.errors import EegdError, ParamError
from eegd.events import subscribed
from eegd.output_line import EmulatedLine, GpioOutput, OutputLine
from eegd.plugin import Frame, Needs, Param, Plugin, StreamInfo
from eegd.pulser import Limits, Pulse, Pulser
from eegd.runtime_dir import find_dir

log = logging.getLogger(__name__)

POLL_MS = 100
REFUSED_EVERY_NS = 10**9
LIMITS = {"armed", "width", "refractory", "per_minute"}
EMULATED = "emulated line"


class Trigger(Plugin):
    """Drives a GPIO line for each detection or crossing of a threshold."""

    needs: ClassVar[Needs] = Needs(kinds=("raw", "filtered", "features"))

    armed = Param(False, doc="Nothing is driven before this is true")
    line = Param("emulated", min=1, max=32, doc="GPIO line, by name or number; emulated: none")
    on = Param("threshold", choices=("threshold", "detection"), doc="What it is for")
    threshold = Param(100.0, doc="What is crossed, in the unit of the channel or column")
    hysteresis = Param(0.0, min=0, doc="Width of the band about it in which nothing counts")
    edge = Param("rising", choices=("rising", "falling", "both"), doc="Which crossings count")
    dc_removal = Param(0.0, min=0, max=4000, unit="Hz", doc="Corner of a high-pass before; 0 for none")
    channels = Param("all", kind="channels", doc="Channels or columns that count")
    width = Param(10.0, min=0.1, max=1000, unit="ms", doc="How long a pulse is")
    refractory = Param(500.0, min=0, max=600_000, unit="ms", doc="Least time from pulse to pulse")
    per_minute = Param(60, min=1, max=6000, doc="Most pulses in a minute")

    _n_refused = 0
    """Since the last event that told it."""
    _refused_told_ns = -REFUSED_EVERY_NS
    _pulser: Pulser | None = None
    _held_line = ""
    """Name of the line that the pulser has."""
    _follower: threading.Thread | None = None

    def open_line(self) -> OutputLine:
        """The line that the parameters name. BoardError or ConfigError with the remedy."""
        name = self._line_name()
        return EmulatedLine() if name == EMULATED else GpioOutput(name)

    def _line_name(self) -> str:
        name = self.line.strip()
        if name in ("emulated", "-1"):
            return EMULATED
        return f"GPIO{int(name)}" if name.isascii() and name.isdecimal() else name

    def start(self, info: StreamInfo) -> None:
        if self._pulser is None:
            self._drive(self.open_line())
        self._changes = Changes(
            self._rows(),
            self.threshold,
            hysteresis=self.hysteresis,
            edge=self.edge,
            dc_removal_hz=min(self.dc_removal, info.rate_sps / 4),
            rate_sps=info.rate_sps,
        )
        if self._follower is None and self.on == "detection":
            self._ended = threading.Event()
            self._follower = threading.Thread(target=self._follow, args=(self._directory(),), daemon=True)
            self._follower.start()

    def changed(self, names: tuple[str, ...]) -> None:
        """Raises ParamError for a line that cannot be had, and keeps the one that there is."""
        if self._pulser is not None and self._line_name() != self._held_line:
            try:
                line = self.open_line()
            except EegdError as error:
                raise ParamError(f"{self.name}: {error}") from None
            self._drive(line)
        if self._pulser is not None:
            self._pulser.set_limits(self._limits())
        if set(names) - LIMITS - {"line", "edge", "channels"}:
            self.reset()
        else:
            self._changes.look_at(self._rows(), self.edge)

    def _rows(self) -> list[int]:
        return [self.info.index(label) for label in (self.channels if self.on == "threshold" else ())]

    def _drive(self, line: OutputLine) -> None:
        """From now on this one; what its limits have seen counts on."""
        before = self._pulser
        if before is not None:
            before.close()
            self._tell()
        self._pulser, self._held_line = Pulser(line, self._limits(), after=before), self._line_name()
        log.info("%s, %s", self._held_line, "armed" if self.armed else "not armed")

    def process(self, frame: Frame, out: NDArray[np.float32]) -> None:
        out[:] = frame.data
        for crossing in self._changes.run(frame.data):
            self._fire(round(frame.time_ns + crossing.index * frame.period_ns))
        self._tell()

    def stop(self) -> None:
        self._give_back()

    # ---- pulses ----

    def _limits(self) -> Limits:
        return Limits(self.armed, round(self.width * 1e6), round(self.refractory * 1e6), self.per_minute)

    def _fire(self, cause_ns: int) -> None:
        if self._pulser is not None:
            self._pulser.fire(cause_ns)

    def _tell(self) -> None:
        for pulse in self._pulser.taken() if self._pulser is not None else ():
            self._tell_one(pulse)

    def _tell_one(self, pulse: Pulse) -> None:
        name = self._held_line
        if pulse.done_ns is None:
            self._n_refused += 1
            if pulse.asked_ns - self._refused_told_ns >= REFUSED_EVERY_NS:
                self.post(
                    f"{name}: {pulse.why_not}", kind="pulse refused", value=self._n_refused, time_ns=pulse.asked_ns
                )
                self._n_refused, self._refused_told_ns = 0, pulse.asked_ns
            return
        self.post(name, kind="pulse asked", value=pulse.width_ns / 1e6, time_ns=pulse.asked_ns)
        self.post(name, kind="pulse", value=(pulse.done_ns - pulse.cause_ns) / 1e6, time_ns=pulse.done_ns)

    def _give_back(self) -> None:
        if self._follower is not None:
            self._ended.set()
            self._follower.join()
            self._follower = None
        if self._pulser is not None:
            self._pulser.close()
            self._tell()
            self._pulser = None

    # ---- detections of the daemon ----

    def _directory(self) -> Path:
        return find_dir() if self._events is None else self._events.directory

    def _follow(self, directory: Path) -> None:
        with subscribed(directory) as subscriber:
            while not self._ended.is_set():
                if subscriber.poll(POLL_MS):
                    with contextlib.suppress(ValueError, TypeError):
                        self.on_event(json.loads(subscriber.recv()))

    def on_event(self, event: dict[str, Any]) -> None:
        """Fires where it is a detection on one of the channels. Called by the thread that follows events."""
        if self.on != "detection" or event.get("kind") != "detection" or event.get("source") == self.name:
            return
        words = [str(event.get("channel", "")), *str(event.get("label", "")).split()]
        if set(words) & set(self.channels):
            self._fire(int(event["time_ns"]))
