"""Conversions become microvolts exactly: every code, every gain, any set of chips, either wiring."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegd._native import ffi, lib
from eegd.ads1299 import ConversionLayout, conversion_layout, conversion_map
from eegd.config import BoardConfig
from eegd.montage import CHIP_INPUTS, GAINS, Channel, Montage

MODELS = tuple(CHIP_INPUTS)
STRIDE = 48


def make_channel(number: int, gain: int, wiring: str) -> Channel:
    sides = {"SRB1": (f"E{number}", "SRB1"), "SRB2": ("SRB2", f"E{number}"), "bipolar": (f"E{number}", "F")}
    p, n = sides[wiring]
    return Channel(label=f"E{number}", input=number, gain=gain, p=p, n=n)


@st.composite
def board_and_montage(draw: st.DrawFn) -> tuple[BoardConfig, Montage]:
    """One to four chips of any variant, some of their inputs on, in any order, gain and wiring."""
    chips = tuple(draw(st.lists(st.sampled_from(MODELS), min_size=1, max_size=4)))
    n_inputs = sum(CHIP_INPUTS[model] for model in chips)
    inputs = draw(st.permutations(range(1, n_inputs + 1)))[: draw(st.integers(1, n_inputs))]
    if draw(st.booleans()):
        inputs = sorted(inputs)
    gains, wirings = st.sampled_from(GAINS), st.sampled_from(("SRB1", "SRB2", "bipolar"))
    channels = tuple(make_channel(number, draw(gains), draw(wirings)) for number in inputs)
    board = BoardConfig(chips=chips, topology=draw(st.sampled_from(("cascade", "daisy"))))
    return board, Montage(channels=channels)


def slow_decode(board: BoardConfig, montage: Montage, conversion: bytes) -> list[np.float32]:
    """Walks through the bytes as the datasheet draws them, knowing nothing of offsets."""
    codes, rest = [], conversion
    for model in board.chips:
        rest = rest[3:]
        for _ in range(CHIP_INPUTS[model]):
            codes.append(int.from_bytes(rest[:3], "big", signed=True))
            rest = rest[3:]
    assert rest == b""
    sign = {"SRB1": 1, "bipolar": 1, "SRB2": -1}
    return [
        np.float32(codes[channel.input - 1] * (4.5e6 / 2**23 / channel.gain * sign[channel.wiring]))
        for channel in montage.on
    ]


def decode(layout: ConversionLayout, conversions: bytes, *, block: bool) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(channels, samples) from C, through single calls or the block call."""
    n = len(conversions) // layout.n_bytes
    planes = np.full((len(layout.lsb_uv), max(n, STRIDE)), np.nan, np.float32)
    out, cmap = ffi.from_buffer("float[]", planes), conversion_map(layout)
    if block:
        lib.eegd_conversions_decode(cmap, conversions, n, out, planes.shape[1], 0)
    else:
        data = ffi.from_buffer("uint8_t[]", conversions)
        for index in range(n):
            lib.eegd_conversion_decode(cmap, data + index * layout.n_bytes, out, planes.shape[1], index)
    return planes[:, :n]


@given(board_and_montage(), st.integers(0, 21), st.randoms(use_true_random=False))
def test_decode_equals_a_slow_walk_through_the_bytes(parts: tuple[BoardConfig, Montage], n: int, random: Any) -> None:
    board, montage = parts
    layout = conversion_layout(board, montage)
    conversions = random.randbytes(n * layout.n_bytes)
    wanted = np.array(
        [slow_decode(board, montage, conversions[i * layout.n_bytes : (i + 1) * layout.n_bytes]) for i in range(n)],
        np.float32,
    ).reshape(n, len(montage.on))
    for block in (False, True):
        assert decode(layout, conversions, block=block).tobytes() == wanted.T.tobytes()


@pytest.mark.real_cpu("takes it minutes, and tests/native/test_ads1299.c tries the same 2^24 codes at every gain")
@pytest.mark.parametrize("wiring", ["SRB1", "SRB2"])
@pytest.mark.parametrize("gain", GAINS)
def test_microvolts_give_back_every_code(gain: int, wiring: str) -> None:
    montage = Montage(channels=tuple(make_channel(number, gain, wiring) for number in range(1, 9)))
    layout = conversion_layout(BoardConfig(), montage)
    codes = np.arange(-(2**23), 2**23, dtype=np.int32).reshape(-1, 8)
    conversions = np.zeros((len(codes), 27), np.uint8)
    as_bytes = codes.astype(">i4").view(np.uint8).reshape(len(codes), 8, 4)
    conversions[:, 3:] = as_bytes[:, :, 1:].reshape(len(codes), 24)
    uv = decode(layout, conversions.tobytes(), block=True).T
    assert np.array_equal(np.rint(uv.astype(np.float64) / layout.lsb_uv[0]).astype(np.int32), codes)
    assert (layout.lsb_uv[0] < 0) == (wiring == "SRB2")


