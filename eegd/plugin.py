"""The face of a plugin; eegd.plugin_source finds and loads them.

A plugin is one class in one file: it reads frames of one stream and writes a stream of its own, in its own process.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, SupportsFloat, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from eegd.errors import FrameShared, InPlaceNotSupported
from eegd.frame import Frame, StreamInfo
from eegd.needs import Needs
from eegd.params import REQUIRED, Param, declared_params, resolve_channels
from eegd.plugin_events import PluginEvents
from eegd.window import SlidingWindow, Window

__all__ = [
    "REQUIRED",
    "Frame",
    "Given",
    "Needs",
    "Outputs",
    "Param",
    "Plugin",
    "Result",
    "StreamInfo",
    "Window",
]

OUTPUT_KINDS = ("filtered", "features")
AT_GAP = ("reset", "hold")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What a plugin's stream carries, for one stream epoch."""

    labels: tuple[str, ...]
    """Names of its channels or feature columns, in the order of the rows; unique."""
    units: str | tuple[str, ...] = "µV"
    """One for all, or one per label."""
    rate_sps: float
    """Values per second and label."""
    delay_s: float = 0.0
    """Group delay that this plugin adds: how far a value's time stamp lies behind the middle of what it describes."""
    window_s: float = 0.0
    """Span of input that one value covers; 0: one sample of input each."""
    axes: Mapping[str, object] = field(default_factory=dict)
    """What the labels run over, such as {"frequency": {"unit": "Hz", "alpha": [8, 13]}}; plain JSON types."""
    columns: tuple[Mapping[str, object], ...] = ()
    """More about each label, such as {"channel": "Oz", "band": "alpha"}; plain JSON types."""
    reference: str | None = None
    """What channels are measured against, where the plugin changes that; None: the input's."""
    stages: tuple[Mapping[str, object], ...] = ()
    """Of a chain: what each plugin in it is and adds."""

    def __post_init__(self) -> None:
        """Lists become tuples. Raises TypeError for what is neither, or has something else than texts in it."""
        for name in ("labels", "units"):
            given: Any = getattr(self, name)
            if name == "units" and isinstance(given, str):
                continue
            if not isinstance(given, (list, tuple)) or not all(isinstance(text, str) for text in given):
                wanted = "a text, or a tuple with one for each label" if name == "units" else "a tuple of texts"
                raise TypeError(f"Outputs: {name} = {given!r:.60}: {wanted}")
            object.__setattr__(self, name, tuple(given))


@dataclass(frozen=True, slots=True)
class Result:
    """Values together with the input samples that they were made from."""

    values: NDArray[np.float32] | Mapping[str, float]
    """(n_labels,), or a number by label."""
    sample_index: int
    """First input sample."""
    n_samples: int
    """Of input, at least 1."""

    @classmethod
    def of(cls, window: Window, values: NDArray[np.float32] | Mapping[str, float]) -> Result:
        """For values made from exactly this window."""
        return cls(values, window.sample_index, window.n_samples)


Given: TypeAlias = "NDArray[np.float32] | Mapping[str, float] | Result | Sequence[Result] | None"
"""What `process` may return; see there."""


