"""The face of a plugin, and how plugins are found and loaded.

A plugin is one class in one file: it reads frames of one stream and writes a stream of its own, in its own process.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import ClassVar, SupportsFloat, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from eegd.errors import FrameShared, InPlaceNotSupported, PluginError
from eegd.frame import Frame, StreamInfo
from eegd.near import meant
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
    "PluginSource",
    "Result",
    "StreamInfo",
    "Window",
    "find_plugins",
    "load_plugin",
]

PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
ENTRY_POINTS = "eegd.plugins"
LONGEST_SHOWN = 200
"""Characters of a line of a file in a message."""
INCLUDED = "eegd_plugins"
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


@dataclass(frozen=True, slots=True)
class Result:
    """Values together with the input samples that they were made from."""

    values: NDArray[np.float32] | Mapping[str, float]
    sample_index: int
    """First input sample."""
    n_samples: int

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
        for param in cls.positional:
            if param not in declared or cls.positional.count(param) > 1:
                known = ", ".join(declared) or "none"
                raise TypeError(f"{cls.__name__}.positional: {param!r}: each a parameter, and once; there are: {known}")
        for param in declared:
            if hasattr(Plugin, param) or param == "info":
                raise TypeError(f"{cls.__name__}: a parameter cannot be named {param!r}, which every plugin has")

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
        at gaps by itself. Both lengths are rounded to samples, one at least."""
        rate = self.info.rate_sps
        return SlidingWindow(len(self.info.labels), max(1, round(seconds * rate)), max(1, round(step * rate)))


# ---- finding and loading ----


@dataclass(frozen=True, slots=True)
class PluginSource:
    """Where a plugin comes from."""

    name: str
    origin: str
    """`directory`, `included` (comes with eegd), or `entry point`."""
    location: str
    """The file, or what the entry point names."""


def find_plugins(dirs: Iterable[str | Path] = ()) -> dict[str, PluginSource]:
    """All plugins by name, without importing any. Where names collide the first one counts: directories in the order
    given, then those that come with eegd, then entry points of installed packages."""
    found: dict[str, PluginSource] = {}
    places = [("directory", Path(path).expanduser()) for path in dirs]
    spec = importlib.util.find_spec(INCLUDED)
    if spec is not None:
        places += [("included", Path(path)) for path in spec.submodule_search_locations or ()]
    for origin, directory in places:
        for path in sorted(directory.glob("*.py")):
            if PLUGIN_NAME.fullmatch(path.stem):
                found.setdefault(path.stem, PluginSource(path.stem, origin, str(path.absolute())))
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if PLUGIN_NAME.fullmatch(point.name):
            found.setdefault(point.name, PluginSource(point.name, "entry point", point.value))
    return found


def load_plugin(name: str, dirs: Iterable[str | Path] = ()) -> type[Plugin]:
    """Imports a plugin and returns its class, named as it was asked for.

    Raises PluginError with name, file and reason; whatever the file itself raises becomes one.
    """
    looked = [str(path) for path in dirs]
    found = find_plugins(looked)
    source = found.get(name)
    if source is None:
        hint, there = meant(name, found), ", ".join(sorted(found)) or "none"
        where = "".join(f", {path}" for path in looked)
        looked_in = (
            f" (looked among those that come with eegd and in installed packages{where}; a plugin's file is named in "
            "small letters, digits, _ and -)"
        )
        raise PluginError(f"no plugin {name!r}{hint}; there are: {there}{'' if hint else looked_in}")
    plugin = _from_entry_point(source) if source.origin == "entry point" else _from_file(source)
    if missing := _missing_in(plugin):
        raise PluginError(f"plugin {name!r} ({source.location}): {missing}")
    plugin.name = name
    return plugin


def _missing_in(plugin: type[Plugin]) -> str:
    """What it must write and has not; empty where nothing is missing."""
    if plugin.process is Plugin.process and plugin.process_inplace is Plugin.process_inplace:
        return f"{plugin.__name__} has no process(self, frame, out)"
    if plugin.kind == "features" and plugin.outputs is Plugin.outputs:
        return f"{plugin.__name__} is of kind features and has no outputs(self, info) that names them"
    return ""


def _from_file(source: PluginSource) -> type[Plugin]:
    module_name = f"{INCLUDED}.{source.name}" if source.origin == "included" else f"eegd_plugin_{source.name}"
    spec = importlib.util.spec_from_file_location(module_name, source.location)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(module_name, None)
        raise PluginError(_not_loaded(error, source)) from error
    return _class_in(module, source)


def _from_entry_point(source: PluginSource) -> type[Plugin]:
    point = next(iter(importlib.metadata.entry_points(group=ENTRY_POINTS, name=source.name)))
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(_not_loaded(error, source)) from error
    if isinstance(loaded, ModuleType):
        return _class_in(loaded, source)
    if isinstance(loaded, type) and issubclass(loaded, Plugin):
        return loaded
    raise PluginError(
        f"plugin {source.name!r} ({source.location}): the entry point names {loaded!r:.80}, not a Plugin class"
    )


def _class_in(module: ModuleType, source: PluginSource) -> type[Plugin]:
    """The one plugin class that the module itself defines; of several, the one named like the plugin."""
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == module.__name__
    ]
    wanted = re.sub("[_-]", "", source.name)
    named = [cls for cls in classes if cls.__name__.lower() == wanted]
    if len(classes) == 1 or len(named) == 1:
        return (named or classes)[0]
    names = ", ".join(cls.__name__ for cls in classes)
    reason = f"several plugin classes ({names}), none named like it" if classes else "no subclass of Plugin in it"
    raise PluginError(f"plugin {source.name!r} ({source.location}): {reason}")


def _not_loaded(error: BaseException, source: PluginSource) -> str:
    """What happened and where: file and line, and of a syntax error the line itself, with a mark below the place."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        where = f"{error.filename or source.location}:{error.lineno}"
        return f"plugin {source.name!r} ({where}): {type(error).__name__}: {error.msg}{_marked(error)}"
    lines = [entry.lineno for entry in traceback.extract_tb(error.__traceback__) if entry.filename == source.location]
    where = f"{source.location}:{lines[-1]}" if lines else source.location
    return f"plugin {source.name!r} ({where}): {type(error).__name__}: {error}"


def _marked(error: SyntaxError) -> str:
    """The line and the mark, as two more lines, indented; empty where the line is not to be had."""
    line = (error.text or "").rstrip()
    start = (error.offset or 1) - 1
    if not line.strip() or not 0 <= start <= len(line) or len(line) > LONGEST_SHOWN:
        return ""
    end = error.end_offset if error.end_lineno == error.lineno and error.end_offset else 0
    shown = "".join(char if char.isprintable() else " " for char in line)
    mark = " " * start + "^" * max(1, min(end - 1, len(line)) - start)
    n_indent = min(len(shown) - len(shown.lstrip()), start)
    return f"\n    {shown[n_indent:]}\n    {mark[n_indent:]}"
