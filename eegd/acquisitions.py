"""All acquisitions of a daemon, one per clock of its board, and the changes that must hold for all of them or none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import zmq

from eegd.acquisition import Acquisition
from eegd.changes import classify_changes
from eegd.clocks import split_clocks, stream_names
from eegd.config import Config
from eegd.conversion import check_feasible
from eegd.counters import Counters
from eegd.errors import EegdError
from eegd.events import EventPublisher

__all__ = ["Acquisitions"]

POLL_S = 0.01


class Acquisitions:
    """Owns one Acquisition per clock; most boards have one. Control thread only.

    Raises what Acquisition raises, and then leaves nothing open.
    """

    def __init__(
        self,
        config: Config,
        directory: Path,
        context: zmq.Context[zmq.Socket[bytes]],
        events: EventPublisher,
        on_over: Callable[[], None],
    ) -> None:
        self.config = config
        """The whole board's: in force, or on its way to the chips, while nothing else may be asked of them."""
        self.counters = Counters()
        self._renewing = False
        self._all: list[Acquisition] = []
        check_feasible(config.board, config.montage)  # all chips together have to fit on the bus
        names = stream_names(config)
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for name, part in zip(names, split_clocks(config), strict=True):
                acquisition = Acquisition(part, directory, context, events, on_over, name, names, self.counters)
                self._all.append(acquisition)
            undo.pop_all()

    def __iter__(self) -> Iterator[Acquisition]:
        return iter(self._all)

    @property
    def first(self) -> Acquisition:
        return self._all[0]

    @property
    def n_epochs(self) -> dict[str, int]:
        """Epochs so far, by stream."""
        return {acquisition.stream: acquisition.n_epochs for acquisition in self}

    @property
    def warnings(self) -> list[str]:
        """Of all of them, each once."""
        return list(dict.fromkeys(warning for acquisition in self for warning in acquisition.warnings))

    def let_end(self) -> None:
        """Nothing new begins from here on."""
        for acquisition in self:
            acquisition.closing = True

    async def wind_down(self, within_s: float) -> None:
        for acquisition in self:
            await acquisition.wind_down(within_s)

    def close(self) -> None:
        """Ends all epochs and gives the boards back. Harmless when repeated."""
        for acquisition in self:
            acquisition.close()

    # ---- changes ----

    def apply(self, config: Config) -> tuple[list[str], Coroutine[Any, Any, None] | None]:
        """Takes a configuration over: live keys at once. Returns the streams whose chips have to be set up anew, and
        the work that does it: it ends with all of them changed or, where a chip refuses, with none.

        What cannot work raises EegdError here, before anything changes or stops.
        """
        if self._renewing or any(one.is_changing or one.capture is None for one in self):
            raise EegdError("the chips are being set up; try again in a moment")
        check_feasible(config.board, config.montage)
        parts = split_clocks(config)
        renewed = [(one, part) for one, part in zip(self, parts, strict=True) if classify_changes(one.config, part)[1]]
        for acquisition, part in renewed:
            acquisition.check(part)
        before = [acquisition.config for acquisition in self]
        work = {acquisition.stream: acquisition.reconfigure(part) for acquisition, part in renewed}
        for acquisition, part in zip(self, parts, strict=True):
            if acquisition.stream not in work:
                acquisition.adopt(part)
        whole_before, self.config = self.config, config
        if not work:
            return [], None
        self._renewing = True
        return list(work), self._renew(whole_before, work, before)

    async def _renew(self, whole: Config, work: dict[str, Coroutine[Any, Any, bool]], before: list[Config]) -> None:
        """`whole` and, by stream, `before`: what is put back where a chip refuses."""
        try:
            results = await asyncio.gather(*work.values(), return_exceptions=True)  # none is left behind
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            took = dict(zip(work, results, strict=True))
            if all(results):
                return
            # What was taken over at once, and is no acquisition's, stays: plugins run as it says by now.
            self.config = replace(whole, plugins=self.config.plugins, daemon=self.config.daemon)
            for acquisition, old in zip(self, before, strict=True):
                if took.get(acquisition.stream):
                    await self._take_back(acquisition, old)
                elif acquisition.stream not in took:
                    acquisition.adopt(old)
        finally:
            self._renewing = False

    @staticmethod
    async def _take_back(acquisition: Acquisition, old: Config) -> None:
        while acquisition.is_changing:  # it may be recovering by now
            await asyncio.sleep(POLL_S)
        if not acquisition.closing:
            await acquisition.reconfigure(old)
