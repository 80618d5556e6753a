"""Events that other processes send: queued without waiting, counted whatever becomes of them, sent once."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from eegd import event_sender
from eegd.event_sender import QUEUE, EventSender
from eegd.packet import receive_packet, send_packet
from eegd.plugin import Plugin
from eegd.plugin_events import PluginEvents
from eegd.runtime_dir import CONTROL_SOCKET

WAIT_S = 20.0


class FakeDaemon:
    """A control socket that keeps what it is asked, and answers as it is told to."""

    def __init__(self, directory: Path, answer: Callable[[int], dict[str, object] | None]) -> None:
        self.events: list[dict[str, Any]] = []
        self.n_connections = 0
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(directory / CONTROL_SOCKET))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._connection = connection = self._listener.accept()[0]
                self.n_connections += 1
                with connection:
                    while (received := receive_packet(connection)) is not None:
                        assert received[0]["op"] == "post"
                        self.events.append(received[0]["event"])
                        answer = self._answer(len(self.events))
                        if answer is None:
                            break
                        send_packet(connection, answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[EventSender]:
    sender = EventSender(tmp_path, "tester")
    yield sender
    sender.close(WAIT_S)


def taken(n: int) -> dict[str, object]:
    return {"ok": True, "number": n}


def test_an_event_arrives_with_all_that_was_said_of_it(tmp_path: Path, sender: EventSender) -> None:
    daemon = FakeDaemon(tmp_path, taken)
    assert sender.post("detection", "blink", value=np.float32(2.5), sample_index=np.int64(7), fraction=0.25, time_ns=9)
    assert sender.flush(WAIT_S)
    assert daemon.events == [
        {
            "kind": "detection",
            "label": "blink",
            "value": 2.5,
            "sample_index": 7,
            "fraction": 0.25,
            "time_ns": 9,
            "source": "tester",
            "uncertainty_ns": None,
        }
    ]
    assert sender.facts() == {"posted": 1, "dropped": 0, "refused": 0, "depth": 0}
    daemon.close()


def test_an_event_without_sample_and_time_has_the_time_at_which_it_was_posted(
    tmp_path: Path, sender: EventSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eegd.event_sender.time.clock_gettime_ns", lambda clock: 12345)
    daemon = FakeDaemon(tmp_path, taken)
    sender.post("marker", "now")
    sender.post("marker", "then", sample_index=3)
    assert sender.flush(WAIT_S)
    assert [event["time_ns"] for event in daemon.events] == [12345, None]
    daemon.close()


def test_events_arrive_in_order_over_one_connection(tmp_path: Path, sender: EventSender) -> None:
    daemon = FakeDaemon(tmp_path, taken)
    for n in range(200):
        assert sender.post("detection", str(n))
    assert sender.flush(WAIT_S)
    assert [event["label"] for event in daemon.events] == [str(n) for n in range(200)]
    assert daemon.n_connections == 1
    daemon.close()


def test_an_event_posted_before_the_daemon_is_there_waits_for_it(tmp_path: Path, sender: EventSender) -> None:
    failed = threading.Event()
    connect = sender._connect

    def connect_and_tell() -> socket.socket:
        try:
            return connect()
        except OSError:
            failed.set()
            raise

    sender._connect = connect_and_tell  # type: ignore[method-assign]
    sender.post("detection", "early")
    assert failed.wait(WAIT_S)
    daemon = FakeDaemon(tmp_path, taken)
    assert sender.flush(WAIT_S)
    assert [event["label"] for event in daemon.events] == ["early"]
    daemon.close()


def test_a_daemon_that_stays_away_costs_events_that_are_counted_and_raises_nothing(
    sender: EventSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_sender, "KEEP_S", 0.0)
    monkeypatch.setattr(event_sender, "RETRY_S", 0.001)
    for n in range(5):
        sender.post("detection", str(n))
    assert sender.flush(WAIT_S)
    assert sender.facts() == {"posted": 0, "dropped": 5, "refused": 0, "depth": 0}


def test_a_full_queue_drops_the_newest_and_counts_them_exactly(tmp_path: Path, sender: EventSender) -> None:
    hold, came = threading.Event(), threading.Event()

    def answer(n: int) -> dict[str, object]:
        came.set()
        hold.wait(WAIT_S)
        return taken(n)

    daemon = FakeDaemon(tmp_path, answer)
    sender.post("detection", "in hand")
    assert came.wait(WAIT_S)
    assert [sender.post("detection", str(n)) for n in range(QUEUE + 3)] == [True] * QUEUE + [False] * 3
    hold.set()
    assert sender.flush(WAIT_S)
    assert sender.facts() == {"posted": QUEUE + 1, "dropped": 3, "refused": 0, "depth": 0}
    assert daemon.events[-1]["label"] == str(QUEUE - 1)
    daemon.close()


def test_a_refusal_is_counted_and_its_reason_logged_once(
    tmp_path: Path, sender: EventSender, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = FakeDaemon(tmp_path, lambda n: {"ok": False, "error": "kind 'odd' is the daemon's own"})
    for _ in range(3):
        sender.post("odd", "samples")
    assert sender.flush(WAIT_S)
    assert sender.n_refused == 3
    assert [record.message for record in caplog.records] == [
        "event 'samples' of tester was refused: kind 'odd' is the daemon's own"
    ]
    daemon.close()


def test_an_event_that_was_not_answered_is_not_sent_twice(tmp_path: Path, sender: EventSender) -> None:
    daemon = FakeDaemon(tmp_path, lambda n: None if n == 1 else taken(n))
    sender.post("detection", "unanswered")
    sender.post("detection", "next")
    assert sender.flush(WAIT_S)
    assert [event["label"] for event in daemon.events] == ["unanswered", "next"]
    assert sender.facts() == {"posted": 1, "dropped": 1, "refused": 0, "depth": 0}
    daemon.close()


def test_a_connection_that_the_daemon_dropped_while_idle_costs_no_event(tmp_path: Path, sender: EventSender) -> None:
    daemon = FakeDaemon(tmp_path, taken)
    sender.post("detection", "one")
    assert sender.flush(WAIT_S)
    assert sender._connection is not None
    sender._connection.shutdown(socket.SHUT_RDWR)
    sender.post("detection", "two")
    assert sender.flush(WAIT_S)
    assert ([event["label"] for event in daemon.events], daemon.n_connections) == (["one", "two"], 2)
    daemon.close()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"kind": "Loud!"}, "kind 'Loud!': short lower-case words"),
        ({"label": " "}, "kind 'detection' has no label"),
        ({"value": float("nan")}, "value nan of event 'x': a finite number"),
        ({"fraction": 1.0}, "fraction 1.0 of event 'x': from 0 to less than 1"),
    ],
)
def test_what_cannot_be_an_event_is_refused_where_it_is_posted(
    sender: EventSender, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        sender.post(**{"kind": "detection", "label": "x", **arguments})


class Odd:
    """No number."""

    def __repr__(self) -> str:
        return "<odd>"


@pytest.mark.parametrize(
    ("argument", "given", "error", "text"),
    [
        ("value", Odd(), TypeError, "value <odd> of event 'x': a number, not Odd"),
        ("value", "7", TypeError, "value '7' of event 'x': a number, not str"),
        ("value", np.ones(2), TypeError, "value array.* of event 'x': a number, not ndarray"),
        ("value", 1j, TypeError, "value 1j of event 'x': a number, not complex"),
        ("value", 10**400, ValueError, "value 1000.* of event 'x': too large"),
        ("value", np.float32("inf"), ValueError, "value inf of event 'x': a finite number"),
        ("sample_index", 7.5, ValueError, "sample_index 7.5 of event 'x': a whole number"),
        ("sample_index", float("nan"), ValueError, "sample_index nan of event 'x': a whole number"),
        ("sample_index", Odd(), TypeError, "sample_index <odd> of event 'x': a whole number"),
        ("fraction", "0", TypeError, "fraction '0' of event 'x': a number, not str"),
        ("time_ns", Odd(), TypeError, "time_ns <odd> of event 'x': a number, not Odd"),
        ("uncertainty_ns", "1", TypeError, "uncertainty_ns '1' of event 'x': a number, not str"),
        ("band", Odd(), TypeError, "band <odd> of event 'x': a number, text or boolean, or a list of these, not Odd"),
        ("band", {"a": 1}, TypeError, "band .* of event 'x': .* not dict"),
        ("band", [1, [2]], TypeError, "band .* of event 'x': .* not list"),
        ("band", np.array([1.0, np.nan]), ValueError, "band nan of event 'x': a finite number"),
    ],
)
def test_what_is_no_number_is_refused_where_it_is_posted_and_the_argument_is_named(
    sender: EventSender, argument: str, given: object, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        sender.post(**{"kind": "detection", "label": "x", argument: given})  # type: ignore[arg-type]
    assert sender.facts() == {"posted": 0, "dropped": 0, "refused": 0, "depth": 0}


def test_numbers_of_any_kind_arrive_as_plain_ones(tmp_path: Path, sender: EventSender) -> None:
    daemon = FakeDaemon(tmp_path, taken)
    facts: dict[str, Any] = {
        "channel": np.str_("O1"),
        "n": np.int16(3),
        "found": np.bool_(True),
        "sure": False,
        "power": np.array([1.5, 2.0], dtype=np.float32),
        "edges": (np.int64(2**62), 3.5, "to"),
        "nothing": None,
    }
    time_ns = 2**60 + 1
    sender.post("detection", "x", value=np.array(2.5), sample_index=np.float64(7), time_ns=time_ns, **facts)  # type: ignore[arg-type]
    assert sender.flush(WAIT_S)
    event = daemon.events[0]
    assert (event["value"], event["sample_index"], event["time_ns"]) == (2.5, 7, time_ns)
    assert {name: event[name] for name in facts} == {
        "channel": "O1",
        "n": 3,
        "found": True,
        "sure": False,
        "power": [1.5, 2.0],
        "edges": [2**62, 3.5, "to"],
        "nothing": None,
    }
    daemon.close()


def test_a_failure_while_sending_costs_one_event_and_not_the_thread(
    tmp_path: Path, sender: EventSender, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = FakeDaemon(tmp_path, taken)
    connect, n_calls = sender._connect, 0

    def connect_badly() -> socket.socket:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 1:
            raise RuntimeError("a fault of ours")
        return connect()

    monkeypatch.setattr(sender, "_connect", connect_badly)
    sender.post("detection", "lost")
    assert sender.flush(WAIT_S)
    sender.post("detection", "next")
    assert sender.flush(WAIT_S)
    assert [event["label"] for event in daemon.events] == ["next"]
    assert sender.facts() == {"posted": 1, "dropped": 1, "refused": 0, "depth": 0}
    assert "event 'lost' of tester could not be sent" in caplog.text
    daemon.close()


def test_an_event_too_long_for_a_packet_is_dropped_and_the_next_one_arrives(
    tmp_path: Path, sender: EventSender
) -> None:
    daemon = FakeDaemon(tmp_path, taken)
    sender.post("detection", "long", text="x" * 300_000)
    sender.post("detection", "next")
    assert sender.flush(WAIT_S)
    assert [event["label"] for event in daemon.events] == ["next"]
    assert sender.n_dropped == 1
    daemon.close()


def test_without_memory_for_its_thread_an_event_is_dropped_and_the_next_one_tries_again(
    tmp_path: Path, sender: EventSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert not sender.post("detection", "lost")
    assert (sender.n_dropped, sender.facts()["depth"]) == (1, 0)
    daemon = FakeDaemon(tmp_path, taken)
    assert sender.post("detection", "next")
    assert sender.flush(WAIT_S)
    assert [event["label"] for event in daemon.events] == ["next"]
    daemon.close()


# ---- what a plugin posts ----


class Caught:
    """Stands in for the sender."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def post(self, kind: str, label: str, **facts: Any) -> bool:
        self.events.append({"kind": kind, "label": label, **facts})
        return True


