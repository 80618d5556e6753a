"""Where candidates of completion come from: installed plugins, configuration keys, boards, and a daemon, if one runs.

Nothing here waits for long, or fails: what cannot be asked has no candidates.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from eegd.cli.plugin_dirs import daemon_dirs
from eegd.errors import EegdError

if TYPE_CHECKING:
    from eegd.client import Client

__all__ = [
    "Candidate",
    "Given",
    "added_params",
    "board_settings",
    "boards",
    "chain_stages",
    "channel_list",
    "channel_settings",
    "channels",
    "inputs",
    "installed",
    "own_params",
    "param_names",
    "running",
    "running_params",
    "settable",
    "streams",
]

ANSWER_S = 0.5
SERVICE_FILE = "/etc/eegd/eegd.toml"
BOOLS = ("true", "false")

Given: TypeAlias = "dict[str, list[str]]"
"""Words before the cursor, by the dest of their argument."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that may stand at the cursor."""

    text: str
    """The whole word; one that ends in = or , goes on."""
    doc: str = ""


# ---- a daemon ----


@contextlib.contextmanager
def _daemon(given: Given) -> Iterator[Client | None]:
    """The one that is meant, or None."""
    from eegd.client import connect

    client = None
    with contextlib.suppress(EegdError, OSError):
        client = connect(next(iter(given.get("runtime_dir", [])), None))
    try:
        yield client
    finally:
        if client is not None:
            client.close()


def _asked(given: Given, operation: str) -> dict[str, Any]:
    with _daemon(given) as client, contextlib.suppress(EegdError, OSError):
        if client is not None:
            return client.ask(operation, ANSWER_S)
    return {}


def streams(given: Given, current: str) -> list[Candidate]:
    with _daemon(given) as client, contextlib.suppress(EegdError, OSError):
        if client is not None:
            return [Candidate(name, "stream") for name in client.streams()]
    return []


def running(given: Given, current: str) -> list[Candidate]:
    rows = _asked(given, "status").get("status", {}).get("plugins", [])
    return [Candidate(str(row["name"]), str(row["state"])) for row in rows]


def settable(given: Given, current: str) -> list[Candidate]:
    """Every plugin whose parameters can be asked for: the daemon's, and those that systemd or somebody runs."""
    status = _asked(given, "status").get("status", {})
    states = {str(row["name"]): str(row["state"]) for row in status.get("plugins", [])}
    raw = {str(row["name"]) for row in status.get("streams", [])}
    others = [stream for stream in streams(given, "") if stream.text not in {*states, *raw}]
    return [Candidate(name, state) for name, state in states.items()] + [
        Candidate(stream.text, "not run by the daemon") for stream in others
    ]


def inputs(given: Given, current: str) -> list[Candidate]:
    """Streams that a plugin may read: not its own."""
    own = own_stream(given)
    return [stream for stream in streams(given, "") if stream.text != own]


def own_stream(given: Given) -> str:
    """The name that the plugin of this line, and so its stream, will have."""
    named = [word[3:] for word in given["words"] if word.startswith(("as=", "as:"))]
    return next(iter([*named, *given["name"]]), "")


def _channel_rows(given: Given) -> list[Mapping[str, Any]]:
    """Of `raw`: the daemon's, or else those of the system's configuration."""
    described = _asked(given, "info").get("stream", {}).get("channels")
    if described is not None:
        return list(described)
    from eegd.config import load_config

    with contextlib.suppress(EegdError, OSError):
        return [
            {"label": channel.label, "type": channel.type} for channel in load_config(SERVICE_FILE).montage.channels
        ]
    return []


def channels(given: Given, current: str) -> list[Candidate]:
    return [Candidate(str(row["label"]), str(row.get("type", "channel"))) for row in _channel_rows(given)]


def channel_list(given: Given, current: str) -> list[Candidate]:
    """Labels with commas between them, each only once."""
    return _lists("", current, channels(given, current))


def _lists(before: str, current: str, items: Iterable[Candidate]) -> list[Candidate]:
    head, comma, _ = current.rpartition(",")
    taken = head.split(",")
    return [Candidate(f"{before}{head}{comma}{item.text}", item.doc) for item in items if item.text not in taken]


# ---- installed things ----


def boards(given: Given, current: str) -> list[Candidate]:
    from eegd.boards import board_names, board_summary

    return [Candidate(name, board_summary(name)) for name in board_names()]


