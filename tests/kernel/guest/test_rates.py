# SPDX-License-Identifier: MIT
"""Every sample arrives and is right: 8, 16 and 32 channels, up to the highest rate that holds.

usage: test_rates [CHIPSxRATE …]      (none: all)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.kernel.guest.eegd_kit import Checker, Eegd, sclk_for
from tests.kernel.guest.kit import expect, row, status, violations

HOLD = ((1, 250), (1, 1000), (1, 4000), (1, 8000), (2, 250), (2, 4000), (4, 250), (4, 4000))
"""Chips and rates at which nothing may be lost."""
TRY = ((1, 16000),)
"""How far it goes beyond: on this emulated processor of 1 instruction/ns, whose one core also runs the reader."""
SECONDS = 2


def run(chips: int, rate: int, *, must_hold: bool) -> None:
    checker = Checker()
    with Eegd(rate, chips) as daemon, daemon.reader() as (client, stream):
        checker.read(stream, SECONDS * rate)
        causes = client.ask("status")["status"]["losses"] if checker.lost else {}
        seen = status()
        broken = violations()
    channels = 8 * chips
    row(
        test=f"{channels} channels at {rate} SPS",
        samples=checker.samples,
        lost=checker.lost,
        **{cause: n for cause, n in causes.items() if n},
        **({"before": checker.gaps[:8]} if checker.gaps else {}),
        wrong=checker.wrong,
        overruns=seen["overruns"],
        sclk_mhz=sclk_for(rate, chips) / 1e6,
    )
    expect(checker.wrong == 0, f"{checker.wrong} wrong samples at {rate} SPS")
    if must_hold:
        checker.expect_whole(f"{channels} channels at {rate} SPS")
        expect(not broken, f"the chip was handled wrongly: {broken}")


def main(only: Sequence[str]) -> None:
    there = {f"{chips}x{rate}": (chips, rate) for chips, rate in (*HOLD, *TRY)}
    for name in only:
        expect(name in there, f"no row {name}; there are {', '.join(there)}")
    for name, (chips, rate) in there.items():
        if not only or name in only:
            run(chips, rate, must_hold=(chips, rate) in HOLD)


if __name__ == "__main__":
    main(sys.argv[1:])
