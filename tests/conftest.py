# SPDX-License-Identifier: MIT
"""What holds for all Python tests: on an emulated processor, no test is judged by the time it takes, and those that
need a real one are skipped with the reason that they give."""

from __future__ import annotations

import os
from typing import Any

import hypothesis
import pytest

EMULATOR = os.environ.get("EEGD_EMULATED_CPU", "")
"""What translates the programs here, such as qemu-user; empty on a real processor. Set by tests/setup/aarch64.sh."""

EXAMPLES = 20
"""At most so many of a property test there, each ten to thirty times slower, however long it takes."""

hypothesis.settings.register_profile(
    "emulated", deadline=None, max_examples=EXAMPLES, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
if EMULATOR:
    hypothesis.settings.load_profile("emulated")


def shorten(function: Any) -> None:
    """Lowers the number of examples that a property test asks for by itself."""
    own = getattr(function, "_hypothesis_internal_use_settings", None)
    if own is not None and own.max_examples > EXAMPLES:
        function._hypothesis_internal_use_settings = hypothesis.settings(own, max_examples=EXAMPLES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`@pytest.mark.real_cpu("why")` leaves a test out where the processor is emulated."""
    if not EMULATOR:
        return
    for item in items:
        shorten(getattr(item, "obj", None))
        for mark in item.iter_markers("real_cpu"):
            item.add_marker(pytest.mark.skip(reason=f"{EMULATOR}: {mark.args[0]}"))
