"""Lines of a plugin's process on their way into the daemon's log."""

from __future__ import annotations

import logging

import pytest

from eegd.plugin_log import LINES_PER_S, PluginLog, without_name


@pytest.fixture
def errors() -> list[str]:
    return []


@pytest.fixture
def plugin(errors: list[str]) -> PluginLog:
    return PluginLog("smooth", errors.append)


def test_levels_and_the_frame_that_was_skipped_are_kept(
    plugin: PluginLog, errors: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    plugin.hear("ERROR: smooth: frame 41 of raw skipped: ValueError: no")
    plugin.hear("ERROR| Traceback")
    plugin.hear("printed")
    assert [(record.levelname, record.name) for record in caplog.records] == [
        ("ERROR", "eegd.plugin.smooth"),
        ("ERROR", "eegd.plugin.smooth"),
        ("INFO", "eegd.plugin.smooth"),
    ]
    assert caplog.records[0].EEGD_FRAME == "41"  # type: ignore[attr-defined]
    assert errors == ["frame 41 of raw skipped: ValueError: no"]


def test_what_a_terminal_would_obey_is_shown_instead(
    plugin: PluginLog, errors: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    plugin.hear("ERROR: \x1b[2Jgone")
    assert caplog.records[0].getMessage() == r"\x1b[2Jgone"
    assert errors == ["\ufffd[2Jgone"]


def test_a_flood_is_counted_and_errors_are_heard_in_it(
    plugin: PluginLog, errors: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eegd.flow.time.monotonic", lambda: 1.0)
    caplog.set_level(logging.INFO)
    for number in range(LINES_PER_S + 3):
        plugin.hear(f"line {number}")
    plugin.hear("ERROR: the last one")
    plugin.tell_stopped()
    assert len(caplog.records) == LINES_PER_S + 1
    assert caplog.records[-1].getMessage() == "plugin smooth: 4 lines not shown, of more than 500 a second"
    assert errors == ["the last one"]


def test_a_name_is_left_out_where_it_stands_beside(plugin: PluginLog) -> None:
    assert without_name("smooth", "plugin 'smooth': smooth: no such file") == "no such file"
    assert without_name("smooth", "plugin 'other': no") == "plugin 'other': no"
