"""What a plugin writes: one epoch of its stream, each frame with the truth about the input that it came from."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from eegd._native import ffi, lib
from eegd.errors import PluginError
from eegd.frame import FLAGS, Frame, StreamInfo
from eegd.outlet import Outlet, slabs_in_budget
from eegd.params import declared_params
from eegd.plugin import Given, Outputs, Plugin, Result

__all__ = ["Output", "Trail", "check_outputs", "output_description"]

NOT_A_PERSON = lib.EEGD_FLAG_NOT_A_PERSON
CARRIED_FLAGS = NOT_A_PERSON | lib.EEGD_FLAG_UPSTREAM_LOSS
POOL_BYTES = 16_000_000
POOL_S = 32.0
"""Slabs for 63 readers with the default credit of half a second, where the budget carries them."""
LEAST_SLABS = 512
INHERITED = ("clock", "virtual_clock", "reference", "ground", "scheme", "mains_hz", "wiring", "edge_latency_ns")
NAN = np.float32("nan")
NO_CODES = ("lsb_uv", "full_scale_uv", "sign")


class Trail:
    """Where the output stands in its input: what is missing, and what the frames since the last output carried."""

    def __init__(self, at_gap: str = "reset") -> None:
        self._at_gap = at_gap
        self.next_index: int | None = None
        self.from_index = 0
        """First input sample since the last output, and since the last gap where the plugin was reset there."""
        self.missed = 0
        """Input samples that no output covers, since the last output."""
        self.flags = 0

    def take(self, frame: Frame) -> int:
        """Notes an input frame; returns how many samples are missing just before it."""
        descriptor = frame.descriptor
        begin: int = descriptor.sample_index
        if self.next_index is None:
            self.next_index = self.from_index = begin - descriptor.lost_before
        gap = begin - self.next_index
        self.next_index = begin + descriptor.n_samples
        if gap:
            self.missed += gap
            if self._at_gap == "reset":
                self.from_index = begin
        self.flags |= descriptor.flags & CARRIED_FLAGS
        return gap

    def skip(self, frame: Frame) -> None:
        """The plugin failed on this frame: its samples are missing downstream."""
        self.missed += frame.n_samples
        if self._at_gap == "reset":
            self.from_index = frame.sample_index + frame.n_samples

    def give(self) -> tuple[int, int]:
        """Samples missed and flags for the output that is published now, and begins anew."""
        given = self.missed, self.flags | (lib.EEGD_FLAG_UPSTREAM_LOSS if self.missed else 0)
        self.missed, self.flags = 0, 0
        assert self.next_index is not None
        self.from_index = self.next_index
        return given


def output_description(plugin: Plugin, info: StreamInfo, outputs: Outputs, input_stream: str) -> dict[str, object]:
    """What readers of a plugin's stream are told, but for the stream epoch."""
    features = plugin.kind == "features"
    frame_samples = 1 if features else info.frame_samples
    units = outputs.units if isinstance(outputs.units, tuple) else (outputs.units,) * len(outputs.labels)
    own = [dict(column) for column in outputs.columns] or [{} for _ in outputs.labels]
    before = {} if features else {row["label"]: row for row in info.description["channels"]}
    channels = []
    for label, unit, column in zip(outputs.labels, units, own, strict=True):
        inherited = {key: value for key, value in before.get(label, {}).items() if key not in NO_CODES}
        channels.append({**inherited, **column, "label": label, "unit": unit})
    return {
        "name": plugin.name,
        "kind": plugin.kind,
        "rate_sps": outputs.rate_sps,
        "frame_samples": frame_samples,
        "frames_per_s": outputs.rate_sps / frame_samples,
        "delay_ns": info.delay_ns + round(outputs.delay_s * 1e9),
        "own_delay_ns": round(outputs.delay_s * 1e9),
        "window_ns": round(outputs.window_s * 1e9),
        "flags": list(info.flags),
        **{key: info.description[key] for key in INHERITED if key in info.description},
        **({} if outputs.reference is None else {"reference": outputs.reference}),
        "input": input_stream,
        "raw_stream": info.description.get("raw_stream", input_stream),
        "input_epoch": info.stream_epoch,
        "input_rate_sps": info.rate_sps,
        "axes": dict(outputs.axes),
        **({"stages": [dict(stage) for stage in outputs.stages]} if outputs.stages else {}),
        "params": _params_of(plugin),
        "doc": (type(plugin).__doc__ or "").strip(),
        "channels": channels,
    }


