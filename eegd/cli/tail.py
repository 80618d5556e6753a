"""`eegctl tail`: a stream as text, line by line, on a terminal or through a pipe."""

from __future__ import annotations

import argparse
import json
import shutil
import sys

import numpy as np
from numpy.typing import NDArray

from eegd.cli.common import OK, Stopper
from eegd.cli.feed import Feed
from eegd.cli.text import data_note, quantity, sparkline, wall_clock
from eegd.client import Client
from eegd.errors import EegdError
from eegd.frame import Frame, StreamInfo

__all__ = ["Line", "frame_json", "tail"]

EVERY_S = 0.5
SPARK_WIDTH = 12
SLICE_S = 0.25
QUIET_S = 2.0
NUMBER_WIDTH = 9


class Line:
    """Collects samples of some channels and writes them as one line of text. Synchronization: none required."""

    def __init__(self, info: StreamInfo, labels: list[str] | None, numbers: bool) -> None:
        """Raises KeyError for a label that the stream does not have."""
        self.rows = [info.index(label) for label in (labels if labels is not None else info.labels)]
        self._info = info
        self._numbers = numbers
        self._latest = numbers or info.kind == "features"  # a power is of interest itself, not how far it went
        self._parts: list[NDArray[np.float32]] = []
        self._wall_ns = 0.0
        self.n_samples = 0

    def add(self, frame: Frame) -> None:
        if not self._parts:
            self._wall_ns = frame.wall_time_ns
        self._parts.append(frame.data[self.rows])  # indexing by a list copies: no lease is held
        self.n_samples += frame.n_samples

    def take(self, width: int | None) -> str:
        """The line, cut at whole channels to `width` where one is given; begins a new one."""
        data = np.concatenate(self._parts, axis=1)
        self._parts, self.n_samples = [], 0
        text = wall_clock(self._wall_ns)
        label_width = max(len(self._info.labels[row]) for row in self.rows)
        for number, (row, values) in enumerate(zip(self.rows, data, strict=True)):
            label, unit = self._info.labels[row], self._info.units[row]
            shown = quantity(float(values[-1] if self._latest else np.ptp(values)), unit)
            graph = "" if self._numbers else " " + sparkline(values, SPARK_WIDTH).ljust(SPARK_WIDTH)
            piece = f"  {label:<{label_width}}{graph} {shown:>{NUMBER_WIDTH}}"
            rest = len(self.rows) - number
            more = f"  … {rest} more"
            needed = len(piece) + (len(f"  … {rest - 1} more") if rest > 1 else 0)
            if width is not None and number and len(text) + needed > width:
                return text + more
            text += piece
        return text


def frame_json(frame: Frame, rows: list[int]) -> str:
    """A frame as one JSON object; values that are not finite become null."""
    data = {
        frame.info.labels[row]: [float(f"{v:.9g}") if np.isfinite(v) else None for v in frame.data[row]] for row in rows
    }
    facts = {
        "stream": frame.info.stream,
        "stream_epoch": frame.stream_epoch,
        "frame_number": frame.frame_number,
        "sample_index": frame.sample_index,
        "time_ns": round(frame.time_ns),
        "wall_time_ns": round(frame.wall_time_ns),
        "period_ns": frame.period_ns,
        "lost_before": frame.lost_before,
        "missed": frame.missed,
        "flags": frame.flag_names,
        "data": data,
    }
    return json.dumps(facts, ensure_ascii=False)


class _Tail:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        per_frame = args.frames is not None and args.every is None
        self.every_s = 0.0 if per_frame or args.json else EVERY_S if args.every is None else args.every
        self.line: Line | None = None
        self.info: StreamInfo | None = None
        self.n_frames = 0
        self.span_s = 0.0

    @property
    def done(self) -> bool:
        args = self.args
        return (args.frames is not None and self.n_frames >= args.frames) or (
            args.seconds is not None and self.span_s >= args.seconds - 1e-9
        )

    def show(self, frame: Frame) -> None:
        if self.info is not frame.info:
            self.flush()
            self.info = frame.info
            self.line = Line(frame.info, self.args.channels, self.args.numbers)
        assert self.line is not None
        self.n_frames += 1
        self.span_s += (frame.n_samples + frame.lost_before) / frame.info.rate_sps
        if self.args.json:
            print(frame_json(frame, self.line.rows), flush=True)
            return
        self.line.add(frame)
        if self.line.n_samples >= self.every_s * frame.info.rate_sps:
            self.flush()

    def flush(self) -> None:
        if self.line is not None and self.line.n_samples:
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
            print(self.line.take(width), flush=True)

    def note(self, text: str) -> None:
        """Beside the data: on stdout as a line of its own, or, where that is JSON, on stderr."""
        self.flush()
        print(f"-- {text}", file=sys.stderr if self.args.json else sys.stdout, flush=True)


def tail(client: Client, args: argparse.Namespace) -> int:
    """Shows frames until as many as asked for, the stream's end, or a signal."""
    view = _Tail(args)
    feed = Feed(client, args.stream, "eegctl tail", seconds=2.0)
    feed.open()
    try:
        with Stopper() as stopper:
            assert feed.info is not None
            Line(feed.info, args.channels, args.numbers)  # a wrong label is told before the first frame
            said = data_note(feed.info.flags)
            if said:
                view.note(said)
            _loop(feed, view, stopper)
    finally:
        feed.close()
    view.flush()
    if feed.ended is not None:
        view.note(f"stream {args.stream!r} has ended: {feed.ended}")
        if feed.ended.startswith("not let in"):
            raise EegdError(feed.ended)
    return OK


def _loop(feed: Feed, view: _Tail, stopper: Stopper) -> None:
    quiet_s, told = 0.0, False
    while not (stopper.stopped or view.done or feed.ended is not None):
        frame = feed.take(SLICE_S)
        for note in feed.notes:
            view.note(note)
        feed.notes.clear()
        if frame is not None:
            view.show(frame)
            quiet_s, told = 0.0, False
            continue
        quiet_s += SLICE_S
        if quiet_s >= QUIET_S and not told and feed.info is not None:
            view.note(f"no frame for {QUIET_S:g} s")
            told = True
