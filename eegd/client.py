"""`eegd.connect()`: the way into the local daemon for an analysis program."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eegd.errors import DaemonNotRunning, EegdError, ParamError, ProtocolError, StreamLost
from eegd.event_values import plain_of
from eegd.events import subscribed
from eegd.frame import StreamInfo
from eegd.handshake import describe_stream
from eegd.inlet import AttachRequest
from eegd.packet import decode_packet, reason_of, receive_packet, send_packet
from eegd.params import no_parameter
from eegd.remote_params import Applied, as_word, ask_params, set_params
from eegd.runtime_dir import CONTROL_SOCKET, find_dir, served_streams
from eegd.stream import Stream

__all__ = ["Client", "connect"]


def connect(runtime_dir: str | Path | None = None) -> Client:
    """Connects to the local daemon: in `runtime_dir`, else EEGD_RUNTIME_DIR, else this user's own, else the system's.

    Raises DaemonNotRunning.
    """
    directory = Path(runtime_dir) if runtime_dir is not None else find_dir()
    client = Client(directory)
    client.ask("info")
    return client


class Client:
    """A connection to one daemon's runtime directory. Nothing stays open but the streams that you open.

    Threads: any, one call at a time.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._streams: list[Stream] = []

    @property
    def info(self) -> StreamInfo:
        """Channels, labels, gains, rate, units and montage of the raw stream, as they are now. While the
        chips are being recovered: as they were before, and `outage` says why there are no samples."""
        return describe_stream(self.directory, "raw")

    def streams(self) -> list[str]:
        """Names of the streams that can be opened now."""
        return served_streams(self.directory)

    def describe(self, stream: str) -> StreamInfo:
        return describe_stream(self.directory, stream)

    def open(
        self,
        stream: str = "raw",
        *,
        policy: str = "queue",
        depth: int | None = None,
        seconds: float | None = None,
        lane: str = "zeromq",
        timeout: float | None = None,
        name: str | None = None,
    ) -> Stream:
        """Attaches to a stream. depth: credit in frames, or `seconds`; half a second where neither is given.

        timeout: seconds that taking a frame waits (None: without limit). name: shown in the daemon's status.
        Raises AttachRefused with the writer's reason, DaemonNotRunning, ProtocolError, ValueError. While the chips are
        being recovered it waits for them as long as `timeout` says (None: 5 s), then raises StreamLost, which says
        what they suffer from.
        """
        request = AttachRequest(
            stream,
            self.directory,
            name or _program_name(),
            policy=policy,
            lane=lane,
            depth=depth,
            depth_s=seconds,
        )
        opened = Stream(request, timeout)
        self._streams = [stream for stream in self._streams if not stream.closed]
        self._streams.append(opened)
        return opened

    def get(self, plugin: str, parameter: str | None = None) -> Any:
        """The parameters of a running plugin as a dict, or the value of one. Raises EegdError."""
        values = ask_params(self.directory, plugin).values
        if parameter is None:
            return values
        if parameter not in values:
            raise ParamError(f"{plugin}: {no_parameter(parameter, values)}")
        return values[parameter]

    def set(self, plugin: str, /, *words: object, **values: object) -> Applied:
        """Sets parameters of a running plugin, all together between two frames: `eeg.set("filter", 1, high=45)`.

        What has no name belongs to the parameters that the plugin declares as positional, in their order. Returns the
        input frame from which the values hold. Raises ParamError with what is allowed; then nothing has changed.
        """
        return set_params(self.directory, plugin, [as_word(word) for word in words], values)

    def ask(self, operation: str, timeout: float = 10.0, **arguments: object) -> dict[str, Any]:
        """One request to the daemon's control socket, and its answer. Raises EegdError with the daemon's reason."""
        packet, fds = self._exchange({"op": operation, **arguments}, 0, timeout)
        assert not fds
        return packet

    def counters_fd(self) -> int:
        """The memfd of the daemon's counters (see eegd.counters.CounterReader); the caller closes it."""
        _, fds = self._exchange({"op": "counters"}, 1, 10.0)
        return fds[0]

    def _exchange(self, request: dict[str, object], n_fds: int, timeout: float) -> tuple[dict[str, Any], list[int]]:
        path = self.directory / CONTROL_SOCKET
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect(str(path))
                send_packet(connection, request)
                received = receive_packet(connection, n_fds)
            except TimeoutError:
                raise StreamLost(f"{path}: no answer to {request['op']!r} within {timeout:g} s") from None
            except OSError as error:
                if isinstance(error, PermissionError):
                    raise DaemonNotRunning(f"{path}: only the daemon's user and group may connect") from None
                remedy = f"Start it there with: eegd run --runtime-dir {self.directory}"
                raise DaemonNotRunning(f"{path}: {error.strerror}; is the daemon running? {remedy}") from None
        if received is None:
            raise StreamLost(f"{path}: the daemon closed the connection")
        packet, fds = received
        if packet.get("ok") is not True:
            for fd in fds:
                os.close(fd)
            raise EegdError(reason_of(packet, "the daemon refused without a reason"))
        if len(fds) != n_fds:
            raise ProtocolError(f"{path}: {len(fds)} descriptors, wanted {n_fds}")
        return packet, fds

    def mark(
        self,
        label: str,
        *,
        value: float | None = None,
        time_ns: int | None = None,
        uncertainty_ns: int | None = None,
        sample_index: int | None = None,
        stream: str = "raw",
        kind: str = "marker",
    ) -> dict[str, Any]:
        """Puts a marker among the daemon's events, and returns the event: its number, sample_index and fraction, time.

        It happened at time_ns (CLOCK_MONOTONIC, as `time.monotonic_ns()`, known to ± uncertainty_ns), at a sample of
        the raw stream `stream`, or now: when this is called. Where the daemon cannot tell the sample, sample_index
        is None and `no_sample` says why. Raises EegdError for what it refuses, TypeError for what is no plain value.
        """
        now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        event = {
            "kind": kind,
            "label": label,
            "value": plain_of("value", value, label),
            "time_ns": plain_of("time_ns", time_ns, label),
            "now_ns": now_ns,
            "uncertainty_ns": plain_of("uncertainty_ns", uncertainty_ns, label),
            "sample_index": plain_of("sample_index", sample_index, label),
            "stream": stream,
            "source": _program_name()[:64],
        }
        return dict(self.ask("post", event=event)["event"])

    def events(self, timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """Events as they happen: dicts with kind, label, time_ns, sample_index and more. Ends at a timeout (s).

        Raises ProtocolError for what is no event.
        """
        with subscribed(self.directory) as subscriber:
            while subscriber.poll(None if timeout is None else int(timeout * 1000)):
                yield decode_packet(subscriber.recv())

    def close(self) -> None:
        """Closes every stream opened here."""
        for stream in self._streams:
            stream.close()
        self._streams.clear()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _program_name() -> str:
    stem = Path(sys.argv[0]).stem
    return "python" if stem in ("", "-c", "-") else stem
