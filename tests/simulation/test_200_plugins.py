"""Plugins as processes of a real daemon on the emulated chip: values, truth about gaps, restarts, ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pywt
from numpy.typing import NDArray

import eegd
from eegd.errors import DaemonNotRunning, EegdError, StreamEnded
from eegd.frame import Frame
from eegd.runtime_dir import is_served
from eegd.stream import Stream

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

WAIT_S = 30.0
PAUSE = threading.Event()
"""Never set: waiting on it paces a poll that has a deadline."""

RAISES = """
import numpy as np
from eegd.plugin import Plugin
class Raises(Plugin):
    n_resets = 0
    def reset(self):
        self.n_resets += 1
    def process(self, frame, out):
        if frame.frame_number % 10 == 9:
            raise ValueError("the tenth")
        out[:] = self.n_resets
"""
ABORTS = """
import os
from eegd.plugin import Plugin
class Aborts(Plugin):
    def process(self, frame, out):
        print("about to abort")
        os.abort()
"""
HANGS = """
from eegd.plugin import Plugin
class Hangs(Plugin):
    def process(self, frame, out):
        while True:
            pass
"""
KEEPS = """
from eegd.plugin import Plugin
class Keeps(Plugin):
    def start(self, info):
        self.kept = []
    def process(self, frame, out):
        self.kept.append(frame.data)
"""
CATCHES = """
from eegd.plugin import Plugin
class Catches(Plugin):
    def process(self, frame, out):
        out[:] = frame.data
        try:
            raise ValueError("caught")
        except ValueError as error:
            caught = error  # a cycle: error, traceback, this call and its out
        return out
"""
KEEPS_OUT = """
from eegd.plugin import Plugin
class Keepsout(Plugin):
    def process(self, frame, out):
        out[:] = 0
        if frame.frame_number > 5:
            self.mine = KEPT
        return out[:, :]
"""
FUSSY = """
from eegd.plugin import Needs, Plugin
class Fussy(Plugin):
    needs = Needs(rate_sps=(1000, float("inf")))
    def start(self, info):
        print("started all the same")
    def process(self, frame, out):
        out[:] = frame.data
"""
LATE = """
from eegd.plugin import Outputs, Plugin
class Late(Plugin):
    def outputs(self, info):
        return Outputs(labels=info.labels, units=info.units, rate_sps=info.rate_sps, delay_s=0.008)
    def process(self, frame, out):
        out[:] = frame.data
"""
POSTS = """
from eegd.plugin import Plugin
class Posts(Plugin):
    def process(self, frame, out):
        out[:] = frame.data
        if frame.frame_number % 50 == 20:
            self.post("here", value=frame.data[0, 2], sample_index=frame.sample_index + 2)
"""
WRITES = """
from eegd.plugin import Plugin
class Writes(Plugin):
    def process(self, frame, out):
        frame.data[0, 0] = 1
"""
ASKS = """
from eegd.plugin import Plugin
class Asks(Plugin):
    def process(self, frame, out):
        frame.inplace()[:] *= 2
"""
TALKS = """
import sys
from eegd.plugin import Plugin
class Talks(Plugin):
    kind = "features"
    def start(self, info):
        print("printed")
        sys.stderr.write("WARNING: warned\\n")
    def outputs(self, info):
        from eegd.plugin import Outputs
        return Outputs(labels=("n",), units="1", rate_sps=info.rate_sps)
    def process(self, frame, out):
        return {"n": frame.sample_index}
"""


def within(condition: Callable[[], object], what: str, timeout: float = WAIT_S) -> Any:
    """Asks until the answer is truthy; returns it."""
    for _ in range(int(timeout / 0.01)):
        if answer := condition():
            return answer
        PAUSE.wait(0.01)
    return pytest.fail(f"{what}: not within {timeout:g} s")


def open_when_there(client: eegd.Client, stream: str, **options: Any) -> Stream:
    """A plugin's stream, as soon as the plugin serves it."""

    def attempt() -> Stream | None:
        with contextlib.suppress(DaemonNotRunning):
            return client.open(stream, timeout=WAIT_S, **options)
        return None

    opened: Stream = within(attempt, f"stream {stream!r}")
    return opened


