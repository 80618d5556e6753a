"""Checks of a daemon that runs: what it says of itself, and how the kernel runs it. It is not disturbed."""

from __future__ import annotations

from collections.abc import Iterator

from eegd.conversion import CLOCK_TOLERANCE
from eegd.doctor.check import Context, Level, Result, check

__all__: list[str] = []

LOSS_CAUSES = {
    "missed": ("edges went by that were not waited for in time", "eegctl doctor (governor, priority, DRDY interrupt)"),
    "bad": ("conversions came damaged over SPI, or the chip lost its supply", "eegctl doctor --stop --thorough"),
    "late": (
        "reads ended after the next conversion was due",
        "in the configuration: a higher sclk_hz or a lower rate_sps",
    ),
    "overrun": ("no slab was free", "in the configuration: a larger [stream] pool_mb"),
}
"""Cause → why, and what mends it."""


@check("daemon", "service")
def daemon(context: Context) -> Iterator[Result]:
    running = context.running
    assert running is not None
    where = running.unit or f"process {running.pid}"
    for stream in running.streams:
        found = f"{where}: {stream['board']}, {stream['stream']['state']}"
        yield Result(running.named("daemon", stream), Level.OK, found)


@check("losses", "service")
def losses(context: Context) -> Iterator[Result]:
    assert context.running is not None
    for stream in context.running.streams:
        name = context.running.named("losses", stream)
        lost = {cause: n for cause, n in stream["losses"].items() if n}
        samples = f"{stream['samples']:,} samples".replace(",", " ")
        if not lost:
            yield Result(name, Level.OK, f"{samples}, 0 lost")
            continue
        causes = ", ".join(f"{n} {cause}" for cause, n in lost.items())
        worst = max(lost, key=lambda cause: lost[cause])
        yield Result(name, Level.RED, f"{samples}, {sum(lost.values())} lost ({causes})", *LOSS_CAUSES[worst])


@check("rate", "service")
def rate(context: Context) -> Iterator[Result]:
    assert context.running is not None
    for stream in context.running.streams:
        name, report = context.running.named("rate", stream), stream["rate"]
        effective, nominal = report.get("effective_sps"), report["nominal_sps"]
        if not effective:
            yield Result(name, Level.NOTE, f"{nominal} SPS nominal, not measured yet")
            continue
        found = f"{nominal} SPS nominal, {effective:.3f} effective, jitter {report['jitter_rms_us']:.3g} µs"
        if abs(report["ppm"]) <= 1e6 * CLOCK_TOLERANCE:
            yield Result(name, Level.OK, found)
        else:
            why = "no ADS1299 clock is so far off: the chip was reset, or is clocked otherwise"
            yield Result(name, Level.RED, found, why, "eegctl doctor --stop")


@check("priority", "service")
def priority(context: Context) -> Iterator[Result]:
    """How capture really runs, by the kernel's word."""
    running, wanted = context.running, context.config.daemon.rt_priority
    assert running is not None
    for stream in running.streams:
        name, runs = running.named("priority", stream), running.capture_thread(stream, context.system)
        if runs is None:
            yield Result(name, Level.NOTE, "capture does not run, or cannot be seen")
        elif runs.priority or wanted == 0:
            yield Result(name, Level.OK, f"capture runs {runs}")
        else:
            unit = running.unit or "eegd.service"
            why = "other programs delay it: late reads lose samples"
            mend = f"sudo systemctl edit {unit}: [Service] LimitRTPRIO={wanted}"
            yield Result(name, Level.WARN, f"capture runs {runs}, not FIFO {wanted}", why, mend)


@check("warnings", "service")
def warnings(context: Context) -> Iterator[Result]:
    assert context.running is not None
    said = context.running.status["warnings"]
    if not said:
        yield Result("warnings", Level.OK, "the daemon warns of nothing")
    for text in said:
        yield Result("warnings", Level.WARN, text, "the daemon says so itself", "eegctl status")
