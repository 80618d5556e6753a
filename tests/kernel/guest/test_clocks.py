# SPDX-License-Identifier: MIT
"""Chips on oscillators of their own on one SPI bus: a stream each, none loses a sample, each at its chip's rate."""

from __future__ import annotations

import time
from typing import Any

from tests.kernel.guest.eegd_kit import Checker, Eegd
from tests.kernel.guest.kit import expect, fault, row, violations

PPM = (-2000, 3000)
RATE = 1000
SAMPLES = 5000
"""Of each chip; the faster one is 25 conversions ahead at the end."""
RATE_PPM = 5
"""How far a rate of so many samples may be from the chip's: its edges wait for the other chip's transfers at most."""


def rate_ppm(first_ns: int, last_ns: int, n: int) -> float:
    return ((n - 1) * 1e9 / (last_ns - first_ns) / RATE - 1) * 1e6


def main() -> None:
    module: dict[str, Any] = {"ppm": ",".join(map(str, PPM)), "drdy": "26,25"}
    with Eegd(RATE, 2, stream="frame_samples = 1", own_clocks=True, **module) as daemon, daemon.connect() as client:
        streams = [client.open(name, policy="lossless", seconds=4, timeout=60) for name in ("raw", "raw2")]
        checkers = [Checker() for _ in streams]
        first_ns = []
        for stream, checker in zip(streams, checkers, strict=True):
            checker.take(stream.take())
            first_ns.append(checker.drdy_ns)
        for _ in range(SAMPLES - 1):
            for stream, checker in zip(streams, checkers, strict=True):
                checker.take(stream.take())
        for number, (checker, begin_ns, ppm) in enumerate(zip(checkers, first_ns, PPM, strict=True), start=1):
            found = rate_ppm(begin_ns, checker.drdy_ns, SAMPLES)
            row(test=f"chip {number} of {ppm:+} ppm", samples=checker.samples, lost=checker.lost, ppm=f"{found:+.1f}")
            checker.expect_whole(f"chip {number}")
            expect(abs(found - ppm) < RATE_PPM, f"chip {number}: {found:+.1f} ppm, not {ppm:+}")
        expect(not violations(), f"the chips were handled wrongly: {violations()}")

        fault("missed at=50 count=1")  # of chip 0
        end_ns = time.monotonic_ns() + 1_000_000_000
        for stream, checker in zip(streams, checkers, strict=True):
            while checker.drdy_ns < end_ns:
                checker.take(stream.take())
        lost = [checker.lost for checker in checkers]
        row(test="an edge of chip 1 missed", lost_1=lost[0], lost_2=lost[1])
        expect(lost == [1, 0], f"lost {lost}, not one of chip 1 alone")
        expect(all(checker.unexplained == 0 == checker.wrong for checker in checkers), "samples unexplained or wrong")
        for stream in streams:
            stream.close()


if __name__ == "__main__":
    main()
