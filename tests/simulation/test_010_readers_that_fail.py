"""Readers that die, stop, sleep, fork and come and go: they harm nobody, and everything of theirs comes back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eegd.errors import EegdError, StreamLost, WaitTimeout
from eegd.packet import PROTOCOL, receive_packet, send_packet
from tests.simulation.reader_process import PatternCheck, ReaderProcess
from tests.simulation.scenario import (
    SENDER,
    SMALL_BOARD,
    Usage,
    assert_complete,
    settled_descriptors,
    slabs_come_back,
    watched,
)

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

PATHS = pytest.mark.parametrize("path", [{}, SENDER], ids=["capture publishes", "sender publishes"])
PATHS_AND_LANES = pytest.mark.parametrize(
    ("path", "lane"), [({}, "zeromq"), (SENDER, "direct")], ids=["capture, zeromq", "sender, direct"]
)
STOPPED_FRAMES = 750  # 3 s
ROUNDS = 100


def frames_of(daemon: DaemonProcess) -> int:
    return int(daemon.status()["stream"]["frames"])


def let_frames_pass(daemon: DaemonProcess, n: int) -> None:
    target = frames_of(daemon) + n
    daemon.wait_for(lambda status: status["stream"]["frames"] >= target, 60)


@PATHS_AND_LANES
def test_a_reader_killed_while_it_holds_and_queues_slabs_gives_them_all_back(
    daemon: DaemonFactory, path: dict[str, object], lane: str
) -> None:
    d = daemon({**SMALL_BOARD, **path}, wait_readers=2)
    with watched(d) as readers:
        before = slabs_come_back(d, 2)["stream"]["pool"]
        with ReaderProcess("hold", d.directory, lane=lane, depth=64, n=40) as victim:
            victim.hear("holding")
            status = d.wait_for(lambda s: any(r["queued"] + r["held"] == 64 for r in s["stream"]["readers"]))
            assert status["stream"]["pool"]["in_use"] >= 64
            victim.kill()
        after = slabs_come_back(d, 2)["stream"]["pool"]
        assert after["promised"] == before["promised"]
        assert after["misses"] == 0
        assert_complete(d, readers)


@PATHS
def test_stopped_and_slow_readers_miss_frames_and_nobody_else_does(
    daemon: DaemonFactory, path: dict[str, object]
) -> None:
    d = daemon({**SMALL_BOARD, **path}, wait_readers=4)
    with slow_readers(d) as slow:
        totals = stopped_reader(d, STOPPED_FRAMES)
        for reader in slow:
            result = reader.result()
            assert result["bad"] == result["disorder"] == 0
            assert result["missed"] > STOPPED_FRAMES // 2 and result["frames"] >= 10
            assert result["first_frame"] + result["frames"] + result["missed"] == totals["frames"]


@contextlib.contextmanager
def slow_readers(d: DaemonProcess) -> Iterator[list[ReaderProcess]]:
    """Readers that sleep 100 ms per frame; they come when the stream already runs."""
    options = [("queue", "zeromq"), ("latest", "zeromq"), ("latest", "direct")]
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                ReaderProcess("count", d.directory, policy=policy, lane=lane, depth=4, pause_s=0.1, wait_frames=1)
            )
            for policy, lane in options
        ]


def stopped_reader(d: DaemonProcess, n_frames: int) -> dict[str, Any]:
    """SIGSTOP for so many frames to one reader of each lane, which then go on where their credit ended."""
    with (
        ReaderProcess("count", d.directory, lane="zeromq", depth=32, name="stopped") as first,
        ReaderProcess("count", d.directory, lane="direct", depth=32, name="stopped") as second,
        watched(d) as readers,
    ):
        victims = (first, second)
        for victim in victims:
            victim.hear("first")
            victim.send(signal.SIGSTOP)
        let_frames_pass(d, n_frames)
        rows = [row for row in d.status()["stream"]["readers"] if row["name"] == "stopped"]
        assert [row["state"] for row in rows] == ["active", "active"]
        assert all(row["queued"] + row["held"] == 32 and row["missed"] > n_frames - 64 for row in rows)
        for victim in victims:
            victim.send(signal.SIGCONT)
        let_frames_pass(d, 50)
        totals: dict[str, Any] = assert_complete(d, readers)["totals"]
        for victim in victims:
            result = victim.result()
            assert result["bad"] == result["disorder"] == result["lost"] == 0
            assert result["missed"] > n_frames - 64
            assert result["frames"] + result["missed"] == totals["frames"]
    return totals


@PATHS
def test_attaching_and_detaching_leaves_nothing_behind(daemon: DaemonFactory, path: dict[str, object]) -> None:
    come_and_go(daemon({**SMALL_BOARD, **path}, wait_readers=2), ROUNDS)


def come_and_go(d: DaemonProcess, n: int) -> None:
    """Memory and descriptors of the daemon after n attachments are what they were after some dozens."""
    with watched(d) as readers, ReaderProcess("come_and_go", d.directory, n=n) as guest:
        guest.hear("attached")
        slabs_come_back(d, 2)
        alone = settled_descriptors(d.pid)
        guest.tell("again")
        guest.hear("rounds")
        slabs_come_back(d, 2)
        assert settled_descriptors(d.pid) == alone
        usage = [Usage(d.pid)]
        for _ in range(2):
            guest.tell("again")
            guest.hear("rounds")
            pool = slabs_come_back(d, 2)["stream"]["pool"]
            assert settled_descriptors(d.pid) == alone
            usage.append(Usage(d.pid))
        print(f"{n} attachments, twice: {'; '.join(map(str, usage))}")
        # An allocator takes memory in steps of half a megabyte: what is left behind shows each time, a step once.
        assert usage[-1].rss_kb - usage[0].rss_kb < 2 * 512 and usage[-1].pss_kb - usage[0].pss_kb < 2 * 512
        assert min(after.rss_kb - before.rss_kb for before, after in pairwise(usage)) < 256
        assert min(after.pss_kb - before.pss_kb for before, after in pairwise(usage)) < 256
        assert pool["promised"] == 2000 and pool["misses"] == 0
        guest.tell("enough")
        guest.result()
        assert_complete(d, readers)


@PATHS_AND_LANES
def test_a_reader_that_forks_and_dies_is_reaped_although_its_child_keeps_the_connection(
    daemon: DaemonFactory, path: dict[str, object], lane: str
) -> None:
    d = daemon({**SMALL_BOARD, **path}, wait_readers=2)
    with watched(d) as readers, ReaderProcess("fork", d.directory, lane=lane, depth=16) as victim:
        said = [victim.hear() for _ in range(3)][1:]
        child = next(line for line in said if "child" in line)
        assert child["error"] == "StreamForked" and str(victim.pid) in child["text"]
        try:
            victim.kill()
            slabs_come_back(d, 2)
            assert Path(f"/proc/{child['child']}").exists()
            assert "process ended" in d.wait_for_log("process ended")
        finally:
            os.kill(child["child"], signal.SIGKILL)
        assert_complete(d, readers)


def test_a_reader_that_asked_for_most_of_the_pool_can_come_back_at_once(daemon: DaemonFactory) -> None:
    d = daemon({**SMALL_BOARD, "stream.pool_mb": 1.0})
    n_slabs = d.wait_for(lambda s: s["stream"].get("pool"))["stream"]["pool"]["slabs"]
    client = d.connect()
    for lane in ("zeromq", "direct") * 10:
        with client.open(lane=lane, depth=n_slabs * 3 // 4, timeout=10) as stream:
            assert stream.take().n_samples


def test_long_frames_do_not_delay_the_coming_and_going_of_readers(daemon: DaemonFactory) -> None:
    """A frame lasts 1.6 s here; a reader is taken in, and let go, within a tenth of that and some."""
    d = daemon({"sim.clock": "real", "stream.frame_samples": 400})
    start = d.wait_for(lambda s: s["stream"].get("state") == "running")["samples"]
    n_times = 0
    while d.status()["samples"] < start + 400:
        with d.connect().open(lane="direct", timeout=10):
            d.wait_for(lambda s: [r for r in s["stream"]["readers"] if r["state"] == "active"])
        d.wait_for(lambda s: s["stream"]["pool"]["promised"] == 0)
        n_times += 1
    assert n_times >= 3


# ---- a daemon that crashes ----


def queue_up(d: DaemonProcess, n: int) -> None:
    d.wait_for(lambda status: status["stream"]["readers"] and status["stream"]["readers"][0]["queued"] >= n)


def leave_half_a_handshake(d: DaemonProcess) -> socket.socket:
    """An attachment whose PULL socket is never connected: the endpoint's name stays in the directory."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(str(d.directory / "raw.stream"))
    send_packet(connection, {"op": "attach", "protocol": PROTOCOL, "depth": 8})
    received = receive_packet(connection, n_fds=2)
    assert received is not None
    for fd in received[1]:
        os.close(fd)
    assert list(d.directory.glob("raw.*.zmq"))
    return connection


