"""Numbers, sparklines, bars and traces as text; the bins behind a scrolling trace."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eegd.cli.envelope import Envelope
from eegd.cli.text import (
    bar,
    braille,
    count,
    data_note,
    duration,
    nice_scale,
    ppm,
    quantity,
    short,
    size,
    sparkline,
    wall_clock,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (0.012, "0.012"),
        (1.234, "1.23"),
        (-9.996, "-10.0"),
        (12.34, "12.3"),
        (123.4, "123"),
        (999.6, "1.0k"),
        (1234, "1.2k"),
        (12345, "12k"),
        (9_960_000, "10M"),
        (1e15, "1e+15"),
        (float("nan"), "–"),
        (float("inf"), "–"),
    ],
)
def test_short_gives_about_three_digits(value: float, text: str) -> None:
    assert short(value) == text


@given(st.floats(min_value=-9.9e14, max_value=9.9e14))
def test_short_stays_short(value: float) -> None:
    assert len(short(value)) <= 6


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.34, "µV", "12.3 µV"),
        (-614.6, "µV", "-614.6 µV"),
        (6361.0, "µV", "6361 µV"),
        (187500.0, "µV", "187.5 mV"),
        (4.5e6, "µV", "4.50 V"),
        (0.0, "µV", "0.00 µV"),
        (3.2, "µV²", "3.20 µV²"),
        (0.5, "", "0.50"),
        (float("nan"), "µV", "– µV"),
    ],
)
def test_quantity_carries_its_unit(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_counts_sizes_and_ppm_are_easily_read() -> None:
    assert count(5_400_000) == "5 400 000"
    assert [size(n) for n in (512, 51_200, 32_000_000, 4_096_000_000)] == ["512 B", "51.2 kB", "32.0 MB", "4.1 GB"]
    assert ppm(1.23) == "+1.2 ppm"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00034, "340 µs"),
        (0.0123, "12.3 ms"),
        (4.2, "4.2 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7620, "2 h 07 min"),
        (273_600, "3 d 04 h"),
    ],
)
def test_duration_takes_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_wall_clock_shows_milliseconds() -> None:
    assert wall_clock(1_700_000_000_123_999_999).endswith(".123")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ((), ""),
        (("first", "short"), ""),
        (("simulated",), "SIMULATED – not a person"),
        (("simulated", "test signal"), "SIMULATED, TEST SIGNAL – not a person"),
        (("replay",), "REPLAY – a recording, not live"),
        (("shorted",), "SHORTED – not a person"),
    ],
)
def test_data_that_are_not_a_persons_are_said_to_be(flags: tuple[str, ...], text: str) -> None:
    assert data_note(flags) == text


@given(st.floats(min_value=1.0, max_value=1e9))
def test_nice_scale_holds_the_value_and_wastes_at_most_half(value: float) -> None:
    scale = nice_scale(value)
    assert value * (1 - 1e-9) <= scale <= 1.5 * value + 1e-9


def test_nice_scale_of_nothing_is_one() -> None:
    assert nice_scale(0) == nice_scale(float("nan")) == 1


def test_sparkline_goes_from_the_least_to_the_greatest() -> None:
    assert sparkline(np.arange(8.0), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.array([1.0, np.nan, 3.0]), 8) == "▁ █"
    assert sparkline(np.full(3, 7.0), 8) == "▄▄▄"
    assert sparkline(np.zeros(0), 8) == ""


@given(arrays(np.float64, st.integers(0, 100), elements=st.floats(-1e9, 1e9)), st.integers(0, 40))
def test_sparkline_is_never_wider_than_asked(values: np.ndarray, width: int) -> None:
    assert len(sparkline(values, width)) == min(width, len(values))


@given(st.floats(allow_nan=True), st.integers(1, 20))
def test_bar_is_always_as_wide_as_asked(fraction: float, width: int) -> None:
    assert len(bar(fraction, width)) == width


def test_bar_counts_in_eighths() -> None:
    assert [bar(n / 16, 2) for n in (0, 1, 8, 9, 16)] == ["  ", "▏ ", "█ ", "█▏", "██"]


def test_braille_draws_a_flat_line_in_the_middle_and_clips_at_the_border() -> None:
    middle = np.zeros(4)
    assert braille(middle, middle, 1) == ["⠤⠤"]
    assert braille(middle + 9, middle + 9, 1) == ["⠉⠉"]
    assert braille(middle - 9, middle - 9, 2) == ["⠀⠀", "⣀⣀"]


def test_braille_leaves_a_gap_where_there_are_no_samples() -> None:
    trace = np.array([0.0, 0.0, np.nan, np.nan, 0.0, 0.0])
    assert braille(trace, trace, 1) == ["⠤⠀⠤"]


def test_braille_joins_a_step_to_one_line() -> None:
    step = np.array([-1.0, 1.0])
    assert braille(step, step, 1) == ["⡸"]


@given(
    arrays(np.float64, st.integers(0, 30), elements=st.floats(-5, 5) | st.just(np.nan)),
    st.integers(1, 4),
)
def test_braille_has_two_dot_columns_to_a_character(trace: np.ndarray, height: int) -> None:
    lines = braille(trace, trace, height)
    assert [len(line) for line in lines] == [len(trace) // 2] * height


def _index(first: int, n: int) -> np.ndarray:
    return np.arange(first, first + n, dtype=np.int64)


def test_envelope_gives_bounds_about_the_middle_of_each_channel() -> None:
    envelope = Envelope(1, 8, 2)
    envelope.add(np.array([[9, 11, 9, 11, 8, 12, 0]], np.float32), _index(0, 7))
    low, high = envelope.bounds(3)
    assert low.tolist() == [[-1, -1, -2]]
    assert high.tolist() == [[1, 1, 2]]


def test_envelope_leaves_lost_samples_out() -> None:
    envelope = Envelope(1, 8, 2)
    envelope.add(np.array([[1, 1, 1, 1]], np.float32), np.array([0, 1, 6, 7], np.int64))
    envelope.add(np.array([[1]], np.float32), _index(8, 1))
    low, _ = envelope.bounds(4)
    assert np.isnan(low[0]).tolist() == [False, True, True, False]


def test_envelope_knows_more_bins_than_were_filled_as_gaps() -> None:
    low, high = Envelope(2, 8, 2).bounds(20)
    assert low.shape == high.shape == (2, 20)
    assert np.isnan(low).all()


def test_envelope_rms_leaves_the_mean_out() -> None:
    envelope = Envelope(1, 16, 4)
    envelope.add(np.tile(np.array([999, 1001], np.float32), 20)[None], _index(0, 40))
    envelope.add(np.zeros((1, 1), np.float32), _index(40, 1))
    assert envelope.rms(8) == pytest.approx([1.0])


@given(st.lists(st.integers(1, 60), max_size=20), st.integers(1, 7))
def test_envelope_does_not_care_how_samples_come_in(lengths: list[int], per_bin: int) -> None:
    rng = np.random.default_rng(len(lengths))
    data = rng.normal(size=(3, sum(lengths))).astype(np.float32)
    whole, pieces = Envelope(3, 16, per_bin), Envelope(3, 16, per_bin)
    whole.add(data, _index(0, data.shape[1]))
    at = 0
    for n in lengths:
        pieces.add(data[:, at : at + n], _index(at, n))
        at += n
    for a, b in zip(whole.bounds(15), pieces.bounds(15), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(whole.rms(15), pieces.rms(15), atol=1e-9)
