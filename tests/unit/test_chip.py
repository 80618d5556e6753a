# SPDX-License-Identifier: MIT
"""The emulated ADS1299 against the datasheet's numbers, and against bytes that no driver would send."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegd._native import ffi, lib

NATIVE = Path(__file__).resolve().parents[2] / "native"
VREF_NV = 4_500_000_000
GAINS = {1: 0x00, 2: 0x10, 4: 0x20, 6: 0x30, 8: 0x40, 12: 0x50, 24: 0x60}
RESET = bytes.fromhex("3E96C06000 6161616161616161 0000000000 0000 0F 000000")
VARIANTS = {8: 0x3E, 6: 0x3D, 4: 0x3C}
RESERVED_BITS_FREE = [0x01, 0x02, 0x03, 0x04, *range(0x05, 0x12), 0x14, 0x15, 0x16, 0x17]


class Bench:
    """One emulated board on the virtual clock with known potentials."""

    def __init__(self, **config: Any) -> None:
        self.config = ffi.new("struct eegd_sim_config *")
        lib.eegd_sim_defaults(self.config)
        self.config.virtual_clock = 1
        self.config.reset_wired = self.config.pwdn_wired = 1
        self.config.noise = config.pop("noise", lib.EEGD_NOISE_OFF)
        p_nv = config.pop("p_nv", [0] * 32)
        n_nv = config.pop("n_nv", [0] * 32)
        for name, value in config.items():
            setattr(self.config, name, value)
        error = ffi.new("int *")
        source = lib.eegd_source_constant(p_nv, n_nv, len(p_nv), 0, 0, 0, 0)
        self.board = lib.eegd_board_sim_open(self.config, source, error)
        assert self.board != ffi.NULL, error[0]
        self.sleep(50_000)

    def transfer(self, tx: bytes, speed_hz: int = 2_000_000, cs: int = 0) -> bytes:
        rx = ffi.new("uint8_t[]", len(tx))
        buffer = ffi.from_buffer("uint8_t[]", tx)
        request = ffi.new("struct eegd_transfer *", [buffer, rx, len(tx), speed_hz, cs, 3])
        assert lib.eegd_board_transfer(self.board, request, ffi.NULL) == 0
        return bytes(ffi.buffer(rx))

    def sleep(self, ns: int) -> None:
        lib.eegd_board_sleep(self.board, ns)

    def registers(self) -> bytes:
        return self.transfer(bytes([0x20, 0x17]) + bytes(24))[2:]

    def write(self, address: int, *values: int) -> None:
        self.transfer(bytes([0x40 | address, len(values) - 1, *values]))

    def start(self, config1: int = 0x96) -> None:
        self.write(0x03, 0xE0)
        self.write(0x01, config1)
        self.transfer(b"\x10")
        lib.eegd_board_set_line(self.board, lib.EEGD_LINE_START, 1)

    def edge(self) -> int:
        edge = ffi.new("struct eegd_edge *")
        assert lib.eegd_board_wait(self.board, 1_000_000_000, edge) == 1
        return int(edge.drdy_ns)

    def conversion(self, n_bytes: int = 27) -> bytes:
        self.edge()
        return self.transfer(bytes(n_bytes), 20_000_000)

    @property
    def n_violations(self) -> int:
        return int(lib.eegd_board_sim_violation_count(self.board, lib.EEGD_VIOLATION_KINDS))


@contextmanager
def bench(**config: Any) -> Iterator[Bench]:
    opened = Bench(**config)
    try:
        yield opened
    finally:
        lib.eegd_board_close(opened.board)


def codes(conversion: bytes) -> list[int]:
    return [int.from_bytes(conversion[i : i + 3], "big", signed=True) for i in range(3, len(conversion), 3)]


@pytest.mark.parametrize("n_channels", [8, 6, 4])
def test_register_dump_after_reset_is_the_datasheets(n_channels: int) -> None:
    expected = bytearray(RESET)
    expected[0] = VARIANTS[n_channels]
    expected[5 + n_channels : 13] = bytes(8 - n_channels)
    with bench(n_channels=[n_channels, 8, 8, 8]) as chip:
        chip.transfer(b"\x11")
        assert chip.registers() == bytes(expected)
        assert chip.n_violations == 0


@pytest.mark.parametrize("amplitude", [1, 2])
@pytest.mark.parametrize(("gain", "setting"), GAINS.items())
def test_square_wave_alternates_between_exact_codes(amplitude: int, gain: int, setting: int) -> None:
    exact = amplitude * gain * 2**23 / 2400
    expected = int(exact + 0.5)
    with bench() as chip:
        chip.transfer(b"\x11")
        chip.write(0x02, 0xD1 if amplitude == 1 else 0xD5)
        chip.write(0x05, *[setting | 0x05] * 8)
        chip.start()
        seen = [codes(chip.conversion())[0] for _ in range(400)]
    assert set(seen) == {expected, -expected}
    steps = np.flatnonzero(np.diff(seen))
    assert set(np.diff(steps)) == {64}


def test_first_drdy_comes_32777_ticks_after_start_at_250_sps() -> None:
    with bench() as chip:
        chip.transfer(b"\x11")
        chip.start()
        started = lib.eegd_board_now(chip.board)
        first = chip.edge()
        assert abs(first - started - 32777 * 1e9 / 2.048e6) < 489
        assert chip.edge() - first == 4_000_000


@given(
    st.lists(st.integers(-VREF_NV, VREF_NV), min_size=8, max_size=8),
    st.lists(st.integers(-VREF_NV, VREF_NV), min_size=8, max_size=8),
    st.lists(st.sampled_from(sorted(GAINS)), min_size=8, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_codes_are_the_rounded_clipped_potentials(p_nv: list[int], n_nv: list[int], gains: list[int]) -> None:
    with bench(p_nv=p_nv, n_nv=n_nv) as chip:
        chip.transfer(b"\x11")
        chip.write(0x05, *[GAINS[gain] for gain in gains])
        chip.start(0x90)
        seen = codes(chip.conversion())
    for p, n, gain, code in zip(p_nv, n_nv, gains, seen, strict=True):
        doubled = 2 * abs(p - n) * gain * 2**23
        magnitude = (doubled + VREF_NV) // (2 * VREF_NV)
        assert code == max(-(2**23), min(2**23 - 1, magnitude if p > n else -magnitude))


def test_shorted_noise_has_the_datasheets_rms_and_looks_gaussian() -> None:
    with bench(noise=lib.EEGD_NOISE_SHORTED, seed=20) as chip:
        chip.transfer(b"\x11")
        chip.start()
        values = np.array([codes(chip.conversion()) for _ in range(3000)], dtype=float)
    lsb_uv = 4.5e6 / 2**23 / 24
    assert values.std() * lsb_uv == pytest.approx(0.14, rel=0.03)
    assert abs(values.mean()) < 0.2
    deviation = (values - values.mean()) / values.std()
    assert (deviation**4).mean() == pytest.approx(3.0, abs=0.25)
    assert abs(np.corrcoef(values.T)[np.triu_indices(8, 1)]).max() < 0.08


CHIPS = st.lists(st.sampled_from([4, 6, 8]), min_size=1, max_size=4)


@given(CHIPS, st.booleans(), st.integers(0, 6))
@settings(max_examples=40, deadline=None)
def test_any_chain_or_cascade_delivers_every_chips_channels(chips: list[int], daisy: bool, rate: int) -> None:
    p_nv = [1_000_000 * (i + 1) for i in range(sum(chips))]
    expected = [round(nv * 2**23 / VREF_NV) for nv in p_nv]
    selects = [0] * 4 if daisy else [0, 1, 2, 3]
    padded = chips + [8] * (4 - len(chips))
    with bench(n_chips=len(chips), n_channels=padded, cs=selects, p_nv=p_nv, n_nv=[0] * len(p_nv)) as chip:
        for cs in sorted(set(selects[: len(chips)])):
            chip.transfer(b"\x11", cs=cs)
            chip.transfer(bytes([0x43, 0, 0xE0]), cs=cs)
            chip.transfer(bytes([0x41, 0, 0x90 | rate]), cs=cs)
            chip.transfer(bytes([0x45, 7]) + bytes(8), cs=cs)
            chip.transfer(b"\x10", cs=cs)
        lib.eegd_board_set_line(chip.board, lib.EEGD_LINE_START, 1)
        chip.edge()
        if daisy:
            groups = [chip.transfer(bytes(sum(3 + 3 * n for n in chips)), 20_000_000)]
        else:
            groups = [chip.transfer(bytes(3 + 3 * n), 20_000_000, cs) for cs, n in enumerate(chips)]
        wire = b"".join(groups)
    at, seen = 0, []
    for n in chips:
        assert wire[at : at + 3] == b"\xc0\x00\x00"
        seen += codes(wire[at : at + 3 + 3 * n])
        at += 3 + 3 * n
    assert seen == expected


@given(st.lists(st.tuples(st.sampled_from(RESERVED_BITS_FREE), st.integers(0, 255)), max_size=20))
@settings(max_examples=60, deadline=None)
def test_registers_keep_what_is_written_but_for_read_only_bits(writes: list[tuple[int, int]]) -> None:
    expected = bytearray(RESET)
    with bench() as chip:
        chip.transfer(b"\x11")
        for address, value in writes:
            chip.write(address, value)
            expected[address] = value
        seen = bytearray(chip.registers())
    seen[0x03] &= 0xFE  # BIAS_STAT is the chip's
    expected[0x03] &= 0xFE
    outputs = ~expected[0x14] & 0x0F  # GPIO reads levels: 0 outside, the D bit where the pin is an output
    expected[0x14] = (expected[0x14] & (outputs << 4)) | (expected[0x14] & 0x0F)
    assert seen == expected


STEP = st.one_of(
    st.tuples(st.just("cs"), st.integers(0, 1)),
    st.tuples(st.just("start"), st.integers(0, 1)),
    st.tuples(st.just("reset"), st.integers(0, 1)),
    st.tuples(st.just("pwdn"), st.integers(0, 1)),
    st.tuples(st.just("byte"), st.integers(0, 255)),
    st.tuples(st.just("byte"), st.sampled_from([0x02, 0x04, 0x06, 0x08, 0x0A, 0x10, 0x11, 0x12, 0x20, 0x40, 0])),
)


@given(
    st.sampled_from([4, 6, 8]),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 60), STEP), max_size=300),
    st.integers(0, 3_000_000),
)
@settings(max_examples=150, deadline=None)
def test_no_bytes_at_no_time_break_the_register_rules(
    n_channels: int, drop_fast: bool, steps: Sequence[tuple[int, tuple[str, int]]], rest: int
) -> None:
    def convert(_context: Any, _tick: int, inputs: Any) -> int:
        inputs.p_nv = inputs.n_nv = zeros
        return 1

    zeros = ffi.new("int64_t[8]")
    callback = ffi.callback("int(void *, uint64_t, struct eegd_chip_inputs *)", convert)
    config = ffi.new("struct eegd_chip_config *")
    lib.eegd_chip_defaults(config)
    config.n_channels, config.drop_fast = n_channels, drop_fast
    chip = ffi.new("struct eegd_chip *")
    assert lib.eegd_chip_init(chip, config, callback, ffi.NULL, 0) == 0
    moves = {
        "cs": lib.eegd_chip_cs,
        "start": lib.eegd_chip_start_pin,
        "reset": lib.eegd_chip_reset_pin,
        "pwdn": lib.eegd_chip_pwdn_pin,
    }
    tick = 0
    for pause, (what, value) in steps:
        tick += pause
        if what == "byte":
            lib.eegd_chip_exchange(chip, tick, value, 0)
        else:
            moves[what](chip, tick, value)
    lib.eegd_chip_advance(chip, tick + rest)

    absent = 0xFF & ~((1 << n_channels) - 1)
    assert chip.now == tick + rest
    assert lib.eegd_chip_register(chip, 0) == VARIANTS[n_channels]
    assert all(lib.eegd_chip_register(chip, 0x05 + channel) == 0 for channel in range(n_channels, 8))
    assert all(lib.eegd_chip_register(chip, address) & absent == 0 for address in range(0x0D, 0x14))
    assert lib.eegd_chip_next_event(chip) > chip.now
    assert chip.violations == sum(chip.violation_counts)


def test_every_violation_has_words() -> None:
    words = {ffi.string(lib.eegd_violation_name(kind)) for kind in range(lib.EEGD_VIOLATION_KINDS)}
    assert len(words) == lib.EEGD_VIOLATION_KINDS


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("nm")), reason="needs gcc and nm")
def test_chip_needs_no_floating_point_and_no_libc_but_memcpy_and_memset(tmp_path: Path) -> None:
    objects = []
    for source in sorted(NATIVE.glob("chip*.c")):
        objects.append(str(tmp_path / f"{source.stem}.o"))
        flags = ["-std=gnu11", "-O2", "-ffreestanding", "-fno-stack-protector", "-mgeneral-regs-only"]
        subprocess.run(["gcc", *flags, "-c", str(source), "-o", objects[-1]], check=True)
    subprocess.run(["ld", "-r", "-o", str(tmp_path / "whole.o"), *objects], check=True)
    listing = subprocess.run(
        ["nm", "--undefined-only", "--format=posix", str(tmp_path / "whole.o")],
        check=True,
        capture_output=True,
        text=True,
    )
    assert {line.split()[0] for line in listing.stdout.splitlines()} <= {
        "memcpy",
        "memset",
        "_GLOBAL_OFFSET_TABLE_",
    }
