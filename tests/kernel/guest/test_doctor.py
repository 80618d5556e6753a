# SPDX-License-Identifier: MIT
"""eegctl doctor on real spidev and GPIO: all green, and one red for what is wired or set wrongly."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.kernel.guest.kit import expect, fault, load, row, unload, violations

CONFIG = Path("/run/doctor.toml")
BOARD = '[board]\nkind = "linux"\nspi = ["/dev/spidev0.0"]\ndrdy_line = "GPIO{drdy}"\nsclk_hz = 4000000\n'


def doctor(drdy: int = 26) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and the rows by the name of their check."""
    CONFIG.write_text(BOARD.format(drdy=drdy))
    command = ["/opt/eegd/bin/eegctl", "doctor", "--config", str(CONFIG), "--json", "--frames", "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
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


def faults() -> None:
    for text, check, said in (
        ("stuck value=0 count=0", "chips", "every byte is 00"),
        ("stuck value=255 count=0", "chips", "every byte is FF"),
        ("mode count=0", "chips", "one place late"),
    ):
        load()
        fault(text)
        code, rows = doctor()
        expect(code == 1 and red(rows) == [check] and said in rows[check]["why"], f"{text}: {told(rows)}")
        row(test=f"doctor: {text}", found=rows[check]["why"])
        unload()


def nothing_there() -> None:
    code, rows = doctor()
    expect(code == 1 and {"SPI devices", "GPIO chip", "board"} <= set(red(rows)), told(rows))
    row(test="doctor: no board", found=rows["SPI devices"]["found"])


def main() -> None:
    nothing_there()
    good_board()
    drdy_on_another_pin()
    faults()


if __name__ == "__main__":
    main()
