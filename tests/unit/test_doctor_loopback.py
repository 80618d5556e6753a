"""The lateness of stamps over a wire of known lateness, and everything that is no such wire."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gpiod
import pytest

from eegd.cli.eegctl import main as eegctl
from eegd.config import parse_config
from eegd.doctor import loopback
from eegd.doctor.check import Level, Result
from eegd.doctor.examine import Options, examine
from eegd.doctor.loopback import GET_VALUES, SET_VALUES, VALUES, loopback_check
from tests.unit.computer import Computer as Files
from tests.unit.test_linux import WIRED, Computer, computer

__all__ = ["computer"]

CALL_NS = 100
"""What each look at the clock and each system call takes here."""
BOARD = parse_config(WIRED, "eegd.toml").board
OUT, INTO = "GPIO17", "GPIO27"
Direction = gpiod.line.Direction


class Wire:
    """What the kernel does with both lines: it stamps each fall so much later than the line fell."""

    def __init__(self, computer: Computer, lateness_ns: Iterator[int]) -> None:
        self.computer, self.lateness_ns = computer, lateness_ns
        self.now_ns, self.level, self.n_falls = 1_000_000, 1, 0
        self.connected = True
        self.tells_edges = True
        self.posted_ns = 0
        """How long after the system call the line falls."""

    def clock(self) -> int:
        self.now_ns += CALL_NS
        return self.now_ns

    def ioctl(self, fd: int, request: int, data: bytes) -> bytes:
        watched, driven = self.computer.requests
        self.now_ns += CALL_NS
        if request == SET_VALUES:
            assert fd == driven.fd
            self.set(VALUES.unpack(data)[0])
            return data
        assert (request, fd) == (GET_VALUES, watched.fd)
        self.now_ns += self.posted_ns  # a read waits for the write before it
        return VALUES.pack(self.level if self.connected else 0, 1)

    def set(self, level: int) -> None:
        if self.level and not level and self.connected and self.tells_edges:
            self.n_falls += 1
            stamp_ns = self.now_ns + self.posted_ns + next(self.lateness_ns)
            self.computer.requests[0].fall(27, self.n_falls, stamp_ns)
        self.level = level


@pytest.fixture
def wire(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Wire]:
    def connect(*lateness_ns: int) -> Wire:
        computer.add_chips()
        made = Wire(computer, itertools.cycle(lateness_ns))
        monkeypatch.setattr(loopback, "ioctl", made.ioctl)
        monkeypatch.setattr(loopback, "monotonic_ns", made.clock)
        monkeypatch.setattr(loopback, "sleep", lambda _: None)
        monkeypatch.setattr(loopback, "EDGE_S", 0.01)
        return made

    return connect


def measured(computer: Computer, configured_ns: int = 0, out: str = OUT, into: str = INTO) -> Result:
    """The result; both lines must have been given back, and the output not driven any more."""
    result = loopback_check(replace(BOARD, edge_latency_ns=configured_ns), out, into)
    assert all(request.released for request in computer.requests) and computer.open_chips == 0
    for request in computer.requests:
        assert [settings.direction for settings in request.settings.values()] == [Direction.INPUT]
    return result


def test_the_least_lateness_is_recommended_whatever_the_mean_is(computer: Computer, wire: Callable[..., Wire]) -> None:
    wired = wire(2500, 40_000, 3000, 90_000)
    result = measured(computer)
    assert wired.n_falls == 1000 and result.level is Level.NOTE
    # The edge comes 100 ns after the clock was read, and is seen 200 ns after it.
    assert "least 2.30 … 2.60 µs, median" in result.found and "99 % 89.80 … 90.10 µs" in result.found
    assert "the least is 2450 ± 150 ns" in result.why
    assert result.mend == "in the configuration: [board] edge_latency_ns = 2450"


def test_a_configured_value_within_the_bounds_is_well(computer: Computer, wire: Callable[..., Wire]) -> None:
    wire(2500)
    result = measured(computer, 2400)
    assert result.level is Level.OK and "within the bounds of the least, 2450 ± 150 ns" in result.found


def test_a_write_that_returns_before_the_line_falls_leaves_the_bounds_true(
    computer: Computer, wire: Callable[..., Wire]
) -> None:
    wire(2500).posted_ns = 700
    assert "least 2.30 … 3.30 µs" in measured(computer).found


def test_a_stamp_before_the_level_was_seen_is_not_early(computer: Computer, wire: Callable[..., Wire]) -> None:
    wire(50)
    result = measured(computer)
    assert "least 0.00 … 0.15 µs" in result.found
    assert result.mend.endswith("edge_latency_ns = 75")  # 0 may be true as well, but can be twice as wrong


def test_lines_are_asked_for_as_drdy_is_and_the_output_begins_high(
    computer: Computer, wire: Callable[..., Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    wired = wire(1)
    asked = []
    monkeypatch.setattr(wired, "set", lambda _: asked.append([dict(one.settings) for one in computer.requests]))
    loopback_check(BOARD, OUT, INTO)
    watched, driven = asked[0]
    assert watched[27].edge_detection == gpiod.line.Edge.FALLING
    assert watched[27].event_clock == gpiod.line.Clock.MONOTONIC
    assert (driven[17].direction, driven[17].output_value) == (Direction.OUTPUT, gpiod.line.Value.ACTIVE)


def test_two_lines_without_a_wire_are_refused(computer: Computer, wire: Callable[..., Wire]) -> None:
    wire(1).connected = False
    result = measured(computer)
    assert result.level is Level.RED and result.found == "GPIO27 does not follow GPIO17: it is 0 where GPIO17 is 1"
    assert result.mend.startswith("a jumper wire from GPIO17 to GPIO27")


def test_a_line_that_follows_without_edges_is_refused(computer: Computer, wire: Callable[..., Wire]) -> None:
    wire(1).tells_edges = False
    assert measured(computer).found == "GPIO27 follows GPIO17, but its edges are not reported"


def test_a_line_in_use_names_its_owner(computer: Computer, wire: Callable[..., Wire]) -> None:
    wire(1)
    computer.used = {27: "other-program"}
    result = measured(computer)
    assert result.level is Level.RED and "line GPIO27 is in use by other-program" in result.found


@pytest.mark.parametrize("line", ["GPIO26", "GPIO10", "GPIO14"])
def test_the_boards_own_lines_and_those_of_buses_are_never_driven(
    computer: Computer, wire: Callable[..., Wire], line: str
) -> None:
    wire(1)
    assert f"{line} belongs to the board, SPI or the serial port" in measured(computer, out=line).found
    assert not computer.requests


def test_an_unknown_line_is_told_with_the_nearest(computer: Computer, wire: Callable[..., Wire]) -> None:
    wire(1)
    assert "has no line GPIO2G" in measured(computer, out="GPIO2G").found


@pytest.mark.parametrize(("words", "text"), [("GPIO17:GPIO17", "are the same line"), ("GPIO17", "two lines")])
def test_one_line_is_no_loop(words: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as seen:
        eegctl(["doctor", "--loopback", words])
    assert seen.value.code == 2 and text in capsys.readouterr().err


def test_nothing_else_is_examined(
    computer: Computer, wire: Callable[..., Wire], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire(2500)
    monkeypatch.setenv("EEGD_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "eegd.toml").write_text(WIRED)
    options = Options(config=str(tmp_path / "eegd.toml"), loopback=(OUT, INTO))
    [result] = examine(options, Files(tmp_path / "root").system).results
    assert result.check == "edge latency" and result.level is Level.NOTE