def frame_of(stream: str, kind: str, *, index: int, source: int = 0, **described: str) -> Any:
    """Ten samples at 1 kHz that begin at this index; `source`: what the frame names in the stream it came from."""
    info = SimpleNamespace(stream=stream, kind=kind, description=described)
    return SimpleNamespace(
        info=info,
        sample_index=index,
        n_samples=10,
        time_ns=5e9,
        period_ns=1e6,
        source=SimpleNamespace(sample_index=source),
    )


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    plugin = Plugin()
    plugin._events = PluginEvents(tmp_path, "plugin")
    plugin._events.sender = Caught()  # type: ignore[assignment]
    return plugin


def posted(plugin: Plugin) -> dict[str, Any]:
    assert plugin._events is not None
    event: dict[str, Any] = plugin._events.sender.events[-1]  # type: ignore[attr-defined]
    return event


@pytest.mark.parametrize(
    ("frame", "stream", "index"),
    [
        (frame_of("raw", "raw", index=100), "raw", 103),
        (frame_of("raw-2", "raw", index=100), "raw-2", 103),
        (frame_of("a", "filtered", index=100, source=740, input="raw-2", raw_stream="raw-2"), "raw-2", 743),
        (frame_of("b", "filtered", index=100, source=60, input="a", raw_stream="raw-2"), "raw-2", None),
        (frame_of("c", "features", index=100, source=740, input="raw", raw_stream="raw"), "raw", None),
    ],
)
def test_an_event_names_its_sample_in_the_raw_stream_where_that_is_known_and_always_its_time(
    plugin: Plugin, frame: Any, stream: str, index: int | None
) -> None:
    assert plugin._events is not None
    plugin._events.frame = frame
    plugin.post("spike", value=4, sample_index=103, fraction=0.5)
    event = posted(plugin)
    assert (event["stream"], event["sample_index"], event["fraction"]) == (stream, index, 0.5 if index else 0.0)
    assert (event["kind"], event["source"], event["value"]) == ("detection", "plugin", 4)
    assert event["time_ns"] == 5_003_500_000


