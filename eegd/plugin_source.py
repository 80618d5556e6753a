"""Where plugins come from: finds them by name without importing any, and loads one with the reason where it cannot."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from eegd.errors import PluginError
from eegd.near import meant
from eegd.plugin import Plugin

__all__ = ["PLUGIN_NAME", "PluginSource", "find_plugins", "load_plugin"]

PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
NAME_SAYS = "small letters, digits, _ and -"
ENTRY_POINTS = "eegd.plugins"
INCLUDED = "eegd_plugins"
LONGEST_SHOWN = 200
"""Characters of a line of a file in a message."""


@dataclass(frozen=True, slots=True)
class PluginSource:
    """Where a plugin comes from."""

    name: str
    origin: str
    """`directory`, `included` (comes with eegd), or `entry point`."""
    location: str
    """The file, or what the entry point names."""


def find_plugins(dirs: Iterable[str | Path] = ()) -> dict[str, PluginSource]:
    """All plugins by name, without importing any. Where names collide the first one counts: directories in the order
    given, then those that come with eegd, then entry points of installed packages."""
    found: dict[str, PluginSource] = {}
    places = [("directory", Path(path).expanduser()) for path in dirs]
    spec = importlib.util.find_spec(INCLUDED)
    if spec is not None:
        places += [("included", Path(path)) for path in spec.submodule_search_locations or ()]
    for origin, directory in places:
        for path in sorted(directory.glob("*.py")):
            if PLUGIN_NAME.fullmatch(path.stem):
                found.setdefault(path.stem, PluginSource(path.stem, origin, str(path.absolute())))
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if PLUGIN_NAME.fullmatch(point.name):
            found.setdefault(point.name, PluginSource(point.name, "entry point", point.value))
    return found


def load_plugin(name: str, dirs: Iterable[str | Path] = ()) -> type[Plugin]:
    """Imports a plugin and returns its class, named as it was asked for.

    Raises PluginError with name, file and reason; whatever the file itself raises becomes one.
    """
    looked = [str(path) for path in dirs]
    found = find_plugins(looked)
    source = found.get(name)
    if source is None:
        raise PluginError(_not_found(name, found, looked))
    plugin = _from_entry_point(source) if source.origin == "entry point" else _from_file(source)
    if missing := _missing_in(plugin):
        raise PluginError(f"plugin {name!r} ({source.location}): {missing}")
    plugin.name = name
    return plugin


def _not_found(name: str, found: Iterable[str], dirs: list[str]) -> str:
    """Which plugins there are, and what keeps this one from being among them, or where it was looked for."""
    hint, there = meant(name, found), ", ".join(sorted(found)) or "none"
    places = [Path(path).expanduser() for path in dirs]
    why = [f"{place} is no directory" for place in places if not place.is_dir()]
    path = Path(name)
    if path.suffix == ".py" or len(path.parts) > 1:
        where = "" if path.parent in (Path(), *places) else f", its directory by --plugin-dir {path.parent}"
        why.append(f"a plugin is named without directory and .py: {path.stem}{where}")
    is_file_name = path.name == name and len(name) < LONGEST_SHOWN and not PLUGIN_NAME.fullmatch(name)
    odd = [place / f"{name}.py" for place in places if is_file_name]
    why += [f"{file} has no plugin's name, which is {NAME_SAYS}" for file in odd if file.is_file()]
    if not why and not (hint and dirs):
        also = "".join(f", {place}" for place in dirs) or "; a directory of yours: --plugin-dir, or dirs in [plugins]"
        why.append(f"looked among those that come with eegd and in installed packages{also}")
        why += [f"a plugin's file is named in {NAME_SAYS}"] if dirs else []
    return f"no plugin {name!r}{hint}; there are: {there}{' (' + '; '.join(why) + ')' if why else ''}"


def _missing_in(plugin: type[Plugin]) -> str:
    """What it must write and has not; empty where nothing is missing."""
    if plugin.process is Plugin.process and plugin.process_inplace is Plugin.process_inplace:
        return f"{plugin.__name__} has no process(self, frame, out)"
    if plugin.kind == "features" and plugin.outputs is Plugin.outputs:
        return f"{plugin.__name__} is of kind features and has no outputs(self, info) that names them"
    return ""


def _from_file(source: PluginSource) -> type[Plugin]:
    module_name = f"{INCLUDED}.{source.name}" if source.origin == "included" else f"eegd_plugin_{source.name}"
    spec = importlib.util.spec_from_file_location(module_name, source.location)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(module_name, None)
        raise PluginError(_not_loaded(error, source)) from error
    return _class_in(module, source)


def _from_entry_point(source: PluginSource) -> type[Plugin]:
    point = next(iter(importlib.metadata.entry_points(group=ENTRY_POINTS, name=source.name)))
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(_not_loaded(error, source)) from error
    if isinstance(loaded, ModuleType):
        return _class_in(loaded, source)
    if isinstance(loaded, type) and issubclass(loaded, Plugin):
        return loaded
    raise PluginError(
        f"plugin {source.name!r} ({source.location}): the entry point names {loaded!r:.80}, not a Plugin class"
    )


def _class_in(module: ModuleType, source: PluginSource) -> type[Plugin]:
    """The one plugin class that the module itself defines; of several, the one named like the plugin."""
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == module.__name__
    ]
    wanted = re.sub("[_-]", "", source.name)
    named = [cls for cls in classes if cls.__name__.lower() == wanted]
    if len(classes) == 1 or len(named) == 1:
        return (named or classes)[0]
    names = ", ".join(cls.__name__ for cls in classes)
    reason = f"several plugin classes ({names}), none named like it" if classes else "no subclass of Plugin in it"
    raise PluginError(f"plugin {source.name!r} ({source.location}): {reason}")


def _not_loaded(error: BaseException, source: PluginSource) -> str:
    """What happened and where: file and line, and of a syntax error the line itself, with a mark below the place."""
    if isinstance(error, RuntimeError) and "__set_name__" in str(error) and error.__cause__ is not None:
        # Until 3.11, Python wraps what a bad Param raises, and says nothing of it.
        error = error.__cause__.with_traceback(error.__traceback__)
    if isinstance(error, SyntaxError) and error.lineno is not None:
        where = f"{error.filename or source.location}:{error.lineno}"
        return f"plugin {source.name!r} ({where}): {type(error).__name__}: {error.msg}{_marked(error)}"
    lines = [entry.lineno for entry in traceback.extract_tb(error.__traceback__) if entry.filename == source.location]
    where = f"{source.location}:{lines[-1]}" if lines else source.location
    return f"plugin {source.name!r} ({where}): {type(error).__name__}: {error}"


def _marked(error: SyntaxError) -> str:
    """The line and the mark, as two more lines, indented; empty where the line is not to be had."""
    line = (error.text or "").rstrip()
    start = (error.offset or 1) - 1
    if not line.strip() or not 0 <= start <= len(line) or len(line) > LONGEST_SHOWN:
        return ""
    end = error.end_offset if error.end_lineno == error.lineno and error.end_offset else 0
    shown = "".join(char if char.isprintable() else " " for char in line)
    mark = " " * start + "^" * max(1, min(end - 1, len(line)) - start)
    n_indent = min(len(shown) - len(shown.lstrip()), start)
    return f"\n    {shown[n_indent:]}\n    {mark[n_indent:]}"
