"""A whole table of detectors in the C core, sample by sample, against the same by the words of docs/events.md: any
chips, codes to the last of 24 bits, thresholds that are values of the signal, gaps, tables that replace each other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eegd._native import ffi, lib
from eegd.ads1299 import ConversionLayout, conversion_layout, conversion_map
from eegd.capture import EventRing
from eegd.config import BoardConfig
from eegd.detect import EDGES, change_config
from eegd.montage import CHIP_INPUTS, Channel, Montage

PERIOD_NS = 62_500
CODES = (-(2**23), -(2**23) + 1, -1000, -1, 0, 1, 1000, 2**23 - 2, 2**23 - 1)
MOST = {"change": 16, "stream": 8, "pins": 8}
N_SAMPLES = 250

Event = tuple[str, int, int, int, float, int, int, int]
"""Ring, source, index, time, value, a, b, c."""


@dataclass(frozen=True)
class Row:
    """One detector."""

    name: str
    kind: str
    channel: int = 0
    threshold: float = 0.0
    hysteresis: float = 0.0
    edge: str = "both"
    corner_hz: float = 0.0
    interval: int = 1
    chip: int = 0
    pins: tuple[int, ...] = (0,)
    hold: int = 0

    def same_signal(self, other: Row) -> bool:
        def facts(row: Row) -> tuple[object, ...]:
            if row.kind == "pins":
                return (row.kind, row.chip, row.pins)
            return (row.kind, row.channel, row.threshold, row.hysteresis, row.corner_hz)

        return facts(self) == facts(other)


@dataclass
class State:
    """What a detector remembers."""

    n: int = 0
    mean: float = 0.0
    side: str = ""
    word: int | None = None
    candidate: int | None = None
    since: tuple[int, int, int] = (0, 0, 0)
    """Of the candidate: index, time, samples since the one before."""


@dataclass
class Reference:
    """Detectors by the words."""

    rate: int
    rows: list[Row] = field(default_factory=list)
    states: dict[str, State] = field(default_factory=dict)
    last: int | None = None
    status: list[int] = field(default_factory=list)

    def swap(self, rows: list[Row]) -> None:
        before = {row.name: row for row in self.rows}
        states = {}
        for row in rows:
            if row.name in before and row.same_signal(before[row.name]):
                states[row.name] = self.states[row.name]
            else:
                word = word_of(row, self.status) if self.status and row.kind == "pins" else None
                states[row.name] = State(word=word)
        self.rows, self.states = rows, states

    def take(self, index: int, values: list[float], status: list[int]) -> Iterator[Event]:
        since = 1 if self.last is None else index - self.last
        for number, row in enumerate(self.rows):
            state = self.states[row.name]
            if row.kind == "pins":
                yield from take_pins(number, row, state, index, word_of(row, status), since)
                continue
            if since != 1:
                self.states[row.name] = state = State()
            yield from self.take_value(number, row, state, index, values[row.channel])
        self.last, self.status = index, status

    def take_value(self, number: int, row: Row, state: State, index: int, raw: float) -> Iterator[Event]:
        config = change_config(row.threshold, row.hysteresis, row.edge, row.corner_hz, self.rate)
        settling = state.n < config["settle"]
        if config["dc_share"]:
            share = max(config["dc_share"], 1 / (state.n + 1) if settling else 0)
            state.mean += share * (raw - state.mean)
        state.n += 1
        value = raw - state.mean
        if row.kind == "stream":
            if index % row.interval == 0:
                yield ("reports", number, index, index * PERIOD_NS, value, 0, 0, 0)
            return
        if settling:
            return
        high, low = row.threshold + row.hysteresis / 2, row.threshold - row.hysteresis / 2
        now = "above" if value >= high else "below" if value < low else ""
        turned = {("below", "above"): "rising", ("above", "below"): "falling"}.get((state.side, now), "")
        state.side = now or state.side
        if turned and row.edge in (turned, "both"):
            yield ("detections", number, index, index * PERIOD_NS, value, int(turned == "rising"), 0, 0)


def take_pins(number: int, row: Row, state: State, index: int, word: int, since: int) -> Iterator[Event]:
    if state.word is None:
        state.word = word
    if word != state.candidate:
        state.candidate, state.since = (None if word == state.word else word), (index, index * PERIOD_NS, since)
    if state.candidate is None or index - state.since[0] < row.hold:
        return
    before, state.word, state.candidate = state.word, word, None
    if len(row.pins) > 1 or row.edge in ("both", "rising" if word else "falling"):
        yield ("markers", number, state.since[0], state.since[1], float(word), word, before, state.since[2])


def word_of(row: Row, status: list[int]) -> int:
    return sum((status[row.chip] >> pin & 1) << place for place, pin in enumerate(row.pins))


class Table:
    """The C core's, with rings that hold everything."""

    def __init__(self, layout: ConversionLayout, rate: int) -> None:
        self.layout, self.rate = layout, rate
        self.rings = {name: EventRing(8192) for name in ("markers", "detections", "reports")}
        self.keys: dict[str, int] = {}
        self.pointer = ffi.NULL

    def swap(self, rows: list[Row]) -> None:
        native = ffi.new("struct eegd_detect_config *")
        native.map = conversion_map(self.layout)[0]
        for name, ring in self.rings.items():
            setattr(native, name, ring.pointer)
        native.n_detectors = len(rows)
        for place, row in enumerate(rows):
            one = native.detectors[place]
            one.kind = {
                "change": lib.EEGD_DETECTOR_CHANGE,
                "stream": lib.EEGD_DETECTOR_STREAM,
                "pins": lib.EEGD_DETECTOR_PINS,
            }[row.kind]
            one.id, one.key = place, self.keys.setdefault(row.name, len(self.keys))
            one.channel, one.interval = row.channel, row.interval
            one.change = change_config(row.threshold, row.hysteresis, row.edge, row.corner_hz, self.rate)
            one.chip, one.n_pins, one.hold, one.edges = row.chip, len(row.pins), row.hold, EDGES[row.edge]
            for number, pin in enumerate(row.pins):
                one.pin[number] = pin
        new = lib.eegd_detect_new(native)
        assert new != ffi.NULL
        if self.pointer != ffi.NULL:
            lib.eegd_detect_follow(new, self.pointer)
        self.free()
        self.pointer = new

    def take(self, index: int, conversion: bytes) -> list[Event]:
        data = ffi.from_buffer(conversion)
        sample = ffi.new("struct eegd_detect_sample *", {"bytes": data, "index": index, "time_ns": index * PERIOD_NS})
        lib.eegd_detect_take(self.pointer, sample)
        return [
            (name, event.source, event.sample_index, event.time_ns, event.value, event.n, event.b, event.c)
            for name, ring in self.rings.items()
            for event in ring.take(None)
        ]

    def free(self) -> None:
        lib.eegd_detect_free(self.pointer)
        self.pointer = ffi.NULL


