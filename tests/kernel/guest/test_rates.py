# SPDX-License-Identifier: MIT
"""Every sample arrives and is right: 8, 16 and 32 channels, up to the highest rate that holds."""

from __future__ import annotations

from tests.kernel.guest.eegd_kit import Checker, Eegd, sclk_for
from tests.kernel.guest.kit import expect, row, status, violations

HOLD = ((1, 250), (1, 1000), (1, 4000), (1, 8000), (2, 250), (2, 4000), (4, 250), (4, 4000))
"""Chips and rates at which nothing may be lost."""
TRY = ((1, 16000),)
"""How far it goes beyond: on this emulated processor of 1 instruction/ns, whose one core also runs the reader."""
SECONDS = 2


def run(chips: int, rate: int, *, must_hold: bool) -> None:
    checker = Checker()
    with Eegd(rate, chips) as daemon, daemon.reader() as (_, stream):
        checker.read(stream, SECONDS * rate)
        seen = status()
        broken = violations()
    channels = 8 * chips
    row(
        test=f"{channels} channels at {rate} SPS",
        samples=checker.samples,
        lost=checker.lost,
        wrong=checker.wrong,
        overruns=seen["overruns"],
        sclk_mhz=sclk_for(rate, chips) / 1e6,
    )
    expect(checker.wrong == 0, f"{checker.wrong} wrong samples at {rate} SPS")
    if must_hold:
        checker.expect_whole(f"{channels} channels at {rate} SPS")
        expect(not broken, f"the chip was handled wrongly: {broken}")


def main() -> None:
    for chips, rate in HOLD:
        run(chips, rate, must_hold=True)
    for chips, rate in TRY:
        run(chips, rate, must_hold=False)


if __name__ == "__main__":
    main()
