"""Checks of the board, through the daemon's own Board and driver: open, ID, registers, DRDY. The chips end stopped.

Each step needs the ones before it: the first that is red ends the list, and the rest is said to be untried.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from eegd.ads1299 import COMMAND_DELAY_US, Opcode, Register
from eegd.board import Board
from eegd.config import Config
from eegd.conversion import CLOCK_TOLERANCE, sample_period_ns
from eegd.doctor.bench import Bench, Recording
from eegd.doctor.bytes_read import STATUS_NIBBLE, explain_frame, explain_registers
from eegd.doctor.check import Level, Result
from eegd.doctor.linescan import LineScan
from eegd.doctor.sclk import sclk_check
from eegd.doctor.signals import noise_check, square_wave_check
from eegd.errors import BoardError, ConfigError, EegdError, ReadBackError
from eegd.open_board import open_board
from eegd.registers import N_REGISTERS

__all__ = ["BoardOptions", "check_board"]

DRDY_S = 0.5
READABLE_SPS = 1000
"""Faster conversions are the capture thread's: this program could not read them in time."""
USUAL_OFF = 0.006
"""The oscillator at 25 °C is within 0.5 % (SBAS499C 7.5)."""
GREATEST_OFF = CLOCK_TOLERANCE + 0.005
"""What half a second of edges can tell of it."""


@dataclass(frozen=True, slots=True)
class BoardOptions:
    """How long to look, and what stands in for the hardware in tests."""

    frames: int = 500
    """Conversions per SPI clock."""
    open: Callable[[Config], Board] = open_board
    scan: LineScan | None = None
    """Counts falling edges on the header's free lines; None where there is no header."""
    opened: Callable[[], Iterator[Result]] = lambda: iter(())
    """What else to look at while the board is open."""


Step = Callable[[Bench, BoardOptions], Iterator[Result]]


def check_board(config: Config, options: BoardOptions) -> Iterator[Result]:
    """Opens the board, checks it, leaves the chips stopped and closes it."""
    try:
        board = options.open(config)
    except (EegdError, OSError) as error:
        mend = "see the SPI and GPIO checks above" if isinstance(error, BoardError | OSError) else "eegd check-config"
        yield _row("board", Level.RED, f"cannot be opened: {error}", "nothing else can be tried", mend)
        yield _untried("chips and signals")
        return
    with board:
        yield _row("board", Level.OK, f"{board.name} board is open")
        yield from options.opened()
        try:
            bench = Bench(board, config)
        except ConfigError as error:
            yield _row("chips", Level.RED, str(error), "this set-up cannot work", "eegd check-config FILE")
            return
        with contextlib.ExitStack() as leaving:
            leaving.callback(_leave_stopped, bench)
            yield from _steps(bench, options)


def _leave_stopped(bench: Bench) -> None:
    with contextlib.suppress(EegdError):  # a board that does not answer has been told about
        bench.driver.stop()


def _steps(bench: Bench, options: BoardOptions) -> Iterator[Result]:
    steps: list[tuple[str, Step]] = [
        ("chips", _identify),
        ("registers", _read_back),
        ("DRDY", _drdy),
        ("conversions", _conversions),
        ("test signal", lambda bench, _: square_wave_check(bench)),
        ("noise", lambda bench, _: noise_check(bench)),
        ("SPI clock", lambda bench, options: sclk_check(bench, options.frames)),
    ]
    for number, (name, step) in enumerate(steps):
        needed = number <= 3  # signals stand beside each other
        failed = False
        try:
            for result in step(bench, options):
                failed |= result.level is Level.RED
                yield replace(result, group="board")
        except (EegdError, OSError) as error:
            failed = True
            yield _row(name, Level.RED, str(error), "the board refused in the middle of it", "eegctl doctor")
        if failed and needed:
            yield _untried(", ".join(name for name, _ in steps[number + 1 :]))
            return


def _row(check: str, level: Level, found: str, why: str = "", mend: str = "") -> Result:
    return Result(check, level, found, why, mend, group="board")


def _untried(what: str) -> Result:
    return _row("not tried", Level.NOTE, what, "what is red above comes first")


def _identify(bench: Bench, _: BoardOptions) -> Iterator[Result]:
    """Power-up and the ID of every chip."""
    models = bench.config.board.chips
    try:
        bench.driver.power_up()
    except BoardError as error:
        why, mend = _explain(bench)
        yield _row("chips", Level.RED, str(error), why, mend)
        return
    ids = [bench.driver.id_of(chip) for chip in range(len(models))]
    told = [
        f"{model} (ID {value:02X}h)" if value is not None else f"{model} (in the chain)"
        for model, value in zip(models, ids, strict=True)
    ]
    yield _row("chips", Level.OK, ", ".join(told))


def _explain(bench: Bench) -> tuple[str, str]:
    """Reads the registers under each chip select as they come, and says what is wrong with the first odd ones."""
    board = bench.config.board
    explained = ("the chip did not answer at first, but does now: a bad contact, or a supply that rises late", "")
    for cs in range(len(bench.layout.transfers)):
        tx = bytes([Opcode.RREG | Register.ID, N_REGISTERS - 1]) + bytes(N_REGISTERS)
        try:
            rx = bench.board.transfer(tx, cs=cs, speed_hz=board.register_sclk_hz, delay_us=COMMAND_DELAY_US)
        except BoardError as error:
            return f"the kernel refuses the transfer: {error}", "sudo dmesg | tail; see the SPI checks above"
        if rx[2] & 0x1F != bench.driver.registers[cs][Register.ID] & 0x1F:
            return explain_registers(rx[2:], board.chips[cs])
    return explained


