# SPDX-License-Identifier: MIT
"""eegctl doctor --loopback on real GPIO code: a known lateness lies within the bounds, and no wire is refused."""

import json
import re
import subprocess
from typing import Any

import gpiod

from tests.kernel.guest.kit import expect, load, row, unload

LATENESS_NS = (0, 3000, 20_000)
WIDEST_NS = 50_000
"""Of the bounds: some thousand instructions of Python."""


def measure(lines: str = "GPIO17:GPIO27") -> tuple[int, dict[str, Any]]:
    """Exit code, and the one row."""
    command = ["/opt/eegd/bin/eegctl", "doctor", "--loopback", lines, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    expect("Traceback" not in done.stderr and done.stdout != "", f"doctor said: {done.stderr}")
    [found] = json.loads(done.stdout)["checks"]
    return done.returncode, found


def known_lateness(ns: int) -> int:
    load(loopback="17,27", loopback_ns=ns)
    code, found = measure()
    expect(code == 0, f"{found}")
    bounds = re.search(r"least ([\d.]+) … ([\d.]+) µs", found["found"])
    expect(bounds is not None, found["found"])
    assert bounds is not None
    low, high = (1000 * float(text) for text in bounds.groups())
    # The timer that stands for the interrupt is itself late, but never early.
    expect(ns <= high <= ns + WIDEST_NS and low <= high, f"{ns} ns: {found['found']}")
    middle = int(found["mend"].rpartition(" = ")[2])
    expect(abs(middle - (low + high) / 2) <= 10, f"{found}")
    row(test=f"loopback: {ns} ns late", found=bounds[0], mend=found["mend"])
    unload()
    return round(high)


def without_a_wire() -> None:
    load()
    code, found = measure()
    expect(code == 1 and "GPIO27 does not follow GPIO17" in found["found"], f"{found}")
    row(test="loopback: no wire", found=found["found"])
    unload()


def line_in_use() -> None:
    load(loopback="17,27")
    with gpiod.Chip("/dev/gpiochip0") as chip, chip.request_lines({"GPIO17": None}, consumer="other-program"):
        code, found = measure()
    expect(code == 1 and "line GPIO17 is in use by other-program" in found["found"], f"{found}")
    row(test="loopback: line in use", found=found["found"])
    unload()


def main() -> None:
    without_a_wire()
    line_in_use()
    highs = [known_lateness(ns) for ns in LATENESS_NS]
    expect(highs == sorted(highs), f"{highs}")


if __name__ == "__main__":
    main()
