"""The driver over the emulated chip on its virtual clock: registers, references, faults, timing rules."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from eegd._native import ffi, lib
from eegd.ads1299 import Ads1299, Register, conversion_layout, conversion_map
from eegd.board import Board
from eegd.config import (
    BoardConfig,
    Config,
    DaemonConfig,
    PluginsConfig,
    ReplayConfig,
    SimConfig,
    StreamConfig,
)
from eegd.errors import BoardError, ReadBackError
from eegd.montage import Channel, Montage, n_inputs, standard_montage
from eegd.sim import sim_config

RESET_DUMP = "3e96c060006161616161616161" + "0000000000" + "0000" + "0f" + "0000" + "00"
SECOND_NS = 1_000_000_000
LINES: dict[str, Any] = {"start_line": "GPIO22", "reset_line": "GPIO23", "pwdn_line": "GPIO24"}


@dataclass
class Potentials:
    """What the source holds at the pins, in nV."""

    p_nv: dict[int, int] = field(default_factory=dict)
    n_nv: dict[int, int] = field(default_factory=dict)
    srb1_nv: int = 0
    srb2_nv: int = 0


@contextmanager
def emulated(
    board: BoardConfig, montage: Montage, potentials: Potentials | None = None, **settings: Any
) -> Iterator[Board]:
    """The board that `board` describes, with constant potentials; `settings` override the emulator's own."""
    config = Config(
        board=board,
        sim=SimConfig(clock="virtual", source="quiet", fclk_ppm=settings.pop("fclk_ppm", 0.0)),
        replay=ReplayConfig(),
        montage=montage,
        stream=StreamConfig(),
        plugins=PluginsConfig(),
        daemon=DaemonConfig(),
    )
    sim = sim_config(config)
    sim.noise = lib.EEGD_NOISE_OFF
    for name, value in settings.items():
        setattr(sim, name, value)
    at, inputs = potentials or Potentials(), range(1, n_inputs(board.chips) + 1)
    source = lib.eegd_source_constant(
        [at.p_nv.get(number, 0) for number in inputs],
        [at.n_nv.get(number, 0) for number in inputs],
        len(inputs),
        at.srb1_nv,
        at.srb2_nv,
        0,
        0,
    )
    error = ffi.new("int *")
    pointer = lib.eegd_board_sim_open(sim, source, error)
    assert error[0] == 0
    with Board(pointer) as opened:
        yield opened


def violations(board: Board, n_chips: int) -> list[tuple[int, str, str]]:
    """(chip, what, detail) of everything that the driver did wrong."""
    seen, log = [], ffi.new("struct eegd_violation[64]")
    for chip in range(n_chips):
        for entry in log[0 : lib.eegd_board_sim_violations(board.pointer, chip, log, 64)]:
            what = ffi.string(lib.eegd_violation_name(entry.kind)).decode()
            seen.append((chip, what, f"{entry.detail:X}h"))
    return seen


def dump(board: Board, chip: int = 0) -> bytes:
    registers = ffi.new("uint8_t[24]")
    assert lib.eegd_board_sim_registers(board.pointer, chip, registers) == 0
    return bytes(ffi.buffer(registers))


def inject(board: Board, kind: int, **settings: int) -> None:
    fault = ffi.new("struct eegd_fault *", {"kind": kind, "at": lib.EEGD_FAULT_NOW, **settings})
    assert lib.eegd_board_sim_fault(board.pointer, fault) == 0


def read_conversions(board: Board, config: BoardConfig, montage: Montage, n: int) -> list[bytes]:
    """What the capture thread would read at the next n edges."""
    layout = conversion_layout(config, montage)
    conversions = []
    for _ in range(n):
        assert board.wait(SECOND_NS) is not None
        conversion = b"".join(
            board.transfer(bytes(n_bytes), cs=cs, speed_hz=config.sclk_hz) for cs, n_bytes in layout.transfers
        )
        conversions.append(conversion)
    return conversions


BOARDS = {
    "one chip by command": BoardConfig(),
    "one chip by lines": BoardConfig(**LINES),
    "4 channels": BoardConfig(chips=("ADS1299-4",)),
    "6 channels": BoardConfig(chips=("ADS1299-6",)),
    "cascade by command": BoardConfig(chips=("ADS1299", "ADS1299-4", "ADS1299-6"), clock_out=True),
    "cascade by lines": BoardConfig(chips=("ADS1299",) * 4, **LINES),
    "chain by command": BoardConfig(chips=("ADS1299",) * 4, topology="daisy"),
    "chain by lines": BoardConfig(chips=("ADS1299",) * 2, topology="daisy", clock_out=True, **LINES),
    "lead-off and test pins": BoardConfig(lead_off_mode="dc", gpio=0x80),
    "test signal": BoardConfig(input="test_signal", test_signal="fast", test_amplitude=2),
    "shorted": BoardConfig(input="shorted", bias_amplifier=False),
    "external reference": BoardConfig(internal_reference=False),
    "fast": BoardConfig(rate_sps=16000, sclk_hz=20_000_000),
}


