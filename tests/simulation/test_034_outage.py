"""A board that is unplugged: what clients are told while the daemon tries to get it back."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from eegd.attach import AttachServer
from eegd.cli.eegctl import main as eegctl
from eegd.errors import StreamLost
from eegd.packet import receive_packet, send_packet

if TYPE_CHECKING:
    from pathlib import Path

    from eegd.stream import Stream
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

SMALL = {"sim.source": "pattern", "sim.clock": "real"}
UNPLUGGED = {"kind": "HANG_UP", "at": 50}
CAUSE = "board error (No such device): attempt "


def unplugged(daemon: DaemonFactory) -> DaemonProcess:
    """A daemon that has lost its board and cannot open it again."""
    process = daemon(SMALL, faults=[UNPLUGGED])
    process.wait_for(lambda status: status["recovery"]["attempts"] >= 2)
    return process


def epochs_of(process: DaemonProcess) -> list[int]:
    events = process.connect().ask("recent_events")["events"]
    return [event["stream_epoch"] for event in events if event["kind"] == "epoch"]


def test_a_description_is_given_at_once_and_says_what_is_wrong(
    daemon: DaemonFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    process = unplugged(daemon)
    (epoch,) = epochs_of(process)
    info = process.connect().info
    assert (info.rate_sps, info.stream_epoch, len(info.labels)) == (250, epoch, 8)
    assert info.outage.startswith(CAUSE) and "No such file or directory, since" in info.outage
    assert eegctl(["--runtime-dir", str(process.directory), "info", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["state"] == "recovering" and described["state_text"].startswith(CAUSE)
    assert eegctl(["--runtime-dir", str(process.directory), "info"]) == 0
    assert "recovering" in capsys.readouterr().out


@pytest.mark.parametrize("timeout", [0.0, 0.5])
def test_opening_waits_as_long_as_asked_and_then_names_what_is_recovered_from(
    daemon: DaemonFactory, timeout: float
) -> None:
    process = unplugged(daemon)
    client = process.connect()
    with pytest.raises(StreamLost) as seen:
        client.open(timeout=timeout)
    assert str(seen.value).startswith(f"stream 'raw': no samples within {timeout:g} s; recovering: {CAUSE}")
    assert client.ask("status")["status"]["recovery"]["recovering"]


def test_opening_during_an_outage_succeeds_when_the_board_comes_back(daemon: DaemonFactory) -> None:
    process = unplugged(daemon)
    client = process.connect()
    opened: list[Stream] = []
    opening = threading.Thread(target=lambda: opened.append(client.open(timeout=60)))
    opening.start()
    process.config_file.with_name("plugged-in").touch()
    opening.join()
    (stream,) = opened
    process.wait_for(lambda status: status["epochs"] == 2)
    assert stream.info.stream_epoch == epochs_of(process)[1] == client.info.stream_epoch
    assert stream.info.outage == client.info.outage == ""
    assert stream.take().n_samples > 0


def test_who_waits_for_a_description_gets_it_when_a_change_turns_into_an_outage(home: Path) -> None:
    description: dict[str, object] = {"name": "raw", "frames_per_s": 250.0, "state": "running"}

    async def work() -> dict[str, Any]:
        server = AttachServer("raw", home, context, lambda: description)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
                peer.connect(str(home / "raw.stream"))
                send_packet(peer, {"op": "describe"})
                for _ in range(20):  # turns of the loop: connected, heard
                    await asyncio.sleep(0)
                server.tell_waiting()
                peer.setblocking(False)
                with pytest.raises(BlockingIOError):  # a change takes a moment only: it waits
                    receive_packet(peer)
                description["state"] = "recovering"
                server.tell_waiting()
                received = receive_packet(peer)
                assert received is not None
                return received[0]
        finally:
            server.close()

    with zmq.Context() as context:
        answer = asyncio.run(work())
    assert answer == {"op": "description", "stream": {**description, "stream_epoch": 0}}


def test_a_plugin_that_waits_for_samples_during_an_outage_still_ends_in_order(daemon: DaemonFactory) -> None:
    process = daemon({**SMALL, "plugins.run": ("template",)}, wait_readers=1, faults=[UNPLUGGED])
    process.wait_for(lambda status: status["recovery"]["attempts"] >= 2 and status["plugins"][0]["frames_out"])
    process.connect().ask("plugin_remove", 20.0, name="template")
    log = process.stderr
    assert "it is killed" not in log
    assert "template: stopped; " in log