class Plugin:
    """Base of all plugins. Override what you need; only `process` is a must.

    All methods run in one thread, the same for the life of the plugin. An exception from `process` costs its frame,
    is logged and counted; one from `start`, `reset` or `outputs` ends the process.
    """

    name: ClassVar[str] = "plugin"
    """Name of the plugin and of its stream: the file's, or the entry point's."""
    kind: ClassVar[str] = "filtered"
    """`filtered`: every input frame gives one output frame with as many samples. `features`: named values, now and
    then."""
    input: ClassVar[str] = "raw"
    """The stream that is read where the user names no other."""
    needs: ClassVar[Needs] = Needs()
    """What the input must be. Where it is not, the plugin is not started, and says why."""
    positional: ClassVar[tuple[str, ...]] = ()
    """Parameters that may be given without their names, in this order: `eegctl set filter 1 45`."""
    at_gap: ClassVar[str] = "reset"
    """After samples were lost or missed: `reset` calls reset(), `hold` goes on as if nothing had happened."""

    info: StreamInfo
    """The input's description: labels, units, rate. There from the first start() on."""
    _events: PluginEvents | None = None
    """Where events go; nowhere for a plugin that is called by hand."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = cls.__dict__.get("name", cls.__name__.lower())
        if cls.kind not in OUTPUT_KINDS:
            raise TypeError(f"{cls.__name__}.kind = {cls.kind!r}: one of {', '.join(OUTPUT_KINDS)}")
        if cls.at_gap not in AT_GAP:
            raise TypeError(f"{cls.__name__}.at_gap = {cls.at_gap!r}: one of {', '.join(AT_GAP)}")
        declared = declared_params(cls)
        positional: Any = cls.positional
        if isinstance(positional, str):
            raise TypeError(f"{cls.__name__}.positional = {positional!r}: a tuple of names, as ({positional!r},)")
        for param in cls.positional:
            if param not in declared or cls.positional.count(param) > 1:
                known = ", ".join(declared) or "none"
                raise TypeError(f"{cls.__name__}.positional: {param!r}: each a parameter, and once; there are: {known}")
        for param in declared:
            if hasattr(Plugin, param) or param == "info":
                raise TypeError(f"{cls.__name__}: a parameter cannot be named {param!r}, which every plugin has")
        wanted = {"input": (str, "the name of a stream, as 'raw'"), "needs": (Needs, "Needs(…), of eegd.plugin")}
        for name, (kind, says) in wanted.items():
            if not isinstance(given := getattr(cls, name), kind):
                raise TypeError(f"{cls.__name__}.{name} = {given!r:.60}: {says}")

    def accept(self, info: StreamInfo, *, shared: bool = True) -> None:
        """A stream epoch of the input is about to begin. Not for plugins to override. shared: others see the frames.

        Raises NeedsUnmet, ParamError for a channel that the input has not, FrameShared for a plugin that works in place
        only, where frames are shared.
        """
        self.needs.check(self.name, info)
        own = type(self)
        if shared and own.process is Plugin.process and own.process_inplace is not Plugin.process_inplace:
            raise FrameShared(
                f"plugin {self.name!r} works in place only, and the frames of {info.stream!r} are shared with other "
                "readers: write process too, or put it behind another plugin of a chain"
            )
        self.info = info
        resolve_channels(self, info.labels)

    def start(self, info: StreamInfo) -> None:
        """A stream epoch of the input begins: make what depends on its rate and channels. Parameters are set."""

    def reset(self) -> None:
        """Samples are missing just before the next frame: forget the past. By default start() is called again."""
        self.start(self.info)

    def outputs(self, info: StreamInfo) -> Outputs:
        """What the output stream carries; asked after each start(). By default what comes in."""
        if self.kind == "features":
            raise NotImplementedError(f"{type(self).__name__}.outputs: features need labels, units and a rate")
        return Outputs(labels=info.labels, units=info.units, rate_sps=info.rate_sps)

    def changed(self, names: tuple[str, ...]) -> None:
        """These parameters have new values, from the next frame on. By default reset() is called."""
        self.reset()

    def process(self, frame: Frame, out: NDArray[np.float32]) -> Given:
        """One frame of input. `frame.data` is (n_channels, n_samples) float32 and read-only; `frame` and `out` are
        good during this call only: copy what you keep.

        Kind `filtered`: write `out`, (n_labels, n_samples) float32, and return None; or return such an array.
        Kind `features`: return None (nothing now), a dict with a number per label, an array with a value per label,
        or one Result or several, which also say what range of input they cover (else: what came in since the last).
        """
        raise NotImplementedError(f"{type(self).__name__}.process")

    def process_inplace(self, data: NDArray[np.float32], frame: Frame) -> None:
        """The in-place form of `process`, for kind `filtered` with as many labels as channels. In a chain, a stage that
        is not the first is called so where it has this form, which spares a buffer and a copy.

        `data`, (n_channels, n_samples) float32, belongs to the chain alone: it holds what the stage before gave, and
        what you leave in it goes on. `frame` describes it, and frame.data is a read-only view of the same memory.
        """
        raise InPlaceNotSupported(f"plugin {self.name!r} has no in-place form: it does not define process_inplace")

    def post(
        self,
        label: str,
        *,
        value: SupportsFloat | None = None,
        sample_index: SupportsIndex | None = None,
        fraction: float = 0.0,
        time_ns: int | None = None,
        kind: str = "detection",
    ) -> None:
        """Sends an event to all who follow the daemon's. It never waits. Good in every method.

        sample_index, fraction: where in the input it happened, as frame.sample_index counts; by default, in process,
        the frame's last sample. time_ns: CLOCK_MONOTONIC; by default that sample's time, and outside of process now.
        Raises ValueError for what cannot be an event, such as a value that is not finite, and TypeError for what is no
        number; both name the argument.
        """
        if self._events is not None:
            self._events.post(kind, label, self.name, value, sample_index, fraction, time_ns)

    def stop(self) -> None:
        """The input has ended, or the plugin was asked to stop: close what you opened."""

    def window(self, *, seconds: float, step: float) -> SlidingWindow:
        """The last `seconds` of the input, every `step` seconds: make it in start, and give it each frame. It restarts
        at gaps by itself. Seconds of input, rounded to samples, one at least. Not before start()."""
        for name, span in (("seconds", seconds), ("step", step)):
            if not 0 <= span < math.inf:
                raise ValueError(f"window: {name} = {span!r}: 0 s or more")
        rate = self.info.rate_sps
        return SlidingWindow(len(self.info.labels), max(1, round(seconds * rate)), max(1, round(step * rate)))
