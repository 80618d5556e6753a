"""Plugins that do everything wrong, beside readers and a plugin that must lose nothing by it."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eegd.left_behind import MARK, left_behind
from eegd.stream import Stream
from tests.simulation.scenario import SMALL_BOARD, assert_complete, stopped_process, watched
from tests.simulation.test_200_plugins import folder_with, forget_tracebacks, open_when_there, plugin_row

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

WHILE_IT_RUNS = 60.0
PLUGINS = {
    "raises": """
class Raises(Plugin):
    n = 0
    def reset(self):
        pass
    def process(self, frame, out):
        self.n += 1
        out[:] = frame.data
        if self.n % 10 == 0:
            raise ValueError("the tenth")
""",
    "aborts": """
class Aborts(Plugin):
    def process(self, frame, out):
        os.abort()
""",
    "loops": """
class Loops(Plugin):
    def process(self, frame, out):
        while True:
            pass
""",
    "holds": """
class Holds(Plugin):
    def process(self, frame, out):
        ctypes.PyDLL(None).sleep(1000)  # keeps the interpreter's lock
""",
    "leaks": """
KEPT = []
class Leaks(Plugin):
    def process(self, frame, out):
        KEPT.append(np.ones(500_000))
""",
    "keeps": """
class Keeps(Plugin):
    def start(self, info):
        self.kept = []
    def process(self, frame, out):
        self.kept.append(frame.data)
""",
    "good": """
class Good(Plugin):
    def process(self, frame, out):
        out[:] = frame.data
""",
    "quits": """
class Quits(Plugin):
    def process(self, frame, out):
        os._exit(0)
""",
    "exits": """
class Exits(Plugin):
    def process(self, frame, out):
        sys.exit(0)
""",
    "loads": "while True: pass",
    "litters": """
class Litters(Plugin):
    def start(self, info):
        self.children = [subprocess.Popen(["sleep", "1000"]), subprocess.Popen(["setsid", "sleep", "1000"])]
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
        print("littered", *(child.pid for child in self.children))
    def process(self, frame, out):
        out[:] = frame.data
""",
    "forks": """
class Forks(Plugin):
    def process(self, frame, out):
        out[:] = frame.data
        if frame.frame_number in (5, 10, 15) and os.fork() == 0:
            if frame.frame_number == 10:
                sys.exit(3)
            if frame.frame_number == 15:
                raise ValueError("in the child")
""",
    "rages": """
class Rages(Plugin):
    def start(self, info):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP])
        os.nice(19)
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                if fd != 1 and stat.S_ISFIFO(os.fstat(fd).st_mode):
                    os.write(fd, os.urandom(20_000) + b"\\n" + b"[" * 20_000 + b"\\n")
            except OSError:
                pass
        os.write(2, b"x" * 5_000_000)
        os.close(2)
        os.close(1)
    def process(self, frame, out):
        out[:] = frame.data
""",
}
HEAD = "import ctypes, os, signal, stat, subprocess, sys, time\nimport numpy as np\nfrom eegd.plugin import Plugin\n"


def with_plugins(home: Path, *names: str, **more: object) -> dict[str, object]:
    """Overrides for a daemon that runs these."""
    folder = folder_with(home, **{name: HEAD + PLUGINS[name] for name in names})
    return {**SMALL_BOARD, "plugins.run": names, "plugins.dirs": (folder,), **more}


def rows_of(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in status["plugins"]}


def events_of(process: DaemonProcess, kind: str) -> list[dict[str, Any]]:
    events = process.connect().ask("recent_events")["events"]
    return [event for event in events if event["kind"] == kind]


def last_words(process: DaemonProcess, name: str) -> tuple[int, int, int, int]:
    """Frames in and out, failed, missed: as the plugin logs them when it ends in order."""
    words = re.findall(rf"{name}: .*; (\d+) frames in, (\d+) out, (\d+) failed, (\d+) missed", process.stderr)
    return tuple(map(int, words[-1]))  # type: ignore[return-value]


class EveryFrame(threading.Thread):
    """Reads a plugin's stream to its end, and notes where a frame is missing."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        self.n_frames = 0
        self.gaps: list[tuple[int, int]] = []

    def run(self) -> None:
        following: int | None = None
        for frame in self.stream:
            source = frame.source.frame_number
            if frame.missed or frame.lost_before or following not in (None, source):
                self.gaps.append((following or 0, source))
            following = source + 1
            self.n_frames += 1


