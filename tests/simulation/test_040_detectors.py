"""Detectors and GPIO pins of the chips in a whole daemon: every event at exactly its sample."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from eegd.detect import Change
from eegd.events import subscribed
from tests.simulation.conftest import DaemonFactory, DaemonProcess
from tests.simulation.scenario import wait_until

DRIVEN = [
    {"kind": "GPIO", "at": 100, "count": 7, "period": 31, "value": 0b0010},
    {"kind": "GPIO", "at": 300, "count": 11, "period": 47, "value": 0b0101},
    {"kind": "FRAME_00", "at": 200, "count": 3, "period": 53},
]
"""Pins of the chip that are driven, and conversions that are lost meanwhile."""
PINS = """
[[chip_marker]]
name = "button"
pins = ["GPIO2"]

[[chip_marker]]
name = "code"
pins = ["GPIO3", "GPIO1"]
hold_samples = 0
"""
CHANNELS = """
[[detector]]
name = "level"
channel = "Fp2"
kind = "stream"
interval_samples = 7

[[detector]]
name = "blink"
channel = "Fp1"
threshold_uv = 40
hysteresis_uv = 10
edge = "both"
dc_removal_hz = 0.5
"""
PERIOD_NS = 4_000_000
SAMPLEWISE = {"stream.frame_samples": 1}


Samples = Sequence[tuple[int, Any, int]]
"""Index, values and status word of each."""


@contextlib.contextmanager
def reading(process: DaemonProcess, n: int) -> Iterator[Samples]:
    """The first n samples. Virtual time stands still behind them, and all that was found up to them is told."""
    samples: list[tuple[int, Any, int]] = []
    with process.connect().open("raw", policy="lossless", timeout=20) as stream:
        while len(samples) < n:
            with stream.take() as frame:
                samples.append((frame.sample_index, np.array(frame.data[:, 0]), frame.status_or[0]))
        process.wait_for(lambda status: all(ring["depth"] == 0 for ring in status["event_rings"].values()))
        yield samples


def kept(process: DaemonProcess, kind: str, label: str, samples: Samples) -> list[dict[str, Any]]:
    """Events of the samples that were read."""
    events = process.connect().ask("recent_events")["events"]
    mine = [event for event in events if (event["kind"], event["label"]) == (kind, label)]
    return [event for event in mine if event["sample_index"] <= samples[-1][0]]


def words_of(samples: Samples, bits: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """(sample index, word, word before, samples since that) at each change of some bits of the status words."""
    changes = []
    last_index, last = -1, -1
    for index, _, status in samples:
        word = sum((status >> bit & 1) << place for place, bit in enumerate(bits))
        if last >= 0 and word != last:
            changes.append((index, word, last, index - last_index))
        last_index, last = index, word
    return changes


def test_pins_of_a_chip_are_markers_at_exactly_the_sample_that_shows_them(daemon: DaemonFactory) -> None:
    process = daemon(SAMPLEWISE, wait_readers=1, text=PINS, faults=DRIVEN)
    with reading(process, 900) as samples:
        told = {name: kept(process, "marker", name, samples) for name in ("button", "code")}
    assert samples[-1][0] > 910, "some were to be lost"
    for name, bits in (("button", [1]), ("code", [2, 0])):
        wanted = words_of(samples, bits)
        assert len(wanted) > 20
        seen = [(e["sample_index"], e["value"], e["before"], e["uncertainty_ns"] / PERIOD_NS) for e in told[name]]
        assert seen == wanted
    assert any(n > 1 for _, _, _, n in words_of(samples, [1])), "one change was to lie in a gap"


def test_crossings_and_values_are_those_of_the_samples_that_readers_get(daemon: DaemonFactory) -> None:
    lost = [{"kind": "FRAME_00", "at": 1000, "count": 2, "period": 333}]
    process = daemon(SAMPLEWISE, wait_readers=1, text=CHANNELS, faults=lost)
    values: list[dict[str, Any]] = []
    process.connect()
    with subscribed(process.directory) as subscriber, reading(process, 6000) as samples:
        detections = kept(process, "detection", "blink", samples)
        end = max(index for index, _, _ in samples if index % 7 == 0)
        while not values or values[-1]["sample_index"] < end:
            assert subscriber.poll(20_000), "no more values"
            event = json.loads(subscriber.recv())
            values += [event] if event["kind"] == "stream value" else []
    first = values[0]["sample_index"]  # a subscriber hears what comes after it has joined
    assert first < 3000
    wanted = [(index, data[1]) for index, data, _ in samples if index % 7 == 0 and index >= first]
    told = [(event["sample_index"], event["value"]) for event in values]
    assert [value for value in told if value[0] <= end] == wanted
    assert len(wanted) < (samples[-1][0] - first) // 7, "some were to be lost"
    crossings = crossings_of(samples)
    assert len(crossings) >= 4
    assert [(event["sample_index"], event["edge"], event["value"]) for event in detections] == crossings


def crossings_of(samples: Samples) -> list[tuple[int, str, float]]:
    """What the detector "blink" is to find on the first channel."""
    change = Change(40.0, hysteresis=10.0, edge="both", dc_removal_hz=0.5, rate_sps=250)
    crossings, next_index = [], 0
    for index, data, _ in samples:
        if index != next_index:
            change.settle()
        crossings += [(index, one.edge, one.value) for one in change.run(data[:1])]
        next_index = index + 1
    return crossings


def test_the_plugin_detect_finds_what_a_detector_finds(daemon: DaemonFactory) -> None:
    params = "[plugins.detect]\nthreshold = 40\nhysteresis = 10\nedge = 'both'\ndc_removal = 0.5\nchannels = ['Fp1']\n"
    overrides = {"stream.frame_samples": 10, "plugins.run": ("detect",)}
    lost = [{"kind": "FRAME_00", "at": 1000, "count": 2, "period": 733}]
    process = daemon(overrides, wait_readers=2, text=CHANNELS + params, faults=lost)
    with process.connect().open("raw", policy="lossless", timeout=20) as stream:
        while stream.take().sample_index < 6000:
            pass

        def found(source: str) -> list[tuple[int, float]]:
            events = process.connect().ask("recent_events")["events"]
            mine = [event for event in events if (event["kind"], event["source"]) == ("detection", source)]
            return [(event["sample_index"], event["value"]) for event in mine if event["sample_index"] <= 5500]

        wait_until(lambda: len(found("detect")) >= len(found("raw")), "the plugin's detections")
        assert len(found("raw")) >= 4
        assert found("detect") == found("raw")


def test_the_status_and_the_log_tell_what_detectors_do(daemon: DaemonFactory) -> None:
    text = PINS.replace('"GPIO2"]', '"GPIO2"]\nedge = "rising"\ndebug = true')
    process = daemon(SAMPLEWISE, wait_readers=1, text=text, faults=DRIVEN[:1])
    with reading(process, 300):
        button, code = process.wait_for(lambda status: status["detectors"][0]["posted"] >= 6)["detectors"]
        assert (button["name"], button["kind"], button["pins"]) == ("button", "chip marker", ["GPIO2"])
        assert button["dropped"] == 0
        assert code["posted"] == 0
        rings = process.status()["event_rings"]
        assert list(rings) == ["faults", "markers", "detections", "reports"]
        assert rings["markers"]["posted"] >= 6 and rings["markers"]["dropped"] == 0 and rings["markers"]["healthy"]
        log = process.wait_for_log("at sample 105: not taken: only the other edge counts")
        assert "detector button: word 1 at sample 98: taken" in log


def test_a_changed_detector_works_at_once_and_no_epoch_begins(daemon: DaemonFactory) -> None:
    process = daemon({"sim.clock": "real", "board.rate_sps": 1000}, text=CHANNELS)
    process.wait_for(lambda status: status["detectors"][0]["posted"] > 10)
    text = process.config_file.read_text()
    process.config_file.write_text(text.replace("interval_samples = 7", "interval_samples = 1"))
    answer = process.connect().ask("reload")
    assert answer["changed"] == ["detector.level"] and not answer["new_epoch"]
    before = process.status()
    n_before = before["detectors"][0]["posted"]
    after = process.wait_for(lambda status: status["samples"] > before["samples"] + 500)
    assert after["epochs"] == 1 and after["losses"] == before["losses"]
    grown = after["detectors"][0]["posted"] - n_before
    assert abs(grown - (after["samples"] - before["samples"])) < 100
    process.config_file.write_text(text[: text.index("[[detector]]")] + text[text.index("[plugins]") :])
    assert process.connect().ask("reload")["changed"] == ["detector.blink", "detector.level"]
    assert process.status()["detectors"] == []
    read = process.status()["samples"]
    process.wait_for(lambda status: status["samples"] > read + 200)


def test_detectors_go_on_in_a_new_epoch(daemon: DaemonFactory) -> None:
    process = daemon(SAMPLEWISE, wait_readers=1, text=CHANNELS)
    with process.connect().open("raw", policy="lossless", timeout=20) as stream:
        while stream.take().sample_index < 100:
            pass
        process.connect().ask("channel", label="Fp1", settings={"gain": "12"})
        while stream.n_epochs < 2 or stream.take().sample_index < 100:
            stream.take()
        n_posted = process.status()["detectors"][0]["posted"]
    assert n_posted > 2 * 100 // 7


def test_chips_with_clocks_of_their_own_have_detectors_of_their_own(daemon: DaemonFactory) -> None:
    overrides = {
        **{"sim.clock": "real", "board.rate_sps": 1000, "board.clocks": "own", "board.chips": ("ADS1299-4",) * 2},
        "board.sclk_hz": 8_000_000,
    }
    row = '[[detector]]\nname = "of-{0}"\nchannel = "{0}"\nkind = "stream"\ninterval_samples = 100\n'
    channels = row.format("C3") + row.format("P7")
    pins = '[[chip_marker]]\nname = "second"\nchip = 2\npins = ["GPIO1"]\n'
    process = daemon(overrides, text=channels + pins)
    status = process.wait_for(
        lambda status: all(stream["detectors"][0]["posted"] > 3 for stream in status["streams"]), timeout=30
    )
    first, second = status["streams"]
    assert [row["name"] for row in first["detectors"]] == ["of-C3"]
    assert [(row["name"], row.get("chip")) for row in second["detectors"]] == [("of-P7", None), ("second", 2)]