def _params_of(plugin: Plugin) -> dict[str, object]:
    """As the plugin sees them: a selection of channels is labels."""
    return {name: getattr(plugin, name) for name in declared_params(type(plugin))}


def check_outputs(plugin: Plugin, info: StreamInfo, outputs: Outputs) -> None:
    """Raises PluginError for an output stream that cannot be."""
    where = f"plugin {plugin.name!r}: outputs()"
    given: object = outputs
    if not isinstance(given, Outputs):
        forgotten = "; is a `return` missing?" if given is None else ""
        raise PluginError(f"{where} returned {type(given).__name__}, not Outputs{forgotten}")
    n = len(outputs.labels)
    if not n or len(set(outputs.labels)) < n:
        raise PluginError(f"{where}: labels are {outputs.labels!r:.100}; at least one, and each only once")
    if isinstance(outputs.units, tuple) and len(outputs.units) != n:
        raise PluginError(f"{where}: {len(outputs.units)} units for {n} labels")
    if outputs.columns and len(outputs.columns) != n:
        raise PluginError(f"{where}: {len(outputs.columns)} columns for {n} labels")
    for name in ("rate_sps", "delay_s", "window_s"):
        number: object = getattr(outputs, name)
        if not isinstance(number, (int, float, np.number)):
            raise PluginError(f"{where}: {name} = {number!r:.60}: a number")
    for name in ("delay_s", "window_s"):
        if not math.isfinite(getattr(outputs, name)):
            raise PluginError(f"{where}: {name} = {getattr(outputs, name)}: a finite number of seconds")
    if not (math.isfinite(outputs.rate_sps) and outputs.rate_sps > 0):
        raise PluginError(f"{where}: rate_sps = {outputs.rate_sps}: more than 0")
    if plugin.kind == "filtered" and outputs.rate_sps != info.rate_sps:
        raise PluginError(
            f"{where}: rate_sps = {outputs.rate_sps:g}, but the input has {info.rate_sps:g}; "
            "a stream of kind 'filtered' keeps the rate of its input"
        )