@PATHS_AND_LANES
def test_a_killed_daemon_leaves_nothing_and_readers_find_the_next_one(
    daemon: DaemonFactory, path: dict[str, object], lane: str
) -> None:
    shared_memory = sorted(os.listdir("/dev/shm"))
    d = daemon({**SMALL_BOARD, **path}, wait_readers=1)
    stream = d.connect().open(lane=lane, depth=200, timeout=30)
    check = PatternCheck(stream.info)
    check.take(stream.take())
    first_epoch = stream.info.stream_epoch
    queue_up(d, 50)
    half = leave_half_a_handshake(d)
    d.kill()
    half.close()
    assert sorted(os.listdir("/dev/shm")) == shared_memory

    frames = iter(stream)
    with pytest.raises(StreamLost):  # everything that was sent comes first, the oldest before the others
        while True:
            check.take(stream.take(timeout=0.2))
    result = check.result()
    assert result["frames"] > 50 and not any(result[name] for name in ("skipped", "lost", "disorder", "bad"))
    assert stream.missed == 0

    following = daemon({**SMALL_BOARD, **path}, wait_readers=1)  # in the same directory
    frame = next(frames)
    assert (frame.frame_number, frame.sample_index, stream.n_epochs) == (0, 0, 2)
    assert frame.stream_epoch == stream.info.stream_epoch != first_epoch
    check = PatternCheck(stream.info)
    check.take(frame)
    for _ in range(100):
        check.take(next(frames))
    assert not any(check.result()[name] for name in ("skipped", "lost", "disorder", "bad"))
    assert not list(following.directory.glob("raw.*.zmq"))
    assert following.stop()[0] == 0
    assert sorted(os.listdir("/dev/shm")) == shared_memory


