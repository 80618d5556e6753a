"""A chain: several plugins in one process, each working on what the one before it gave; to the outside, one plugin."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eegd.errors import EegdError, ParamError, PluginError
from eegd.frame import Frame, StreamInfo
from eegd.output import NAN, check_outputs, output_description
from eegd.params import assign_params, declared_params, resolve_channels
from eegd.plugin import Given, Outputs, Plugin
from eegd.plugin_source import PLUGIN_NAME, load_plugin
from eegd.stage_frame import StageFrame

__all__ = ["Chain", "make_chain"]

log = logging.getLogger(__name__)

IN_STAGE = "in stage {!r} of a chain"


class Chain(Plugin):
    """Plugins one after the other in one process."""

    # The first reads the shared frame and writes a buffer that only the chain sees; from there on a stage with an
    # in-place form changes that buffer, and one without reads it and writes the next. The last buffer is the output's
    # own slab, so no copy is made; the others are made at the start. Parameters are named `stage.parameter`.

    stage_classes: ClassVar[dict[str, type[Plugin]]] = {}
    plugin_names: ClassVar[dict[str, str]] = {}
    """Which plugin each stage is."""

    def __init__(self) -> None:
        self.stages = {name: plugin() for name, plugin in self.stage_classes.items()}
        self._infos: list[StreamInfo] = []
        """What each stage reads."""
        self._outputs: list[Outputs] = []
        self._scratch: list[NDArray[np.float32] | None] = []
        """What each stage writes: memory of its own, None for the chain's output or for what it reads, in place."""
        self._is_unknown = False
        """A change failed half-way: at the next reset every stage starts anew."""

    # ---- start and change ----

    def accept(self, info: StreamInfo, *, shared: bool = True) -> None:
        self.info = info
        for name, stage in self.stages.items():
            stage._events = self._events
            assign_params(stage, self._values_of(name))
        next(iter(self.stages.values())).accept(info, shared=shared)

    def start(self, info: StreamInfo) -> None:
        self._infos, self._outputs = [], []
        self._is_unknown = False
        self._start_from(-1)

    def _start_from(self, place: int) -> None:
        """Starts every stage behind this place. What is before it goes on; the one at it may give something else."""
        self._infos, self._outputs = self._infos[: place + 1], self._outputs[: max(place, 0)]
        info = self._infos[place] if self._infos else self.info
        for number, stage in enumerate(self.stages.values()):
            if number < place:
                continue
            if number > place:
                if number:
                    stage.accept(info, shared=False)
                self._infos.append(info)
                self._ask(stage, "start", info)
            outputs: Outputs = self._ask(stage, "outputs", info)
            check_outputs(stage, info, outputs)
            self._outputs.append(outputs)
            info = _given_on(stage, info, outputs)
        self._last_info = info
        self._make_room()

    def _make_room(self) -> None:
        """Says which stage works in place, and makes the buffers between the others."""
        n_samples = self.info.frame_samples
        stages = list(self.stages.values())
        self._in_place = [place > 0 and _has_inplace(stage) for place, stage in enumerate(stages)]
        for place, stage in enumerate(stages):
            if self._in_place[place] and len(self._outputs[place].labels) != len(self._infos[place].labels):
                raise PluginError(
                    f"plugin {stage.name!r}: outputs() names {len(self._outputs[place].labels)} labels, but in place "
                    f"there are the {len(self._infos[place].labels)} of its input"
                )
        self._scratch = [None] * len(stages)
        behind = True
        """No stage behind this one writes a buffer, so this one's is the output's."""
        for place in reversed(range(len(stages))):
            if self._in_place[place]:
                continue
            if not behind:
                self._scratch[place] = np.zeros((len(self._outputs[place].labels), n_samples), np.float32)
            behind = False

    def reset(self) -> None:
        if self._is_unknown or any(assign_params(stage, self._values_of(name)) for name, stage in self.stages.items()):
            self._is_unknown = True  # until it has succeeded
            self.accept(self.info)
            self.start(self.info)
            return
        for stage in self.stages.values():
            if stage.at_gap == "reset":
                try:
                    stage.reset()
                except Exception as error:
                    error.add_note(IN_STAGE.format(stage.name))
                    raise

    def outputs(self, info: StreamInfo) -> Outputs:
        last = self._outputs[-1]
        rows = self._last_info.description["channels"]
        return Outputs(
            labels=last.labels,
            units=last.units,
            rate_sps=last.rate_sps,
            delay_s=sum(outputs.delay_s for outputs in self._outputs),
            window_s=last.window_s,
            axes=last.axes,
            reference=self._last_info.description.get("reference"),
            columns=tuple({key: value for key, value in row.items() if key not in ("label", "unit")} for row in rows),
            stages=tuple(
                {
                    "stage": name,
                    "plugin": self.plugin_names[name],
                    "kind": stage.kind,
                    "delay_ns": round(outputs.delay_s * 1e9),
                    "in_place": in_place,
                }
                for (name, stage), outputs, in_place in zip(
                    self.stages.items(), self._outputs, self._in_place, strict=True
                )
            ),
        )

    def changed(self, names: tuple[str, ...]) -> None:
        """All stages take their new values, or all have the old ones and the first refusal is raised."""
        before = [dict(stage.__dict__.get("_param_values", {})) for stage in self.stages.values()]
        infos, outputs = list(self._infos), list(self._outputs)
        told: list[tuple[Plugin, tuple[str, ...]]] = []
        try:
            asked = []
            for name, stage, info in zip(self.stages, self.stages.values(), self._infos, strict=True):
                asked.append((stage, assign_params(stage, self._values_of(name))))
                resolve_channels(stage, info.labels)
            for stage, changed in asked:
                if changed:
                    stage.changed(changed)
                    told.append((stage, changed))
            place = self._other_outputs()
            if place is not None:
                self._start_from(place)
        except Exception as error:
            self._is_unknown = not isinstance(error, ParamError)
            is_cut = len(self._outputs) < len(outputs)
            self._infos, self._outputs = infos, outputs
            for stage, values, info in zip(self.stages.values(), before, infos, strict=True):
                stage.__dict__["_param_values"] = values
                resolve_channels(stage, info.labels)
            for stage, changed in told:
                stage.changed(changed)
            if is_cut:
                assert place is not None
                self._start_from(place)
            raise

    def _other_outputs(self) -> int | None:
        """After a change: the first stage that now gives something else; those behind it have to start anew."""
        for place, stage in enumerate(self.stages.values()):
            if self._ask(stage, "outputs", self._infos[place]) != self._outputs[place]:
                return place
        return None

    def stop(self) -> None:
        errors = []
        for stage in self.stages.values():
            try:
                self._ask(stage, "stop")
            except EegdError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _values_of(self, stage: str) -> dict[str, Any]:
        """A stage's parameters, as they are set on the chain."""
        names = declared_params(self.stage_classes[stage])
        return {name: getattr(self, f"{stage}.{name}") for name in names}

    def _ask(self, stage: Plugin, method: str, *arguments: object) -> Any:
        try:
            return getattr(stage, method)(*arguments)
        except EegdError:
            raise
        except Exception as error:
            log.exception("%s.%s", stage.name, method)
            raise PluginError(f"plugin {stage.name!r}: {method}: {type(error).__name__}: {error}") from error

    # ---- frames ----

    def process(self, frame: Frame, out: NDArray[np.float32]) -> Given:
        stages = list(self.stages.values())
        n_samples = frame.n_samples
        at, held, given = frame, [], None
        data: NDArray[np.float32] | None = None
        try:
            for place, stage in enumerate(stages):
                if place:
                    assert data is not None
                    at = StageFrame(frame, self._infos[place], data)
                    held.append(at)
                if self._in_place[place]:
                    assert data is not None
                    stage.process_inplace(data, at)
                    continue
                scratch = self._scratch[place]
                if scratch is None:
                    data = out
                else:
                    data = scratch[:, :n_samples]
                    data.fill(NAN)  # else a stage that does not write it would give the signal of the frame before
                given = stage.process(at, data)
                if stage.kind == "filtered":
                    _write(stage, given, data)
                    given = None
        except Exception as error:
            error.add_note(IN_STAGE.format(stage.name))
            raise
        finally:
            for held_frame in held:
                held_frame.release()
        return given


