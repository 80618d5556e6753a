"""Changes to a running daemon: readers are carried over, epochs are told apart, and what is refused changes nothing."""

from __future__ import annotations

import signal
import socket
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eegd.client import Client
from eegd.errors import EegdError
from eegd.packet import receive_packet, send_packet
from eegd.pattern import check_pattern, find_pattern
from eegd.stream import MissedFrames, Stream

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

WAIT_S = 20.0
PATTERN = {"sim.source": "pattern", "stream.frame_samples": 10}
on_both_lanes = pytest.mark.parametrize("lane", ["zeromq", "direct"])


def events_of(process: DaemonProcess, kind: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = process.connect().ask("recent_events")["events"]
    return [event for event in events if event["kind"] == kind]


def change(client: Client, operation: str, **arguments: Any) -> dict[str, Any]:
    """Asks for a change, again while the chips are still being set up by the one before."""
    while True:
        try:
            return client.ask(operation, **arguments)
        except EegdError as error:
            if "try again in a moment" not in str(error):
                raise


def read_epoch(stream: Stream, n_frames: int) -> int:
    """Takes n frames of one epoch, checks all bytes, and returns the pattern's number of its sample 0."""
    shift: int | None = None
    epoch = None
    for _ in range(n_frames):
        frame = stream.take()
        epoch = frame.stream_epoch if epoch is None else epoch
        assert frame.stream_epoch == epoch == stream.info.stream_epoch and frame.missed == frame.lost_before == 0
        codes = frame.codes()
        if shift is None:
            first = find_pattern(codes)
            assert first is not None
            shift = first - frame.sample_index
        assert check_pattern(codes, shift + frame.sample_index) == 0
    assert shift is not None
    return shift


@on_both_lanes
def test_a_change_of_rate_carries_readers_over_within_their_iteration(daemon: DaemonFactory, lane: str) -> None:
    process = daemon(PATTERN, wait_readers=1)
    client = process.connect()
    seen: dict[int, list[tuple[int, int]]] = {}
    last_ns = first_ns = 0.0
    warnings.simplefilter("error", MissedFrames)
    with client.open(policy="lossless", lane=lane, timeout=WAIT_S, depth=8) as stream:
        before = stream.info
        for frame in stream:
            numbers = seen.setdefault(frame.stream_epoch, [])
            numbers.append((frame.frame_number, frame.sample_index))
            if len(seen) == 1:
                last_ns = float(frame.times_ns()[-1])
                if frame.frame_number == 50:
                    answer = change(client, "board", settings={"rate": "500"})
                    assert answer["new_epoch"] and answer["changed"] == ["board.rate_sps"]
            else:
                first_ns = first_ns or frame.time_ns
                if frame.frame_number == 100:
                    assert abs(frame.period_ns - 2e6) < 2000
                    break
        after = stream.info
        assert stream.n_epochs == 2 and stream.ended is None and stream.missed == 0
    old, new = seen.values()
    assert old == [(k, 10 * k) for k in range(len(old))] and len(old) > 50
    assert new == [(k, 10 * k) for k in range(101)]
    assert (before.rate_sps, after.rate_sps) == (250, 500) and before.stream_epoch != after.stream_epoch
    process.wait_for(lambda status: status["epochs"] == 2)  # the event is posted with the first sample known
    first, second = events_of(process, "epoch")
    assert (first["value"], second["value"]) == (250, 500)
    assert (first["stream_epoch"], second["stream_epoch"]) == tuple(seen)
    assert first["without_data_ns"] == 0
    # The time without data is from the last sample of the one to the first of the other.
    assert second["without_data_ns"] == pytest.approx(first_ns - last_ns, abs=10_000)
    assert process.status()["without_data_ns"] == second["without_data_ns"]
    assert process.stop()[0] == 0


@on_both_lanes
def test_a_change_of_gain_keeps_the_microvolts_and_changes_the_codes(
    daemon: DaemonFactory, tmp_path: Path, lane: str
) -> None:
    path = tmp_path / "steps.csv"
    path.write_text("a,b\n" + "".join(f"{k % 500},{-(k % 500)}\n" for k in range(5000)))
    overrides = {"replay.file": str(path), "replay.loop": True, "stream.frame_samples": 10}
    process = daemon(overrides, wait_readers=1)
    client = process.connect()
    with client.open(policy="lossless", lane=lane, timeout=WAIT_S, depth=8) as stream:
        array = stream.take().data
        kept = array.copy()
        for _ in range(20):
            stream.take()
        answer = change(client, "channel", label="Fp1", settings={"gain": "12"})
        assert answer["changed"] == ["montage.channel.Fp1.gain"]
        while stream.n_epochs == 1:
            frame = stream.take()
        assert frame.frame_number == frame.sample_index == 0
        lsb_uv = (4.5e6 / 2**23 / 12, 4.5e6 / 2**23 / 24)
        assert stream.info.lsb_uv[:2] == pytest.approx(lsb_uv)
        for _ in range(100):
            codes, data = frame.codes(), frame.data
            assert np.array_equal(data[:2], (codes[:2] * np.array(lsb_uv)[:, None]).astype(np.float32))
            assert np.abs(data[0] + data[1]).max() < 0.05 and np.abs(np.diff(data[0]).max() - 1) < 0.05
            assert np.abs(codes[1] + 2 * codes[0]).max() <= 3
            frame = stream.take()
        assert np.array_equal(array, kept)
    assert process.status()["losses"] == {"missed": 0, "bad": 0, "late": 0, "overrun": 0}


def test_several_readers_and_several_changes_meet_again_at_sample_0(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=3)
    client = process.connect()
    lanes = ("zeromq", "direct", "zeromq")
    streams = [client.open(policy="lossless", lane=lane, timeout=WAIT_S, depth=8) for lane in lanes]
    changes: list[dict[str, str]] = [
        {"rate": "1000"},
        {"frame_samples": "25"},
        {"frame_samples": "1", "rate": "250"},
        {"discard": "7"},
    ]

    def follow(stream: Stream) -> tuple[int, int]:
        """Reads on into the next epoch and 30 frames of it."""
        n_epochs = stream.n_epochs
        while stream.n_epochs == n_epochs:
            frame = stream.take()
            assert frame.missed == 0
        assert frame.sample_index == frame.frame_number == 0
        shift = find_pattern(frame.codes())
        assert shift is not None
        for _ in range(30):
            frame = stream.take()
            assert check_pattern(frame.codes(), shift + frame.sample_index) == 0
        return shift, stream.info.stream_epoch

    with ThreadPoolExecutor() as threads:
        for settings in changes:
            following = [threads.submit(follow, stream) for stream in streams]
            change(client, "board", settings=settings)
            assert len({future.result() for future in following}) == 1
    assert [stream.missed for stream in streams] == [0, 0, 0] and [stream.n_epochs for stream in streams] == [5] * 3
    assert streams[0].info.frame_samples == 1 and streams[0].info.rate_sps == 250
    assert process.stop()[0] == 0


@on_both_lanes
def test_blocks_of_seconds_never_mix_two_epochs(daemon: DaemonFactory, lane: str) -> None:
    process = daemon(PATTERN, wait_readers=1)
    client = process.connect()
    with client.open(policy="lossless", lane=lane, timeout=WAIT_S, depth=20) as stream:
        assert stream.read(seconds=1).data.shape == (8, 250)
        change(client, "board", settings={"rate": "500"})
        blocks = [stream.read(seconds=0.5)]
        while blocks[-1].info.rate_sps == 250:
            blocks.append(stream.read(seconds=0.5))
        blocks.append(stream.read(seconds=0.5))
        *old, first, second = blocks
        assert [block.data.shape[1] for block in old[:-1]] == [125] * (len(old) - 1)
        assert all(block.is_contiguous for block in old)
        assert first.sample_index[0] == 0 and first.data.shape[1] == second.data.shape[1] == 250
        assert [(gap.position, gap.n_samples, gap.reason) for gap in first.gaps] == [(0, 0, "epoch")]
        assert np.allclose(np.diff(first.times_ns), 2e6, atol=2000) and second.is_contiguous
        assert second.sample_index[0] == 250


def test_a_block_that_begins_with_an_epoch_has_the_seconds_of_its_rate(daemon: DaemonFactory) -> None:
    process = daemon({**PATTERN, "stream.frame_samples": 25}, wait_readers=1)
    client = process.connect()
    with client.open(policy="lossless", timeout=WAIT_S, depth=8) as stream:
        assert stream.read(seconds=0.1).data.shape[1] == 25  # a frame: nothing is left over
        change(client, "board", settings={"rate": "1000"})
        while (block := stream.read(seconds=0.1)).info.rate_sps == 250:
            assert block.data.shape[1] <= 25
        assert block.data.shape[1] == 100 and block.sample_index[0] == 0


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("board", {"settings": {"rate": "300"}}, "ADS1299 offers 250, 500"),
    ("board", {"settings": {"colour": "red"}}, "unknown key"),
    ("board", {"settings": {"chips": "ADS1299-4"}}, "can only be changed in the file"),
    ("board", {"settings": {"rate": "16000", "sclk_hz": "50000"}}, "sclk_hz = 50000"),
    ("board", {"settings": {"frame_samples": "400"}}, "pool_mb"),
    ("board", {"settings": {}}, "settings as name=value"),
    ("board", {}, "settings as name=value"),
    ("channel", {"label": "O1", "settings": {"gain": "5"}}, "ADS1299 offers 1, 2, 4, 6, 8, 12"),
    ("channel", {"label": "X9", "settings": {"gain": "12"}}, "no channel 'X9'"),
    ("channel", {"label": "O1", "settings": {"input": "1"}}, "input"),
    ("channel", {"label": "O1", "settings": {"label": "O2"}}, "O2"),
    ("channel", {"settings": {"gain": "12"}}, "label is wanted"),
]


