"""Recordings through the whole chain: what the chip put on the bus is what a reader gets, sample for sample."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eegd.frame import StreamInfo
from eegd.replay import load_recording
from eegd.stream import Stream

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PIEEG = DATA / "PiEEG_eeg_data_3.txt"
OPENBCI = DATA / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"
LANES = ("zeromq", "direct")
WAIT_S = 30.0
NANOVOLT_UV = 1e-3

Array = NDArray[Any]


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"the recording {path.name} is not there")


@dataclass(slots=True)
class Reading:
    """All that one reader saw of a stream, to its end."""

    info: StreamInfo
    codes: Array
    data: Array
    lengths: list[int]
    """Samples of each frame."""
    flags: set[tuple[str, ...]]
    status: set[int]
    """Status words of the first chip, OR-ed and AND-ed, of all frames."""
    end: str
    totals: dict[str, Any]


def read_to_end(stream: Stream) -> Reading:
    """Reads every frame; the samples must follow each other without a gap, from sample 0 of frame 0."""
    codes: list[Array] = []
    data: list[Array] = []
    lengths: list[int] = []
    flags, status = set(), set()
    n_samples = 0
    for n_frames, frame in enumerate(stream):
        assert frame.frame_number == n_frames and frame.sample_index == n_samples
        assert frame.missed == 0 and frame.lost_before == 0
        n_samples += frame.n_samples
        lengths.append(frame.n_samples)
        codes.append(frame.codes())
        data.append(frame.copy())
        flags.add(frame.flag_names)
        status |= {frame.status_or[0], frame.status_and[0]}
    assert stream.ended is not None and stream.missed == 0
    return Reading(
        stream.info,
        np.concatenate(codes, axis=1),
        np.concatenate(data, axis=1),
        lengths,
        flags,
        status,
        stream.ended.reason,
        stream.ended.totals,
    )


def read_on_both_lanes(daemon: DaemonFactory, overrides: dict[str, object], text: str = "") -> list[Reading]:
    """Replays to a lossless reader on each lane at once. The daemon must end by itself, well, with nothing lost."""
    process = daemon(overrides, wait_readers=2, text=text)
    client = process.connect()
    streams = [client.open("raw", policy="lossless", lane=lane, timeout=WAIT_S, name=lane) for lane in LANES]
    with ThreadPoolExecutor() as threads:
        readings = list(threads.map(read_to_end, streams))
    n_samples = readings[0].codes.shape[1]
    spaced = f"{n_samples:,}".replace(",", " ")
    assert process.wait() == (0, f"{spaced} samples, 0 lost")
    for reading in readings:
        assert reading.end == "replay over"
        assert reading.totals["samples"] == reading.totals["next_sample"] == n_samples
        assert reading.totals["frames"] == len(reading.lengths) and reading.totals["lost"] == 0
    return readings


def pieeg_bytes() -> Array:
    """The file's numbers, read without the project's own parser: (19250, 27)."""
    return np.array(re.findall(rb"\d+", PIEEG.read_bytes()), dtype=np.int64).reshape(-1, 27)


@pytest.mark.data
@needs(PIEEG)
@pytest.mark.parametrize(
    ("overrides", "frame_samples"),
    [
        ({"stream.frame_samples": 1}, 1),
        ({"stream.frame_ms": 4.0, "board.rate_sps": 1000}, 4),
        ({"stream.frame_samples": 100}, 100),
    ],
    ids=["1-sample", "4-ms", "100-sample"],
)
def test_every_byte_of_the_raw_recording_arrives_at_lossless_readers_on_both_lanes(
    daemon: DaemonFactory, overrides: dict[str, object], frame_samples: int
) -> None:
    readings = read_on_both_lanes(daemon, {"replay.file": str(PIEEG), **overrides})
    raw = pieeg_bytes()
    channels = raw[:, 3:].reshape(-1, 8, 3)
    unsigned = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
    wanted = np.where(unsigned >= 1 << 23, unsigned - (1 << 24), unsigned).T
    lsb_uv = 4.5e6 / 2**23 / 24
    for reading in readings:
        assert reading.codes.shape == (8, 19_250) and np.array_equal(reading.codes, wanted)
        assert np.array_equal(reading.data, (wanted * lsb_uv).astype(np.float32))
        assert reading.status == set((raw[:, 0] << 16 | raw[:, 1] << 8 | raw[:, 2]).tolist()) == {0xC00008}
        *whole, last = reading.lengths
        assert set(whole) == {frame_samples} and last == 19_250 - frame_samples * len(whole)
        short = {("replay", "short")} if last < frame_samples else set()
        assert {flags for flags in reading.flags if "first" not in flags} - short == {("replay",)}
        assert short <= reading.flags
        assert reading.info.flags == ("replay",)


@pytest.mark.data
@needs(OPENBCI)
def test_the_scaled_recording_arrives_within_half_an_lsb(daemon: DaemonFactory) -> None:
    uv = load_recording(OPENBCI).uv
    assert uv is not None
    lsb_uv = 4.5e6 / 2**23 / 24
    for reading in read_on_both_lanes(daemon, {"replay.file": str(OPENBCI), "stream.frame_samples": 25}):
        assert reading.codes.shape == (8, 22_490)
        assert np.abs(reading.codes * lsb_uv - uv.T).max() <= 0.5 * lsb_uv * (1 + 1e-9)
        # float32 adds at most half of its own last digit
        assert np.all(np.abs(reading.data - uv.T) <= 0.5 * lsb_uv * (1 + 1e-9) + np.abs(uv.T) * 2**-24)


@pytest.mark.parametrize("kind", ["edf", "bdf"])
def test_recordings_in_edf_and_bdf_arrive_within_half_an_lsb_and_half_a_nanovolt(
    daemon: DaemonFactory, tmp_path: Path, kind: str
) -> None:
    edfio = pytest.importorskip("edfio")
    time_s = np.arange(1000) / 500
    waves = [(label, 100 * (k + 1) * np.sin(2 * np.pi * (k + 3) * time_s)) for k, label in enumerate("ABCDEF")]
    signals = [
        getattr(edfio, f"{kind.title()}Signal")(
            wave, 500, label=label, physical_dimension="uV", physical_range=(-1000, 1000)
        )
        for label, wave in waves
    ]
    path = tmp_path / f"recording.{kind}"
    getattr(edfio, kind.title())(signals).write(path)
    file = getattr(edfio, f"read_{kind}")(path)
    uv = np.stack([signal.data for signal in file.signals])
    half_lsb_uv = 4.5e6 / 2**24 / 12 + NANOVOLT_UV / 2  # the emulated electrodes are set in whole nV
    lsb_uv = 4.5e6 / 2**23 / 12
    text = '[montage]\ngain = 12\nlabels = ["A", "B", "C", "D", "E", "F"]\nwiring = "SRB1"'
    for reading in read_on_both_lanes(daemon, {"replay.file": str(path), "board.rate_sps": 500}, text):
        assert reading.codes.shape == (6, 1000) and reading.info.labels == tuple("ABCDEF")
        assert np.abs(reading.codes * lsb_uv - uv).max() <= half_lsb_uv


def test_a_recording_shorter_than_a_frame_is_one_short_frame(daemon: DaemonFactory, tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("a,b\n" + "".join(f"{k},{-k}\n" for k in range(7)))
    for reading in read_on_both_lanes(daemon, {"replay.file": str(path), "stream.frame_samples": 100}):
        assert reading.lengths == [7]
        assert np.allclose(reading.data[0], np.arange(7), atol=0.02)
        assert "short" in next(iter(reading.flags))


def test_a_looped_replay_goes_on_until_it_is_stopped(daemon: DaemonFactory, tmp_path: Path) -> None:
    path = tmp_path / "loop.csv"
    path.write_text("a\n" + "".join(f"{k}\n" for k in range(50)))
    process = daemon({"replay.file": str(path), "replay.loop": True, "stream.frame_samples": 10}, wait_readers=1)
    with process.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        block = stream.read(seconds=1.0)
        assert np.allclose(block.data[0], np.tile(np.arange(50), 5), atol=0.02) and block.is_contiguous
        process.send(2)
        n_samples = 250 + sum(frame.n_samples for frame in stream)
        assert stream.ended is not None and stream.ended.reason == "stopped"
        assert stream.ended.totals["next_sample"] >= n_samples
    code, summary = process.wait()
    assert code == 0 and summary.endswith(" samples, 0 lost")


def test_a_recording_that_does_not_fit_the_chips_stops_the_start(daemon: DaemonFactory, tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join("abcdefghi") + "\n" + ",".join("123456789") + "\n")
    process = daemon({"replay.file": str(path)})
    code, summary = process.wait()
    assert code != 0 and summary == ""
    assert "9 channels, but [board] chips ADS1299 have 8 inputs" in process.stderr