@pytest.mark.parametrize("ppm", [0.0, -25_000.0, 25_000.0])
@pytest.mark.parametrize("name", BOARDS)
def test_no_rule_of_the_chip_is_broken_from_power_up_to_stop(name: str, ppm: float) -> None:
    config = BOARDS[name]
    n_chips = len(config.chips)
    montage = standard_montage(config.chips, bias=config.bias_amplifier, lead_off=True)
    with emulated(config, montage, power_up=1, drop_fast=1, fclk_ppm=ppm) as board:
        driver = Ads1299(board, config, montage)
        driver.power_up()
        report = driver.configure()
        for chip, image in enumerate(driver.registers):
            assert dump(board, chip)[1:] == image[1:]
            assert report.read[chip] in (None, dump(board, chip))
        for _ in range(2):
            driver.start()
            for conversion in read_conversions(board, config, montage, 5):
                cmap = conversion_map(conversion_layout(config, montage))
                assert lib.eegd_conversion_check(cmap, conversion) == lib.EEGD_CONVERSION_OK
            driver.stop()
            driver.verify()
        assert violations(board, n_chips) == []


def test_power_up_leaves_reset_registers() -> None:
    config = BoardConfig()
    montage = standard_montage(config.chips)
    with emulated(config, montage, power_up=1) as board:
        driver = Ads1299(board, config, montage)
        driver.power_up()
        assert dump(board).hex() == RESET_DUMP
        assert driver.id_of(0) == 0x3E


def test_a_chip_that_is_still_converting_is_brought_back() -> None:
    config = BoardConfig(rate_sps=1000)
    montage = standard_montage(config.chips, gain=6)
    with emulated(config, montage) as board:
        former = Ads1299(board, config, montage)
        former.power_up()
        former.configure()
        former.start()
        read_conversions(board, config, montage, 3)
        driver = Ads1299(board, config, montage)
        driver.power_up()
        driver.configure()
        driver.start()
        assert [len(one) for one in read_conversions(board, config, montage, 3)] == [27] * 3


# ---- The reference, and what comes out in microvolts ----


def decoded(conversion: bytes, config: BoardConfig, montage: Montage) -> list[float]:
    layout = conversion_layout(config, montage)
    planes = ffi.new("float[]", len(montage.on))
    lib.eegd_conversion_decode(conversion_map(layout), conversion, planes, 1, 0)
    return list(planes)


def one_conversion(config: BoardConfig, montage: Montage, potentials: Potentials) -> bytes:
    with emulated(config, montage, potentials) as board:
        driver = Ads1299(board, config, montage)
        driver.power_up()
        driver.configure()
        driver.start()
        conversion = read_conversions(board, config, montage, 4)[-1]
        assert violations(board, len(config.chips)) == []
        return conversion


@pytest.mark.parametrize("gain", [1, 24])
@pytest.mark.parametrize(
    ("wiring", "potentials", "sign"),
    [
        # Electrode of input 2 at +150 µV, of input 3 at −50 µV; the reference at +50 µV.
        ("SRB1", Potentials(p_nv={2: 150_000, 3: -50_000}, srb1_nv=50_000), 1),
        ("SRB2", Potentials(n_nv={2: 150_000, 3: -50_000}, srb2_nv=50_000), -1),
        ("bipolar", Potentials(p_nv={2: 150_000, 3: -50_000}, n_nv={2: 50_000, 3: 50_000}), 1),
    ],
)
def test_slabs_hold_electrode_minus_reference_and_codes_are_the_chips_own(
    wiring: str, potentials: Potentials, sign: int, gain: int
) -> None:
    config = BoardConfig()
    montage = standard_montage(config.chips, wiring=wiring, gain=gain)
    conversion = one_conversion(config, montage, potentials)
    code = {1: 186, 24: 0x117A}[gain]
    codes = [int.from_bytes(conversion[at : at + 3], "big", signed=True) for at in (6, 9)]
    assert codes == [sign * code, -sign * code]
    uv = decoded(conversion, config, montage)
    assert uv[1] == pytest.approx(100.0, abs=0.5 * montage.on[1].lsb_uv)
    assert uv[2] == pytest.approx(-100.0, abs=0.5 * montage.on[2].lsb_uv)


def test_planes_follow_the_montage_across_chips() -> None:
    config = BoardConfig(chips=("ADS1299", "ADS1299-4"))
    channels = (
        Channel(label="Last", input=12, gain=12, p="Last", n="SRB1"),
        Channel(label="Off", input=5, p="Off", n="SRB1", on=False),
        Channel(label="First", input=1, gain=24, p="First", n="SRB1"),
    )
    montage = Montage(channels=channels)
    potentials = Potentials(p_nv={1: 10_000, 5: 77_000, 12: -20_000})
    last, first = decoded(one_conversion(config, montage, potentials), config, montage)
    assert last == pytest.approx(-20.0, abs=0.03)
    assert first == pytest.approx(10.0, abs=0.02)


def test_the_test_signal_has_the_datasheets_amplitude() -> None:
    config = BoardConfig(input="test_signal")
    montage = standard_montage(config.chips, gain=1)
    conversion = one_conversion(config, montage, Potentials(p_nv=dict.fromkeys(range(1, 9), 10**6)))
    assert {conversion[at : at + 3].hex() for at in range(3, 27, 3)} <= {"000da7", "fff259"}


