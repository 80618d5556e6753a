"""Attach requests: every packet that a peer may send to a stream's writer, from many peers at once.

A real outlet publishes all the while to a reader that behaves, and that must not miss a frame. Whoever is refused is
told why; afterwards nothing is left: no descriptor, no promised credit, no slab, no socket file.
"""

from __future__ import annotations

import array
import asyncio
import json
import logging
import os
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zmq

from eegd._native import lib
from eegd.attach import AttachServer
from eegd.inlet import AttachRequest
from eegd.libzmq import load_libzmq
from eegd.outlet import LANES, POLICIES, Outlet
from eegd.packet import MAX_PACKET_BYTES
from eegd.stream import Stream
from tests.fuzz.common import alive, deep_json, main, mutate_bytes, mutate_json, n_fds, odd_value, watched

N_CHANNELS, N_SAMPLES, RATE_SPS = 4, 2, 500
MAX_OPEN = 40
"""Connections that stay half-way through their handshake, or attached, at a time."""
ANSWER_S = 30.0
GOOD: dict[str, Any] = {"op": "attach", "protocol": 1, "name": "fuzz", "policy": "queue", "lane": "direct", "depth": 4}


class Writer:
    """A stream in threads of this process: the attach server's loop, and one that publishes."""

    def __init__(self, directory: Path) -> None:
        load_libzmq()
        self.logged: list[str] = []
        self.directory = directory
        self._ready = threading.Event()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (lambda: asyncio.run(self._serve()), self._publish)]
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.outlet = Outlet(
            "raw", n_slabs=20_000, n_channels=N_CHANNELS, slab_samples=N_SAMPLES, rate_sps=RATE_SPS, reserve=2
        )
        for thread in self._threads:
            thread.start()
        self._ready.wait()

    def _describe(self) -> Mapping[str, object]:
        channels = [{"label": f"E{index}"} for index in range(N_CHANNELS)]
        return {
            "name": "raw",
            "kind": "raw",
            "rate_sps": RATE_SPS,
            "frame_samples": N_SAMPLES,
            "frames_per_s": RATE_SPS / N_SAMPLES,
            "channels": channels,
        }

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, facts: self.logged.append(repr(facts)))
        self._end = asyncio.Event()
        self.server = AttachServer("raw", self.directory, self._context, self._describe, max_readers=32)
        self.server.begin_epoch(self.outlet)
        self._ready.set()
        await self._end.wait()

    def _publish(self) -> None:
        self._ready.wait()
        sample_index = 0
        while not self._over.wait(N_SAMPLES / RATE_SPS):
            slab = self.outlet.claim()
            assert slab is not None, "there was no slab, although no more were promised than there are"
            descriptor = lib.eegd_outlet_descriptor(self.outlet.pointer, slab)
            descriptor.sample_index, descriptor.n_samples = sample_index, N_SAMPLES
            self.outlet.planes(slab)[:] = sample_index
            self.outlet.publish(slab)
            sample_index += N_SAMPLES

    def call(self, function: Any) -> Any:
        """On the server's loop."""

        async def work() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(timeout=ANSWER_S)

    def close(self) -> None:
        """Checks that everybody's things came back before it ends."""
        deadline = time.monotonic() + ANSWER_S
        while (promised := self.call(self.outlet.stats).promised) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert promised == 0, f"{promised} credits are still promised although everybody has left"
        assert not self.call(lambda: list(self.server.readers)), "connections are left"
        self._over.set()
        self._threads[1].join()
        self.outlet.idle()
        stats = self.outlet.stats()
        assert (stats.free, stats.misses) == (stats.n_slabs, 0), stats
        files = sorted(path.name for path in self.directory.iterdir())
        assert files == ["raw.lock", "raw.stream"], files
        self.call(lambda: self.server.end_epoch("stopped"))
        self.call(self.server.close)
        self.call(self._end.set)
        self._threads[0].join()
        self._context.destroy(linger=0)
        assert not self.logged, "the event loop reported: " + "\n".join(self.logged[:3])


