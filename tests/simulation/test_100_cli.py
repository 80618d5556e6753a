"""Both commands on a real daemon with the emulated chip."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eegd.client import Client
from eegd.errors import EegdError
from eegd.runtime_dir import CONTROL_SOCKET
from tests.simulation.command import eegctl

PATIENCE_S = 60.0
"""Bounds a hang only; nothing here is about speed."""
EEGD = [sys.executable, "-m", "eegd.cli.eegd"]
EEGCTL = [sys.executable, "-m", "eegd.cli.eegctl"]


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="eegd-t") as path:  # pytest's own are too long for sockets
        yield Path(path) / "run"


@pytest.fixture
def directory() -> Iterator[Path]:
    with short_directory() as path:
        yield path


@contextlib.contextmanager
def running(directory: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [*EEGD, "run", "--simulate", "--runtime-dir", str(directory), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stderr is not None
            while "channels at" not in (line := daemon.stderr.readline()):
                assert line, f"the daemon has ended: {daemon.wait()}"
            yield daemon
        finally:
            if daemon.poll() is None:
                daemon.terminate()
                try:
                    daemon.wait(PATIENCE_S)
                except subprocess.TimeoutExpired:
                    daemon.kill()


@pytest.fixture
def daemon(directory: Path) -> Iterator[subprocess.Popen[str]]:
    with running(directory) as process:
        yield process


@pytest.fixture(scope="module")
def lasting() -> Iterator[Path]:
    """The directory of a daemon for all tests that leave it as it was."""
    with short_directory() as path, running(path):
        yield path


@pytest.fixture
def undo() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def await_samples(directory: Path, n: int) -> dict[str, object]:
    """Reads until the daemon has published so many samples; returns its status."""
    client = Client(directory)
    with client.open("raw", timeout=PATIENCE_S) as stream:
        while stream.take().sample_index < n:
            pass
    status: dict[str, object] = client.ask("status")["status"]
    return status


# ---- eegd run ----


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_daemon_with_its_summary(daemon: subprocess.Popen[str], directory: Path, number: int) -> None:
    await_samples(directory, 20)
    daemon.send_signal(number)
    output, _ = daemon.communicate(timeout=PATIENCE_S)
    assert daemon.returncode == 0
    assert output.endswith(" samples, 0 lost\n")
    assert not list(directory.glob("*.sock"))


def test_a_second_daemon_in_the_same_directory_cannot_start(lasting: Path) -> None:
    second = subprocess.run(
        [*EEGD, "run", "--simulate", "--runtime-dir", str(lasting)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert second.returncode == 3
    assert "held by process" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_recording_that_is_not_there_is_told_with_2(directory: Path) -> None:
    done = subprocess.run(
        [*EEGD, "run", "--replay", "/nowhere.bdf", "--runtime-dir", str(directory)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("eegd: error: /nowhere.bdf")
    assert "Traceback" not in done.stderr


# ---- eegctl ----


@pytest.mark.usefixtures("daemon")
def test_status_as_json_and_as_tables(directory: Path) -> None:
    await_samples(directory, 20)
    status = json.loads(eegctl(directory, "status", "--json"))
    assert status["rate"]["nominal_sps"] == 250
    text = eegctl(directory, "status")
    for words in ("SIMULATED – not a person", "250 SPS nominal", "0 lost", "pool", "readers"):
        assert words in text


def test_streams_and_info_describe_the_channels(lasting: Path) -> None:
    assert "250 SPS" in eegctl(lasting, "streams")
    assert [row["name"] for row in json.loads(eegctl(lasting, "streams", "--json"))] == ["raw"]
    labels = [row["label"] for row in json.loads(eegctl(lasting, "info", "--json"))["channels"]]
    text = eegctl(lasting, "info")
    assert len(labels) == 8 and all(label in text for label in labels)


def test_streams_shows_one_that_does_not_answer_as_dead_and_the_others_as_they_are(
    lasting: Path, undo: contextlib.ExitStack
) -> None:
    at_the_door = lasting / "mute.stream"
    mute = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    mute.bind(str(at_the_door))
    undo.callback(at_the_door.unlink)
    mute.listen(16)
    undo.callback(hang_up_on_all(mute).join)
    undo.callback(mute.shutdown, socket.SHUT_RDWR)
    raw, dead = sorted(json.loads(eegctl(lasting, "streams", "--json")), key=lambda row: "error" in row)
    assert raw["name"] == "raw" and "error" not in raw
    assert dead["name"] == "mute" and "while attaching" in dead["error"]
    text = eegctl(lasting, "streams")
    assert "250 SPS" in text and "mute: stream 'mute'" in text
    assert re.search(r"^mute +dead ", text, re.MULTILINE)


def hang_up_on_all(listening: socket.socket) -> threading.Thread:
    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                listening.accept()[0].close()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_name_that_a_killed_plugin_left_behind_is_no_stream(lasting: Path, undo: contextlib.ExitStack) -> None:
    left_behind = lasting / "bandpower.stream"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as abandoned:
        abandoned.bind(str(left_behind))
    undo.callback(left_behind.unlink)
    assert [row["name"] for row in json.loads(eegctl(lasting, "streams", "--json"))] == ["raw"]


def test_tail_ends_after_as_many_frames_as_asked_for(lasting: Path) -> None:
    lines = eegctl(lasting, "tail", "--frames", "3", "--numbers", "--channels", "O1,C3").splitlines()
    assert lines[0] == "-- SIMULATED – not a person"
    assert len(lines) == 4
    assert all("O1" in line and "C3" in line and "V" in line for line in lines[1:])
    frames = [json.loads(line) for line in eegctl(lasting, "tail", "--frames", "3", "--json").splitlines()]
    assert [frame["frame_number"] - frames[0]["frame_number"] for frame in frames] == [0, 1, 2]
    assert len(eegctl(lasting, "tail", "--seconds", "1").splitlines()) == 3


def test_tail_ends_without_a_word_when_its_reader_goes_away(lasting: Path) -> None:
    command = [*EEGCTL, "--runtime-dir", str(lasting), "tail", "--every", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None and tail.stderr is not None
        tail.stdout.readline()
        tail.stdout.close()
        assert tail.wait(PATIENCE_S) == 0
        assert tail.stderr.read() == ""


def test_what_is_not_there_is_refused_with_what_is(lasting: Path) -> None:
    assert "no stream 'nosuch'; there are raw" in eegctl(lasting, "tail", "nosuch", code=1)
    assert "no channel 'Xx' in 'raw'; there are " in eegctl(lasting, "tail", "--channels", "Xx", code=2)
    assert "ADS1299 offers 250, 500" in eegctl(lasting, "board", "rate=333", code=1)
    assert "no channel 'Xx'" in eegctl(lasting, "channel", "Xx", "gain=12", code=1)


@pytest.mark.usefixtures("daemon")
def test_board_and_channel_change_and_say_what_it_cost(directory: Path) -> None:
    await_samples(directory, 5)
    changed = eegctl(directory, "board", "rate=500").splitlines()
    assert changed[0] == "board.rate_sps: 250 → 500"
    assert changed[1].startswith("new stream epoch after ")
    assert changed[1].endswith(" without data")
    assert eegctl(directory, "channel", "O1", "gain=12").startswith("montage.channel.O1.gain: 24 → 12\n")
    assert eegctl(directory, "channel", "O1", "gain=12") == "nothing to change\n"
    assert "board.rate_sps: 500 → 250" in eegctl(directory, "reload")


@pytest.mark.usefixtures("daemon")
def test_tail_goes_on_over_a_change_and_says_so(directory: Path) -> None:
    command = [*EEGCTL, "--runtime-dir", str(directory), "tail", "--every", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        tail.stdout.readline()
        tail.stdout.readline()
        eegctl(directory, "board", "rate=500")
        for line in tail.stdout:
            if line == "-- new stream epoch, 500 SPS, 8 channels\n":
                break
        assert "SPS" not in tail.stdout.readline()
        tail.send_signal(signal.SIGINT)
        assert tail.wait(PATIENCE_S) == 0


@pytest.mark.usefixtures("daemon")
def test_events_are_listed_and_followed(directory: Path) -> None:
    eegctl(directory, "tail", "--frames", "1")  # the daemon is ready before its first epoch has begun
    assert "epoch" in eegctl(directory, "events", "--kind", "epoch")
    command = [*EEGCTL, "--runtime-dir", str(directory), "events", "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follow:
        assert follow.stdout is not None
        first = json.loads(follow.stdout.readline())
        eegctl(directory, "board", "rate=500")
        numbers = [first["number"]]
        for line in follow.stdout:
            event = json.loads(line)
            numbers.append(event["number"])
            if event["kind"] == "epoch" and event["value"] == 500:
                break
        assert numbers == list(range(first["number"], first["number"] + len(numbers)))
        follow.send_signal(signal.SIGINT)
        assert follow.wait(PATIENCE_S) == 0


def test_stop_ends_the_daemon_and_says_its_totals(daemon: subprocess.Popen[str], directory: Path) -> None:
    await_samples(directory, 20)
    said = eegctl(directory, "stop")
    output, _ = daemon.communicate(timeout=PATIENCE_S)
    assert said == output
    assert said.endswith(" samples, 0 lost\n")
    eegctl(directory, "status", code=3)


# ---- the live view ----


def _read_until(terminal: int, what: str) -> str:
    """What a program writes to its terminal, until `what` came or the program has ended."""
    seen = b""
    deadline = time.monotonic() + PATIENCE_S
    while what.encode() not in seen:
        assert select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0], seen[-2000:]
        try:
            seen += os.read(terminal, 65536)
        except OSError:  # the last one who had it open has gone
            break
    return seen.decode("utf-8", "replace")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_view_draws_traces_and_gives_the_terminal_back(lasting: Path, number: int) -> None:
    pytest.importorskip("rich")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    command = [*EEGCTL, "--runtime-dir", str(lasting), "view"]
    view = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    try:
        picture = _read_until(ours, "±")
        assert "\x1b[?1049h" in picture
        assert "SIMULATED – not a person" in picture
        view.send_signal(number)
        rest = _read_until(ours, "\x1b[?1049l")
        rest += _read_until(ours, "nothing more comes")
        assert "\x1b[?25h" in rest
        assert view.wait(PATIENCE_S) == 0
    finally:
        view.kill()
        view.wait()
        os.close(ours)


def test_without_a_terminal_the_view_is_one_line_a_second(lasting: Path) -> None:
    lines = eegctl(lasting, "view", "--seconds", "2.5").splitlines()
    assert lines
    assert all(line.startswith("t=") and "lost" in line for line in lines)


# ---- eegd demo ----


@contextlib.contextmanager
def demonstration() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """`eegd demo` without a terminal, after its first line, and the directory of its daemon."""
    with tempfile.TemporaryDirectory(prefix="eegd-t") as parent:
        environment = {**os.environ, "TMPDIR": parent}
        demo = subprocess.Popen(
            [*EEGD, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        try:
            assert demo.stdout is not None
            assert "t=" in demo.stdout.readline()
            yield demo, next(Path(parent).glob(f"eegd-*/{CONTROL_SOCKET}")).parent
        finally:
            demo.kill()
            demo.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_demonstration_ends_with_the_summary_and_leaves_nothing(number: int) -> None:
    with demonstration() as (demo, directory):
        demo.send_signal(number)
        output, errors = demo.communicate(timeout=PATIENCE_S)
        assert demo.returncode == 0
        assert errors == ""
        assert output.splitlines()[-1].endswith(" samples, 0 lost")
        assert not directory.exists()


def test_the_demonstration_shows_why_its_daemon_died() -> None:
    with demonstration() as (demo, directory):
        os.kill(Client(directory).ask("info")["pid"], signal.SIGKILL)
        _, errors = demo.communicate(timeout=PATIENCE_S)
        assert demo.returncode == 1
        assert errors.splitlines()[-1] == "eegd: error: the daemon has ended (signal 9)"
        assert "channels at 250 SPS" in errors


def test_a_killed_demonstration_takes_its_daemon_with_it() -> None:
    with demonstration() as (demo, directory):
        daemon = os.pidfd_open(Client(directory).ask("info")["pid"])
        demo.kill()
        assert select.select([daemon], [], [], PATIENCE_S)[0]
        os.close(daemon)
        with pytest.raises(EegdError):
            Client(directory).ask("info")
