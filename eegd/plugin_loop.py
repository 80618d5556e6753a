"""What the main thread of a plugin process does: takes frames, calls the plugin, publishes what it gives."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegd.activity import Activity
from eegd.errors import (
    EegdError,
    ParamError,
    PluginError,
    StreamEnded,
    WaitTimeout,
)
from eegd.failures import Failure, Failures
from eegd.frame import Frame
from eegd.live import LiveParams
from eegd.liveness import BEGIN_S, SLOW
from eegd.memory import headroom, memory_limit_mb
from eegd.output import Output
from eegd.output_thread import REPORT_S, OutputThread
from eegd.plugin import Given, Plugin
from eegd.plugin_counts import Counts
from eegd.plugin_events import PluginEvents, place_of
from eegd.plugin_input import NOT_THERE, PATIENCE_S, PluginInput, policy_for
from eegd.standard_fds import StandardFds
from eegd.stream import Stream

__all__ = ["PluginLoop"]

log = logging.getLogger(__name__)

RETURN_S = 0.5
"""How long a new epoch waits for the readers of the one before."""
STARVED = 3
"""Frames in a row without memory, after which the process ends: what it has leaked comes back with the next one."""


class PluginLoop:
    """Runs one plugin instance over the life of its input. Main thread, which is the stream's sending thread."""

    def __init__(
        self, plugin: Plugin, directory: Path, input_stream: str, thread: OutputThread, live: LiveParams
    ) -> None:
        self.plugin = plugin
        self.counts = Counts()
        self._events = plugin._events = PluginEvents(directory, plugin.name)
        self._input = input_stream
        self._source = PluginInput(input_stream, directory, plugin.name, thread, self.counts)
        self._thread = thread
        self._live = live
        self._n_returning = 0
        """Readers of an epoch that a change of parameters has ended."""
        self._output: Output | None = None
        self._n_epochs = 0
        """Epochs of the input that were followed."""
        self._activity = Activity(longest_step_s=2 * REPORT_S)
        self._must_reset = False
        self._n_starved = 0
        """Frames since the last one for which there was memory."""
        self._failures = Failures()
        self._fds = StandardFds()
        self._is_forked = False
        """This is a child that the plugin has forked; it must not go on where its parent does."""
        os.register_at_fork(after_in_child=self._on_fork)

    def run(self, on_failure: str) -> str:
        """Until the input ends or the thread was told to stop; returns why, which is also what our readers are told.
        on_failure: what they are told where an exception ends it."""
        reason = on_failure
        try:
            reason = self._run_stream()
        finally:
            self._end_epoch(reason)
            try:
                self._call("stop")
            finally:
                if (rest := self._failures.rest(over=True)) is not None:
                    self._post(rest)
                self._events.sender.close()
                self._fds.close()
        return reason

    def facts(self) -> dict[str, object]:
        """How things stand, for the supervisor; called on the control thread."""
        call, seconds = self._activity.look()
        busy = None if call is None else {"method": call.method, "frame": call.frame_number, "seconds": seconds}
        return {
            "input": self._input,
            **asdict(self.counts),
            "set": self._live.given,
            "readers": [str(holder["name"]) for holder in self._thread.server.readers.holders()],
            "events": self._events.sender.facts(),
            "busy": busy,
        }

    def answers(self) -> bool:
        """No call goes on since the last look; start and stop may last. For the watchdog of a service manager, when
        facts() is not asked for; called on the control thread."""
        call, seconds = self._activity.look()
        return seconds <= (BEGIN_S if call is not None and call.method in SLOW else 0.0)

    # ---- input ----

    def _run_stream(self) -> str:
        stream = self._source.open()
        if stream is None:
            return self._thread.end_reason
        stopping = self._thread.stopping.is_set
        with stream:
            while True:
                if stream.n_epochs != self._n_epochs:  # before the first frame, so that our own readers can come
                    self._follow(stream)
                try:
                    frame = stream.take(self._source.patience_left() if stopping() else PATIENCE_S)
                except (WaitTimeout, *NOT_THERE) as error:
                    if stopping():
                        return self._thread.end_reason
                    if not isinstance(error, WaitTimeout):
                        self._source.wait(error)
                except StreamEnded as end:
                    return end.reason
                else:
                    if stream.n_epochs != self._n_epochs:
                        self._follow(stream)
                    self._live.apply(frame, self)
                    self._process(frame)

    def _follow(self, stream: Stream) -> None:
        """The input has a new epoch: begins one of our own."""
        self._n_epochs = stream.n_epochs
        self._begin_epoch(stream)

    # ---- epochs ----

    def _begin_epoch(self, stream: Stream) -> None:
        """start() with what the input is now, and a new epoch of our own with what comes of it."""
        info = stream.info
        if stream.policy != policy_for(info):
            raise EegdError(f"input {self._input!r} came back on another clock, which needs a new start")
        n_readers = self._thread.n_active
        if (rest := self._failures.rest(over=True)) is not None:
            # Its sample was counted in the epoch before; its time is the same in this one.
            self._post(replace(rest, place={**rest.place, "sample_index": None, "fraction": 0.0}))
        self._end_epoch("reconfigured")
        self.counts.state = "starting"
        self._thread.report_now()
        plugin = self.plugin
        plugin.accept(info)
        self._call("start", info)
        self._fds.restore()
        outputs = self._call("outputs", info)
        self._output = Output(plugin, info, outputs, self._input, self._thread.sending)
        self._thread.begin_epoch(self._output)
        self._thread.await_readers(self._output, n_readers, RETURN_S)
        self._must_reset = False
        self.counts.state = "running"
        self._thread.report_now()
        log.info(
            "%s: %s → %d × %g/s, delay %.1f ms",
            plugin.name,
            self._input,
            len(outputs.labels),
            outputs.rate_sps,
            float(str(self._output.description["delay_ns"])) / 1e6,
        )

    def _end_epoch(self, reason: str) -> None:
        if self._output is not None:
            output, self._output = self._output, None
            self._thread.end_epoch(output, reason)

    def _call(self, method: str, *arguments: Any) -> Any:
        """One of the plugin's methods without which it cannot go on. Raises PluginError, or its own ParamError."""
        try:
            return self._guarded(getattr(self.plugin, method), *arguments)
        except (ParamError, PluginError):
            raise
        except Exception as error:
            log.exception("%s.%s", self.plugin.name, method)
            raise PluginError(f"plugin {self.plugin.name!r}: {method}: {type(error).__name__}: {error}") from error

    def _guarded(self, method: Callable[..., Any], *arguments: Any, frame_number: int | None = None) -> Any:
        """Calls a method of the plugin, which others can see going on. What is no Exception, as of sys.exit, would end
        the process without a word: it becomes a PluginError."""
        before = self._activity.enter(method.__name__, frame_number)
        try:
            return method(*arguments)
        except Exception:
            raise
        except BaseException as error:
            text = f"plugin {self.plugin.name!r}: {method.__name__} raised {type(error).__name__}: {error}"
            raise PluginError(text) from error
        finally:
            self._activity.leave(before)
            if self._is_forked:  # the stream is its parent's
                os._exit(0)

    def _on_fork(self) -> None:
        self._is_forked = True

    # ---- live parameters ----

    def change(self, names: tuple[str, ...]) -> None:
        """The plugin's parameters are other ones. Where its stream then is not what readers were told, a new epoch
        begins. Raises what the plugin raises, and PluginError for outputs that cannot be; then nothing has ended."""
        assert self._output is not None
        self._guarded(self.plugin.changed, names)
        outputs = self._guarded(self.plugin.outputs, self.plugin.info)
        if outputs == self._output.outputs:
            self._output.describe_params(self.plugin)
            return
        renewed = Output(self.plugin, self.plugin.info, outputs, self._input, self._thread.sending)
        renewed.trail = self._output.trail  # what is missing since the last output is told by the next
        self._n_returning = self._thread.n_active
        self._end_epoch("reconfigured")
        self._output = renewed
        self._thread.begin_epoch(renewed)

    def settle(self) -> None:
        """Who waited for the answer to a change may be a reader that comes back only now."""
        if self._n_returning and self._output is not None:
            self._thread.await_readers(self._output, self._n_returning, RETURN_S)
        self._n_returning = 0

    def fail_change(self) -> None:
        self._must_reset = True

    def record(self, label: str, value: float | None, frame: Frame) -> None:
        self._events.frame = frame
        self.plugin.post(label, value=value, sample_index=frame.sample_index, kind="parameter")
        self._events.frame = None
        log.debug("%s: %s, from frame %d of %s on", self.plugin.name, label, frame.frame_number, self._input)
        self._thread.report_now()  # before the answer: what was acknowledged survives the process

    # ---- frames ----

    def _process(self, frame: Frame) -> None:
        output, plugin, counts = self._output, self.plugin, self.counts
        assert output is not None
        counts.state = "running"
        counts.frames_in += 1
        counts.missed += frame.missed
        if output.trail.take(frame) and plugin.at_gap == "reset":
            self._must_reset = True
        n_before, overruns_before = output.n_frames, output.n_overruns
        self._events.frame = frame
        try:
            if self._must_reset:
                self._guarded(plugin.reset, frame_number=frame.frame_number)
                self._must_reset = False
            out = output.room(frame.descriptor.n_samples)
            output.put(self._given(frame, out), frame, out)
        except PluginError:
            raise
        except Exception as error:
            with headroom():  # to tell it
                self._on_failure(frame, error)
        else:
            self._n_starved = 0
            if (rest := self._failures.rest()) is not None:
                self._post(rest)
        finally:
            self._events.frame = None
        counts.frames_out += output.n_frames - n_before
        counts.overruns += output.n_overruns - overruns_before

    def _given(self, frame: Frame, out: NDArray[np.float32]) -> Given:
        """What process returns. Raises PluginError where the plugin kept a view of `out`, which others will see."""
        n_views, n_references = sys.getrefcount(out.base), sys.getrefcount(out)
        given: Given = self._guarded(self.plugin.process, frame, out, frame_number=frame.descriptor.frame_number)
        n_views += isinstance(given, np.ndarray) and given is not out and given.base is out.base
        n_references += given is out
        if sys.getrefcount(out.base) > n_views or sys.getrefcount(out) > n_references:
            for generation in (0, 2):  # a cycle, as of an exception that it caught and has in a variable, is no keeping
                gc.collect(generation)
                if sys.getrefcount(out.base) <= n_views and sys.getrefcount(out) <= n_references:
                    return given
            raise PluginError(
                f"plugin {self.plugin.name!r}: process kept a view of out, which belongs to the readers "
                "after the call; keep a copy (out.copy())"
            )
        return given

    def _on_failure(self, frame: Frame, error: Exception) -> None:
        """The plugin raised: the frame is skipped, and missing downstream. One a second is told whole."""
        assert self._output is not None
        self.counts.errors += 1
        self._output.trail.skip(frame)
        self._must_reset |= self.plugin.at_gap == "reset"
        self._n_starved = self._n_starved + 1 if isinstance(error, MemoryError) else 0
        what = _said_by(error)
        if isinstance(error, ValueError) and "read-only" in what:
            what += "; frame.data is shared with all readers: write out, or a copy (frame.copy())"
        failure = self._failures.note(frame.frame_number, place_of(frame, frame.sample_index), what)
        if failure is not None:
            also = f" ({failure.n - 1} more failures not shown)" if failure.n > 1 else ""
            where = (self.plugin.name, frame.frame_number, self._input)
            fields = {"EEGD_PLUGIN": self.plugin.name, "EEGD_FRAME": frame.frame_number}
            log.error("%s: frame %d of %s skipped: %s%s", *where, what, also, exc_info=error, extra=fields)
            self._post(failure)
        if self._n_starved >= STARVED:
            limit = memory_limit_mb()
            why = f"memory_mb = {limit:g} is used up" if limit else "none is left"
            raise PluginError(f"plugin {self.plugin.name!r}: no memory for {STARVED} frames in a row: {why}")

    def _post(self, failure: Failure) -> None:
        """As an event, at the frame's first sample."""
        label = f"frame {failure.frame_number} of {self._input} skipped: {failure.text}"
        facts: dict[str, Any] = {"frame_number": failure.frame_number, "input": self._input}
        with contextlib.suppress(MemoryError):
            self._events.sender.post(
                "plugin", label, value=failure.n, source=self.plugin.name, **failure.place, **facts
            )


def _said_by(error: Exception) -> str:
    """Also of one of the plugin's own kind, which may fail to say anything."""
    try:
        return f"{type(error).__name__}: {error}".rstrip(": ")
    except Exception:
        return type(error).__name__
