"""What a reader makes of a writer's answers, whatever they are."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eegd.errors import AttachRefused, DaemonNotRunning, EegdError, ProtocolError, StreamEnded, StreamLost
from eegd.handshake import answer, ask, has_answer, info_of, open_stream_socket, outage_of
from eegd.packet import send_packet

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Reader and writer."""
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with reader, writer:
        yield reader, writer


@pytest.mark.parametrize(
    ("packet", "error", "text"),
    [
        ({"op": "refused", "error": "no place"}, AttachRefused, "no place"),
        ({"op": "refused"}, AttachRefused, "refused without a reason"),
        ({"op": "end", "reason": "stopped"}, StreamEnded, "stopped"),
        ({"op": "end", "reason": "restarted"}, StreamLost, "its epoch ended while attaching"),
        ({"op": "ready"}, ProtocolError, "answer 'ready', wanted 'attached'"),
        ({}, ProtocolError, "answer None"),
    ],
)
def test_an_answer_that_is_another_one_says_what_became_of_it(
    pair: Pair, packet: dict[str, Any], error: type[EegdError], text: str
) -> None:
    reader, writer = pair
    send_packet(writer, packet)
    with pytest.raises(error, match=text):
        answer(reader, "raw", "attached")


def test_descriptors_that_came_with_a_wrong_answer_are_closed(pair: Pair) -> None:
    reader, writer = pair
    ours, theirs = os.pipe()
    send_packet(writer, {"op": "attached"}, [theirs])
    os.close(theirs)
    with pytest.raises(ProtocolError):
        answer(reader, "raw", "attached", n_fds=2)
    assert os.read(ours, 1) == b"", "else the pipe would still have a writer"
    os.close(ours)


def test_a_writer_that_is_gone_is_a_lost_stream_on_either_way(pair: Pair) -> None:
    reader, writer = pair
    writer.close()
    with pytest.raises(StreamLost, match="'raw'"):
        answer(reader, "raw", "attached")
    with pytest.raises(StreamLost, match="'raw'"):
        ask(reader, "raw", {"op": "describe"})


def test_whoever_gives_up_waits_for_no_answer(pair: Pair) -> None:
    reader, writer = pair
    asked = []

    def gives_up() -> bool:
        asked.append(True)
        return len(asked) > 1

    assert not has_answer(reader, 3600, gives_up)
    send_packet(writer, {"op": "ready"})
    assert has_answer(reader, 3600, lambda: False)


@pytest.mark.parametrize("packet", [{}, {"stream": None}, {"stream": {}}, {"stream": {"name": "raw", "channels": 8}}])
def test_a_garbled_description_is_none(packet: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match="lacks or garbles"):
        info_of(packet)


def test_a_stream_that_is_not_there_has_no_outage_and_the_answer_names_others(directory: Path) -> None:
    (directory / "filter.stream").touch()
    with pytest.raises(DaemonNotRunning, match=r"filtr\.stream: No such file.*There are the streams filter \(did you"):
        open_stream_socket(directory, "filtr")
    assert outage_of(directory, "filtr") == ""
