# SPDX-License-Identifier: MIT
"""What holds for all Python tests: none is judged by the time it takes, and those that need a real processor are
skipped on an emulated one, with the reason that they give."""

from __future__ import annotations

import os
from typing import Any

import hypothesis
import pytest

from eegd import plugin_check

EMULATOR = os.environ.get("EEGD_EMULATED_CPU", "")
"""What translates the programs here, such as qemu-user; empty on a real processor. Set by tests/setup/aarch64.sh."""

EXAMPLES = 20
"""At most so many of a property test there, each ten to thirty times slower, however long it takes."""

NO_LIMITS: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("real", **NO_LIMITS)
hypothesis.settings.register_profile("emulated", max_examples=EXAMPLES, **NO_LIMITS)
hypothesis.settings.load_profile("emulated" if EMULATOR else "real")

if EMULATOR:
    plugin_check.LOAD_S *= 10  # a process with numpy takes long to start there


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
