"""One plugin's life, with programs in the place of its process that say and do what is wanted."""

from __future__ import annotations

import asyncio
import errno
import stat
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from eegd import supervised
from eegd.supervised import Supervised

RUNNING = """echo '{"state": "running", "frames_in": 3, "input": "raw"}'\n"""
Run = Callable[[str, float, tuple[str, ...]], tuple[Supervised, list[str]]]


class Events:
    def __init__(self) -> None:
        self.posted: list[str] = []

    def post(self, kind: str, label: str, *, value: float | None = None, source: str = "eegd", **facts: Any) -> None:
        self.posted.append(kind)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a shell script as the process until its plugin is in one of these states; returns plugin and events."""
    monkeypatch.setattr(supervised, "BACK_OFF_S", (0.0,))

    def run_until(script: str, hang_s: float, states: tuple[str, ...]) -> tuple[Supervised, list[str]]:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(program))

        async def main() -> tuple[Supervised, list[str]]:
            events = Events()
            plugin = Supervised("odd", ("odd",), events)
            plugin.hang_s = hang_s
            plugin.start()
            async with asyncio.timeout(60):
                while plugin.state not in states:
                    await asyncio.sleep(0.01)
            await plugin.end()
            assert plugin.report()["pid"] is None
            return plugin, events.posted

        work: Awaitable[tuple[Supervised, list[str]]] = main()
        return asyncio.run(work)  # type: ignore[arg-type]

    return run_until


@pytest.mark.slow
def test_one_that_hangs_each_time_is_held_although_that_takes_longer_than_the_window(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "BUDGET_WINDOW_S", 2.0)
    plugin, events = run(RUNNING + "exec sleep 1000", 1.0, ("held",))
    assert (plugin.hangs, plugin.restarts) == (6, 5)
    kinds = ("plugin started", "plugin hung", "plugin died", "plugin held")
    assert [events.count(kind) for kind in kinds] == [6, 5, 0, 1]
    assert str(plugin.report()["last_error"]).startswith("hung: no answer for 1.")


def test_one_that_does_not_heed_the_abort_is_killed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "BUDGET", 0)
    monkeypatch.setattr(supervised, "ABORT_S", 0.2)
    script = "trap '' ABRT\n" + RUNNING + "while :; do sleep 0.1; done"
    plugin, events = run(script, 0.5, ("held",))
    assert (plugin.hangs, plugin.restarts) == (1, 0)
    assert events == ["plugin started", "plugin held"]


def test_one_that_has_ended_in_order_but_lingers_is_not_started_again(run: Run) -> None:
    plugin, events = run(RUNNING + """echo '{"state": "ended"}'\nexec sleep 1000""", 0.5, ("ended", "restarting"))
    assert (plugin.hangs, plugin.restarts) == (0, 0)
    assert "plugin ended" in events


def test_an_exit_without_a_word_is_a_death(run: Run) -> None:
    plugin, _ = run(RUNNING, 0.0, ("held", "ended"))
    row = plugin.report()
    assert (row["restarts"], row["hangs"], row["last_error"]) == (5, 0, "exit code 0, without a word")
    assert row["frames_in"] == 3


def test_a_death_by_a_signal_without_a_name_is_one_like_any_other(run: Run) -> None:
    plugin, events = run(RUNNING + "kill -40 $$", 0.0, ("held",))
    assert events.count("plugin died") == 5
    assert plugin.report()["last_error"] == "signal 40, without a word"


def test_one_that_cannot_be_started_at_all_is_held_with_the_reason(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(supervised, "Child", refuse)
    plugin, _ = run("", 0.0, ("held",))
    assert plugin.report()["last_error"] == "cannot be started: Resource temporarily unavailable"
    assert caplog.records[-1].message.endswith(": cannot be started: Resource temporarily unavailable")


def test_what_is_no_report_is_passed_over(run: Run) -> None:
    script = """echo nonsense; echo '[1]'; echo '{"busy": 7, "state": 5}'\n""" + RUNNING + "exit 2"
    plugin, events = run(script, 0.0, ("held", "ended"))
    assert events == ["plugin started", "plugin held"]
    assert plugin.report()["frames_in"] == 3


def test_the_last_line_of_a_log_s_level_is_the_reason_and_a_traceback_is_not(run: Run) -> None:
    script = RUNNING + "printf 'ERROR: no such thing\\nERROR| Traceback\\nERROR|   here\\nprinted\\n' >&2; exit 2"
    plugin, _ = run(script, 0.0, ("held",))
    assert plugin.report()["last_error"] == "no such thing"


def test_a_process_left_behind_that_holds_the_pipes_delays_no_restart_and_is_told(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    _, events = run("sleep 1000 & sleep 1000 & exit 1", 0.0, ("held",))
    assert events.count("plugin died") == 5
    told = [record.message for record in caplog.records if "behind" in record.message]
    assert told == ["plugin odd left 2 processes behind, which were killed"] * 6


def test_a_flood_of_an_endless_line_is_cut_and_the_next_one_is_heard(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    flood = "head -c 20000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo 'ERROR: after it' >&2; exit 2"
    plugin, _ = run(RUNNING + flood, 0.0, ("held",))
    assert plugin.report()["last_error"] == "after it"
    assert max(len(record.message) for record in caplog.records) < 10_000


def test_one_that_writes_bytes_and_depths_where_reports_are_expected_is_still_watched(run: Run) -> None:
    script = "head -c 3000000 /dev/urandom; echo; head -c 200000 /dev/zero | tr '\\0' '['; echo\n" + RUNNING + "exit 2"
    plugin, events = run(script, 0.0, ("held",))
    assert events == ["plugin started", "plugin held"]
    assert plugin.report()["frames_in"] == 3


def test_one_that_says_that_it_is_another_one_is_not_believed(run: Run) -> None:
    script = """echo '{"state": "held", "name": "other", "pid": 1, "restarts": 99, "frames_in": 7}'\nexit 2"""
    plugin, _ = run(script, 0.0, ("held",))
    row = plugin.report()
    assert (row["name"], row["pid"], row["restarts"], row["frames_in"]) == ("odd", None, 0, 7)


def test_one_that_closes_its_pipes_and_goes_on_is_not_taken_for_dead(run: Run) -> None:
    _, events = run(RUNNING + "exec >&- 2>&-; sleep 0.3; exit 2", 0.0, ("held",))
    assert events == ["plugin started", "plugin held"]


def test_one_that_ignores_the_request_to_end_is_killed_with_its_children(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervised, "KILL_AFTER_S", 0.2)
    script = f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/pid\n" + RUNNING + "while :; do sleep 1000; done"
    plugin, _ = run(script, 0.0, ("running",))
    assert plugin.state == "stopped"
    state = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX"


@pytest.mark.parametrize("before", ["odd: ", "plugin 'odd': ", "plugin 'odd': odd: "])
def test_the_reason_does_not_repeat_the_name_that_it_stands_beside(
    run: Run, before: str, caplog: pytest.LogCaptureFixture
) -> None:
    plugin, _ = run(RUNNING + f"""echo "ERROR: {before}low = 99: too much" >&2; exit 2""", 0.0, ("held",))
    assert plugin.report()["last_error"] == "low = 99: too much"
    assert caplog.records[-1].message == "plugin held odd: exit code 2: low = 99: too much"


def test_the_report_says_since_when_it_is_so_and_when_it_is_started_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[dict[str, object]] = []

    class Kept(Supervised):
        async def end(self, *, replaced: bool = False) -> None:
            rows.append(self.report())
            await super().end(replaced=replaced)

    monkeypatch.setitem(globals(), "Supervised", Kept)
    monkeypatch.setattr(supervised, "BACK_OFF_S", (100.0,))
    run("exit 1", 0.0, ("restarting",))
    assert rows[0]["state"] == "restarting"
    assert 90.0 < float(str(rows[0]["restart_in_s"])) <= 100.0
    assert 0.0 <= float(str(rows[0]["state_s"])) < 60.0
    assert (rows[0]["plugin"], rows[0]["chain"]) == ("odd", [])


def test_a_flood_of_lines_is_counted_and_the_reason_at_its_end_is_still_found(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("eegd.plugin_log.LINES_PER_S", 10)
    caplog.set_level("INFO")
    n = 50_000
    plugin, _ = run(RUNNING + f"yes | head -n {n} >&2; echo 'ERROR: after it' >&2; exit 2", 0.0, ("held",))
    assert plugin.report()["last_error"] == "after it"
    n_shown = sum(record.message in ("y", "after it") for record in caplog.records)
    n_told = [record.args[1] for record in caplog.records if "lines not shown" in record.message]  # type: ignore[index]
    assert n_shown + sum(n_told) == n + 1  # type: ignore[arg-type]
    assert n_shown < n / 2


def test_what_a_terminal_would_obey_is_shown_as_a_number(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    plugin, _ = run(RUNNING + "printf 'ERROR: red \\033[31m\\r\\ttab\\n' >&2; exit 2", 0.0, ("held",))
    assert "red \\x1b[31m\\x0d\ttab" in [record.message for record in caplog.records]
    assert plugin.report()["last_error"] == "red \ufffd[31m\ufffd\ttab"
