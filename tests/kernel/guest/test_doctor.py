# SPDX-License-Identifier: MIT
"""eegctl doctor on real spidev and GPIO: all green, and one red for what is wired or set wrongly."""

import json
import subprocess
from pathlib import Path
from typing import Any

import gpiod

from tests.kernel.guest.kit import expect, fault, load, row, status, unload, violations
from tests.kernel.guest.test_service import install, samples, until

CONFIG = Path("/run/doctor.toml")
SPI = "/dev/spidev0.0"
BOARD = '[board]\nkind = "linux"\nspi = ["{spi}"]\ndrdy_line = "GPIO26"\nsclk_hz = {sclk_hz}\n'
TRUE_OF_THE_GUEST = {"clock", "PCIe power"}
"""What warns, rightly: nothing synchronises its clock, and its PCIe link may sleep."""


def doctor(user: str | None = None, spi: str = SPI, sclk_hz: int = 4_000_000) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and the rows by the name of their check."""
    CONFIG.write_text(BOARD.format(spi=spi, sclk_hz=sclk_hz))
    return ask("--config", str(CONFIG), user=user)


def ask(*arguments: str, user: str | None = None) -> tuple[int, dict[str, dict[str, Any]]]:
    """As `doctor`, of whatever the arguments say."""
    command = ["/opt/eegd/bin/eegctl", "doctor", *arguments, "--json", "--frames", "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, user=user, group=user and "nogroup")
    expect("Traceback" not in done.stderr and done.stdout != "", f"doctor said: {done.stderr}")
    return done.returncode, {found["check"]: found for found in json.loads(done.stdout)["checks"]}


def told(rows: dict[str, dict[str, Any]]) -> str:
    return "; ".join(f"{found['level']} {name}: {found['found']}" for name, found in rows.items())


def red(rows: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name, found in rows.items() if found["level"] == "red"]


def expect_well(what: str, code: int, rows: dict[str, dict[str, Any]]) -> None:
    """Nothing red, and no warning but of what is true of the guest."""
    warned = {name for name, found in rows.items() if found["level"] == "warn"}
    expect(code == 0 and not red(rows) and warned <= TRUE_OF_THE_GUEST, f"{what}: {told(rows)}")
    levels = [found["level"] for found in rows.values()]
    row(test=f"doctor: {what}", **{level: levels.count(level) for level in ("ok", "note", "warn", "red")})


def expect_red(what: str, check: str, said: str, rows: dict[str, dict[str, Any]]) -> None:
    """Exactly one red row, of this check, and this among its words."""
    expect(red(rows) == [check], f"{what}: {told(rows)}")
    words = " | ".join(rows[check][part] for part in ("found", "why", "mend"))
    expect(said in words, f"{what}: {words}")
    row(test=f"doctor: {what}", red=check, found=rows[check]["found"], why=rows[check]["why"])


def good_board() -> None:
    load()
    code, rows = doctor()
    for name in ("SPI devices", "GPIO chip", "GPIO lines", "chips", "registers", "DRDY", "test signal", "noise"):
        expect(rows[name]["level"] == "ok", f"{name}: {rows[name]}")
    expect(not violations(), f"the chip was handled wrongly: {violations()}")
    expect_well("good board", code, rows)
    for name in ("preemption", "DRDY interrupt", "DRDY", "SPI clock"):
        row(test=f"doctor: good board, {name}", found=rows[name]["found"])
    unload()


def beside_the_service() -> None:
    """While it runs, it is asked and goes on; with --stop it is stopped, and runs again afterwards."""
    install()
    subprocess.run(["systemctl", "start", "eegd.service"], check=True)
    begun = samples()
    until("a second of samples", lambda: samples() > begun + 250)
    before = samples()
    code, rows = ask()
    expect({"daemon", "losses", "rate", "priority", "DRDY interrupt"} <= set(rows), f"rows: {told(rows)}")
    expect(rows["board"]["level"] == "note" and samples() > before, f"{rows['board']}")
    expect_well("beside the service", code, rows)
    row(test="doctor: beside the service, rate", found=rows["rate"]["found"], losses=rows["losses"]["found"])
    code, rows = ask("--stop")
    expect(rows["noise"]["level"] == "ok", f"{rows['noise']}")
    expect_well("with --stop", code, rows)
    until("the service runs again", lambda: samples() > 250)
    subprocess.run(["systemctl", "stop", "eegd.service"], check=True)
    unload()


def spoiled(what: str, faults: str, check: str, said: str, sclk_hz: int = 4_000_000, **module: object) -> None:
    load(**module)
    if faults:
        fault(faults)
    _, rows = doctor(sclk_hz=sclk_hz)
    expect_red(what, check, said, rows)
    unload()


def chip_absent() -> None:
    """One chip select further, where no chip is."""
    load()
    _, rows = doctor(spi="/dev/spidev0.1")
    expect_red("no chip at this chip select", "chips", "every byte is FF", rows)
    unload()


def clock_too_fast() -> None:
    """Registers are read slowly enough, conversions are not."""
    load(max_sclk_hz=5_000_000)
    _, rows = doctor(sclk_hz=10_000_000)
    expect(status()["too_fast"] > 0, "no transfer was too fast")
    expect_red("SPI clock too fast", "SPI clock", "sclk_hz = 4000000", rows)
    unload()


def another_model() -> None:
    load(channels=4)
    _, rows = doctor()
    expect_red("another model", "chips", "an ADS1299-4 answers", rows)
    unload()


def no_permission() -> None:
    """Of the group spi only, of gpio only: the other is the one red row."""
    load()
    (chip,) = (path for path in Path("/dev").glob("gpiochip*"))
    for open_to_all, check, closed in ((chip, "SPI devices", SPI), (Path(SPI), "GPIO chip", str(chip))):
        open_to_all.chmod(0o666)
        _, rows = doctor(user="nobody")
        expect("usermod -aG" in rows[check]["mend"], f"{rows[check]}")
        expect_red(f"no permission, {check}", check, f"user nobody may not use {closed}", rows)
        open_to_all.chmod(0o600)
    unload()


def line_in_use() -> None:
    load()
    with gpiod.Chip("/dev/gpiochip0") as chip, chip.request_lines({"GPIO26": None}, consumer="other-program"):
        _, rows = doctor()
    expect_red("DRDY in use", "GPIO lines", "other-program", rows)
    unload()


def nothing_there() -> None:
    code, rows = doctor()
    expect(code == 1 and red(rows) == ["SPI devices", "GPIO chip"], told(rows))
    row(test="doctor: no board", red="SPI devices, GPIO chip", found=rows["SPI devices"]["found"])


def main() -> None:
    nothing_there()
    good_board()
    spoiled("DRDY on another pin", "", "DRDY", 'drdy_line = "GPIO25"', drdy=25)
    spoiled("SPI mode 0", "mode count=0", "chips", "the SPI mode is 0")
    spoiled("MISO stuck at 0", "stuck count=0 value=0", "chips", "every byte is 00")
    spoiled("MISO stuck at 55h", "stuck count=0 value=0x55", "chips", "no bits that a chip sends")
    spoiled("board unplugged", "unplugged count=0", "chips", "every byte is FF")
    chip_absent()
    clock_too_fast()
    another_model()
    no_permission()
    line_in_use()
    beside_the_service()


if __name__ == "__main__":
    main()
