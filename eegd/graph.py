"""The graph of plugins: who reads whose stream. What cannot work is found by names alone, before anything starts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from eegd.near import meant

__all__ = ["graph_problems", "readers_of"]


def graph_problems(inputs: Mapping[str, str], others: Collection[str]) -> dict[str, str]:
    """What is wrong, by plugin; nothing where the graph is sound.

    inputs: the stream that each plugin reads; a plugin's own stream has its name. others: streams that exist, or will,
    without these plugins.
    """
    problems = {}
    for name, stream in inputs.items():
        if stream not in inputs and stream not in others:
            there = sorted({*inputs, *others} - {name})
            hint = meant(stream, there)
            problems[name] = f"plugin {name!r}: its input {stream!r} is no stream{hint}; there are: {', '.join(there)}"
        elif circle := _circle_from(name, inputs):
            problems[name] = _circle_text(name, circle)
    return problems


def _circle_from(name: str, inputs: Mapping[str, str]) -> list[str]:
    """The plugins from this one along the inputs back to itself; empty where that does not happen."""
    path = [name]
    while (stream := inputs.get(path[-1])) is not None:
        if stream == name:
            return path
        if stream in path:  # into a circle that it is not part of: those in it are named, and it waits for them
            return []
        path.append(stream)
    return []


def _circle_text(name: str, circle: list[str]) -> str:
    if len(circle) == 1:
        return f"plugin {name!r}: reads its own stream"
    return f"plugin {name!r}: the inputs make a circle: {' reads '.join([*circle, name])}"


def readers_of(name: str, inputs: Mapping[str, str]) -> list[str]:
    """The plugins that read this one's stream."""
    return [reader for reader, stream in inputs.items() if stream == name]
