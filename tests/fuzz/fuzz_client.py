"""A hostile daemon to a client: descriptions, answers, end packets, descriptors, frames, counters and events of any
kind. Whatever comes, the client's calls return what they promise or raise an EegdError; arrays stay in the segment."""

from __future__ import annotations

import array
import contextlib
import fcntl
import gc
import json
import mmap
import os
import random
import socket
import struct
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from eegd._native import lib
from eegd.client import Client
from eegd.counters import CounterReader, Counters
from eegd.errors import EegdError, ProtocolError, ReplayError
from eegd.frame import Frame
from eegd.handshake import describe_stream
from eegd.outlet import LANES, POLICIES
from eegd.replay import FORMATS, load_recording
from eegd.stream import Stream
from tests.fuzz.common import alive, deep_json, main, mutate_bytes, mutate_json, n_fds, odd_value, watched

N_SLABS, N_CHANNELS, N_SAMPLES, PLANE = 8, 2, 10, 64
SLABS_AT = 4096
SEGMENT_BYTES = 2 * 4096
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | getattr(fcntl, "F_SEAL_FUTURE_WRITE", 0x10)
DEPTH = 6
PAGE_BYTES = 4096
HEADER = struct.Struct("=QIIQQQQIIIIdQII")
DESCRIPTOR = struct.Struct("=QQqddqqQIIIIIIII")
MESSAGE = struct.Struct("=QIIQq")
DESCRIPTION: dict[str, Any] = {
    "name": "raw",
    "kind": "raw",
    "stream_epoch": 7,
    "rate_sps": 250.0,
    "frame_samples": N_SAMPLES,
    "delay_ns": 5,
    "flags": ["simulated"],
    "channels": [{"label": "Oz", "unit": "µV", "lsb_uv": 0.02, "sign": 1}, {"label": "Cz", "lsb_uv": 0.02, "sign": -1}],
}
END = {"op": "end", "reason": "stopped", "text": "", "frames": 5, "samples": 50, "next_sample": 50, "lost": 0}


