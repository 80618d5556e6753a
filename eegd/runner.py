"""The process of one plugin: reads a stream, calls the plugin for every frame, writes the plugin's own stream.

`python -m eegd.runner NAME [name=value …]` runs one by hand; the daemon's supervisor starts the same.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import logging
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from eegd.chain import make_chain
from eegd.cli.common import number
from eegd.cli.parser import Parser
from eegd.config import load_config
from eegd.errors import (
    ConfigError,
    EegdError,
    FrameShared,
    LeasesExhausted,
    NameTaken,
    NeedsUnmet,
    ParamError,
    PluginError,
)
from eegd.journal import log_to_journal
from eegd.libzmq import load_libzmq
from eegd.live import LiveParams
from eegd.liveness import BEGIN_S
from eegd.memory import headroom, limit_memory, memory_limit_mb, stand_back
from eegd.notify import Notifier, watchdog_interval_s
from eegd.output_thread import OutputThread
from eegd.params import assign_params, check_params, parse_words
from eegd.plugin import Plugin
from eegd.plugin_command import plugin_command, stages_in
from eegd.plugin_loop import PluginLoop
from eegd.plugin_report import ENDED, EXIT_FAILED, EXIT_REFUSED
from eegd.plugin_source import load_plugin
from eegd.process import parent_of
from eegd.runtime_dir import daemon_pid, find_dir, stream_socket
from eegd.standard_fds import report_fd
from eegd.stream import MissedFrames

__all__ = [
    "build_parser",
    "class_of",
    "main",
    "make_plugin",
    "run_plugin",
    "warning_line",
]

log = logging.getLogger(__name__)

LINE = "%(levelname)s: %(message)s"
INPUT_WORDS = ("input=", "input:")
REFUSALS = (ParamError, NeedsUnmet, FrameShared)


@contextlib.contextmanager
def _signals_to(thread: OutputThread, supervised: bool) -> Iterator[None]:
    """SIGTERM and SIGINT end the plugin cleanly; the control thread hears them even while this one is in C.

    Ctrl-C goes to every process of a terminal; a supervised plugin leaves it to the daemon, so that it can still work
    off what the daemon publishes last.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    old_fd = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN if supervised else lambda *_: None)
        thread.hear_signals(theirs.fileno())
        yield
    finally:
        thread.deafen(theirs.fileno())
        signal.set_wakeup_fd(old_fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()


def build_parser() -> argparse.ArgumentParser:
    """Of `eegd plugin`, for parsing and for completion."""
    parser = Parser(
        prog="eegd plugin", description="Runs one plugin in this process, on the streams of a running daemon."
    )
    parser.add_argument("name", help="the plugin; its stream has the same name")
    parser.add_argument(
        "params", nargs="*", metavar="name=value", help="parameters, some without name where the plugin says so"
    )
    parser.add_argument(
        "--config", metavar="FILE", help="what [plugins] there says of it; what is given here counts more"
    )
    parser.add_argument("--runtime-dir", metavar="D", help="the daemon's runtime directory")
    parser.add_argument("--input", metavar="STREAM", help="the stream to read, instead of the plugin's own choice")
    parser.add_argument(
        "--plugin-dir", action="append", default=[], metavar="D", help="where else to look for plugins; repeatable"
    )
    parser.add_argument(
        "--chain",
        default="",
        metavar="P,P…",
        help="run these plugins one after the other in this process, as NAME; a stage is a plugin, or stage=plugin",
    )
    parser.add_argument("--plugin", metavar="P", help="which plugin it is, where it is not named like its stream")
    parser.add_argument(
        "--set", dest="live", default="{}", metavar="JSON", help="parameters that were set while it ran before"
    )
    parser.add_argument("--params", dest="json", default="{}", metavar="JSON", help="parameters as a JSON object")
    parser.add_argument("--memory-mb", type=number, default=0.0, metavar="N", help="limit of its own memory; 0: none")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    parser.add_argument(
        "--supervised",
        action="store_true",
        help="report on standard output, and end with standard input",
    )
    return parser


def _arguments_of(argv: Sequence[str]) -> argparse.Namespace:
    """With those that the configuration names, if there is one. Raises ConfigError."""
    parser = build_parser()
    arguments = parser.parse_intermixed_args(argv)
    if arguments.config is None:
        return arguments
    configured = plugin_command(load_config(arguments.config).plugins, arguments.name)[1:]
    return parser.parse_intermixed_args([*configured, *argv])


def _object_in(option: str, text: str) -> dict[str, object]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ParamError(f"{option} {text!r:.60}: {error}") from None
    if not isinstance(values, dict):
        raise ParamError(f"{option} {text!r:.60}: an object is wanted, as in '{{\"length\": 2}}'")
    return values


def make_plugin(
    name: str,
    dirs: Sequence[str],
    values: Mapping[str, object],
    words: Sequence[str] = (),
    chain: Sequence[str] = (),
    plugin: str | None = None,
) -> Plugin:
    """An instance with checked parameters; those given as words count more. chain: the stages, where it is one.
    plugin: which it is, where its name is another one. Raises PluginError, ParamError."""
    return _made(_class_named(name, dirs, chain, plugin), values, words)


def _class_named(name: str, dirs: Sequence[str], chain: Sequence[str], plugin: str | None) -> type[Plugin]:
    plugin_class = make_chain(name, chain, dirs) if chain else load_plugin(plugin or name, dirs)
    plugin_class.name = name
    return plugin_class


def _made(plugin_class: type[Plugin], values: Mapping[str, object], words: Sequence[str]) -> Plugin:
    checked = check_params(plugin_class, {**values, **parse_words(plugin_class, words, partial=True)})
    try:
        made = plugin_class()
    except Exception as error:
        text = f"plugin {plugin_class.name!r}: cannot be made: {type(error).__name__}: {error}"
        raise PluginError(text) from error
    assign_params(made, checked)
    return made


def class_of(argv: Sequence[str]) -> tuple[type[Plugin], str, Callable[[], Plugin]]:
    """The class that a command line asks for, the stream that it reads, and what makes the plugin with its
    parameters. All three raise EegdError."""
    return _class_of(_arguments_of(argv))


def _class_of(arguments: argparse.Namespace) -> tuple[type[Plugin], str, Callable[[], Plugin]]:
    values = _object_in("--params", arguments.json)
    words = [word for word in arguments.params if not word.startswith(INPUT_WORDS)]
    inputs = {word[len(INPUT_WORDS[0]) :] for word in arguments.params if word.startswith(INPUT_WORDS)}
    if len(inputs) > 1:
        raise ParamError(f"{arguments.name}: it reads one stream, not {' and '.join(sorted(inputs))}")
    plugin_class = _class_named(arguments.name, arguments.plugin_dir, stages_in(arguments.chain), arguments.plugin)
    input_stream = (inputs.pop() if inputs else arguments.input) or plugin_class.input
    stream_socket(input_stream)
    if input_stream == plugin_class.name:
        raise PluginError(f"plugin {plugin_class.name!r}: reads its own stream")
    return plugin_class, input_stream, lambda: _made(plugin_class, values, words)


def _set_again(plugin: Plugin, values: Mapping[str, object]) -> dict[str, object]:
    """What was set while it ran before holds again. If it can not any more, what it was started with does."""
    try:
        checked = check_params(type(plugin), values, partial=True)
    except ParamError as error:
        log.warning("what was set before is forgotten: %s", error)
        return {}
    assign_params(plugin, checked)
    return checked


def run_plugin(
    plugin: Plugin, directory: Path, input_stream: str, live: LiveParams, *, supervised: bool = False
) -> str:
    """Runs a plugin in this process, in its main thread, until its input ends or a signal comes; returns why."""
    with contextlib.ExitStack() as stack:
        fd = stack.enter_context(report_fd()) if supervised else None
        thread = OutputThread(plugin.name, directory, live.operations)
        stack.callback(thread.close)
        stack.enter_context(_signals_to(thread, supervised))
        loop = PluginLoop(plugin, directory, input_stream, thread, live)
        if fd is not None:
            thread.report_to(fd, loop.facts)
            thread.watch_supervisor(sys.stdin.fileno())
        if (interval_s := watchdog_interval_s()) is not None:
            thread.feed_watchdog(interval_s, loop.answers)
        reason = loop.run(on_failure="restarted" if supervised else "failed")
        counts = loop.counts
        counts.state = ENDED
        thread.report_now()
        log.info(
            "%s: %s; %d frames in, %d out, %d failed, %d missed",
            plugin.name,
            reason,
            counts.frames_in,
            counts.frames_out,
            counts.errors,
            counts.missed,
        )
        return reason


class LinesFormatter(logging.Formatter):
    """For the supervisor, which reads lines: each one has the level, those after a record's first one behind a bar."""

    def __init__(self) -> None:
        super().__init__(LINE)

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", f"\n{record.levelname}| ")


def warning_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning for the log. Where in a program it was raised matters there only for those that Python gives."""
    where = "" if category is MissedFrames else f" ({filename}:{lineno})"
    return f"{category.__name__}: {message}{where}"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 when the input ended or a signal came, EXIT_REFUSED, EXIT_FAILED."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        arguments = _arguments_of(argv)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_REFUSED
    if not log_to_journal(f"eegd-{arguments.name}"):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(LinesFormatter() if arguments.supervised else logging.Formatter(LINE))
        logging.basicConfig(handlers=[handler])
    logging.getLogger().setLevel(arguments.log_level.upper())
    faulthandler.enable()  # where each thread was, when it aborts, is aborted for hanging, or does not survive its C
    warnings.formatwarning = warning_line
    logging.captureWarnings(True)
    os.umask(0o007)
    if arguments.supervised:
        stand_back()
    if (interval_s := watchdog_interval_s()) is not None:
        Notifier().patience(max(BEGIN_S, interval_s))
    try:
        return _run(arguments)
    except MemoryError:
        with headroom():
            log.exception("plugin %r: needs more memory than memory_mb = %g", arguments.name, memory_limit_mb())
        return EXIT_FAILED


def _run(arguments: argparse.Namespace) -> int:
    """Loads and runs what is asked for; returns the exit code. Raises MemoryError."""
    try:
        load_libzmq()
        try:
            limit_memory(arguments.memory_mb)
        except (OSError, ValueError) as error:
            log.warning("memory_mb = %g cannot be set: %s", arguments.memory_mb, error)
        directory = Path(arguments.runtime_dir) if arguments.runtime_dir else find_dir()
        _, input_stream, make = _class_of(arguments)
        plugin = make()
        live = LiveParams(plugin, _set_again(plugin, _object_in("--set", arguments.live)))
    except EegdError as error:
        if isinstance(error.__cause__, MemoryError):
            raise error.__cause__ from error
        log.error("%s", error)
        return EXIT_REFUSED
    if not directory.is_dir():
        log.error("%s: no such directory, so no daemon runs there; start one with: eegd run --runtime-dir D", directory)
        return EXIT_FAILED
    try:
        run_plugin(plugin, directory, input_stream, live, supervised=arguments.supervised)
    except LeasesExhausted as error:
        log.error("plugin %r keeps arrays of frames: %s", plugin.name, error)
        return EXIT_FAILED
    except NameTaken as error:
        log.error("%s", _who_runs(plugin.name, directory, error.pid, supervised=arguments.supervised))
        return EXIT_FAILED
    except EegdError as error:
        log.error("%s", error)
        return EXIT_REFUSED if isinstance(error, REFUSALS) else EXIT_FAILED
    return 0


def _who_runs(name: str, directory: Path, pid: int | None, *, supervised: bool) -> str:
    """Why this process cannot have the plugin's stream, and what to do."""
    if supervised:
        return (
            f"process {pid or '?'} writes the stream {name!r} already: a plugin that was started by hand, or a unit of "
            f"systemd; end that one, then `eegctl plugin restart {name}`"
        )
    daemon = daemon_pid(directory)
    other = f"or give this one another name: `eegd plugin {name}-2 --plugin {name}`"
    if pid is not None and daemon is not None and parent_of(pid) == daemon:
        return (
            f"plugin {name!r}: the daemon (process {daemon}) runs it already, as process {pid}; "
            f"`eegctl plugin remove {name}` ends that one; {other}"
        )
    by = f"as process {pid or '?'}, started by hand or by systemd"
    return f"plugin {name!r} runs already, {by}; end that one first, {other}"


if __name__ == "__main__":
    sys.exit(main())
