# SPDX-License-Identifier: MIT
"""One hour of the guest's time at 250 SPS: every sample arrives and is right."""

from __future__ import annotations

import time

from tests.kernel.guest.eegd_kit import Checker, Eegd
from tests.kernel.guest.kit import expect, row, status, violations

RATE = 250
SECONDS = 3600


def main() -> None:
    checker = Checker()
    begin = time.monotonic()
    with Eegd(RATE, ppm=37, stream="frame_ms = 40") as daemon, daemon.reader() as (_, stream):
        checker.read(stream, RATE * SECONDS)
        seen, broken = status(), violations()
    row(
        test="an hour",
        guest_s=round(time.monotonic() - begin),
        samples=checker.samples,
        lost=checker.lost,
        wrong=checker.wrong,
        overruns=seen["overruns"],
    )
    checker.expect_whole("an hour")
    expect(not broken, f"the chip was handled wrongly: {broken}")


if __name__ == "__main__":
    main()
