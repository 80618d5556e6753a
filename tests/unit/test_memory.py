"""What a plugin's process gives up of what it inherits from the daemon."""

from __future__ import annotations

import subprocess
import sys

import pytest

STAND_BACK = """
import os, pathlib, sys
adjustment = pathlib.Path("/proc/self/oom_score_adj")
try:
    os.nice(-5)
    adjustment.write_text("-500")
except OSError:
    sys.exit(77)
from eegd.memory import stand_back
stand_back()
stand_back()
print(os.nice(0), adjustment.read_text().strip())
"""


def test_a_plugin_has_neither_the_daemon_s_nice_nor_its_protection() -> None:
    done = subprocess.run([sys.executable, "-c", STAND_BACK], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("needs the right to a negative nice and oom_score_adj")
    assert done.stdout == "0 0\n", done.stderr
