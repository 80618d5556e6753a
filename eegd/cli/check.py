"""`eegctl check`: electrodes before a recording, and on request the chip's own test signal and its noise."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegd.block import BlockBuilder
from eegd.cli.common import FAILED, OK, Stopper, need_rich
from eegd.cli.start import INTERRUPTED
from eegd.client import Client
from eegd.electrode_check import RED, Samples, Thresholds, check_electrodes, worst
from eegd.errors import DaemonNotRunning, EegdError, StreamEnded, StreamLost, WaitTimeout
from eegd.frame import Frame
from eegd.self_test import check_shorted, check_test_signal, expected_square, typical_noise_uv

__all__ = ["Measurement", "check", "exit_code", "switched_board"]

SLICE_S, QUIET_S = 0.25, 5.0
DEPTH_S = 2.0
SETTLE_S = 0.5
"""Dropped after the inputs were switched."""
CHANGE_S = 20.0
POLL_S = 0.02
TEST_SPEED, TEST_AMPLITUDE = "fast", 1
VERSION = 1


class _Interrupted(Exception):
    """A signal asked for the end."""


class Measurement:
    """Collects frames of one stream epoch, and how many of them had which mask bit set. One thread."""

    def __init__(self, frame: Frame) -> None:
        self.info = frame.info
        self.flags = frame.flag_names
        self.builder = BlockBuilder()
        self.n_frames = 0
        self._masks = np.zeros((3, len(frame.info.labels)), np.int64)
        self._bits = np.arange(len(frame.info.labels))

    @property
    def n_samples(self) -> int:
        return self.builder.n_samples

    def add(self, frame: Frame) -> None:
        self.builder.add(frame)
        self.n_frames += 1
        descriptor = frame.descriptor
        for row, mask in enumerate((descriptor.railed, descriptor.near_rail, descriptor.lead_off)):
            if mask:
                self._masks[row] += mask >> self._bits & 1

    def samples(self) -> tuple[Samples, int]:
        """What was collected, and how many samples are missing in it."""
        block = self.builder.cut(self.n_samples)
        n = block.data.shape[1]
        span_s = (block.times_ns[-1] - block.times_ns[0]) / 1e9
        steps = int(block.sample_index[-1] - block.sample_index[0])
        shares: NDArray[np.float64] = self._masks / max(1, self.n_frames)
        facts = self.info.description
        senses = facts.get("board", {}).get("lead_off_mode") == "dc"  # the comparators see no tone
        sensed = np.array([senses and bool(row.get("lead_off")) for row in facts["channels"]])
        samples = Samples(
            data=block.data,
            rate_sps=steps / span_s if n > 1 and span_s > 0 else self.info.rate_sps,
            breaks=tuple(gap.position for gap in block.gaps),
            railed=shares[0],
            near_rail=shares[1],
            lead_off=np.where(sensed, shares[2], np.nan),
        )
        return samples, sum(gap.n_samples for gap in block.gaps)


def measure(client: Client, stream: str, seconds: float, stopper: Stopper, settle_s: float = 0.0) -> Measurement:
    """So many seconds of samples of one epoch; begins again where a new one begins. Raises EegdError."""
    policy = "lossless" if client.describe(stream).description.get("virtual_clock") else "queue"
    taken: Measurement | None = None
    quiet_s = 0.0
    with client.open(stream, policy=policy, seconds=DEPTH_S, name="eegctl check") as frames:
        while taken is None or taken.n_samples < round(seconds * taken.info.rate_sps):
            if stopper.stopped:
                raise _Interrupted
            try:
                frame = frames.take(SLICE_S)
            except WaitTimeout:
                quiet_s += SLICE_S
                if quiet_s >= QUIET_S:
                    raise EegdError(f"no samples of {stream!r} for {QUIET_S:g} s; see `eegctl status`") from None
                continue
            except StreamEnded as end:
                raise EegdError(f"{end}, before {seconds:g} s of samples had come") from None
            quiet_s = 0.0
            if taken is None or taken.info is not frame.info:
                if taken is not None:
                    print("eegctl: a new stream epoch: measuring again", file=sys.stderr)
                taken, skip = Measurement(frame), round(settle_s * frame.info.rate_sps)
            if skip > 0:
                skip -= frame.n_samples
                continue
            taken.add(frame)
    return taken


# ---- the chip's own signals ----


@contextlib.contextmanager
def switched_board(client: Client) -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Gives a function that switches keys of [board] and waits for the new epoch. In the end, however it comes, they
    are what they were: EegdError says so where that cannot be done."""
    before = client.info.description["board"]
    touched: dict[str, str] = {}

    def switch(settings: Mapping[str, str]) -> None:
        for name in settings:
            touched.setdefault(name, str(before[name]))
        _change(client, settings)

    try:
        yield switch
    finally:
        if touched:
            try:
                _change(client, touched)
            except (DaemonNotRunning, StreamLost):
                raise  # it starts again with what its file says
            except EegdError as error:
                words = " ".join(f"{name}={value}" for name, value in touched.items())
                raise EegdError(f"the board is not what it was: {error}; run `eegctl board {words}`") from error


def _change(client: Client, settings: Mapping[str, str]) -> None:
    """Changes [board] and waits until that holds and samples come. Raises EegdError."""
    deadline = time.monotonic() + CHANGE_S
    while True:
        try:
            answer = client.ask("board", settings=dict(settings))
            break
        except (DaemonNotRunning, StreamLost):
            raise
        except EegdError as error:
            if "try again in a moment" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(POLL_S)
    while not _have_begun(client, answer["epochs"]):
        if time.monotonic() > deadline:
            raise EegdError(f"no new stream epoch within {CHANGE_S:g} s; see `eegctl status` and the daemon's log")
        time.sleep(POLL_S)
    found = client.info.description["board"]
    wrong = [name for name, value in settings.items() if str(found[name]) != value]
    if wrong:
        raise EegdError(f"[board] {', '.join(wrong)} did not change: the chips refused; see the daemon's log")


