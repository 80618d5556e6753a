"""docs/events.md has every kind of event that the daemon makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eegd.capture import EVENT_KINDS
from eegd.event_kinds import DAEMON_KINDS

DOCUMENT = Path(__file__).parents[2] / "docs" / "events.md"


def documented() -> set[str]:
    rows = [line.split("|")[1] for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return {kind for row in rows for kind in re.findall(r"`([a-z ]+)`", row)}


@pytest.mark.parametrize("kind", sorted(DAEMON_KINDS))
def test_every_kind_of_the_daemon_has_its_row(kind: str) -> None:
    assert kind in documented()


def test_every_kind_of_the_capture_thread_is_the_daemons_or_one_that_programs_may_post() -> None:
    told = set(EVENT_KINDS.values()) - {"considered"}
    assert told - DAEMON_KINDS == {"detection", "marker"}
