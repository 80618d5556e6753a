"""A child's end, and what becomes of all that it started: real processes that leave others behind in every way."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eegd import child
from eegd.child import CUT, Child, Lines

LIMIT_S = 60.0
PIDFD_OPEN = os.pidfd_open  # some tests let it fail
DAEMONISES = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for fd in (0, 1, 2):
        os.close(fd)
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(1000)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""
CLEANS_UP = """
import os, sys
hold, held = os.pipe()
if os.fork() == 0:
    os.close(held)
    os.read(hold, 1)
    open(sys.argv[1], "w").close()
"""
"""As multiprocessing's resource tracker does: what it does begins with the end of the other one."""


class Ended:
    """What became of one child."""

    def __init__(self, code: int, n_left_behind: int, output: list[str], error: list[str]) -> None:
        self.code, self.n_left_behind, self.output, self.error = code, n_left_behind, output, error


def lives(pid: int) -> bool:
    """Whether it goes on. One that was killed this moment may still be on its way out, on another processor."""
    try:
        pidfd = PIDFD_OPEN(pid)
    except ProcessLookupError:
        return False
    with os.fdopen(pidfd):
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return not poll.poll(LIMIT_S * 1000)


def ended(command: list[str], act: Callable[[Child], object] = lambda child: None, given: bytes | None = None) -> Ended:
    """Runs one to its end. `act` is called with it as soon as it has written a line."""

    async def run() -> Ended:
        output: list[str] = []
        error: list[str] = []

        def hear(line: str) -> None:
            output.append(line)
            if len(output) == 1:
                act(started)

        started = Child(command, hear, error.append, given)
        async with asyncio.timeout(LIMIT_S):
            code = await started.wait()
        return Ended(code, started.n_left_behind, output, error)

    return asyncio.run(run())


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


@pytest.fixture(autouse=True)
def _no_descriptor_is_left_open() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_code_and_every_line_are_those_of_the_process() -> None:
    found = ended(shell("echo one; echo two >&2; printf three; exit 7"))
    assert (found.code, found.output, found.error) == (7, ["one", "three"], ["two"])
    assert found.n_left_behind == 0


def test_a_process_left_behind_that_holds_the_pipes_delays_nothing_and_is_killed(tmp_path: Path) -> None:
    found = ended(shell(f"sleep 1000 & echo $! > {tmp_path}/pid; echo said; exit 3"))
    assert (found.code, found.output, found.n_left_behind) == (3, ["said"], 1)
    assert not lives(int((tmp_path / "pid").read_text()))


def test_a_daemon_in_another_session_is_found_by_its_environment_and_killed(tmp_path: Path) -> None:
    found = ended([sys.executable, "-c", DAEMONISES, str(tmp_path / "pid")])
    assert (found.code, found.n_left_behind) == (0, 1)
    assert not lives(int((tmp_path / "pid").read_text()))


def test_what_is_left_behind_and_ends_by_itself_is_not_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(child, "LEFT_S", LIMIT_S)
    found = ended([sys.executable, "-c", CLEANS_UP, str(tmp_path / "clean")])
    assert (found.code, found.n_left_behind) == (0, 0)
    assert (tmp_path / "clean").exists()


def test_what_was_written_last_is_heard_although_nobody_closes_the_pipe() -> None:
    n = 3000
    found = ended(shell(f"sleep 1000 & i=0; while [ $i -lt {n} ]; do echo line $i; i=$((i+1)); done >&2; kill -9 $$"))
    assert found.code == -signal.SIGKILL
    assert found.error == [f"line {i}" for i in range(n)]


def test_one_whose_wait_is_cancelled_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    async def run() -> Child:
        heard = asyncio.Event()

        def said(line: str) -> None:
            (tmp_path / "pid").write_text(line)
            heard.set()

        started = Child(shell("sleep 1000 & echo $!; exec sleep 1000"), said, print)
        waiting = asyncio.create_task(started.wait())
        await heard.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        return started

    started = asyncio.run(run())
    assert not lives(int((tmp_path / "pid").read_text()))
    assert not lives(started.pid)
    started.send(signal.SIGTERM)  # to nobody