def segment_image(rng: random.Random) -> bytearray:
    """A good segment, or one with something wrong in its header."""
    values: list[Any] = [0x3147455344474545, 1, 256, SEGMENT_BYTES, 256, 4096 + 0, PLANE * N_CHANNELS, PLANE]
    values += [N_SLABS, N_CHANNELS, N_SAMPLES, 250.0, 7, 0, 1]
    values[5] = -(-(256 + N_SLABS * 128) // 4096) * 4096
    image = bytearray(SEGMENT_BYTES)
    image[: HEADER.size] = HEADER.pack(*values)
    if rng.randrange(12) == 0:
        image[rng.randrange(HEADER.size)] ^= 1 << rng.randrange(8)
    return image


class HostileWriter:
    """Serves `raw.stream` and `control.sock` in threads: for each connection one script, made of its own dice."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.rng = random.Random(seed)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.push: zmq.Socket[bytes] = self.context.socket(zmq.PUSH)
        self.push.linger = 0
        self.push.bind(f"ipc://{directory}/p.zmq")
        self.listeners = {}
        for name, serve in (("raw.stream", self._attach), ("control.sock", self._control)):
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            listener.bind(str(directory / name))
            listener.listen(16)
            self.listeners[name] = listener
            threading.Thread(target=self._serve, args=(listener, serve), daemon=True).start()

    def close(self) -> None:
        for listener in self.listeners.values():
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.push.close(linger=0)
        self.context.destroy(linger=0)

    def _serve(self, listener: socket.socket, serve: Any) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    request = connection.recv(1 << 20)
                    if request:
                        serve(connection, json.loads(request))
                except OSError:
                    pass

    def _packet(self, good: Any, one_in: int = 3) -> bytes:
        """The packet as it should be, or not."""
        rng = self.rng
        if rng.randrange(one_in):
            return json.dumps(good).encode()
        kind = rng.randrange(8)
        if kind == 0:
            return deep_json(rng, "stream")
        if kind == 1:
            return mutate_bytes(rng, json.dumps(good).encode()) or b"{}"
        if kind == 2:
            return json.dumps(odd_value(rng)).encode()
        if kind == 3:
            return json.dumps(rng.choice((END, {"op": "refused"}, {"op": "refused", "error": odd_value(rng)}))).encode()
        return json.dumps(mutate_json(rng, good)).encode()

    def _send(self, connection: socket.socket, data: bytes, fds: list[int]) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        connection.sendmsg([data], ancillary)

    def _control(self, connection: socket.socket, request: dict[str, Any]) -> None:
        fds = [os.dup(0)] if self.rng.randrange(4) == 0 else []
        try:
            self._send(connection, self._packet({"ok": True, "stream": DESCRIPTION}), fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _attach(self, connection: socket.socket, request: dict[str, Any]) -> None:
        rng = self.rng
        if request["op"] == "describe":
            self._send(connection, self._packet({"op": "description", "stream": DESCRIPTION}, 1), [])
            return
        segment, page = os.memfd_create("s", os.MFD_ALLOW_SEALING), lib.eegd_page_create(DEPTH)
        os.ftruncate(segment, SEGMENT_BYTES)
        with mmap.mmap(segment, SEGMENT_BYTES) as map_of_segment, mmap.mmap(page, PAGE_BYTES) as map_of_page:
            map_of_segment[:] = bytes(segment_image(rng))
            if rng.randrange(30):
                fcntl.fcntl(segment, fcntl.F_ADD_SEALS, SEALS)
            fds = (
                [segment, page] if rng.randrange(30) else rng.choice(([], [page, segment], [segment], [0, 1, 2, page]))
            )
            answer = {
                "op": "attached",
                "protocol": 1,
                "stream": DESCRIPTION,
                "policy": request["policy"],
                "lane": request["lane"],
                "depth": DEPTH,
                "endpoint": f"ipc://{self.directory}/p.zmq" if request["lane"] == "zeromq" else None,
            }
            try:
                self._send(connection, self._packet(answer), fds)
            finally:
                os.close(segment)
                os.close(page)
            self._frames(map_of_segment, map_of_page, request["lane"] == "zeromq")
            self._send(connection, self._packet({"op": "ready"}, 6), [])
            self._frames(map_of_segment, map_of_page, request["lane"] == "zeromq")
            if rng.randrange(4):
                self._send(connection, self._packet({**END, "reason": rng.choice(("stopped", "failed"))}), [])

    def _frames(self, segment: mmap.mmap, page: mmap.mmap, with_messages: bool) -> None:
        """A few frames, most with something odd in them."""
        rng = self.rng
        for number in range(rng.randrange(8)):
            slab, word = number % N_SLABS, number % DEPTH
            if rng.randrange(6) == 0:
                slab, word = rng.randrange(N_SLABS), rng.randrange(DEPTH)
            values: list[Any] = [number, number * N_SAMPLES, 3, 4.0, 4e6, 5, 6, 0]
            values += [N_SAMPLES, N_CHANNELS, 1, 0, 0, 0, 0, 0]
            record = bytearray(DESCRIPTOR.pack(*values))
            for _ in range(rng.choice((0, 0, 0, 1, 2))):
                at = rng.choice((8, 24, 32, 48, 56, 64, 72, 76, 80, 84, 96 - 4))
                odd = rng.choice((0, 1, 2**63, 2**64 - 1, 2**63 - 1, 0x7FF8000000000000, 401, 11, 2**32 - 1))
                record[at : at + 8] = struct.pack("=Q", odd)
            segment[256 + 128 * slab : 256 + 128 * slab + len(record)] = bytes(record)
            segment[SLABS_AT + 128 * slab : SLABS_AT + 128 * slab + 128] = rng.randbytes(128)
            named = slab if rng.randrange(12) else rng.randrange(65536)
            page[192 + 8 * word : 200 + 8 * word] = struct.pack(
                "=Q", number << 18 | named << 2 | rng.choice((1, 1, 1, 1, 1, 1, 0, 2, 3))
            )
            page[64:68] = struct.pack("=I", number + 1)
            if with_messages:
                data = MESSAGE.pack(number, word if rng.randrange(8) else 2**32 - 1, slab, 0, 0)
                with contextlib.suppress(zmq.Again):
                    self.push.send(data if rng.randrange(8) else data[:31] * rng.randrange(3), zmq.DONTWAIT)


def use_stream(rng: random.Random, client: Client, outcome: Counter[str]) -> str:
    """Opens the stream and does what a program does with it."""
    kept = []
    with client.open("raw", policy=rng.choice(POLICIES), lane=rng.choice(LANES), depth=DEPTH, timeout=0.004) as stream:
        for _ in range(rng.randrange(1, 16)):
            try:
                if rng.randrange(4) == 0:
                    block = stream.read(rng.choice((0.04, 0.1)))
                    assert block.data.shape[1] == len(block.times_ns) == len(block.sample_index)
                    outcome["stream: blocks"] += 1
                    continue
                frame = stream.take()
            except ProtocolError:  # this one was no frame; the next one may be
                outcome["stream: no frame"] += 1
                continue
            look_at(frame, stream)
            outcome["stream: frames"] += 1
            if rng.randrange(3) == 0:
                kept.append(frame.data)
        for array_of_frame in kept:
            array_of_frame.tobytes()
    return "stream: used"


def look_at(frame: Frame, stream: Stream) -> None:
    """Everything that a frame can be asked."""
    assert frame.data.shape[0] == N_CHANNELS and 1 <= frame.data.shape[1] <= N_SAMPLES
    assert not frame.data.flags.writeable
    with np.errstate(all="ignore"):
        assert frame.copy().shape == frame.data.shape and len(frame.times_ns()) == len(frame)
        assert frame[stream.info.labels[-1]].shape == (len(frame),)
        assert set(frame.railed) | set(frame.lead_off) <= set(stream.info.labels)
        repr(frame), frame.flag_names, frame.wall_time_ns, frame.source, frame.status_or, stream.lag
        if len(stream.info.lsb_uv) == N_CHANNELS:
            frame.codes()


def one_call(
    rng: random.Random, client: Client, counters: CounterFuzz, files: ReplayFuzz, outcome: Counter[str]
) -> str:
    what = rng.choice(("stream", "describe", "ask", "counters", "replay"))
    try:
        if what == "stream":
            return use_stream(rng, client, outcome)
        if what == "describe":
            describe_stream(client.directory, "raw")
        elif what == "counters":
            counters.one(rng)
        elif what == "replay":
            files.one(rng)
        elif rng.randrange(2):
            client.ask("status")
        else:
            os.close(client.counters_fd())
    except EegdError as error:
        assert str(error).strip()
        return f"{what}: {type(error).__name__}"
    return f"{what}: returned"


class CounterFuzz:
    """Tables of counters with mutated bytes."""

    def __init__(self) -> None:
        with Counters(6) as table:
            for number in range(4):
                table.allocate(f"loss.{number}").add(number)
            size = os.fstat(table.fd).st_size
            with mmap.mmap(table.fd, size, prot=mmap.PROT_READ) as view:
                self.good = bytes(view)

    def one(self, rng: random.Random) -> None:
        data = bytearray(self.good)
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data) if rng.randrange(2) else 140)] = rng.randrange(256)
        fd = os.memfd_create("counters", os.MFD_ALLOW_SEALING)
        try:
            os.write(fd, data if rng.randrange(10) else data[: rng.randrange(len(data))])
            if rng.randrange(10):
                fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            with CounterReader(fd) as reader:
                assert all(label.isprintable() for label in reader.values())
        finally:
            os.close(fd)


class ReplayFuzz:
    """Recordings with mutated bytes, in every format of text."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "recording.txt"
        frame = bytes([0xC0, 0, 0, *range(24)])
        self.good = [
            ("\n".join(" ".join(f"{byte:02X}" for byte in frame) for _ in range(5)) + "\n").encode(),
            "\n".join(str(list(frame)) for _ in range(5)).encode(),
            b"time,Oz (uV),Cz (uV)\n0,1.5,2\n0.004,3,-4e1\n0.008,5,6\n",
            b"%OpenBCI Raw EXG Data\n%Number of channels = 2\n%Sample Rate = 250 Hz\n%Board = x\n"
            b"Sample Index, EXG Channel 0, EXG Channel 1, Timestamp\n0, 1.0, 2.0, 1\n1, 3.0, 4.0, 2\n",
            b"0       " + b" " * 160 + b"01.01.2001.01.01512     " + b" " * 44 + b"1       1       1   " + bytes(300),
        ]

    def one(self, rng: random.Random) -> None:
        data = rng.choice(self.good)
        self.path.write_bytes(mutate_bytes(rng, data) if rng.randrange(8) else data)
        try:
            recording = load_recording(self.path, rng.choice(("auto", *FORMATS)))
        except ReplayError as error:
            assert str(self.path) in str(error), error
            raise
        assert recording.n_samples >= 1


def run(n: int, seed: int) -> Counter[str]:
    """n calls of a client."""
    rng = random.Random(seed)
    outcome: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as directory, watched(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer = HostileWriter(Path(directory), seed)
        try:
            client = Client(Path(directory))
            counters, files = CounterFuzz(), ReplayFuzz(Path(directory))
            n_before = None
            for number in range(n):
                alive()
                outcome[one_call(rng, client, counters, files, outcome)] += 1
                client.close()
                if number == 200:
                    n_before = n_fds()
            gc.collect()
            time.sleep(0.2)
            assert n_before is None or n_fds() <= n_before + 16, (n_before, n_fds())
            assert lib.eegd_inlet_leases_held() == 0
        finally:
            writer.close()
    return outcome


if __name__ == "__main__":
    main("client", run)