def test_six_plugins_that_misbehave_at_once_cost_nobody_else_a_frame(daemon: DaemonFactory, home: Path) -> None:
    names = ("good", "raises", "aborts", "loops", "holds", "leaks", "keeps")
    overrides = with_plugins(home, *names, **{"plugins.hang_s": 3.0})
    d = daemon(overrides, wait_readers=len(names) + 2, text="[plugins.leaks]\nmemory_mb = 250\n")
    client = d.connect()
    good = EveryFrame(open_when_there(client, "good", depth=1000))
    good.start()
    with watched(d) as readers:

        def have_all_misbehaved(status: dict[str, Any]) -> bool:
            row = rows_of(status)
            hung = min(row[name]["hangs"] for name in ("loops", "holds"))
            died = min(row[name]["restarts"] for name in ("leaks", "keeps"))
            others = row["aborts"]["state"] == "held" and row["raises"].get("errors", 0) >= 50
            return bool(hung >= 2 and died >= 2 and others)

        rows = rows_of(d.wait_for(have_all_misbehaved, WHILE_IT_RUNS))
        hung = {event["source"] for event in events_of(d, "plugin hung")}
        held = {event["source"] for event in events_of(d, "plugin held")}
        n_frames = assert_complete(d, readers, least_frames=250)["totals"]["frames"]
    good.join()
    assert (good.gaps, good.stream.missed) == ([], 0)
    assert good.stream.ended is not None
    n_in, n_out, failed, missed = last_words(d, "good")
    assert (n_in, n_out, failed, missed) == (n_frames, n_frames, 0, 0)
    assert good.n_frames == n_frames
    assert (rows["good"]["restarts"], rows["good"]["hangs"], rows["good"]["last_error"]) == (0, 0, "")

    n_in, n_out, failed, missed = last_words(d, "raises")
    assert (n_in, failed, n_out, missed) == (n_frames, n_frames // 10, n_frames - n_frames // 10, 0)
    assert (rows["raises"]["state"], rows["raises"]["restarts"]) == ("running", 0)
    assert re.fullmatch(r"frame \d+ of raw skipped: ValueError: the tenth.*", rows["raises"]["last_error"])
    assert rows["aborts"]["restarts"] == 5
    assert rows["aborts"]["last_error"] == "SIGABRT; it was at aborts.py:7 in process"
    loops, holds = rows["loops"]["last_error"], rows["holds"]["last_error"]
    assert re.fullmatch(
        r"hung: no answer for 3\.\d s, in process on frame \d+; it was at loops.py:\d in process", loops
    )
    assert re.fullmatch(r"hung: no answer for 3\.\d s.*; it was at holds.py:\d in process", holds)
    assert {"loops", "holds"} <= hung
    assert "aborts" in held
    assert "no memory for 3 frames in a row: memory_mb = 250 is used up" in rows["leaks"]["last_error"]
    assert rows["leaks"]["memory_mb"] == 250
    assert "MemoryError" in d.stderr
    assert re.search(r"ERROR eegd.plugin.raises: +raise ValueError\(.the tenth.\)", d.stderr)
    assert "plugin 'keeps' keeps arrays of frames" in rows["keeps"]["last_error"]
    forget_tracebacks(d)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("quits", "exit code 0, without a word"),
        ("exits", "process raised SystemExit: 0"),
    ],
)
def test_a_plugin_that_ends_the_process_is_restarted_however_it_does_it(
    daemon: DaemonFactory, home: Path, name: str, reason: str
) -> None:
    d = daemon(with_plugins(home, name))
    row = plugin_row(d.wait_for(lambda s: plugin_row(s, name)["restarts"] >= 1), name)
    assert row["last_error"] == reason
    assert row["hangs"] == 0
    d.stop()


def marked(pid: int) -> list[int]:
    """Living processes with the mark of this one in their environment."""
    mark = next(
        word for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if word.startswith(MARK.encode())
    )
    return left_behind(pid, mark.decode().partition("=")[2])


def test_what_a_plugin_left_behind_ends_with_it_and_the_daemon_stops_in_order(
    daemon: DaemonFactory, home: Path
) -> None:
    d = daemon(with_plugins(home, "litters", **{"sim.clock": "real"}))
    row = plugin_row(d.wait_for(lambda s: plugin_row(s, "litters").get("frames_in", 0) > 0), "litters")
    litter = marked(row["pid"])
    assert len(litter) == 3
    os.kill(row["pid"], signal.SIGKILL)
    d.wait_for(
        lambda s: plugin_row(s, "litters").get("restarts") == 1 and plugin_row(s, "litters")["state"] == "running"
    )
    d.wait_for_log("plugin litters left 3 processes behind, which were killed")
    assert not any(Path(f"/proc/{pid}/environ").exists() and is_alive(pid) for pid in litter)
    litter = marked(plugin_row(d.status(), "litters")["pid"])
    assert d.stop(signal.SIGTERM)[0] == 0
    assert not any(is_alive(pid) for pid in litter)
    assert "is closed" not in d.stderr


