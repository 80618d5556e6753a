"""Packets: what comes in is checked, and descriptors never leak."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegd.errors import ProtocolError
from eegd.packet import MAX_PACKET_BYTES, decode_packet, receive_packet, send_packet, value_of


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        right.settimeout(5)
        yield left, right


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_packet_and_its_descriptors_arrive_together(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    fd = os.memfd_create("passed")
    send_packet(left, {"op": "attached", "depth": 4}, [fd, fd])
    received = receive_packet(right, n_fds=2)
    assert received is not None
    packet, fds = received
    assert packet == {"op": "attached", "depth": 4}
    assert all(os.fstat(got).st_ino == os.fstat(fd).st_ino and not os.get_inheritable(got) for got in fds)
    for open_fd in (fd, *fds):
        os.close(open_fd)


def test_end_of_file_is_none(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    left.close()
    assert receive_packet(right) is None


@pytest.mark.parametrize("data", [b"{", b"[]", b"null", b"\xff\xfe", b'"op"', b"[" * 100_000])
def test_what_is_no_json_object_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_packet(data)


@pytest.mark.real_cpu("gives the kernel more room for descriptors than was asked for, and keeps those that do not fit")
def test_descriptors_that_nobody_asked_for_are_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    fd = os.memfd_create("unwanted")
    before = open_fds()
    for n_sent in (1, 4, 9):
        socket.send_fds(left, [b"{}"], [fd] * n_sent)
        with pytest.raises(ProtocolError):
            receive_packet(right)
    assert open_fds() == before
    os.close(fd)


def test_descriptors_without_a_packet_are_refused_and_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    before = open_fds()
    socket.send_fds(left, [b"not json"], [0, 1])
    with pytest.raises(ProtocolError):
        receive_packet(right, n_fds=2)
    assert open_fds() == before


def test_a_packet_longer_than_the_limit_is_refused(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_PACKET_BYTES)
    left.send(b'{"name": "' + b"x" * MAX_PACKET_BYTES + b'"}')
    with pytest.raises(ProtocolError, match="longer than"):
        receive_packet(right)
    with pytest.raises(ProtocolError, match="longer than"):
        send_packet(left, {"name": "x" * MAX_PACKET_BYTES})


def test_a_value_of_the_wrong_type_is_named() -> None:
    assert value_of({"depth": 3}, "depth", int) == 3
    assert value_of({}, "depth", int, 7) == 7
    for wrong in ("3", True, None, [3], 3.5):
        with pytest.raises(ProtocolError, match=r"'depth' is .*, wanted int"):
            value_of({"depth": wrong}, "depth", int, 7)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_packet_or_a_protocol_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert isinstance(decode_packet(data), dict)
