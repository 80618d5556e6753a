"""One stream epoch on the emulated board: the order in which it comes up, what its end tells, whose the board is."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import zmq

from eegd.ads1299 import Ads1299
from eegd.attach import AttachServer
from eegd.capture import COUNTER_LABELS, capture_counters
from eegd.config import parse_config
from eegd.counters import Counters
from eegd.epoch import Epoch, pool_size
from eegd.errors import BoardError, ConfigError, StreamEnded
from eegd.events import EventPublisher
from eegd.inlet import AttachRequest
from eegd.open_board import frame_flags, open_board
from eegd.sample_clock import NoSample
from eegd.status import raw_description
from eegd.stream import Stream
from eegd.stream_events import StreamEvents

CONFIG = parse_config('[sim]\nclock = "virtual"\n[stream]\nframe_samples = 10', "test")


class Bench:
    """An epoch that has no conversions yet, with everything that it needs. On the loop's thread."""

    def __init__(self, directory: Path, context: zmq.Context[zmq.Socket[bytes]], undo: contextlib.ExitStack) -> None:
        self.directory = directory
        self.board = open_board(CONFIG)
        undo.callback(self.board.close)
        self.driver = Ads1299(self.board, CONFIG.board, CONFIG.montage)
        self.driver.power_up()
        self.driver.configure()
        flags = frame_flags(CONFIG)
        self.events = EventPublisher(directory, context)
        undo.callback(self.events.close)
        self.told = StreamEvents("raw", self.events, lambda: CONFIG.montage)
        self.server = AttachServer("raw", directory, context, lambda: raw_description(CONFIG, flags))
        undo.callback(self.server.close)
        self.counters = capture_counters(Counters())
        self.epoch = Epoch(CONFIG, flags, self.board, self.server, self.told)

    def start(self) -> None:
        self.epoch.start(self.driver, self.counters)

    async def reader(self, policy: str = "lossless") -> Stream:
        """Attached and active."""
        request = AttachRequest("raw", self.directory, "test", policy)
        opening = asyncio.create_task(asyncio.to_thread(Stream, request, 20.0))
        await self.epoch.await_readers(1, 20.0, opening.done)
        return await opening

    @property
    def n_samples(self) -> int:
        return self.counters[COUNTER_LABELS.index("capture.samples")].value


def run(directory: Path, scene: Callable[[Bench], Awaitable[None]]) -> None:
    async def on_loop() -> None:
        with zmq.Context() as context, contextlib.ExitStack() as undo:
            await scene(Bench(directory, context, undo))

    asyncio.run(on_loop())


def test_who_attaches_before_conversions_start_gets_the_first_sample(directory: Path) -> None:
    async def scene(bench: Bench) -> None:
        with await bench.reader() as stream:
            assert bench.epoch.capture is None and bench.n_samples == 0
            bench.start()
            frame = await asyncio.to_thread(stream.take)
            assert (frame.frame_number, frame.sample_index, frame.lost_before) == (0, 0, 0)
            bench.epoch.end("stopped")

    run(directory, scene)


def test_an_end_that_is_wound_down_to_costs_a_lossless_reader_nothing_and_gives_the_board_back(directory: Path) -> None:
    def read(stream: Stream, begun: threading.Event) -> int:
        n_samples = 0
        for frame in stream:
            n_samples += frame.n_samples
            begun.set()
        return n_samples

    async def scene(bench: Bench) -> None:
        begun = threading.Event()
        with await bench.reader() as stream:
            bench.start()
            reading = asyncio.create_task(asyncio.to_thread(read, stream, begun))
            await asyncio.to_thread(begun.wait)
            await bench.epoch.wind_down(20.0)
            assert bench.epoch.end("stopped", "as asked") > 0
            assert bench.epoch.capture is None and bench.server.outlet is None
            bench.driver.stop()  # the board is control's again
            n_samples = await reading
            assert stream.ended is not None and stream.missed == 0
            assert (stream.ended.reason, stream.ended.totals["text"]) == ("stopped", "as asked")
            assert stream.ended.totals["next_sample"] == n_samples == bench.n_samples > 0

    run(directory, scene)


def test_readers_are_awaited_until_the_time_is_over_or_nobody_needs_them(directory: Path) -> None:
    async def scene(bench: Bench) -> None:
        await bench.epoch.await_readers(1, 0.0, lambda: False)
        await bench.epoch.await_readers(1, None, lambda: True)
        await bench.epoch.await_readers(0, None, lambda: False)
        assert bench.server.readers.n_active == 0 and bench.epoch.capture is None
        bench.epoch.end("stopped")

    run(directory, scene)


def test_a_start_that_the_board_refuses_is_ended_like_any_other(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Ads1299) -> None:
        raise BoardError("CONFIG1: 0x00 read back")

    async def scene(bench: Bench) -> None:
        with await bench.reader() as stream:
            with pytest.raises(BoardError, match="CONFIG1"):
                bench.start()
            assert bench.epoch.capture is None
            assert await bench.epoch.first_drdy_ns() == 0
            assert bench.epoch.end("stopped", "CONFIG1: 0x00 read back") == 0
            with pytest.raises(StreamEnded) as ended:
                await asyncio.to_thread(stream.take)
            assert ended.value.totals["frames"] == 0 and "CONFIG1" in str(ended.value.totals["text"])

    monkeypatch.setattr(Ads1299, "prepare_start", refuse)
    run(directory, scene)


def test_samples_have_times_from_the_first_edge_to_the_end(directory: Path) -> None:
    async def scene(bench: Bench) -> None:
        with pytest.raises(NoSample, match="raw has no samples now"):
            bench.epoch.sample_clock()
        with await bench.reader() as stream:
            bench.start()
            first_ns = await bench.epoch.first_drdy_ns()
            frame = await asyncio.to_thread(stream.take)
            clock = bench.epoch.sample_clock()
            assert clock.first_ns == first_ns - CONFIG.board.edge_latency_ns
            assert clock.time_of(frame.sample_index, 0) == pytest.approx(frame.time_ns, abs=1000)
            bench.epoch.end("stopped")
        with pytest.raises(NoSample, match="raw has no samples now"):
            bench.epoch.sample_clock()

    run(directory, scene)


@pytest.mark.parametrize(("rate", "virtual", "reserve"), [(250, False, 2), (4000, True, 2), (4000, False, 34)])
def test_a_sending_thread_has_slabs_of_its_own(rate: int, virtual: bool, reserve: int) -> None:
    config = parse_config(f"[board]\nrate_sps = {rate}\n[stream]\nmax_readers = 4", "test")
    assert pool_size(config, virtual)[1] == reserve


def test_a_pool_that_is_too_small_is_refused_with_what_it_holds() -> None:
    chips = ["ADS1299"] * 4
    config = parse_config(f"[board]\nchips = {chips}\n[stream]\npool_mb = 0.25\nframe_ms = 1600", "test")
    with pytest.raises(ConfigError, match="holds 4 frames of 32 channels × 400 samples; at least 10 are needed"):
        pool_size(config, False)
