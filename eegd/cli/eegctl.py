"""The command `eegctl`: looks at a running daemon, and changes it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from eegd import __version__
from eegd.cli.common import (
    CANNOT_START,
    FAILED,
    OK,
    USAGE,
    Stopper,
    add_runtime_dir,
    fail,
    need_rich,
    number,
    positive_seconds,
    whole_number,
    write_stdout,
)
from eegd.cli.doctor import add_arguments as add_doctor_arguments
from eegd.cli.doctor import run_doctor
from eegd.cli.mark import add_arguments as add_mark_arguments
from eegd.cli.mark import run_mark
from eegd.cli.parser import Parser
from eegd.cli.plugin import add_commands as add_plugin_commands
from eegd.cli.plugin_help import run_help, run_plugins
from eegd.cli.shells import add_commands as add_shell_commands
from eegd.cli.shells import run_complete, run_completion
from eegd.cli.start import INTERRUPTED
from eegd.client import Client, connect
from eegd.errors import DaemonNotRunning, EegdError, StreamLost
from eegd.frame import StreamInfo
from eegd.near import meant

__all__ = ["build_parser", "main"]

EXAMPLES = """examples:
  eegctl status                       rate, losses, pool, readers, plugins
  eegctl view                         live traces and band powers
  eegctl tail --channels Oz,Pz        two channels as sparklines
  eegctl tail bandpower --numbers --frames 10
  eegctl events --follow
  eegctl mark "eyes closed" --value 2
  eegctl check                        electrodes before a recording: green, look, red
  eegctl check --test-signal --shorted
  eegctl board rate=500               stops, writes, verifies, starts again
  eegctl channel Oz gain=12
  eegctl set bandpower length=4       from the next frame on
  eegctl doctor                       what is wrong, why it matters, what mends it
  source <(eegctl completion bash)    words and parameters at the tab key; zsh and fish too