def layout_of(rng: random.Random, n_chips: int) -> tuple[ConversionLayout, int]:
    chips = tuple(rng.choice(list(CHIP_INPUTS)) for _ in range(n_chips)) if n_chips < 4 else ("ADS1299",) * 4
    n_channels = sum(CHIP_INPUTS[chip] for chip in chips)
    channels = tuple(
        Channel(label=f"E{n}", input=n, gain=rng.choice((1, 6, 24)), p=f"E{n}", n="SRB1")
        for n in range(1, n_channels + 1)
    )
    return conversion_layout(BoardConfig(chips=chips), Montage(channels=channels)), n_channels


def microvolts(layout: ConversionLayout, channel: int, code: int) -> float:
    return float(np.float32(code * layout.lsb_uv[channel]))


def random_rows(rng: random.Random, layout: ConversionLayout, n_channels: int, n_chips: int) -> list[Row]:
    rows = []
    for kind, most in MOST.items():
        for number in range(rng.randint(0, most)):
            channel = rng.randrange(n_channels)
            level = microvolts(layout, channel, rng.choice(CODES))
            rows.append(
                Row(
                    name=f"{kind}{number}",
                    kind=kind,
                    channel=channel,
                    threshold=level if kind == "change" else 0.0,
                    hysteresis=rng.choice((0.0, 0.0, 2 * abs(level), 1.0)) if kind == "change" else 0.0,
                    edge=rng.choice(sorted(EDGES)),
                    corner_hz=rng.choice((0.0, 0.0, 40.0, 400.0)) if kind != "pins" else 0.0,
                    interval=rng.choice((1, 2, 7)),
                    chip=rng.randrange(n_chips),
                    pins=tuple(rng.sample(range(4), rng.randint(1, 4))),
                    hold=rng.choice((0, 1, 3)),
                )
            )
    return rng.sample(rows, len(rows))


