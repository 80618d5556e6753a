"""The [plugins] table of a configuration, and the table of each plugin below it, of which the plugin knows the rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from eegd.plugin_command import OWN_LIMITS, stages_in
from eegd.runtime_dir import DAEMON
from eegd.schema import MAX_TEXT, Problems, check_value, is_plain_value, keys_of, read_table
from eegd.settings import PARAM, PLUGIN, PLUGIN_SAYS, PluginsConfig

__all__ = ["read_plugins"]


def read_plugins(tree: object, problems: Problems) -> PluginsConfig:
    """[plugins] and the tables below it. What cannot be is added to the problems."""
    keys = keys_of(PluginsConfig)
    items = tree.items() if isinstance(tree, dict) else ()
    tables = {name: table for name, table in items if isinstance(table, dict) and name not in keys}
    values = read_table(keys, "plugins", tree, problems, elsewhere=tables)
    if DAEMON in values.get("run", ()):
        problems.add("plugins", "run", f"{DAEMON} is the name of the daemon, and a plugin's stream needs its own")
    for name, count in Counter(values.get("run", ())).items():
        if count > 1:
            problems.add("plugins", "run", f"{name} is named {count} times")
    for name, table in tables.items():
        if not re.fullmatch(PLUGIN, name):
            problems.add("plugins", name, f"no plugin's name: {PLUGIN_SAYS}")
        params = tables[name] = _flat(table) if "chain" in table else table
        for param, value in params.items():
            _check_value(name, param, value, "chain" in params, problems)
    return PluginsConfig(**values, params=tables)


def _check_value(name: str, param: str, value: object, is_chain: bool, problems: Problems) -> None:
    """One value of [plugins.NAME], as far as it can be judged without the plugin."""
    if param in OWN_LIMITS:
        try:
            check_value(keys_of(PluginsConfig)[param], value)
        except ValueError as error:
            problems.add(f"plugins.{name}", param, str(error), value)
    elif param == "plugin" and not (isinstance(value, str) and re.fullmatch(PLUGIN, value)):
        problems.add(f"plugins.{name}", param, f"a plugin's name: {PLUGIN_SAYS}", value)
    elif param == "input" and not (isinstance(value, str) and re.fullmatch(PLUGIN, value)):
        problems.add(f"plugins.{name}", param, f"the name of a stream: {PLUGIN_SAYS}", value)
    elif param == "chain" and not _is_chain(value):
        text = 'a list of plugins, each once, or stage=plugin, such as ["filter", "mains=filter"]'
        problems.add(f"plugins.{name}", param, text, value)
    elif not re.fullmatch(rf"{PARAM}(\.{PARAM})?" if is_chain else PARAM, param):
        problems.add(f"plugins.{name}", param, "no parameter's name: letters, digits, _ and -", value)
    elif not is_plain_value(value):
        text = f"a finite number, a text of at most {MAX_TEXT} characters, true, false, or a list of these"
        problems.add(f"plugins.{name}", param, text, value)


def _is_chain(value: object) -> bool:
    stages = stages_in(value) if isinstance(value, str) else value
    return (
        isinstance(stages, list)
        and bool(stages)
        and all(isinstance(stage, str) and re.fullmatch(rf"{PLUGIN}(={PLUGIN})?", stage) for stage in stages)
    )


def _flat(params: Mapping[str, object]) -> dict[str, object]:
    """The table of a chain: parameters of its stages, in tables of their own, are called `stage.parameter`."""
    flat = {name: value for name, value in params.items() if not isinstance(value, dict)}
    for stage, table in params.items():
        if isinstance(table, dict):
            flat |= {f"{stage}.{name}": value for name, value in table.items()}
    return flat
