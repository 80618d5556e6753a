"""Configuration: one TOML file becomes frozen dataclasses, or a ConfigError that names all that is wrong.

The tables stand in the order in which data flow. Each key's rule and sentence are in its field.
"""

from __future__ import annotations

import dataclasses
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eegd.boards import board_file
from eegd.detector_config import ROWS, ChipMarkerConfig, DetectorConfig, check_detectors, read_rows
from eegd.errors import ConfigError
from eegd.marker_config import MarkerConfig, TriggerConfig, check_inputs
from eegd.montage import Montage, read_montage
from eegd.near import nearest
from eegd.plugin_tables import read_plugins
from eegd.schema import Problems, joined, keys_of, near, read_table, table_lines, toml_value
from eegd.settings import (
    MAX_FRAME_SAMPLES,
    RATES_SPS,
    BoardConfig,
    DaemonConfig,
    PluginsConfig,
    ReplayConfig,
    SimConfig,
    StreamConfig,
)
from eegd.wiring import check_board, check_montage

__all__ = [
    "MAX_FRAME_SAMPLES",
    "RATES_SPS",
    "TABLES",
    "BoardConfig",
    "Config",
    "DaemonConfig",
    "PluginsConfig",
    "ReplayConfig",
    "SimConfig",
    "StreamConfig",
    "effective_toml",
    "examine_config",
    "load_config",
    "override",
    "parse_config",
    "rebuilt",
    "tree_of",
]

DEFAULTS_NAME = "built-in defaults"
COMMAND_LINE = "command line"
MAX_FILE_BYTES = 1 << 16
MAX_LINE_LENGTH = 4096
"""Bounds the parser's time, which grows with the square of a dotted key."""
MAX_CLOCK_PPM = 25_000
"""The internal oscillator over temperature (SBAS499C 7.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of it. Made by load_config and parse_config only. Immutable; synchronization: none required."""

    path: str | None = field(default=None, compare=False)
    """The file it came from, for messages."""
    base: str | None = field(default=None, compare=False)
    """The board by whose file that one was completed."""
    board: BoardConfig
    sim: SimConfig
    replay: ReplayConfig
    montage: Montage
    stream: StreamConfig
    detectors: tuple[DetectorConfig, ...] = ()
    chip_markers: tuple[ChipMarkerConfig, ...] = ()
    markers: tuple[MarkerConfig, ...] = ()
    trigger: TriggerConfig = field(default_factory=TriggerConfig)
    plugins: PluginsConfig
    daemon: DaemonConfig

    @property
    def samples_per_frame(self) -> int:
        """Frame length of the raw stream."""
        return self.stream.samples_per_frame(self.board.rate_sps)


TABLES: dict[str, type] = {
    "board": BoardConfig,
    "sim": SimConfig,
    "replay": ReplayConfig,
    "montage": Montage,
    "stream": StreamConfig,
    "trigger": TriggerConfig,
    "plugins": PluginsConfig,
    "daemon": DaemonConfig,
}


def load_config(
    path: str | os.PathLike[str] | None, overrides: Mapping[str, object] | None = None, base: str | None = None
) -> Config:
    """Reads a file, or the defaults when there is none. `overrides`, such as {"board.rate_sps": 500}, win;
    None among them means not given. `base` names a board whose file holds where the other one says nothing."""
    config, problems = examine_config(path, overrides, base)
    problems.stop()
    return config


def examine_config(
    path: str | os.PathLike[str] | None, overrides: Mapping[str, object] | None = None, base: str | None = None
) -> tuple[Config, Problems]:
    """As load_config, with what is wrong instead of an error; the tables in which there is something wrong have
    defaults in its place. Raises ConfigError only for what is no such file at all."""
    if path is None:
        config, problems = _examined("", DEFAULTS_NAME, overrides, base)
        return dataclasses.replace(config, path=None), problems
    return _examined(_read_text(os.fspath(path)), os.fspath(path), overrides, base)


