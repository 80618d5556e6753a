"""The benchmark of plugins in parallel: that it runs, and that both layouts compute the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench.frame_cost import cost_of, sosfilt_us


def test_three_plugins_in_three_processes_compute_what_they_do_in_one() -> None:
    words = ["-m", "tests.bench.plugins", "--frames", "10", "--work-ms", "0.1", "--most", "1", "--cost-s", "0"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, *words], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "speed-up, median of 1 undisturbed" in done.stdout or "no speed-up to tell" in done.stdout


def test_what_a_frame_costs_is_told_of_both_processes() -> None:
    cost = cost_of("empty", 1, "virtual", 0.3)
    assert cost.n_frames > 0
    assert cost.daemon_us > 0
    assert cost.plugin_us > 0
    assert sosfilt_us() > 0
