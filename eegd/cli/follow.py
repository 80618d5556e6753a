"""`eegctl events`: what has happened lately, and what happens from now on, each event once."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

from eegd.cli.common import OK, Stopper
from eegd.cli.text import PLACEHOLDER, count, duration, short, wall_clock
from eegd.client import Client
from eegd.errors import DaemonNotRunning, StreamLost
from eegd.event_kinds import DAEMON_KINDS
from eegd.events import subscribed
from eegd.near import meant
from eegd.packet import decode_packet

__all__ = ["Sequence", "event_text", "show_events"]

POLL_MS = 500
SHOWN_ELSEWHERE = (
    *("number", "kind", "label", "value", "sample_index", "fraction"),
    *("time_ns", "wall_time_ns", "source", "uncertainty_ns", "stream_epoch"),
)


def event_text(event: dict[str, Any]) -> str:
    """`14:03:27.512  reader attached   spectra  (policy queue, depth 125)`"""
    facts = [_fact(key, value) for key, value in event.items() if value and key not in SHOWN_ELSEWHERE]
    sample, label = event.get("sample_index"), event["label"]
    where = "" if sample is None else f"  sample {count(int(sample))}"
    more = f"  ({', '.join(facts)})" if facts else ""
    source = event.get("source") or PLACEHOLDER
    by = "" if re.match(rf"{re.escape(source)}(?![\w.-])", label) else f"{source}: "
    clock = wall_clock(float(event["wall_time_ns"]))
    return f"{clock}  {event['kind']:<15}  {by}{label}{_value_text(event)}{where}{more}"


def _value_text(event: dict[str, Any]) -> str:
    """` = 17.5`; empty where the label says it already."""
    value = event.get("value")
    if value is None or event["kind"] == "parameter" or re.search(rf"(?<![\w.])-?{value:g}(?![\w.])", event["label"]):
        return ""
    is_whole = float(value).is_integer() and abs(value) < 1e15
    return f" = {count(int(value))}" if is_whole else f" = {short(float(value))}"


def _fact(key: str, value: object) -> str:
    words = key.removesuffix("_ns").replace("_", " ")
    if key.endswith("_ns") and isinstance(value, (int, float)):
        return f"{words} {duration(value / 1e9)}"
    return f"{words} {value:g}" if isinstance(value, float) else f"{words} {value}"


class Sequence:
    """Puts events in order by their numbers: none twice, and none missing that the daemon still keeps."""

    def __init__(self) -> None:
        self._last: dict[str, Any] | None = None

    def take(self, event: dict[str, Any]) -> bool:
        """Whether this event is the next one; it is then taken as seen."""
        if self._last is not None and event["number"] != self._last["number"] + 1:
            return False
        self._last = event
        return True

    def fresh(self, recent: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of the daemon's own list that have not been seen; all of it where this is another daemon."""
        last = self._last
        if last is not None and recent:
            same = any(e["number"] == last["number"] and e["time_ns"] == last["time_ns"] for e in recent)
            if same or recent[0]["number"] > last["number"]:
                recent = [event for event in recent if event["number"] > last["number"]]
        self._last = recent[-1] if recent else last
        return recent


def _recent(client: Client) -> list[dict[str, Any]]:
    return list(client.ask("recent_events")["events"])


def show_events(client: Client, args: argparse.Namespace) -> int:
    """Recent events; with --follow also those to come, over restarts of the daemon, until a signal."""

    def show(events: list[dict[str, Any]]) -> None:
        for event in events:
            if args.kind is None or event["kind"] == args.kind:
                print(json.dumps(event, ensure_ascii=False) if args.json else event_text(event), flush=True)

    if not args.follow:
        recent = _recent(client)
        show(recent)
        kinds = {event["kind"] for event in recent}
        if args.kind is not None and args.kind not in kinds:
            hint = meant(args.kind, sorted(kinds | DAEMON_KINDS))
            lately = ", ".join(sorted(kinds)) or "none"
            print(f"no event of kind {args.kind!r}{hint}; lately there were: {lately}", file=sys.stderr)
        return OK
    with subscribed(client.directory) as subscriber, Stopper() as stopper:
        seen = Sequence()
        show(seen.fresh(_recent(client)))
        told = False
        while not stopper.stopped:
            event = decode_packet(subscriber.recv()) if subscriber.poll(POLL_MS) else None
            if event is not None and seen.take(event):
                show([event])
                continue
            # Nothing came, which may be the subscriber's ignorance, or there is a hole: the daemon keeps a list.
            try:
                show(seen.fresh(_recent(client)))
                told = False
            except (DaemonNotRunning, StreamLost):
                if not told:
                    print("-- the daemon is gone; waiting for it", file=sys.stderr, flush=True)
                told = True
    return OK
