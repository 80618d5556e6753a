"""Hangs as the reports of a process show them, and where a dying one was."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from eegd import liveness
from eegd.liveness import BEGIN_S, Liveness, Traceback


class Clock:
    """The clock of the module, which the test moves on."""

    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(liveness, "time", made)
    return made


def silent(process: Liveness, clock: Clock, seconds: float) -> None:
    for _ in range(int(seconds / 0.25)):
        clock.now_s += 0.25
        process.step()


def busy(seconds: float, method: str = "process", frame: int | None = 41) -> dict[str, object]:
    return {"method": method, "frame": frame, "seconds": seconds}


def test_a_process_that_reports_and_is_in_no_call_never_hangs(clock: Clock) -> None:
    process = Liveness(0.5)
    for _ in range(1000):
        silent(process, clock, 1)
        process.heard("running", None)
    assert process.hangs(1.5) == ""


def test_a_call_that_does_not_return_is_a_hang_with_its_frame(clock: Clock) -> None:
    process = Liveness(0.5)
    process.heard("running", busy(2.5))
    assert process.hangs(2.5) == ""
    process.heard("running", busy(3.0))
    assert process.hangs(2.5) == "no answer for 3.0 s, in process on frame 41"


def test_silence_adds_to_the_call_that_was_told_last(clock: Clock) -> None:
    process = Liveness(0.5)
    process.heard("running", busy(1.0))
    silent(process, clock, 1.0)
    assert process.hangs(2.0) == ""
    silent(process, clock, 0.25)
    assert process.hangs(2.0) == "no answer for 2.2 s, in process on frame 41"


def test_silence_alone_is_a_hang(clock: Clock) -> None:
    process = Liveness(0.5)
    process.heard("running", None)
    silent(process, clock, 2.25)
    assert process.hangs(2.0) == "no answer for 2.2 s"


@pytest.mark.parametrize(("state", "call"), [("starting", None), ("running", busy(0.0, "start", None))])
def test_start_may_take_longer(clock: Clock, state: str, call: dict[str, object] | None) -> None:
    process = Liveness(0.5)
    process.heard(state, call)
    silent(process, clock, BEGIN_S)
    assert process.hangs(2.0) == ""
    silent(process, clock, 0.25)
    assert process.hangs(2.0).startswith(f"no answer for {BEGIN_S + 0.25:.1f} s")
    assert process.hangs(2 * BEGIN_S) == ""


def test_none_at_all_hangs_where_the_time_is_0(clock: Clock) -> None:
    process = Liveness(0.5)
    process.heard("running", busy(1e6))
    assert process.hangs(0.0) == ""


def test_the_time_for_which_the_daemon_itself_was_stopped_does_not_count(clock: Clock) -> None:
    process = Liveness(0.5)
    process.heard("running", None)
    clock.now_s += 3600
    process.step()
    assert process.without_answer_s == 0.5


def test_a_report_that_is_no_report_is_no_harm(clock: Clock) -> None:
    process = Liveness(0.5)
    odd: object
    for odd in ([], "process", {"seconds": "many"}, {"method": None, "frame": []}):
        process.heard(None, odd)
        assert process.without_answer_s == 0.0


PROGRAM = """
import faulthandler, os, threading
faulthandler.enable()
def _guarded(method):
    method()
def process():
    inner()
def inner():
    os.abort()
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


@pytest.mark.parametrize(
    ("last", "where"),
    [("_guarded(process)", r"<string>:\d+ in process"), ("inner()", r"<string>:\d+ in inner")],
)
def test_a_dying_process_tells_the_plugin_s_own_line(last: str, where: str) -> None:
    died = subprocess.run([sys.executable, "-c", PROGRAM + last], stderr=subprocess.PIPE, text=True, check=False)
    assert died.returncode == -6
    traceback = Traceback()
    assert [line for line in died.stderr.splitlines() if traceback.read(line)] == ["Fatal Python error: Aborted"]
    assert re.fullmatch(where, traceback.where)


def test_lines_of_a_plugin_are_not_taken_for_a_traceback() -> None:
    traceback = Traceback()
    for line in ('  File "a.py", line 3 in process', "Current thread 0x1", "nothing", '  File "a.py", line 3 in f'):
        assert not traceback.read(line)
    assert traceback.where == ""
