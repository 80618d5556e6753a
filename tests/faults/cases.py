"""Every fault that the emulated board knows, and what the daemon is to make of it."""

from __future__ import annotations

import errno

from tests.faults.bench import Case

__all__ = ["CASES"]

AT = 500
NOW = 0xFFFFFFFFFFFFFFFF
INTACT = "all registers are as written; conversions start again"
RESET = "the chips were reset and set up anew"
START_WIRED = {"board.start_line": "GPIO22"}
MARKED = {"board.gpio": 0x80}
PAIR = {"board.chips": ("ADS1299",) * 2}
DAISY = {**PAIR, "board.topology": "daisy"}


def once(kind: str, count: int = 1, value: int = 0, **more: int) -> tuple[dict[str, int | str], ...]:
    return ({"kind": kind, "at": AT, "count": count, "value": value, **more},)


CASES = (
    Case("three DRDY edges missed", once("DRDY_MISSED", 3), {"loss.missed": 3}),
    Case("DRDY 1 ms late", once("DRDY_DELAYED", 1, 1_000_000), {}),
    Case("DRDY doubled after 100 µs", once("DRDY_DOUBLED", 1, 100_000), {"capture.extra_edges": 1}),
    Case("edges merged", once("EDGES_MERGED", 2, 50_000), {"loss.missed": 2}),
    Case("edges lost in the queue", once("EVENTS_LOST", 5), {"loss.missed": 5}),
    Case("DRDY stops", once("DRDY_STOPPED"), {"capture.stalls": 1}, told=INTACT),
    Case("conversions all 00", once("FRAME_00", 3), {"loss.bad": 3, "bad.all_00": 3}),
    Case("conversions all FF", once("FRAME_FF", 3), {"loss.bad": 3, "bad.all_ff": 3}),
    Case("200 conversions all 00", once("FRAME_00", 200), {"loss.bad": 50}, at_least=True, told=RESET),
    Case("one bit early", once("BIT_SLIP", 3), {"loss.bad": 3, "bad.status": 3}),
    Case("one byte early", once("BYTE_SLIP", 3, 1), {"loss.bad": 3, "bad.status": 3}),
    Case("three bytes early", once("BYTE_SLIP", 40, 3), {"loss.bad": 40, "bad.status": 40}),
    Case("six bytes early", once("BYTE_SLIP", 40, 6), {"loss.bad": 40, "bad.status": 40}),
    Case("24 bytes early", once("BYTE_SLIP", 40, 24), {"loss.bad": 40, "bad.status": 40}),
    Case("SPI mode 0", once("SPI_MODE", 3), {"loss.bad": 3, "bad.status": 3}),
    Case("read torn by the next DRDY", once("TORN", 2), {"loss.late": 2}, at_least=True),
    Case("SPI call slow by 3.99 ms", once("SLOW_IOCTL", 1, 3_990_000), {"loss.late": 1}, at_least=True),
    Case("SPI call ETIMEDOUT", once("IOCTL", 3, errno.ETIMEDOUT), {"loss.bad": 3, "bad.spi_error": 3}),
    Case("SPI call EMSGSIZE", once("IOCTL", 3, errno.EMSGSIZE), {"loss.bad": 3, "bad.spi_error": 3}),
    Case(
        "SPI bus gone (ESHUTDOWN)",
        once("IOCTL", 0, errno.ESHUTDOWN),
        {"loss.bad": 50, "bad.spi_error": 50},
        told="the board was opened again; " + RESET,
    ),
    Case(
        "line gone (ENODEV), five opens refused",
        once("HANG_UP", 0),
        {},
        failed_opens=5,
        told="the board was opened again; " + RESET,
    ),
    Case(
        "MISO stuck at 1 for 30 s",
        once("MISO_STUCK", 0, 1),
        {"bad.all_ff": 50, "loss.bad": 50},
        outage_s=30,
        told=RESET,
    ),
    Case(
        "MISO stuck at 0 for 30 s",
        once("MISO_STUCK", 0, 0),
        {"bad.all_00": 50, "loss.bad": 50},
        outage_s=30,
        told=RESET,
    ),
    Case(
        "board unplugged for 10 min",
        (*once("MISO_STUCK", 0, 1), *once("DRDY_MISSED", 0)),
        {"capture.stalls": 1},
        outage_s=600,
        told=RESET,
    ),
    Case("channel railed", once("RAILED", 600, 1, channel=2), {}, railed=2),
    Case(
        "brown-out, started by command",
        once("BROWN_OUT"),
        {"loss.bad": 1, "bad.all_00": 1, "capture.stalls": 1},
        told="lost its supply or was reset",
    ),
    Case(
        "brown-out, START wired",
        once("BROWN_OUT"),
        {"loss.bad": 1, "bad.all_00": 1},
        overrides=START_WIRED,
        told="lost its supply or was reset",
    ),
    Case(
        "brown-out of the second chip, START wired, GPIO driven",
        once("BROWN_OUT", chip=1),
        {"bad.status": 4, "bad.marker": 46, "loss.bad": 50},
        overrides={**PAIR, **START_WIRED, **MARKED},
        told="lost its supply or was reset",
    ),
    Case(
        "brown-out of the second chip, started by command",
        once("BROWN_OUT", chip=1),
        {"loss.bad": 50},
        overrides=PAIR,
        told="lost its supply or was reset",
    ),
    Case(
        "reset in the midst of a read",
        once("RESET_MID_FRAME"),
        {"loss.bad": 1, "bad.cut": 1, "capture.stalls": 1},
        told="lost its supply or was reset",
    ),
    Case(
        "brown-out, then register writes lost",
        (*once("BROWN_OUT"), *once("WRITES_LOST", 1, 12)),
        {"loss.bad": 1, "bad.all_00": 1, "capture.stalls": 1},
        told=RESET,
    ),
    Case(
        "ID wrong",
        (*once("DRDY_STOPPED"), *once("ID", 1, 0x3F)),
        {"capture.stalls": 1},
        mend={"kind": "ID", "at": NOW, "value": 0x3E},
        told=RESET,
    ),
    Case("clock 2.5 % fast from here on", once("CLOCK", 1, 25_000), {}),
    Case("clock 2.5 % slow from here on", once("CLOCK", 1, -25_000), {"loss.late": 1}, at_least=True),
    Case(
        "clock 10 % slow, then right again",
        once("CLOCK", 1, -100_000),
        {},
        at_least=True,
        mend={"kind": "CLOCK", "at": NOW, "value": 0},
        told=RESET,
    ),
    Case(
        "second chip of a daisy chain dead",
        once("DEAD", 3, chip=1),
        {"loss.bad": 3, "bad.status": 3},
        overrides=DAISY,
    ),
    Case("chip dead for 2 s", once("DEAD", 500), {"capture.stalls": 1}, told=RESET),
)