def installed(given: Given, current: str) -> list[Candidate]:
    from eegd.plugin_source import find_plugins

    return [Candidate(name, _summary(name, given)) for name in sorted(find_plugins(_dirs(given)))]


def _dirs(given: Given) -> list[str]:
    """Where plugins are looked for: what the line says, and where a daemon that runs looks."""
    if "daemon_dirs" not in given:
        given["daemon_dirs"] = []
        with _daemon(given) as client, contextlib.suppress(EegdError, OSError):
            if client is not None:
                given["daemon_dirs"] = daemon_dirs(client.directory, client.ask("status", ANSWER_S)["status"])
    return [*given.get("plugin_dir", []), *given["daemon_dirs"]]


def _summary(name: str, given: Given) -> str:
    facts = _facts(name, given)
    return str(facts.get("summary", "")) or str(facts.get("error", ""))


def _facts(name: str, given: Given) -> dict[str, Any]:
    from eegd.cli.plugin_help import plugin_facts
    from eegd.plugin_source import find_plugins, load_plugin

    dirs = _dirs(given)
    source = find_plugins(dirs).get(name)
    if source is None:
        return {}
    try:
        return plugin_facts(source, load_plugin(name, dirs))
    except EegdError as error:
        return {"error": f"cannot be loaded: {error}"}


# ---- parameters of plugins ----


def added_params(given: Given, current: str) -> list[Candidate]:
    """For `eegctl plugin add NAME …`."""
    own = {"input": "the stream to read", "as": "name of its stream, where that is not the plugin's"}
    own["chain"] = "plugins one after the other in one process, with commas between them"
    chains = [word[len("chain=") :] for word in given["words"] if word.startswith(("chain=", "chain:"))]
    return _new_params(given, given["words"], chains, current, own)


def own_params(given: Given, current: str) -> list[Candidate]:
    """For `eegd plugin NAME …`."""
    return _new_params(given, given["params"], given.get("chain", []), current, {"input": "the stream to read"})


def chain_stages(given: Given, current: str) -> list[Candidate]:
    """Plugins with commas between them; one that is there already needs a name: stage=plugin."""
    head, comma, last = current.rpartition(",")
    stage, equals, _ = last.partition("=")
    taken = {part.partition("=")[0] for part in head.split(",")} if not equals else set()
    before = f"{head}{comma}{stage if equals else ''}{equals}"
    return [
        Candidate(f"{before}{plugin.text}", plugin.doc) for plugin in installed(given, "") if plugin.text not in taken
    ]


def _stage_params(chain: str, given: Given) -> list[dict[str, Any]]:
    """The parameters of a chain's stages, under the names that they have there; none without a name goes."""
    rows = []
    for stage, _, plugin in (part.strip().partition("=") for part in chain.split(",")):
        for row in _facts(plugin or stage, given).get("parameters", []):
            rows.append({**row, "name": f"{stage}.{row['name']}", "position": None})
    return rows


def _new_params(
    given: Given, words: list[str], chains: list[str], current: str, own: Mapping[str, str]
) -> list[Candidate]:
    """What is not given yet; chains: the stages, where it is a chain; own: what is no parameter of the plugin."""
    if current.startswith("input="):
        return [Candidate(f"input={stream.text}", stream.doc) for stream in inputs(given, "")]
    if current.startswith("chain=") and "chain" in own:
        stages = chain_stages(given, current[len("chain=") :])
        return [Candidate(f"chain={stage.text}", stage.doc) for stage in stages]
    rows = _stage_params(chains[0], given) if chains else _facts(given["name"][0], given).get("parameters", [])
    found = _words(rows, {}, words, current, given)
    taken = {word.replace(":", "=").partition("=")[0] for word in words}
    return found + [Candidate(f"{key}=", doc) for key, doc in own.items() if key not in taken]


def running_params(given: Given, current: str) -> list[Candidate]:
    """For `eegctl set NAME …`: those of the running plugin, with what they are now."""
    name = given["plugin"][0]
    rows, values = _running_facts(name, given)
    return _words(rows, values, given.get("words", []), current, given)


def param_names(given: Given, current: str) -> list[Candidate]:
    rows, values = _running_facts(given["plugin"][0], given)
    return [Candidate(str(row["name"]), _described(row, values)) for row in rows]


