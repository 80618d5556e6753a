"""The doctor's report: JSON that says what the exit code says, and a table that fits."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from eegd.cli.doctor_view import report_view
from eegd.doctor.check import Fix, Level, Result
from eegd.doctor.report import as_json, summary

RESULTS = [
    Result("SPI devices", Level.OK, "/dev/spidev0.0, usable by lab"),
    Result("governor", Level.WARN, "ondemand on 4 cores", "slow " * 30, "echo performance", Fix(lambda: None, "set")),
    Result("DRDY", Level.RED, "no edge on GPIO26", "it is on another pin", 'drdy_line = "GPIO25"', group="board"),
]


def test_the_json_holds_every_row_and_the_verdict() -> None:
    tree = json.loads(json.dumps(as_json(RESULTS, ["stopped eegd.service"])))
    assert tree["ok"] is False and tree["remarks"] == ["stopped eegd.service"]
    assert [row["level"] for row in tree["checks"]] == ["ok", "warn", "red"]
    assert [row["fixable"] for row in tree["checks"]] == [False, True, False]
    assert tree["checks"][2]["mend"] == 'drdy_line = "GPIO25"'


def test_warnings_alone_are_well() -> None:
    assert as_json(RESULTS[:2], [])["ok"] is True


def test_the_last_line_counts_the_levels() -> None:
    assert summary(RESULTS) == "1 ok, 1 warning, 1 red, --fix mends some of it"
    assert summary(RESULTS[:1]) == "1 ok"


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_table_fits_and_loses_no_word(width: int) -> None:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(report_view(RESULTS, []))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    for word in ("this computer", "the board", "GPIO26", "→ echo performance", 'GPIO25"'):
        assert word in words
    assert "\x1b" not in text and "the running daemon" not in words


def test_colours_are_for_terminals() -> None:
    console = Console(width=80, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(report_view(RESULTS, []))
    assert "\x1b[1;31m red" in capture.get()
