# SPDX-License-Identifier: MIT
"""Chips with a chip select each, their START, RESET and PWDN pins on GPIO lines, and an idle line beside DRDY."""

from __future__ import annotations

from typing import Any

from tests.kernel.guest.eegd_kit import Checker, Eegd
from tests.kernel.guest.kit import expect, fault, row, status, violations

LINES = 'start_line = "GPIO22"\nreset_line = "GPIO23"\npwdn_line = "GPIO24"'
SAMPLES = 500


def run(name: str, chips: int, extra: str, **module: Any) -> None:
    checker = Checker()
    with Eegd(250, chips, extra=extra, cascade=chips > 1, **module) as daemon, daemon.reader() as (_, stream):
        checker.read(stream, SAMPLES)
        seen, broken = status(), violations()
    row(test=name, samples=checker.samples, lost=checker.lost, wrong=checker.wrong, overruns=seen["overruns"])
    checker.expect_whole(name)
    expect(not broken, f"{name}: the chips were handled wrongly: {broken}")


def merged_edges_with_an_idle_line() -> None:
    checker = Checker()
    idle = 'idle_line = "GPIO17"'
    with Eegd(250, extra=idle, stream="frame_samples = 1") as daemon, daemon.reader() as (client, stream):
        checker.read(stream, SAMPLES)
        fault("merged at=50")
        checker.read(stream, SAMPLES)
        missed = client.ask("status")["status"]["losses"]["missed"]
    row(test="merged edges, idle line", samples=checker.samples, missed=missed, unexplained=checker.unexplained)
    expect(missed == 1 == checker.lost, f"{missed} counted as missed, {checker.lost} lost, not one")
    expect(checker.unexplained == 0, f"{checker.unexplained} samples unexplained")


def main() -> None:
    run("START, RESET and PWDN lines", 1, LINES, start=22, reset=23, pwdn=24)
    run("cascade of two", 2, LINES, start=22, reset=23, pwdn=24)
    run("cascade of four, by command", 4, "")
    merged_edges_with_an_idle_line()


if __name__ == "__main__":
    main()