def _running_facts(name: str, given: Given) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    """Its parameters and values; of one that does not answer, those of the installed plugin of that name."""
    from eegd.remote_params import ask_params

    with _daemon(given) as client, contextlib.suppress(EegdError, OSError):
        if client is not None:
            found = ask_params(client.directory, name)
            places = {name: place for place, name in enumerate(found.positional, 1)}
            return [{**row, "position": places.get(row["name"])} for row in found.declared], found.values
    return _facts(name, given).get("parameters", []), {}


def _words(
    rows: Iterable[Mapping[str, Any]], values: Mapping[str, Any], words: Iterable[str], current: str, given: Given
) -> list[Candidate]:
    """Values of the parameter that `current` begins to give; else the parameters that are not given yet."""
    declared = {str(row["name"]): row for row in rows}
    for sign in ("=", ":"):
        name, found, value = current.partition(sign)
        if found and name in declared:
            return _values(declared[name], f"{name}{sign}", value, given)
    taken = set()
    places = sorted((row["position"], name) for name, row in declared.items() if row.get("position"))
    for word in words:
        name = word.replace(":", "=", 1).partition("=")[0]
        free = next((name for _, name in places if name not in taken), "")
        if name in declared:
            taken.add(name)
        elif "=" not in word or declared.get(free, {}).get("kind") == "text":
            taken.add(free)  # a bare value has the next place that is free
    return [Candidate(f"{name}=", _described(row, values)) for name, row in declared.items() if name not in taken]


def _values(row: Mapping[str, Any], before: str, value: str, given: Given) -> list[Candidate]:
    if row["kind"] == "choice":
        return [Candidate(f"{before}{choice}", str(row.get("unit", ""))) for choice in row["choices"]]
    if row["kind"] == "bool":
        return [Candidate(f"{before}{word}") for word in BOOLS]
    if row["kind"] == "channels":
        every = [] if "," in value else [Candidate(f"{before}all", "every channel")]
        return every + _lists(before, value, channels(given, ""))
    return []


def _described(row: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """`float, 0.1 to 100 Hz, default 1, now 2: Lower edge`."""
    from eegd.cli.params import text_of

    parts = [str(row["kind"])]
    low, high, unit = row.get("min"), row.get("max"), str(row.get("unit") or "")
    if row.get("choices"):
        parts = [" or ".join(map(str, row["choices"])) + f" {unit}".rstrip()]
    elif row["kind"] == "text":
        parts.append(f"up to {high:g} characters")
    elif low is not None or high is not None:
        ends = (
            f"{low:g} to {high:g}" if None not in (low, high) else f"from {low:g}" if high is None else f"to {high:g}"
        )
        parts.append(f"{ends} {unit}".strip())
    elif unit:
        parts.append(unit)
    parts.append(f"default {text_of(row['default']) or 'empty'}" if "default" in row else "required")
    if row["name"] in values:
        parts.append(f"now {text_of(values[row['name']]) or 'empty'}")
    return ", ".join(parts) + (f": {row['doc']}" if row.get("doc") else "")


# ---- keys of the configuration ----


def board_settings(given: Given, current: str) -> list[Candidate]:
    from eegd.changes import ALIASES
    from eegd.config import BoardConfig, StreamConfig
    from eegd.schema import RECONFIGURE, keys_of

    keys: dict[str, Any] = {name: key for name, key in keys_of(BoardConfig).items() if key.change == RECONFIGURE}
    keys |= {name: keys_of(StreamConfig)[name] for name in ("frame_ms", "frame_samples")}
    keys = {short: keys.pop(name) for short, name in ALIASES.items()} | keys
    return _settings(keys, given["settings"], current)


def channel_settings(given: Given, current: str) -> list[Candidate]:
    from eegd.montage import CHANNEL_KEYS

    return _settings(CHANNEL_KEYS, given["settings"], current)


def _settings(keys: Mapping[str, Any], words: Iterable[str], current: str) -> list[Candidate]:
    name, equals, _ = current.partition("=")
    if equals and name in keys:
        allowed = keys[name].allowed or (BOOLS if keys[name].kind == "bool" else ())
        return [Candidate(f"{name}={value}", keys[name].unit) for value in allowed]
    taken = {word.partition("=")[0] for word in words}
    return [Candidate(f"{name}=", key.doc) for name, key in keys.items() if name not in taken]
