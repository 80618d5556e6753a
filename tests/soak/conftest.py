"""The fixtures of the simulation tests serve here too; a hang takes longer to be one."""

from __future__ import annotations

from tests.simulation import conftest
from tests.simulation.conftest import daemon, home, no_hang

__all__ = ["daemon", "home", "no_hang"]

conftest.HANG_S = 600
