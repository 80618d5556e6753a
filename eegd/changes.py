"""Changes to a configuration: made by words of a command line, and sorted by what they cost."""

from __future__ import annotations

from collections.abc import Mapping

from eegd.config import TABLES, BoardConfig, Config, StreamConfig, override, rebuilt, tree_of
from eegd.detector_config import detector_changes
from eegd.montage import CHANNEL_KEYS, channel_changes
from eegd.schema import LIVE, RECONFIGURE, RESTART, Key, Problems, keys_of, near, parse_text

__all__ = ["classify_changes", "with_board", "with_channel"]

ALIASES = {"rate": "rate_sps"}


def with_board(config: Config, changes: Mapping[str, object]) -> Config:
    """A copy with keys of [board], or the frame length, changed as by `eegctl board rate=500`."""
    tree = tree_of(config)
    keys = {name: rule for name, rule in keys_of(BoardConfig).items() if rule.change == RECONFIGURE}
    frame = {name: keys_of(StreamConfig)[name] for name in ("frame_ms", "frame_samples")}
    given = {}
    problems = Problems("command line")
    for word, text in changes.items():
        name = ALIASES.get(word, word)
        if name in keys_of(BoardConfig) and name not in keys:
            problems.add("board", name, "can only be changed in the file", text)
            continue
        table = "stream" if name in frame else "board"
        if name not in keys and name not in frame:
            problems.add(table, name, f"unknown key; {near(name, [*ALIASES, *keys, *frame])}", text)
            continue
        given[f"{table}.{name}"] = _parse_word({**keys, **frame}, table, name, text, problems)
    problems.stop()
    override(tree, given)
    return rebuilt(config, tree, given)


def with_channel(config: Config, label: str, changes: Mapping[str, object]) -> Config:
    """A copy with one channel changed as by `eegctl channel Oz gain=12 bad=yes`."""
    tree = tree_of(config)
    rows = {row["label"]: row for row in tree["montage"]["channel"]}
    problems = Problems("command line")
    table = f"montage.channel {label}"
    if label not in rows:
        problems.add("montage", "", f"no channel {label!r}; {near(label, rows)}")
        problems.stop()
    row = rows[label]
    parsed = {name: _parse_word(CHANNEL_KEYS, table, name, text, problems) for name, text in changes.items()}
    problems.stop()
    for side in ("p", "n"):  # an electrode named after the channel is renamed with it
        if row[side] == label and "label" in parsed:
            row[side] = parsed["label"]
    row.update(parsed)
    overridden = {f"montage.channel {row['label']}.{name}": value for name, value in parsed.items()}
    return rebuilt(config, tree, overridden)


def _parse_word(keys: Mapping[str, Key], table: str, name: str, text: object, problems: Problems) -> object:
    if name not in keys:
        problems.add(table, name, f"unknown key; {near(name, keys)}", text)
        return None
    try:
        return parse_text(keys[name], text)
    except ValueError as error:
        problems.add(table, name, str(error), text)
        return None


def classify_changes(old: Config, new: Config) -> tuple[list[str], list[str], list[str]]:
    """Changed keys as (live, reconfigure, restart): at once, by stopping the chips, by a new process."""
    found = _changes(old, new)
    live, reconfigure, restart = ([n for n, cost in found if cost == c] for c in (LIVE, RECONFIGURE, RESTART))
    return live, reconfigure, restart


def _changes(old: Config, new: Config) -> list[tuple[str, str]]:
    changes = []
    for table, cls in TABLES.items():
        was, now = getattr(old, table), getattr(new, table)
        changes += [
            (f"{table}.{name}", rule.change)
            for name, rule in keys_of(cls).items()
            if getattr(was, name) != getattr(now, name)
        ]
        if table == "montage":
            changes += channel_changes(was, now)
    changes += detector_changes(old, new)
    before, after = old.plugins.params, new.plugins.params
    for plugin in sorted(before.keys() | after.keys()):
        old_params, new_params = before.get(plugin, {}), after.get(plugin, {})
        changes += [
            (f"plugins.{plugin}.{name}", LIVE)
            for name in sorted(old_params.keys() | new_params.keys())
            if name not in old_params or name not in new_params or old_params[name] != new_params[name]
        ]
    return changes
