"""`eegctl doctor`: its arguments, and its report as a table that fits the terminal or as JSON."""

from __future__ import annotations

import argparse
import json
import signal

from eegd.cli.common import FAILED, OK, USAGE, fail, need_rich, whole_number
from eegd.cli.start import INTERRUPTED
from eegd.errors import ConfigError

__all__ = ["add_arguments", "run_doctor"]

EVERYDAY_FRAMES, THOROUGH_FRAMES = 500, 100_000
LEAST_FRAMES = 300
"""Two periods of the test signal at the fastest rate used: 256 samples each."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--config", metavar="FILE", help="the board to examine; else the running daemon's")
    which.add_argument("--simulate", action="store_true", help="an emulated board of its own")
    parser.add_argument("--board", metavar="NAME", help="a known board, such as pieeg; --config goes over it")
    parser.add_argument("--stop", action="store_true", help="stop a running daemon for it; a unit is started again")
    parser.add_argument("--fix", action="store_true", help="change what is safe to change, until the next boot")
    parser.add_argument("--json", action="store_true", help="the whole report as JSON")
    parser.add_argument(
        "--loopback",
        metavar="OUT:IN",
        type=_loopback,
        help="only measure how late edges are stamped, over a wire from line OUT to line IN, such as GPIO17:GPIO27",
    )
    many = parser.add_mutually_exclusive_group()
    many.add_argument("--frames", metavar="N", type=_frames, default=EVERYDAY_FRAMES, help="conversions per SPI clock")
    many.add_argument(
        "--thorough",
        action="store_const",
        dest="frames",
        const=THOROUGH_FRAMES,
        help=f"{THOROUGH_FRAMES} conversions per SPI clock; takes minutes",
    )


def _frames(text: str) -> int:
    n = whole_number(text)
    if not LEAST_FRAMES <= n <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text}: {LEAST_FRAMES} to 10000000")
    return n


def _loopback(text: str) -> tuple[str, str]:
    out, found, into = text.partition(":")
    if not (found and out and into):
        raise argparse.ArgumentTypeError(f"{text}: two lines are wanted, as in GPIO17:GPIO27")
    if out == into:
        raise argparse.ArgumentTypeError(f"{text}: output and input are the same line")
    return out, into


def run_doctor(args: argparse.Namespace) -> int:
    """Examines and reports. FAILED when something is red, USAGE for a configuration that cannot be read."""
    if not args.json:
        need_rich("eegctl doctor without --json")
    from eegd.doctor.examine import Options, examine
    from eegd.doctor.report import as_json

    options = Options(
        *(args.config, args.board, args.runtime_dir, args.simulate, args.stop, args.fix, args.frames), args.loopback
    )
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: the chips are stopped, and the daemon started again
        signal.signal(number, signal.default_int_handler)
    try:
        found = examine(options)
    except ConfigError as error:
        return fail("eegctl", error, USAGE)
    except KeyboardInterrupt:
        return fail("eegctl", "interrupted: the chips are stopped, nothing is reported", INTERRUPTED)
    if args.json:
        print(json.dumps(as_json(found.results, found.remarks), indent=2, ensure_ascii=False))
    else:
        from eegd.cli.doctor_view import report_view
        from eegd.cli.tables import console

        console().print(report_view(found.results, found.remarks))
    return OK if found.well else FAILED
