"""The way back after chips, or the way to them, failed: from a look at the registers to a new start of everything.

Single bad conversions are dropped where they are read. What comes here is a capture thread that gave up. The rungs:
conversions stop, ID and all registers are read; where they are as written, conversions start again; else, or where
that did not help, the chips are reset, set up, and verified; where the operating system lost the board, it is opened
anew. All chips together, with growing pauses, and for as long as it takes.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from eegd.ads1299 import Ads1299
from eegd.board import Board
from eegd.config import Config
from eegd.errors import EegdError
from eegd.events import EventPublisher
from eegd.worker import in_worker

__all__ = ["Recovery", "is_of_a_lost_board", "means_a_lost_board"]

log = logging.getLogger(__name__)

PAUSES_S = (0.0, 0.1, 0.5, 1.0, 5.0)
"""Before the first attempt, the second, …; the last one repeats."""
TELL_S = 60.0
"""How often a long outage is told, once the pauses have reached their longest."""
LOST = (errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN, errno.EBADF, errno.ENOENT)
"""What the kernel answers once a device is gone: its descriptors never work again."""


def means_a_lost_board(number: int) -> bool:
    """Whether after this errno only another open can help."""
    return number in LOST


def is_of_a_lost_board(error: BaseException) -> bool:
    """The same of an error of the Board or of opening it, whose cause is the kernel's."""
    return isinstance(error.__cause__, OSError) and means_a_lost_board(error.__cause__.errno or 0)


class Owner(Protocol):
    """Whose chips these are: an Acquisition."""

    board: Board
    driver: Ads1299
    events: EventPublisher
    stream: str
    closing: bool

    def tell_waiting(self) -> None:
        """Called once a recovery has begun."""


class Recovery:
    """One board's way back. Control thread only; while an attempt runs, the board is a worker thread's.

    Attempts count on over recoveries that did not last, until `settle`, so that pauses grow then as well.
    """

    def __init__(self, owner: Owner, open_board: Callable[[Config], Board]) -> None:
        self.n_attempts = 0
        """Since the chips last worked for a while."""
        self.n_recoveries = 0
        """Times that the chips worked again."""
        self._owner = owner
        self._open_board = open_board
        self._cause = ""
        self._found = ""
        self._since_s: float | None = None
        self._told_s = 0.0

    @property
    def is_recovering(self) -> bool:
        return self._since_s is not None

    @property
    def text(self) -> str:
        """One line for a person; empty while nothing is wrong."""
        if self._since_s is None:
            return ""
        found = f", {self._found}" if self._found else ""
        return f"{self._cause}: attempt {self.n_attempts}{found}, since {time.monotonic() - self._since_s:.0f} s"

    def report(self) -> dict[str, object]:
        """For the status."""
        since_s = self._since_s
        return {
            "recovering": self.is_recovering,
            "text": self.text,
            "attempts": self.n_attempts,
            "since_s": None if since_s is None else time.monotonic() - since_s,
            "recoveries": self.n_recoveries,
        }

    def settle(self) -> None:
        """The chips have worked for a while: the next failure is a new one."""
        self.n_attempts = 0

    async def climb(self, config: Config, cause: str, *, inspect: bool = True, board_is_lost: bool = False) -> bool:
        """Until the chips are ready for `prepare_start`; False where the owner closes before.

        inspect: they may still be as configured, so look before anything is reset.
        """
        self._cause, self._found, self._since_s, self._told_s = cause, "", time.monotonic(), 0.0
        self._owner.tell_waiting()
        first = self.n_attempts
        while await self._pause_before_next():
            self.n_attempts += 1
            try:
                # Looking alone has not helped where this is not the first attempt.
                done = await self._attempt(config, inspect and self.n_attempts == 1, board_is_lost)
            except EegdError as error:
                self._found = str(error)
                board_is_lost = board_is_lost or is_of_a_lost_board(error)
                self._tell_failure()
                continue
            self._tell_success(done, self.n_attempts - first)
            return True
        return False

    def _next_pause_s(self) -> float:
        return PAUSES_S[min(self.n_attempts, len(PAUSES_S) - 1)]

    async def _pause_before_next(self) -> bool:
        """False when the owner closes. In the board's time: on the virtual clock an outage costs none of ours."""
        board, seconds = self._owner.board, self._next_pause_s()
        if self._owner.closing:
            return False
        if board.virtual_clock and not board.closed:
            board.sleep_ns(int(seconds * 1e9))
            seconds = 0.0
        await asyncio.sleep(seconds)
        return not self._owner.closing

    async def _attempt(self, config: Config, inspect: bool, board_is_lost: bool) -> str:
        """One attempt, in a thread of its own: power-up alone takes longer than control may be deaf."""
        return await in_worker(lambda: self._bring_up(config, inspect, board_is_lost))

    def _bring_up(self, config: Config, inspect: bool, board_is_lost: bool) -> str:
        """Returns what was found and done; raises BoardError where the chips do not work after it."""
        owner, found = self._owner, ""
        if board_is_lost or owner.board.closed:
            owner.board.close()
            owner.board = self._open_board(config)
            found = "the board was opened again; "
        elif inspect:
            wrong = owner.driver.inspect()
            if wrong is None:
                return "all registers are as written; conversions start again"
            found = f"{wrong}; "
        owner.driver = Ads1299(owner.board, config.board, config.montage)
        owner.driver.power_up()
        owner.driver.configure()
        return f"{found}the chips were reset and set up anew"

    def _tell_failure(self) -> None:
        now_s, pause_s = time.monotonic(), self._next_pause_s()
        if self.n_attempts >= len(PAUSES_S) and self._told_s and now_s - self._told_s < TELL_S:
            return
        self._told_s = now_s
        self._tell("recovery", f"{self._cause}: {self._found}; next attempt in {pause_s:g} s", self.n_attempts)

    def _tell_success(self, done: str, n_attempts: int) -> None:
        self.n_recoveries += 1
        seconds = time.monotonic() - (self._since_s or 0.0)
        self._since_s = None
        label = f"{self._cause}: {done}"
        self._tell("recovery", label, self.n_attempts, seconds=seconds, n_attempts=n_attempts)

    def _tell(self, kind: str, label: str, attempt: int, **facts: Any) -> None:
        self._owner.events.post(
            kind, label, value=attempt, source=self._owner.stream, recovered="seconds" in facts, **facts
        )
        log.warning("%s (attempt %d)", label, attempt)
