"""Chips with clocks of their own: a stream each, complete and at its own true rate, and nothing pairs their samples."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eegd.block import Block
from eegd.client import Client
from eegd.counters import CounterReader
from eegd.errors import EegdError
from eegd.pattern import check_pattern
from tests.simulation.command import eegctl

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

WAIT_S = 20.0
SPREAD_PPM = 5000.0
"""Of ±5000 that two oscillators may be apart at 25 °C (SBAS499C 7.5)."""
TWO_CLOCKS: dict[str, object] = {
    "board.chips": ("ADS1299", "ADS1299"),
    "board.clocks": "own",
    "board.rate_sps": 1000,
    "sim.source": "pattern",
    "sim.clock": "real",
    "sim.clock_spread_ppm": SPREAD_PPM,
}
STREAMS = ("raw", "raw2")


class Recorder(threading.Thread):
    """Reads one stream by itself, from its first sample on."""

    def __init__(self, client: Client, stream: str, seconds: float) -> None:
        super().__init__()
        self.stream = client.open(stream, policy="lossless", seconds=4, timeout=WAIT_S)
        self.seconds = seconds
        self.block: Block | None = None
        self.codes: list[Any] = []
        self.start()

    def run(self) -> None:
        n_wanted = self.seconds * self.stream.info.rate_sps
        parts, n = [], 0
        for frame in self.stream:
            parts.append((frame.sample_index, frame.times_ns(), frame.codes(), frame.lost_before, frame.missed))
            n += frame.n_samples
            if n >= n_wanted:
                break
        self.parts = parts


def record(client: Client, seconds: float) -> dict[str, Recorder]:
    recorders = {name: Recorder(client, name, seconds) for name in STREAMS}
    for recorder in recorders.values():
        recorder.join()
    return recorders


def test_two_chips_half_a_percent_apart_make_two_complete_streams_at_their_own_true_rates(
    daemon: DaemonFactory,
) -> None:
    process = daemon(TWO_CLOCKS, wait_readers=1)
    recorders = record(process.connect(), 3.0)
    rates = {}
    for name, recorder in recorders.items():
        index = [part[0] for part in recorder.parts]
        lengths = [part[2].shape[1] for part in recorder.parts]
        assert index == [0, *np.cumsum(lengths)[:-1].tolist()]  # each has an index of its own, without a hole
        assert not any(part[3] or part[4] for part in recorder.parts)
        codes = np.concatenate([part[2] for part in recorder.parts], axis=1)
        assert codes.shape[0] == 8 and check_pattern(codes, 0) == 0
        times_ns = np.concatenate([part[1] for part in recorder.parts])
        late = times_ns[times_ns.size // 3 :]  # the fit has settled
        rates[name] = 1e9 * (late.size - 1) / (late[-1] - late[0])
    assert rates["raw"] == pytest.approx(1000.0, rel=200e-6)
    assert rates["raw2"] == pytest.approx(1005.0, rel=200e-6)
    streams = {report["name"]: report for report in process.status()["streams"]}
    assert [report["losses"] for report in streams.values()] == [dict.fromkeys(streams["raw"]["losses"], 0)] * 2
    assert streams["raw2"]["rate"]["ppm"] == pytest.approx(SPREAD_PPM, abs=200)
    assert streams["raw"]["rate"]["ppm"] == pytest.approx(0, abs=200)
    code, summary = process.stop()
    assert code == 0
    both, first, second = (
        int(number.replace(" ", "")) for number in re.findall(r"(?:^|raw2? )([\d ]+\d)(?: samples)?, 0 lost", summary)
    )
    assert both == first + second and min(first, second) >= 3000


def test_streams_of_two_clocks_brought_together_by_time_agree_and_by_index_do_not(daemon: DaemonFactory) -> None:
    overrides = {**TWO_CLOCKS, "sim.source": "sine", "sim.sine_hz": 5.0, "sim.sine_uv": 1000.0}
    process = daemon(overrides, wait_readers=1)
    recorders = record(process.connect(), 3.0)
    times, values = {}, {}
    for name, recorder in recorders.items():
        times[name] = np.concatenate([part[1] for part in recorder.parts])
        codes = np.concatenate([part[2][0] for part in recorder.parts])
        values[name] = codes * 4.5e6 / 2**23 / 24
    # The emulated sine is one of samples, not of seconds: 5 Hz nominal, hence 5.025 Hz of the faster chip's true time.
    for name, sine_hz in (("raw", 5.0), ("raw2", 5.025)):
        t = (times[name] - times[name][0]) / 1e9
        half = t > 1.0
        basis = np.stack([np.sin(2 * np.pi * sine_hz * t), np.cos(2 * np.pi * sine_hz * t)])[:, half]
        left = values[name][half] - np.linalg.lstsq(basis.T, values[name][half], rcond=None)[0] @ basis
        assert np.abs(left).max() < 10  # µV of 1000: the times are the chip's true ones
    n = min(times["raw"].size, times["raw2"].size)
    apart_ms = (times["raw2"][:n] - times["raw"][:n]) / 1e6
    assert apart_ms[-1] - apart_ms[0] == pytest.approx(-n * SPREAD_PPM / 1e6, rel=0.1)  # ms at 1000 SPS
    common = np.arange(max(t[0] for t in times.values()), min(t[-1] for t in times.values()), 1e6)
    resampled = np.stack([np.interp(common, times[name], values[name]) for name in STREAMS])
    assert resampled.shape[1] > 2900 and np.isfinite(resampled).all()


@pytest.fixture
def running(daemon: DaemonFactory) -> DaemonProcess:
    process = daemon(TWO_CLOCKS)
    process.wait_for(lambda status: all(stream["samples"] for stream in status["streams"]))
    return process


def test_both_streams_say_what_they_are_and_of_which_chip(running: DaemonProcess) -> None:
    client = running.connect()
    assert client.streams() == ["raw", "raw2"]
    assert client.info.description["streams"] == ["raw", "raw2"]
    first, second = client.describe("raw"), client.describe("raw2")
    assert first.labels == ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")
    assert second.labels == ("F7", "F8", "F3", "F4", "T7", "T8", "P3", "P4")
    assert second.stream == "raw2" and second.kind == "raw" and "simulated" in second.flags
    assert {channel["chip"] for channel in second.description["channels"]} == {2}
    assert [channel["input"] for channel in second.description["channels"]] == list(range(1, 9))


def test_a_change_of_one_channel_stops_only_the_chip_that_has_it(running: DaemonProcess) -> None:
    client = running.connect()
    answer = client.ask("channel", label="T8", settings={"gain": "12"})
    assert answer["changed"] == ["montage.channel.T8.gain"] and answer["epochs"] == {"raw2": 1}
    running.wait_for(lambda status: status["streams"][1]["epochs"] == 2)
    gains = {row["label"]: row["gain"] for row in client.describe("raw2").description["channels"]}
    assert gains["T8"] == 12 and gains["T7"] == 24
    assert running.status()["streams"][0]["epochs"] == 1
    assert client.ask("channel", label="Fp1", settings={"bad": "yes"})["epochs"] == {}
    assert client.info.description["channels"][0]["bad"]


def test_a_key_of_the_board_changes_all_chips(running: DaemonProcess) -> None:
    client = running.connect()
    assert client.ask("board", settings={"rate": "500"})["epochs"] == {"raw": 1, "raw2": 1}
    running.wait_for(lambda status: all(stream["epochs"] == 2 for stream in status["streams"]))
    assert [client.describe(name).rate_sps for name in STREAMS] == [500, 500]
    events = [e for e in client.ask("recent_events")["events"] if e["kind"] == "epoch"]
    assert [sorted(e["source"] for e in events[k : k + 2]) for k in (0, 2)] == [["raw", "raw2"]] * 2


def test_what_one_chip_cannot_do_is_refused_for_all(running: DaemonProcess) -> None:
    client = running.connect()
    with pytest.raises(EegdError, match="sclk_hz"):  # each chip alone would fit in its period, both do not
        client.ask("board", settings={"rate": "8000", "sclk_hz": "2500000"})
    with pytest.raises(EegdError, match="no channel 'X9'"):
        client.ask("channel", label="X9", settings={"gain": "12"})
    assert [stream["epochs"] for stream in running.status()["streams"]] == [1, 1]
    assert client.ask("board", settings={"rate": "500"})["new_epoch"]  # and the next change is heard


def test_a_chip_that_does_not_take_a_change_takes_it_back_from_the_other(daemon: DaemonFactory) -> None:
    faults = [{"kind": "WRITES_LOST", "chip": 0, "at": 300, "count": 1, "value": 3}]  # of the first board only
    process = daemon(TWO_CLOCKS, faults=faults)
    process.wait_for(lambda status: status["streams"][0]["samples"] > 400 and status["streams"][1]["samples"])
    client = process.connect()
    client.ask("board", settings={"rate": "2000"})
    log = process.wait_for_log("reconfiguration failed")
    assert "CONFIG1" in log
    process.wait_for(lambda status: status["streams"][1]["epochs"] == 3 and status["streams"][0]["epochs"] == 2)
    assert [client.describe(name).rate_sps for name in STREAMS] == [1000, 1000]
    while True:
        try:
            assert client.ask("board", settings={"rate": "500"})["epochs"] == {"raw": 2, "raw2": 3}
            break
        except EegdError as error:
            assert "try again in a moment" in str(error)
    process.wait_for(lambda status: [s["rate"]["nominal_sps"] for s in status["streams"]] == [500, 500])


def test_a_chip_that_falls_silent_is_set_up_anew_while_the_other_goes_on(daemon: DaemonFactory) -> None:
    faults = [{"kind": "DRDY_STOPPED", "chip": 0, "at": 1000, "count": 1}]
    process = daemon(TWO_CLOCKS, faults=faults)
    client = process.connect()
    status = process.wait_for(lambda status: status["streams"][0]["epochs"] == 2)
    raw2 = status["streams"][1]
    assert raw2["epochs"] == 1 and not any(raw2["losses"].values())
    (recovery,) = (e for e in client.ask("recent_events")["events"] if e["kind"] == "recovery")
    assert recovery["source"] == "raw" and "stalled" in recovery["label"]


def test_losses_count_for_the_stream_that_has_them(daemon: DaemonFactory) -> None:
    process = daemon(TWO_CLOCKS, faults=[{"kind": "FRAME_00", "at": 500, "count": 3}])
    process.wait_for(lambda status: status["streams"][0]["samples"] > 1000)
    client = process.connect()
    with CounterReader(client.counters_fd()) as reader:
        counters = reader.values()
    assert (counters["loss.bad"], counters["raw2.loss.bad"]) == (3, 0)
    first, second = process.status()["streams"]
    assert first["losses"]["bad"] == 3 and first["bad_by_cause"]["all_00"] == 3 and second["losses"]["bad"] == 0
    code, summary = process.stop()
    assert code == 0 and ", 3 lost (3 bad); raw " in summary and summary.endswith(", 0 lost")


def test_eegctl_shows_every_stream(running: DaemonProcess) -> None:
    with running.connect().open("raw2", name="second-reader"):
        text = eegctl(running.directory, "status")
        assert "readers of raw\n" in text and "readers of raw2\n" in text
        assert text.index("second-reader") > text.index("readers of raw2")
    streams = json.loads(eegctl(running.directory, "status", "--json"))["streams"]
    assert [stream["name"] for stream in streams] == ["raw", "raw2"]
    assert [row["name"] for row in json.loads(eegctl(running.directory, "streams", "--json"))] == ["raw", "raw2"]
    assert '"stream": "raw2"' in eegctl(running.directory, "tail", "raw2", "--frames", "2", "--json")
    assert "the other chips are raw2" in eegctl(running.directory, "info") and "F7" in eegctl(
        running.directory, "info", "raw2"
    )
    assert "there are raw, raw2" in eegctl(running.directory, "info", "raw3", code=1)
    text = eegctl(running.directory, "board", "rate=500")
    assert "board.rate_sps: 1000 → 500" in text
    assert "new stream epoch of raw after" in text and "new stream epoch of raw2 after" in text
    assert "; raw2 " in eegctl(running.directory, "stop")
