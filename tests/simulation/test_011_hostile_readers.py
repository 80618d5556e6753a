"""Peers that do what no reader should: the daemon stays well, and other readers notice nothing."""

from __future__ import annotations

import array
import asyncio
import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from eegd.attach import AttachServer
from eegd.errors import AttachRefused
from eegd.outlet import Outlet
from eegd.packet import MAX_PACKET_BYTES, PROTOCOL, receive_packet, send_packet
from tests.simulation.reader_process import ReaderProcess, punch_hole
from tests.simulation.scenario import (
    SENDER,
    SMALL_BOARD,
    assert_complete,
    settled_descriptors,
    slabs_come_back,
    watched,
)

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

ATTACH = {"op": "attach", "protocol": PROTOCOL, "name": "hostile", "depth": 8}


@contextlib.contextmanager
def connection_to(daemon: DaemonProcess, name: str = "raw.stream") -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(10)
        connection.connect(str(daemon.directory / name))
        yield connection


def attach_by_hand(connection: socket.socket, **changes: object) -> tuple[dict[str, Any], list[int]]:
    send_packet(connection, {**ATTACH, **changes})
    received = receive_packet(connection, n_fds=2)
    assert received is not None
    return received


# ---- the segment ----


def try_to_write(segment: int, n_bytes: int) -> dict[str, int]:
    """The errno of each way to alter the segment, 0 where one worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

    def map_writable() -> None:
        mmap.mmap(segment, n_bytes, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE).close()

    def make_writable() -> None:
        address = libc.mmap(None, n_bytes, mmap.PROT_READ, mmap.MAP_SHARED, segment, 0)
        result = libc.mprotect(address, n_bytes, mmap.PROT_READ | mmap.PROT_WRITE)
        error = ctypes.get_errno()
        libc.munmap(address, n_bytes)
        if result < 0:
            raise OSError(error, "mprotect")

    def reopen_writable() -> None:
        fd = os.open(f"/proc/self/fd/{segment}", os.O_RDWR)
        try:
            os.pwrite(fd, b"x", 4096)
        finally:
            os.close(fd)

    def punch() -> None:
        if error := punch_hole(segment, n_bytes):
            raise OSError(error, "fallocate")

    ways: dict[str, Callable[[], object]] = {
        "mmap": map_writable,
        "mprotect": make_writable,
        "pwrite": lambda: os.pwrite(segment, b"x", 4096),
        "write": lambda: os.write(segment, b"x"),
        "reopen": reopen_writable,
        "shrink": lambda: os.ftruncate(segment, 4096),
        "grow": lambda: os.ftruncate(segment, 2 * n_bytes),
        "punch hole": punch,
        "extend": lambda: os.posix_fallocate(segment, n_bytes, 4096),
        "unseal": lambda: fcntl.fcntl(segment, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
    }
    results = {}
    for name, way in ways.items():
        try:
            way()
            results[name] = 0
        except OSError as error:
            results[name] = error.errno or -1
    return results


def test_no_reader_can_write_to_the_segment(daemon: DaemonFactory) -> None:
    d = daemon(SMALL_BOARD, wait_readers=2)
    with watched(d) as readers:
        with connection_to(d) as connection:
            _, (segment, page) = attach_by_hand(connection)
            n_bytes = os.fstat(segment).st_size
            results = try_to_write(segment, n_bytes)
            assert all(error in (errno.EPERM, errno.EACCES) for error in results.values()), results
            with pytest.raises(PermissionError):  # nor can the page be cut short under the writer
                os.ftruncate(page, 0)
            for fd in (segment, page):
                os.close(fd)
        slabs_come_back(d, 2)
        assert_complete(d, readers)


# ---- lease pages ----


@pytest.mark.parametrize(
    ("path", "lane"), [({}, "zeromq"), (SENDER, "direct")], ids=["capture, zeromq", "sender, direct"]
)
def test_a_reader_that_scribbles_over_its_lease_page_harms_only_itself(
    daemon: DaemonFactory, path: dict[str, object], lane: str
) -> None:
    d = daemon({**SMALL_BOARD, **path}, wait_readers=2)
    with watched(d) as readers:
        before = slabs_come_back(d, 2)["stream"]["pool"]
        policies = ("queue", "latest", "lossless")
        with contextlib.ExitStack() as stack:
            vandals = [
                stack.enter_context(
                    ReaderProcess(
                        "scribble", d.directory, lane=lane, depth=40, policy=policy, name=f"scribble-{policy}"
                    )
                )
                for policy in policies
            ]
            for vandal in vandals:
                vandal.hear("attached")

            def corrupt(status: dict[str, Any]) -> bool:
                rows = [row for row in status["stream"]["readers"] if row["name"].startswith("scribble")]
                return len(rows) == 3 and all(row["corrupt"] > 0 and row["missed"] > 100 for row in rows)

            d.wait_for(corrupt)
            vandals[0].kill()
            for vandal in vandals[1:]:
                vandal.tell("enough")
                vandal.result()
        pool = slabs_come_back(d, 2)["stream"]["pool"]
        assert pool["promised"] == before["promised"] and pool["misses"] == 0
        assert_complete(d, readers)


def test_readers_that_never_read_are_stopped_by_their_credit(daemon: DaemonFactory) -> None:
    d = daemon({**SMALL_BOARD, **SENDER}, wait_readers=2)
    options = [(lane, policy) for lane in ("zeromq", "direct") for policy in ("queue", "latest", "lossless")]
    with watched(d) as readers, contextlib.ExitStack() as stack:
        sleepers = [
            stack.enter_context(ReaderProcess("idle", d.directory, lane=lane, policy=policy, depth=16))
            for lane, policy in options
        ]
        for sleeper in sleepers:
            sleeper.hear("attached")

        def stuck(status: dict[str, Any]) -> bool:
            rows = [row for row in status["stream"]["readers"] if row["depth"] == 16]
            return len(rows) == 6 and all(row["missed"] > 100 for row in rows)

        status = d.wait_for(stuck)
        for row in status["stream"]["readers"]:
            if row["depth"] == 16:
                assert row["queued"] == (1 if row["policy"] == "latest" else 16)
                assert row["held"] == row["send_failed"] == row["corrupt"] == 0
        for sleeper in sleepers[:3]:
            sleeper.kill()
        for sleeper in sleepers[3:]:
            sleeper.tell("enough")
            sleeper.result()
        slabs_come_back(d, 2)
        assert_complete(d, readers)


# ---- handshakes ----


def test_half_done_handshakes_end_and_leave_nothing(daemon: DaemonFactory) -> None:
    d = daemon(SMALL_BOARD, wait_readers=2)
    with watched(d) as readers:
        slabs_come_back(d, 2)
        alone = settled_descriptors(d.pid)
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(connection_to(d)) for _ in range(2)]
            unconnected = [stack.enter_context(connection_to(d)) for _ in range(3)]
            for connection in unconnected:  # answered, but their PULL sockets never come
                for fd in attach_by_hand(connection)[1]:
                    os.close(fd)
            for connection in silent + unconnected:
                received = receive_packet(connection)
                assert received is not None and received[0]["op"] == "refused"
                assert "within 2 s" in received[0]["error"]
                assert receive_packet(connection) is None
        assert settled_descriptors(d.pid) == alone
        assert not list(d.directory.glob("raw.*.zmq"))
        assert_complete(d, readers)


def test_two_hundred_connections_at_once_do_no_harm(daemon: DaemonFactory) -> None:
    d = daemon(SMALL_BOARD, wait_readers=2)
    with watched(d) as readers:
        slabs_come_back(d, 2)
        alone = settled_descriptors(d.pid)
        for step in range(3):
            with contextlib.ExitStack() as stack:
                crowd = []
                for _ in range(200):
                    connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                    connection.connect(str(d.directory / "raw.stream"))
                    connection.settimeout(10)
                    crowd.append(connection)
                for connection in crowd:  # silent; then closed half-way through the answer; then garbage
                    with contextlib.suppress(OSError):
                        if step == 1:
                            send_packet(connection, ATTACH)
                        elif step == 2:
                            connection.send(os.urandom(64))
        assert settled_descriptors(d.pid) == alone
        status = slabs_come_back(d, 2)
        assert status["stream"]["pool"]["promised"] == 2000
        with d.connect().open(timeout=5) as stream:  # and there is room again
            assert stream.take().n_samples
        assert_complete(d, readers)


@pytest.mark.parametrize(
    ("name", "words"), [("raw.stream", json.dumps(ATTACH).encode()), ("control.sock", b"")], ids=["attach", "control"]
)
def test_a_crowd_that_lingers_does_not_keep_others_out(daemon: DaemonFactory, name: str, words: bytes) -> None:
    d = daemon(SMALL_BOARD)
    client = d.connect()
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            connection = stack.enter_context(connection_to(d, name))
            with contextlib.suppress(OSError):
                if words:
                    connection.send(words)
        for lane in ("zeromq", "direct"):
            with client.open(lane=lane, timeout=5) as stream:
                assert stream.take().n_samples
        assert client.ask("status")["status"]["pid"] == d.pid


def test_a_crowd_that_waits_for_an_epoch_does_not_keep_others_out(home: Path) -> None:
    async def scene() -> None:
        with zmq.Context() as context, contextlib.ExitStack() as stack:
            server = AttachServer("s", home, context, lambda: {"name": "s", "frames_per_s": 250.0}, max_readers=1)
            peers = []
            for _ in range(70):
                peer = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                peer.connect(str(home / "s.stream"))
                send_packet(peer, ATTACH)
                peers.append(peer)
                for _ in range(5):
                    await asyncio.sleep(0)
            await looks_until(lambda: select.select([peers[4]], [], [], 0)[0])
            packet, _ = receive_packet(peers[4]) or ({}, [])
            assert packet["op"] == "refused" and "too many connections" in packet["error"]
            assert not select.select([peers[-1]], [], [], 0)[0]  # the newest is waited with
            server.close()

    asyncio.run(scene())


def test_what_a_peer_asks_between_epochs_gives_it_one_place_at_most(home: Path) -> None:
    outlet = Outlet("s", n_slabs=64, n_channels=2, slab_samples=4, rate_sps=250)

    async def scene() -> None:
        with zmq.Context() as context:
            server = AttachServer("s", home, context, lambda: {"name": "s", "frames_per_s": 250.0})
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
                peer.connect(str(home / "s.stream"))
                send_packet(peer, {**ATTACH, "lane": "direct"})
                for _ in range(20):
                    send_packet(peer, {"op": "describe"})
                await looks_until(lambda: any(reader.depth for reader in server.readers))
                for _ in range(100):
                    await asyncio.sleep(0)
                server.begin_epoch(outlet)
                await looks_until(lambda: server.readers.n_active == 1, outlet.idle)
                assert outlet.stats().promised == 8 and len(server.readers.holders()) == 1
            await looks_until(lambda: outlet.stats().promised == 0, outlet.idle)
            server.end_epoch("stopped")
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
                peer.connect(str(home / "s.stream"))
                send_packet(peer, ATTACH)
                await looks_until(lambda: any(reader.depth for reader in server.readers))
                server.close()  # while one waits for an epoch that never comes

    asyncio.run(scene())


async def looks_until(condition: Callable[[], object], meanwhile: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        meanwhile()
        await asyncio.sleep(0.001)


WRONG_REQUESTS: dict[str, bytes] = {
    "nothing known": b'{"op":"explode"}',
    "no operation": b"{}",
    "operation of another type": b'{"op":["attach"]}',
    "not an object": b"[1,2,3]",
    "not JSON": b"attach please",
    "not UTF-8": b"\xff\xfe\x00",
    "nested deeply": b"[" * 100_000,
    "wrong protocol": b'{"op":"attach","protocol":2}',
    "no protocol": b'{"op":"attach"}',
    "protocol of another type": b'{"op":"attach","protocol":"1"}',
    "protocol true": b'{"op":"attach","protocol":true}',
    "name of another type": b'{"op":"attach","protocol":1,"name":7}',
    "unknown policy": b'{"op":"attach","protocol":1,"policy":"greedy"}',
    "unknown lane": b'{"op":"attach","protocol":1,"lane":"fast"}',
    "depth too small": b'{"op":"attach","protocol":1,"depth":1}',
    "depth too large": b'{"op":"attach","protocol":1,"depth":16385}',
    "depth negative": b'{"op":"attach","protocol":1,"depth":-1}',
    "depth immense": b'{"op":"attach","protocol":1,"depth":' + b"9" * 4000 + b"}",
    "depth beyond any int": b'{"op":"attach","protocol":1,"depth":' + b"9" * 10_000 + b"}",
    "depth fractional": b'{"op":"attach","protocol":1,"depth":8.5}',
    "both depths": b'{"op":"attach","protocol":1,"depth":8,"depth_s":1}',
    "depth in seconds no number": b'{"op":"attach","protocol":1,"depth_s":NaN}',
    "depth in seconds infinite": b'{"op":"attach","protocol":1,"depth_s":Infinity}',
    "depth in seconds immense": b'{"op":"attach","protocol":1,"depth_s":' + b"9" * 4000 + b"}",
    "quiet before attach": b'{"op":"quiet"}',
    "longest packet": b'{"op":"' + b"x" * (MAX_PACKET_BYTES - 9) + b'"}',
}


def test_every_wrong_request_is_refused_with_a_reason(daemon: DaemonFactory) -> None:
    d = daemon(SMALL_BOARD, wait_readers=2)
    with watched(d) as readers:
        slabs_come_back(d, 2)
        alone = settled_descriptors(d.pid)
        for what, data in WRONG_REQUESTS.items():
            with connection_to(d) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
                connection.send(data)
                received = receive_packet(connection)
                assert received is not None, what
                assert received[0]["op"] == "refused" and 5 < len(received[0]["error"]) <= 1000, what
                assert receive_packet(connection) is None, what
        assert settled_descriptors(d.pid) == alone
        assert_complete(d, readers)


def test_descriptors_that_nobody_asked_for_are_closed(daemon: DaemonFactory) -> None:
    d = daemon(SMALL_BOARD, wait_readers=2)
    with watched(d) as readers:
        slabs_come_back(d, 2)
        alone = settled_descriptors(d.pid)
        for name, request in (
            ("raw.stream", ATTACH),
            ("raw.stream", {"op": "describe"}),
            ("control.sock", {"op": "info"}),
        ):
            for n in (1, 2, 4, 5, 6, 100):
                with connection_to(d, name) as connection, open(os.devnull, "rb") as null:
                    fds = array.array("i", [null.fileno()] * n)
                    connection.sendmsg([json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
                    received = receive_packet(connection)
                    assert received is not None and "descriptors" in str(received[0]["error"])
        assert settled_descriptors(d.pid) == alone
        assert_complete(d, readers)


def test_a_reader_that_misbehaves_after_its_handshake_is_let_go(daemon: DaemonFactory) -> None:
    d = daemon(SMALL_BOARD, wait_readers=2)
    with watched(d) as readers:
        slabs_come_back(d, 2)
        alone = settled_descriptors(d.pid)
        for then in (json.dumps(ATTACH).encode(), b"garbage", b'{"op":"end"}', os.urandom(1000)):
            with connection_to(d) as connection:
                for fd in attach_by_hand(connection, lane="direct")[1]:
                    os.close(fd)
                received = receive_packet(connection)
                assert received is not None and received[0]["op"] == "ready"
                connection.send(then)  # a second attachment, and worse
                received = receive_packet(connection)
                assert received is not None and received[0]["op"] == "refused"
            slabs_come_back(d, 2)
        assert settled_descriptors(d.pid) == alone
        assert_complete(d, readers)


def test_a_peer_that_asks_without_end_and_never_listens_is_let_go(daemon: DaemonFactory) -> None:
    d = daemon(SMALL_BOARD, wait_readers=2)
    with watched(d) as readers:
        slabs_come_back(d, 2)
        alone = settled_descriptors(d.pid)
        for name, request in (("raw.stream", {"op": "describe"}), ("control.sock", {"op": "status"})):
            with connection_to(d, name) as connection, pytest.raises(OSError):
                for _ in range(100_000):
                    send_packet(connection, request)
        assert settled_descriptors(d.pid) == alone
        assert_complete(d, readers)


def test_a_second_pull_socket_takes_messages_of_its_own_reader_only(daemon: DaemonFactory) -> None:
    d = daemon(SMALL_BOARD, wait_readers=2)
    with watched(d) as readers, zmq.Context() as context:
        before = slabs_come_back(d, 2)["stream"]["pool"]
        with connection_to(d) as connection, context.socket(zmq.PULL) as first, context.socket(zmq.PULL) as second:
            answer, fds = attach_by_hand(connection, depth=32)
            for pull in (first, second):
                pull.linger = 0
                pull.setsockopt(zmq.RECONNECT_IVL, -1)
                pull.connect(answer["endpoint"])
            for fd in fds:
                os.close(fd)
            received = receive_packet(connection)
            assert received is not None and received[0]["op"] == "ready"
            path = answer["endpoint"].removeprefix("ipc://")
            assert not os.path.exists(path)  # whoever comes later finds no door
            d.wait_for(
                lambda s: any(row["name"] == "hostile" and row["queued"] == 32 for row in s["stream"]["readers"])
            )
        assert slabs_come_back(d, 2)["stream"]["pool"]["promised"] == before["promised"]
        assert_complete(d, readers)


def test_a_peer_that_pushes_into_the_pipe_harms_nobody(daemon: DaemonFactory) -> None:
    """Bytes that are no ZeroMQ, and floods of what is, on the endpoint of the peer's own attachment."""
    d = daemon(SMALL_BOARD, wait_readers=2)
    with watched(d) as readers:
        slabs_come_back(d, 2)
        alone = settled_descriptors(d.pid)
        for flood in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\xff" + bytes(8) + b"\x7f\x03" + os.urandom(4096)):
            with connection_to(d) as connection, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as pipe:
                answer, fds = attach_by_hand(connection)
                for fd in fds:
                    os.close(fd)
                pipe.connect(answer["endpoint"].removeprefix("ipc://"))
                pipe.settimeout(0.2)
                with contextlib.suppress(OSError):
                    for _ in range(64):
                        pipe.sendall(flood)
        slabs_come_back(d, 2)
        assert settled_descriptors(d.pid) == alone
        assert_complete(d, readers)