@pytest.mark.parametrize("lane", ["zeromq", "direct"])
def test_async_iteration_survives_a_crash_of_the_daemon(daemon: DaemonFactory, lane: str) -> None:
    d = daemon(SMALL_BOARD, wait_readers=1)
    stream = d.connect().open(lane=lane, depth=200)

    async def read() -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        kept = None
        async for frame in stream:
            seen.append((stream.n_epochs, frame.frame_number))
            if len(seen) == 20:
                kept = frame.data  # an array of the old epoch, held across the crash
                d.kill()
                asyncio.get_running_loop().call_later(0.3, daemon, SMALL_BOARD, 1)
            if stream.n_epochs == 2 and frame.frame_number == 20:
                break
        assert kept is not None and not kept.flags.writeable and kept.shape == (8, 4)
        return seen

    seen = asyncio.run(read())
    first = [number for epoch, number in seen if epoch == 1]
    second = [number for epoch, number in seen if epoch == 2]
    assert first == list(range(len(first))) and second == list(range(21))


def test_a_wait_that_ends_while_the_daemon_is_away_can_be_repeated(daemon: DaemonFactory) -> None:
    d = daemon(SMALL_BOARD)
    stream = d.connect().open(timeout=5)
    stream.take()
    d.kill()
    for _ in range(3):
        with pytest.raises(EegdError) as caught:
            for _ in range(10_000):
                stream.take(timeout=0.05)
        assert caught.type is StreamLost
        assert stream.stats.taken >= 1 and stream.lag >= 0 and stream.missed == 0
    assert select.select([stream], [], [], 5)[0]  # so that a loop takes, and hears of the loss
    daemon(SMALL_BOARD)
    for _ in range(1000):
        try:
            frame = stream.take(timeout=0.05)
            break
        except (StreamLost, WaitTimeout):
            continue
    assert frame.n_samples and stream.n_epochs == 2
    stream.close()
