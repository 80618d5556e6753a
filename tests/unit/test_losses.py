"""Lost samples in the log: how often, and how many."""

from __future__ import annotations

import pytest

from eegd.losses import WINDOW_S, LossLog


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_first_loss_is_told_at_once_and_those_of_a_minute_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    losses = LossLog("raw")
    losses.look({"missed": 0, "bad": 0}, 100.0)
    assert lines(caplog) == []
    losses.look({"missed": 1, "bad": 0}, 101.0)
    assert lines(caplog) == ["1 sample lost: 1 missed"]
    for second in range(1, 11):
        losses.look({"missed": 1 + second, "bad": min(second, 2)}, 101.0 + second)
    assert len(lines(caplog)) == 1
    losses.look({"missed": 11, "bad": 2}, 101.0 + WINDOW_S)
    assert lines(caplog)[1:] == ["last minute: 12 samples lost: 10 missed, 2 bad"]
    last = caplog.records[-1]
    assert (last.EEGD_STREAM, last.EEGD_LOST, last.EEGD_CAUSE) == ("raw", 12, "missed bad")  # type: ignore[attr-defined]


def test_after_a_minute_without_losses_the_next_one_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    losses = LossLog("raw")
    losses.look({"late": 2}, 0.0)
    losses.look({"late": 2}, WINDOW_S)
    losses.look({"late": 5}, WINDOW_S + 1)
    assert lines(caplog) == ["2 samples lost: 2 late", "3 samples lost: 3 late"]


def test_while_losses_go_on_there_is_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    losses = LossLog("raw")
    for second in range(int(3 * WINDOW_S) + 1):
        losses.look({"missed": second + 1}, float(second))
    assert [line.split(":")[0] for line in lines(caplog)] == ["1 sample lost", *["last minute"] * 3]


def test_at_the_end_what_was_summed_up_is_told(caplog: pytest.LogCaptureFixture) -> None:
    losses = LossLog("raw")
    losses.look({"missed": 1}, 0.0)
    losses.look({"missed": 4}, 1.0)
    losses.end()
    losses.end()
    assert lines(caplog) == ["1 sample lost: 1 missed", "since then: 3 samples lost: 3 missed"]