def test_a_child_that_a_plugin_forks_and_that_comes_back_goes_no_further(daemon: DaemonFactory, home: Path) -> None:
    d = daemon(with_plugins(home, "forks"), wait_readers=1)
    stream = open_when_there(d.connect(), "forks", policy="lossless")
    pid = plugin_row(d.status(), "forks")["pid"]
    assert [stream.take(timeout=WHILE_IT_RUNS).source.frame_number for _ in range(40)] == list(range(40))
    assert stream.n_epochs == 1
    d.wait_for(lambda s: not marked(pid))
    row = plugin_row(d.status(), "forks")
    assert (row["pid"], row["errors"], row["restarts"], row["state"]) == (pid, 0, 0, "running")
    stream.close()
    d.stop()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_plugin_that_floods_closes_and_ignores_everything_goes_on_and_is_ended(
    daemon: DaemonFactory, home: Path
) -> None:
    d = daemon(with_plugins(home, "rages", **{"sim.clock": "real"}))
    stream = open_when_there(d.connect(), "rages")
    stream.take()
    row = plugin_row(d.wait_for(lambda s: plugin_row(s, "rages").get("frames_in", 0) > 100), "rages")
    assert (row["state"], row["restarts"]) == ("running", 0)
    assert d.stop(signal.SIGTERM)[0] == 0
    assert not is_alive(row["pid"])
    assert max(map(len, d.stderr.splitlines())) < 10_000


def test_a_plugin_that_was_killed_is_reported_with_the_signal(daemon: DaemonFactory, home: Path) -> None:
    d = daemon(with_plugins(home, "good"))
    row = plugin_row(d.wait_for(lambda s: plugin_row(s, "good").get("frames_in", 0)), "good")
    assert row["data_mb"] > 0 and row["rss_mb"] > 0
    os.kill(row["pid"], signal.SIGKILL)
    row = plugin_row(d.wait_for(lambda s: plugin_row(s, "good")["restarts"] == 1), "good")
    assert row["last_error"] == "SIGKILL, without a word"
    d.stop()


@pytest.mark.slow
def test_a_plugin_that_somebody_has_stopped_hangs(daemon: DaemonFactory, home: Path) -> None:
    d = daemon(with_plugins(home, "good", **{"plugins.hang_s": 2.0}))
    row = plugin_row(d.wait_for(lambda s: plugin_row(s, "good").get("frames_in", 0)), "good")
    os.kill(row["pid"], signal.SIGSTOP)
    row = plugin_row(d.wait_for(lambda s: plugin_row(s, "good")["hangs"] == 1), "good")
    assert re.fullmatch(r"hung: no answer for 2\.\d s.*, stopped by a signal", row["last_error"])
    d.wait_for(lambda s: plugin_row(s, "good")["state"] == "running")
    d.stop()


@pytest.mark.slow
def test_one_that_loops_while_it_is_loaded_is_found_by_its_own_patience_only(daemon: DaemonFactory, home: Path) -> None:
    """A long start is none of a hang: here it may take a minute."""
    d = daemon(with_plugins(home, "loads", **{"plugins.hang_s": 1.0}))
    d.wait_for(lambda s: s["uptime_s"] > 4)
    row = plugin_row(d.status(), "loads")
    assert (row["state"], row["hangs"], row["restarts"]) == ("starting", 0, 0)
    d.stop()


@pytest.mark.slow
def test_silence_of_the_input_and_a_reader_that_is_waited_for_are_no_hang(daemon: DaemonFactory, home: Path) -> None:
    d = daemon({**with_plugins(home, "good", **{"plugins.hang_s": 1.0}), "sim.clock": "virtual"}, wait_readers=2)
    stream = open_when_there(d.connect(), "good", policy="lossless", depth=4)
    began = d.wait_for(lambda s: plugin_row(s, "good")["state"] == "running")["uptime_s"]
    status = d.wait_for(lambda s: s["uptime_s"] > began + 4)  # no frame: the daemon waits for a second reader
    assert plugin_row(status, "good")["frames_in"] == 0
    d.connect().open("raw", policy="latest")
    began = d.wait_for(lambda s: plugin_row(s, "good")["frames_in"] >= 4)["uptime_s"]
    status = d.wait_for(lambda s: s["uptime_s"] > began + 4)  # its reader takes none, and virtual time waits for it
    row = plugin_row(status, "good")
    assert (row["state"], row["hangs"], row["restarts"]) == ("running", 0, 0)
    stream.close()
    d.stop()


