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


RIGHTS = """
import resource
from eegd.memory import stand_back
soft, hard = resource.getrlimit(resource.RLIMIT_RTPRIO)
try:
    resource.setrlimit(resource.RLIMIT_RTPRIO, (50, max(50, hard)))
except ValueError:
    pass  # it has no such right to begin with
stand_back()
print(resource.getrlimit(resource.RLIMIT_RTPRIO))
"""


def test_a_plugin_has_no_right_to_real_time() -> None:
    done = subprocess.run([sys.executable, "-c", RIGHTS], capture_output=True, text=True, check=False)
    assert done.stdout == "(0, 0)\n", done.stderr


PAGES = """
import re, pathlib
from eegd.memory import lock_memory, stand_back
def allowed():
    found = re.search(r"^THP_enabled:\\s*(\\d)", pathlib.Path("/proc/self/status").read_text(), re.MULTILINE)
    return found and found[1]  # nothing where the kernel has none
lock_memory()
between = allowed()
stand_back()
print(between, allowed())
"""


@pytest.mark.real_cpu("refuses PR_SET_THP_DISABLE")
def test_the_daemon_has_no_pages_that_are_moved_together_and_a_plugin_may() -> None:
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=False)
    assert done.stdout in ("0 1\n", "None None\n"), done.stderr


STARVE = """
from eegd.memory import headroom, limit_memory, memory_limit_mb
assert memory_limit_mb() == 0
limit_memory(0)
assert memory_limit_mb() == 0
limit_memory(200)
assert memory_limit_mb() == 200
kept = []
try:
    while True:
        kept.append(bytearray(1_000_000))
except MemoryError:
    pass
n = len(kept)
with headroom():
    kept.append(bytearray(5_000_000))
try:
    kept.append(bytearray(1_000_000))
except MemoryError:
    print(n, memory_limit_mb())
"""


@pytest.mark.real_cpu("takes a limit of memory and sets none")
def test_beyond_its_limit_a_process_gets_no_memory_but_some_to_tell_so() -> None:
    done = subprocess.run([sys.executable, "-c", STARVE], capture_output=True, text=True, check=True)
    n, limit = done.stdout.split()
    assert 50 < int(n) < 200
    assert float(limit) == 200