def plugin_row(status: dict[str, Any], name: str) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in status["plugins"] if row["name"] == name)
    return row


def folder_with(home: Path, **files: str) -> str:
    folder = home / "plugins"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return str(folder)


@dataclass(slots=True)
class Taken:
    """What is looked at of one frame."""

    number: int
    index: int
    n_samples: int
    lost_before: int
    flags: tuple[str, ...]
    time_ns: float
    data: NDArray[np.float32]
    source: tuple[int, int, int, int]

    @classmethod
    def of(cls, frame: Frame) -> Taken:
        s = frame.source
        return cls(
            frame.frame_number,
            frame.sample_index,
            frame.n_samples,
            frame.lost_before,
            frame.flag_names,
            frame.time_ns,
            frame.copy(),
            (s.frame_number, s.sample_index, s.n_samples, s.missed),
        )


def read_to_end(stream: Stream) -> list[Taken]:
    return [Taken.of(frame) for frame in stream]


def recording_of(home: Path, n_samples: int) -> tuple[Path, NDArray[np.float64]]:
    """A CSV file with a 10 Hz sine of 50 µV on its first channel, at 250 SPS, and noise on the second."""
    t = np.arange(n_samples) / 250
    noise = np.random.default_rng(3).normal(0, 20, n_samples)
    uv = np.stack([50 * np.sin(2 * np.pi * 10 * t), noise])
    path = home / "recording.csv"
    rows = "\n".join(",".join(f"{value:.4f}" for value in row) for row in uv.T)
    path.write_text(f"a,b\n{rows}\n")
    return path, uv


def replayed(
    daemon: DaemonFactory, home: Path, streams: tuple[str, ...], n_samples: int = 2500, text: str = "", **more: Any
) -> tuple[DaemonProcess, list[list[Taken]], list[Stream]]:
    """Replays a recording to `raw` and the streams named, all lossless, to the end. The daemon must end by itself."""
    path, _ = recording_of(home, n_samples)
    overrides = {"replay.file": str(path), "plugins.run": streams, **more.pop("overrides", {})}
    process = daemon(overrides, wait_readers=more.pop("n_readers", len(streams) + 1), text=text, **more)
    client = process.connect()
    opened = [open_when_there(client, name, policy="lossless") for name in streams]
    opened.insert(0, client.open("raw", policy="lossless", timeout=WAIT_S))
    with ThreadPoolExecutor() as threads:
        readings = list(threads.map(read_to_end, opened))
    assert process.wait()[0] == 0
    return process, readings, opened


# ---- values ----


def test_a_filtered_stream_has_every_sample_of_a_replay_and_ends_as_it_does(daemon: DaemonFactory, home: Path) -> None:
    _, (raw, doubled), streams = replayed(
        daemon, home, ("template",), text="[plugins.template]\ngain = 2.0\n", overrides={"stream.frame_samples": 7}
    )
    assert [frame.index for frame in raw] == [frame.index for frame in doubled]
    for before, after in zip(raw, doubled, strict=True):
        np.testing.assert_array_equal(after.data, 2 * before.data)
        assert after.source == (before.number, before.index, before.n_samples, 0)
        assert after.time_ns == before.time_ns
        assert after.flags == before.flags
    assert sum(frame.n_samples for frame in doubled) == 2500
    assert all(stream.ended is not None and stream.ended.reason == "replay over" for stream in streams)


def test_bandpower_finds_the_power_of_a_sine_and_says_when(daemon: DaemonFactory, home: Path) -> None:
    _, (raw, power), (_, stream) = replayed(daemon, home, ("bandpower",))
    info = stream.info
    alpha = info.index(f"{info.description['channels'][0]['channel']}.alpha")
    assert len(power) == (2500 - 500) // 50 + 1
    times = {frame.index: frame.time_ns for frame in raw}
    for n, frame in enumerate(power):
        assert frame.data[alpha, 0] == pytest.approx(1250, rel=1e-3)
        assert frame.source == (n * 50 + 499, n * 50, 500, 0)
        assert (frame.number, frame.index, frame.lost_before) == (n, n, 0)
        assert frame.time_ns == times[n * 50 + 499]
        assert "replay" in frame.flags
    assert info.units[alpha] == "µV²"
    assert info.rate_sps == 5.0
    assert info.delay_ns == 6_000_000 + round(499 / 2 / 250 * 1e9)