def changed(rng: random.Random, rows: list[Row], others: list[Row]) -> list[Row]:
    """Some rows as they were, some others in their place, some gone, in another order."""
    other = {row.name: row for row in others}
    kept = [other.get(row.name, row) if rng.random() < 0.2 else row for row in rows if rng.random() < 0.9]
    names = {row.name for row in kept}
    kept += [row for row in others if row.name not in names and rng.random() < 0.3]
    return rng.sample(kept, len(kept))


def conversion_of(layout: ConversionLayout, codes: list[int], status: list[int]) -> bytes:
    made = bytearray(layout.n_bytes)
    for offset, word in zip(layout.chip_offsets, status, strict=True):
        made[offset : offset + 3] = (0xC00000 | word).to_bytes(3, "big")
    for offset, code in zip(layout.channel_offsets, codes, strict=True):
        made[offset : offset + 3] = code.to_bytes(3, "big", signed=True)
    return bytes(made)


@pytest.mark.parametrize("rate", [250, 16000])
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1), n_chips=st.integers(1, 4), swaps=st.booleans())
@example(seed=10937463, n_chips=4, swaps=True)  # a table that follows one which has seen no sample yet
def test_a_table_tells_what_the_words_say(rate: int, seed: int, n_chips: int, swaps: bool) -> None:
    rng = random.Random(seed)
    layout, n_channels = layout_of(rng, n_chips)
    rows = random_rows(rng, layout, n_channels, n_chips)
    table, reference = Table(layout, rate), Reference(rate)
    table.swap(rows)
    reference.swap(rows)
    index, status = rng.choice((0, 10**12)), [0] * n_chips
    codes = [0] * n_channels
    for _ in range(N_SAMPLES):
        if swaps and rng.random() < 0.1:
            rows = changed(rng, rows, random_rows(rng, layout, n_channels, n_chips))
            table.swap(rows)
            reference.swap(rows)
        codes = [rng.choice(CODES) if rng.random() < 0.5 else code for code in codes]
        status = [rng.randrange(16) if rng.random() < 0.4 else word for word in status]
        values = [microvolts(layout, channel, code) for channel, code in enumerate(codes)]
        found = table.take(index, conversion_of(layout, codes, status))
        assert sorted(found) == sorted(reference.take(index, values, status))
        index += rng.choice((2, 40)) if rng.random() < 0.03 else 1
    table.free()


def test_32_channels_with_the_most_detectors_that_there_may_be() -> None:
    rng = random.Random(4)
    layout, n_channels = layout_of(rng, 4)
    assert n_channels == 32
    rows = [
        Row(name=f"d{n}", kind="change", channel=n % 32, threshold=microvolts(layout, n % 32, 1), edge="both")
        for n in range(lib.EEGD_MAX_DETECTORS)
    ]
    table, reference = Table(layout, 16000), Reference(16000)
    table.swap(rows)
    reference.swap(rows)
    n_found = 0
    for index in range(100):
        codes = [(index + n) % 2 for n in range(32)]
        values = [microvolts(layout, channel, code) for channel, code in enumerate(codes)]
        found = table.take(index, conversion_of(layout, codes, [0] * 4))
        assert sorted(found) == sorted(reference.take(index, values, [0] * 4))
        n_found += len(found)
    assert n_found == 99 * lib.EEGD_MAX_DETECTORS, "one code over the threshold, and one under it, at every sample"
    table.free()
