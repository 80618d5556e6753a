"""The doctor's report as a table that fits the terminal. Needs rich: call `need_rich` before importing this."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eegd.doctor.check import Level, Result
from eegd.doctor.report import summary

__all__ = ["report_view"]

STYLES = {Level.OK: "green", Level.NOTE: "dim", Level.WARN: "yellow", Level.RED: "bold red"}
TITLES = {"system": "this computer", "service": "the running daemon", "board": "the board"}


def report_view(results: Sequence[Result], remarks: Sequence[str]) -> RenderableType:
    parts: list[RenderableType] = []
    for group, title in TITLES.items():
        rows = [result for result in results if result.group == group]
        if rows:
            parts += [Text(title, style="bold"), _table(rows), Text()]
    parts += [Text(remark, style="yellow") for remark in remarks]
    worst = next((level for level in reversed(Level) if any(result.level is level for result in results)), Level.OK)
    parts.append(Text(summary(results), style=STYLES[worst]))
    return Group(*parts)


def _table(rows: Sequence[Result]) -> Table:
    """Level, check, and what there is to say, folded into what the terminal leaves."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, width=5)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for result in rows:
        style = STYLES[result.level]
        said = Text(result.found)
        if result.why:
            said.append(f"\n{result.why}", style="dim")
        if result.mend:
            said.append("\n→ ", style=style).append(result.mend, style="bold")
        if result.changed:
            said.append(f"\n{result.changed}", style="green" if result.level is Level.OK else style)
        table.add_row(Text(f" {result.level.value}", style=style), result.check, said)
    return table
