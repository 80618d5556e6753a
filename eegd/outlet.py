"""The writing end of one stream epoch: segment, pool and readers, as the C core keeps them (native/outlet.h)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegd._native import ffi, lib
from eegd.errors import EegdError

__all__ = [
    "KINDS",
    "LANES",
    "POLICIES",
    "Outlet",
    "OutletStats",
    "ReaderStats",
    "new_epoch_id",
    "slabs_in_budget",
]

POLICIES = ("queue", "latest", "lossless")
LANES = ("zeromq", "direct")
KINDS = ("raw", "filtered", "features")
STATES = ("empty", "joining", "active", "quiet", "leaving", "gone")
MAX_SLABS = 65535
DESCRIPTOR_BYTES = 128


def new_epoch_id() -> int:
    """Differs from every other epoch of this machine: the time in ns, made odd by the process."""
    return (time.clock_gettime_ns(time.CLOCK_REALTIME) << 8 | os.getpid() & 0xFF) & (1 << 63) - 1


def slabs_in_budget(budget_bytes: int, n_channels: int, slab_samples: int) -> int:
    """Slabs (with their descriptors) that a memory budget carries, at most 65535, the most a lease word can name."""
    plane_bytes = -(-slab_samples * 4 // 64) * 64
    return min(MAX_SLABS, budget_bytes // (plane_bytes * n_channels + DESCRIPTOR_BYTES))


@dataclass(frozen=True, slots=True)
class ReaderStats:
    state: str
    policy: str
    lane: str
    depth: int
    """Credits: frames it may have queued or held."""
    queued: int
    held: int
    sent: int
    missed: int
    """Frames it did not get: credit used up, replaced by a newer one, or not sendable."""
    replaced: int
    send_failed: int
    corrupt: int
    """Credits lost to values in its page that cannot be."""
    lag_frames: int
    """Published since the oldest frame that it has queued; 0 when it has none queued."""


@dataclass(frozen=True, slots=True)
class OutletStats:
    n_slabs: int
    reserve: int
    free: int
    least_free: int
    """Fewest free slabs so far; n_slabs minus this is the peak use."""
    promised: int
    """Sum of all readers' depths."""
    holdup: int | None
    """Place of the lossless reader that virtual time waits for."""
    frames: int
    samples: int
    next_sample: int
    lost: int
    misses: int
    """Claims that found no free slab."""
    segment_bytes: int
    locked: bool


