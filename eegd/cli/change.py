"""Changes to a running daemon: what changed, and what it cost in time without data."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Mapping
from typing import Any

from eegd.cli.common import OK
from eegd.cli.text import duration
from eegd.client import Client
from eegd.counters import CounterReader
from eegd.errors import DaemonNotRunning, EegdError, StreamLost
from eegd.runtime_dir import CONTROL_SOCKET
from eegd.status import summary_line

__all__ = ["await_end", "change", "stop"]

EPOCH_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.02


def change(client: Client, operation: str, **arguments: object) -> int:
    """Asks for a change, waits until it holds, and says what it did. Raises EegdError with the daemon's reason."""
    status = client.ask("status")["status"]
    without_data_ns = {stream["name"]: stream["without_data_ns"] for stream in status["streams"]}
    before = client.ask("info")["streams"]
    answer = client.ask(operation, 10.0, **arguments)
    gaps_ns = {}
    for stream, n_epochs in answer["epochs"].items():
        gaps_ns[stream] = _await_epoch(client, stream, n_epochs, without_data_ns[stream])
    after = client.ask("info")["streams"]
    for key in answer["changed"]:
        was, now = _value_in(before, key), _value_in(after, key)
        told = was != now and None not in (was, now)
        print(f"{key}: {_shown(was)} → {_shown(now)}" if told else f"{key}: changed")
    for key in answer.get("needs_restart", ()):
        print(f"{key}: changed in the file, but needs a restart of the daemon")
    if not answer["changed"] and not answer.get("needs_restart"):
        print("nothing to change")
    for stream, gap_ns in gaps_ns.items():
        of_which = f" of {stream}" if len(after) > 1 else ""
        print(f"new stream epoch{of_which} after {duration(gap_ns / 1e9)} without data")
    return OK


def _await_epoch(client: Client, name: str, n_epochs: int, without_data_ns: int) -> int:
    """Time without data, in ns."""
    deadline = time.monotonic() + EPOCH_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            status = client.ask("status")["status"]
        except (DaemonNotRunning, StreamLost):
            raise EegdError("the daemon ended while it was being reconfigured; see its log") from None
        stream = next(stream for stream in status["streams"] if stream["name"] == name)
        if stream["epochs"] > n_epochs:
            return int(stream["without_data_ns"] - without_data_ns)
        time.sleep(POLL_S)
    raise EegdError(f"no new stream epoch within {EPOCH_TIMEOUT_S:g} s; see `eegctl status` and the daemon's log")


def _value_in(descriptions: list[dict[str, Any]], key: str) -> object:
    """As value_of_key, of the first stream that knows."""
    values = (value_of_key(description, key) for description in descriptions)
    return next((value for value in values if value is not None), None)


def value_of_key(description: Mapping[str, Any], key: str) -> object:
    """What a stream's description says about a configuration key, as far as it does."""
    table, _, name = key.partition(".")
    if table == "stream":
        return f"{description.get('frame_samples')} samples"
    if table == "montage" and name.startswith("channel."):
        label, _, field = name.removeprefix("channel.").rpartition(".")
        rows = [row for row in description.get("channels", ()) if row.get("label") == label]
        return rows[0].get(field) if rows else None
    return description.get(name)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def stop(client: Client) -> int:
    """Stops the daemon, waits for its end and says its totals, which outlive it in the counters' memory."""
    pid = int(client.ask("info")["pid"])
    fd = client.counters_fd()
    with CounterReader(fd) as counters:
        os.close(fd)
        client.ask("stop")
        await_end(client, pid)
        print(summary_line(counters.values()))
    return OK


def await_end(client: Client, pid: int) -> None:
    """Waits until the daemon's process has gone. Raises EegdError where it stays."""
    with contextlib.suppress(OSError):  # gone already, or in another pid namespace
        pidfd = os.pidfd_open(pid)
        try:
            if select.select([pidfd], [], [], STOP_TIMEOUT_S)[0]:
                return
        finally:
            os.close(pidfd)
        raise EegdError(f"process {pid} has not ended within {STOP_TIMEOUT_S:g} s")
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while (client.directory / CONTROL_SOCKET).exists():
        if time.monotonic() > deadline:
            raise EegdError(f"the daemon has not ended within {STOP_TIMEOUT_S:g} s")
        time.sleep(POLL_S)
