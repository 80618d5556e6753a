# SPDX-License-Identifier: MIT
"""Trigger words on real GPIO code: lines that switch one after the other, each word seen once, at its time."""

import random
import time
from collections.abc import Sequence
from typing import Any

import eegd
from tests.kernel.guest.eegd_kit import Eegd
from tests.kernel.guest.kit import PARAMETERS, expect, row

BITS = (5, 6, 12, 16)
BUTTON = 20
N_WORDS = 300
APART_NS = 2_000_000
TRIGGER = f"""
[[marker]]
name = "button"
line = "GPIO{BUTTON}"
[trigger]
lines = [{", ".join(f'"GPIO{line}"' for line in BITS)}]
"""


def changes(words: Sequence[int], before: int, draw: random.Random) -> list[tuple[int, int, int]]:
    """(ns, line, level) of all lines that have to switch, each within 50 µs of the first."""
    found = []
    for n, word in enumerate(words):
        for bit, line in enumerate(BITS):
            if (word ^ before) >> bit & 1:
                found.append((APART_NS * (n + 1) + draw.randrange(1_000, 50_000), line, word >> bit & 1))
        before = word
    return sorted(found)


def play(found: Sequence[tuple[int, int, int]]) -> None:
    (PARAMETERS / "inputs").write_text(" ".join(f"{line}={level}@{ns}" for ns, line, level in found))


def wait_for(client: eegd.Client, n: int) -> dict[str, Any]:
    """The counts of marker lines, once so many events were told; or as they stand after ten seconds."""
    deadline = time.monotonic() + 10
    while True:
        counts: dict[str, Any] = client.ask("status")["status"]["marker_lines"]
        if counts["told"] >= n or time.monotonic() > deadline:
            return counts
        time.sleep(0.01)


def main() -> None:
    draw, value = random.Random(1), 0
    sent: list[int] = []
    while len(sent) < N_WORDS:
        value = draw.choice([word for word in range(1, 1 << len(BITS)) if word != value])
        sent.append(value)
    with Eegd(extra=TRIGGER) as daemon, daemon.reader() as (client, stream):
        seen: list[dict[str, Any]] = []
        stream.take()
        for first in range(0, N_WORDS, 10):  # the emulated equipment takes a short list
            ten = sent[first : first + 10]
            play(changes(ten, sent[first - 1] if first else 0, draw))
            wait_for(client, first + 10)
            words = [event for event in client.ask("recent_events")["events"] if event["kind"] == "trigger"]
            seen += [event for event in words if not seen or event["number"] > seen[-1]["number"]]
        play([(1000, BUTTON, 1)])
        counts = wait_for(client, N_WORDS + 1)
        expect([event["value"] for event in seen] == sent, f"{len(seen)} words of {N_WORDS}; {counts}")
        expect(all(0 <= event["skew_ns"] < 60_000 for event in seen), f"skew {max(e['skew_ns'] for e in seen)} ns")
        placed = [event for event in seen if event["sample_index"] is not None]
        expect(len(placed) == N_WORDS, f"{N_WORDS - len(placed)} words without a sample: {seen[0]}")
        expect(counts["dropped"] == counts["late"] == 0 and counts["told"] == N_WORDS + 1, f"{counts}")
        row(
            test="trigger words, 1 to 50 µs of skew",
            words=len(seen),
            edges=counts["taken"],
            lost=counts["dropped"],
            largest_skew_us=round(max(event["skew_ns"] for event in seen) / 1000, 1),
        )


if __name__ == "__main__":
    main()
