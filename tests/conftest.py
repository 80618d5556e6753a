# SPDX-License-Identifier: MIT
"""What holds for all Python tests: on an emulated processor, no test is judged by the time it takes, and those that
need a real one are skipped with the reason that they give."""

from __future__ import annotations

import os

import hypothesis
import pytest

EMULATOR = os.environ.get("EEGD_EMULATED_CPU", "")
"""What translates the programs here, such as qemu-user; empty on a real processor. Set by tests/setup/aarch64.sh."""

# Ten to thirty times slower: a tenth of the examples, however long each takes.
hypothesis.settings.register_profile(
    "emulated", deadline=None, max_examples=20, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
if EMULATOR:
    hypothesis.settings.load_profile("emulated")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`@pytest.mark.real_cpu("why")` leaves a test out where the processor is emulated."""
    if not EMULATOR:
        return
    for item in items:
        for mark in item.iter_markers("real_cpu"):
            item.add_marker(pytest.mark.skip(reason=f"{EMULATOR}: {mark.args[0]}"))
