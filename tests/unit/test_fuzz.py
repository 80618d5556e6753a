"""The fuzzers, with few inputs and a fixed seed: `make fuzz` does the same with many."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.real_cpu("thousands of inputs take it too long, and it runs no sanitizers")


def fuzz(name: str, n: int) -> Counter[str]:
    """Runs one fuzzer in this process; what it finds is an exception."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    outcome: Counter[str] = importlib.import_module(f"tests.fuzz.fuzz_{name}").run(n, seed=20)
    return outcome


def total(outcome: Counter[str], *words: str) -> int:
    return sum(count for what, count in outcome.items() if any(word in what for word in words))


def test_every_configuration_is_taken_or_refused_with_file_key_and_value() -> None:
    outcome = fuzz("config", 3000)
    assert total(outcome, "refused") > 1000 and total(outcome, "accepted") > 50


def test_attach_requests_of_any_kind_disturb_no_reader_and_leave_nothing_behind() -> None:
    outcome = fuzz("attach", 3000)
    assert total(outcome, "refused") > 1000 and total(outcome, "attached") > 50


def test_control_messages_of_any_kind_leave_daemon_and_stream_as_they_are() -> None:
    outcome = fuzz("control", 3000)
    assert total(outcome, "refused") > 1000 and total(outcome, "answered", "applied") > 10


def test_a_hostile_daemon_gets_nothing_but_errors_of_ours_out_of_a_client() -> None:
    outcome = fuzz("client", 2000)
    assert total(outcome, "Error") > 500 and total(outcome, "frames") > 50


@pytest.mark.skipif(shutil.which("make") is None or shutil.which("cc") is None, reason="no C compiler")
def test_hostile_shared_memory_is_refused_under_the_sanitizers() -> None:
    result = subprocess.run(
        ["make", "fuzz-native", "N=3000", "SEED=20"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if "cannot find -lasan" in result.stderr or "cannot find -lubsan" in result.stderr:
        pytest.skip("the compiler's sanitizer libraries are not installed")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 failed" in result.stdout
