"""Markers from programs: each with the sample and the time at which it happened."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eegd.errors import EegdError
from eegd.events import subscribed
from eegd.packet import decode_packet
from tests.simulation.command import run_eegctl

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory

WAIT_S = 20.0
REAL = {"sim.clock": "real"}


def test_a_marker_lies_at_the_sample_that_frames_have_at_its_time(daemon: DaemonFactory) -> None:
    process = daemon(REAL)
    with process.connect() as eeg, eeg.open("raw", timeout=WAIT_S) as stream:
        frame = stream.take()
        at_ns = round(frame.time_ns + 0.25 * frame.period_ns)
        index = frame.sample_index
        event = eeg.mark("tone", value=7, time_ns=at_ns)
        assert event["sample_index"] == index and event["fraction"] == pytest.approx(0.25, abs=0.01)
        assert (event["kind"], event["value"], event["stream"]) == ("marker", 7, "raw")
        kept = eeg.ask("recent_events")["events"]
        assert [e for e in kept if e["number"] == event["number"]] == [event]


def test_a_marker_without_a_time_is_when_mark_was_called(daemon: DaemonFactory) -> None:
    process = daemon(REAL)
    with process.connect() as eeg, eeg.open("raw", timeout=WAIT_S) as stream:
        stream.take()
        before_ns = time.monotonic_ns()
        event = eeg.mark("now")
        after_ns = time.monotonic_ns()
        assert before_ns <= event["time_ns"] <= after_ns
        assert event["uncertainty_ns"] is not None
        for frame in stream:  # it is told with its sample, which may not be there yet
            if frame.sample_index + frame.n_samples > event["sample_index"]:
                sample_ns = frame.time_ns + (event["sample_index"] - frame.sample_index) * frame.period_ns
                assert sample_ns <= event["time_ns"] + 5_000 and event["time_ns"] - sample_ns < frame.period_ns + 5_000
                break


def test_subscribers_get_a_marker_and_a_daemons_own_kind_is_refused(daemon: DaemonFactory) -> None:
    process = daemon(REAL)
    with process.connect() as eeg:
        with subscribed(process.directory) as subscriber:
            numbers = []
            while not subscriber.poll(20):  # a subscription takes a moment to reach the publisher
                numbers.append(eeg.mark("tone")["number"])
            event = decode_packet(subscriber.recv())
        assert event["label"] == "tone" and event["number"] in numbers
        with pytest.raises(EegdError, match="kind 'overrun': only the daemon makes these"):
            eeg.mark("mine", kind="overrun")


def test_eegctl_mark_says_which_sample_it_was(daemon: DaemonFactory) -> None:
    process = daemon(REAL)
    with process.connect() as eeg, eeg.open("raw", timeout=WAIT_S) as stream:
        stream.take()
        said = run_eegctl(process.directory, "mark", "eyes closed", "--value", "2")
        assert said.code == 0 and said.stdout.startswith("event ") and "eyes closed, at sample" in said.stdout
        old = run_eegctl(process.directory, "mark", "long ago", "--time-ns", "5", "--json")
        assert json.loads(old.stdout)["sample_index"] is None, old
        refused = run_eegctl(process.directory, "mark", "mine", "--kind", "epoch")
        assert refused.code == 1 and "only the daemon makes these" in refused.stderr


def test_on_a_virtual_clock_a_marker_is_at_the_latest_sample(daemon: DaemonFactory) -> None:
    process = daemon(wait_readers=1)
    with process.connect() as eeg, eeg.open("raw", policy="lossless", timeout=WAIT_S) as stream:
        frame = stream.take()
        event = eeg.mark("here")
        assert event["sample_index"] >= frame.sample_index


TRIGGERS = """
[[marker]]
name = "button"
line = "GPIO20"
[trigger]
lines = ["GPIO5", "GPIO6", "GPIO12"]
"""
N_WORDS = 40


def test_words_on_emulated_lines_are_seen_once_each_in_order_with_their_samples(
    daemon: DaemonFactory, home: Path
) -> None:
    rows, level = [], [0, 0, 0]
    words = [1 + n % 7 for n in range(N_WORDS)]
    for n, word in enumerate(words):
        at_s = 1.0 + 0.01 * n
        for bit, line in enumerate(("GPIO5", "GPIO6", "GPIO12")):
            if level[bit] != word >> bit & 1:
                level[bit] = word >> bit & 1
                rows.append(f"{at_s + 15e-6 * bit:.6f},{line},{level[bit]}")
    rows.append(f"{1.0 + 0.01 * N_WORDS:.6f},GPIO20,1")
    file = home / "words.csv"
    file.write_text("\n".join(rows) + "\n")
    process = daemon({**REAL, "sim.triggers": str(file)}, text=TRIGGERS)

    def told(status: dict[str, Any]) -> bool:
        return bool(status["marker_lines"]["told"] == N_WORDS + 1)

    status = process.wait_for(told)
    lines = status["marker_lines"]
    assert lines["healthy"] and lines["posted"] == lines["taken"] == len(rows) and lines["dropped"] == 0
    with process.connect() as eeg:
        events = eeg.ask("recent_events")["events"]
    found = [event for event in events if event["kind"] == "trigger"]
    assert [event["value"] for event in found] == words
    [button] = [event for event in events if event["kind"] == "marker"]
    places = [event["sample_index"] + event["fraction"] for event in (*found, button)]
    steps = [after - before for before, after in itertools.pairwise(places)]
    assert steps == pytest.approx([2.5] * N_WORDS, abs=0.05), "10 ms at 250 SPS, the first edge of each word"
    assert status["published"]["posted"] >= N_WORDS + 1 and status["published"]["healthy"]


PULSES = """
[[detector]]
name = "peak"
channel = "O1"
threshold_uv = 50
[plugins]
run = ["trigger"]
[plugins.trigger]
armed = true
on = "detection"
channels = "O1"
refractory = 0
per_minute = 6000
width = 1
"""


def test_a_detection_drives_an_emulated_line_and_both_times_are_events(daemon: DaemonFactory) -> None:
    process = daemon({**REAL, "sim.source": "sine", "sim.sine_uv": 100.0}, text=PULSES)
    with process.connect() as eeg:
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for event in eeg.events(timeout=WAIT_S):
            by_kind.setdefault(event["kind"], []).append(event)
            if len(by_kind.get("pulse", ())) >= 5:
                break
    for asked, done in zip(by_kind["pulse asked"], by_kind["pulse"], strict=False):
        assert asked["source"] == done["source"] == "trigger" and asked["label"] == "emulated line"
        assert done["time_ns"] >= asked["time_ns"] and done["value"] > 0
        assert done["sample_index"] is not None, "the daemon finds it by the time"


def test_a_stream_of_features_can_be_the_input_and_goes_through(daemon: DaemonFactory) -> None:
    text = '[plugins]\nrun = ["bandpower", "trigger"]\n[plugins.trigger]\ninput = "bandpower"\nthreshold = 1.0\n'
    process = daemon(REAL, text=text)
    process.wait_for(lambda status: any(r["name"] == "trigger" and r.get("frames_out") for r in status["plugins"]))
    with process.connect() as eeg, eeg.open("trigger", timeout=WAIT_S) as stream:
        assert stream.info.labels == eeg.describe("bandpower").labels
        assert stream.take().data.shape[0] == len(stream.info.labels)