def _read_text(path: str) -> str:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{path}: not a regular file")
            data = file.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError:
        raise ConfigError(f"{path}: a directory, not a file") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: longer than {MAX_FILE_BYTES // 1024} KiB; this is no configuration file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: line {line}: not UTF-8 text (byte 0x{data[error.start]:02X})") from None


def parse_config(
    text: str, name: str, overrides: Mapping[str, object] | None = None, base: str | None = None
) -> Config:
    """As load_config, from text; `name` stands for the file in messages."""
    config, problems = _examined(text, name, overrides, base)
    problems.stop()
    return config


def _examined(
    text: str, name: str, overrides: Mapping[str, object] | None, base: str | None
) -> tuple[Config, Problems]:
    tree, origins = _parse(text, name), {}
    if base is not None:
        below = _parse(_read_text(os.fspath(board_file(base))), f"board {base}")
        origins = _complete(tree, below, f"board {base}")
    given = {path: value for path, value in (overrides or {}).items() if value is not None}
    override(tree, given)
    config, problems = _build(tree, name, {**origins, **dict.fromkeys(given, COMMAND_LINE)})
    return dataclasses.replace(config, base=base), problems


def _complete(tree: dict[str, Any], below: dict[str, Any], origin: str) -> dict[str, str]:
    """Adds what only the tree below says, key by key; returns where that came from, by dotted name."""
    origins = {}
    for table, values in below.items():
        if table in ROWS:
            tree.setdefault(table, values)
            continue
        mine = tree.setdefault(table, {})
        for name, value in values.items():
            if isinstance(mine, dict) and name not in mine:
                mine[name] = value
                origins[f"{table}.{name}"] = origin
    return origins


def _parse(text: str, name: str) -> dict[str, Any]:
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE_LENGTH:
            raise ConfigError(f"{name}: line {number}: longer than {MAX_LINE_LENGTH} characters")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).removesuffix(")").rpartition(" (at ")
        raise ConfigError(f"{name}: {place}: {reason}" if reason else f"{name}: {error}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{name}: nested too deep, or a number too long") from None


def override(tree: dict[str, Any], given: Mapping[str, object]) -> None:
    """Puts values with dotted names into a tree as of a file."""
    for path, value in given.items():
        *tables, name = path.split(".")
        table: Any = tree
        for step in tables:
            table = table.setdefault(step, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):  # else reported as no table when the tree is read
            table[name] = os.fspath(value) if isinstance(value, os.PathLike) else value
    lengths = given.keys() & {"stream.frame_ms", "stream.frame_samples"}
    if len(lengths) == 1 and isinstance(tree["stream"], dict):
        tree["stream"].pop("frame_samples" if "stream.frame_ms" in lengths else "frame_ms", None)


def _build(tree: dict[str, Any], name: str, origins: Mapping[str, str]) -> tuple[Config, Problems]:
    """origins: where values by dotted names came from, if not from `name`. Tables are judged together only where each
    is sound by itself: a default in place of a bad value would contradict what nobody wrote."""
    problems = Problems(name, origins)
    _check_tables(tree, problems)

    def values(table: str) -> dict[str, Any]:
        return read_table(keys_of(TABLES[table]), table, tree.get(table, {}), problems)

    board = BoardConfig(**values("board"))
    config = Config(
        path=name,
        board=board,
        sim=SimConfig(**values("sim")),
        replay=ReplayConfig(**values("replay")),
        montage=read_montage(tree.get("montage", {}), board.chips, problems),
        stream=_read_stream(values("stream"), problems),
        detectors=read_rows("detector", tree.get("detector", []), problems),
        chip_markers=read_rows("chip_marker", tree.get("chip_marker", []), problems),
        markers=read_rows("marker", tree.get("marker", []), problems),
        trigger=TriggerConfig(**values("trigger")),
        plugins=read_plugins(tree.get("plugins", {}), problems),
        daemon=DaemonConfig(**values("daemon")),
    )
    if problems.sound("board"):
        check_board(board, problems)
    if problems.sound("board", "montage"):
        check_montage(config.montage, board, problems)
    if problems.sound("board", "montage"):
        check_detectors(config.detectors, config.chip_markers, board, config.montage, problems)
    if problems.sound("board", "marker", "trigger"):
        check_inputs(config.markers, config.trigger, board, problems)
    if problems.sound("board", "replay", "sim"):
        _check_replay(config, problems)
        _check_own_clocks(config, problems)
    if problems.sound("board", "stream"):
        _check_frame(config, problems)
    return config, problems


def _check_tables(tree: dict[str, Any], problems: Problems) -> None:
    for name, value in tree.items():
        if name in TABLES or name in ROWS or problems.full:
            continue
        if isinstance(value, dict):
            problems.add(name, "", f"unknown table; {near(name, [*TABLES, *ROWS])}", keys=value)
            continue
        homes = [f"[{table}]" for table, cls in TABLES.items() if name in keys_of(cls)]
        hint = f"belongs below {joined(homes)}" if homes else _near_key(name)
        problems.add("", name, f"outside any table; {hint}", value)


