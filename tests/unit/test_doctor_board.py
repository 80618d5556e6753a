"""The doctor's checks of a board, on the emulated one: all green, and one red for each fault, with what it means."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eegd._native import ffi, lib
from eegd.board import Board
from eegd.config import Config
from eegd.doctor.bench import Bench, bench_montage
from eegd.doctor.board import BoardOptions, check_board
from eegd.doctor.bytes_read import explain_frame, explain_registers
from eegd.doctor.check import Level, Result
from eegd.doctor.linescan import HEADER, candidates
from eegd.doctor.probe import GpioChip
from eegd.doctor.sclk import damage_of
from eegd.errors import BoardError
from eegd.sim import open_sim_board
from eegd.spi import rp1_sclk_hz
from tests.unit.computer import config_of

FRAMES = 300


class FastWires(Board):
    """Wires that are good up to a clock: above it everything arrives one bit late."""

    limit_hz = 20e6

    def real_sclk_hz(self, requested_hz: int) -> int:
        return rp1_sclk_hz(requested_hz)

    def transfer(self, tx: bytes, *, cs: int = 0, speed_hz: int, delay_us: int = 0) -> bytes:
        rx = super().transfer(tx, cs=cs, speed_hz=speed_hz, delay_us=delay_us)
        if speed_hz <= self.limit_hz:
            return rx
        return (int.from_bytes(rx, "big") >> 1).to_bytes(len(rx), "big")


def with_fault(kind: str, **values: int) -> Callable[[Config], Board]:
    """Opens emulated boards on which a fault holds from the beginning."""

    def open_board(config: Config) -> Board:
        board = open_sim_board(config)
        fault = {"kind": getattr(lib, f"EEGD_FAULT_{kind}"), **values}
        assert lib.eegd_board_sim_fault(board.pointer, ffi.new("struct eegd_fault *", fault)) == 0
        return board

    return open_board


def examined(
    overrides: dict[str, object] | None = None,
    open_board: Callable[[Config], Board] = open_sim_board,
    scan: Any = None,
) -> dict[str, Result]:
    """Results by the name of their check; the last one where a check has several."""
    options = BoardOptions(FRAMES, open_board, scan)
    return {result.check: result for result in check_board(config_of(overrides), options)}


def the_red_one(results: dict[str, Result]) -> Result:
    (red,) = [result for result in results.values() if result.level is Level.RED]
    assert red.why and red.mend
    return red


BOARDS: list[dict[str, object]] = [
    {},
    {"board.chips": ["ADS1299", "ADS1299-4"], "montage.gain": 1},
    {"board.chips": ["ADS1299"] * 3, "board.topology": "daisy", "board.start_line": "GPIO22"},
    {"board.rate_sps": 16000, "board.sclk_hz": 20_000_000, "montage.gain": 6},
    {"board.start_line": "GPIO22", "board.reset_line": "GPIO23", "board.input": "test_signal"},
]


@pytest.mark.parametrize("overrides", BOARDS)
def test_a_good_board_is_all_green(overrides: dict[str, object]) -> None:
    results = examined(overrides)
    assert {result.level for result in results.values()} == {Level.OK}
    assert set(results) == {
        *("board", "chips", "registers", "DRDY", "conversions"),
        *("test signal", "test period", "noise", "SPI clock"),
    }


class KeptOpen(Board):
    """The test looks at it after the doctor has closed it."""

    def close(self) -> None:
        pass


@pytest.mark.parametrize("overrides", [{}, {"board.start_line": "GPIO22"}])
def test_the_chips_end_stopped(overrides: dict[str, object]) -> None:
    board = KeptOpen(open_sim_board(config_of(overrides)).pointer)
    examined(overrides, lambda _: board)
    board.wait(10**9)  # a conversion that was under way may still end
    assert board.wait(10**9) is None
    assert board.transfer(b"\x20\0\0", speed_hz=2_000_000, delay_us=3)[2] == 0x3E
    Board.close(board)


def test_a_chip_that_is_not_there_is_red_and_nothing_after_it_is_tried() -> None:
    results = examined(None, with_fault("DEAD", count=0))
    red = the_red_one(results)
    assert red.check == "chips" and "every byte is 00" in red.why
    assert "test signal" in results["not tried"].found and "noise" not in results


@pytest.mark.parametrize(("level", "said"), [(0, "every byte is 00"), (1, "every byte is FF")])
def test_a_stuck_miso_is_red_and_says_which_way(level: int, said: str) -> None:
    red = the_red_one(examined(None, with_fault("MISO_STUCK", value=level)))
    assert red.check == "chips" and said in red.why


def test_the_wrong_spi_mode_is_red_by_the_bits_that_come_late() -> None:
    red = the_red_one(examined(None, with_fault("SPI_MODE")))
    assert red.check == "chips" and "one place late" in red.why


def test_lost_writes_are_red_with_the_register() -> None:
    red = the_red_one(examined(None, with_fault("WRITES_LOST", value=10, at=lib.EEGD_FAULT_NOW)))
    assert red.check == "registers" and "wrote" in red.found


def test_no_drdy_is_red() -> None:
    results = examined(None, with_fault("DRDY_MISSED"))
    red = the_red_one(results)
    assert red.check == "DRDY" and "no edge" in red.found and "START" in red.mend
    assert "conversions" in results["not tried"].found


class Scan:
    """Counts edges as they would be with DRDY on one of the lines."""

    def __init__(self, **rates: float) -> None:
        self._rates = rates

    def rates(self, board: Board) -> dict[str, float]:
        return self._rates


def test_drdy_on_another_pin_is_named_with_the_key_to_change() -> None:
    scan = Scan(GPIO5=0.0, GPIO25=250.5, GPIO6=1000.0)
    red = the_red_one(examined(None, with_fault("DRDY_MISSED"), scan))
    assert "GPIO25" in red.why and red.mend == 'in the configuration: [board] drdy_line = "GPIO25"'


def test_lines_with_other_edges_are_not_taken_for_drdy() -> None:
    red = the_red_one(examined(None, with_fault("DRDY_MISSED"), Scan(GPIO6=50.0, GPIO5=0.0)))
    assert "any of 2 free lines" in red.found and "GPIO6" not in red.why + red.mend


def test_only_free_lines_that_belong_to_nothing_are_tried() -> None:
    chip = GpioChip("/dev/gpiochip0", "pinctrl-rp1", {f"GPIO{n}": "fan" if n == 6 else "" for n in range(28)})
    lines = candidates(chip, ["/dev/spidev0.0"], ["GPIO26", None])
    assert "GPIO25" in lines and "GPIO19" in lines
    assert not {"GPIO6", "GPIO26", "GPIO9", "GPIO11", "GPIO14", "GPIO2"} & set(lines)
    assert "GPIO19" not in candidates(chip, ["/dev/spidev1.0"], [])
    assert set(lines) <= set(HEADER)


def test_a_chip_clock_that_cannot_be_is_red() -> None:
    results = examined(None, with_fault("CLOCK", value=60_000, at=lib.EEGD_FAULT_NOW, chip=lib.EEGD_FAULT_ALL_CHIPS))
    assert results["DRDY"].level is Level.RED and "265.0" in results["DRDY"].found


def test_a_chip_clock_at_its_limit_is_a_warning() -> None:
    results = examined({"sim.fclk_ppm": 20_000.0})
    assert results["DRDY"].level is Level.WARN and "+20000 ppm" in results["DRDY"].found


@pytest.mark.parametrize(("kind", "said"), [("FRAME_00", "00"), ("FRAME_FF", "FF"), ("BIT_SLIP", "early")])
def test_conversions_without_their_head_are_red_and_explained(kind: str, said: str) -> None:
    red = the_red_one(examined(None, with_fault(kind)))
    assert red.check == "conversions" and said in red.why


def test_a_channel_without_its_test_signal_is_named() -> None:
    results = examined({"montage.labels": ["Fp1", "Fp2", "C3", "C4"]}, with_fault("RAILED", channel=2))
    assert results["test signal"].level is Level.RED and "C3 ±0.000 mV" in results["test signal"].found
    assert "Fp1" not in results["test signal"].found


def test_a_converter_without_noise_is_red() -> None:
    results = examined(None, with_fault("RAILED", channel=2))
    assert results["noise"].level is Level.RED and "no noise at all" in results["noise"].why


class NoisyBoard(Board):
    """Adds noise to the last channel of every conversion."""

    generator = np.random.default_rng(1)
    codes_rms = 30

    def transfer(self, tx: bytes, *, cs: int = 0, speed_hz: int, delay_us: int = 0) -> bytes:
        rx = super().transfer(tx, cs=cs, speed_hz=speed_hz, delay_us=delay_us)
        if len(rx) != 27:
            return rx
        code = int.from_bytes(rx[24:], "big", signed=True) + round(self.generator.normal(0, self.codes_rms))
        return rx[:24] + code.to_bytes(3, "big", signed=True)


def test_a_noisy_channel_is_named() -> None:
    results = examined(None, lambda config: NoisyBoard(open_sim_board(config).pointer))
    red = the_red_one(results)
    assert red.check == "noise" and red.found.startswith("O2 0.7") and "Fp1" not in red.found


def test_a_channel_that_is_noisier_than_the_datasheet_but_not_twice_is_a_warning() -> None:
    class QuieterBoard(NoisyBoard):
        codes_rms = 8  # beside 6.3 of the chip: 1.6 times as much together

    results = examined(None, lambda config: QuieterBoard(open_sim_board(config).pointer))
    assert results["noise"].level is Level.WARN and results["noise"].found.startswith("O2 0.2")
    assert "1.6 times the datasheet's" in results["noise"].why


def test_wires_that_are_too_slow_for_the_configured_clock_are_red_with_a_clock_that_works() -> None:
    class SlowWires(FastWires):
        limit_hz = 2e6

    results = examined({"board.sclk_hz": 10_000_000}, lambda config: SlowWires(open_sim_board(config).pointer))
    red = the_red_one(results)
    assert results["conversions"].level is Level.WARN and results["noise"].level is Level.OK
    assert red.level is Level.RED and "clean up to 2 MHz" in red.found and "one place late" in red.why
    assert red.mend == "in the configuration: [board] sclk_hz = 2000000"


def test_wires_that_are_fast_enough_are_green_and_their_limit_is_said() -> None:
    class GoodWires(FastWires):
        limit_hz = 10e6

    results = examined(None, lambda config: GoodWires(open_sim_board(config).pointer))
    assert results["SPI clock"].level is Level.OK
    assert "clean up to 10 MHz, at 14.29 MHz" in results["SPI clock"].found


def test_a_single_wrong_bit_among_the_upper_ones_is_seen() -> None:
    with open_sim_board(config_of()) as board:
        bench = Bench(board, config_of())
        bench.driver.power_up()
        bench.driver.configure()
        bench.change(input="test_signal", test_signal="fast", rate_sps=1000)
        recording = bench.record(1200)
    assert damage_of(recording, bench).clean
    spoiled = recording.raw.copy()
    spoiled[400, bench.layout.channel_offsets[3]] ^= 0x01
    damage = damage_of(type(recording)(spoiled, recording.stamps_ns, recording.edges, 0), bench)
    assert (damage.headers, damage.codes) == (0, 1)
    spoiled[500, 1] ^= 0x10
    damage = damage_of(type(recording)(spoiled, recording.stamps_ns, recording.edges, 0), bench)
    assert (damage.headers, damage.codes) == (1, 1)


def test_a_board_that_cannot_be_opened_is_red_with_the_reason() -> None:
    def refused(config: Config) -> Board:
        raise BoardError("/dev/spidev0.0: Permission denied") from OSError(errno.EACCES, "no")

    results = examined(None, refused)
    red = the_red_one(results)
    assert "Permission denied" in red.found and "chips" not in results


def test_a_transfer_that_the_kernel_refuses_ends_in_a_red_row() -> None:
    red = the_red_one(examined(None, with_fault("IOCTL", value=errno.ETIMEDOUT)))
    assert "ETIMEDOUT" in red.found + red.why


def test_every_input_is_tried_with_its_own_gain() -> None:
    montage = bench_montage(config_of({"montage.labels": ["Oz", "Pz"], "montage.gain": 6}))
    assert [channel.gain for channel in montage.on] == [6, 6, 24, 24, 24, 24, 24, 24]
    assert [channel.label for channel in montage.on][:3] == ["Oz", "Pz", "input3"]


@pytest.mark.parametrize(
    ("dump", "said"),
    [
        (b"\x1f\x4b\x68", "one place late"),
        (b"\0\0\0", "00"),
        (b"\xff\xff\xff", "FF"),
        (b"\x12\x34\x56", "no bits"),
        (b"\x3c\x96\xc0", "an ADS1299-4 answers"),
    ],
)
def test_register_dumps_are_explained(dump: bytes, said: str) -> None:
    assert said in explain_registers(dump, "ADS1299")[0]


@pytest.mark.parametrize(
    ("raw", "said"), [(b"\x60\0\x01", "late"), (b"\x80\0\x01", "early"), (b"\x10\0\x01", "no bits")]
)
def test_heads_of_conversions_are_explained(raw: bytes, said: str) -> None:
    assert said in explain_frame(raw)[0]