def test_wavelet_gives_the_energies_that_pywavelets_finds_in_raw(daemon: DaemonFactory, home: Path) -> None:
    text = '[plugins.wavelet]\nwavelet = "cdf53"\nlength = 128\nlevels = 3\nstep = 0.2\n'
    _, (raw, energy), (_, stream) = replayed(daemon, home, ("wavelet",), text=text)
    x = np.concatenate([frame.data for frame in raw], axis=1).astype(np.float64)
    assert len(energy) == (2500 - 128) // 50 + 1
    for n, frame in enumerate(energy):
        details = pywt.wavedec(x[:, n * 50 : n * 50 + 128], "bior2.2", mode="symmetric", level=3)[:0:-1]
        expected = np.stack([(level**2).sum(axis=1) / 128 for level in details], axis=1)
        np.testing.assert_allclose(frame.data[:, 0], expected.ravel(), rtol=1e-4, atol=1e-6)
        assert frame.source == (n * 50 + 127, n * 50, 128, 0)
    assert stream.info.delay_ns == 6_000_000 + round(127 / 2 / 250 * 1e9)
    assert stream.info.units[0] == "µV²"


def test_plugins_can_read_plugins(daemon: DaemonFactory, home: Path) -> None:
    text = '[plugins.template]\ngain = 2.0\n[plugins.bandpower]\ninput = "template"\n'
    path, _ = recording_of(home, 2500)
    process = daemon({"replay.file": str(path), "plugins.run": ("bandpower", "template")}, 2, text)
    client = process.connect()
    power = open_when_there(client, "bandpower", policy="lossless")
    raw = client.open("raw", policy="lossless", timeout=WAIT_S)
    with ThreadPoolExecutor() as threads:
        frames, _ = threads.map(read_to_end, (power, raw))
    assert process.wait()[0] == 0
    assert len(frames) == 41
    assert {round(float(frame.data[2, 0])) for frame in frames} == {5000}
    assert power.info.description["input"] == "template"


# ---- truth about what is missing ----


def test_samples_lost_at_the_chip_are_told_by_every_stream_below(daemon: DaemonFactory, home: Path) -> None:
    faults = [{"kind": "FRAME_00", "at": 1000, "count": 3}]
    _, (raw, same, power), _ = replayed(daemon, home, ("template", "bandpower"), faults=faults)
    (gap,) = [frame for frame in raw if frame.lost_before]
    assert gap.lost_before == 3
    (told,) = [frame for frame in same if frame.lost_before]
    assert (told.index, told.lost_before, told.source[3]) == (gap.index, 3, 3)
    assert "upstream loss" in told.flags
    for frame in power:
        begin, n = frame.source[1:3]
        assert not begin < gap.index < begin + n, "a window spans the gap"
    (after,) = [frame for frame in power if "upstream loss" in frame.flags]
    assert after.source[1:] == (gap.index, 500, 3)
    assert after.lost_before == round((gap.index + 500 - (power[after.number - 1].source[1] + 500)) / 50) - 1


