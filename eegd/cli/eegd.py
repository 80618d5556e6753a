"""The command `eegd`: runs the daemon, one plugin, or a demonstration."""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import logging
import os
import shlex
import signal
import sys
import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eegd import __version__
from eegd.cli.common import (
    CANNOT_START,
    FAILED,
    OK,
    USAGE,
    add_runtime_dir,
    fail,
    positive_seconds,
    whole_number,
    write_stdout,
)
from eegd.cli.parser import Parser
from eegd.cli.start import INTERRUPTED, while_importing
from eegd.errors import BoardError, ConfigError, EegdError, ReplayError
from eegd.journal import start_logging, stderr_is_journal

if TYPE_CHECKING:
    from eegd.daemon import Daemon

__all__ = ["build_parser", "main"]

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
EXAMPLES = """examples:
  eegd run --simulate                     the emulated chip, in real time
  eegd run --config /etc/eegd.toml        the board that a file describes
  eegd run --board pieeg                  a known board; `eegd boards` lists them
  eegd run --board pieeg --simulate       its set-up on the emulated chip
  eegd run --replay night.bdf --fast      a recording, as fast as its readers take it
  eegd run --simulate --set board.rate_sps=500
  eegd check-config /etc/eegd.toml        what the file means, with every default
  eegd demo                               daemon, plugin and live view in one

exit codes: 0 done, 1 internal failure, 2 usage or configuration, 3 cannot start
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, for parsing and for completion."""
    parser = Parser(
        prog="eegd",
        description="EEG acquisition daemon for ADS1299 boards.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"eegd {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run the daemon until it is stopped")
    run.add_argument("--config", metavar="FILE", help="configuration; the defaults where it is not given")
    add_board(run)
    source = run.add_mutually_exclusive_group()
    source.add_argument("--simulate", action="store_true", help="the emulated chip in place of the board")
    source.add_argument("--replay", metavar="FILE", help="a recording, played through the emulated chip")
    run.add_argument("--fast", action="store_true", help="virtual clock: as fast as lossless readers allow")
    run.add_argument(
        "--wait-readers",
        metavar="N",
        type=_natural,
        default=0,
        help="convert when N readers are attached to each raw stream",
    )
    add_runtime_dir(run)
    run.add_argument(
        *("--set", "-s"),
        metavar="KEY=VALUE",
        action="append",
        type=_setting,
        default=[],
        help="any key of the configuration, such as board.rate_sps=500; may be repeated",
    )
    run.add_argument("--with-parent", metavar="PID", type=int, help=argparse.SUPPRESS)
    run.set_defaults(function=_run)

    check = commands.add_parser("check-config", help="print the effective configuration, or all that is wrong")
    check.add_argument("file", nargs="?", metavar="FILE", help="the defaults where it is not given")
    add_board(check)
    check.set_defaults(function=_check_config)

    boards = commands.add_parser("boards", help="list the boards that --board knows, or print the file of one")
    boards.add_argument("name", nargs="?", metavar="NAME", help="print this one's file, with its wiring")
    boards.set_defaults(function=_boards)

    # Its arguments are the plugin runner's own; main hands them on before anything is parsed here.
    commands.add_parser("plugin", help="run one plugin in this process: eegd plugin NAME [name=value …]")

    demo = commands.add_parser("demo", help="daemon on the emulated chip, band powers, live view")
    demo.add_argument("--seconds", metavar="N", type=positive_seconds, help="end by itself")
    demo.set_defaults(function=_demo)
    return parser


def add_board(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--board", metavar="NAME", help="a known board's wiring; your configuration goes over it")


def _natural(text: str) -> int:
    n = whole_number(text)
    if n < 0:
        raise argparse.ArgumentTypeError(f"{text}: 0 or more")
    return n


def _setting(text: str) -> tuple[str, object]:
    """`board.rate_sps=500`, the value as TOML; what is no TOML is taken as a text."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise argparse.ArgumentTypeError(f"{text!r}: KEY=VALUE, such as board.rate_sps=500")
    try:
        return key.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _overrides(args: argparse.Namespace) -> dict[str, object]:
    """What the command line says in place of the file."""
    overrides: dict[str, object] = {}
    if args.simulate or args.replay:
        overrides["board.kind"] = "sim"
    elif args.board:
        overrides["board.kind"] = "linux"
    if args.replay:
        overrides["replay.file"] = os.path.abspath(args.replay)
    if args.fast:
        overrides["sim.clock"] = "virtual"
    if args.runtime_dir:
        overrides["daemon.runtime_dir"] = os.path.abspath(args.runtime_dir)
    overrides.update(args.set)
    return overrides


def _run(args: argparse.Namespace) -> int:
    from eegd.config import load_config

    if args.with_parent is not None and not _end_with(args.with_parent):
        return OK
    overrides = _overrides(args)
    config = load_config(args.config, overrides, args.board)
    if args.fast and config.board.kind != "sim":
        raise ConfigError("--fast: only the emulated chip has a virtual clock; add --simulate or --replay FILE")
    start_logging("eegd")
    logging.getLogger("eegd").setLevel(config.daemon.log_level.upper())
    if os.environ.get("NOTIFY_SOCKET"):
        faulthandler.enable()  # a watchdog's SIGABRT then shows in the journal where every thread was
    from eegd.daemon import run_daemon

    try:
        code, summary = run_daemon(config, overrides, args.wait_readers, _say_ready)
    except ReplayError:
        raise  # a wrong file: the caller's to put right, as a wrong configuration
    except (EegdError, OSError) as error:
        code = fail("eegd", _plain(error), CANNOT_START)
        if isinstance(error, BoardError) and config.board.kind == "linux":
            print(f"eegd: to see what is wrong, and what mends it: {_doctor(args)}", file=sys.stderr)
        return code
    if not stderr_is_journal():  # else it stands there already, with its fields
        print(summary, flush=True)
    return code


def _doctor(args: argparse.Namespace) -> str:
    """The command that examines the same board."""
    words = ["eegctl", "doctor"]
    for option, value in (("--config", args.config), ("--board", args.board)):
        words += [option, value] if value is not None else []
    return shlex.join(words)


def _plain(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, EegdError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return str(error)


def _end_with(parent: int) -> bool:
    """Has the kernel end this process (SIGTERM) with its parent. False where the parent has gone already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    return os.getppid() == parent


def _say_ready(daemon: Daemon) -> None:
    config = daemon.config
    source = "the emulated chip" if config.board.kind == "sim" else "the board"
    if config.replay.file is not None:
        source = os.path.basename(config.replay.file)
    speed = ", as fast as possible" if daemon.virtual_clock else ""
    print(
        f"eegd: {len(config.montage.on)} channels at {config.board.rate_sps} SPS from {source}{speed}, "
        f"{daemon.directory}",
        file=sys.stderr,
        flush=True,
    )


def _check_config(args: argparse.Namespace) -> int:
    from eegd.config import effective_toml, examine_config
    from eegd.start_check import check_start

    config, problems = examine_config(args.file, {"board.kind": "linux"} if args.board else None, args.board)
    for warning in check_start(config, problems):
        print(f"eegd: warning: {warning}", file=sys.stderr)
    problems.stop()
    if args.board:
        print(f"# Board {args.board}{f', under {args.file}' if args.file else ''}\n")
    print(effective_toml(config), end="")
    return OK


def _boards(args: argparse.Namespace) -> int:
    from eegd.boards import board_file, board_names, board_summary

    if args.name is not None:
        print(board_file(args.name).read_text(encoding="utf-8"), end="")
        return OK
    names = board_names()
    for name in names:
        print(f"{name:<{max(map(len, names))}}  {board_summary(name)}")
    return OK


def _demo(args: argparse.Namespace) -> int:
    with while_importing():
        from eegd.cli.demo import run_demo

    return run_demo(args.seconds)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["plugin"]:
        from eegd.runner import main as run_plugin

        return run_plugin(words[1:])
    args = build_parser().parse_args(words)
    try:
        return write_stdout(lambda: int(args.function(args)))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ConfigError, ReplayError) as error:
        return fail("eegd", error, USAGE)
    except EegdError as error:
        return fail("eegd", error, FAILED)
    except Exception as error:
        log.debug("internal error", exc_info=True)
        return fail("eegd", f"internal error: {type(error).__name__}: {error}", FAILED)


if __name__ == "__main__":
    sys.exit(main())
