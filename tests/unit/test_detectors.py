"""Detectors of a stream in a real capture thread on the emulated board, with a control thread that does not drain."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from eegd._native import lib
from eegd.ads1299 import Ads1299
from eegd.capture import COUNTER_LABELS, LOSSES, Capture, EventRing, capture_counters
from eegd.config import Config, parse_config
from eegd.counters import Counters
from eegd.detectors import BATCH, RINGS, Detectors
from eegd.outlet import Outlet
from eegd.sim import open_sim_board

RATE = 4000
DETECTORS = f"""
[board]
rate_sps = {RATE}
[sim]
source = "sine"
sine_hz = 1000
[stream]
frame_samples = 40
[[detector]]
name = "every sample"
channel = "Fp1"
kind = "stream"
interval_samples = 1
[[detector]]
name = "wave"
channel = "Fp1"
threshold_uv = 0
hysteresis_uv = 20
[[chip_marker]]
name = "button"
pins = ["GPIO1"]
""".replace('"every sample"', '"each"')


class Bench:
    """A capture thread and its detectors, whose events nobody takes unless a test does."""

    def __init__(self, config: Config) -> None:
        self.posted: list[dict[str, Any]] = []
        self.config = config
        self.board = open_sim_board(config)
        driver = Ads1299(self.board, config.board, config.montage)
        driver.power_up()
        driver.configure()
        n_channels = len(config.montage.on)
        self._outlet = Outlet("raw", n_slabs=64, n_channels=n_channels, slab_samples=40, rate_sps=RATE)
        self._counters = Counters()
        self.counters = capture_counters(self._counters)
        self.ring = EventRing()
        self.detectors = Detectors("raw", self._post)
        driver.prepare_start()
        table = self.detectors.table(config)
        self.capture = Capture(config, self.board, driver, self._outlet, self.counters, self.ring, (), table)

    def _post(self, kind: str, label: str, **facts: Any) -> None:
        self.posted.append({"kind": kind, "label": label, **facts})

    def run_until(self, n_samples: int) -> None:
        while self.capture.stats().sample_index < n_samples:
            assert self.capture.stats().state == "running"
            time.sleep(0.001)

    def counted(self, label: str) -> int:
        return self.counters[COUNTER_LABELS.index(label)].value

    def end(self) -> None:
        self.capture.stop()
        self.capture.join()


@contextlib.contextmanager
def bench(text: str = DETECTORS) -> Iterator[Bench]:
    made = Bench(parse_config(text, "test"))
    try:
        yield made
    finally:
        made.end()
        made.capture.free()
        made.detectors.release()
        made.board.close()


def test_a_control_thread_that_is_away_for_a_second_costs_events_and_no_sample() -> None:
    with bench() as made:
        made.run_until(RATE + 100)
        made.end()
        n_samples = made.counted("capture.samples")
        assert n_samples >= RATE + 100
        assert {cause: made.counted(f"loss.{cause}") for cause in LOSSES} == dict.fromkeys(LOSSES, 0)
        rings = made.detectors.rings
        each, wave = rings["reports"].stats(), rings["detections"].stats()
        assert (each["posted"], each["dropped"]) == (RINGS["reports"], n_samples - RINGS["reports"])
        assert (each["depth"], each["peak"], each["healthy"]) == (RINGS["reports"], RINGS["reports"], 0)
        assert wave["posted"] + wave["dropped"] == pytest.approx(n_samples / 4, abs=3)
        rows = {row["name"]: row for row in made.detectors.report(made.config)}
        assert (rows["each"]["posted"], rows["each"]["dropped"]) == (each["posted"], each["dropped"])
        assert (rows["wave"]["posted"], rows["wave"]["dropped"]) == (wave["posted"], wave["dropped"])
        made.detectors.tell_dropped(0.0)
        made.detectors.tell_dropped(0.5)
        (told,) = made.posted
        assert told["kind"] == "events dropped"
        assert told["value"] == each["dropped"] + wave["dropped"]
        assert told["by_ring"] == {"markers": 0, "detections": wave["dropped"], "reports": each["dropped"]}
        made.detectors.drain(everything=True)
        values = [event["sample_index"] for event in made.posted if event["kind"] == "stream value"]
        assert values == list(range(RINGS["reports"]))


def test_a_drain_tells_markers_then_detections_then_values_and_comes_back() -> None:
    with bench() as made:
        made.run_until(1000)
        lib.eegd_board_sim_gpio(made.board.pointer, 0, 1)  # a test may: one byte, read once per conversion
        n = made.capture.stats().sample_index
        made.run_until(n + 100)
        made.end()
        made.detectors.drain()
        kinds = [event["kind"] for event in made.posted]
        assert kinds == ["marker"] + ["detection"] * BATCH + ["stream value"] * BATCH
        marker = made.posted[0]
        assert (marker["label"], marker["value"], marker["before"], marker["chip"]) == ("button", 1, 0, 1)
        assert abs(marker["sample_index"] - n) < 100
        made.posted.clear()
        made.detectors.drain(everything=True)
        assert all(ring.stats()["depth"] == 0 for ring in made.detectors.rings.values())


@pytest.mark.real_cpu("may be too slow to drain each value in time, and drops are counted")
def test_tables_are_freed_when_another_has_begun_and_their_counts_stay() -> None:
    with bench() as made:
        made.run_until(100)
        for number in range(20):
            text = DETECTORS.replace("interval_samples = 1", f"interval_samples = {number + 2}")
            made.config = parse_config(text, "test")
            made.capture.detect(made.detectors.table(made.config))
            made.run_until(made.capture.stats().sample_index + 10)
        assert len(made.detectors._tables) <= 2
        assert len(made.detectors._known) <= 2 * 3
        made.capture.detect(made.detectors.table(parse_config(f"[board]\nrate_sps = {RATE}", "test")))
        made.run_until(made.capture.stats().sample_index + 10)
        made.end()
        made.detectors.drain(everything=True)
        n_values = sum(event["kind"] == "stream value" for event in made.posted)
        each = next(row for row in made.detectors.report(made.config) if row["name"] == "each")
        assert (each["posted"], each["dropped"]) == (n_values, 0)


def test_a_detector_that_stays_as_it_is_goes_on_where_another_changes() -> None:
    settling = DETECTORS.replace("hysteresis_uv = 20", "hysteresis_uv = 20\ndc_removal_hz = 0.5")
    n_settling = 1274  # RATE / (2 pi 0.5)

    def found_after_another(text: str) -> list[int]:
        with bench(settling) as made:
            made.run_until(2 * n_settling)
            made.capture.detect(made.detectors.table(parse_config(text, "test")))
            n = made.capture.stats().sample_index
            made.run_until(n + n_settling // 2)
            made.end()
            made.detectors.drain(everything=True)
            at = [event["sample_index"] for event in made.posted if event["kind"] == "detection"]
            assert any(index < n for index in at), "it had settled before"
            return [index for index in at if n + 2 < index < n + n_settling // 2]

    assert len(found_after_another(settling.replace("interval_samples = 1", "interval_samples = 3"))) > 100
    assert len(found_after_another(settling.replace("dc_removal_hz = 0.5", "dc_removal_hz = 0.4"))) == 0


def test_without_detectors_there_is_no_table() -> None:
    with bench(f"[board]\nrate_sps = {RATE}\n[stream]\nframe_samples = 40") as made:
        made.run_until(100)
        assert made.detectors._tables == []
        assert made.detectors.report(made.config) == []


def test_debug_logs_why_a_crossing_was_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO, "eegd.detectors"),
        bench(DETECTORS.replace("hysteresis_uv = 20", "debug = true")) as made,
    ):
        made.run_until(100)
        made.end()
        made.detectors.drain(everything=True)
    lines = [record.message for record in caplog.records]
    assert any(line.startswith("detector wave: rising to ") and line.endswith(": taken") for line in lines)
    assert any(line.endswith("not taken: only the other edge counts") for line in lines)
