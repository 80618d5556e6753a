"""The real board: which devices and lines it opens, how, and what it says where it cannot.

spidev and gpiod are replaced by fakes over files and pipes of this test; the C board below is the real one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gpiod
import pytest

import eegd.gpio
import eegd.spi
from eegd.ads1299 import Ads1299
from eegd.board import Board
from eegd.clocks import split_clocks
from eegd.config import Config, load_config, parse_config
from eegd.errors import BoardError, ConfigError
from eegd.linux import open_linux_board
from eegd.open_board import open_board
from eegd.spi import rp1_sclk_hz

WIRED = '[board]\nkind = "linux"\nspi = ["/dev/spidev0.0"]\ndrdy_line = "GPIO26"\n'
RP1_NAMES = ["ID_SDA", "ID_SCL", *(f"GPIO{number}" for number in range(2, 28)), *["-"] * 26]
EVENT = struct.Struct("=QIIII24x")
NOT_ITS_IOCTL = "(ENOTTY|ENOSYS)"
"""What a file says to an ioctl of a device; ENOSYS is qemu-user's word for one that it does not translate."""
Direction, Edge, Clock, Value = gpiod.line.Direction, gpiod.line.Edge, gpiod.line.Clock, gpiod.line.Value


class FakeRequest:
    """A line request whose events are what the test writes into a pipe."""

    def __init__(self, settings: dict[int, Any], consumer: str, event_buffer_size: int | None) -> None:
        self.settings, self.consumer, self.event_buffer_size = settings, consumer, event_buffer_size
        self.offsets = sorted(settings)  # the kernel keeps any order: not the caller's
        self.fd, self.writer = os.pipe()
        self.released = False
        self.high: set[int] = set()

    def fall(self, offset: int, number: int, time_ns: int) -> None:
        os.write(self.writer, EVENT.pack(time_ns, 2, offset, number, number))

    def read_edge_events(self, max_events: int) -> list[Any]:
        events = []
        for time_ns, kind, offset, seq, line_seq in EVENT.iter_unpack(os.read(self.fd, max_events * EVENT.size)):
            events.append(gpiod.EdgeEvent(kind, time_ns, offset, seq, line_seq))
        return events

    def get_values(self, offsets: list[int]) -> list[Any]:
        if self.writer < 0:
            raise OSError(errno.ENODEV, "No such device")
        return [Value.ACTIVE if offset in self.high else Value.INACTIVE for offset in offsets]

    def set_value(self, offset: int, value: Any) -> None:
        (self.high.add if value == Value.ACTIVE else self.high.discard)(offset)

    def rise(self, offset: int, number: int, time_ns: int) -> None:
        os.write(self.writer, EVENT.pack(time_ns, 1, offset, number, number))

    def reconfigure_lines(self, settings: dict[int, Any]) -> None:
        self.settings = settings

    def release(self) -> None:
        os.close(self.fd)
        self.released = True

    def hang_up(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
        self.writer = -1


class Computer:
    """SPI devices and GPIO chips, and what is wrong with them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.labels = {"gpiochip0": "gpio-brcmstb@107d508500", "gpiochip15": "pinctrl-rp1"}
        self.names = list(RP1_NAMES)
        self.used: dict[int, str] = {}
        self.denied: set[str] = set()
        self.refuses: int | None = None
        self.mode_sticks_at: int | None = None
        self.flags: dict[str, bool] = {}
        self.requests: list[FakeRequest] = []
        self.open_chips = 0
        self.devices: list[Any] = []
        self.add_spi("spidev0.0")

    def add_spi(self, name: str) -> None:
        (self.directory / name).touch()

    def add_chips(self) -> None:
        for name in self.labels:
            (self.directory / name).touch()


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Computer]:
    computer = Computer(tmp_path)
    monkeypatch.setitem(sys.modules, "spidev", SimpleNamespace(SpiDev=lambda: FakeSpi(computer)))
    fake = SimpleNamespace(Chip=lambda path: FakeChip(computer, path), LineSettings=gpiod.LineSettings, line=gpiod.line)
    monkeypatch.setitem(sys.modules, "gpiod", fake)
    monkeypatch.setattr(eegd.gpio, "DEVICES", tmp_path)
    monkeypatch.setattr(eegd.spi, "DEVICES", tmp_path)
    yield computer
    for request in computer.requests:
        request.hang_up()


class FakeSpi:
    def __init__(self, computer: Computer) -> None:
        self.computer = computer
        self.bits_per_word, self.max_speed_hz, self._mode = 16, 0, 0
        for flag in ("cshigh", "lsbfirst", "loop", "threewire", "no_cs"):
            setattr(self, flag, computer.flags.get(flag, False))
        self.fd = -1
        computer.devices.append(self)

    def open(self, bus: int, device: int) -> None:
        if f"spidev{bus}.{device}" in self.computer.denied:
            raise PermissionError(errno.EACCES, "Permission denied")
        self.fd = os.open(self.computer.directory / f"spidev{bus}.{device}", os.O_RDWR)

    def fileno(self) -> int:
        return self.fd

    @property
    def mode(self) -> int:
        return self._mode

    @mode.setter
    def mode(self, value: int) -> None:
        if self.computer.refuses == value:
            raise OSError(f"Attempted to set mode {value:#x} but mode 0x0 returned")
        self._mode = value if self.computer.mode_sticks_at is None else self.computer.mode_sticks_at

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class FakeChip:
    def __init__(self, computer: Computer, path: str) -> None:
        self.computer, self.path = computer, path
        self.name = Path(path).name
        if self.name in computer.denied:
            raise PermissionError(errno.EACCES, "Permission denied")
        computer.open_chips += 1

    def get_info(self) -> Any:
        return SimpleNamespace(label=self.computer.labels[self.name], num_lines=len(self.computer.names))

    def get_line_info(self, offset: int) -> Any:
        owner = self.computer.used.get(offset)
        name = self.computer.names[offset]
        return SimpleNamespace(offset=offset, name=name, used=owner is not None, consumer=owner or "")

    def request_lines(self, settings: dict[int, Any], consumer: str, event_buffer_size: int | None) -> FakeRequest:
        if any(offset in self.computer.used for offset in settings):
            raise OSError(errno.EBUSY, "Device or resource busy")
        request = FakeRequest(settings, consumer, event_buffer_size)
        self.computer.requests.append(request)
        return request

    def close(self) -> None:
        self.computer.open_chips -= 1


def configured(extra: str = "", wired: str = WIRED) -> Config:
    return parse_config(wired + extra, "eegd.toml")


def opened(computer: Computer, extra: str = "", wired: str = WIRED) -> Board:
    computer.add_chips()
    return open_linux_board(configured(extra, wired))


def refusal(computer: Computer, extra: str = "", kind: type[Exception] = BoardError, wired: str = WIRED) -> str:
    """What opening says; everything that was opened must be closed again."""
    computer.add_chips()
    before = set(os.listdir("/proc/self/fd"))
    former = list(computer.requests)
    with pytest.raises(kind) as seen:
        open_linux_board(configured(extra, wired))
    for request in computer.requests:
        assert request.released
        if request not in former:
            request.hang_up()
    assert set(os.listdir("/proc/self/fd")) == before
    assert computer.open_chips == 0
    return str(seen.value)


# ---- What is opened ----


def test_chips_with_clocks_of_their_own_open_each_its_device_and_its_drdy(computer: Computer) -> None:
    computer.add_chips()
    computer.add_spi("spidev0.1")
    first, second = split_clocks(load_config(None, base="pieeg-16"))
    with open_linux_board(first) as one, open_linux_board(second) as other:
        assert [set(request.settings) for request in computer.requests] == [{26}, {13}]
        computer.requests[1].fall(13, 1, 2000)
        edge = other.wait(-1)
        assert edge is not None and edge.drdy_ns == 2000 and one.wait(0) is None


def test_kind_linux_is_opened_here(computer: Computer) -> None:
    computer.add_chips()
    with open_board(configured()) as board:
        assert board.name == "linux"


def test_edges_reach_the_board_after_the_packages_closed_their_descriptors(computer: Computer) -> None:
    with opened(computer) as board:
        [drdy] = computer.requests
        assert drdy.released
        assert computer.open_chips == 0
        assert [device.fd for device in computer.devices] == [-1]
        assert (board.name, board.virtual_clock) == ("linux", False)
        drdy.fall(26, 1, 123_456)
        edge = board.wait(-1)
        assert edge is not None
        assert (edge.drdy_ns, edge.seq) == (123_456, 1)
        assert board.drain() == 1
        drdy.hang_up()
        with pytest.raises(BoardError, match="waiting for DRDY: ENODEV"):
            board.wait(-1)


def test_drdy_is_asked_for_falling_edges_with_the_longest_queue(computer: Computer) -> None:
    opened(computer).close()
    [drdy] = computer.requests
    assert list(drdy.settings) == [26]
    settings = drdy.settings[26]
    assert settings.direction == Direction.INPUT
    assert settings.edge_detection == Edge.FALLING
    assert settings.event_clock == Clock.MONOTONIC
    assert settings.bias == gpiod.line.Bias.AS_IS
    assert not settings.debounce_period
    assert not settings.active_low
    assert drdy.event_buffer_size == 1024
    assert drdy.consumer == "eegd-drdy"


def test_an_idle_line_joins_the_request_without_edges(computer: Computer) -> None:
    with opened(computer, 'idle_line = "GPIO17"') as board:
        [drdy] = computer.requests
        assert set(drdy.settings) == {17, 26}
        assert drdy.settings[17].direction == Direction.INPUT
        assert drdy.settings[17].edge_detection == Edge.NONE
        os.write(drdy.writer, EVENT.pack(1, 2, 26, 4, 1))
        edge = board.wait(-1)
        assert edge is not None
        assert edge.seq == 4  # the interrupt's count, which knows of merged edges


def test_outputs_begin_quiet_and_only_the_wired_ones_can_be_set(computer: Computer) -> None:
    with opened(computer, 'start_line = "GPIO22"\npwdn_line = "GPIO5"') as board:
        _drdy, lines = computer.requests
        assert lines.consumer == "eegd-lines"
        assert {offset: settings.output_value for offset, settings in lines.settings.items()} == {
            22: Value.INACTIVE,
            5: Value.ACTIVE,
        }
        assert {settings.direction for settings in lines.settings.values()} == {Direction.OUTPUT}
        with pytest.raises(BoardError, match="setting line RESET to 0: E"):
            board.set_line("RESET", 0)
        with pytest.raises(BoardError, match=f"setting line START to 1: {NOT_ITS_IOCTL}"):
            board.set_line("START", 1)  # asked the kernel, of which a pipe knows nothing


def test_the_chip_is_found_by_its_label_whatever_its_number(computer: Computer) -> None:
    computer.labels = {"gpiochip0": "other", "gpiochip4": "pinctrl-bcm2711"}
    opened(computer).close()
    computer.labels = {"gpiochip0": "other", "gpiochip4": "mine"}
    opened(computer, 'gpio_chip = "mine"').close()
    assert len(computer.requests) == 2


def test_lines_without_names_are_counted_as_the_header_counts_them(computer: Computer) -> None:
    computer.names = [""] * 54
    opened(computer).close()
    assert list(computer.requests[0].settings) == [26]
    computer.labels = {"gpiochip0": "mine"}
    text = refusal(computer, 'gpio_chip = "mine"', ConfigError)
    assert text.endswith("has no line of that name; its lines have no names")


def test_the_spi_device_is_in_mode_1_without_leftovers(computer: Computer) -> None:
    computer.flags = {"loop": True, "lsbfirst": True}
    opened(computer, "sclk_hz = 8000000").close()
    [device] = computer.devices
    assert (device.mode, device.bits_per_word, device.max_speed_hz) == (1, 8, 8_000_000)
    assert not (device.loop or device.lsbfirst or device.cshigh)


def test_a_cascade_opens_a_device_per_chip_select_in_order(computer: Computer) -> None:
    computer.add_spi("spidev0.1")
    wired = WIRED.replace('["/dev/spidev0.0"]', '["/dev/spidev0.1", "/dev/spidev0.0"]')
    with opened(computer, 'chips = ["ADS1299", "ADS1299"]', wired) as board:
        for select in (0, 1):  # each reaches its device, which is a file and refuses
            with pytest.raises(BoardError, match=f"chip select {select}: {NOT_ITS_IOCTL}"):
                board.transfer(b"\0", cs=select, speed_hz=1_000_000)
        with pytest.raises(BoardError, match="chip select 2: EINVAL"):
            board.transfer(b"\0", cs=2, speed_hz=1_000_000)


def test_boards_on_different_devices_live_side_by_side(computer: Computer) -> None:
    computer.add_spi("spidev0.1")
    other = WIRED.replace("0.0", "0.1").replace("GPIO26", "GPIO13")
    with opened(computer) as first, opened(computer, wired=other) as second:
        one, two = computer.requests
        one.fall(26, 1, 100)
        two.fall(13, 1, 200)
        edges = [board.wait(-1) for board in (first, second)]
        assert [edge.drdy_ns for edge in edges if edge is not None] == [100, 200]


# ---- The clock ----


@pytest.mark.parametrize(
    ("requested_hz", "made_hz"),
    [
        (2_000_000, 2_000_000),
        (4_000_000, 4_000_000),
        (8_000_000, 7_692_307),
        (10_000_000, 10_000_000),
        (16_000_000, 14_285_714),
        (20_000_000, 20_000_000),
        (50_000, 50_000),
    ],
)
def test_rp1_divides_by_even_numbers_and_never_goes_faster(requested_hz: int, made_hz: int) -> None:
    assert rp1_sclk_hz(requested_hz) == made_hz <= requested_hz


def test_on_rp1_the_real_clock_decides_what_is_feasible(computer: Computer) -> None:
    config = configured(
        'chips = ["ADS1299", "ADS1299", "ADS1299", "ADS1299"]\ntopology = "daisy"\nsclk_hz = 7100000\nrate_sps = 8000'
    )
    computer.add_chips()
    with (
        open_linux_board(config) as board,
        pytest.raises(ConfigError, match=r"sclk_hz = 7100000 \(this computer makes 6666666 of it\)"),
    ):
        Ads1299(board, config.board, config.montage)
    computer.labels["gpiochip15"] = "pinctrl-bcm2711"
    with open_linux_board(config) as board:
        Ads1299(board, config.board, config.montage)


# ---- What is refused ----


def test_a_missing_device_says_how_to_switch_spi_on(computer: Computer) -> None:
    (computer.directory / "spidev0.0").unlink()
    assert refusal(computer) == (
        "/dev/spidev0.0: no such device; enable SPI: dtparam=spi=on in /boot/firmware/config.txt, then reboot"
    )
    assert "dtoverlay=spi1-1cs in" in refusal(computer, wired=WIRED.replace("spidev0.0", "spidev1.0"))


def test_a_missing_chip_select_names_those_there_are(computer: Computer) -> None:
    text = refusal(computer, wired=WIRED.replace("spidev0.0", "spidev0.2"))
    assert f"/dev/spidev0.2: no such device; bus 0 has {computer.directory}/spidev0.0" in text


def test_a_forbidden_device_names_the_group(computer: Computer) -> None:
    computer.denied = {"spidev0.0"}
    assert "/dev/spidev0.0: no permission; add the user to group spi" in refusal(computer)


def test_the_boot_flash_is_refused_even_behind_the_configuration() -> None:
    with pytest.raises(BoardError, match="not bus 10"):
        eegd.spi.open_spi("/dev/spidev10.0", 1_000_000)


def test_a_controller_without_mode_1_is_refused(computer: Computer) -> None:
    computer.refuses = 1
    assert "SPI mode 1 at 4000000 Hz is refused: Attempted to set mode 0x1" in refusal(computer)
    computer.refuses, computer.mode_sticks_at = None, 0
    assert "reads back mode 0 and 8 bits" in refusal(computer)


def test_a_device_in_use_names_its_holder(computer: Computer) -> None:
    with opened(computer):
        name = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
        holder = f"process {os.getpid()} ({name})"
        assert refusal(computer) == f"/dev/spidev0.0 is in use by {holder}: stop it first"
    opened(computer).close()  # the lock goes with the board


def test_a_holder_that_cannot_be_found_is_another_process(
    computer: Computer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(eegd.spi, "LOCKS", tmp_path / "none")
    with (computer.directory / "spidev0.0").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "/dev/spidev0.0 is in use by another process" in refusal(computer)


def test_a_busy_line_names_line_chip_and_owner(computer: Computer) -> None:
    computer.used = {26: "PiEEG"}
    text = refusal(computer, 'idle_line = "GPIO17"')
    chip = f"GPIO chip pinctrl-rp1 ({computer.directory}/gpiochip15)"
    assert text == f"{chip}: line GPIO26 is in use by PiEEG; stop that program first"
    computer.used = {22: ""}
    assert "line GPIO22 is in use by a nameless program" in refusal(computer, 'start_line = "GPIO22"')


def test_an_unknown_line_is_told_with_the_nearest(computer: Computer) -> None:
    text = refusal(computer, 'reset_line = "GPIO2G"', ConfigError)
    assert text.startswith('[board] reset_line = "GPIO2G": GPIO chip pinctrl-rp1')
    assert "did you mean GPIO2" in text
    assert not computer.requests  # found out before any line was requested


def test_no_header_chip_names_the_chips_there_are(computer: Computer) -> None:
    computer.labels = {"gpiochip0": "gpio-mockup-A"}
    text = refusal(computer)
    assert "no GPIO chip is labelled pinctrl-rp1 or pinctrl-bcm2711 or pinctrl-bcm2835" in text
    assert "there are: gpio-mockup-A (" in text
    assert "[board] gpio_chip" in text
    assert 'gpio_chip = "none-such": no GPIO chip' in refusal(computer, 'gpio_chip = "none-such"', ConfigError)


def test_chips_that_may_not_be_opened_are_the_error_only_where_the_right_one_is_missing(computer: Computer) -> None:
    computer.denied = {"gpiochip0"}
    opened(computer).close()
    computer.denied = {"gpiochip15"}
    assert "gpiochip15; add the user to group gpio" in refusal(computer)


def test_a_link_is_not_a_second_chip(computer: Computer) -> None:
    computer.denied = {"gpiochip15"}
    (computer.directory / "gpiochip4").symlink_to(computer.directory / "gpiochip15")
    assert refusal(computer).count("gpiochip15") == 1


@pytest.mark.parametrize("package", ["spidev", "gpiod"])
def test_a_missing_package_names_the_extra(computer: Computer, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert f"the package {package} is missing: pip install eegd[daemon]" in refusal(computer)


def test_the_old_gpiod_is_not_the_one(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", SimpleNamespace(chip=None))
    assert "gpiod is older than 2.2" in refusal(computer)


def test_a_device_that_goes_away_while_it_is_looked_at_is_a_board_error(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    for place, name in ((FakeChip, "get_info"), (FakeChip, "get_line_info"), (FakeSpi, "fileno")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, gone)
            text = refusal(computer)
            assert ("no GPIO chip is labelled" if name == "get_info" else "No such device") in text


def test_a_thousand_openings_of_a_lost_board_leave_no_descriptor(computer: Computer) -> None:
    before = set(os.listdir("/proc/self/fd"))
    for number in range(1000):
        board = opened(computer, 'start_line = "GPIO22"\nidle_line = "GPIO17"')
        for request in computer.requests:
            request.hang_up()
        with pytest.raises(BoardError, match="ENODEV"):
            board.drain()
        board.close()
        if number % 2:  # and an attempt at which a line has gone to somebody else
            computer.used = {22: "somebody"}
            with pytest.raises(BoardError, match="somebody"):
                opened(computer, 'start_line = "GPIO22"')
            computer.used = {}
            for request in computer.requests:
                request.hang_up()
        computer.requests.clear()
    left = set(os.listdir("/proc/self/fd")) - before  # what earlier tests left to be collected may go meanwhile
    assert left == set() and computer.open_chips == 0