def test_odd_names_reach_logs_and_status_harmlessly(daemon: DaemonFactory) -> None:
    d = daemon(SMALL_BOARD, wait_readers=2)
    with watched(d) as readers:
        for name in (
            b'"\\ud800\\udfff"',
            b'"\\u001b[2J\\n\\r\\u0000"',
            b'"' + b"n" * 10_000 + b'"',
            b'""',
            '"µ✓"'.encode(),
        ):
            with connection_to(d) as connection:
                connection.send(b'{"op":"attach","protocol":1,"depth":8,"lane":"direct","name":' + name + b"}")
                received = receive_packet(connection, n_fds=2)
                assert received is not None
                for fd in received[1]:
                    os.close(fd)
                status = d.wait_for(lambda s: len(s["stream"]["readers"]) == 3)
                shown = next(row["name"] for row in status["stream"]["readers"] if row["depth"] == 8)
                assert len(shown) <= 64 and shown.isprintable()
            slabs_come_back(d, 2)
        assert "\x1b" not in d.stderr
        assert_complete(d, readers)


def test_places_run_out_with_a_list_of_who_holds_them(daemon: DaemonFactory) -> None:
    d = daemon({**SMALL_BOARD, "stream.max_readers": 5, "stream.pool_mb": 1.0}, wait_readers=2)
    with watched(d, depth=100) as readers:
        client = d.connect()
        slabs_come_back(d, 2)
        with contextlib.ExitStack() as stack:
            for i in range(3):
                stack.enter_context(client.open(lane=("zeromq", "direct")[i % 2], depth=8, name=f"guest{i}"))
            with pytest.raises(AttachRefused, match=r"all 5 places .*watch-zeromq.*guest0.*guest2"):
                client.open()
        with client.open(timeout=5) as stream:
            stream.take()
        n_slabs = d.status()["stream"]["pool"]["slabs"]
        with (
            contextlib.ExitStack() as stack,
            pytest.raises(AttachRefused, match=r"overcommit .*watch-direct \(pid \d+\) 100"),
        ):
            for _ in range(3):
                stack.enter_context(client.open(depth=min(16384, n_slabs // 3 + 1), lane="direct"))
        assert_complete(d, readers)