def test_what_is_true_of_the_input_is_true_after_a_chain_and_a_graph_of_three_processes(
    daemon: DaemonFactory, home: Path
) -> None:
    text = """
        [plugins.template]
        gain = 2.0
        [plugins.clean]
        chain = ["late", "half=template", "more=late"]
        input = "template"
        [plugins.clean.half]
        gain = 0.5
        [plugins.bandpower]
        input = "clean"
        length = 1.0
    """
    faults = [{"kind": "FRAME_00", "at": 1000, "count": 3}]
    overrides = {"plugins.dirs": (folder_with(home, late=LATE),)}
    names = ("template", "clean", "bandpower")
    _, (raw, twice, clean, power), (_, a, b, c) = replayed(
        daemon, home, names, text=text, faults=faults, overrides=overrides, n_readers=2
    )
    assert [stream.info.delay_ns for stream in (a, b, c)] == [6_000_000, 22_000_000, 22_000_000 + 498_000_000]
    assert b.info.description["stages"][1] == {
        **{"stage": "half", "plugin": "template", "kind": "filtered", "delay_ns": 0, "in_place": False},
    }
    assert c.info.description["axes"]["frequency"]["bands"]["alpha"] == [8, 13]
    assert (c.info.units[0], c.info.description["window_ns"]) == ("µV²", 1_000_000_000)
    assert {stream.info.description["raw_stream"] for stream in (a, b, c)} == {"raw"}
    for before, after in ((raw, twice), (twice, clean)):
        by_number = {frame.number: frame for frame in before}
        for frame in after:
            origin = by_number[frame.source[0]]
            assert frame.source[1:3] == (origin.index, origin.n_samples)
            assert (frame.time_ns, frame.n_samples) == (origin.time_ns, origin.n_samples)
        (told,) = [frame for frame in after if frame.lost_before]
        assert (told.lost_before, told.source[3]) == (3, 3)
        assert "upstream loss" in told.flags
    for first, last in zip(raw, clean, strict=True):
        np.testing.assert_array_equal(last.data, first.data)
    by_number = {frame.number: frame for frame in clean}
    (told,) = [frame for frame in power if "upstream loss" in frame.flags]
    assert told.source[3] == 3
    for frame in power:
        last = by_number[frame.source[0]]
        assert frame.source[1] + frame.source[2] == last.index + last.n_samples
        assert frame.source[2] == 250
        assert frame.time_ns == last.time_ns
        assert "replay" in frame.flags


def test_a_chain_gives_what_the_same_plugins_give_in_processes_of_their_own(daemon: DaemonFactory, home: Path) -> None:
    text = """
        [plugins.alone]
        plugin = "bandpower"
        input = "filter"
        [plugins.chained]
        chain = ["filter", "bandpower"]
    """
    faults = [{"kind": "FRAME_00", "at": 1003, "count": 40}]
    overrides = {"stream.frame_samples": 5}
    names = ("filter", "alone", "chained")
    _, (_, _, alone, chained), (_, _, a, b) = replayed(
        daemon, home, names, text=text, faults=faults, overrides=overrides, n_readers=3
    )
    assert a.info.delay_ns == b.info.delay_ns
    assert (a.info.labels, a.info.units) == (b.info.labels, b.info.units)
    for key in ("axes", "window_ns", "channels"):
        assert a.info.description[key] == b.info.description[key]
    assert len(alone) == len(chained) == 31
    for one, other in zip(alone, chained, strict=True):
        np.testing.assert_array_equal(one.data, other.data)
        assert (one.index, one.lost_before, one.flags) == (other.index, other.lost_before, other.flags)
        assert (one.source, one.time_ns) == (other.source, other.time_ns)
    assert sum("upstream loss" in frame.flags for frame in chained) == 1


def test_frames_on_which_a_plugin_raises_are_skipped_counted_and_told(daemon: DaemonFactory, home: Path) -> None:
    folder = folder_with(home, raises=RAISES)
    process = daemon({"plugins.run": ("raises",), "plugins.dirs": (folder,)}, wait_readers=2)
    client = process.connect()
    stream = open_when_there(client, "raises", policy="lossless")
    raw = client.open("raw", policy="lossless", timeout=WAIT_S)
    taken: list[Taken] = []
    for _ in range(36):
        raw.take()
        with contextlib.suppress(IndexError):
            taken.append(Taken.of(stream.take(timeout=WAIT_S)) if len(taken) < 30 else taken[99])
    raw.close()
    assert [frame.source[0] for frame in taken] == [n for n in range(33) if n % 10 != 9]
    told = [frame for frame in taken if frame.lost_before]
    assert [frame.source[0] for frame in told] == [10, 20, 30]
    assert all(frame.source[3] == frame.n_samples and "upstream loss" in frame.flags for frame in told)
    assert {float(frame.data[0, 0]) for frame in taken} == {0, 1, 2, 3}
    row = plugin_row(process.wait_for(lambda s: plugin_row(s, "raises").get("errors", 0) >= 3), "raises")
    assert row["state"] == "running"
    log = process.wait_for_log("ValueError: the tenth")
    assert "raises: frame 9 of raw skipped" in log
    within(lambda: skipped_frames(client), "be told")
    event = skipped_frames(client)[0]
    assert event["label"] == "frame 9 of raw skipped: ValueError: the tenth"
    assert (event["source"], event["value"], event["frame_number"], event["input"]) == ("raises", 1, 9, "raw")
    assert event["sample_index"] == 9 * raw.info.frame_samples
    stream.close()
    process.stop()
    forget_tracebacks(process)