def _have_begun(client: Client, epochs_before: Mapping[str, int]) -> bool:
    """Whether each of these streams has begun another epoch."""
    n_epochs = {stream["name"]: stream["epochs"] for stream in client.ask("status")["status"]["streams"]}
    return all(n_epochs[name] > before for name, before in epochs_before.items())


def self_tests(client: Client, args: argparse.Namespace, stopper: Stopper) -> dict[str, Any]:
    """`test_signal` and `shorted`, as far as asked for: rows of all channels."""
    result: dict[str, Any] = {}
    with switched_board(client) as switch:
        if args.test_signal:
            switch({"input": "test_signal", "test_signal": TEST_SPEED, "test_amplitude": str(TEST_AMPLITUDE)})
            rows = []
            for taken in _measure_flagged(client, args, stopper, "test signal"):
                expected = expected_square(taken.info.rate_sps, TEST_SPEED, TEST_AMPLITUDE)
                rows += _labelled(taken, check_test_signal(taken.samples()[0], taken.info.description, expected))
            result["test_signal"] = {"channels": rows}
        if args.shorted:
            switch({"input": "shorted"})
            rows = []
            for taken in _measure_flagged(client, args, stopper, "shorted"):
                rows += _labelled(taken, check_shorted(taken.samples()[0], taken.info.description))
            result["shorted"] = {"channels": rows}
    return result


def _labelled(taken: Measurement, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, with the stream epoch that they are of."""
    return [{"stream": taken.info.stream, "stream_epoch": taken.info.stream_epoch, **row} for row in rows]


def _measure_flagged(client: Client, args: argparse.Namespace, stopper: Stopper, flag: str) -> list[Measurement]:
    all_taken = _measure_all(client, args, stopper, SETTLE_S)
    if any(flag not in taken.flags for taken in all_taken):
        raise EegdError(f"frames are not flagged {flag!r}: somebody has changed the board meanwhile; check again")
    return all_taken


# ---- the check ----


def _measure_all(
    client: Client, args: argparse.Namespace, stopper: Stopper, settle_s: float = 0.0
) -> list[Measurement]:
    """Every raw stream of the board at the same time, a thread for each."""
    names = list(client.info.description.get("streams", ["raw"]))

    def take(name: str) -> Measurement:
        return measure(Client(client.directory), name, args.seconds, stopper, settle_s)

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(take, names))


def check_now(client: Client, args: argparse.Namespace, stopper: Stopper) -> dict[str, Any]:
    """Measures and judges; the result as plain JSON types."""
    board_input = client.info.description["board"]["input"]
    if board_input != "electrodes":
        raise EegdError(f"[board] input = {board_input!r}: no electrode is measured; `eegctl board input=electrodes`")
    limits = Thresholds()
    given = {name: getattr(args, name) for name in asdict(limits) if getattr(args, name) is not None}
    limits = replace(limits, **given)
    began = datetime.now(UTC)
    streams, rows = [], []
    for taken in _measure_all(client, args, stopper):
        samples, n_missing = taken.samples()
        facts = taken.info.description
        noise = [typical_noise_uv(facts["rate_sps"], row["gain"]) for row in facts["channels"]]
        rows += _labelled(taken, check_electrodes(samples, facts, limits, noise))
        streams.append(
            {
                "name": taken.info.stream,
                "stream_epoch": taken.info.stream_epoch,
                "samples": samples.data.shape[1],
                "missing_samples": n_missing,
                "effective_sps": samples.rate_sps,
            }
        )
    result: dict[str, Any] = {
        "version": VERSION,
        "time": began.isoformat(timespec="milliseconds"),
        "seconds": args.seconds,
        "rate_sps": facts["rate_sps"],
        "flags": list(taken.info.flags),
        "montage": {key: facts.get(key) for key in ("reference", "ground", "scheme", "wiring", "mains_hz")},
        "thresholds": asdict(limits),
        "streams": streams,
        "channels": rows,
    }
    if args.test_signal or args.shorted:
        result |= self_tests(client, args, stopper)
    result["verdict"] = worst([row["verdict"] for row in all_rows(result)])
    return result


def all_rows(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Rows of all parts of a result."""
    parts = [result, *(result[name] for name in ("test_signal", "shorted") if name in result)]
    return [row for part in parts for row in part["channels"]]


def exit_code(result: Mapping[str, Any]) -> int:
    return FAILED if result["verdict"] == RED else OK


def check(client: Client, args: argparse.Namespace) -> int:
    """The command. Exit code 1 where something is red; yellow asks for a look and is 0."""
    if not args.json:
        need_rich("eegctl check without --json")
    if args.last:
        result = client.ask("last_check")["check"]
        if result is None:
            raise EegdError("no check has been kept yet; run `eegctl check`")
    else:
        with Stopper() as stopper:
            try:
                result = check_now(client, args, stopper)
            except _Interrupted:
                print("eegctl: interrupted, nothing was kept", file=sys.stderr)
                return INTERRUPTED
        path = client.ask("keep_check", result=result)["path"]
    if args.json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return exit_code(result)
    from eegd.cli.check_view import check_view
    from eegd.cli.tables import console

    console().print(check_view(result))
    if not args.last:
        console().print(f"kept for the next recording: {path}", style="dim", soft_wrap=True)
    return exit_code(result)