def _write(stage: Plugin, given: Given, data: NDArray[np.float32]) -> None:
    """What a stage of kind `filtered` returned goes where it should have been written."""
    if given is None:
        return
    if not isinstance(given, np.ndarray) or given.shape != data.shape:
        what = f"an array of shape {given.shape}" if isinstance(given, np.ndarray) else f"a {type(given).__name__}"
        raise ValueError(f"{stage.name}: process returned {what}, wanted an array of shape {data.shape}")
    if given is not data:
        data[...] = given


def _given_on(stage: Plugin, info: StreamInfo, outputs: Outputs) -> StreamInfo:
    """What the stage behind this one is told about its input."""
    described = output_description(stage, info, outputs, info.stream)
    return StreamInfo.from_description({**described, "stream_epoch": info.stream_epoch})


def _has_inplace(stage: Plugin) -> bool:
    return stage.kind == "filtered" and type(stage).process_inplace is not Plugin.process_inplace


# ---- making one ----


def make_chain(name: str, stages: Sequence[str], dirs: Iterable[str | Path] = ()) -> type[Chain]:
    """The class of a chain of plugins, each called `plugin`, or `stage=plugin` where one is there twice.

    Raises PluginError that names the chain, the stage, and what is allowed.
    """
    dirs = list(dirs)
    classes: dict[str, type[Plugin]] = {}
    plugins: dict[str, str] = {}
    for words in stages:
        stage, found, plugin = words.partition("=")
        stage, plugin = stage.strip(), (plugin if found else stage).strip()
        if not PLUGIN_NAME.fullmatch(stage):
            raise PluginError(f"chain {name!r}: stage {words!r:.60}: a plugin's name, or stage=plugin")
        if stage in classes:
            raise PluginError(
                f"chain {name!r}: two stages are named {stage!r}; name one of them, as in {stage}2={plugin}"
            )
        loaded = load_plugin(plugin, dirs)
        if classes and next(reversed(classes.values())).kind == "features":
            raise PluginError(
                f"chain {name!r}: stage {next(reversed(classes))!r} gives features, so it can only be the last"
            )
        facts = {"name": f"{name}.{stage}", "__doc__": loaded.__doc__, "__module__": loaded.__module__}
        classes[stage] = type(loaded.__name__, (loaded,), facts)
        plugins[stage] = plugin
    if not classes:
        raise PluginError(f"chain {name!r} has no stages; give some, such as reference,filter")
    return _class_of(name, classes, plugins)


def _class_of(name: str, classes: dict[str, type[Plugin]], plugins: dict[str, str]) -> type[Chain]:
    first, last = next(iter(classes.values())), next(reversed(classes.values()))
    members: dict[str, object] = {
        "name": name,
        "stage_classes": classes,
        "plugin_names": plugins,
        "kind": last.kind,
        "input": first.input,
        "needs": first.needs,
        "at_gap": "reset" if any(stage.at_gap == "reset" for stage in classes.values()) else "hold",
        "__doc__": "Chain: " + " → ".join(classes) + ".",
        "__module__": Chain.__module__,
    }
    for stage, plugin in classes.items():
        for param_name, param in declared_params(plugin).items():
            members[f"{stage}.{param_name}"] = copy.copy(param)
    title = re.sub(r"[_-]", "", name).capitalize()
    made: type[Chain] = type(title, (Chain,), members)
    return made