def test_refused_settings_leave_the_stream_untouched(daemon: DaemonFactory) -> None:
    overrides = {"board.chips": ["ADS1299"] * 4, "board.start_line": "START", "stream.pool_mb": 0.25}
    process = daemon({**PATTERN, **overrides, "stream.frame_samples": 1}, wait_readers=1)
    client = process.connect()
    with client.open(policy="lossless", timeout=WAIT_S, depth=8) as stream:
        shift = read_epoch(stream, 10)
        for operation, request, reason in REFUSED:
            with pytest.raises(EegdError) as caught:
                client.ask(operation, **request)
            assert reason in str(caught.value), (operation, request)
            assert read_epoch(stream, 10) == shift
        assert stream.n_epochs == 1 and stream.missed == 0
    assert process.status()["epochs"] == 1
    assert process.stop()[0] == 0


def test_a_setting_that_touches_no_register_makes_no_new_epoch(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=1)
    client = process.connect()
    with client.open(policy="lossless", timeout=WAIT_S, depth=8) as stream:
        shift = read_epoch(stream, 5)
        answer = change(client, "channel", label="O1", settings={"bad": "yes"})
        assert answer["changed"] == ["montage.channel.O1.bad"] and not answer["new_epoch"]
        assert read_epoch(stream, 20) == shift and stream.n_epochs == 1
        described = {channel["label"]: channel["bad"] for channel in client.info.description["channels"]}
        assert described["O1"] and not described["O2"]