def _read_back(bench: Bench, _: BoardOptions) -> Iterator[Result]:
    try:
        report = bench.driver.configure()
    except ReadBackError as error:
        why = "what was written does not arrive: commands come too fast, MOSI is disturbed, or the supply breaks down"
        yield _row("registers", Level.RED, str(error), why, "in the configuration: a lower [board] register_sclk_hz")
        return
    read = len(report.read) - len(report.unverified)
    found = f"{N_REGISTERS} registers of {read} chip{'s' * (read > 1)} read back as written"
    if report.unverified:
        found += f"; inside a daisy chain chip {', '.join(map(str, report.unverified))} cannot be read"
    yield _row("registers", Level.OK, found)


def _drdy(bench: Bench, options: BoardOptions) -> Iterator[Result]:
    """Are there edges, and at the rate that was set?"""
    nominal_ns = sample_period_ns(bench.set_up_now)
    recording = bench.record(max(32, round(DRDY_S * 1e9 / nominal_ns)))
    period_ns = recording.period_ns()
    if math.isnan(period_ns):
        yield _no_edges(bench, options)
        return
    off = nominal_ns / period_ns - 1
    found = f"{1e9 / period_ns:.3f} SPS for {1e9 / nominal_ns:g} ({off * 1e6:+.0f} ppm)"
    if recording.late:
        found += f"; the doctor itself was late {recording.late} times"
    if abs(off) <= USUAL_OFF:
        yield _row("DRDY", Level.OK, found)
    elif abs(off) <= GREATEST_OFF:
        why = "more than the 0.5 % of the chip's oscillator at 25 °C; samples are timed by their edges all the same"
        yield _row("DRDY", Level.WARN, found, why, "in the configuration: [board] fclk_hz, if it has another clock")
    else:
        why = (
            "no ADS1299 clock is so far off: the chip lost its registers (supply), another clock drives it, edges merge"
        )
        yield _row("DRDY", Level.RED, found, why, "check the supply (brown-out), [board] fclk_hz and the pull of DRDY")


def _no_edges(bench: Bench, options: BoardOptions) -> Result:
    """The chip answers but its DRDY does not arrive: perhaps it does on another line."""
    board = bench.config.board
    line = board.drdy_line or "DRDY"
    found = f"no edge on {line}, though the chips answer"
    if options.scan is not None:
        rate_sps = 1e9 / sample_period_ns(bench.set_up_now)
        bench.driver.start()
        try:
            rates = options.scan.rates(bench.board)
        finally:
            bench.driver.stop()
        here = [name for name, sps in rates.items() if abs(sps / rate_sps - 1) <= 2 * GREATEST_OFF]
        if here:
            why = f"{', '.join(here)} has edges at {rates[here[0]]:.0f} SPS: DRDY is on that pin"
            return _row("DRDY", Level.RED, found, why, f'in the configuration: [board] drdy_line = "{here[0]}"')
        found += f", nor at this rate on any of {len(rates)} free lines"
    start = board.start_line
    why = (
        "conversions cannot be read in step without it: START is held low, the clock stands, or DRDY is on another pin"
    )
    mend = (
        f"check START ({start}), CLKSEL" if start else "check that START is tied low (it is started by command), CLKSEL"
    )
    return _row("DRDY", Level.RED, found, why, f"{mend}, RESET, and which pin DRDY is wired to")


def _conversions(bench: Bench, _: BoardOptions) -> Iterator[Result]:
    """Does every chip's conversion begin with 1100? Where not, perhaps it does at a slower clock."""
    if bench.config.board.rate_sps > READABLE_SPS:
        bench.change(rate_sps=READABLE_SPS)
    recording = bench.record(64)
    n, n_chips = len(recording.raw), len(bench.config.board.chips)
    if n == 0:
        found = "none could be read before the next was due"
        yield _row("conversions", Level.RED, found, "this computer is too busy", "eegctl doctor, on a quiet computer")
        return
    odd = list(_odd_chips(bench, recording))
    if not odd:
        yield _row("conversions", Level.OK, f"{n} of {n_chips} chip{'s' * (n_chips > 1)}, each begins with 1100")
        return
    fast_hz, slow_hz = bench.config.board.sclk_hz, bench.slow_sclk_hz
    if slow_hz < fast_hz and not list(_odd_chips(bench, bench.record(64, slow_hz))):
        bench.slow_down()
        found = f"damaged at {fast_hz / 1e6:g} MHz, good at {slow_hz / 1e6:g} MHz, at which the rest is tried"
        yield _row("conversions", Level.WARN, found, "the clock is too fast for the wires", "see SPI clock below")
        return
    for found, head in odd:
        yield _row("conversions", Level.RED, found, *explain_frame(head))


def _odd_chips(bench: Bench, recording: Recording) -> Iterator[tuple[str, bytes]]:
    """(what was found, the first odd conversion) of each chip."""
    offsets = bench.layout.chip_offsets
    for chip, (at, end) in enumerate(zip(offsets, (*offsets[1:], bench.layout.n_bytes), strict=True)):
        odd = recording.raw[recording.raw[:, at] >> 4 != STATUS_NIBBLE, at:end]
        if len(odd):
            head = odd[0, :3].tobytes().hex(" ").upper()
            yield f"chip {chip + 1}: {len(odd)} of {len(recording.raw)} begin otherwise, as {head}", odd[0].tobytes()