# ---- Faults ----


@contextmanager
def configured(config: BoardConfig) -> Iterator[tuple[Ads1299, Board]]:
    montage = standard_montage(config.chips)
    with emulated(config, montage) as board:
        driver = Ads1299(board, config, montage)
        driver.power_up()
        driver.configure()
        yield driver, board


def test_a_lost_register_write_is_named() -> None:
    config = BoardConfig(chips=("ADS1299",) * 2)
    montage = standard_montage(config.chips)
    with emulated(config, montage) as board:
        driver = Ads1299(board, config, montage)
        driver.power_up()
        inject(board, lib.EEGD_FAULT_WRITES_LOST, chip=1, value=4)
        # CONFIG3 comes first, alone; then CONFIG1 to CONFIG3.
        with pytest.raises(ReadBackError, match=r"chip 2: CONFIG3 \(03h\): wrote E8h, read 60h"):
            driver.configure()


def test_a_brown_out_is_found() -> None:
    with configured(BoardConfig(rate_sps=500)) as (driver, board):
        driver.verify()
        inject(board, lib.EEGD_FAULT_BROWN_OUT, chip=0)
        with pytest.raises(ReadBackError, match=r"chip 1: CONFIG1 \(01h\): wrote 95h, read 96h"):
            driver.verify()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"kind": lib.EEGD_FAULT_ID, "value": 0x3C}, "this is an ADS1299-4"),
        ({"kind": lib.EEGD_FAULT_SPI_MODE}, "ID read 1Fh.*SPI mode is 0"),
        ({"kind": lib.EEGD_FAULT_DEAD}, "all zeros"),
        ({"kind": lib.EEGD_FAULT_MISO_STUCK, "value": 1}, "all ones"),
        ({"kind": lib.EEGD_FAULT_IOCTL, "value": errno.ETIMEDOUT}, "SPI transfer of .*ETIMEDOUT"),
    ],
)
def test_a_chip_that_does_not_answer_is_explained(fault: dict[str, int], text: str) -> None:
    config = BoardConfig()
    montage = standard_montage(config.chips)
    with emulated(config, montage) as board:
        inject(board, **fault)
        with pytest.raises(BoardError, match=text):
            Ads1299(board, config, montage).power_up()


def test_reconfigure_while_converting_breaks_no_rule() -> None:
    config = BoardConfig(rate_sps=250)
    montage = standard_montage(config.chips)
    with configured(config) as (driver, board):
        driver.start()
        read_conversions(board, config, montage, 3)
        faster = replace(config, rate_sps=1000)
        driver.reconfigure(faster, standard_montage(config.chips, gain=12))
        assert dump(board)[Register.CONFIG1] == 0x94
        driver.start()
        edges = [board.wait(SECOND_NS) for _ in range(2)]
        assert edges[0] is not None
        assert edges[1] is not None
        assert edges[1].drdy_ns - edges[0].drdy_ns == 1_000_000
        assert violations(board, 1) == []


@pytest.mark.parametrize("lines", [{}, {"start_line": "GPIO22"}], ids=["by command", "START wired"])
@pytest.mark.parametrize("ppm", [0.0, -25_000.0])
def test_no_edge_of_a_conversion_before_the_stop_comes_after_the_next_preparation(
    lines: dict[str, Any], ppm: float
) -> None:
    config = BoardConfig(**lines)
    montage = standard_montage(config.chips)
    with emulated(config, montage, fclk_ppm=ppm) as board:
        driver = Ads1299(board, config, montage)
        driver.power_up()
        driver.configure()
        for into_ns in (100_000, 2_000_000, 3_900_000):
            driver.start()
            assert board.wait(SECOND_NS) is not None
            board.sleep_ns(into_ns)
            driver.stop()
            driver.prepare_start()
            assert board.wait(SECOND_NS // 10) is None


def test_a_look_at_a_chain_never_finds_it_well_since_one_chip_alone_can_be_read() -> None:
    config = BoardConfig(chips=("ADS1299",) * 3, topology="daisy")
    montage = standard_montage(config.chips)
    with emulated(config, montage) as board:
        driver = Ads1299(board, config, montage)
        driver.power_up()
        driver.configure()
        driver.start()
        assert board.wait(SECOND_NS) is not None
        inject(board, lib.EEGD_FAULT_BROWN_OUT, chip=2, count=1)
        assert board.wait(SECOND_NS) is not None
        assert driver.inspect() == "the registers of chip 2, 3 cannot be read back"
        assert dump(board, 2) == bytes.fromhex(RESET_DUMP)
        driver.power_up()
        driver.configure()
        assert dump(board, 2) == dump(board, 0)


def test_a_look_at_a_cascade_finds_it_well() -> None:
    config = BoardConfig(chips=("ADS1299",) * 2)
    montage = standard_montage(config.chips)
    with emulated(config, montage) as board:
        driver = Ads1299(board, config, montage)
        driver.power_up()
        driver.configure()
        driver.start()
        assert driver.inspect() is None