def skipped_frames(client: eegd.Client) -> list[dict[str, Any]]:
    return [event for event in client.ask("recent_events")["events"] if event["kind"] == "plugin"]


def test_a_plugin_that_keeps_every_array_is_told_why_it_ends(daemon: DaemonFactory, home: Path) -> None:
    folder = folder_with(home, keeps=KEEPS)
    process = daemon(
        {"plugins.run": ("keeps",), "plugins.dirs": (folder,), "sim.clock": "real", "board.rate_sps": 1000}
    )
    log = process.wait_for_log("Keep copies (frame.copy())")
    assert "plugin 'keeps' keeps arrays of frames" in log
    assert process.wait_for(lambda s: plugin_row(s, "keeps")["restarts"] >= 1)
    assert process.stop()[1].endswith("0 lost")


@pytest.mark.parametrize("kept", ["out[0, :1]", "out"])
def test_a_plugin_that_keeps_its_output_or_a_view_of_it_is_ended_before_anybody_sees_it(
    daemon: DaemonFactory, home: Path, kept: str
) -> None:
    folder = folder_with(home, keepsout=KEEPS_OUT.replace("KEPT", kept))
    process = daemon({"plugins.run": ("keepsout",), "plugins.dirs": (folder,), "sim.clock": "real"})
    process.wait_for_log("process kept a view of out")
    process.stop()


def test_a_plugin_whose_output_hangs_in_a_cycle_goes_on(daemon: DaemonFactory, home: Path) -> None:
    folder = folder_with(home, catches=CATCHES)
    process = daemon({"plugins.run": ("catches",), "plugins.dirs": (folder,), "sim.clock": "real"})
    assert process.wait_for(lambda s: plugin_row(s, "catches").get("frames_out", 0) > 50)
    assert plugin_row(process.connect().ask("status")["status"], "catches")["restarts"] == 0
    process.stop()


@pytest.mark.parametrize("reads", ["raw", "template"])
def test_a_plugins_events_name_the_sample_in_raw_and_its_time(daemon: DaemonFactory, home: Path, reads: str) -> None:
    overrides = {"sim.clock": "real", "stream.frame_samples": 5, "plugins.run": ("template", "posts")}
    folder = folder_with(home, posts=POSTS)
    process = daemon({**overrides, "plugins.dirs": (folder,)}, text=f'[plugins.posts]\ninput = "{reads}"\n')
    client = process.connect()
    raw = client.open("raw", policy="lossless", seconds=30, timeout=WAIT_S)
    first = raw.take().sample_index
    events = (event for event in client.events(WAIT_S) if event["kind"] == "detection")
    event = next(event for event in events if event["sample_index"] > first)
    assert (event["label"], event["source"], event["stream"], event["fraction"]) == ("here", "posts", "raw", 0.0)
    frame = next(frame for frame in raw if frame.sample_index + frame.n_samples > event["sample_index"])
    place = event["sample_index"] - frame.sample_index
    assert event["value"] == frame.data[0, place]
    assert event["time_ns"] == round(frame.time_ns + place * frame.period_ns)
    row = plugin_row(process.wait_for(lambda s: plugin_row(s, "posts")["events"]["posted"]), "posts")
    assert (row["events"]["dropped"], row["events"]["refused"]) == (0, 0)
    del frame
    process.stop()


