"""Control messages to a real daemon: every operation but `stop`, with arguments of any kind, and packets of any kind.

The daemon must answer what this process finds out by itself about the same settings. Whatever is refused changes
nothing: a reader takes every frame all the while, and counts the epochs.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eegd.changes import classify_changes, with_board, with_channel
from eegd.config import Config, load_config
from eegd.errors import ConfigError, StreamEnded
from eegd.inlet import AttachRequest
from eegd.packet import MAX_PACKET_BYTES, send_packet
from eegd.stream import Stream
from tests.fuzz.common import alive, deep_json, main, mutate_bytes, mutate_json, odd_value, watched
from tests.fuzz.fuzz_config import random_settings

ANSWER_S = 30.0
DEPTH = 500
ONE_EPOCH_IN = 1000
"""New epochs take about a tenth of a second each: so seldom is a change let through that begins one."""
FILE = """[board]
rate_sps = 250
[stream]
pool_mb = 2.0
"""
BAD_FILES = (
    "[board]\nrate_sps = 251\n",
    "[boardd]\n",
    "x",
    '[board]\nchips = ["ADS1298"]\n',
    "[stream]\npool_mb = {}\n",
)
BUSY = "the chips are being set up; try again in a moment"


class DaemonProcess:
    """A daemon with a reader that counts on it."""

    def __init__(self, directory: Path) -> None:
        self.runtime = directory / "run"
        self.path = directory / "eegd.toml"
        self.path.write_text(FILE)
        self.stderr = directory / "stderr"
        self.overrides = {"daemon.runtime_dir": str(self.runtime)}
        command = [sys.executable, "-m", "eegd.cli.eegd", "run", "--config", str(self.path)]
        with open(self.stderr, "wb") as errors:
            self.process = subprocess.Popen(
                [*command, "--runtime-dir", str(self.runtime)], stderr=errors, stdout=subprocess.DEVNULL
            )
        deadline = time.monotonic() + ANSWER_S
        while not (self.runtime / "raw.stream").exists():
            assert self.process.poll() is None and time.monotonic() < deadline, self.stderr.read_text()
            time.sleep(0.01)
        self.stream = Stream(AttachRequest("raw", self.runtime, "honest", depth=DEPTH), timeout=ANSWER_S)
        self.n_taken = 0
        self.error: BaseException | None = None
        self._taken = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._taken.wait(ANSWER_S)

    def _read(self) -> None:
        try:
            epoch, expected = 0, 0
            while True:
                frame = self.stream.take()
                if self.stream.n_epochs != epoch:
                    epoch, expected = self.stream.n_epochs, frame.sample_index
                assert (frame.sample_index, frame.lost_before) == (expected, 0), frame
                expected += frame.n_samples
                self.n_taken += 1
                self._taken.set()
        except StreamEnded:
            pass
        except BaseException as error:
            self.error = error
            self._taken.set()

    def check(self) -> None:
        assert self.process.poll() is None, "the daemon has ended: " + self.stderr.read_text()[-2000:]
        if self.error is not None:
            raise self.error

    def n_fds(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(ANSWER_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MAX_PACKET_BYTES)
        connection.connect(str(self.runtime / "control.sock"))
        return connection

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Within, the daemon stands still: what is sent will be there for it all at once."""
        self.process.send_signal(signal.SIGSTOP)
        while Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def finish(self) -> None:
        """Ends it as an operator would, and looks at what it wrote."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(ANSWER_S)
        self._reader.join(ANSWER_S)
        self.stream.close()
        said = self.stderr.read_text()
        assert code == 0, (code, said[-2000:])
        for line in said.splitlines():
            assert not any(word in line for word in ("Traceback", " ERROR ", "internal error")), said[-3000:]


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """An answer, whose descriptors are closed; None at end of file."""
    data, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_SPACE(16))
    for _, _, content in ancillary:
        for fd in array.array("i", content):
            os.close(fd)
    if not data:
        return None
    answer = json.loads(data)
    assert isinstance(answer, dict), answer
    if answer.get("ok") is not True:
        text = answer.get("error")
        assert answer.get("ok") is False and isinstance(text, str) and text.strip(), answer
        assert "internal error" not in text, answer
    return answer


def raw_packet(rng: random.Random) -> bytes:
    """Anything, but no order to stop, and nothing that would change what `Session` knows."""
    good = rng.choice(
        (
            {"op": "board", "settings": {"rate": "251"}},
            {"op": "channel", "label": "nobody", "settings": {"bad": "no"}},
            {"op": "status"},
            {"op": "info"},
            {"op": "counters"},
            {"op": "recent_events"},
        )
    )
    kind = rng.randrange(30)
    if kind == 0:
        packet = deep_json(rng, rng.choice(("op", "label", "settings")))
    elif kind == 1:
        packet = rng.randbytes(1) * rng.choice((1, MAX_PACKET_BYTES - 1, MAX_PACKET_BYTES, MAX_PACKET_BYTES + 1))
    elif kind < 4:
        packet = rng.randbytes(rng.randrange(1, 200))
    elif kind < 16:
        packet = mutate_bytes(rng, json.dumps(good).encode())
    elif kind < 28:
        packet = json.dumps(mutate_json(rng, good)).encode()
    else:
        packet = json.dumps(odd_value(rng)).encode()
    return packet if packet and b"stop" not in packet and b"reload" not in packet else b"{}"


class Session:
    """One connection after another to the daemon, and the configuration that must be in force in it."""

    def __init__(self, rng: random.Random, daemon: DaemonProcess) -> None:
        self.rng = rng
        self.daemon = daemon
        self.config = load_config(daemon.path, daemon.overrides)
        self.n_epochs = 1
        self.connection = daemon.connect()

    def ask(self, packet: bytes) -> dict[str, Any] | None:
        if self.rng.randrange(50) == 0:
            self.connection.close()
            self.connection = self.daemon.connect()
        self.connection.send(packet)
        answer = receive(self.connection)
        if answer is None:
            self.connection.close()
            self.connection = self.daemon.connect()
        return answer

    def one(self) -> str:
        kind = self.rng.randrange(100)
        if kind < 60:
            return self.setting()
        if kind == 60:
            return self.reload()
        if kind < 64:
            return self.leave()
        if kind < 66:
            return self.with_fds()
        answer = self.ask(raw_packet(self.rng))
        if answer is None:
            return "packet: closed"
        assert not answer.get("changed"), answer
        return "packet: answered" if answer["ok"] else "packet: refused"

    def setting(self) -> str:
        """The daemon must judge settings as the configuration itself does."""
        rng, settings = self.rng, random_settings(self.rng)
        labels = [channel.label for channel in self.config.montage.channels]
        label = rng.choice((*labels, "nobody", "\n", "\ud800"))
        operation = rng.choice(("board", "channel"))
        request = {"op": operation, "label": label, "settings": settings}
        try:
            is_board = operation == "board"
            wanted = with_board(self.config, settings) if is_board else with_channel(self.config, label, settings)
            refusal = None
        except ConfigError as error:
            wanted, refusal = self.config, str(error)
        if self._is_too_much(wanted):
            return self.setting()
        answer = self.ask(json.dumps(request).encode())
        assert answer is not None, request
        if refusal is not None:
            assert answer.get("error") == refusal, (request, answer, refusal)
            return "setting: refused"
        return self._applied(wanted, answer, request)

    def _is_too_much(self, wanted: Config) -> bool:
        """New epochs are let through seldom, and only those that this reader can follow."""
        _, renewed, _ = classify_changes(self.config, wanted)
        if not renewed:
            return False
        frames_per_s = wanted.board.rate_sps / wanted.samples_per_frame
        return frames_per_s > 250 or wanted.samples_per_frame > 20 or self.rng.randrange(ONE_EPOCH_IN // 20) > 0

    def _applied(self, wanted: Config, answer: dict[str, Any], request: object) -> str:
        live, renewed, restart = classify_changes(self.config, wanted)
        if answer.get("error") == BUSY:
            return "setting: not now"
        if restart or not answer["ok"]:
            assert not answer["ok"] and (restart or "pool_mb" in answer["error"]), (request, answer, restart)
            return "setting: refused"
        assert answer["changed"] == live + renewed and answer["new_epoch"] == bool(renewed), (request, answer)
        self.config = wanted
        self.n_epochs += bool(renewed)
        return "setting: a new epoch" if renewed else "setting: applied"

    def reload(self) -> str:
        rng = self.rng
        good = rng.randrange(20) == 0
        self.daemon.path.write_text(FILE if good else rng.choice(BAD_FILES) + mutate_bytes(rng, b"x").hex())
        answer = self.ask(b'{"op":"reload"}')
        assert answer is not None
        if not good:
            assert str(self.daemon.path) in answer["error"], answer
            return "reload: refused"
        wanted = load_config(self.daemon.path, self.daemon.overrides)
        return self._applied(wanted, answer, "reload").replace("setting", "reload")

    def leave(self) -> str:
        """Comes and goes at any point of an exchange."""
        with self.daemon.connect() as connection:
            for _ in range(self.rng.randrange(8)):
                with contextlib.suppress(OSError):
                    connection.send(b'{"op":"status"}', socket.MSG_DONTWAIT)
        return "left at once"

    def with_fds(self) -> str:
        """Nobody asked for descriptors."""
        fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(self.rng.choice((1, 2, 4, 5, 100)))]
        try:
            send_packet(self.connection, {"op": "info"}, fds)
        finally:
            for fd in fds:
                os.close(fd)
        answer = receive(self.connection)
        assert answer is not None and not answer["ok"], answer
        return "descriptors: refused"

    def at_once(self) -> str:
        """Several changes in one moment: one begins, the others are told to come again."""
        connections = [self.daemon.connect() for _ in range(4)]
        for connection in connections:
            connection.send(b'{"op":"info"}')
            receive(connection)
        amplitude = 3 - self.config.board.test_amplitude
        request = json.dumps({"op": "board", "settings": {"test_amplitude": str(amplitude)}}).encode()
        with self.daemon.held():
            for connection in connections:
                connection.send(request)
        answers = [receive(connection) for connection in connections]
        for connection in connections:
            connection.close()
        begun = [answer for answer in answers if answer is not None and answer.get("new_epoch")]
        assert len(begun) <= 1, answers
        if begun:
            self.n_epochs += 1
            self.config = with_board(self.config, {"test_amplitude": str(amplitude)})
        return "changes at once"


def run(n: int, seed: int) -> Counter[str]:
    """n packets."""
    rng = random.Random(seed)
    outcome: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as directory, watched():
        daemon = DaemonProcess(Path(directory))
        try:
            session = Session(rng, daemon)
            n_fds = daemon.n_fds()
            for number in range(n):
                alive()
                outcome[session.at_once() if number % 5000 == 500 else session.one()] += 1
                if number % 500 == 0:
                    daemon.check()
            daemon.check()
            settle(session)
            outcome["frames to the honest reader, none missed"] = daemon.n_taken
            assert daemon.stream.missed == 0, daemon.stream.missed
            assert daemon.n_fds() <= n_fds + 2, f"descriptors of the daemon: {n_fds} before, {daemon.n_fds()} after"
            session.connection.close()
        finally:
            alive()
            daemon.finish()
    return outcome


def settle(session: Session) -> None:
    """Waits for the last epoch, then compares epochs and description with what they must be."""
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        status = session.ask(b'{"op":"status"}')
        assert status is not None and status["ok"], status
        n_seen = (status["status"]["epochs"], session.daemon.stream.n_epochs)
        if n_seen == (session.n_epochs, session.n_epochs):
            break
        time.sleep(0.02)
    assert n_seen == (session.n_epochs, session.n_epochs), (n_seen, session.n_epochs)
    info = session.ask(b'{"op":"info"}')
    assert info is not None
    assert info["stream"]["rate_sps"] == session.config.board.rate_sps
    labels = [channel["label"] for channel in info["stream"]["channels"]]
    assert labels == [channel.label for channel in session.config.montage.on], labels


if __name__ == "__main__":
    main("control", run)