def _near_key(name: str) -> str:
    """For a name outside any table: the nearest table, else the nearest key of any."""
    homes = {key: table for table, cls in TABLES.items() for key in keys_of(cls)}
    close = None if nearest(name, TABLES) else nearest(name, homes)
    return f"did you mean {close}, below [{homes[close]}]?" if close else near(name, TABLES)


def _read_stream(values: dict[str, Any], problems: Problems) -> StreamConfig:
    if "frame_samples" in values:
        if "frame_ms" in values:
            problems.add("stream", "frame_samples", "give frame_ms or frame_samples, not both", values["frame_samples"])
        values["frame_ms"] = None
    return StreamConfig(**values)


def _check_replay(config: Config, problems: Problems) -> None:
    file = config.replay.file
    if file is not None and config.board.kind != "sim":
        text = 'a recording is played through the emulated chip: [board] kind = "sim"'
        problems.add("replay", "file", text, file)


def _check_own_clocks(config: Config, problems: Problems) -> None:
    sim, n_chips = config.sim, len(config.board.chips)
    spread = sim.clock_spread_ppm
    if config.board.clocks == "shared":
        if spread:
            problems.add(
                "sim", "clock_spread_ppm", 'chips with one clock cannot differ; [board] clocks = "own"', spread
            )
        return
    if config.replay.file is not None:
        text = 'a recording has one clock; [board] clocks = "own" plays none'
        problems.add("replay", "file", text, config.replay.file)
    if config.board.kind == "sim" and sim.clock == "virtual":
        text = 'each chip with a clock of its own would have a time of its own; clocks = "own" runs in real time only'
        problems.add("sim", "clock", text, sim.clock)
    if abs(fastest := sim.fclk_ppm + (n_chips - 1) * spread) > MAX_CLOCK_PPM:
        text = f"makes chip {n_chips} wrong by {fastest:g} ppm; the chips' range is ±{MAX_CLOCK_PPM:g}"
        problems.add("sim", "clock_spread_ppm", text, spread)


def _check_frame(config: Config, problems: Problems) -> None:
    length, rate = config.samples_per_frame, config.board.rate_sps
    if length > MAX_FRAME_SAMPLES:
        most = f"{MAX_FRAME_SAMPLES}, {MAX_FRAME_SAMPLES * 1000 / rate:g} ms"
        text = f"{length} samples at {rate} SPS; a frame holds at most {most} at this rate"
        problems.add("stream", "frame_ms", text, config.stream.frame_ms)


def effective_toml(config: Config) -> str:
    """The whole configuration as a file that reads back to an equal one."""
    lines = []
    for table in TABLES:
        lines += table_lines(getattr(config, table), f"[{table}]")
        if table == "montage":
            for channel in config.montage.channels:
                lines += ["", *table_lines(channel, "[[montage.channel]]")]
        if table == "plugins":
            for name, params in config.plugins.params.items():
                lines += ["", f"[plugins.{name}]"]
                lines += [f"{param} = {toml_value(value)}" for param, value in params.items()]
        if table == "stream":
            for rows, (field, _, _) in ROWS.items():
                for row in getattr(config, field):
                    lines += ["", *table_lines(row, f"[[{rows}]]")]
        lines.append("")
    return "\n".join(lines)


def tree_of(config: Config) -> dict[str, Any]:
    """What effective_toml would read back as, for a changed configuration to be checked like a file."""
    tree: dict[str, Any] = {table: _values(getattr(config, table)) for table in TABLES}
    tree["montage"]["channel"] = [_values(channel) for channel in config.montage.channels]
    for rows, (name, _, _) in ROWS.items():
        tree[rows] = [_values(row) for row in getattr(config, name)]
    tree["plugins"].update({name: dict(params) for name, params in config.plugins.params.items()})
    return tree


def _values(table: Any) -> dict[str, Any]:
    values = {name: getattr(table, name) for name in keys_of(type(table))}
    return {name: value for name, value in values.items() if value is not None}


def rebuilt(config: Config, tree: dict[str, Any], given: Mapping[str, object]) -> Config:
    """What a changed tree of this configuration makes; `given` is what came from the command line."""
    built, problems = _build(tree, config.path or DEFAULTS_NAME, dict.fromkeys(given, COMMAND_LINE))
    problems.stop()
    return dataclasses.replace(built, path=config.path, base=config.base)