def test_a_shared_frame_is_never_written_and_who_tries_is_told_what_to_do(daemon: DaemonFactory, home: Path) -> None:
    folder = folder_with(home, writes=WRITES, asks=ASKS)
    process = daemon({"plugins.run": ("writes", "asks"), "plugins.dirs": (folder,), "sim.clock": "real"})
    process.wait_for(lambda s: plugin_row(s, "writes").get("errors", 0) > 10)
    process.wait_for_log("read-only; frame.data is shared with all readers: write out, or a copy")
    row = plugin_row(process.wait_for(lambda s: plugin_row(s, "asks")["state"] == "held"), "asks")
    assert "of 'raw' is shared with all readers of the stream and cannot be changed in place" in row["last_error"]
    assert row["restarts"] == 0
    assert process.stop()[1].endswith(", 0 lost")
    forget_tracebacks(process)


# ---- epochs ----


def test_a_reconfiguration_gives_readers_of_a_plugin_a_new_epoch(daemon: DaemonFactory) -> None:
    process = daemon({"sim.clock": "real", "plugins.run": ("template",)})
    client = process.connect()
    stream = open_when_there(client, "template")
    assert stream.take().info.rate_sps == 250
    client.ask("board", settings={"rate": "500"})
    frame = next(frame for frame in stream if frame.info.rate_sps == 500)
    assert stream.n_epochs == 2
    assert frame.info.description["input_epoch"] == client.describe("raw").stream_epoch
    assert plugin_row(process.status(), "template")["restarts"] == 0
    process.stop()


# ---- ends and restarts ----


@pytest.mark.slow
def test_a_plugin_that_aborts_is_restarted_then_held_and_capture_loses_nothing(
    daemon: DaemonFactory, home: Path
) -> None:
    folder = folder_with(home, aborts=ABORTS)
    process = daemon({"plugins.run": ("aborts",), "plugins.dirs": (folder,), "sim.clock": "real"})
    raw = process.connect().open("raw", policy="lossless", seconds=20, timeout=WAIT_S)
    status = process.wait_for(lambda s: plugin_row(s, "aborts")["state"] == "held", timeout=60)
    row = plugin_row(status, "aborts")
    assert (row["restarts"], row["pid"]) == (5, None)
    kinds = [event["kind"] for event in process.connect().ask("recent_events")["events"]]
    assert kinds.count("plugin died") == 5
    assert kinds.count("plugin held") == 1
    assert "SIGABRT" in process.stderr
    assert "about to abort" in process.stderr
    assert process.stop()[1].endswith(", 0 lost")
    numbers = [frame.frame_number for frame in raw]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) and len(numbers) > 1000
    assert raw.missed == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[plugins.bandpower]\nlength = 99\n", "length = 99: a number from 0.25 to 30 s"),
        (
            '[plugins.bandpower]\ncolour = "red"\n',
            "no parameter 'colour'; there are: length, step, relative",
        ),
        ('[plugins.bandpower]\ninput = "bandpower"\n', "reads its own stream"),
    ],
)
def test_a_plugin_that_cannot_start_is_held_at_once_with_its_reason(
    daemon: DaemonFactory, text: str, reason: str
) -> None:
    process = daemon({"sim.clock": "real", "plugins.run": ("bandpower",)}, text=text)
    status = process.wait_for(lambda s: plugin_row(s, "bandpower")["state"] == "held")
    row = plugin_row(status, "bandpower")
    assert (row["last_error"], row["restarts"]) == (reason, 0)
    process.stop()


def test_a_plugin_whose_needs_are_not_met_is_held_at_once_and_does_not_start(daemon: DaemonFactory, home: Path) -> None:
    folder = folder_with(home, fussy=FUSSY)
    process = daemon({"plugins.run": ("fussy",), "plugins.dirs": (folder,), "sim.clock": "real"})
    row = plugin_row(process.wait_for(lambda s: plugin_row(s, "fussy")["state"] == "held"), "fussy")
    assert (row["last_error"], row["restarts"]) == ("plugin 'fussy' needs at least 1000 SPS, and 'raw' has 250", 0)
    assert "started all the same" not in process.stderr
    process.stop()


