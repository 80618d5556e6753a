"""The daemon itself: how it starts and ends, what it says, and that no fault of the board alters or hides a sample."""

from __future__ import annotations

import errno
import os
import signal
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eegd.counters import CounterReader
from eegd.errors import EegdError, StreamEnded
from eegd.pattern import check_pattern, find_pattern
from eegd.stream import Stream

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

WAIT_S = 20.0
PATTERN = {"sim.source": "pattern", "stream.frame_samples": 16}
NO_LOSS = {"missed": 0, "bad": 0, "late": 0, "overrun": 0}


def events_of(process: DaemonProcess, kind: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = process.connect().ask("recent_events")["events"]
    return [event for event in events if event["kind"] == kind]


# Starting and ending


def test_a_second_daemon_in_the_same_directory_is_refused_and_the_first_goes_on(daemon: DaemonFactory) -> None:
    first = daemon(PATTERN, wait_readers=1)
    with first.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        stream.take()
        second = daemon(PATTERN, name="second", at=first.directory)
        code, summary = second.wait()
        assert code == 3 and summary == ""
        assert f"eegd.lock: held by process {first.pid}; only one may own it" in second.stderr
        for number in range(1, 300):
            assert stream.take().frame_number == number
    assert first.connect().ask("info")["pid"] == first.pid
    assert first.stop()[0] == 0
    third = daemon(PATTERN)
    assert third.status()["pid"] == third.pid
    assert third.stop()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("lane", ["zeromq", "direct"])
@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_a_signal_ends_the_daemon_and_the_iteration_of_its_readers(
    daemon: DaemonFactory, number: int, lane: str, clock: str
) -> None:
    process = daemon({**PATTERN, "sim.clock": clock, "board.rate_sps": 1000}, wait_readers=1)
    n_samples = 0
    with process.connect().open(policy="lossless", lane=lane, timeout=WAIT_S) as stream:
        for frame in stream:
            assert frame.sample_index == n_samples and check_pattern(frame.codes(), n_samples) == 0
            n_samples += frame.n_samples
            if frame.frame_number == 5:
                process.send(number)
        assert stream.ended is not None and stream.ended.reason == "stopped"
        totals = stream.ended.totals
        assert totals["samples"] == totals["next_sample"] and totals["lost"] == 0
        # On the virtual clock the frame that waited for credit is lost to this reader, and counted.
        assert stream.missed <= (1 if clock == "virtual" else 0)
        assert totals["frames"] == frame.frame_number + 1 + stream.missed
        if not stream.missed:
            assert totals["samples"] == n_samples
        with pytest.raises(StreamEnded):
            stream.take()
    spaced = f"{totals['samples']:,}".replace(",", " ")
    assert process.wait() == (0, f"{spaced} samples, 0 lost")
    assert [path.name for path in process.directory.iterdir() if path.suffix != ".lock"] == []


def test_the_control_socket_can_stop_the_daemon(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN)
    process.connect().ask("stop")
    assert process.wait()[0] == 0


def test_a_daemon_that_waits_for_readers_can_be_stopped_and_has_no_samples(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=2)
    with process.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        assert process.status()["stream"]["state"] == "waiting for readers"
        process.send(signal.SIGTERM)
        assert list(stream) == []
        assert stream.ended is not None and stream.ended.reason == "stopped"
    assert process.wait() == (0, "0 samples, 0 lost")


@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_conversions_start_when_the_last_awaited_reader_is_there_and_all_get_sample_0(
    daemon: DaemonFactory, clock: str
) -> None:
    process = daemon({**PATTERN, "sim.clock": clock, "board.rate_sps": 500}, wait_readers=3)
    client = process.connect()
    streams = []
    for n, (lane, policy) in enumerate([("zeromq", "queue"), ("direct", "lossless"), ("zeromq", "lossless")]):
        status = process.status()
        assert status["samples"] == 0 and status["epochs"] == 0 and len(status["stream"]["readers"]) == n
        streams.append(client.open(lane=lane, policy=policy, timeout=WAIT_S))
    for stream in streams:
        frame = stream.take()
        assert frame.sample_index == frame.frame_number == 0 and "first" in frame.flag_names
        assert check_pattern(frame.codes(), 0) == 0
        assert "first" not in stream.take().flag_names
    assert process.stop()[0] == 0


def test_a_reader_that_leaves_before_the_start_does_not_count(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=2)
    client = process.connect()
    client.open().close()
    process.wait_for(lambda status: not status["stream"]["readers"])
    first = client.open(policy="lossless", timeout=WAIT_S)
    assert process.status()["epochs"] == 0
    second = client.open(policy="lossless", timeout=WAIT_S)
    assert first.take().frame_number == second.take().frame_number == 0


# The runtime directory


def test_nothing_in_the_runtime_directory_is_open_to_everybody(daemon: DaemonFactory) -> None:
    process = daemon({**PATTERN, "sim.clock": "real"})
    client = process.connect()
    with client.open():
        entries = list(process.directory.iterdir())
        assert {"control.sock", "raw.stream", "events.zmq", "eegd.lock"} <= {entry.name for entry in entries}
        assert process.directory.stat().st_mode & 0o007 == 0
        for entry in entries:
            assert entry.lstat().st_mode & 0o007 == 0 or stat.S_ISSOCK(entry.lstat().st_mode), entry
            assert not entry.lstat().st_mode & stat.S_IWOTH, entry
        assert not list(process.directory.glob("*.*.zmq"))  # a reader's path is gone as soon as it is connected


def test_a_runtime_directory_that_others_could_write_is_refused(daemon: DaemonFactory, home: Path) -> None:
    place = home / "open"
    place.mkdir()
    place.chmod(0o777)
    process = daemon(PATTERN, at=place)
    code, summary = process.wait()
    assert code in (2, 3) and summary == ""
    assert f"runtime directory {place}: writable for everybody (mode 777)" in process.stderr
    assert list(place.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_runtime_directory_of_somebody_else_is_refused(daemon: DaemonFactory, home: Path) -> None:
    place = home / "theirs"
    place.mkdir()
    os.chown(place, 65534, 65534)
    process = daemon(PATTERN, at=place)
    assert process.wait()[0] in (2, 3)
    assert f"runtime directory {place}: belongs to user 65534, not to 0" in process.stderr


@pytest.mark.parametrize("kind", ["file", "link", "long"])
def test_a_runtime_directory_that_cannot_hold_sockets_is_refused(daemon: DaemonFactory, home: Path, kind: str) -> None:
    place = home / ("x" * 90 if kind == "long" else "place")
    if kind == "file":
        place.touch()
    if kind == "link":
        (home / "target").mkdir(mode=0o700)
        place.symlink_to(home / "target")
    process = daemon(PATTERN, at=place)
    assert process.wait()[0] in (2, 3)
    assert f"runtime directory {place}" in process.stderr


# What it says


def test_readers_and_epochs_are_told_on_the_events_topic(daemon: DaemonFactory) -> None:
    process = daemon({**PATTERN, "sim.clock": "real"})
    client = process.connect()
    events: list[dict[str, Any]] = []
    heard = threading.Event()

    def listen() -> None:
        for event in process.connect().events(timeout=WAIT_S):
            events.append(event)
            heard.set()
            if event["kind"] == "stopped":
                return

    listener = threading.Thread(target=listen)
    listener.start()
    while not heard.wait(0.02):  # until the subscription has arrived
        client.open(name="knock").close()
    with client.open(name="guest", policy="latest", lane="direct", depth=5, timeout=WAIT_S) as stream:
        stream.take()
        client.ask("board", settings={"rate": "500"})
        while stream.n_epochs == 1:
            stream.take()
    process.wait_for(lambda status: not status["stream"]["readers"])
    assert process.stop()[0] == 0
    listener.join()
    numbers = [event["number"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    keys = {"kind", "label", "value", "sample_index", "fraction", "time_ns", "wall_time_ns", "source", "uncertainty_ns"}
    assert all(keys <= event.keys() for event in events)
    attached = [event for event in events if event["kind"] == "reader attached" and event["label"] == "guest"]
    assert [(e["pid"], e["policy"], e["depth"], e["lane"]) for e in attached] == [
        (os.getpid(), "latest", 5, "direct")
    ] * 2
    (left,) = [event for event in events if event["kind"] == "reader left" and event["label"] == "guest"]
    assert left["why"] == "closed" and left["sent"] > 0
    epoch = [event for event in events if event["kind"] == "epoch"][-1]
    assert epoch["value"] == 500 and epoch["without_data_ns"] > 0
    assert events[-1]["kind"] == "stopped" and events[-1]["label"].endswith("samples, 0 lost")


def test_counters_read_from_outside_equal_the_status(daemon: DaemonFactory) -> None:
    faults = [{"kind": "FRAME_00", "at": 50, "count": 3}, {"kind": "EVENTS_LOST", "at": 80, "count": 2}]
    process = daemon(PATTERN, wait_readers=1, faults=faults)
    client = process.connect()
    with client.open(policy="lossless", depth=8, timeout=WAIT_S, name="r") as stream:
        for _ in range(20):
            stream.take()
        status = process.wait_for(lambda status: status["stream"].get("held_up_by") == "r")
        fd = client.counters_fd()
        with CounterReader(fd) as reader:
            values = reader.values()
            os.close(fd)
            assert values["capture.samples"] == process.status()["samples"] >= status["samples"]
            assert {name: values[f"loss.{name}"] for name in NO_LOSS} == {**NO_LOSS, "missed": 2, "bad": 3}
            assert process.status()["losses"] == {**NO_LOSS, "missed": 2, "bad": 3}
            assert process.status()["bad_by_cause"]["all_00"] == values["bad.all_00"] == 3
            samples, discarded, lost = values["capture.samples"], values["capture.discarded"], values["loss.bad"]
            under_way = values["capture.conversions"] - (samples + discarded + lost)
            assert under_way == 1  # the one that completed the frame which waits for its reader
            for _ in range(20):
                stream.take()
            assert reader.values()["capture.samples"] > values["capture.samples"]  # read without asking
        with pytest.raises(OSError, match=os.strerror(errno.EPERM)), os.fdopen(client.counters_fd(), "r+b") as file:
            file.truncate(0)


def test_the_status_says_what_is_going_on(daemon: DaemonFactory) -> None:
    process = daemon({**PATTERN, "sim.clock": "real", "sim.fclk_ppm": 500.0, "board.rate_sps": 2000})
    client = process.connect()
    with client.open(depth=33, name="watcher", timeout=WAIT_S) as stream:
        held = [stream.take().data for _ in range(3)]
        status = process.wait_for(lambda status: status["samples"] > 4000)
        assert status["pid"] == process.pid and status["runtime_dir"] == str(process.directory)
        assert status["config"] == str(process.config_file) and status["clock"] == "real"
        assert status["n_channels"] == 8 and status["frame_samples"] == 16 and status["epochs"] == 1
        assert status["flags"] == ["simulated"] and status["losses"] == NO_LOSS
        assert status["rate"]["nominal_sps"] == 2000
        pool, row = status["stream"]["pool"], status["stream"]["readers"][0]
        assert pool["slabs"] == pool["free"] + pool["in_use"] and pool["promised"] == 33
        assert pool["in_use"] >= len(held) and pool["peak_in_use"] >= pool["in_use"] and pool["misses"] == 0
        facts = {"name": "watcher", "pid": os.getpid(), "policy": "queue", "lane": "zeromq", "depth": 33, "held": 3}
        assert facts.items() <= row.items()


# Faults of the board: fall k is sample k − 2, for two conversions are dropped at the start


def read_with_losses(stream: Stream, until: int) -> list[tuple[int, int]]:
    """Reads to a sample index; checks every byte against it. Returns the losses as (first sample, how many)."""
    losses, end = [], 0
    while end < until:
        frame = stream.take()
        assert frame.missed == 0
        assert frame.lost_before == frame.sample_index - end, "the jump of the index is what was lost"
        assert check_pattern(frame.codes(), frame.sample_index) == 0, f"wrong bytes at {frame.sample_index}"
        if frame.lost_before:
            losses.append((end, frame.lost_before))
        end = frame.sample_index + frame.n_samples
    return losses


FAULTS: list[tuple[dict[str, int | str], dict[str, int], list[tuple[int, int]]]] = [
    ({"kind": "FRAME_00", "at": 102, "count": 3}, {"bad": 3, "all_00": 3}, [(100, 3)]),
    ({"kind": "FRAME_FF", "at": 102, "count": 20}, {"bad": 20, "all_ff": 20}, [(100, 20)]),
    ({"kind": "FRAME_00", "at": 96, "count": 1, "period": 100}, {"bad": 10, "all_00": 10}, []),
    ({"kind": "MISO_STUCK", "at": 102, "count": 2, "value": 0}, {"bad": 2, "all_00": 2}, [(100, 2)]),
    ({"kind": "MISO_STUCK", "at": 102, "count": 2, "value": 1}, {"bad": 2, "all_ff": 2}, [(100, 2)]),
    ({"kind": "BIT_SLIP", "at": 102, "count": 4}, {"bad": 4, "status": 4}, [(100, 4)]),
    ({"kind": "BYTE_SLIP", "at": 102, "count": 4, "value": 1}, {"bad": 4, "status": 4}, [(100, 4)]),
    ({"kind": "SPI_MODE", "at": 102, "count": 4}, {"bad": 4, "status": 4}, [(100, 4)]),
    ({"kind": "IOCTL", "at": 102, "count": 3, "value": errno.ETIMEDOUT}, {"bad": 3, "spi_error": 3}, [(100, 3)]),
    ({"kind": "DRDY_MISSED", "at": 102, "count": 1}, {"missed": 1}, [(100, 1)]),
    ({"kind": "DRDY_MISSED", "at": 102, "count": 100}, {"missed": 100}, [(100, 100)]),
    ({"kind": "EVENTS_LOST", "at": 102, "count": 7}, {"missed": 7}, [(100, 7)]),
    ({"kind": "EDGES_MERGED", "at": 102, "count": 1, "value": 200_000}, {"missed": 1}, [(100, 1)]),
    ({"kind": "DEAD", "chip": 0, "at": 102, "count": 5}, {"missed": 5}, [(100, 5)]),
    ({"kind": "TORN", "at": 102, "count": 1}, {"late": 1}, [(100, 1)]),
    ({"kind": "DRDY_DELAYED", "at": 102, "count": 5, "value": 300_000}, {}, []),
    ({"kind": "SLOW_IOCTL", "at": 102, "count": 5, "value": 1_000_000}, {}, []),
    ({"kind": "CLOCK", "chip": 0, "at": 102, "count": 1, "value": 15_000}, {}, []),
    ({"kind": "DRDY_DOUBLED", "at": 102, "count": 1, "value": 2000}, {}, []),
]


@pytest.mark.parametrize(
    ("fault", "counted", "losses"), FAULTS, ids=[f"{f['kind']}-{f['at']}-{f['count']}" for f, _, _ in FAULTS]
)
def test_a_fault_alters_no_sample_and_every_loss_is_counted_by_cause(
    daemon: DaemonFactory, fault: dict[str, int | str], counted: dict[str, int], losses: list[tuple[int, int]]
) -> None:
    process = daemon(PATTERN, wait_readers=1, faults=[fault])
    with process.connect().open(policy="lossless", depth=8, timeout=WAIT_S, name="r") as stream:
        found = read_with_losses(stream, 1000)
        status = process.status()
        if "period" not in fault:
            assert found == losses
            causes = {cause: counted.get(cause, 0) for cause in NO_LOSS}
            assert status["losses"] == causes and sum(causes.values()) == sum(n for _, n in found)
            by_cause = {cause: n for cause, n in status["bad_by_cause"].items() if n}
            assert by_cause == {cause: n for cause, n in counted.items() if cause not in NO_LOSS}
        else:
            assert found == [(94 + 100 * k, 1) for k in range(len(found))] and len(found) >= 9
        assert status["epochs"] == 1 and stream.n_epochs == 1
        process.send(signal.SIGINT)
        last = read_to_the_end(stream)
        assert stream.ended is not None
        totals = stream.ended.totals
        assert totals["next_sample"] == totals["samples"] + totals["lost"] >= last
    code, summary = process.wait()
    assert code == 0 and f", {totals['lost']} lost" in summary


def read_to_the_end(stream: Stream) -> int:
    """Sample index after the last frame."""
    end = 0
    for frame in stream:
        end = frame.sample_index + frame.n_samples
    return end


def test_reads_longer_than_a_period_are_late_and_counted_and_the_rest_is_right(daemon: DaemonFactory) -> None:
    fault = {"kind": "SLOW_IOCTL", "at": 102, "count": 3, "value": 5_000_000}  # a period is 4 ms
    process = daemon(PATTERN, wait_readers=1, faults=[fault])
    with process.connect().open(policy="lossless", depth=8, timeout=WAIT_S) as stream:
        found = read_with_losses(stream, 1000)
        losses = process.status()["losses"]
        assert found and found[0][0] == 100 and losses["late"] > 0 and losses["bad"] == losses["overrun"] == 0
        assert sum(losses.values()) == sum(n for _, n in found) <= 10


def test_many_faults_at_once_leave_nothing_unexplained(daemon: DaemonFactory) -> None:
    faults = [
        {"kind": "FRAME_00", "at": 50, "count": 2, "period": 331},
        {"kind": "FRAME_FF", "at": 60, "count": 1, "period": 257},
        {"kind": "DRDY_MISSED", "at": 70, "count": 3, "period": 409},
        {"kind": "EVENTS_LOST", "at": 80, "count": 2, "period": 467},
        {"kind": "EDGES_MERGED", "at": 90, "count": 1, "period": 521, "value": 50_000},
        {"kind": "BIT_SLIP", "at": 100, "count": 1, "period": 613},
        {"kind": "IOCTL", "at": 110, "count": 1, "period": 701, "value": errno.ETIMEDOUT},
        {"kind": "TORN", "at": 120, "count": 1, "period": 809},
        {"kind": "DRDY_DELAYED", "at": 130, "count": 1, "period": 97, "value": 100_000},
    ]
    process = daemon({**PATTERN, "board.rate_sps": 500}, wait_readers=1, faults=faults)
    with process.connect().open(policy="lossless", depth=64, timeout=WAIT_S) as stream:
        found = read_with_losses(stream, 20_000)
        assert len(found) > 200
        process.send(signal.SIGINT)
        read_to_the_end(stream)
        assert stream.ended is not None and stream.n_epochs == 1
        totals = stream.ended.totals
    code, summary = process.wait()
    spaced = f"{totals['samples']:,}".replace(",", " ")
    assert code == 0 and summary.startswith(f"{spaced} samples, {totals['lost']} lost (")
    assert totals["next_sample"] == totals["samples"] + totals["lost"]


def test_samples_lost_after_the_last_frame_are_in_the_totals(daemon: DaemonFactory) -> None:
    faults = [{"kind": "FRAME_00", "at": 202, "count": 40}, {"kind": "HANG_UP", "at": 230}]
    process = daemon(PATTERN, wait_readers=1, faults=faults)
    with process.connect().open(policy="lossless", depth=64, timeout=WAIT_S) as stream:
        reading = threading.Thread(target=read_to_the_end, args=[stream])
        reading.start()
        process.wait_for_log("(attempt 2)")
        bad = events_of(process, "bad")
        n_bad = sum(event["n"] for event in bad)
        assert [event["sample_index"] for event in bad] == [200, 201]  # the first at once, then the others together
        code, summary = process.stop()
        reading.join()
    assert code == 0 and summary == f"200 samples, {n_bad} lost ({n_bad} bad)"


def test_frozen_conversions_count_from_the_32nd_equal_one_and_what_was_published_stays(daemon: DaemonFactory) -> None:
    # Of a sine of 1.3 LSB, 75 conversions at a time give the same code.
    overrides = {"sim.source": "sine", "sim.sine_hz": 5.0, "sim.sine_uv": 0.03, "board.rate_sps": 1000}
    process = daemon({**overrides, "stream.frame_samples": 16}, wait_readers=1)
    with process.connect().open(policy="lossless", depth=8, timeout=WAIT_S) as stream:
        lsb_uv = stream.info.lsb_uv[0]
        codes = np.rint(0.03 * np.sin(2 * np.pi * 5.0 * np.arange(2000) / 1000) / lsb_uv).astype(int)
        run, delivered = 0, []
        for k, code in enumerate(codes):
            run = run + 1 if k and code == codes[k - 1] else 1
            if run < 32:
                delivered.append(k)
        seen: list[int] = []
        while not seen or seen[-1] < 1500:
            frame = stream.take()
            seen += range(frame.sample_index, frame.sample_index + frame.n_samples)
            assert np.array_equal(frame.codes()[0], codes[frame.sample_index : frame.sample_index + frame.n_samples])
        assert seen == [k for k in delivered if k <= seen[-1]]
        status = process.status()
        assert status["losses"]["bad"] == status["bad_by_cause"]["frozen"] > 500 and status["epochs"] == 1


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"kind": "DRDY_STOPPED", "at": 200, "count": 1}, "stalled"),
        ({"kind": "FRAME_00", "at": 200, "count": 50}, "bad conversions"),
        ({"kind": "BROWN_OUT", "chip": 0, "at": 200, "count": 1}, "stalled"),
    ],
    ids=["stall", "bad-run", "brown-out"],
)
@pytest.mark.parametrize("lane", ["zeromq", "direct"])
def test_chips_that_fail_are_set_up_anew_and_the_readers_go_on(
    daemon: DaemonFactory, fault: dict[str, int | str], cause: str, lane: str
) -> None:
    process = daemon(PATTERN, wait_readers=1, faults=[fault])
    with process.connect().open(policy="lossless", lane=lane, depth=8, timeout=WAIT_S) as stream:
        end, shift, n_after = 0, 0, 0
        while n_after < 50:
            frame = stream.take()
            if stream.n_epochs == 2 and n_after == 0:
                assert frame.frame_number == frame.sample_index == 0
                first = find_pattern(frame.codes())
                assert first is not None and first >= end
                end, shift = 0, first
            assert check_pattern(frame.codes(), shift + frame.sample_index) == 0
            assert frame.missed == 0 and frame.lost_before == frame.sample_index - end
            end = frame.sample_index + frame.n_samples
            n_after += stream.n_epochs == 2
    status = process.wait_for(lambda s: s["epochs"] == 2)  # the daemon learns of the first edge after the readers do
    assert status["without_data_ns"] > 0
    recoveries = events_of(process, "recovery")
    assert len(recoveries) == 1 and recoveries[0]["label"].startswith(f"{cause}")
    assert events_of(process, "epoch")[-1]["without_data_ns"] == status["without_data_ns"]
    assert process.stop()[0] == 0


def test_a_board_that_is_gone_for_good_is_tried_again_and_the_daemon_can_still_be_stopped(
    daemon: DaemonFactory,
) -> None:
    process = daemon(PATTERN, wait_readers=1, faults=[{"kind": "HANG_UP", "at": 200}])
    client = process.connect()
    with client.open(policy="lossless", depth=8, timeout=WAIT_S) as stream:
        assert read_with_losses(stream, 150) == []
        ended = threading.Thread(target=read_to_the_end, args=[stream])
        ended.start()
        log = process.wait_for_log("(attempt 3)")
        assert "board error (No such device)" in log
        recovery = client.ask("status")["status"]["recovery"]
        assert recovery["recovering"] and recovery["attempts"] >= 3 and recovery["recoveries"] == 0
        assert "/dev/spidev0.0: No such file or directory, since" in recovery["text"]
        with pytest.raises(EegdError, match="try again in a moment"):
            client.ask("board", settings={"rate": "500"})
        code, summary = process.stop()
        assert code == 0 and "samples, 0 lost" in summary
        ended.join()
        assert stream.ended is not None and stream.ended.reason == "stopped"
