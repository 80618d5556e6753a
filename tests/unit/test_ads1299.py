"""The driver over a small model of the chip's registers; and, where it is built, over the emulated chip."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegd.ads1299 import Ads1299, Opcode, Register, check_feasible, min_sclk_hz, registers_for
from eegd.board import Board
from eegd.config import BoardConfig
from eegd.errors import BoardError, ConfigError, ReadBackError
from eegd.montage import CHIP_INPUTS, GAINS, Channel, Montage, standard_montage
from eegd.spi import rp1_sclk_hz

RESET_DUMP = bytes.fromhex("3E96C06000 6161616161616161 0000000000 0000 0F 0000 00")
IDS = {"ADS1299": 0x3E, "ADS1299-6": 0x3D, "ADS1299-4": 0x3C}
READ_ONLY = (Register.ID, Register.LOFF_STATP, Register.LOFF_STATN)


class FakeChip:
    """Registers and read modes of one chip; no conversions, no timing."""

    def __init__(self, model: str) -> None:
        self.id = IDS[model]
        self.n_channels = CHIP_INPUTS[model]
        self.deaf_accesses = 0
        self.lost_register: Register | None = None
        self.standby = False
        self.reset()

    def reset(self) -> None:
        self.registers = bytearray(RESET_DUMP)
        self.registers[Register.CH1SET + self.n_channels : Register.BIAS_SENSP] = bytes(8 - self.n_channels)
        self.rdatac, self.running = True, False

    def access(self, tx: bytes) -> bytes:
        """One chip-select period."""
        rx = bytearray(len(tx))
        if self.deaf_accesses:
            self.deaf_accesses -= 1
            return bytes(rx)
        opcode = tx[0]
        if self.standby and opcode != Opcode.WAKEUP:
            return bytes(rx)
        if opcode == Opcode.RESET:
            self.reset()
        elif opcode == Opcode.WAKEUP:
            self.standby = False
        elif opcode in (Opcode.RDATAC, Opcode.SDATAC):
            self.rdatac = opcode == Opcode.RDATAC
        elif opcode in (Opcode.START, Opcode.STOP):
            self.running = opcode == Opcode.START
        elif not self.rdatac and opcode >= Opcode.RREG:
            first, count = opcode & 0x1F, tx[1] + 1
            assert len(tx) == 2 + count
            if opcode & 0xE0 == Opcode.RREG:
                self.registers[Register.ID] = self.id
                rx[2:] = self.registers[first : first + count]
            else:
                self._write(first, tx[2:])
        return bytes(rx)

    def _write(self, first: int, values: bytes) -> None:
        for register, value in enumerate(values, first):
            assert register not in READ_ONLY
            if register != self.lost_register:
                self.registers[register] = value


class FakeBoard:
    """Chips in a cascade or in a chain; notes what was sent."""

    def __init__(self, config: BoardConfig) -> None:
        self.config = config
        self.chips = [FakeChip(model) for model in config.chips]
        self.sent: list[tuple[int, bytes]] = []
        self.lines: list[tuple[str, int]] = []
        self.slept_ns = 0
        self.drained = 0

    def real_sclk_hz(self, requested_hz: int) -> int:
        return requested_hz

    def transfer(self, tx: bytes, *, cs: int = 0, speed_hz: int, delay_us: int = 0) -> bytes:
        assert speed_hz == self.config.register_sclk_hz
        assert delay_us == 3
        self.sent.append((cs, tx))
        if self.config.topology == "cascade":
            return self.chips[cs].access(tx)
        answers = [chip.access(tx) for chip in self.chips]
        return answers[0]

    def set_line(self, line: str, level: int) -> None:
        self.lines.append((line, level))
        if line == "RESET" and not level:
            for chip in self.chips:
                chip.reset()

    def sleep_ns(self, ns: int) -> None:
        self.slept_ns += ns

    def drain(self) -> None:
        self.drained += 1


def make_driver(config: BoardConfig, montage: Montage | None = None) -> tuple[Ads1299, FakeBoard]:
    board = FakeBoard(config)
    driver = Ads1299(cast(Board, board), config, montage or standard_montage(config.chips))
    return driver, board


def make_channel(number: int, **settings: Any) -> Channel:
    keys: dict[str, Any] = {"label": f"E{number}", "input": number, "p": f"E{number}", "n": "SRB1"}
    return Channel(**keys | settings)


# ---- Register images ----


def test_image_of_a_board_with_one_chip_and_srb1() -> None:
    config = BoardConfig(gpio=0x80, bias_amplifier=False)
    [image] = registers_for(config, standard_montage(config.chips, wiring="SRB1", gain=1))
    assert image == bytes.fromhex("1E 96 C0 E0 00 0000000000000000 0000000000 0000 80 20 00 00")


def test_image_of_a_board_with_two_chips_and_srb2() -> None:
    config = BoardConfig(chips=("ADS1299", "ADS1299"), clock_out=True)
    first, second = registers_for(config, standard_montage(config.chips, wiring="SRB2", gain=24, bias=True))
    assert first == bytes.fromhex("1E B6 C0 EC 00 6868686868686868 00FF000000 0000 0F 00 00 00")
    assert second == bytes.fromhex("1E 96 C0 E8 00 6868686868686868 00FF000000 0000 0F 00 00 00")


def test_unused_inputs_are_powered_down_and_shorted() -> None:
    config = BoardConfig()
    channels = (make_channel(1), make_channel(3, on=False), make_channel(8, gain=12))
    [image] = registers_for(config, Montage(channels=channels))
    assert image[Register.CH1SET : Register.BIAS_SENSP].hex() == "6081818181818150"


def test_smaller_variants_have_zeros_where_channels_are_missing() -> None:
    config = BoardConfig(chips=("ADS1299-4", "ADS1299-6"))
    small, medium = registers_for(config, standard_montage(config.chips, bias=True))
    assert small[Register.ID] == 0x1C
    assert small[Register.CH1SET : Register.LOFF_SENSP].hex() == "6060606000000000" + "0f00"
    assert medium[Register.ID] == 0x1D
    assert medium[Register.CH1SET : Register.LOFF_SENSP].hex() == "6060606060600000" + "3f00"


@pytest.mark.parametrize(
    ("wiring", "p_bits", "n_bits", "chset", "misc1"),
    [("SRB1", 0xFF, 0x00, 0x60, 0x20), ("SRB2", 0x00, 0xFF, 0x68, 0x00), ("bipolar", 0xFF, 0xFF, 0x60, 0x00)],
)
def test_bias_and_lead_off_act_on_the_electrode_and_not_on_the_reference(
    wiring: str, p_bits: int, n_bits: int, chset: int, misc1: int
) -> None:
    config = BoardConfig(lead_off_mode="dc")
    [image] = registers_for(config, standard_montage(config.chips, wiring=wiring, bias=True, lead_off=True))
    assert image[Register.BIAS_SENSP] == image[Register.LOFF_SENSP] == p_bits
    assert image[Register.BIAS_SENSN] == image[Register.LOFF_SENSN] == n_bits
    assert set(image[Register.CH1SET : Register.BIAS_SENSP]) == {chset}
    assert image[Register.MISC1] == misc1


@pytest.mark.parametrize(
    ("settings", "loff", "config4"),
    [
        ({"lead_off_mode": "off"}, 0x00, 0x00),
        ({"lead_off_mode": "dc"}, 0x00, 0x02),
        ({"lead_off_mode": "ac_7.8"}, 0x01, 0x00),
        ({"lead_off_mode": "ac_31.25"}, 0x02, 0x00),
        ({"lead_off_mode": "ac_31.25", "lead_off_current_na": 24}, 0x06, 0x00),
        (
            {"lead_off_mode": "dc", "lead_off_current_na": 24, "lead_off_threshold_percent": 70.0},
            0xE4,
            0x02,
        ),
    ],
)
def test_lead_off_registers(settings: dict[str, Any], loff: int, config4: int) -> None:
    config = BoardConfig(**settings)
    [image] = registers_for(config, standard_montage(config.chips, lead_off=True))
    assert (image[Register.LOFF], image[Register.CONFIG4]) == (loff, config4)
    assert bool(image[Register.LOFF_SENSP]) == (settings["lead_off_mode"] != "off")


def test_comparators_stay_off_while_nothing_is_sensed() -> None:
    config = BoardConfig(lead_off_mode="dc")
    [image] = registers_for(config, standard_montage(config.chips))
    assert image[Register.CONFIG4] == 0x00


@pytest.mark.parametrize(
    ("settings", "config2", "chset"),
    [
        ({"input": "test_signal"}, 0xD0, 0x65),
        ({"input": "test_signal", "test_signal": "fast"}, 0xD1, 0x65),
        ({"input": "test_signal", "test_amplitude": 2}, 0xD4, 0x65),
        ({"input": "test_signal", "test_signal": "fast", "test_amplitude": 2}, 0xD5, 0x65),
        ({"input": "shorted"}, 0xC0, 0x61),
    ],
)
@pytest.mark.parametrize("wiring", ["SRB1", "SRB2", "bipolar"])
def test_internal_inputs_disconnect_the_electrodes(
    settings: dict[str, Any], config2: int, chset: int, wiring: str
) -> None:
    config = BoardConfig(**settings)
    [image] = registers_for(config, standard_montage(config.chips, wiring=wiring, bias=True))
    assert image[Register.CONFIG2] == config2
    assert set(image[Register.CH1SET : Register.BIAS_SENSP]) == {chset}
    assert not any(image[Register.BIAS_SENSP : Register.LOFF_FLIP + 1])
    assert image[Register.MISC1] == 0


@pytest.mark.parametrize(
    ("rate_sps", "config1"),
    [(250, 0x96), (500, 0x95), (1000, 0x94), (2000, 0x93), (4000, 0x92), (8000, 0x91), (16000, 0x90)],
)
def test_rates(rate_sps: int, config1: int) -> None:
    config = BoardConfig(rate_sps=rate_sps)
    assert registers_for(config, standard_montage(config.chips))[0][Register.CONFIG1] == config1


@st.composite
def boards_and_montages(draw: st.DrawFn) -> tuple[BoardConfig, Montage]:
    config = draw(
        st.builds(
            BoardConfig,
            chips=st.lists(st.sampled_from(tuple(CHIP_INPUTS)), min_size=1, max_size=4).map(tuple),
            topology=st.sampled_from(("cascade", "daisy")),
            rate_sps=st.sampled_from((250, 500, 1000, 2000, 4000, 8000, 16000)),
            internal_reference=st.booleans(),
            bias_amplifier=st.booleans(),
            clock_out=st.booleans(),
            input=st.sampled_from(("electrodes", "test_signal", "shorted")),
            test_signal=st.sampled_from(("slow", "fast")),
            test_amplitude=st.sampled_from((1, 2)),
            lead_off_mode=st.sampled_from(("off", "dc", "ac_7.8", "ac_31.25")),
            lead_off_current_na=st.sampled_from((6, 24, 6000, 24000)),
        )
    )
    wiring, gain = draw(st.sampled_from(("SRB1", "SRB2", "bipolar"))), draw(st.sampled_from(GAINS))
    senses = {"bias": draw(st.booleans()), "lead_off": draw(st.booleans())}
    return config, standard_montage(config.chips, wiring=wiring, gain=gain, **senses)


@given(boards_and_montages())
def test_reserved_bits_are_exact_and_forbidden_values_never_occur(
    parts: tuple[BoardConfig, Montage],
) -> None:
    config, montage = parts
    reserved = {
        Register.CONFIG1: (0x98, 0x90),
        Register.CONFIG2: (0xE8, 0xC0),
        Register.CONFIG3: (0x60, 0x60),
        Register.LOFF: (0x10, 0x00),
        Register.MISC1: (0xDF, 0x00),
        Register.MISC2: (0xFF, 0x00),
        Register.CONFIG4: (0xF5, 0x00),
    }
    for model, image in zip(config.chips, registers_for(config, montage), strict=True):
        for register, (mask, value) in reserved.items():
            assert image[register] & mask == value, register.name
        assert image[Register.CONFIG1] & 7 != 7
        assert image[Register.CONFIG2] & 3 != 2
        n_channels = CHIP_INPUTS[model]
        channels = image[Register.CH1SET : Register.BIAS_SENSP]
        assert all(value & 0x70 != 0x70 for value in channels)
        assert not any(channels[n_channels:])
        assert all(value >> n_channels == 0 for value in image[Register.BIAS_SENSP : Register.LOFF_FLIP + 1])
    amplifiers = [image[Register.CONFIG3] & 4 for image in registers_for(config, montage)]
    if config.topology == "cascade":
        assert sum(map(bool, amplifiers)) == config.bias_amplifier


# ---- Daisy chains ----


def test_chips_of_a_chain_share_what_each_of_them_needs() -> None:
    config = BoardConfig(chips=("ADS1299-4", "ADS1299"), topology="daisy", clock_out=True)
    channels = tuple(make_channel(number, gain=12) for number in (1, 6, 9))
    small, large = registers_for(config, Montage(channels=channels))
    assert small.hex(" ", 1).startswith("1c b6 c0 ec 00 50 50 81 81 00 00 00 00")
    assert large.hex(" ", 1).startswith("1e b6 c0 ec 00 50 50 81 81 50 81 81 81")


def test_a_chain_that_needs_two_values_of_one_register_is_refused() -> None:
    config = BoardConfig(chips=("ADS1299", "ADS1299"), topology="daisy")
    channels = (make_channel(3, gain=24), make_channel(11, gain=12))
    with pytest.raises(ConfigError, match=r"inputs 3 \(E3\) and 11 \(E11\) share CH3SET .* 60h and 50h"):
        registers_for(config, Montage(channels=channels))


def test_only_the_first_chip_of_a_chain_is_read_back_and_the_report_says_so() -> None:
    driver, _ = make_driver(BoardConfig(chips=("ADS1299", "ADS1299", "ADS1299-4"), topology="daisy"))
    assert any("only the registers of chip 1" in warning for warning in driver.warnings)
    driver.power_up()
    report = driver.configure()
    assert report.unverified == (2, 3)
    assert report.read[0] is not None
    assert (driver.id_of(0), driver.id_of(1)) == (0x3E, None)


# ---- What cannot work ----


@pytest.mark.parametrize(
    ("rate_sps", "khz"),
    [
        (250, (55, 109, 163, 217)),
        (500, (109, 217, 325, 433)),
        (1000, (217, 433, 650, 866)),
        (2000, (434, 868, 1302, 1735)),
        (4000, (871, 1742, 2613, 3484)),
        (8000, (1756, 3511, 5267, 7022)),
        (16000, (3568, 7135, 10703, 14270)),
    ],
)
def test_slowest_sclk_of_one_to_four_chips(rate_sps: int, khz: tuple[int, ...]) -> None:
    for n_chips, wanted in enumerate(khz, 1):
        config = BoardConfig(chips=("ADS1299",) * n_chips, topology="daisy", rate_sps=rate_sps)
        assert min_sclk_hz(config) == wanted * 1000


def test_sclk_too_slow_is_refused_with_numbers_and_remedies() -> None:
    config = BoardConfig(chips=("ADS1299",) * 4, topology="daisy", rate_sps=8000, sclk_hz=4_000_000)
    with pytest.raises(ConfigError) as seen:
        check_feasible(config, standard_montage(config.chips))
    assert str(seen.value) == (
        "[board] sclk_hz = 4000000: 864 bits take 216.0 µs, but at 8000 SPS two edges leave 123.0 µs; "
        "needed: sclk_hz = 7022000 or more or rate_sps = 4000 or less"
    )
    check_feasible(replace(config, sclk_hz=7_022_000), standard_montage(config.chips))
    check_feasible(replace(config, rate_sps=4000), standard_montage(config.chips))


def test_what_the_controller_makes_of_the_clock_counts() -> None:
    config = BoardConfig(chips=("ADS1299",) * 4, topology="daisy", rate_sps=8000, sclk_hz=7_100_000)
    check_feasible(config, standard_montage(config.chips))
    with pytest.raises(ConfigError) as seen:
        check_feasible(config, standard_montage(config.chips), rp1_sclk_hz)
    assert str(seen.value) == (
        "[board] sclk_hz = 7100000 (this computer makes 6666666 of it): 864 bits take 129.6 µs, but at 8000 SPS two "
        "edges leave 123.0 µs; needed: sclk_hz = 7143000 or more or rate_sps = 4000 or less"
    )
    check_feasible(replace(config, sclk_hz=7_143_000), standard_montage(config.chips), rp1_sclk_hz)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"rate_sps": 300}, "rate_sps = 300: ADS1299 offers 250, 500, 1000, 2000, 4000, 8000, 16000"),
        ({"chips": ("ADS1298",)}, "ADS1298 is unknown"),
        ({"chips": ("ADS1299",) * 5}, "5 chips; 1 to 4"),
        ({"chips": ()}, "0 chips"),
        ({"sclk_hz": 20_000_001}, "at most 20000000"),
        ({"register_sclk_hz": 4_000_000}, "register_sclk_hz = 4000000: at most 3993600"),
        ({"kind": "linux", "spi": ()}, "0 devices; a cascade of 1 chips needs 1"),
        (
            {"kind": "linux", "chips": ("ADS1299",) * 2, "spi": ("a",)},
            "1 devices; a cascade of 2 chips needs 2",
        ),
        ({"lead_off_mode": "dc", "lead_off_current_na": 6000}, "need allow_high_lead_off_current"),
    ],
)
def test_impossible_boards_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text.replace("(", r"\(")):
        check_feasible(BoardConfig(**settings), standard_montage(("ADS1299",)))


@pytest.mark.parametrize(
    ("channels", "text"),
    [
        ([make_channel(number) for number in range(1, 10)], "9 channels are on, but the chips have 8 inputs"),
        ([make_channel(9)], "channel E9: input = 9: the chips have inputs 1 to 8"),
        ([make_channel(1, gain=3)], "channel E1: gain = 3: ADS1299 offers 1, 2, 4, 6, 8, 12, 24"),
        ([make_channel(1, on=False)], "no channel is on"),
    ],
)
def test_impossible_montages_are_refused(channels: list[Channel], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_feasible(BoardConfig(), Montage(channels=tuple(channels)))


def test_warnings_of_real_boards() -> None:
    config = BoardConfig(kind="linux", spi=("/dev/spidev0.0",), rate_sps=250)
    montage = standard_montage(config.chips)
    assert check_feasible(config, montage) == []
    [warning] = check_feasible(replace(config, rate_sps=16000, sclk_hz=20_000_000), montage)
    assert "experimental" in warning
    [warning] = check_feasible(replace(config, rate_sps=8000, sclk_hz=2_000_000), montage)
    assert "late reads" in warning
    assert check_feasible(replace(config, kind="sim", rate_sps=16000), montage) == []


# ---- Power-up ----


def test_power_up_from_any_state_ends_with_reset_registers_and_commands_heard() -> None:
    driver, board = make_driver(BoardConfig())
    [chip] = board.chips
    chip.registers[Register.CH1SET] = 0x00
    chip.running = True
    driver.power_up()
    assert bytes(chip.registers) == RESET_DUMP
    assert not chip.rdatac
    assert not chip.running
    assert driver.id_of(0) == 0x3E
    assert board.lines == []
    assert board.slept_ns >= 128_000_000


def test_wired_lines_are_used_and_start_is_low_first() -> None:
    config = BoardConfig(start_line="GPIO22", reset_line="GPIO23", pwdn_line="GPIO24")
    driver, board = make_driver(config)
    driver.power_up()
    assert board.lines == [("START", 0), ("PWDN", 1), ("RESET", 1), ("RESET", 0), ("RESET", 1)]


def test_a_chip_left_in_standby_is_woken() -> None:
    driver, board = make_driver(BoardConfig())
    board.chips[0].standby = True
    driver.power_up()
    assert driver.id_of(0) == 0x3E


def test_a_chip_that_is_slow_to_power_up_is_asked_again() -> None:
    driver, board = make_driver(BoardConfig())
    board.chips[0].deaf_accesses = 10
    driver.power_up()
    assert driver.id_of(0) == 0x3E


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0x00, "00h, 00h, 00h, 00h, 00h in 5 attempts; all zeros: no power or clock"),
        (0xFF, "all ones: MISO floats"),
        (0x1F, "SPI mode is 0 and must be 1"),
        (0x3C, r"this is an ADS1299-4 with 4 channels: correct \[board\] chips"),
        (0x20, "check wiring, supplies and clock"),
    ],
)
def test_a_wrong_id_is_explained(value: int, text: str) -> None:
    driver, board = make_driver(BoardConfig(chips=("ADS1299", "ADS1299")))
    board.chips[1].id = value
    with pytest.raises(BoardError, match=rf"chip 2 \(chip select 1\) is no ADS1299: ID read .*{text}"):
        driver.power_up()


def test_the_clock_of_the_first_chip_runs_before_the_others_are_spoken_to() -> None:
    driver, board = make_driver(BoardConfig(chips=("ADS1299", "ADS1299"), clock_out=True))
    driver.power_up()
    clock_on = board.sent.index((0, bytes([0x41, 0x00, 0xB6])))
    assert {cs for cs, _ in board.sent[:clock_on]} == {0}
    assert {cs for cs, _ in board.sent[clock_on + 2 :]} == {1}


# ---- Configuration ----


@pytest.mark.parametrize("model", tuple(CHIP_INPUTS))
def test_configure_writes_everything_and_reads_it_back(model: str) -> None:
    driver, board = make_driver(BoardConfig(chips=(model, "ADS1299")), None)
    driver.power_up()
    before = board.slept_ns
    report = driver.configure()
    assert board.slept_ns - before >= 150_000_000
    for chip, image, dump in zip(board.chips, driver.registers, report.read, strict=True):
        assert bytes(chip.registers[1:]) == image[1:]
        assert dump == bytes(chip.registers)
    assert report.unverified == ()


def test_the_reference_is_waited_for_once() -> None:
    driver, board = make_driver(BoardConfig())
    driver.power_up()
    driver.configure()
    before = board.slept_ns
    driver.configure()
    assert board.slept_ns - before < 1_000_000


def test_a_lost_write_is_named() -> None:
    driver, board = make_driver(BoardConfig(chips=("ADS1299", "ADS1299")))
    driver.power_up()
    board.chips[1].lost_register = Register.CH3SET
    with pytest.raises(ReadBackError) as seen:
        driver.configure()
    assert str(seen.value) == "chip 2: CH3SET (07h): wrote 60h, read 61h"


def test_status_and_input_pins_are_not_compared() -> None:
    driver, board = make_driver(BoardConfig(gpio=0x8C))
    driver.power_up()
    driver.configure()
    registers = board.chips[0].registers
    registers[Register.LOFF_STATP], registers[Register.LOFF_STATN] = 0xFF, 0x81
    registers[Register.CONFIG3] |= 0x01
    registers[Register.GPIO] = 0x4C
    driver.verify()
    registers[Register.GPIO] = 0x9C
    with pytest.raises(ReadBackError, match=r"GPIO \(14h\): wrote 8Ch, read 9Ch"):
        driver.verify()


def test_a_chip_that_went_back_to_reset_values_is_found() -> None:
    driver, board = make_driver(BoardConfig(rate_sps=500))
    driver.power_up()
    driver.configure()
    board.chips[0].reset()
    with pytest.raises(ReadBackError, match=r"CONFIG1 \(01h\): wrote 95h, read 96h; .* and 7 more"):
        driver.verify()


def test_writes_that_continuous_reading_swallowed_are_named() -> None:
    driver, board = make_driver(BoardConfig())
    driver.power_up()
    board.chips[0].rdatac = True
    with pytest.raises(ReadBackError, match=r"chip 1: CONFIG3 \(03h\): wrote ECh, read 60h"):
        driver.configure()


def test_a_chip_that_says_nothing_is_explained() -> None:
    driver, board = make_driver(BoardConfig())
    driver.power_up()
    board.chips[0].deaf_accesses = 1000
    with pytest.raises(ReadBackError, match=r"ID \(00h\): wrote 1Eh, read 00h.*all zeros"):
        driver.configure()


# ---- Start and stop ----


def test_start_by_command_begins_with_the_last_chip_of_a_cascade() -> None:
    driver, board = make_driver(BoardConfig(chips=("ADS1299",) * 3))
    driver.power_up()
    driver.configure()
    board.sent.clear()
    driver.start()
    start = driver.start_sequence
    assert not start.uses_start_line
    assert start.start_bytes == driver.start_bytes == ((2, b"\x08"), (1, b"\x08"), (0, b"\x08"))
    assert (start.speed_hz, start.delay_us) == (2_000_000, 3)
    assert board.sent == [(0, b"\x10"), (1, b"\x10"), (2, b"\x10"), *start.start_bytes]
    assert board.drained == 1
    assert all(chip.running and chip.rdatac for chip in board.chips)
    driver.stop()
    assert not any(chip.running or chip.rdatac for chip in board.chips)


def test_one_command_starts_a_chain() -> None:
    driver, _ = make_driver(BoardConfig(chips=("ADS1299",) * 2, topology="daisy"))
    assert driver.start_bytes == ((0, b"\x08"),)


def test_start_by_line_sends_no_command() -> None:
    driver, board = make_driver(BoardConfig(start_line="GPIO22"))
    driver.power_up()
    driver.configure()
    board.sent.clear()
    board.lines.clear()
    driver.start()
    assert driver.uses_start_line
    assert driver.start_bytes == ()
    driver.stop()
    assert board.lines == [("START", 1), ("START", 0)]
    assert board.sent == [(0, b"\x10"), (0, b"\x11")]


def test_reconfigure_stops_and_writes_the_new_set_up() -> None:
    driver, board = make_driver(BoardConfig())
    driver.power_up()
    driver.configure()
    driver.start()
    config = BoardConfig(rate_sps=1000)
    driver.reconfigure(config, standard_montage(config.chips, gain=6))
    [chip] = board.chips
    assert not chip.running
    assert chip.registers[Register.CONFIG1] == 0x94
    assert chip.registers[Register.CH1SET] == 0x30


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"rate_sps": 8000, "sclk_hz": 500_000}, "sclk_hz = 500000"),
        ({"start_line": "GPIO22"}, "start_line cannot"),
    ],
)
def test_reconfigure_refuses_without_touching_the_chips(settings: dict[str, Any], text: str) -> None:
    driver, board = make_driver(BoardConfig())
    driver.power_up()
    driver.configure()
    driver.start()
    board.sent.clear()
    config = BoardConfig(**settings)
    with pytest.raises(ConfigError, match=text):
        driver.reconfigure(config, standard_montage(config.chips))
    assert board.sent == []
