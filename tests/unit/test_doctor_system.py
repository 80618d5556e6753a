"""The doctor's checks of devices, kernel, power, clock and disk: each on a good computer and on a bad one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import eegd.doctor.examine  # fills the list of checks
from eegd.doctor.check import Level
from tests.unit.computer import REAL_BOARD, Computer, result_of, results_of

assert eegd.doctor.examine


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    """A Raspberry Pi 5 with nothing wrong."""
    computer = Computer(tmp_path)
    computer.file("dev/spidev0.0", mode=0o666)
    computer.gpio()
    return computer


def test_spi_devices_that_may_be_used_are_well(computer: Computer) -> None:
    result = result_of(computer, "SPI devices")
    assert result.level is Level.OK and "/dev/spidev0.0" in result.found


def test_spi_that_is_off_is_red_with_the_command_that_turns_it_on(computer: Computer) -> None:
    (computer.root / "dev/spidev0.0").unlink()
    computer.file("boot/firmware/config.txt", "# dtparam=spi=on\ndtparam=audio=on\n")
    result = result_of(computer, "SPI devices")
    assert result.level is Level.RED and "no dtparam=spi=on" in result.found
    assert result.mend.startswith("sudo raspi-config nonint do_spi 0")


def test_spi_that_was_just_turned_on_needs_a_reboot(computer: Computer) -> None:
    (computer.root / "dev/spidev0.0").unlink()
    computer.file("boot/firmware/config.txt", "dtparam=i2c_arm=on,spi=on\n")
    assert result_of(computer, "SPI devices").mend == "sudo reboot"


def test_another_spi_bus_is_suggested_but_never_the_boot_flash(computer: Computer) -> None:
    os.rename(computer.root / "dev/spidev0.0", computer.root / "dev/spidev1.0")
    computer.file("dev/spidev10.0")
    computer.file("boot/firmware/config.txt", "dtparam=spi=on\n")
    result = result_of(computer, "SPI devices")
    assert "/dev/spidev1.0" in result.mend and "spidev10" not in result.found + result.mend


def test_an_spi_device_of_another_group_is_red_with_the_group_to_join(computer: Computer) -> None:
    (computer.root / "dev/spidev0.0").chmod(0o660)
    result = result_of(computer, "SPI devices")
    assert result.level is Level.RED and "may not use /dev/spidev0.0" in result.found
    assert result.mend.startswith("sudo usermod -aG ") and result.fix is None


def test_a_member_of_the_group_may_use_the_device(computer: Computer) -> None:
    (computer.root / "dev/spidev0.0").chmod(0o660)
    computer.facts["gids"] = frozenset({(computer.root / "dev/spidev0.0").stat().st_gid})
    assert result_of(computer, "SPI devices").level is Level.OK


def test_a_program_that_has_the_spi_device_open_is_named(computer: Computer) -> None:
    assert result_of(computer, "SPI users").level is Level.OK
    computer.open_by(812, "python3", "/dev/spidev0.0")
    result = result_of(computer, "SPI users")
    assert result.level is Level.RED and "python3 (812)" in result.found and result.mend == "kill 812"


@pytest.mark.parametrize("number", [0, 4, 15])
def test_the_header_is_found_by_its_label_whatever_its_number(tmp_path: Path, number: int) -> None:
    computer = Computer(tmp_path)
    computer.file("dev/spidev0.0", mode=0o666)
    computer.gpio("gpio-brcmstb@107d508500", 11)
    computer.gpio(number=number)
    result = result_of(computer, "GPIO chip")
    assert result.level is Level.OK and f"gpiochip{number}," in result.found


def test_a_computer_without_the_header_is_red_and_says_what_chips_there_are(tmp_path: Path) -> None:
    computer = Computer(tmp_path)
    computer.gpio("pl061")
    result = result_of(computer, "GPIO chip")
    assert result.level is Level.RED and "pinctrl-rp1" in result.found and "pl061" in result.why


def test_a_computer_without_any_gpio_chip_is_told_to_be_the_wrong_one(tmp_path: Path) -> None:
    result = result_of(Computer(tmp_path), "GPIO chip")
    assert result.level is Level.RED and "no GPIO chip at all" in result.why
    assert "Raspberry Pi" in result.mend and "--simulate" in result.mend


def test_a_gpio_chip_of_another_group_is_red_with_the_group_to_join(tmp_path: Path) -> None:
    computer = Computer(tmp_path)
    computer.gpio(mode=0o660)
    result = result_of(computer, "GPIO chip")
    assert result.level is Level.RED and "may not use /dev/gpiochip0" in result.found
    assert "usermod -aG" in result.mend


def test_a_line_that_the_header_does_not_have_is_red(computer: Computer) -> None:
    result = result_of(computer, "GPIO chip", {**REAL_BOARD, "board.drdy_line": "GPIO99"})
    assert result.level is Level.RED and "GPIO99" in result.found


def test_whoever_holds_drdy_is_named(computer: Computer) -> None:
    assert result_of(computer, "GPIO lines").level is Level.OK
    computer.gpio(GPIO26="pieeg-server", GPIO5="fan")
    result = result_of(computer, "GPIO lines")
    assert result.level is Level.RED and "GPIO26" in result.found and "pieeg-server" in result.found
    assert "fan" not in result.found


def test_hardware_is_not_asked_for_by_an_emulated_board(tmp_path: Path) -> None:
    assert results_of(Computer(tmp_path), "SPI devices", {}) == []
    assert results_of(Computer(tmp_path), "GPIO chip", {}) == []


def test_a_real_time_kernel_is_told_from_another_by_its_version(computer: Computer) -> None:
    assert result_of(computer, "kernel").level is Level.OK
    computer.facts |= {"version": "#1 SMP PREEMPT Debian", "page_size": 16384}
    result = result_of(computer, "kernel")
    assert result.level is Level.NOTE and "not PREEMPT_RT" in result.found and "16 KiB" in result.found


def test_an_rt_kernel_that_locks_up_with_the_graphics_driver_is_red(computer: Computer) -> None:
    (computer.root / "sys/module/v3d").mkdir(parents=True)
    assert results_of(computer, "kernel faults") == []
    computer.facts["release"] = "6.12.47+rpt-rpi-v8-rt"
    assert result_of(computer, "kernel faults").level is Level.RED


def test_a_kernel_whose_spi_times_out_is_a_warning(computer: Computer) -> None:
    assert results_of(computer, "SPI driver") == []
    computer.facts["release"] = "6.6.20+rpt-rpi-2712"
    assert result_of(computer, "SPI driver").level is Level.WARN


def test_another_chip_may_be_named_by_its_label(tmp_path: Path) -> None:
    computer = Computer(tmp_path)
    computer.gpio("pl061", 0)
    computer.gpio("eegd-test", 1)
    result = result_of(computer, "GPIO chip", {**REAL_BOARD, "board.gpio_chip": "eegd-test"})
    assert result.level is Level.OK and "gpiochip1" in result.found


@pytest.mark.parametrize(
    ("word", "level", "said"),
    [("0", Level.OK, "no under-voltage"), ("50000", Level.WARN, "since the boot"), ("50005", Level.RED, "now")],
)
def test_the_firmware_tells_about_under_voltage(computer: Computer, word: str, level: Level, said: str) -> None:
    computer.file("sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", f"{word}\n")
    result = result_of(computer, "power")
    assert result.level is level and said in result.found
    assert level is Level.OK or "under-voltage, throttled" in result.found


def test_vcgencmd_is_asked_where_no_file_tells_the_voltage(computer: Computer) -> None:
    computer.facts["run"] = lambda command: "throttled=0x2\n" if command[0] == "vcgencmd" else None
    result = result_of(computer, "power")
    assert result.level is Level.RED and "clock capped" in result.found


def test_a_clock_that_nothing_synchronises_is_a_warning(computer: Computer) -> None:
    assert result_of(computer, "clock").level is Level.OK
    computer.facts["clock_state"] = lambda: 5
    assert "set-ntp" in result_of(computer, "clock").mend


def test_an_rtc_is_noted(computer: Computer) -> None:
    assert result_of(computer, "RTC").level is Level.NOTE
    computer.file("dev/rtc0")
    assert result_of(computer, "RTC").level is Level.OK


def test_a_full_disk_is_red(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    (computer.root / "var/lib/eegd").mkdir(parents=True)
    sizes = os.statvfs_result((4096, 4096, 10**9, 10**9, 10**9, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: sizes)
    result = result_of(computer, "disk")
    assert result.level is Level.OK and "/var/lib/eegd" in result.found
    sizes = os.statvfs_result((4096, 4096, 10**9, 0, 5000, 0, 0, 0, 0, 255))
    assert result_of(computer, "disk").level is Level.RED