@pytest.mark.slow
def test_a_daemon_that_was_stopped_with_its_plugins_does_not_blame_them(daemon: DaemonFactory, home: Path) -> None:
    d = daemon(with_plugins(home, "good", **{"plugins.hang_s": 1.5}))
    row = plugin_row(d.wait_for(lambda s: plugin_row(s, "good").get("frames_in", 0)), "good")
    with stopped_process(d.pid, 4.0), stopped_process(row["pid"], 4.0):
        pass
    after = plugin_row(d.wait_for(lambda s: plugin_row(s, "good")["frames_in"] > row["frames_in"] + 500), "good")
    assert (after["pid"], after["hangs"], after["restarts"]) == (row["pid"], 0, 0)
    d.stop()


def test_new_limits_hold_at_once(daemon: DaemonFactory, home: Path) -> None:
    d = daemon(with_plugins(home, "loops", **{"plugins.hang_s": 0.0}))
    d.wait_for(lambda s: plugin_row(s, "loops").get("frames_in") == 1)
    text = d.config_file.read_text()
    assert "hang_s = 0.0" in text
    d.config_file.write_text(text.replace("hang_s = 0.0", "hang_s = 1.0"))
    assert d.connect().ask("reload")["changed"]
    d.wait_for(lambda s: plugin_row(s, "loops")["hangs"] >= 1)
    d.stop()


# ---- under a service manager ----


class Manager:
    """Plays systemd to one process: listens where it notifies."""

    def __init__(self, home: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.path = str(home / "notify")
        self.socket.bind(self.path)
        self.socket.settimeout(20)

    def hear(self) -> str:
        return self.socket.recv(1000).decode()

    def hears_nothing_for(self, seconds: float) -> bool:
        """True once so long passed without a word; words before it are passed over."""
        self.socket.settimeout(seconds)
        try:
            while self.hear():
                pass
        except TimeoutError:
            return True
        return False


@contextlib.contextmanager
def as_unit(home: Path, d: DaemonProcess, name: str, *words: str, watchdog_s: float = 3.0) -> Iterator[Any]:
    """A plugin as eegd-plugin@.service runs it; yields it and its manager."""
    manager = Manager(home)
    command = [sys.executable, "-m", "eegd.runner", name, "--config", str(d.config_file), *words]
    environment = {
        **os.environ,
        "EEGD_RUNTIME_DIR": str(d.directory),
        "NOTIFY_SOCKET": manager.path,
        "WATCHDOG_USEC": f"{watchdog_s * 1e6:.0f}",
    }
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, manager
        finally:
            process.kill()
            manager.socket.close()


def test_a_unit_has_parameters_and_limit_from_the_configuration_and_words_count_more(
    daemon: DaemonFactory, home: Path
) -> None:
    text = "[plugins.template]\ngain = 3.0\nmemory_mb = 900\n"
    d = daemon({"sim.clock": "real"}, text=text)
    client = d.connect()
    for words, gain in (((), 3.0), (("gain=4",), 4.0)):
        with as_unit(home, d, "template", *words) as (process, _):
            stream = open_when_there(client, "template")
            assert stream.info.description["params"] == {"gain": gain}
            assert resource.prlimit(process.pid, resource.RLIMIT_DATA)[0] == 900_000_000
            stream.close()
        (home / "notify").unlink()
        for path in d.directory.glob("template.*"):
            path.unlink()
    d.stop()


@pytest.mark.slow
def test_a_unit_feeds_the_watchdog_while_it_answers_and_no_longer(daemon: DaemonFactory, home: Path) -> None:
    pytest.importorskip("systemd.daemon")
    d = daemon(with_plugins(home, "good", "loops", **{"plugins.run": ()}))
    client = d.connect()
    with as_unit(home, d, "good") as (process, manager):
        assert manager.hear() == "WATCHDOG_USEC=60000000"  # while it is loaded
        assert manager.hear() == "WATCHDOG_USEC=3000000"
        open_when_there(client, "good").take()
        assert [manager.hear() for _ in range(6)] == ["WATCHDOG=1"] * 6
        process.send_signal(signal.SIGSTOP)
        assert manager.hears_nothing_for(1.5)
    (home / "notify").unlink()
    with as_unit(home, d, "loops") as (process, manager):
        d.wait_for(lambda s: any(row["name"] == "loops" for row in s["stream"]["readers"]))
        assert manager.hears_nothing_for(1.5)
        process.send_signal(signal.SIGABRT)
        assert "in process" in process.stderr.read()
    d.stop()


def test_a_configuration_that_is_none_is_refused(home: Path) -> None:
    command = [sys.executable, "-m", "eegd.runner", "template", "--config", str(home / "none.toml")]
    refused = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert refused.returncode == 2
    assert "none.toml" in refused.stderr