def test_two_changes_at_the_same_moment_do_not_meet(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=1)
    client = process.connect()
    stream = client.open(policy="lossless", timeout=WAIT_S, depth=8)
    read_epoch(stream, 5)
    sockets = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3)]
    for connection in sockets:
        connection.settimeout(WAIT_S)
        connection.connect(str(process.directory / "control.sock"))
        send_packet(connection, {"op": "info"})  # accepted, and known to the loop
        assert receive_packet(connection) is not None
    process.send(signal.SIGSTOP)  # so that it finds all three at once
    for connection, rate in zip(sockets, ("500", "1000", "2000"), strict=True):
        send_packet(connection, {"op": "board", "settings": {"rate": rate}})
    process.send(signal.SIGCONT)
    answers = []
    for connection in sockets:
        received = receive_packet(connection)
        assert received is not None
        answers.append(received[0])
        connection.close()
    accepted = [rate for answer, rate in zip(answers, (500, 1000, 2000), strict=True) if answer["ok"]]
    refused = [answer["error"] for answer in answers if not answer["ok"]]
    assert len(accepted) == 1 and all("try again in a moment" in error for error in refused)
    while stream.n_epochs == 1:
        stream.take()
    assert stream.info.rate_sps == accepted[0]
    read_epoch(stream, 20)
    assert process.stop()[0] == 0


