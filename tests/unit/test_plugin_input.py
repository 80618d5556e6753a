"""Waiting for the stream that a plugin reads, and for its rest."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

from eegd.errors import StreamEnded
from eegd.handshake import describe_stream
from eegd.output_thread import OutputThread
from eegd.plugin_counts import Counts
from eegd.plugin_input import PluginInput

WAIT_S = 60.0


def test_one_that_reads_a_stream_without_an_epoch_hears_the_request_to_stop(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describe_stream, "__defaults__", (1000.0,))
    with contextlib.ExitStack() as stack:
        writer, ours = OutputThread("raw", directory), OutputThread("reader", directory)
        stack.callback(writer.close)
        stack.callback(ours.close)
        counts = Counts()
        source = PluginInput("raw", directory, "reader", ours, counts)
        opened: list[object] = []
        opening = threading.Thread(target=lambda: opened.append(source.open()), daemon=True)
        opening.start()
        while not writer.server._pending:
            pass
        ours.stopping.set()
        opening.join(WAIT_S)
        assert opened == [None]
        assert counts.state == "waiting for input"


def test_the_rest_is_worked_off_without_waiting_and_not_for_ever(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = OutputThread("reader", directory)
    source = PluginInput("raw", directory, "reader", ours, Counts())
    assert source.patience_left() == 0
    monkeypatch.setattr("eegd.plugin_input.time.monotonic", lambda: float("inf"))
    with pytest.raises(StreamEnded):
        source.patience_left()
    ours.close()
