# SPDX-License-Identifier: MIT
"""Faults of edges, bytes, transfers and chips: each is counted by its cause, none delivers a wrong sample, and eegd is
back by itself."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass

import eegd
from eegd.stream import Stream
from tests.kernel.guest.eegd_kit import Checker, Eegd
from tests.kernel.guest.kit import expect, fault, row, status

RATE = 250
DURING = 150
"""Samples that are read while a fault comes and goes, or comes again and again."""
AFTER = RATE
"""Samples in a row that must be good before the next fault."""


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    fault: str
    lost: int | None = None
    """Samples that eegd must count as lost; None where a new epoch begins instead."""
    cause: str = ""
    """The counter that must move by that number."""


CASES = (
    Case("edge missed", "missed at=50", 1, "missed"),
    Case("every 20th edge missed", "missed at=50 period=20", None, "missed"),
    Case("edge 1 ms late", "delayed at=50 value=1000000", 0),
    Case("edge 5 ms late", "delayed at=50 value=5000000", None, "missed"),
    Case("edge doubled after 300 µs", "doubled at=50 value=300000", 0),
    Case("two edges merged", "merged at=50", 1, "missed"),
    Case("bytes all 00", "zeros at=50 count=3", 3, "all_00"),
    Case("bytes all FF", "ones at=50 count=3", 3, "all_ff"),
    Case("slip of a bit", "bit_slip at=50 count=2", 2, "status"),
    Case("slip of a byte", "byte_slip at=50 value=1", 1, "status"),
    Case("MISO stuck at 55h", "stuck at=50 count=3 value=0x55", 3, "status"),
    Case("SPI mode 0", "mode at=50 count=3", 3, "status"),
    Case("ioctl ETIMEDOUT", f"ioctl at=50 value={errno.ETIMEDOUT}", 1, "spi_error"),
    Case("read 5 ms late", "slow at=50 value=5000000", None, "late"),
    Case("bytes all 00 for 80 conversions", "zeros at=50 count=80"),
    Case("DRDY stopped", "stopped at=50"),
    Case("brown-out", "brown_out at=50"),
    Case("unplugged for 2 s", "unplugged at=50 count=500"),
)

CHAIN_CASES = (
    Case("chip 3 of 4 dead, 3 conversions", "dead at=50 count=3 chip=2", 3, "status"),
    Case("chip 3 of 4 stopped", "stopped at=50 chip=2"),
    Case("chip 3 of 4 dead, 80 conversions", "dead at=50 count=80 chip=2"),
    Case("chip 3 of 4 browns out", "brown_out at=50 chip=2"),
)
OTHER_ID, RIGHT_ID = 0x3C, 0x3E
"""Of an ADS1299-4; of the ADS1299 that is configured."""


def counted(client: eegd.Client) -> dict[str, int]:
    report = client.ask("status")["status"]
    return {**report["losses"], **report["bad_by_cause"], "epochs": report["epochs"]}


def settle(stream: Stream, checker: Checker, samples: int) -> int:
    """Reads until so many samples came without a loss; the longest time between two frames in ns."""
    good, longest = 0, 0
    while good < samples:
        frame = stream.take()
        before = checker.drdy_ns
        checker.take(frame)
        good = 0 if frame.lost_before or "first" in frame.flag_names else good + frame.n_samples
        longest = max(longest, frame.drdy_ns - before)
    return longest


def read_on(stream: Stream, checker: Checker, samples: int) -> int:
    """Reads so many samples; the longest time between two frames in ns."""
    longest = 0
    for _ in range(samples):
        before = checker.drdy_ns
        checker.take(stream.take())
        longest = max(longest, checker.drdy_ns - before)
    return longest


def try_fault(case: Case, client: eegd.Client, stream: Stream) -> None:
    checker = Checker()
    checker.take(stream.take())
    before, hardware_before = counted(client), status()
    fault(case.fault)
    longest = read_on(stream, checker, DURING)
    if "period" in case.fault:
        fault("clear")
    longest = max(longest, settle(stream, checker, AFTER))
    fault("clear")
    after, hardware = counted(client), status()
    delta = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    kind = f"injected_{case.fault.split()[0]}"
    row(
        fault=case.name,
        injected=hardware[kind] - hardware_before[kind],
        counted=", ".join(f"{name} {n}" for name, n in delta.items()) or "-",
        lost=checker.lost,
        wrong=checker.wrong,
        unexplained=checker.unexplained,
        back_after_ms=round(longest / 1e6, 1),
    )
    expect(hardware[kind] > hardware_before[kind], f"{case.name}: was not injected")
    expect(checker.wrong == 0, f"{case.name}: {checker.wrong} wrong samples were delivered")
    expect(checker.unexplained == 0, f"{case.name}: {checker.unexplained} samples unexplained")
    if case.lost is not None:
        expect(checker.lost == case.lost, f"{case.name}: {checker.lost} lost, not {case.lost}")
    if case.lost and case.cause:
        expect(delta.get(case.cause) == case.lost, f"{case.name}: counted {delta}, wanted {case.cause}")


def wrong_id(client: eegd.Client, stream: Stream) -> None:
    """A chip that stops and then says that it is another model is not taken for the configured one."""
    checker, before = Checker(), counted(client)
    checker.take(stream.take())
    fault(f"id value={OTHER_ID}")
    fault("stopped")
    end = time.monotonic() + 60
    found = ""
    while "this is an ADS1299-4" not in found:
        expect(time.monotonic() < end, f"recovery said: {found}")
        time.sleep(0.1)
        found = client.ask("status")["status"]["recovery"]["text"]
    fault(f"id value={RIGHT_ID}")
    longest = settle(stream, checker, AFTER)
    epochs = counted(client)["epochs"] - before["epochs"]
    row(fault="stopped, then a wrong ID", found=found, epochs=epochs, back_after_ms=round(longest / 1e6, 1))
    expect(checker.wrong == checker.unexplained == 0 and epochs == 1, f"{checker.wrong} wrong, {epochs} epochs")


def main() -> None:
    with Eegd(RATE, stream="frame_samples = 1") as daemon, daemon.reader() as (client, stream):
        settle(stream, Checker(), AFTER)
        for case in CASES:
            try_fault(case, client, stream)
        wrong_id(client, stream)
    with Eegd(RATE, 4, stream="frame_samples = 1") as daemon, daemon.reader() as (client, stream):
        settle(stream, Checker(), AFTER)
        for case in CHAIN_CASES:
            try_fault(case, client, stream)


if __name__ == "__main__":
    main()
