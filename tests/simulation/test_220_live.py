"""Parameters changed while a real daemon runs: from which frame they hold, and what readers see of it."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eegd.cli.eegctl import main as eegctl
from eegd.errors import EegdError, ParamError
from eegd.packet import receive_packet, send_packet
from tests.simulation.test_200_plugins import folder_with, forget_tracebacks, open_when_there

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory

REAL = {"sim.clock": "real", "sim.source": "pattern"}

PICK = """
from eegd.plugin import Outputs, Param, Plugin
class Pick(Plugin):
    channels = Param("all", kind="channels")
    lag = Param(0.0, min=0, max=1, unit="s")
    def outputs(self, info):
        if self.lag == 0.5:
            return Outputs(labels=(), rate_sps=info.rate_sps)
        return Outputs(labels=self.channels, rate_sps=info.rate_sps, delay_s=self.lag)
    def changed(self, names):
        if self.lag == 0.25:
            raise RuntimeError("not a quarter")
        self.start(self.info)
    def process(self, frame, out):
        out[:] = frame.data[: len(self.channels)]
"""


def test_a_gain_holds_from_the_frame_that_the_answer_names(daemon: DaemonFactory) -> None:
    process = daemon({**REAL, "plugins.run": ("template",)})
    client = process.connect()
    stream = open_when_there(client, "template", policy="queue", seconds=5)
    raw = client.open("raw", seconds=5)
    answers = [client.set("template", gain=gain) for gain in (2, -3, 0.5)]
    assert [answer.changed for answer in answers] == [("gain",)] * 3
    last = answers[-1].frame_number
    assert last is not None
    inputs = {}
    for frame in raw:
        inputs[frame.frame_number] = frame.copy()
        if frame.frame_number == last + 2:
            break
    n_seen = 0
    for frame in stream:
        number = frame.source.frame_number
        if number > last + 2:
            break
        gain = next((a.values["gain"] for a in reversed(answers) if number >= (a.frame_number or 0)), 1.0)
        if number in inputs:
            np.testing.assert_array_equal(frame.data, np.float32(gain) * inputs[number])
            n_seen += 1
    assert n_seen > 3
    assert stream.missed == 0
    assert client.get("template") == {"gain": 0.5}
    assert client.get("template", "gain") == 0.5
    assert client.describe("template").description["params"] == {"gain": 0.5}
    process.stop()


def test_a_change_of_the_outputs_begins_a_new_epoch_and_any_other_does_not(daemon: DaemonFactory, home: Path) -> None:
    folder = folder_with(home, pick=PICK)
    process = daemon({**REAL, "plugins.run": ("pick",), "plugins.dirs": (folder,)})
    client = process.connect()
    stream = open_when_there(client, "pick", seconds=5)
    stream.take()
    labels = stream.info.labels
    answer = client.set("pick", channels=labels[1])
    frame = next(frame for frame in stream if frame.info.labels == labels[1:2])
    assert frame.source.frame_number == answer.frame_number
    assert (frame.sample_index, frame.source.missed, stream.n_epochs) == (0, 0, 2)
    answer = client.set("pick", lag=0.1)
    frame = next(frame for frame in stream if frame.info.description["own_delay_ns"])
    assert (frame.source.frame_number, stream.n_epochs) == (answer.frame_number, 3)
    with pytest.raises(ParamError, match="pick: RuntimeError on a change of lag: not a quarter"):
        client.set("pick", lag=0.25)
    with pytest.raises(ParamError, match=r"outputs\(\): labels are \(\); at least one"):
        client.set("pick", lag=0.5)
    with pytest.raises(ParamError, match="pick: channels: no channel Nose"):
        client.set("pick", "channels=Nose")
    for _ in range(5):
        number = stream.take().source.frame_number
        assert stream.take().source.frame_number == number + 1
    assert (stream.n_epochs, stream.missed) == (3, 0)
    assert client.get("pick") == {"channels": [labels[1]], "lag": 0.1}
    process.stop()
    forget_tracebacks(process)


def test_in_a_chain_all_stages_take_a_change_from_one_frame_or_none_does(daemon: DaemonFactory) -> None:
    text = '[plugins.clean]\nchain = ["louder=template", "filter"]\n[plugins.clean.filter]\nlow = 0\nhigh = 0\n'
    process = daemon({**REAL, "plugins.run": ("clean",)}, text=text)
    client = process.connect()
    stream = open_when_there(client, "clean", seconds=5)
    raw = client.open("raw", seconds=5)
    with pytest.raises(ParamError, match="a band from 50 to 30 Hz"):
        client.set("clean", **{"louder.gain": 9, "filter.low": 50, "filter.high": 30})
    answer = client.set("clean", "louder.gain=2", **{"filter.fade": 0})
    assert set(answer.changed) == {"louder.gain", "filter.fade"}
    inputs = {}
    for frame in raw:
        inputs[frame.frame_number] = frame.copy()
        if frame.frame_number == (answer.frame_number or 0) + 3:
            break
    factors = {}
    for frame in stream:
        number = frame.source.frame_number
        if number > (answer.frame_number or 0) + 3:
            break
        if number in inputs:
            factors[number] = 2 if number >= (answer.frame_number or 0) else 1
            np.testing.assert_allclose(frame.data, factors[number] * inputs[number], rtol=1e-6)
    assert {1, 2} == set(factors.values())
    process.stop()


def test_a_change_is_an_event_with_the_sample_from_which_it_holds(daemon: DaemonFactory) -> None:
    process = daemon({**REAL, "plugins.run": ("template",)})
    client = process.connect()
    open_when_there(client, "template").close()
    answer = client.set("template", gain=4)

    def told(status: object) -> Any:
        events = client.ask("recent_events")["events"]
        return next((event for event in events if event["kind"] == "parameter"), None)

    process.wait_for(told)
    event = told(None)
    assert (event["label"], event["value"], event["source"]) == ("gain 1 → 4", 4.0, "template")
    assert event["sample_index"] == answer.sample_index
    process.stop()


def test_set_and_get_on_the_command_line(daemon: DaemonFactory, capsys: pytest.CaptureFixture[str]) -> None:
    process = daemon({**REAL, "plugins.run": ("bandpower",)})
    client = process.connect()
    open_when_there(client, "bandpower").close()
    where = ["--runtime-dir", str(process.directory)]
    assert eegctl(["set", *where, "bandpower", "length=1", "relative:yes"]) == 0
    out = capsys.readouterr().out
    assert "length: 2 → 1 s\nrelative: false → true\nfrom input frame " in out
    assert eegctl(["get", *where, "bandpower"]) == 0
    assert "length    1 s    " in capsys.readouterr().out
    assert eegctl(["get", *where, "bandpower", "step", "--json"]) == 0
    assert capsys.readouterr().out == "0.2\n"
    assert eegctl(["set", *where, "bandpower", "length=99"]) == 1
    assert "bandpower: length = 99: a number from 0.25 to 30 s" in capsys.readouterr().err
    assert eegctl(["set", *where, "raw", "gain=1"]) == 1
    assert "stream 'raw' is no plugin's" in capsys.readouterr().err
    assert eegctl(["get", *where, "nobody"]) == 1
    assert "no plugin 'nobody' runs here; there are the streams bandpower, raw" in capsys.readouterr().err
    process.stop()


def test_odd_requests_are_refused_and_the_plugin_goes_on(daemon: DaemonFactory) -> None:
    process = daemon({**REAL, "plugins.run": ("template",)})
    client = process.connect()
    stream = open_when_there(client, "template", seconds=5)
    for request in (
        {"op": "set", "values": {"gain": [1] * 1000}},
        {"op": "set", "values": 3},
        {"op": "set", "words": [None]},
        {"op": "set", "values": {"x" * 5000: 1}},
        {"op": "set"},
        {"op": "get"},
        {"op": ["set"]},
    ):
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as connection:
            connection.connect(str(process.directory / "template.stream"))
            connection.settimeout(10)
            send_packet(connection, request)
            received = receive_packet(connection)
            assert received is not None
            assert received[0].get("ok") is False or received[0]["op"] == "refused", request
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as connection:
        connection.connect(str(process.directory / "template.stream"))
        send_packet(connection, {"op": "set", "values": {"gain": 7}})  # and away, without hearing the answer
    frame = next(frame for frame in stream if client.get("template", "gain") == 7)
    assert frame.missed == 0
    with pytest.raises(EegdError, match="is no plugin's"):
        client.set("raw", gain=1)
    process.stop()
