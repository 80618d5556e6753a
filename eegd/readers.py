"""The readers of one stream as its writer sees them: who is there, who holds what, and how they leave."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

from eegd.outlet import Outlet
from eegd.reader import Reader

__all__ = ["Readers"]

LEAVING_POLL_S = 0.005


class Readers:
    """Everybody who is connected, in the order of coming; of them those who have a place in the epoch's outlet, too.

    Control thread only. While a reader has a place, the sending thread uses its page and socket: who leaves then is
    kept, and released once that thread has struck the reader off its book.
    """

    def __init__(self) -> None:
        self.outlet: Outlet | None = None
        """Of the stream epoch at hand; None between two."""
        self._connected: list[Reader] = []
        self._leaving: list[Reader] = []
        """Gone, but the sending thread may still touch their sockets."""
        self._loop = asyncio.get_running_loop()

    def __iter__(self) -> Iterator[Reader]:
        """Over those of this moment: they may leave meanwhile."""
        return iter(list(self._connected))

    def __len__(self) -> int:
        return len(self._connected)

    def __contains__(self, reader: object) -> bool:
        return reader in self._connected

    # ---- coming and going ----

    def add(self, reader: Reader) -> None:
        """One that has connected."""
        self._connected.append(reader)

    def part(self, reader: Reader) -> None:
        """Its connection ends now; page and socket when the sending thread is done with them."""
        if reader in self._connected:
            self._connected.remove(reader)
        self._loop.remove_reader(reader.connection)
        reader.connection.close()
        if reader.pidfd is not None:
            self._loop.remove_reader(reader.pidfd)
            os.close(reader.pidfd)
            reader.pidfd = None
        if reader.place is not None and self.outlet is not None:
            self.outlet.leave(reader.place)
            if not self._leaving:
                self._loop.call_soon(self._collect, self.outlet)
            self._leaving.append(reader)
        else:
            reader.release()

    def _collect(self, outlet: Outlet) -> None:
        """Releases those whose book the sending thread has struck: it will never touch their sockets again."""
        if outlet is not self.outlet:
            return
        for reader in list(self._leaving):
            assert reader.place is not None
            if outlet.state(reader.place) == "gone":
                outlet.forget(reader.place)
                reader.release()
                self._leaving.remove(reader)
        if self._leaving:
            self._loop.call_later(LEAVING_POLL_S, self._collect, outlet)

    @property
    def are_leaving(self) -> bool:
        """Some are: what they hold comes back in a moment."""
        return bool(self._leaving)

    def close_outlet(self) -> None:
        """The epoch has ended, and all who had a place have parted. There must be no sending thread."""
        outlet = self.outlet
        assert outlet is not None
        outlet.idle()
        self.outlet = None
        outlet.close()
        for reader in self._leaving:
            reader.release()
        self._leaving.clear()

    # ---- who holds what ----

    @property
    def n_active(self) -> int:
        """Those who get frames."""
        outlet = self.outlet
        if outlet is None:
            return 0
        return sum(reader.place is not None and outlet.state(reader.place) == "active" for reader in self._connected)

    def holders(self) -> list[dict[str, object]]:
        """Who holds how much credit, in the order of attaching."""
        return [reader.terms_report() for reader in self._connected if reader.place is not None]

    def held_by(self) -> str:
        """The same for a person."""
        return ", ".join(f"{h['name']} (pid {h['pid']}) {h['depth']}" for h in self.holders()) or "nobody"

    def name_at(self, place: int) -> str | None:
        """Who has this place in the outlet."""
        return next((reader.name for reader in self._connected if reader.place == place), None)

    def table(self) -> list[dict[str, object]]:
        """One row per attached reader."""
        if (outlet := self.outlet) is None:
            return []
        return [reader.report(outlet.reader_stats(reader.place)) for reader in self if reader.place is not None]

    def new_misses(self) -> list[tuple[Reader, int]]:
        """Readers that missed frames since the last call, and how many. Policy latest misses by nature."""
        if (outlet := self.outlet) is None:
            return []
        misses = []
        for reader in self._connected:
            if reader.place is None or reader.policy == "latest":
                continue
            missed = outlet.reader_stats(reader.place).missed
            if missed > reader.told_missed:
                misses.append((reader, missed - reader.told_missed))
                reader.told_missed = missed
        return misses
