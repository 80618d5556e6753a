"""Emulated digital inputs: lines that a test, a file or a built-in pattern switches, stamped as the kernel would."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from eegd.edge_order import Edge
from eegd.errors import ConfigError
from eegd.gpio import EVENT_BUFFER
from eegd.input_lines import Wanted
from eegd.near import meant

__all__ = ["DEMO", "Change", "SimLines", "demo_changes", "play", "read_changes"]

Change = tuple[float, int, int]
"""Seconds since the start, line, level."""
DEMO = "demo"
"""In place of a file: the built-in pattern."""
MAX_FILE_BYTES = 1 << 20
DEMO_EVERY_S = 1.0
DEMO_HOLD_S = 0.1
DEMO_SKEW_S = 50e-6


class SimLines:
    """An InputLines whose edges come from `drive`. One thread."""

    def __init__(self, lines: Sequence[Wanted]) -> None:
        self._edges: deque[Edge] = deque(maxlen=EVENT_BUFFER)  # full, it drops the oldest, as the kernel does
        self._levels = 0
        self._lines = list(lines)
        self._seq = 0
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._fd

    def drive(self, line: int, level: int, time_ns: int | None = None) -> None:
        """Switches a line, at a moment on CLOCK_MONOTONIC or now. Nothing where it is at this level already."""
        if not 0 <= line < len(self._lines):
            raise ValueError(f"line {line}: 0 to {len(self._lines) - 1}")
        if (self._levels >> line & 1) == level:
            return
        self._levels ^= 1 << line
        if not (self._lines[line].rising if level else self._lines[line].falling):
            return
        self._seq += 1
        stamp_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC) if time_ns is None else time_ns
        self._edges.append(Edge(stamp_ns, self._seq, line, bool(level)))
        os.eventfd_write(self._fd, 1)

    def read(self) -> list[Edge]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        edges = list(self._edges)
        self._edges.clear()
        return edges

    def levels(self) -> int:
        return self._levels

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_changes(path: str, names: Sequence[str]) -> list[Change]:
    """A file with a line `seconds,name,level` for each change, in order. ConfigError names the line that is wrong."""
    try:
        text = Path(path).read_bytes()[: MAX_FILE_BYTES + 1].decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        hint = meant(path, [DEMO])
        text = f'"{DEMO}", or a file of lines seconds,line,level; it cannot be read: {reason}'
        raise ConfigError(f"[sim] triggers = {path!r}{hint}: {text}") from None
    if len(text) > MAX_FILE_BYTES:
        raise ConfigError(f"[sim] triggers = {path!r}: longer than {MAX_FILE_BYTES} bytes")
    changes: list[Change] = []
    for number, row in enumerate(text.splitlines(), start=1):
        words = [word.strip() for word in row.split("#")[0].split(",")]
        if words == [""]:
            continue
        where = f"{path}: line {number}"
        if len(words) != 3 or words[2] not in ("0", "1"):
            raise ConfigError(f"{where}: {row[:60]!r}: seconds,line,level is wanted, such as 1.5,GPIO5,1")
        if words[1] not in names:
            raise ConfigError(f"{where}: {words[1][:40]!r} is no line of [[marker]] or [trigger]: {', '.join(names)}")
        try:
            at_s = float(words[0])
        except ValueError:
            at_s = math.nan
        if not (changes[-1][0] if changes else 0.0) <= at_s < 1e6:
            raise ConfigError(f"{where}: {words[0][:40]!r}: seconds since the start, not before the line above")
        changes.append((at_s, names.index(words[1]), int(words[2])))
    return changes


def demo_changes(markers: Sequence[int], bits: Sequence[int], strobe: int | None, seed: int) -> Iterator[Change]:
    """Each second the next word, with skew between its lines, and a pulse on every marker line; for ever."""
    draw = random.Random(seed)
    word, n = 0, 0
    while True:
        n += 1
        on_s = n * DEMO_EVERY_S
        word = word % ((1 << len(bits)) - 1) + 1 if bits else 0
        up = [(on_s + draw.uniform(0, DEMO_SKEW_S), line, word >> bit & 1) for bit, line in enumerate(bits)]
        up += [(on_s, line, 1) for line in markers]
        down_s = on_s + DEMO_HOLD_S
        down = [(down_s + draw.uniform(0, DEMO_SKEW_S), line, 0) for line in (*bits, *markers)]
        if strobe is not None:
            up.append((on_s + 2 * DEMO_SKEW_S, strobe, 1))
            down.append((down_s - DEMO_HOLD_S / 2, strobe, 0))
        yield from sorted(up)
        yield from sorted(down)


async def play(lines: SimLines, changes: Iterator[Change]) -> None:
    """Drives the lines in real time. Each edge has the stamp at which it was due, however late this task was."""
    start_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    for at_s, line, level in changes:
        due_ns = start_ns + round(at_s * 1e9)
        wait_ns = due_ns - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        if wait_ns > 0:
            await asyncio.sleep(wait_ns / 1e9)
        lines.drive(line, level, due_ns)
