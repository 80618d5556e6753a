"""The plugins of a configuration, before a daemon runs them: unknown ones, bad parameters, circles, needs not met."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eegd.graph import graph_problems
from eegd.near import meant
from eegd.needs import unmet_needs
from eegd.plugin_check import Checked, check_plugins
from eegd.plugin_command import plugin_command
from eegd.runtime_dir import DAEMON
from eegd.schema import MISSING, Problems, show_name
from eegd.settings import PLUGIN, PluginsConfig

__all__ = ["check_planned_plugins"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a stream before there is one; None where it is not."""

    kind: str
    rate_sps: float | None
    labels: Sequence[str] | None


async def check_planned_plugins(
    settings: PluginsConfig,
    raw_streams: Sequence[str],
    rates: Mapping[str, float],
    labels: Mapping[str, Sequence[str]],
    problems: Problems,
) -> list[str]:
    """Adds what would hold a plugin of `run`. Returns warnings: the same of plugins that only have a table, which this
    daemon does not start.

    rates, labels: of raw streams, as far as they are known. What a plugin finds only when it starts is not found here.
    """
    warnings = Problems(problems.name)
    for path in settings.dirs:
        if not Path(path).expanduser().is_dir():
            warnings.add("plugins", "dirs", "no directory; plugins in it cannot be found", path)
    for name in settings.run:
        if name in raw_streams:
            problems.add("plugins", "run", f"{name} is the name of a raw stream, and a plugin's stream needs its own")
    names = [name for name in dict.fromkeys([*settings.run, *settings.params]) if re.fullmatch(PLUGIN, name)]
    names = [name for name in names if name not in (*raw_streams, DAEMON)]
    names = [
        name for name in names if problems.sound(*(f"plugins.{name}.{key}" for key in ("plugin", "chain", "input")))
    ]
    # What is wrong by itself is told already; the rest of the table can still be judged.
    tables = {
        name: {key: value for key, value in table.items() if problems.sound(f"plugins.{name}.{key}")}
        for name, table in settings.params.items()
    }
    settings = replace(settings, params=tables)
    found = await check_plugins({name: plugin_command(settings, name) for name in names}) if names else {}
    inputs = {name: found[name].input for name in settings.run if name in found and found[name].input}
    graph = graph_problems(inputs, {*raw_streams, *settings.params, *settings.run})
    raw = {name: Expected("raw", rates.get(name), labels.get(name)) for name in raw_streams}
    for name, checked in found.items():
        sink = problems if name in settings.run else warnings
        table = settings.params.get(name, {})
        if checked.error:
            _tell_error(name, checked, table, sink)
        if name in graph:
            text = graph[name].removeprefix(f"plugin {name!r}: ")
            sink.add(f"plugins.{name}", "input", text, table.get("input", MISSING))
        elif checked.kind and (stream := _expected(checked.input, found, graph, raw)) is not None:
            _check_input(name, checked, stream, table, sink)
    return warnings.lines


def _tell_error(name: str, checked: Checked, table: Mapping[str, object], sink: Problems) -> None:
    """Which key of the file it is about."""
    where = f"plugins.{name}"
    for key, text in checked.problems.items():
        if key in table and not text.startswith(f"{key} = "):
            sink.add(where, key, text, table[key])
        else:
            sink.relay(f"[{show_name(where)}] {text}")
    if checked.problems:
        return
    text = checked.error.removeprefix(f"plugin {name!r}: ")
    key = next((key for key in ("input", "chain", "plugin") if key in table and _is_about(key, text)), "")
    if key:
        sink.add(where, key, text, table[key])
    elif table:
        sink.add(where, "", text)
    else:
        sink.add("plugins", "run", text)


def _is_about(key: str, text: str) -> bool:
    starts = {"input": ("stream name", "reads its own stream"), "chain": ("chain ", "no plugin "), "plugin": ("",)}
    return text.startswith(starts[key])


def _expected(
    stream: str, found: Mapping[str, Checked], graph: Mapping[str, str], raw: Mapping[str, Expected]
) -> Expected | None:
    """None for a stream of which nothing is known."""
    if stream in raw:
        return raw[stream]
    checked = found.get(stream)
    if checked is None or not checked.kind or stream in graph:
        return None
    source = _expected(checked.input, found, graph, raw)
    is_known = source is not None and checked.kind == "filtered"
    return Expected(
        checked.kind,
        source.rate_sps if source is not None and is_known else None,
        source.labels if source is not None and checked.is_like_input else None,
    )


def _check_input(name: str, checked: Checked, stream: Expected, table: Mapping[str, object], sink: Problems) -> None:
    """Needs, and channels that parameters select."""
    n_channels = None if stream.labels is None else len(stream.labels)
    if unmet := unmet_needs(checked.needs, checked.input, stream.kind, stream.rate_sps, n_channels):
        sink.add(f"plugins.{name}", "input", f"it needs {'; '.join(unmet)}", table.get("input", MISSING))
    for param, selected in checked.channels.items() if stream.labels is not None else ():
        labels = stream.labels or ()
        unknown = [label for label in selected if label not in labels]
        if unknown:
            text = (
                f"no channel {', '.join(unknown)}{meant(unknown[0], labels)}; {checked.input} has {', '.join(labels)}"
            )
            sink.add(f"plugins.{name}", param, text, table.get(param, MISSING))