exit codes: 0 done, 1 refused by the daemon or something red, 2 usage, 3 no daemon, 130 interrupted
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, for parsing and for completion."""
    parser = Parser(
        prog="eegctl",
        description="Looks at a running eegd, and changes it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"eegctl {__version__}")
    add_runtime_dir(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, function: Callable[..., int], text: str, **more: Any) -> Any:
        sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", **more)
        add_runtime_dir(sub, argparse.SUPPRESS)
        sub.set_defaults(function=function)
        return sub

    status = command("status", _status, "rate, losses by cause, pool, readers and plugins")
    status.add_argument("--json", action="store_true", help="the whole report as JSON")
    status.add_argument("--watch", metavar="S", type=positive_seconds, help="again every S seconds")

    view = command("view", _view, "live traces and band powers; one line a second without a terminal")
    view.add_argument("--seconds", metavar="N", type=positive_seconds, help="end by itself")

    tail = command(
        "tail",
        _tail,
        "a stream as text: sparklines with their peak-to-peak span, or the latest value of features; or numbers",
    )
    tail.add_argument("stream", nargs="?", default="raw", metavar="STREAM", help="default: raw")
    tail.add_argument("--channels", metavar="A,B", type=_labels, help="only these labels, in this order")
    tail.add_argument("--numbers", action="store_true", help="the last sample of each line's span, with units")
    tail.add_argument(
        "--every", metavar="S", type=_span, help="a line per S seconds; 0: per frame, as with --frames (else 0.5)"
    )
    tail.add_argument("--frames", metavar="N", type=_positive, help="end after N frames")
    tail.add_argument("--seconds", metavar="S", type=positive_seconds, help="end after S seconds of samples")
    tail.add_argument("--json", action="store_true", help="each frame whole, one JSON object per line")

    events = command("events", _events, "losses, epochs, readers coming and going")
    events.add_argument("-f", "--follow", action="store_true", help="go on as they happen")
    events.add_argument("--kind", metavar="K", help="only this kind, such as overrun or epoch")
    events.add_argument("--json", action="store_true", help="one JSON object per line")

    add_mark_arguments(command("mark", run_mark, "put a marker among the events, with its sample and time"))

    check = command("check", _check, "electrodes before a recording: offset, rails, lead-off, mains, noise")
    check.add_argument("--seconds", metavar="S", type=_check_span, default=5.0, help="how long to measure (5)")
    check.add_argument("--max-offset-mv", metavar="MV", type=_limit, help="red above it (100)")
    check.add_argument("--max-mains-uv", metavar="UV", type=_limit, help="rms; red above it (30)")
    check.add_argument("--max-noise-uv", metavar="UV", type=_limit, help="rms, 1 to 40 Hz; red above it (50)")
    check.add_argument("--test-signal", action="store_true", help="then the chip's test signal, and back")
    check.add_argument("--shorted", action="store_true", help="then the noise with shorted inputs, and back")
    check.add_argument("--last", action="store_true", help="show the last check instead of a new one")
    check.add_argument("--json", action="store_true", help="the whole result as JSON")

    board = command("board", _board, "change the board: stop, write, verify, start, new epoch")
    board.add_argument("settings", nargs="+", metavar="NAME=VALUE", type=_setting("rate=500"), help="such as rate=500")
    channel = command("channel", _channel, "change one channel")
    channel.add_argument("label", metavar="LABEL")
    channel.add_argument("settings", nargs="+", metavar="NAME=VALUE", type=_setting("gain=12"), help="such as gain=12")
    add_plugin_commands(command)
    add_shell_commands(command)
    add_doctor_arguments(
        command("doctor", run_doctor, "what is wrong with computer, daemon or board, and what mends it")
    )

    command("reload", _reload, "read the configuration file again")
    command("stop", _stop, "stop the daemon and wait for its end")
    command("streams", _streams, "the streams that can be opened now").add_argument("--json", action="store_true")
    info = command("info", _info, "what a stream is: montage of a raw one, labels, axes and delay of a plugin's")
    info.add_argument("stream", nargs="?", default="raw", metavar="STREAM", help="default: raw")
    info.add_argument("--json", action="store_true")
    return parser


def _span(text: str) -> float:
    return 0.0 if number(text) == 0 else positive_seconds(text)


def _check_span(text: str) -> float:
    seconds = number(text)
    if not 2 <= seconds <= 600:
        raise argparse.ArgumentTypeError(f"{text}: 2 to 600 s")
    return seconds


def _limit(text: str) -> float:
    limit = number(text)
    if not 0 < limit < 1e6:
        raise argparse.ArgumentTypeError(f"{text}: more than 0, less than 1000000")
    return limit


def _positive(text: str) -> int:
    n = whole_number(text)
    if n < 1:
        raise argparse.ArgumentTypeError(f"{text}: 1 or more")
    return n


def _labels(text: str) -> list[str]:
    labels = [label.strip() for label in text.split(",") if label.strip()]
    if not labels:
        raise argparse.ArgumentTypeError(f"{text!r}: labels with commas between them, such as O1,O2")
    return labels


def _setting(example: str) -> Callable[[str], tuple[str, str]]:
    def parse(text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise argparse.ArgumentTypeError(f"{text!r}: NAME=VALUE in one word, such as {example}")
        return name, value

    return parse


# ---- looking ----


def _status(client: Client, args: argparse.Namespace) -> int:
    if not args.json:
        need_rich("eegctl status without --json")
    if args.watch is None:
        _show_status(client, args.json, indent=2)
        return OK
    with Stopper() as stopper:
        while not stopper.stopped:
            if not args.json and sys.stdout.isatty():
                print("\x1b[H\x1b[2J", end="")
            _show_status(client, args.json, indent=None)
            stopper.wait(args.watch)
    return OK


def _show_status(client: Client, as_json: bool, indent: int | None) -> None:
    status = client.ask("status")["status"]
    if as_json:
        print(json.dumps(status, indent=indent, ensure_ascii=False), flush=True)
    else:
        from eegd.cli.tables import console, status_view

        console().print(status_view(status))


def _view(client: Client, args: argparse.Namespace) -> int:
    need_rich("eegctl view")
    from eegd.cli.view import watch

    with Stopper() as stopper:
        ended = watch(client, stopper, args.seconds, "Ctrl-C leaves the view; the daemon goes on")
    if ended:
        print(f"stream raw ended: {ended}")
    return OK


def _tail(client: Client, args: argparse.Namespace) -> int:
    from eegd.cli.tail import tail

    _existing(client, args.stream)
    return tail(client, args)


def _existing(client: Client, stream: str) -> str:
    there = client.streams()
    if stream not in there and "raw" in there and stream in client.info.labels:
        raise EegdError(f"no stream {stream!r}: that is a channel; eegctl tail raw --channels {stream}")
    if stream not in there:
        raise EegdError(f"no stream {stream!r}{meant(stream, there)}; there are {', '.join(there) or 'none'}")
    return stream


def _events(client: Client, args: argparse.Namespace) -> int:
    from eegd.cli.follow import show_events

    return show_events(client, args)


def _check(client: Client, args: argparse.Namespace) -> int:
    from eegd.cli.check import check

    return check(client, args)


def _streams(client: Client, args: argparse.Namespace) -> int:
    if not args.json:
        need_rich("eegctl streams without --json")
    infos: list[StreamInfo] = []
    dead: dict[str, str] = {}
    for name in client.streams():
        try:
            infos.append(client.describe(name))
        except EegdError as error:  # one plugin that does not answer; the other streams are well
            dead[name] = str(error)
    if args.json:
        rows = [info.description for info in infos] + [{"name": name, "error": why} for name, why in dead.items()]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return OK
    from eegd.cli.tables import console, streams_view

    console().print(streams_view(infos, dead))
    return OK


def _info(client: Client, args: argparse.Namespace) -> int:
    info = client.describe(_existing(client, args.stream))
    if args.json:
        print(json.dumps(info.description, indent=2, ensure_ascii=False))
        return OK
    from eegd.cli.stream_text import plugin_stream_lines
    from eegd.cli.tables import console, info_view

    if info.kind == "raw":
        need_rich("eegctl info of a raw stream without --json")
        console().print(info_view(info))
        return OK
    for line in plugin_stream_lines(info):
        print(line)
    return OK


# ---- changing ----


def _board(client: Client, args: argparse.Namespace) -> int:
    from eegd.cli.change import change

    return change(client, "board", settings=dict(args.settings))


def _channel(client: Client, args: argparse.Namespace) -> int:
    from eegd.cli.change import change

    return change(client, "channel", label=args.label, settings=dict(args.settings))


def _reload(client: Client, args: argparse.Namespace) -> int:
    from eegd.cli.change import change

    return change(client, "reload")


def _stop(client: Client, args: argparse.Namespace) -> int:
    from eegd.cli.change import stop

    return stop(client)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["complete"]:  # asked by a shell at each press of the key: it is in no help
        return write_stdout(lambda: run_complete(words[1:]))
    args = build_parser().parse_args(words)

    def work() -> int:
        if args.function in (
            run_doctor,
            run_help,
            run_plugins,
            run_completion,
        ):  # they look for a daemon themselves, and need none
            return int(args.function(args))
        with connect(args.runtime_dir) as client:
            return int(args.function(client, args))

    try:
        return write_stdout(work)
    except (DaemonNotRunning, StreamLost) as error:
        return fail("eegctl", error, CANNOT_START)
    except (KeyError, ValueError) as error:
        return fail("eegctl", error.args[0] if error.args else error, USAGE)
    except EegdError as error:
        return fail("eegctl", error, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
