# SPDX-License-Identifier: MIT
"""eegctl doctor on real spidev and GPIO: all green, and one red for what is wired or set wrongly."""

import json
import subprocess
from pathlib import Path
from typing import Any

import gpiod

from tests.kernel.guest.kit import expect, load, row, unload, violations

CONFIG = Path("/run/doctor.toml")
BOARD = '[board]\nkind = "linux"\nspi = ["/dev/spidev0.0"]\ndrdy_line = "GPIO{drdy}"\nsclk_hz = 4000000\n'


def doctor(drdy: int = 26, user: str | None = None) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and the rows by the name of their check."""
    CONFIG.write_text(BOARD.format(drdy=drdy))
    command = ["/opt/eegd/bin/eegctl", "doctor", "--config", str(CONFIG), "--json", "--frames", "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, user=user, group=user and "nogroup")
    expect("Traceback" not in done.stderr and done.stdout != "", f"doctor said: {done.stderr}")
    return done.returncode, {found["check"]: found for found in json.loads(done.stdout)["checks"]}


def told(rows: dict[str, dict[str, Any]]) -> str:
    return "; ".join(f"{found['level']} {name}: {found['found']}" for name, found in rows.items())


def red(rows: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name, found in rows.items() if found["level"] == "red"]


def good_board() -> None:
    load()
    code, rows = doctor()
    expect(code == 0 and not red(rows), told(rows))
    for name in ("SPI devices", "GPIO chip", "GPIO lines", "chips", "registers", "DRDY", "test signal", "noise"):
        expect(rows[name]["level"] == "ok", f"{name}: {rows[name]}")
    expect(not violations(), f"the chip was handled wrongly: {violations()}")
    row(test="doctor: good board", DRDY=rows["DRDY"]["found"], SPI=rows["SPI clock"]["found"])
    row(test="doctor: interrupt thread", found=rows["DRDY interrupt"]["found"])
    unload()


def drdy_on_another_pin() -> None:
    load(drdy=25)
    code, rows = doctor()
    expect(code == 1 and red(rows) == ["DRDY"], told(rows))
    expect('drdy_line = "GPIO25"' in rows["DRDY"]["mend"], f"{rows['DRDY']}")
    row(test="doctor: DRDY on another pin", found=rows["DRDY"]["why"])
    unload()


def another_model() -> None:
    load(channels=4)
    code, rows = doctor()
    expect(code == 1 and red(rows) == ["chips"] and "this is an ADS1299-4" in rows["chips"]["found"], told(rows))
    row(test="doctor: another model", found=rows["chips"]["found"])
    unload()


def no_permission() -> None:
    load()
    code, rows = doctor(user="nobody")
    expect(code == 1 and {"SPI devices", "GPIO chip", "board"} <= set(red(rows)), told(rows))
    expect("usermod -aG" in rows["SPI devices"]["mend"], f"{rows['SPI devices']}")
    row(test="doctor: no permission", found=rows["SPI devices"]["found"])
    unload()


def line_in_use() -> None:
    load()
    with gpiod.Chip("/dev/gpiochip0") as chip, chip.request_lines({"GPIO26": None}, consumer="other-program"):
        code, rows = doctor()
    expect(code == 1 and {"GPIO lines", "board"} == set(red(rows)), told(rows))
    expect("other-program" in rows["GPIO lines"]["found"], f"{rows['GPIO lines']}")
    row(test="doctor: DRDY in use", found=rows["GPIO lines"]["found"])
    unload()


def nothing_there() -> None:
    code, rows = doctor()
    expect(code == 1 and {"SPI devices", "GPIO chip", "board"} <= set(red(rows)), told(rows))
    row(test="doctor: no board", found=rows["SPI devices"]["found"])


def main() -> None:
    nothing_there()
    good_board()
    drdy_on_another_pin()
    another_model()
    no_permission()
    line_in_use()


if __name__ == "__main__":
    main()
