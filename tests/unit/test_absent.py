"""What is said of a plugin that cannot be asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from eegd.absent import why_absent
from eegd.client import Client
from eegd.errors import EegdError
from eegd.remote_params import ask_params


def with_row(monkeypatch: pytest.MonkeyPatch, **row: Any) -> None:
    """A daemon that has this plugin."""
    status = {"status": {"plugins": [{"name": "another", "state": "running"}, {"name": "smooth", **row}]}}
    monkeypatch.setattr(Client, "ask", lambda *_: status)


def test_a_held_one_is_told_with_time_reason_and_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_row(monkeypatch, state="held", state_s=12.4, last_error="SIGSEGV, without a word", refused=False)
    text = r"plugin 'smooth' is held since \d\d:\d\d:\d\d \(12 s\): SIGSEGV, without a word; "
    text += "`eegctl plugin restart smooth` starts it again"
    assert re.fullmatch(text, why_absent(tmp_path, "smooth"))
    with pytest.raises(EegdError, match=text):
        ask_params(tmp_path, "smooth")


def test_one_that_does_not_fit_has_to_be_mended_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_row(monkeypatch, state="held", state_s=1.0, last_error="its input 'x' is no stream", refused=True)
    assert why_absent(tmp_path, "smooth").endswith("starts it again once that is mended")


def test_one_that_waits_for_its_next_try_says_how_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_row(monkeypatch, state="restarting", restart_in_s=1.9, restarts=2, last_error="SIGABRT; it was at a.py:7")
    assert why_absent(tmp_path, "smooth") == (
        "plugin 'smooth' has died: SIGABRT; it was at a.py:7; it is started again in 1.9 s, after 2 restarts"
    )


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("ended", r"plugin 'smooth' has ended in order since .*; `eegctl plugin restart smooth` starts it again"),
        ("starting", r"plugin 'smooth' is starting since .*, and its stream is not there; try again in a moment"),
    ],
)
def test_any_other_state_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str, text: str
) -> None:
    with_row(monkeypatch, state=state, state_s=3.0, last_error="")
    assert re.fullmatch(text, why_absent(tmp_path, "smooth"))


def test_one_that_nobody_knows_and_one_without_a_daemon_is_not_here(tmp_path: Path) -> None:
    assert why_absent(tmp_path, "smooth") == "no plugin 'smooth' runs here; there are the streams none"
