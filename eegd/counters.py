"""The table of counters: labelled 64-bit numbers in a memfd, which other processes read without asking."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eegd._native import ffi, lib
from eegd.errors import ConfigError, ProtocolError

__all__ = ["Counter", "CounterReader", "Counters"]


@dataclass(frozen=True, slots=True, eq=False)
class Counter:
    """One number of a table. It has a single writing thread: this object's user, or C through `pointer`."""

    label: str
    index: int
    table: Counters

    @property
    def pointer(self) -> Any:
        """The `struct eegd_counter *` for the C thread that counts; valid until the table closes."""
        return self.table.pointer_of(self)

    def add(self, n: int = 1) -> None:
        lib.eegd_counter_add(self.pointer, n)

    def set(self, value: int) -> None:
        lib.eegd_counter_set(self.pointer, value)

    @property
    def value(self) -> int:
        return int(lib.eegd_counter_get(self.pointer))


class _Table:
    """What both sides of a table share."""

    def __init__(self, table: Any) -> None:
        self._table = ffi.gc(table, lib.eegd_counters_close)

    def close(self) -> None:
        """Unmaps the table. Harmless when done twice."""
        table, self._table = self._table, None
        if table is not None:
            ffi.release(table)

    @property
    def closed(self) -> bool:
        return self._table is None

    @property
    def capacity(self) -> int:
        """The most counters it can hold."""
        return int(lib.eegd_counters_capacity(self._open()))

    def values(self) -> dict[str, int]:
        """Every counter in use, by label. Each number is whole; together they are not one instant."""
        return dict(self._entries())

    def _open(self) -> Any:
        if self._table is None:
            raise ValueError("the counters are closed")
        return self._table

    def _entries(self) -> Iterator[tuple[str, int]]:
        table = self._open()
        entry = ffi.new("struct eegd_counters_entry *")
        for index in range(lib.eegd_counters_used(table)):
            found = lib.eegd_counters_read(table, index, entry)
            if found < 0:
                raise ProtocolError(f"counter {index} has a label that is not printable text")
            if found:
                yield ffi.string(entry.label).decode("ascii"), int(entry.value)


class Counters(_Table):
    """The writer's table. Allocate and release in the control thread; close it after the counting threads."""

    def __init__(self, capacity: int = 512) -> None:
        table = ffi.new("struct eegd_counters **")
        error = lib.eegd_counters_create(capacity, table)
        if error == -errno.EINVAL:
            raise ConfigError(f"counters: capacity {capacity}: allowed are 1 … {lib.EEGD_COUNTERS_MAX_CAPACITY}")
        if error:
            raise OSError(-error, f"counters: no segment: {os.strerror(-error)}")
        super().__init__(table[0])
        self._live: dict[int, Counter] = {}

    def __enter__(self) -> Counters:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def fd(self) -> int:
        """The segment's descriptor, to be sent to readers; it stays this table's."""
        return int(lib.eegd_counters_fd(self._open()))

    @property
    def pointer(self) -> Any:
        """The `struct eegd_counters *`; valid until close."""
        return self._open()

    def allocate(self, label: str) -> Counter:
        """A counter that starts at 0. Labels are dotted names such as "loss.missed", unique while in use."""
        if not label.isascii() or not label.isprintable():
            index = -errno.EINVAL
        else:
            index = lib.eegd_counters_allocate(self._open(), label.encode("ascii"))
        if index == -errno.EINVAL:
            longest = lib.EEGD_COUNTERS_LABEL_BYTES - 1
            raise ConfigError(f"counter label {label!r}: allowed are 1 … {longest} printable ASCII characters")
        if index == -errno.EEXIST:
            raise ConfigError(f"counter label {label!r} is in use")
        if index < 0:
            raise ConfigError(f"counter {label!r}: all {self.capacity} counters are in use")
        counter = self._live[index] = Counter(label, int(index), self)
        return counter

    def release(self, counter: Counter) -> None:
        """Gives a counter back; its thread must have stopped counting. Harmless when done twice."""
        if self._live.get(counter.index) is counter:
            del self._live[counter.index]
            lib.eegd_counters_free(self._open(), counter.index)

    def pointer_of(self, counter: Counter) -> Any:
        """The `struct eegd_counter *` of a counter that has not been released."""
        if self._live.get(counter.index) is not counter:
            raise ValueError(f"counter {counter.label!r} was released")
        return lib.eegd_counters_at(self._open(), counter.index)


class CounterReader(_Table):
    """Somebody else's table, mapped read-only. The descriptor stays the caller's and may be closed at once.

    Raises ProtocolError for a descriptor that is no sealed table of this version. Reading is safe in any
    thread, closing only when nobody reads.
    """

    def __init__(self, fd: int) -> None:
        table = ffi.new("struct eegd_counters **")
        error = lib.eegd_counters_map(fd, table)
        if error == -errno.EPROTO:
            version = lib.EEGD_COUNTERS_VERSION
            raise ProtocolError(f"descriptor {fd} is not a sealed table of counters, version {version}")
        if error:
            raise OSError(-error, f"counters: descriptor {fd}: {os.strerror(-error)}")
        super().__init__(table[0])

    def __enter__(self) -> CounterReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
