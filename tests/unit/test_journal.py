"""Log lines in systemd's journal: when, and with which fields."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

from eegd import journal
from eegd.journal import log_to_journal, stderr_is_journal

handlers = pytest.importorskip("systemd.journal", reason="systemd-python is not installed")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, with the handlers that it had put back afterwards."""
    logger = logging.getLogger()
    before = list(logger.handlers)
    yield logger
    logger.handlers[:] = before


@pytest.fixture
def journal_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the service manager had connected our standard error to its journal."""
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")


@pytest.mark.parametrize("text", ["", "1:2", "x", ":", "1", "-1:-1"])
def test_a_journal_stream_that_is_not_our_stderr_is_somebody_else_s(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", text)
    assert not stderr_is_journal()
    assert not log_to_journal("eegd")


@pytest.mark.usefixtures("journal_stream")
def test_a_line_has_its_own_fields_and_where_it_was_written(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(handlers, "send", lambda message, /, **fields: sent.append((message, fields)))
    assert log_to_journal("eegd")
    logging.getLogger("eegd.losses").warning("%d samples lost", 3, extra={"EEGD_LOST": 3, "EEGD_CAUSE": "missed"})
    [(message, fields)] = sent
    assert message == "eegd.losses: 3 samples lost"
    assert fields["EEGD_LOST"] == 3
    assert fields["EEGD_CAUSE"] == "missed"
    assert fields["SYSLOG_IDENTIFIER"] == "eegd"
    assert fields["PRIORITY"] == "4"
    assert fields["CODE_FUNC"] == "test_a_line_has_its_own_fields_and_where_it_was_written"
    assert all(name == name.upper() for name in fields)


@pytest.mark.usefixtures("journal_stream")
def test_without_systemd_python_lines_go_to_stderr_without_a_time(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "systemd.journal", None)
    root.handlers.clear()
    journal.start_logging("eegd")
    [handler] = root.handlers
    record = logging.LogRecord("eegd.x", logging.INFO, __file__, 1, "text", None, None)
    assert handler.format(record) == "INFO eegd.x: text"
