"""Where log lines go: to systemd's journal, with fields, where standard error is the journal; else to standard error.

A line's own fields are given as `extra={"EEGD_LOST": 3}`: names in capitals. The journal adds code file, line and
function, logger, thread and priority.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

__all__ = ["log_to_journal", "start_logging", "stderr_is_journal"]


def stderr_is_journal() -> bool:
    """JOURNAL_STREAM names device and inode of the stream that the service manager opened; a child whose standard
    error goes elsewhere has inherited the variable alone (systemd.exec(5))."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def _send(message: str, /, **fields: Any) -> None:
    """Only names in capitals: the handler hands on every attribute of the record, and the journal refuses the rest."""
    from systemd import journal

    journal.send(message, **{name: value for name, value in fields.items() if name.isupper()})


def log_to_journal(identifier: str) -> bool:
    """False where standard error is not the journal, or systemd-python is not installed; nothing is changed then."""
    if not stderr_is_journal():
        return False
    try:
        from systemd.journal import JournalHandler
    except ImportError:
        return False
    handler: logging.Handler = JournalHandler(sender_function=_send, SYSLOG_IDENTIFIER=identifier)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    return True


def start_logging(identifier: str) -> None:
    """To the journal or to standard error; the latter with times, except where the journal adds them."""
    if not log_to_journal(identifier):
        time = "" if stderr_is_journal() else "%(asctime)s "
        logging.basicConfig(stream=sys.stderr, format=f"{time}%(levelname)s %(name)s: %(message)s")
