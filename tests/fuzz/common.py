"""What the fuzzers share: mutations of bytes and of JSON values, a detector of hangs, and the command line."""

from __future__ import annotations

import argparse
import copy
import faulthandler
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["HANG_S", "alive", "deep_json", "main", "mutate_bytes", "mutate_json", "n_fds", "odd_value", "watched"]

HANG_S = 60
"""No single input may take so long. A detector of hangs on a busy machine, no measurement."""

ODD_BYTES = (
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\n", b'"', b"'", b'"""', b"[", b"]", b"{", b"}"),
    *(b"=", b",", b".", b"#", b":", b"\\", b"\\u0000", b"\\ud800", b"-", b"e999", b"nan", b"inf", b"0x"),
)
ODD_NUMBERS = (
    *(0, 1, 2, 3, -1, 62, 63, 64, 255, 256, 400, 401, 16384, 16385, 65535, 2**31 - 1, 2**31, 2**32, 2**46),
    *(2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400, 10**4000),
)
ODD_FLOATS = (0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, float("inf"), float("-inf"), float("nan"), 1.0000001)
ODD_TEXTS = (
    "",
    " ",
    "a",
    "raw",
    "\x00",
    "\ud800",
    "\n",
    "\x1b[2J",
    "é",
    "💡",
    "a" * 65,
    "x" * 5000,
    "../..",
    "%s",
    "{}",
)


def odd_value(rng: random.Random, depth: int = 0) -> Any:  # noqa: PLR0911 (one for each kind)
    """A JSON value of any type: mostly one at which checks break."""
    kind = rng.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind == 1:
        return rng.choice(ODD_NUMBERS)
    if kind == 2:
        return rng.choice(ODD_FLOATS)
    if kind == 3:
        return rng.choice(ODD_TEXTS)
    if kind == 4:
        return rng.randrange(-1000, 100_000)
    if kind == 5:
        return "".join(chr(rng.randrange(32, 127)) for _ in range(rng.randrange(12)))
    if kind == 6:
        return [odd_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {str(odd_value(rng, 9))[:20]: odd_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return _nested(rng)


def _nested(rng: random.Random) -> Any:
    """Lists in lists."""
    value: Any = rng.choice((0, "a", {}))
    for _ in range(rng.randrange(12)):
        value = [value]
    return value


def deep_json(rng: random.Random, key: str) -> bytes:
    """An object that holds lists in lists, about as deep as Python's stack."""
    depth = rng.choice((rng.randrange(930, 1000), rng.randrange(100, 3000), 100_000))
    return b'{"op":"attach","protocol":1,"%s":%s0%s}' % (key.encode(), b"[" * depth, b"]" * depth)


def mutate_json(rng: random.Random, value: Any) -> Any:
    """A copy with one to three things lacking, replaced, added or renamed, at any depth."""
    mutated = copy.deepcopy(value)
    for _ in range(rng.randrange(1, 4)):
        holders = [holder for holder in _holders(mutated) if holder]
        if not holders:
            return odd_value(rng)
        holder = rng.choice(holders)
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        action = rng.randrange(6)
        if action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, dict):
            holder[str(odd_value(rng, 9))[:40]] = holder.pop(key)
        elif action == 2 and isinstance(holder, list):
            holder.append(odd_value(rng))
        else:
            holder[key] = odd_value(rng)
    return mutated


def _holders(value: Any) -> Iterator[Any]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict | list):
            yield item
            stack += item.values() if isinstance(item, dict) else item


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """One to four mutations: flips, odd bytes, pieces deleted, doubled or moved, the end cut off."""
    mutated = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(mutated) + 1)
        action = rng.randrange(7)
        if action == 0 and at < len(mutated):
            mutated[at] ^= 1 << rng.randrange(8)
        elif action == 1 and at < len(mutated):
            mutated[at] = rng.randrange(256)
        elif action == 2:
            mutated[at:at] = rng.choice(ODD_BYTES)
        elif action == 3:
            del mutated[at : at + rng.randrange(1, 20)]
        elif action == 4:
            piece = mutated[at : at + rng.randrange(1, 40)]
            place = rng.randrange(len(mutated) + 1)
            mutated[place:place] = piece * rng.choice((1, 1, 2, 30))
        elif action == 5:
            mutated[at:at] = str(rng.choice((*ODD_NUMBERS, *ODD_FLOATS))).encode()
        elif rng.randrange(4) == 0:
            del mutated[at:]
    return bytes(mutated)


@contextmanager
def watched() -> Iterator[None]:
    """Within, every input begins with `alive()`: where none follows in time the process ends with its stacks."""
    faulthandler.register(signal.SIGALRM, all_threads=True, chain=True)
    alive()
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.unregister(signal.SIGALRM)


def alive() -> None:
    signal.alarm(HANG_S)


def n_fds() -> int:
    """Descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def main(name: str, run: Callable[[int, int], Counter[str]]) -> None:
    """The command line of one fuzzer: prints seed and outcome; an exception is a finding."""
    parser = argparse.ArgumentParser(description=f"fuzzes {name}")
    parser.add_argument("-n", type=int, default=100_000, help="how many inputs")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run")
    args = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if args.seed is None else args.seed
    print(f"fuzz_{name}: {args.n} inputs, seed {seed}", flush=True)
    began = time.monotonic()
    outcome = run(args.n, seed)
    for what, count in sorted(outcome.items()):
        print(f"     {count:8} {what}")
    print(f"ok   fuzz_{name} ({time.monotonic() - began:.0f} s)", flush=True)
    sys.exit(0)