def test_a_plugin_that_never_returns_is_killed_when_the_daemon_stops(daemon: DaemonFactory, home: Path) -> None:
    folder = folder_with(home, hangs=HANGS)
    process = daemon({"plugins.run": ("hangs",), "plugins.dirs": (folder,), "sim.clock": "real"})
    status = process.wait_for(lambda s: plugin_row(s, "hangs").get("frames_in", 0) > 0)
    pid = plugin_row(status, "hangs")["pid"]
    code, summary = process.stop(signal.SIGTERM)
    assert code == 0
    assert summary.endswith(", 0 lost")
    assert "plugin hangs does not end; it is killed" in process.stderr
    assert not Path(f"/proc/{pid}").exists()


def test_plugins_end_with_a_daemon_that_was_killed(daemon: DaemonFactory) -> None:
    process = daemon({"plugins.run": ("template",), "sim.clock": "real"})
    client = process.connect()
    stream = open_when_there(client, "template")
    stream.take()
    pid = plugin_row(process.status(), "template")["pid"]
    process.kill()
    within(lambda: not Path(f"/proc/{pid}").exists() or b"\0" not in Path(f"/proc/{pid}/cmdline").read_bytes(), "end")
    with pytest.raises(eegd.errors.StreamLost):  # a stream that says "restarted" is waited for, not over
        while True:
            stream.take(timeout=0.2)


def test_readers_of_a_plugin_carry_on_when_it_is_killed(daemon: DaemonFactory) -> None:
    process = daemon({"plugins.run": ("template",), "sim.clock": "real"})
    stream = open_when_there(process.connect(), "template")
    stream.take()
    os.kill(plugin_row(process.status(), "template")["pid"], signal.SIGKILL)
    while stream.n_epochs == 1:
        stream.take()
    assert plugin_row(process.wait_for(lambda s: plugin_row(s, "template")["restarts"] == 1), "template")["pid"]
    process.stop()


def test_new_parameters_replace_a_plugin_and_its_readers_carry_on(daemon: DaemonFactory) -> None:
    process = daemon({"plugins.run": ("template",), "sim.clock": "real", "sim.source": "sine"})
    client = process.connect()
    stream = open_when_there(client, "template")
    stream.take()
    process.config_file.write_text(process.config_file.read_text() + "\n[plugins.template]\ngain = 0.0\n")
    assert client.ask("reload")["changed"]
    frame = next(frame for frame in stream if stream.n_epochs == 2)
    assert frame.info.description["params"] == {"gain": 0.0}
    assert not frame.data.any()
    process.stop()


def test_what_a_plugin_prints_goes_to_the_log_under_its_name(daemon: DaemonFactory, home: Path) -> None:
    folder = folder_with(home, talks=TALKS)
    process = daemon({"plugins.run": ("talks",), "plugins.dirs": (folder,), "sim.clock": "real"})
    stream = open_when_there(process.connect(), "talks")
    frame = stream.take()
    assert frame["n"][0] == frame.source.sample_index
    process.wait_for_log("INFO eegd.plugin.talks: printed")
    process.wait_for_log("WARNING eegd.plugin.talks: warned")
    process.stop()


# ---- by hand ----


