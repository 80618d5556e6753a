"""`eegctl mark "text"`: puts a marker among the daemon's events."""

from __future__ import annotations

import argparse
import json
from typing import Any

from eegd.cli.common import OK, number, whole_number
from eegd.cli.text import count, duration
from eegd.client import Client
from eegd.errors import EegdError
from eegd.near import meant

__all__ = ["add_arguments", "run_mark"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="+", metavar="TEXT", help="what happened; several words make one text")
    parser.add_argument("--value", metavar="V", type=number, help="a number that goes with it")
    when = parser.add_mutually_exclusive_group()
    when.add_argument(
        "--time-ns", metavar="NS", type=whole_number, help="when it happened, on CLOCK_MONOTONIC; else now"
    )
    when.add_argument("--sample", metavar="I", type=whole_number, help="the sample at which it happened")
    parser.add_argument("--uncertainty-ns", metavar="NS", type=whole_number, help="how well its time is known")
    parser.add_argument("--stream", metavar="NAME", default="raw", help="the raw stream whose samples are meant (raw)")
    parser.add_argument("--kind", metavar="K", default="marker", help="kind of the event (marker)")
    parser.add_argument("--json", action="store_true", help="the event as JSON")


def run_mark(client: Client, args: argparse.Namespace) -> int:
    """Marks, and prints which sample that was."""
    raw = [str(stream["name"]) for stream in client.ask("info")["streams"]]
    if args.stream not in raw:
        hint = meant(args.stream, raw)
        raise EegdError(
            f"{args.stream!r} is no raw stream{hint}; there are {', '.join(raw)}: marks count their samples"
        )
    event = client.mark(
        " ".join(args.text),
        value=args.value,
        time_ns=args.time_ns,
        uncertainty_ns=args.uncertainty_ns,
        sample_index=args.sample,
        stream=args.stream,
        kind=args.kind,
    )
    print(json.dumps(event, ensure_ascii=False) if args.json else mark_text(event))
    return OK


def mark_text(event: dict[str, Any]) -> str:
    """`event 12: eyes closed, at sample 1 234.56 of raw, ± 2 µs`"""
    head = f"event {event['number']}: {event['label']}"
    index, known_ns = event["sample_index"], event["uncertainty_ns"]
    if index is None:
        return f"{head}, at no sample: {event['no_sample']}"
    fraction = f"{event['fraction']:.2f}".removeprefix("0") if event["fraction"] < 0.995 else ".99"
    known = "" if known_ns is None else f", ± {duration(known_ns / 1e9)}"
    return f"{head}, at sample {count(index)}{fraction} of {event['stream']}{known}"