class Outlet:
    """One stream epoch's outlet. Threads: `publish`, `claim`, `abandon` and `idle` belong to the one sending thread;
    everything else to the control thread. Raises EegdError with the errno's name."""

    def __init__(
        self,
        name: str,
        *,
        n_slabs: int,
        n_channels: int,
        slab_samples: int,
        rate_sps: float,
        kind: str = "raw",
        flags: int = 0,
        reserve: int = 2,
        virtual_clock: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.flags = flags
        self.n_channels = n_channels
        self.slab_samples = slab_samples
        self.virtual_clock = virtual_clock
        self.stream_epoch = new_epoch_id()
        self._name = ffi.new("char[]", name.encode())
        config = ffi.new(
            "struct eegd_outlet_config *",
            {
                "name": self._name,
                "n_slabs": n_slabs,
                "n_channels": n_channels,
                "slab_samples": slab_samples,
                "kind": KINDS.index(kind),
                "flags": flags,
                "reserve": reserve,
                "rate_sps": rate_sps,
                "stream_epoch": self.stream_epoch,
                "virtual_clock": virtual_clock,
            },
        )
        error = ffi.new("int *")
        self.pointer: Any = lib.eegd_outlet_new(config, error)
        if not self.pointer:
            raise EegdError(
                f"stream {name!r}: no segment of {n_slabs} slabs, {n_channels} × {slab_samples} samples: "
                f"{os.strerror(-error[0])}"
            )
        self._pages: dict[int, tuple[Any, int]] = {}
        self._slabs: NDArray[np.float32] | None = None
        """The planes of all slabs, (n_slabs, n_channels, slab_samples), from the first call of `planes` on."""
        self._n_slabs = n_slabs

    @property
    def segment_fd(self) -> int:
        """The segment's memfd, for readers; the outlet's own to close."""
        return int(lib.eegd_outlet_segment_fd(self.pointer))

    @property
    def plane_stride(self) -> int:
        """Bytes from one channel's plane to the next."""
        return int(lib.eegd_outlet_plane_stride(self.pointer))

    @property
    def credit_left(self) -> int:
        return int(lib.eegd_outlet_credit_left(self.pointer))

    def join(self, page_fd: int, depth: int, policy: str, lane: str, socket_address: int | None) -> int:
        """Puts a reader into the table; returns its place. The page is mapped here and unmapped by `forget`."""
        page, page_depth, page_bytes = ffi.new("void **"), ffi.new("uint32_t *"), ffi.new("uint64_t *")
        error = lib.eegd_page_map(page_fd, page, page_depth, page_bytes)
        if error < 0:
            raise EegdError(f"lease page: {os.strerror(-error)}")
        config = ffi.new(
            "struct eegd_reader_config *",
            {
                "page": page[0],
                "depth": depth,
                "policy": POLICIES.index(policy),
                "lane": LANES.index(lane),
                "socket": ffi.cast("void *", socket_address or 0),
            },
        )
        place = int(lib.eegd_outlet_join(self.pointer, config))
        if place < 0:
            lib.eegd_page_unmap(page[0], page_bytes[0])
            raise EegdError(f"reader cannot join {self.name!r}: {os.strerror(-place)}")
        self._pages[place] = (page[0], page_bytes[0])
        return place

    def state(self, place: int) -> str:
        return STATES[lib.eegd_outlet_state(self.pointer, place)]

    def quiet(self, place: int) -> None:
        lib.eegd_outlet_quiet(self.pointer, place)

    def leave(self, place: int) -> None:
        lib.eegd_outlet_leave(self.pointer, place)

    def forget(self, place: int) -> None:
        """Only in state gone: frees the place and unmaps the page."""
        lib.eegd_outlet_forget(self.pointer, place)
        page, n_bytes = self._pages.pop(place)
        lib.eegd_page_unmap(page, n_bytes)

    def idle(self) -> None:
        lib.eegd_outlet_idle(self.pointer)

    def hurry(self) -> None:
        """Ends a wait for lossless readers in virtual time, for good."""
        lib.eegd_outlet_hurry(self.pointer)

    def reader_stats(self, place: int) -> ReaderStats:
        raw = ffi.new("struct eegd_reader_stats *")
        lib.eegd_outlet_reader_stats(self.pointer, place, raw)
        published = self.stats().frames
        return ReaderStats(
            state=STATES[raw.state],
            policy=POLICIES[raw.policy],
            lane=LANES[raw.lane],
            depth=raw.depth,
            queued=raw.queued,
            held=raw.held,
            sent=raw.sent,
            missed=raw.missed,
            replaced=raw.replaced,
            send_failed=raw.send_failed,
            corrupt=raw.corrupt,
            lag_frames=max(0, published - raw.oldest_frame),
        )

    def stats(self) -> OutletStats:
        raw = ffi.new("struct eegd_outlet_stats *")
        lib.eegd_outlet_stats(self.pointer, raw)
        return OutletStats(
            n_slabs=raw.n_slabs,
            reserve=raw.reserve,
            free=raw.free,
            least_free=raw.least_free,
            promised=raw.promised,
            holdup=raw.holdup - 1 if raw.holdup else None,
            frames=raw.frames,
            samples=raw.samples,
            next_sample=raw.next_sample,
            lost=raw.lost,
            misses=raw.claim_failures,
            segment_bytes=raw.segment_bytes,
            locked=bool(raw.locked),
        )

    def claim(self) -> int | None:
        """A free slab to fill, or None: every one is with a reader. Sending thread."""
        slab = int(lib.eegd_outlet_claim(self.pointer))
        return slab if slab >= 0 else None

    def planes(self, slab: int) -> NDArray[np.float32]:
        """The slab's planes, (n_channels, slab_samples) float32, writable until it is published. Sending thread."""
        if self._slabs is None:
            self._slabs = self._map_slabs()
        return self._slabs[slab]  # type: ignore[no-any-return]

    def _map_slabs(self) -> NDArray[np.float32]:
        """One array for the whole pool, so that a slab costs one index."""
        first = lib.eegd_outlet_slab(self.pointer, 0)
        stride = 4 * (lib.eegd_outlet_slab(self.pointer, 1) - first)
        memory = ffi.buffer(first, stride * self._n_slabs)
        shape = self._n_slabs, self.n_channels, self.slab_samples
        return np.ndarray(shape, np.float32, memory, strides=(stride, self.plane_stride, 4))

    def publish(self, slab: int) -> int:
        """Publishes a filled slab; returns how many readers got it. Sending thread; waits in virtual time only."""
        return int(lib.eegd_outlet_publish(self.pointer, slab, time.clock_gettime_ns(time.CLOCK_MONOTONIC)))

    def abandon(self, slab: int) -> None:
        lib.eegd_outlet_abandon(self.pointer, slab)

    def close(self) -> None:
        """Frees everything of the writer's. Readers' maps stay valid. No sending thread may exist any more."""
        if self.pointer:
            self._slabs = None
            lib.eegd_outlet_free(self.pointer)
            self.pointer = None
            for page, n_bytes in self._pages.values():
                lib.eegd_page_unmap(page, n_bytes)
            self._pages.clear()