@contextlib.contextmanager
def by_hand(directory: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "eegd.runner", *words, "--runtime-dir", str(directory)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_chain_is_added_while_the_daemon_runs(daemon: DaemonFactory) -> None:
    process = daemon({"sim.clock": "real"})
    client = process.connect()
    words = ["chain=template,more=template", "more.gain=3"]
    answer = client.ask("plugin_add", 60.0, plugin="clean", words=words)
    assert answer["table"] == {"chain": ["template", "more=template"], "more.gain": 3.0}
    stream = open_when_there(client, "clean")
    stream.take()
    assert [stage["stage"] for stage in stream.info.description["stages"]] == ["template", "more"]
    with pytest.raises(EegdError, match=r"chain 'two': two stages are named 'template'"):
        client.ask("plugin_add", 60.0, plugin="two", words=["chain=template,template"])
    process.stop()


def test_a_chain_is_run_by_hand_with_words_for_its_stages(daemon: DaemonFactory) -> None:
    process = daemon({"sim.clock": "real"})
    client = process.connect()
    words = ("clean", "--chain", "template,more=template", "more.gain=3", "template.gain:2", "input=raw")
    with by_hand(process.directory, *words) as plugin:
        stream = open_when_there(client, "clean")
        stream.take()
        assert stream.info.description["params"] == {"template.gain": 2.0, "more.gain": 3.0}
        plugin.send_signal(signal.SIGTERM)
        assert plugin.wait(WAIT_S) == 0
    process.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_plugin_run_by_hand_ends_cleanly_on_a_signal(daemon: DaemonFactory, number: int) -> None:
    process = daemon({"sim.clock": "real"})
    client = process.connect()
    with by_hand(process.directory, "template", "gain=3") as plugin:
        stream = open_when_there(client, "template")
        stream.take()
        plugin.send_signal(signal.SIGHUP)
        stream.take()
        plugin.send_signal(number)
        with pytest.raises(StreamEnded) as ended:
            for _ in itertools.count():
                stream.take()
        assert ended.value.reason == "stopped"
        assert plugin.wait(WAIT_S) == 0
        assert plugin.stderr is not None
        assert "template: stopped;" in plugin.stderr.read()
    process.stop()


def test_a_plugin_that_waits_for_a_reader_on_the_virtual_clock_hears_a_signal(daemon: DaemonFactory) -> None:
    process = daemon({}, wait_readers=2)
    client = process.connect()
    with by_hand(process.directory, "template") as plugin:
        stream = open_when_there(client, "template", policy="lossless", depth=4)
        client.open("raw", policy="latest")
        stream.take()  # and no more: its writer soon waits, in C
        within(lambda: stream.lag_frames >= 3, "the reader's credit is used up")
        plugin.send_signal(signal.SIGTERM)
        assert plugin.wait(WAIT_S) == 0
    process.stop()


def test_a_plugin_started_before_the_daemon_waits_for_its_input(daemon: DaemonFactory, home: Path) -> None:
    directory = home / "d" / "run"
    directory.mkdir(parents=True, mode=0o750)
    with by_hand(directory, "template") as plugin:
        assert plugin.stderr is not None
        assert "waiting for input 'raw'" in plugin.stderr.readline()
        process = daemon({"sim.clock": "real"})
        stream = open_when_there(process.connect(), "template")
        stream.take()
        process.kill()
        again = daemon({"sim.clock": "real"})
        again.connect()
        while stream.n_epochs == 1:
            stream.take()
        again.stop()
        assert plugin.wait(WAIT_S) == 0


def test_a_second_plugin_of_the_same_name_is_told_who_runs_the_first_and_what_to_do(daemon: DaemonFactory) -> None:
    process = daemon({"sim.clock": "real", "plugins.run": ("template",)})
    open_when_there(process.connect(), "template")
    pid = plugin_row(process.status(), "template")["pid"]
    with by_hand(process.directory, "template") as second:
        assert second.wait(WAIT_S) == 1
        assert second.stderr is not None
        said = second.stderr.read()
    assert f"the daemon (process {process.pid}) runs it already, as process {pid}; `eegctl plugin remove" in said
    assert "`eegd plugin template-2 --plugin template`" in said
    process.stop()


def test_a_plugin_whose_stream_is_written_by_hand_says_so_and_what_to_do(daemon: DaemonFactory, home: Path) -> None:
    directory = home / "d" / "run"
    directory.mkdir(0o750, parents=True)
    with by_hand(directory, "template") as first:
        within(lambda: is_served(directory, "template"), "begin")
        process = daemon({"sim.clock": "real", "plugins.run": ("template",)})
        with by_hand(directory, "template") as second:
            assert second.stderr is not None
            assert f"runs already, as process {first.pid}, started by hand" in second.stderr.read()
        status = process.wait_for(lambda s: plugin_row(s, "template")["restarts"])
        error = plugin_row(status, "template")["last_error"]
        assert error.startswith(f"process {first.pid} writes the stream 'template' already")
        assert error.endswith("end that one, then `eegctl plugin restart template`")
        process.stop()


def forget_tracebacks(process: DaemonProcess) -> None:
    """The plugin's own traceback belongs in the log; the daemon's would fail the test."""
    path = process.home / "stderr"
    path.write_text(path.read_text().replace("Traceback", "(the plugin's)"))