class Reader(threading.Thread):
    """One that behaves: takes every frame and looks at its number and content."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.stream = Stream(AttachRequest("raw", directory, "honest", depth=8192), timeout=ANSWER_S)
        self.over = threading.Event()
        self.n_taken = 0
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            number = None
            while not self.over.is_set():
                frame = self.stream.take()
                assert number is None or frame.frame_number == number + 1, (number, frame)
                assert (frame.data == frame.sample_index).all(), frame
                number = frame.frame_number
                self.n_taken += 1
            assert self.stream.missed == 0 and self.stream.n_epochs == 1
        except BaseException as error:
            self.error = error
        finally:
            self.stream.close()

    def finish(self) -> int:
        self.over.set()
        self.join()
        if self.error is not None:
            raise self.error
        return self.n_taken


def some_fds(rng: random.Random) -> list[int]:
    """Descriptors to go along: files, sockets, sealed memory."""
    fds = []
    for _ in range(rng.choice((1, 2, 2, 4, 5, 30))):
        kind = rng.randrange(4)
        if kind == 0:
            fds.append(os.memfd_create("fuzz", os.MFD_ALLOW_SEALING))
        elif kind == 1:
            fds.append(lib.eegd_page_create(4))
        elif kind == 2:
            fds.append(os.open("/dev/null", os.O_RDWR))
        else:
            fds.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).detach())
    return fds


def request(rng: random.Random) -> bytes:  # noqa: PLR0911 (one for each kind)
    """A packet: good, nearly good, or anything."""
    good = {**GOOD, "lane": rng.choice(LANES), "policy": rng.choice(POLICIES), "depth": rng.randrange(2, 40)}
    kind = rng.randrange(40)
    if kind == 0:
        return deep_json(rng, rng.choice(("op", "name", "depth", "depth_s", "x")))
    if kind == 1:
        size = rng.choice((1, 1000, MAX_PACKET_BYTES - 1, MAX_PACKET_BYTES, MAX_PACKET_BYTES + 1))
        return rng.randbytes(1) * size
    if kind == 2:
        return rng.randbytes(rng.randrange(1, 200))
    if kind == 3:
        return json.dumps(good).encode()
    if kind == 4:
        return json.dumps({"op": rng.choice(("describe", "quiet", "ready", "attached", "end"))}).encode()
    if kind == 5:
        del good["depth"]
        good[rng.choice(("depth", "depth_s"))] = odd_value(rng)
        return json.dumps(good).encode()
    if kind < 20:
        return mutate_bytes(rng, json.dumps(good).encode())
    if kind < 38:
        return json.dumps(mutate_json(rng, good)).encode()
    return json.dumps(odd_value(rng)).encode()


class Peer:
    """One hostile connection."""

    def __init__(self, rng: random.Random, path: Path) -> None:
        self.rng = rng
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection.settimeout(ANSWER_S)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MAX_PACKET_BYTES)
        self.connection.connect(str(path))
        self.is_attached = False

    def send(self, packet: bytes) -> str:
        """Sends it, mostly alone; returns what came of it."""
        fds = some_fds(self.rng) if self.rng.randrange(12) == 0 else []
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.connection.sendmsg([packet], ancillary)
        except (BrokenPipeError, ConnectionResetError):
            return "sent to a closed connection"
        finally:
            for fd in fds:
                os.close(fd)
        return self.answer(packet)

    def answer(self, packet: bytes) -> str:
        """The next one that matters. Silence is right only where nothing is to be said."""
        if self.is_attached and b'"quiet"' in packet:
            return "quiet"
        while True:
            try:
                data, ancillary, _, _ = self.connection.recvmsg(1 << 20, socket.CMSG_SPACE(16))
            except TimeoutError:
                raise AssertionError(f"no answer to {packet[:2000]!r}") from None
            except ConnectionResetError:
                return "reset"
            for _, _, content in ancillary:
                for fd in array.array("i", content):
                    os.close(fd)
            if not data:
                assert not packet, f"closed without a word after {packet[:2000]!r}"
                return "closed"
            answer = json.loads(data)
            if answer["op"] == "refused":
                assert answer["error"].strip() and len(answer["error"]) <= 1000, answer
                return "refused"
            if answer["op"] == "attached":
                self.is_attached = True
                return f"attached, {answer['lane']}"
            if answer["op"] == "description":
                return "described"
            assert answer["op"] in {"ready", "quieted"}, answer

    def disturb_pipe(self) -> str:
        """Speaks to the ZeroMQ endpoint, while there is one, in a language of its own."""
        paths = list(Path(str(self.connection.getpeername())).parent.glob("raw.*.zmq"))
        if not paths:
            return "no pipe to disturb"
        greeting = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL" + bytes(48)
        ready = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x04PULL"
        huge = b"\x02\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(100)
        data = self.rng.choice((greeting, greeting + ready, greeting + ready + huge, b""))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
            raw.settimeout(ANSWER_S)
            try:
                raw.connect(str(self.rng.choice(paths)))
                raw.sendall(mutate_bytes(self.rng, data) if self.rng.randrange(2) else data)
            except OSError:
                return "the pipe was gone"
        return "pipe disturbed"

    def close(self) -> None:
        self.connection.close()


def one_packet(rng: random.Random, path: Path, peers: list[Peer]) -> str:
    """From a peer that is there, or from a new one."""
    if len(peers) >= MAX_OPEN or (peers and rng.randrange(20) == 0):
        peers.pop(rng.randrange(len(peers))).close()
    if peers and rng.randrange(4) == 0:
        peer = rng.choice(peers)
        if rng.randrange(20) == 0:
            return peer.disturb_pipe()
    else:
        peer = Peer(rng, path)
        peers.append(peer)
    packet = request(rng)
    try:
        if rng.randrange(10) == 0:  # gone before the answer
            peer.connection.send(packet)
            result = "left at once"
        else:
            result = peer.send(packet)
    except (BrokenPipeError, ConnectionResetError):
        result = "sent to a closed connection"
    except AssertionError:
        print(f"packet: {packet[:2000]!r}", file=sys.stderr)
        raise
    if not result.startswith(("attached", "described", "quiet")):
        peers.remove(peer)
        peer.close()
    return result


def run(n: int, seed: int) -> Counter[str]:
    """n packets."""
    rng = random.Random(seed)
    outcome: Counter[str] = Counter()
    complaints = Complaints()
    with tempfile.TemporaryDirectory() as directory, watched():
        writer = Writer(Path(directory))
        try:
            reader = Reader(Path(directory))
            n_before = n_fds()
            peers: list[Peer] = []
            for _ in range(n):
                alive()
                outcome[one_packet(rng, Path(directory) / "raw.stream", peers)] += 1
            for peer in peers:
                peer.close()
            alive()
            n_after = settled_fds(n_before)
            outcome["frames to the honest reader, none missed"] = reader.finish()
            assert n_after <= n_before + 2, f"descriptors: {n_before} before, {n_after} after"
        finally:
            writer.close()
        asyncio.run(between_epochs(rng, Path(directory), n // 50))
        outcome["between epochs"] = n // 50
    complaints.check()
    return outcome


async def between_epochs(rng: random.Random, directory: Path, n: int) -> None:
    """n packets that arrive while no epoch is at hand; then one begins, and everybody leaves it."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, facts: complaints.append(facts))
    description = {"name": "raw", "channels": [], "frames_per_s": 250.0}
    server = AttachServer("raw", directory, context, lambda: description)
    while n > 0:
        alive()
        outlet = Outlet("raw", n_slabs=2000, n_channels=1, slab_samples=1, rate_sps=250)
        peers = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(8)]
        for peer in peers:
            peer.connect(str(directory / "raw.stream"))
            for _ in range(rng.randrange(1, 5)):
                good = json.dumps(rng.choice((GOOD, {**GOOD, "lane": "zeromq"}, {"op": "describe"}))).encode()
                peer.send(good if rng.randrange(4) else mutate_bytes(rng, good) or b"{}")
                n -= 1
        await asyncio.sleep(0.005 * rng.randrange(3))
        server.begin_epoch(outlet)
        for peer in peers:
            await asyncio.sleep(0.002 * rng.randrange(2))
            peer.close()
        deadline = time.monotonic() + ANSWER_S
        while (server.readers or outlet.stats().promised) and time.monotonic() < deadline:
            await asyncio.sleep(0.002)
            outlet.idle()
        assert not server.readers and outlet.stats().promised == 0, outlet.stats()
        server.end_epoch("stopped")
    server.close()
    context.destroy(linger=0)
    assert not complaints, complaints[:3]


def settled_fds(wanted: int) -> int:
    """Descriptors once the last peers have been reaped."""
    deadline = time.monotonic() + ANSWER_S
    while (found := n_fds()) > wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


class Complaints(logging.Handler):
    """What asyncio logs, which would be a bug of ours."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        logging.getLogger("asyncio").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))

    def check(self) -> None:
        logging.getLogger("asyncio").removeHandler(self)
        assert not self.texts, "\n".join(self.texts[:3])


if __name__ == "__main__":
    main("attach", run)