def test_an_event_without_a_sample_is_about_the_last_one_of_the_frame(plugin: Plugin) -> None:
    assert plugin._events is not None
    plugin._events.frame = frame_of("raw", "raw", index=100)
    plugin.post("seen")
    assert (posted(plugin)["sample_index"], posted(plugin)["time_ns"]) == (109, 5_009_000_000)


def test_an_event_outside_of_process_has_a_time_and_no_sample(plugin: Plugin) -> None:
    plugin.post("started", kind="plugin", time_ns=77)
    assert posted(plugin) == {
        "kind": "plugin",
        "label": "started",
        "value": None,
        "time_ns": 77,
        "source": "plugin",
    }


def test_a_plugin_that_is_called_by_hand_may_post() -> None:
    Plugin().post("into nothing")


def test_what_is_no_number_is_refused_in_the_plugin_s_own_call(plugin: Plugin) -> None:
    assert plugin._events is not None
    plugin._events.frame = frame_of("raw", "raw", index=100)
    with pytest.raises(TypeError, match="sample_index <odd> of event 'spike': a whole number"):
        plugin.post("spike", sample_index=Odd())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="fraction <odd> of event 'spike': a number, not Odd"):
        plugin.post("spike", sample_index=3, fraction=Odd())  # type: ignore[arg-type]