@pytest.mark.parametrize(
    ("code", "signed", "uv_gain_24", "uv_gain_1"),
    [
        ("000001", 1, 0.022351741790771484, 0.5364418029785156),
        ("FFFFFF", -1, -0.022351741790771484, -0.5364418029785156),
        ("123456", 1193046, 26666.656136512756, 639999.7472763062),
        ("FEDCBA", -74566, -1666.6799783706665, -40000.319480895996),
        ("7FFFFF", 8388607, 187499.9776482582, 4499999.463558197),
        ("800000", -8388608, -187500.0, -4500000.0),
    ],
)
def test_golden_codes(code: str, signed: int, uv_gain_24: float, uv_gain_1: float) -> None:
    assert lib.eegd_code_from_bytes(bytes.fromhex(code)) == signed
    montage = Montage(channels=(make_channel(1, 24, "SRB1"), make_channel(2, 1, "SRB1")))
    conversion = bytes.fromhex("C00000" + 2 * code + 6 * "000000")
    uv = decode(conversion_layout(BoardConfig(), montage), conversion, block=False)
    assert uv[:, 0].tolist() == [np.float32(uv_gain_24), np.float32(uv_gain_1)]


@given(board_and_montage(), st.data())
def test_check_finds_the_one_chip_whose_status_is_wrong(
    parts: tuple[BoardConfig, Montage], data: st.DataObject
) -> None:
    layout = conversion_layout(*parts)
    cmap = conversion_map(layout)
    conversion = bytearray(layout.n_bytes)
    assert lib.eegd_conversion_check(cmap, bytes(conversion)) == lib.EEGD_CONVERSION_ALL_00
    assert lib.eegd_conversion_check(cmap, b"\xff" * layout.n_bytes) == lib.EEGD_CONVERSION_ALL_FF
    words = []
    for offset, (mask, value) in zip(layout.chip_offsets, layout.known_status, strict=True):
        words.append(value | 0xC12345 & ~mask)
        conversion[offset : offset + 3] = words[-1].to_bytes(3, "big")
    assert lib.eegd_conversion_check(cmap, bytes(conversion)) == lib.EEGD_CONVERSION_OK
    chip = data.draw(st.integers(0, len(layout.chip_offsets) - 1))
    nibble = data.draw(st.integers(0, 15).filter(lambda value: value != 0xC))
    conversion[layout.chip_offsets[chip]] = nibble << 4 | words[chip] >> 16 & 0xF
    assert lib.eegd_conversion_check(cmap, bytes(conversion)) == lib.EEGD_CONVERSION_BAD_STATUS
    assert lib.eegd_conversion_status(cmap, bytes(conversion), chip) == nibble << 20 | words[chip] & 0xFFFFF


def known_status(inputs_with_lead_off: tuple[int, ...] = (), **board: Any) -> list[str]:
    channels = tuple(replace(make_channel(n, 24, "SRB1"), lead_off=n in inputs_with_lead_off) for n in (1, 9))
    layout = conversion_layout(BoardConfig(chips=("ADS1299", "ADS1299"), **board), Montage(channels=channels))
    return [f"{mask:06X} {value:06X}" for mask, value in layout.known_status]


def test_what_a_status_word_must_say_follows_from_comparators_and_pins() -> None:
    assert known_status() == ["FFFFF0 C00000"] * 2
    assert known_status(gpio=0x84) == ["FFFFFB C00008"] * 2  # pin 3 is an input
    assert known_status((9,), lead_off_mode="dc") == ["FFFFF0 C00000", "F00000 C00000"]
    assert known_status((9,), lead_off_mode="dc", topology="daisy") == ["F00000 C00000"] * 2  # they share registers
    assert known_status((), lead_off_mode="dc") == ["FFFFF0 C00000"] * 2
    assert known_status((1, 9), lead_off_mode="ac_7.8") == ["FFFFF0 C00000"] * 2
    assert known_status(check_lead_off_bits=False, gpio=0x80) == ["F0000F C00008"] * 2


def test_layout_of_a_mixed_chain_and_of_a_cascade() -> None:
    chips = ("ADS1299", "ADS1299-4", "ADS1299-6")
    channels = (make_channel(13, 6, "SRB2"), make_channel(1, 24, "SRB1"), make_channel(12, 24, "SRB1"))
    montage = Montage(channels=channels)
    layout = conversion_layout(BoardConfig(chips=chips, topology="daisy"), montage)
    assert layout.n_bytes == 27 + 15 + 21
    assert layout.chip_offsets == (0, 27, 42)
    assert layout.channel_offsets == (45, 3, 39)
    assert layout.lsb_uv == (-4.5e6 / 2**23 / 6, 4.5e6 / 2**23 / 24, 4.5e6 / 2**23 / 24)
    assert layout.transfers == ((0, 63),)
    layout = conversion_layout(BoardConfig(chips=chips, topology="cascade"), montage)
    assert layout.transfers == ((0, 27), (1, 15), (2, 21))


def test_channels_that_are_off_have_no_plane() -> None:
    channels = (
        Channel(label="A", input=1, p="A", n="SRB1", on=False),
        Channel(label="B", input=2, p="B", n="SRB1"),
    )
    layout = conversion_layout(BoardConfig(), Montage(channels=channels))
    assert layout.channel_offsets == (6,)
