"""What a program that reads a stream can rely on: frames, blocks, leases, waiting, event loops, and clear errors."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import eegd
from eegd.errors import (
    AttachRefused,
    ConfigError,
    DaemonNotRunning,
    EegdError,
    FrameReleased,
    LeasesExhausted,
    StreamClosed,
    StreamEnded,
    StreamForked,
    WaitTimeout,
)
from eegd.pattern import check_pattern
from eegd.stream import MissedFrames, Stream

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

WAIT_S = 20.0
LANES = ("zeromq", "direct")
PATTERN = {"sim.source": "pattern", "stream.frame_samples": 4}
on_both_lanes = pytest.mark.parametrize("lane", LANES)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """600 samples of two channels: k and −k µV."""
    path = tmp_path / "ramp.csv"
    path.write_text("a,b\n" + "".join(f"{k},{-k}\n" for k in range(600)))
    return path


def take(stream: Stream, n: int) -> list[int]:
    """Takes n frames, checks their bytes, and returns their numbers."""
    numbers = []
    for _ in range(n):
        frame = stream.take()
        assert check_pattern(frame.codes(), frame.sample_index) == 0
        numbers.append(frame.frame_number)
    return numbers


def held_up(process: DaemonProcess, name: str, n_frames: int) -> dict[str, Any]:
    """Waits until virtual time stands still because of this reader, n frames published; the stream's report then.

    n is the reader's depth and what it has given back. The frame that it took last it still holds.
    """

    def is_held_up(status: dict[str, Any]) -> bool:
        return bool(status["stream"].get("held_up_by") == name and status["stream"]["frames"] == n_frames)

    report: dict[str, Any] = process.wait_for(is_held_up)["stream"]
    return report


def row_of(process: DaemonProcess, name: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = process.status()["stream"]["readers"]
    return next(row for row in rows if row["name"] == name)


# Frames


@on_both_lanes
def test_a_frame_tells_its_channels_times_and_place(daemon: DaemonFactory, lane: str) -> None:
    process = daemon({**PATTERN, "board.rate_sps": 500}, wait_readers=1)
    client = process.connect()
    with client.open(policy="lossless", lane=lane, timeout=WAIT_S) as stream:
        assert stream.info.labels[-1] == "O2" and stream.info.units == ("µV",) * 8
        before_ns = None
        for number in range(200):
            frame = stream.take()
            assert (frame.frame_number, frame.sample_index, frame.n_samples) == (number, 4 * number, 4)
            assert frame.data.shape == (8, 4) and frame.data.dtype == np.float32
            assert np.array_equal(frame["O2"], frame.data[7]) and np.array_equal(frame["Fp1"], frame.data[0])
            times = frame.times_ns()
            assert times[0] == frame.time_ns and np.allclose(np.diff(times), frame.period_ns)
            assert abs(frame.period_ns - 2e6) < 2000 and abs(frame.time_ns - frame.drdy_ns) < 1000
            assert before_ns is None or abs(frame.time_ns - before_ns - 8e6) < 1000
            before_ns = frame.time_ns
            assert frame.stream_epoch == stream.info.stream_epoch and "simulated" in frame.flag_names
        with pytest.raises(KeyError, match=r"no channel 'Oz' in 'raw'; there are Fp1, Fp2"):
            frame["Oz"]


def test_a_frame_that_was_given_back_refuses_its_data(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=1)
    with process.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        first = stream.take()
        stream.take()
        with pytest.raises(FrameReleased, match=r"frame 0 .* was released; keep frame\.data or frame\.copy\(\)"):
            _ = first.data
        with stream.take() as third:
            assert third.data.shape == (8, 4)
        with pytest.raises(FrameReleased):
            third.codes()
        fourth = stream.take()
        fourth.release()
        with pytest.raises(FrameReleased):
            fourth["O1"]
        assert fourth.frame_number == 3  # facts about it stay
        assert take(stream, 5) == [4, 5, 6, 7, 8]


def test_arrays_are_read_only_and_nothing_makes_them_writable(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=1)
    with process.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        frame = stream.take()
        for array in (frame.data, frame["O1"], frame.data[2:4, 1:], frame.data.T, frame.data.view(np.uint32)):
            assert not array.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.setflags(write=True)
        with pytest.raises(ValueError, match="WRITEABLE"):
            np.asarray(frame.data).flags.writeable = True
        with pytest.raises((TypeError, ValueError, BufferError)):
            memoryview(frame.data.data).cast("B")[0] = 1
        assert frame.copy().flags.writeable and frame.codes().flags.writeable
        assert check_pattern(frame.codes(), 0) == 0


@on_both_lanes
def test_an_array_outlives_its_frame_its_stream_and_its_daemon_unchanged(daemon: DaemonFactory, lane: str) -> None:
    process = daemon(PATTERN, wait_readers=2)
    client = process.connect()
    stream = client.open(policy="lossless", lane=lane, timeout=WAIT_S, name="keeper", depth=8)
    pacer = client.open(policy="lossless", timeout=WAIT_S, depth=8)
    array = stream.take().data[3:5, 1:]
    wanted = array.copy()
    stream.close()
    process.wait_for(lambda status: any(r["state"] == "quiet" for r in status["stream"]["readers"]))
    row = row_of(process, "keeper")
    assert row["held"] == 1
    take(pacer, 200)
    assert np.array_equal(array, wanted)
    assert process.stop()[0] == 0
    assert np.array_equal(array, wanted)


@on_both_lanes
def test_a_lease_lasts_as_long_as_the_last_array_on_it(daemon: DaemonFactory, lane: str) -> None:
    process = daemon(PATTERN, wait_readers=1)
    stream = process.connect().open(policy="lossless", lane=lane, timeout=WAIT_S, name="r", depth=8)
    piece: Any = stream.take().data[0].reshape(2, 2)[1:]
    copies = [stream.take().copy(), stream.take().data + 0, stream.take().codes()]
    frame = stream.take()
    del frame
    assert row_of(process, "r")["held"] == 2  # the piece's, and the current frame's
    stream.close()
    assert process.wait_for(lambda status: row_of(process, "r")["held"] == 1)
    del piece
    gc.collect()
    process.wait_for(lambda status: not status["stream"]["readers"])
    assert process.status()["stream"]["pool"]["in_use"] <= 1
    assert all(copy.size == 32 for copy in copies)


# Waiting


@on_both_lanes
def test_waiting_in_vain_times_out_and_loses_nothing(daemon: DaemonFactory, lane: str) -> None:
    process = daemon(PATTERN, wait_readers=2)
    client = process.connect()
    pacer = client.open(policy="lossless", timeout=WAIT_S, depth=10, name="pacer")
    with client.open(policy="lossless", lane=lane, timeout=0.05, depth=100) as stream:
        held_up(process, "pacer", 10)
        assert take(stream, 10) == list(range(10))
        with pytest.raises(WaitTimeout, match=r"stream 'raw': no frame within 0\.05 s"):
            stream.take()
        with pytest.raises(TimeoutError):
            stream.take(timeout=0)
        with pytest.raises(WaitTimeout):
            next(iter(stream))
        with pytest.raises(WaitTimeout):
            stream.read(seconds=1)
        take(pacer, 10)
        held_up(process, "pacer", 19)
        assert take(stream, 9) == list(range(10, 19)) and stream.missed == 0


@on_both_lanes
@pytest.mark.parametrize("policy", ["queue", "lossless"])
@pytest.mark.filterwarnings("ignore::eegd.stream.MissedFrames")
def test_a_program_that_keeps_every_array_is_told_so_and_can_go_on(
    daemon: DaemonFactory, lane: str, policy: str
) -> None:
    process = daemon(PATTERN, wait_readers=2)
    client = process.connect()
    pacer = client.open(policy="lossless", lane="direct", timeout=WAIT_S, depth=4)
    with client.open(policy=policy, lane=lane, depth=4, name="keeper") as stream:
        kept = [stream.take(WAIT_S).data for _ in range(4)]
        began = time.monotonic()
        with pytest.raises(LeasesExhausted, match=r"hold all 4 frames of credit.*frame\.copy\(\)"):
            stream.take(timeout=WAIT_S)
        with pytest.raises(LeasesExhausted):
            stream.take(timeout=None)
        assert time.monotonic() - began < WAIT_S
        others = take(pacer, 4)
        assert others == [0, 1, 2, 3]
        numbers = [np.array_equal(array, array.copy()) for array in kept]
        assert all(numbers)
        kept.clear()
        if policy == "lossless":
            assert take(stream, 2) == [4, 5] and stream.missed == 0
        else:
            take(pacer, 4)
            assert stream.take(WAIT_S).frame_number >= 4
    take(pacer, 20)


def test_the_program_that_holds_virtual_time_up_is_named(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=1)
    with process.connect().open(policy="lossless", depth=3, name="slowpoke", timeout=WAIT_S) as stream:
        report = held_up(process, "slowpoke", 3)
        assert report["readers"][0]["queued"] == 3
        assert take(stream, 10) == list(range(10))
        assert process.status()["losses"] == {"missed": 0, "bad": 0, "late": 0, "overrun": 0}


# Policies and depth


@on_both_lanes
def test_a_slow_queue_reader_keeps_the_oldest_frames_and_is_warned_once_with_the_count(
    daemon: DaemonFactory, lane: str
) -> None:
    process = daemon(PATTERN, wait_readers=2)
    client = process.connect()
    pacer = client.open(policy="lossless", timeout=WAIT_S, depth=8, name="pacer")
    stream = client.open(policy="queue", lane=lane, depth=4, timeout=WAIT_S, name="slow")
    take(pacer, 41)
    held_up(process, "pacer", 48)
    assert row_of(process, "slow")["missed"] == 44
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert take(stream, 4) == [0, 1, 2, 3] and not caught
        take(pacer, 8)
        held_up(process, "pacer", 56)  # three credits were free: 48, 49 and 50 are this reader's
        frame = stream.take()
        assert frame.missed == stream.missed == 44 and frame.frame_number == 48 and frame.lost_before == 0
        assert take(stream, 2) == [49, 50]
        take(pacer, 8)
        held_up(process, "pacer", 64)
        frame = stream.take()
        assert frame.missed == 5 and frame.frame_number == 56
    told = [str(warning.message) for warning in caught if warning.category is MissedFrames]
    assert len(told) == 1
    assert told[0].startswith("reader 'slow' of 'raw' missed 44 frame(s): it was more than 4 frames behind")
    assert "policy='latest'" in told[0] and caught[0].filename == __file__
    assert stream.missed == stream.stats.missed == 49
    assert row_of(process, "slow")["missed"] == 44 + 5 + 5


@on_both_lanes
def test_a_reader_of_the_latest_gets_the_newest_frame_and_no_warning(daemon: DaemonFactory, lane: str) -> None:
    process = daemon(PATTERN, wait_readers=2)
    client = process.connect()
    pacer = client.open(policy="lossless", timeout=WAIT_S, depth=8, name="pacer")
    stream = client.open(policy="latest", lane=lane, timeout=WAIT_S)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for turn in range(1, 6):
            take(pacer, 30)
            held_up(process, "pacer", 30 * turn - 1 + 8)
            assert take(stream, 1) == [30 * turn - 1 + 7]
            with pytest.raises(WaitTimeout):
                stream.take(timeout=0)
        assert stream.missed > 100


def test_depth_is_given_in_frames_or_seconds_and_lag_tells_how_far_behind(daemon: DaemonFactory) -> None:
    process = daemon({**PATTERN, "board.rate_sps": 1000}, wait_readers=3)
    client = process.connect()
    assert client.open(policy="latest").depth == 125  # half a second of 4 ms
    pacer = client.open(policy="lossless", depth=64, timeout=WAIT_S, name="pacer")
    stream = client.open(policy="queue", seconds=1.5, timeout=WAIT_S)
    assert (pacer.depth, stream.depth) == (64, 375)
    held_up(process, "pacer", 64)
    take(stream, 1)
    assert stream.lag_frames == 63 and stream.lag == pytest.approx(0.252)
    take(stream, 63)
    assert stream.lag == 0
    take(pacer, 11)
    held_up(process, "pacer", 74)
    assert stream.lag_frames == 10
    rows = {row["name"]: row for row in process.status()["stream"]["readers"]}
    assert rows["pacer"]["lag_frames"] == 63  # but for the one that it holds


# Blocks


@on_both_lanes
def test_blocks_have_exactly_the_samples_asked_for_and_nothing_is_left_out(daemon: DaemonFactory, lane: str) -> None:
    process = daemon({**PATTERN, "stream.frame_samples": 7}, wait_readers=1)
    with process.connect().open(policy="lossless", lane=lane, timeout=WAIT_S) as stream:
        at = 0
        for seconds, n in ((0.4, 100), (0.004, 1), (1.0, 250), (0.1, 25), (2.0, 500), (0.028, 7)):
            block = stream.read(seconds=seconds)
            assert block.data.shape == (8, n) and block.is_contiguous and block.info == stream.info
            assert np.array_equal(block.sample_index, np.arange(at, at + n))
            codes = np.rint(block.data.astype(np.float64) / stream.info.lsb_uv[0]).astype(np.int32)
            assert check_pattern(codes, at) == 0
            assert block.data.flags.owndata or block.data.base is not None
            assert np.allclose(np.diff(block.times_ns), 4e6, atol=2000)
            at += n
        assert stream.stats.held <= 1  # copies hold nothing


def test_blocks_say_where_samples_were_lost(daemon: DaemonFactory) -> None:
    # Fall 0 is of the first conversion, two of which are dropped: fall k is sample k − 2.
    faults = [
        {"kind": "FRAME_00", "at": 102, "count": 3},
        {"kind": "DRDY_MISSED", "at": 252, "count": 1},
        {"kind": "FRAME_FF", "at": 302, "count": 1, "period": 400},
    ]
    process = daemon({**PATTERN, "stream.frame_samples": 16}, wait_readers=1, faults=faults)
    with process.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        block = stream.read(seconds=2)
        wanted = np.delete(np.arange(505), [100, 101, 102, 250, 300])
        assert np.array_equal(block.sample_index, wanted)
        codes = np.rint(block.data.astype(np.float64) / stream.info.lsb_uv[0]).astype(np.int32)
        for column, index in enumerate(wanted):
            assert check_pattern(codes[:, column : column + 1], int(index)) == 0
        told = [(gap.position, gap.n_samples, gap.reason) for gap in block.gaps]
        assert told == [(100, 3, "lost"), (247, 1, "lost"), (296, 1, "lost")]
        # each time is where it belongs, gaps included
        assert np.allclose(block.times_ns - block.times_ns[0], (wanted - wanted[0]) * 4e6, atol=3000)
        later = stream.read(seconds=1)
        assert [(gap.position, gap.n_samples) for gap in later.gaps] == [(195, 1)]
        assert later.sample_index[0] == 505


def test_blocks_say_what_their_own_reader_missed(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=2)
    client = process.connect()
    pacer = client.open(policy="lossless", timeout=WAIT_S, depth=10, name="pacer")
    stream = client.open(policy="queue", depth=5, timeout=WAIT_S)
    take(pacer, 21)
    held_up(process, "pacer", 30)  # of which the first 5 are this reader's
    assert stream.read(seconds=10 / 250).sample_index.tolist() == list(range(10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissedFrames)
        assert stream.read(seconds=10 / 250).sample_index.tolist() == list(range(10, 20))
        take(pacer, 5)
        held_up(process, "pacer", 35)
        block = stream.read(seconds=8 / 250)  # the gap lies between two blocks
        assert block.sample_index.tolist() == list(range(120, 128))
        assert [(gap.position, gap.n_samples, gap.reason) for gap in block.gaps] == [(0, 100, "missed")]
    assert stream.missed == 25


def test_the_last_block_of_a_stream_is_shorter_and_then_comes_the_end(daemon: DaemonFactory, recording: Path) -> None:
    process = daemon({"replay.file": str(recording), "stream.frame_samples": 16}, wait_readers=1)
    with process.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        lengths = [stream.read(seconds=1).data.shape[1] for _ in range(3)]
        assert lengths == [250, 250, 100]
        for _ in range(2):
            with pytest.raises(StreamEnded, match="replay over") as caught:
                stream.read(seconds=1)
            assert caught.value.reason == "replay over" and caught.value.totals["samples"] == 600
        assert stream.ended is not None and list(stream) == []
    assert process.wait()[0] == 0


# Event loops


def wait_with_select(fd: int) -> bool:
    return bool(select.select([fd], [], [], WAIT_S)[0])


def wait_with_poll(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(WAIT_S * 1000))


def wait_with_epoll(fd: int) -> bool:
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN)
        return bool(epoll.poll(WAIT_S))


@pytest.mark.parametrize("wait", [wait_with_select, wait_with_poll, wait_with_epoll])
@pytest.mark.parametrize("greedy", [False, True], ids=["one-per-turn", "all-per-turn"])
def test_a_loop_on_the_descriptor_gets_every_frame(
    daemon: DaemonFactory, recording: Path, wait: Callable[[int], bool], greedy: bool
) -> None:
    process = daemon({"replay.file": str(recording), "stream.frame_samples": 1}, wait_readers=1)
    with process.connect().open(policy="lossless", depth=50) as stream:
        numbers: list[int] = []
        while stream.ended is None:
            assert wait(stream.fileno()), f"nothing to read after {len(numbers)} frames"
            try:
                numbers.append(stream.take(timeout=0).frame_number)
                while greedy:
                    numbers.append(stream.take(timeout=0).frame_number)
            except WaitTimeout:
                pass  # it may be readable for nothing, but not unreadable with something
            except StreamEnded:
                break
        assert numbers == list(range(600))


def test_the_descriptor_is_quiet_while_there_is_nothing_to_take(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=2)
    client = process.connect()
    pacer = client.open(policy="lossless", timeout=WAIT_S, depth=10, name="pacer")
    with client.open(policy="queue", depth=100) as stream:
        held_up(process, "pacer", 10)
        fd = stream.fileno()
        assert stream.fileno() == fd
        for _ in range(10):
            assert wait_with_select(fd)
            stream.take(timeout=0)
        with pytest.raises(WaitTimeout):
            stream.take(timeout=0)
        assert select.select([fd], [], [], 0)[0] == []
        take(pacer, 2)
        assert wait_with_select(fd)


def test_the_direct_lane_has_no_descriptor_and_says_so(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN)
    with (
        process.connect().open(lane="direct") as stream,
        pytest.raises(EegdError, match=r"fileno\(\) needs lane='zeromq'"),
    ):
        stream.fileno()


@pytest.mark.parametrize("lanes", [("zeromq",), ("direct",), ("zeromq", "direct", "zeromq")])
def test_async_for_gets_every_frame_while_other_tasks_run(
    daemon: DaemonFactory, recording: Path, lanes: tuple[str, ...]
) -> None:
    process = daemon({"replay.file": str(recording), "stream.frame_samples": 2}, wait_readers=len(lanes))
    client = process.connect()

    async def collect(lane: str) -> list[int]:
        numbers = []
        with client.open(policy="lossless", lane=lane, depth=20) as stream:
            async for frame in stream:
                numbers.append(frame.frame_number)
                assert np.allclose(frame.data[0], frame.sample_index + np.arange(2), atol=0.02)
        return numbers

    async def count_turns(done: asyncio.Event) -> int:
        turns = 0
        while not done.is_set():
            await asyncio.sleep(0)
            turns += 1
        return turns

    async def run() -> tuple[list[list[int]], int]:
        done = asyncio.Event()
        ticker = asyncio.create_task(count_turns(done))
        # Opening waits for an answer of the daemon, which does not need this loop.
        numbers = await asyncio.gather(*(collect(lane) for lane in lanes))
        done.set()
        return list(numbers), await ticker

    numbers, turns = asyncio.run(run())
    assert numbers == [list(range(300))] * len(lanes) and turns > 10
    assert process.wait() == (0, "600 samples, 0 lost")


@on_both_lanes
def test_async_for_keeps_to_the_streams_timeout(daemon: DaemonFactory, lane: str) -> None:
    process = daemon(PATTERN, wait_readers=2)
    client = process.connect()
    client.open(policy="lossless", depth=10, name="pacer")

    async def run() -> list[int]:
        numbers: list[int] = []
        with (
            client.open(policy="lossless", lane=lane, depth=100, timeout=0.1) as stream,
            pytest.raises(WaitTimeout, match=r"no frame within 0\.1 s"),
        ):
            async for frame in stream:
                numbers.append(frame.frame_number)
        return numbers

    assert asyncio.run(run()) == list(range(10))


@on_both_lanes
def test_a_cancelled_wait_loses_no_frame_and_leaves_the_stream_to_be_closed(daemon: DaemonFactory, lane: str) -> None:
    process = daemon(PATTERN, wait_readers=2)
    client = process.connect()
    pacer = client.open(policy="lossless", depth=10, timeout=WAIT_S, name="pacer")
    stream = client.open(policy="lossless", lane=lane, depth=100)

    async def next_number() -> int:
        async for frame in stream:
            assert check_pattern(frame.codes(), frame.sample_index) == 0
            return frame.frame_number
        return -1

    async def run() -> list[int]:
        numbers: list[int] = []
        for turn in range(60):
            waiting = asyncio.create_task(next_number())
            for _ in range(turn % 4):
                await asyncio.sleep(0)
            take(pacer, 1)  # so that a frame comes while the wait is given up
            waiting.cancel()
            try:
                numbers.append(await waiting)
            except asyncio.CancelledError:
                n_cancelled.append(turn)
        while len(numbers) < 69:
            numbers.append(await next_number())
        return numbers

    n_cancelled: list[int] = []
    assert asyncio.run(run()) == list(range(69)) and n_cancelled
    stream.close()


@on_both_lanes
def test_async_for_follows_the_stream_into_the_next_daemon(daemon: DaemonFactory, lane: str) -> None:
    first = daemon(PATTERN, wait_readers=1)
    stream = first.connect().open(policy="lossless", lane=lane, depth=10)

    async def run() -> list[int]:
        epochs: list[int] = []
        async for frame in stream:
            if len(epochs) < stream.n_epochs:
                epochs.append(frame.stream_epoch)
                assert frame.frame_number == 0 and check_pattern(frame.codes(), 0) == 0
                if stream.n_epochs == 1:
                    first.kill()
                    daemon(PATTERN, wait_readers=1)
            if stream.n_epochs == 2 and frame.frame_number == 20:
                return epochs
        return []

    epochs = asyncio.run(asyncio.wait_for(run(), 60))
    assert len(set(epochs)) == 2
    stream.close()


# Several streams, and what goes wrong


def test_two_streams_of_one_process_do_not_touch_each_other(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=2)
    client = process.connect()
    one = client.open(policy="lossless", depth=8, timeout=WAIT_S)
    two = client.open(policy="lossless", depth=8, lane="direct", timeout=WAIT_S)
    for number in range(50):
        a, b = one.take(), two.take()
        assert a.frame_number == b.frame_number == number
        assert np.array_equal(a.data, b.data)
    one.close()
    assert take(two, 20) == list(range(50, 70))
    assert [row["state"] for row in process.status()["stream"]["readers"]] == ["active"]


def test_what_cannot_be_opened_is_refused_with_the_reason(daemon: DaemonFactory, tmp_path: Path) -> None:
    process = daemon({**PATTERN, "stream.pool_mb": 0.25, "sim.clock": "real", "stream.max_readers": 3})
    client = process.connect()
    assert client.streams() == ["raw"]
    with pytest.raises(DaemonNotRunning, match=r"filtered\.stream: No such file.*is the daemon or plugin running"):
        client.open("filtered")
    with pytest.raises(ConfigError, match=r"stream name '\.\./raw'"):
        client.open("../raw")
    with pytest.raises(ValueError, match="policy 'newest': one of queue, latest, lossless"):
        client.open(policy="newest")
    with pytest.raises(ValueError, match="lane 'shm': one of zeromq, direct"):
        client.open(lane="shm")
    with pytest.raises(ValueError, match="in frames or in seconds, not in both"):
        client.open(depth=10, seconds=1)
    for depth in (1, 0, -5, 16385):
        with pytest.raises(AttachRefused, match=f"depth {depth}: 2 to 16384 frames"):
            client.open(depth=depth)
    for seconds in (0.0, -1.0, 1e6):
        with pytest.raises(AttachRefused, match="depth_s"):
            client.open(seconds=seconds)
    first = client.open(depth=150, name="first")
    client.open(depth=200, name="second")
    with pytest.raises(AttachRefused, match=r"depth 200 would overcommit .*held by: first \(pid \d+\) 150, second"):
        client.open(depth=200)
    client.open(depth=2, name="third")
    with pytest.raises(AttachRefused, match=r"all 3 places .* are taken; held by: first"):
        client.open(depth=2)
    first.close()
    process.wait_for(lambda status: len(status["stream"]["readers"]) == 2)
    client.open(depth=150)
    with pytest.raises(DaemonNotRunning, match=r"control\.sock: No such file.*is the daemon running"):
        eegd.connect(tmp_path)
    with pytest.raises(EegdError, match="operation 'dance': one of"):
        client.ask("dance")


def test_a_closed_stream_says_so(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN)
    client = process.connect()
    with client.open() as stream:
        pass
    stream.close()
    uses: list[Callable[[], object]] = [
        stream.take,
        lambda: next(iter(stream)),
        lambda: stream.read(seconds=1),
        stream.fileno,
        lambda: stream.stats,
        lambda: stream.lag,
    ]
    for use in uses:
        with pytest.raises(StreamClosed, match="stream 'raw' was closed"):
            use()
    other = client.open()
    client.close()
    with pytest.raises(StreamClosed):
        other.take()


@on_both_lanes
def test_a_forked_child_is_refused_and_does_not_disturb_its_parent(daemon: DaemonFactory, lane: str) -> None:
    process = daemon(PATTERN, wait_readers=1)
    client = process.connect()
    stream = client.open(policy="lossless", lane=lane, depth=8, timeout=WAIT_S, name="parent")
    frame = stream.take()
    array: Any = frame.data
    wanted = array.copy()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for use in (stream.take, lambda: stream.read(seconds=1), lambda: stream.stats):
                try:
                    use()
                except StreamForked as error:
                    code = 0 if f"belongs to process {os.getppid()}" in str(error) else 2
                else:
                    code = 3
                    break
            stream.close()
            frame.release()
            del array
            gc.collect()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(array, wanted) and row_of(process, "parent")["held"] == 1
    assert take(stream, 50) == list(range(1, 51))
