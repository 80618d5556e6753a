"""Digital inputs as events: when they are told, with which sample, and what becomes of lost edges and lost lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from eegd.config import parse_config
from eegd.edge_order import Edge
from eegd.errors import BoardError, ConfigError
from eegd.events import EventPublisher
from eegd.gpio import EVENT_BUFFER
from eegd.marker_lines import wanted_lines
from eegd.markers import GRACE_NS, Markers
from eegd.sample_clock import SampleClock
from eegd.sim_lines import SimLines, demo_changes, read_changes

PERIOD_NS = 4_000_000
WAIT_S = 20.0


class Publisher:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.told = asyncio.Event()

    def post(self, kind: str, label: str, **facts: Any) -> dict[str, Any]:
        self.events.append({"kind": kind, "label": label, **facts})
        self.told.set()
        return self.events[-1]


@dataclass
class Raw:
    clock: SampleClock
    stream: str = "raw"
    virtual: bool = False

    def sample_clock(self) -> SampleClock:
        return self.clock


class Rig:
    """Lines of a configuration, the markers that read them, and a stream whose sample 1000 is now."""

    def __init__(self, text: str, latency_ns: int = 0, virtual: bool = False) -> None:
        config = parse_config(text, "eegd.toml")
        self.lines = SimLines(wanted_lines(config))
        self.published = Publisher()
        self.now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        raw = Raw(SampleClock(1000, self.now_ns, PERIOD_NS, 300.0, self.now_ns - 4 * 10**9), virtual=virtual)
        self.faults = 0
        self.markers = Markers(
            config.markers,
            config.trigger,
            self.lines,
            cast(EventPublisher, self.published),
            raw,
            self.note_faults,
            latency_ns,
        )

    def note_faults(self) -> None:
        self.faults += 1

    async def told(self, n: int) -> list[dict[str, Any]]:
        """The first n events, once there are so many."""
        async with asyncio.timeout(WAIT_S):
            while len(self.published.events) < n:
                self.published.told.clear()
                await self.published.told.wait()
        return self.published.events[:n]

    def advance(self, ns: int) -> list[dict[str, Any]]:
        """All that is known up to so many ns after the start."""
        for edge in self.lines.read():
            self.markers._order.put(edge)
        self.markers.advance(self.now_ns + ns + GRACE_NS)
        return self.published.events


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


WORD = '[trigger]\nlines = ["GPIO5", "GPIO6", "GPIO12"]\n'
BUTTON = '[[marker]]\nname = "button"\nline = "GPIO20"\n'


def test_an_edge_is_a_marker_at_its_sample_and_wakes_the_loop() -> None:
    async def work() -> None:
        rig = Rig(BUTTON)
        rig.lines.drive(0, 1, rig.now_ns - 3 * PERIOD_NS + PERIOD_NS // 4)
        [event] = await rig.told(1)
        assert (event["kind"], event["label"], event["value"], event["line"]) == ("marker", "button", 1, "GPIO20")
        assert (event["sample_index"], event["fraction"]) == (997, 0.25)
        assert event["time_ns"] == rig.now_ns - 11_000_000 and event["uncertainty_ns"] == 311
        assert rig.faults == 1, "losses and faults that wait are told before it"
        rig.markers.close()

    run(work)


def test_three_lines_with_skew_are_one_word_and_the_idle_word_none() -> None:
    async def work() -> None:
        rig = Rig(WORD)
        for bit, at_ns in ((0, 10_000), (2, 40_000)):
            rig.lines.drive(bit, 1, rig.now_ns + at_ns)
        assert rig.advance(139_999) == []
        [event] = rig.advance(140_000)
        assert (event["kind"], event["value"], event["skew_ns"]) == ("trigger", 5, 30_000)
        assert event["time_ns"] == rig.now_ns + 10_000 and event["uncertainty_ns"] == 30_301
        for bit in (0, 2):
            rig.lines.drive(bit, 0, rig.now_ns + 10_000_000 + bit)
        assert rig.advance(20_000_000) == [event]
        assert rig.markers.report()["told"] == 1
        rig.markers.close()

    run(work)


def test_low_lines_are_ones_where_they_are_inverted() -> None:
    async def work() -> None:
        rig = Rig(WORD + "inverted = true\nidle = 7\n")
        rig.lines.drive(1, 1, rig.now_ns)
        [event] = rig.advance(200_000)
        assert event["value"] == 5, "all low is 7, and line 1 has gone high"
        rig.markers.close()

    run(work)


def test_a_strobe_tells_a_word_each_time() -> None:
    async def work() -> None:
        rig = Rig(WORD + 'strobe = "GPIO20"\n')
        rig.lines.drive(1, 1, rig.now_ns)
        for at_ns in (50_000, 1_050_000):
            rig.lines.drive(3, 1, rig.now_ns + at_ns)
            rig.lines.drive(3, 0, rig.now_ns + at_ns + 10_000)
        assert [event["value"] for event in rig.advance(3_000_000)] == [2, 2]
        assert [event["time_ns"] - rig.now_ns for event in rig.published.events] == [50_000, 1_050_000]
        rig.markers.close()

    run(work)


def test_contacts_that_bounce_are_one_marker() -> None:
    async def work() -> None:
        rig = Rig(BUTTON + "quiet_ms = 20\n")
        for n in range(5):
            rig.lines.drive(0, 1, rig.now_ns + n * 1_000_000)
            rig.lines.drive(0, 0, rig.now_ns + n * 1_000_000 + 500_000)
        rig.lines.drive(0, 1, rig.now_ns + 20_000_000)
        assert [event["time_ns"] - rig.now_ns for event in rig.advance(30_000_000)] == [0, 20_000_000]
        rig.markers.close()

    run(work)


def test_the_known_latency_of_stamps_is_subtracted_and_a_virtual_clock_has_no_sample() -> None:
    async def work() -> None:
        rig = Rig(BUTTON, latency_ns=2_000, virtual=True)
        rig.lines.drive(0, 1, rig.now_ns)
        [event] = rig.advance(0)
        assert event["time_ns"] == rig.now_ns - 2_000
        assert "sample_index" not in event and "virtual clock" in event["no_sample"]
        rig.markers.close()

    run(work)


def test_edges_that_the_kernel_has_dropped_are_a_fault_and_the_word_is_read_again() -> None:
    async def work() -> None:
        rig = Rig(WORD)
        for n in range(EVENT_BUFFER + 100):  # one line, to and fro
            rig.lines.drive(0, 1 - n % 2, rig.now_ns + n * 1000)
        rig.lines.drive(1, 1, rig.now_ns + 2_000_000)
        events = rig.advance(2_000_001)
        assert [(event["kind"], event["value"]) for event in events] == [("edges lost", 101)]
        assert "101 edge(s) of marker lines lost" in events[0]["label"]
        events = rig.advance(20_000_000)
        assert [event["value"] for event in events[1:]] == [2]
        report = rig.markers.report()
        assert (report["dropped"], report["posted"], report["healthy"]) == (101, EVENT_BUFFER + 101, False)
        rig.markers.close()

    run(work)


def test_lines_that_go_away_are_a_fault_and_are_given_back() -> None:
    async def work() -> None:
        rig = Rig(BUTTON)

        def gone() -> list[Edge]:
            raise BoardError("GPIO lines of markers: No such device")

        rig.lines.read = gone  # type: ignore[method-assign]
        rig.lines.drive(0, 1)
        [event] = await rig.told(1)
        assert event["kind"] == "line failed" and "No such device" in event["label"]
        assert rig.lines.fileno() == -1 and rig.markers.report()["healthy"] is False
        rig.markers.close()

    run(work)


def test_a_line_that_floats_is_left_to_the_kernel_for_the_rest_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eegd.markers.MAX_EDGES_PER_S", 100)

    async def work() -> None:
        rig = Rig(WORD)
        second = int(rig.markers._loop.time())
        rig.markers._second, rig.markers._n_in_second = second, 100
        rig.markers._loop.time = lambda: second + 0.5  # type: ignore[method-assign]
        rig.lines.drive(0, 1)
        rig.markers._on_edges()
        assert rig.markers._pause is not None and not rig.markers._loop.remove_reader(rig.lines)
        rig.markers._go_on()
        assert rig.markers._loop.remove_reader(rig.lines), "it reads again"
        rig.markers.close()

    run(work)


# Emulated lines


def test_a_file_of_changes_is_read_and_wrong_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("# word 1\n0.5,GPIO5,1\n\n0.6, GPIO6, 0  # back\n")
    assert read_changes(str(path), ["GPIO5", "GPIO6"]) == [(0.5, 0, 1), (0.6, 1, 0)]
    for text, why in {
        "1,GPIO7,1": r"line 1: 'GPIO7' is no line of \[\[marker\]\] or \[trigger\]: GPIO5",
        "1,GPIO5": "line 1: '1,GPIO5': seconds,line,level is wanted",
        "1,GPIO5,2": "seconds,line,level is wanted",
        "2,GPIO5,1\n1,GPIO5,0": "line 2: '1': seconds since the start, not before the line above",
        "nan,GPIO5,1": "'nan': seconds since the start",
    }.items():
        path.write_text(text)
        with pytest.raises(ConfigError, match=why):
            read_changes(str(path), ["GPIO5"])
    with pytest.raises(ConfigError, match="cannot be read"):
        read_changes(str(tmp_path / "none"), ["GPIO5"])


def test_the_demo_makes_each_word_in_turn_with_skew() -> None:
    changes = demo_changes([0], [1, 2], None, seed=3)
    levels, words = [0, 0, 0], []
    for at_s, line, level in (next(changes) for _ in range(40)):
        levels[line] = level
        words.append((round(at_s, 2), levels[1] + 2 * levels[2]))
    settled = dict(words)
    assert [settled[float(second)] for second in (1, 2, 3, 4)] == [1, 2, 3, 1]
    assert settled[1.1] == 0


# Configuration

REFUSED = {
    "[[marker]]\nname = 'b'": "[marker b] line: missing; a GPIO line's name, such as GPIO5",
    "[[marker]]\nline = 'GPIO5'": "[marker #1] name: missing; a letter, then up to 31 letters, digits, . _ or -",
    BUTTON + BUTTON.replace("GPIO20", "GPIO21"): '[marker button] name = "button": given to 2 markers',
    BUTTON + BUTTON.replace("button", "b2"): '[marker b2] line = "GPIO20": already a [[marker]]',
    '[board]\ndrdy_line = "GPIO20"\n' + BUTTON: '[marker button] line = "GPIO20": already a line of [board]',
    '[trigger]\nstrobe = "GPIO5"': '[trigger] strobe = "GPIO5": a strobe needs lines that it is for',
    '[trigger]\nlines = ["GPIO5"]\nstrobe = "GPIO5"': '[trigger] strobe = "GPIO5": already one of [trigger] lines',
    '[trigger]\nlines = ["GPIO5"]\nidle = 2': "[trigger] idle = 2: 1 lines make words from 0 to 1",
    "[trigger]\nsettle_us = 0": "[trigger] settle_us = 0: a number from 1 to 1000000 µs",
    "marker = 3": "marker = 3: up to 16 tables, each written as [[marker]]",
}


@pytest.mark.parametrize("text", REFUSED)
def test_lines_that_cannot_be_are_refused_with_what_is_wrong(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(text, "eegd.toml")
    assert REFUSED[text] in str(refused.value)