class Output:
    """One epoch of a plugin's stream. Main thread, which is the sending one; `sending` is held for each call into the
    outlet, so that the control thread can collect what readers give back while the plugin computes."""

    def __init__(
        self, plugin: Plugin, info: StreamInfo, outputs: Outputs, input_stream: str, sending: threading.Lock
    ) -> None:
        check_outputs(plugin, info, outputs)
        self.description = output_description(plugin, info, outputs, input_stream)
        try:
            json.dumps(self.description, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise PluginError(f"plugin {plugin.name!r}: outputs(): readers are told this as JSON: {error}") from None
        self.trail = Trail(plugin.at_gap)
        self.n_frames = 0
        self.n_overruns = 0
        self.outputs = outputs
        self._sending = sending
        self._features = plugin.kind == "features"
        self._ratio = outputs.rate_sps / info.rate_sps
        self._derivation = ffi.new(
            "struct eegd_derivation *",
            {
                "ratio": self._ratio,
                "is_feature": self._features,
                "is_same_channels": outputs.labels == info.labels,
            },
        )
        self._covered = ffi.new("struct eegd_covered *")
        self._base: int | None = None
        self._last_end: int | None = None
        self._next_index = 0
        self._slab: int | None = None
        capacity = 1 if self._features else info.frame_samples
        wanted = max(LEAST_SLABS, math.ceil(POOL_S * outputs.rate_sps / capacity))
        self.outlet = Outlet(
            plugin.name,
            n_slabs=max(16, min(wanted, slabs_in_budget(POOL_BYTES, len(outputs.labels), capacity))),
            n_channels=len(outputs.labels),
            slab_samples=capacity,
            rate_sps=outputs.rate_sps,
            kind=plugin.kind,
            flags=sum(FLAGS.get(name, 0) for name in set(info.flags)) & NOT_A_PERSON,
            reserve=1,
            virtual_clock=bool(info.description.get("virtual_clock")),
        )

    def describe_params(self, plugin: Plugin) -> None:
        """They have changed, but nothing else of what readers are told."""
        self.description["params"] = _params_of(plugin)

    def room(self, n_samples: int) -> NDArray[np.float32]:
        """The next slab's planes for a plugin to write; plain memory where every slab is with a reader. What a plugin
        does not write is NaN: else it would be the signal of some frame before."""
        if self._slab is None:
            with self._sending:
                self._slab = self.outlet.claim()
        if self._slab is None:
            planes = np.empty((len(self.outputs.labels), 1 if self._features else n_samples), np.float32)[:, :]
        else:
            planes = self.outlet.planes(self._slab)
        if n_samples != self.outlet.slab_samples and not self._features:
            planes = planes[:, :n_samples]
        planes.fill(NAN)
        return planes

    def put(self, given: Given, frame: Frame, out: NDArray[np.float32]) -> None:
        """Publishes what `process` returned for this frame. Raises ValueError or TypeError where it does not fit."""
        if not self._features:
            if given is not None and given is not out:
                if isinstance(given, (Mapping, Result, list, tuple)):
                    what = type(given).__name__
                    raise TypeError(f"process returned a {what}; kind 'filtered' wants an array or None")
                self._fill(out, np.asarray(given))
            descriptor = frame.descriptor
            self._publish(descriptor.sample_index, descriptor.n_samples, frame)
            return
        if given is None:
            return
        if isinstance(given, Result):
            given = [given]
        if not isinstance(given, (list, tuple)):
            begin = self.trail.from_index
            assert self.trail.next_index is not None
            given = [Result(cast(Any, given), begin, self.trail.next_index - begin)]
        if odd := next((type(result).__name__ for result in given if not isinstance(result, Result)), None):
            raise TypeError(f"process returned a list with {odd} in it: a list is of Results; values go into an array")
        for result in given:
            room = self.room(1)
            self._fill(room, self._values(result.values))
            self._publish(result.sample_index, result.n_samples, frame)

    def _values(self, values: NDArray[np.float32] | Mapping[str, float]) -> NDArray[np.float32]:
        labels = self.outputs.labels
        if isinstance(values, Mapping):
            if values.keys() != set(labels):
                missing = [f"{label} is missing" for label in labels if label not in values]
                odd = [f"{label!s:.60} is unknown" for label in values if label not in labels]
                unlike = ", ".join(missing + odd)
                raise ValueError(f"process returned values for other labels than outputs() names: {unlike}")
            values = np.array([values[label] for label in labels], np.float32)
        array = np.asarray(values)
        return array[:, None] if array.ndim == 1 else array

    @staticmethod
    def _fill(room: NDArray[np.float32], values: NDArray[np.float32]) -> None:
        if values.shape != room.shape:
            raise ValueError(f"process returned an array of shape {values.shape}, wanted {room.shape}")
        if values is not room:
            room[...] = values

    def _publish(self, begin: int, n_covered: int, frame: Frame) -> None:
        """Fills the descriptor of the claimed slab, and sends it. One value of a feature is one sample."""
        if self._features:
            index = self._next_index + self._hops_since(begin + n_covered)
            self._next_index = index + 1
        else:
            if self._base is None:
                self._base = begin
            index = begin - self._base
        if self._slab is None:
            self.n_overruns += 1
            return
        covered = self._covered
        covered.sample_index, covered.n_samples = begin, n_covered
        covered.missed, covered.flags = self.trail.give()
        slab, self._slab = self._slab, None
        lib.eegd_derived_fill(self.outlet.pointer, slab, index, self._derivation, covered, frame.descriptor)
        with self._sending:
            self.outlet.publish(slab)
        self.n_frames += 1

    def _hops_since(self, end: int) -> int:
        """Values that a gap in the input cost, by the output's own rate; they are this stream's lost samples."""
        before, self._last_end = self._last_end, end
        return 0 if before is None else max(0, round((end - before) * self._ratio) - 1)

    def finish(self) -> None:
        """Gives back the slab that was claimed in vain. Nothing is published after it."""
        if self._slab is not None:
            with self._sending:
                self.outlet.abandon(self._slab)
            self._slab = None