def test_chips_that_do_not_take_a_change_keep_the_configuration_before(daemon: DaemonFactory) -> None:
    faults = [{"kind": "WRITES_LOST", "chip": 0, "at": 300, "count": 1, "value": 3}]
    process = daemon(PATTERN, wait_readers=1, faults=faults)
    client = process.connect()
    with client.open(policy="lossless", timeout=WAIT_S, depth=8) as stream:
        read_epoch(stream, 40)
        change(client, "board", settings={"rate": "1000"})
        while stream.n_epochs == 1:
            stream.take()
        assert stream.info.rate_sps == 250
        read_epoch(stream, 40)
        (failed,) = events_of(process, "reconfiguration failed")
        assert "CONFIG1" in failed["label"] and "wrote" in failed["label"] and "read" in failed["label"]
        change(client, "board", settings={"rate": "1000"})  # now they do
        while stream.n_epochs == 2:
            stream.take()
        assert stream.info.rate_sps == 1000
        read_epoch(stream, 40)
    assert process.stop()[0] == 0


# The file, read again


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, text
    path.write_text(text.replace(old, new, 1))


def test_sighup_applies_live_keys_and_names_those_that_need_a_restart(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=1)
    client = process.connect()
    with client.open(policy="lossless", timeout=WAIT_S, depth=8) as stream:
        shift = read_epoch(stream, 5)
        edit(process.config_file, 'label = "O1"', 'label = "Oz"')
        edit(process.config_file, 'p = "O1"', 'p = "Oz"')
        edit(process.config_file, "mains_hz = 50", "mains_hz = 60")
        edit(process.config_file, "pool_mb = 32.0", "pool_mb = 16.0")
        edit(process.config_file, "seed = 1", "seed = 2")
        process.send(signal.SIGHUP)
        log = process.wait_for_log("reloaded")
        assert "stream.pool_mb: changed in the file, but needs a restart" in log
        assert "sim.seed: changed in the file, but needs a restart" in log
        assert "mains_hz: changed" not in log
        info = client.info
        assert "Oz" in info.labels and "O1" not in info.labels and info.description["mains_hz"] == 60
        assert read_epoch(stream, 20) == shift and stream.n_epochs == 1
        answer = client.ask("reload")  # the same again: only what needs a restart still differs
        assert answer["changed"] == [] and set(answer["needs_restart"]) == {"stream.pool_mb", "sim.seed"}
    assert process.stop()[0] == 0


def test_sighup_takes_chip_settings_over_with_a_new_epoch(daemon: DaemonFactory) -> None:
    process = daemon(PATTERN, wait_readers=1)
    client = process.connect()
    with client.open(policy="lossless", timeout=WAIT_S, depth=8) as stream:
        read_epoch(stream, 5)
        edit(process.config_file, "rate_sps = 250", "rate_sps = 2000")
        edit(process.config_file, "gain = 24", "gain = 6")
        process.send(signal.SIGHUP)
        while stream.n_epochs == 1:
            stream.take()
        assert stream.info.rate_sps == 2000
        assert [channel["gain"] for channel in stream.info.description["channels"]] == [6, *[24] * 7]
        read_epoch(stream, 20)
    assert process.stop()[0] == 0


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("rate_sps = 250", "rate_sps = 300", "ADS1299 offers 250, 500"),
        ("[board]", "[board", "line"),
        ("gain = 24", 'gain = "much"', "gain"),
        ("[sim]", "[simulator]", "simulator"),
    ],
    ids=["value", "syntax", "type", "table"],
)
def test_a_broken_file_changes_nothing(daemon: DaemonFactory, old: str, new: str, told: str) -> None:
    process = daemon(PATTERN, wait_readers=1)
    client = process.connect()
    with client.open(policy="lossless", timeout=WAIT_S, depth=8) as stream:
        shift = read_epoch(stream, 5)
        edit(process.config_file, "mains_hz = 50", "mains_hz = 60")
        edit(process.config_file, old, new)
        process.send(signal.SIGHUP)
        log = process.wait_for_log("reload refused, nothing was changed")
        assert told in log and str(process.config_file) in log
        with pytest.raises(EegdError):
            client.ask("reload")
        assert client.info.description["mains_hz"] == 50
        assert read_epoch(stream, 20) == shift and stream.n_epochs == 1
    assert process.stop()[0] == 0