def test_where_no_descriptor_is_left_to_look_with_the_group_is_killed_and_nothing_leaks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(_: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("eegd.left_behind.os.scandir", refuse)
        found = ended(shell(f"sleep 1000 & echo $! > {tmp_path}/pid; exit 3"))
    assert (found.code, found.n_left_behind) == (3, 0)
    assert not lives(int((tmp_path / "pid").read_text()))


def test_one_that_ends_while_its_wait_is_cancelled_keeps_its_number_until_others_are_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[bool] = []

    def look(group: int, mark: str) -> int:
        found.append(Path(f"/proc/{group}").exists())
        return 0

    monkeypatch.setattr(child, "kill_left_behind", look)

    async def run() -> None:
        started = Child(shell("exit 0"), print, print)
        waiting = asyncio.create_task(started.wait())
        await asyncio.sleep(0)
        os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOWAIT)  # it has ended, which the loop does not know yet
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(run())
    assert found == [True]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_goes_to_the_process_itself_and_its_number_is_the_code(number: signal.Signals) -> None:
    found = ended(shell("echo ready; exec sleep 1000"), lambda started: started.send(number))
    assert found.code == -number


def test_an_end_of_input_is_an_end_of_file_for_it() -> None:
    found = ended(shell("echo ready; cat; echo over"), lambda started: started.close_input())
    assert found.output == ["ready", "over"]


def test_what_is_given_is_all_that_it_can_read_however_much_that_is() -> None:
    n_bytes = 1_000_000
    assert ended(shell("wc -c"), given=b"x" * n_bytes).output == [str(n_bytes)]


def test_a_program_that_is_not_there_is_an_error_and_leaves_no_descriptor() -> None:
    with pytest.raises(FileNotFoundError):
        ended(["/nonexistent"])


def test_a_line_that_cannot_be_heard_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def hear(line: str) -> None:
        if line == "bad":
            raise RuntimeError("a fault of ours")
        heard.append(line)

    async def run() -> int:
        return await Child(shell("echo good; echo bad; echo last"), hear, print).wait()

    assert asyncio.run(run()) == 0
    assert heard == ["good", "last"]
    assert "a fault of ours" in caplog.text


def test_it_has_a_process_group_of_its_own_in_the_session_of_ours() -> None:
    # Asked of the kernel: qemu-user, where it translates the program, makes up its /proc/self/stat.
    found = ended([sys.executable, "-c", "import os; print(os.getpid(), os.getpgrp(), os.getsid(0))"])
    pid, group, session = map(int, found.output[0].split())
    assert (group, session) == (pid, os.getsid(0))


# ---- lines ----


def test_of_an_overlong_line_the_beginning_is_kept_and_the_next_one_is_whole() -> None:
    lines = Lines(10)
    assert list(lines.feed(b"0123456")) == []
    assert list(lines.feed(b"789abc")) == []
    assert list(lines.feed(b"def\nshort\n0123456789\nrest")) == [f"0123456789{CUT}", "short", "0123456789"]
    assert list(lines.end()) == ["rest"]
    assert list(lines.end()) == []


def test_a_flood_without_an_end_of_line_needs_no_more_memory_than_one_line() -> None:
    lines = Lines(10)
    for _ in range(1000):
        assert list(lines.feed(b"x" * 10_000)) == []
    assert len(lines._begun) == 10
    assert list(lines.end()) == [f"{'x' * 10}{CUT}"]


def test_what_is_no_utf_8_is_shown_as_such() -> None:
    assert list(Lines().feed(b"\xff\x00\xfe\n")) == ["\ufffd\x00\ufffd"]


def test_one_that_cannot_be_watched_is_ended_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[int] = []

    def refuse(pid: int) -> int:
        started.append(pid)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        ended(shell("exec sleep 1000"))
    assert not lives(started[0])
