# SPDX-License-Identifier: MIT
"""Somebody else's program, unmodified, reads the emulated chip: a script of PiEEG's maker for a Raspberry Pi 5.

The host gives it as KERNEL_SCRIPT; it runs on the distribution's Python with the older gpiod. Packages that it
imports without need have stand-ins; that of pandas looks at what the script wants to save.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np

from eegd.pattern import find_pattern
from tests.kernel.guest.kit import JOB, expect, load, row, status, violations

SCRIPT = JOB / "foreign.py"
STAND_INS = Path("/run/stand-ins")
SAVED = Path("/run/saved.json")
CLOCK = 2
"""The chip runs so many times faster, since the script polls without rest: 10000 conversions then take 20 s."""
NAMES = {
    "gpiozero": "LED = Button = None\n",
    "matplotlib": "pyplot = None\n",
    "RPi": "class GPIO:\n    BOARD = BCM = 0\n    setmode = setwarnings = staticmethod(lambda *_: None)\n",
}
PANDAS = f"""
import json, os
class DataFrame:
    def __init__(self, columns): self.columns = columns
    def to_excel(self, *_, **__):
        with open("{SAVED}", "w") as file: json.dump(list(self.columns.values()), file)
        os._exit(0)
"""


def make_stand_ins() -> None:
    for name, text in NAMES.items():
        (STAND_INS / name).mkdir(parents=True)
        (STAND_INS / name / "__init__.py").write_text(text)
    scipy = STAND_INS / "scipy"
    scipy.mkdir()
    (scipy / "__init__.py").write_text("signal = None\n")
    (scipy / "ndimage.py").write_text("gaussian_filter1d = None\n")
    (STAND_INS / "pandas.py").write_text(PANDAS)


def main() -> None:
    if not SCRIPT.exists():
        print("@SKIP no script: make test-kernel KERNEL_TESTS=foreign KERNEL_SCRIPT=/path/to/script.py")
        return
    load(fclk_hz=CLOCK * 2_048_000)
    if not Path("/dev/gpiochip4").exists():
        os.symlink("gpiochip0", "/dev/gpiochip4")  # as udev does on a Raspberry Pi 5
    make_stand_ins()
    command = ["/usr/bin/python3", str(SCRIPT)]
    done = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(STAND_INS)})
    seen = status()
    expect(done.returncode == 0 and SAVED.exists(), f"the script has ended with status {done.returncode}")
    volts = np.array(json.loads(SAVED.read_text()))
    codes = np.rint(volts * 16777215 / 4.5e6).astype(np.int64)
    codes[codes < 0] -= 2  # the script subtracts 2^24 - 2 from negative codes
    found = [find_pattern(codes[:, i : i + 1], i) for i in range(codes.shape[1])]
    right = [index for index in found if index is not None]
    row(
        test="the script",
        conversions=len(found),
        wrong=len(found) - len(right),
        lost=right[-1] - right[0] + 1 - len(right) if right else "-",
        overruns=seen["overruns"],
        violations=violations() or "none",
    )
    expect(len(right) == len(found), f"{len(found) - len(right)} conversions are wrong")


if __name__ == "__main__":
    main()
