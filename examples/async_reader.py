"""Reads a stream in an asyncio program, beside other work: frames as they come, a report once a second.

usage: async_reader.py [SECONDS]
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import eegd


async def count_samples(stream: eegd.Stream, counts: dict[str, int]) -> None:
    async for frame in stream:
        counts["samples"] += frame.n_samples
        counts["lost"] += frame.lost_before
        counts["missed frames"] += frame.missed


async def report(counts: dict[str, int]) -> None:
    while True:
        await asyncio.sleep(1)
        print(", ".join(f"{n} {name}" for name, n in counts.items()), flush=True)


async def main(seconds: float | None) -> None:
    counts = {"samples": 0, "lost": 0, "missed frames": 0}
    with eegd.connect() as eeg, eeg.open("raw", seconds=1) as stream:
        tasks = [asyncio.create_task(count_samples(stream, counts)), asyncio.create_task(report(counts))]
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C
        asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else None))
