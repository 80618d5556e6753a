"""A frame as a reader sees it: a descriptor, and the slab it names as a read-only array, bound to a lease."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegd._native import ffi, lib
from eegd.errors import FrameReleased, FrameShared, ProtocolError
from eegd.near import meant
from eegd.packet import RECOVERING

__all__ = ["FLAGS", "Frame", "StreamInfo", "flag_names"]

FLAGS: dict[str, int] = {
    "simulated": lib.EEGD_FLAG_SIMULATED,
    "replay": lib.EEGD_FLAG_REPLAY,
    "test signal": lib.EEGD_FLAG_TEST_SIGNAL,
    "shorted": lib.EEGD_FLAG_SHORTED,
    "short": lib.EEGD_FLAG_SHORT,
    "first": lib.EEGD_FLAG_FIRST,
    "upstream loss": lib.EEGD_FLAG_UPSTREAM_LOSS,
}

DESCRIPTOR = ffi.typeof("struct eegd_descriptor *")


def flag_names(flags: int) -> tuple[str, ...]:
    """The flags' names as words, in a fixed order."""
    return tuple(name for name, bit in FLAGS.items() if flags & bit)


@dataclass(frozen=True, slots=True, repr=False)
class StreamInfo:
    """What a stream's writer says about it, for one stream epoch."""

    stream: str
    kind: str
    """raw, filtered or features."""
    stream_epoch: int
    rate_sps: float
    """Nominal. The effective rate is in each frame's period."""
    labels: tuple[str, ...]
    units: tuple[str, ...]
    frame_samples: int
    delay_ns: int
    """Group delay from the electrode to the sample's time stamp; never applied silently."""
    flags: tuple[str, ...]
    """`simulated`, `replay`, `test signal`, `shorted`: the data are not a person's."""
    lsb_uv: tuple[float, ...]
    """Microvolts per code; empty where there are no codes."""
    signs: tuple[int, ...]
    """−1 where the electrode is on the chip's N input: code = −rint(µV / LSB)."""
    description: dict[str, Any]
    """All that the writer said: montage, gains, axes, sources."""

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> StreamInfo:
        """Raises KeyError, TypeError or ValueError where something lacks, or cannot be."""
        channels = description["channels"]
        info = cls(
            stream=str(description["name"]),
            kind=str(description["kind"]),
            stream_epoch=int(description["stream_epoch"]),
            rate_sps=float(description["rate_sps"]),
            labels=tuple(str(channel["label"]) for channel in channels),
            units=tuple(str(channel.get("unit", "µV")) for channel in channels),
            frame_samples=int(description["frame_samples"]),
            delay_ns=int(description.get("delay_ns", 0)),
            flags=tuple(description.get("flags", ())),
            lsb_uv=tuple(float(channel["lsb_uv"]) for channel in channels if "lsb_uv" in channel),
            signs=tuple(int(channel.get("sign", 1)) for channel in channels),
            description=description,
        )
        if not (info.labels and 0 < info.rate_sps < math.inf and info.frame_samples > 0):
            raise ValueError(f"rate {info.rate_sps} SPS, {info.frame_samples} samples, {len(info.labels)} channels")
        if not (all(0 < lsb < math.inf for lsb in info.lsb_uv) and {-1, 1}.issuperset(info.signs)):
            raise ValueError("an LSB that is no size, or a sign that is neither 1 nor -1")
        return info

    @property
    def outage(self) -> str:
        """Why there are no samples, where the chips are being recovered; else empty. The rest is then as before."""
        if self.description.get("state") != RECOVERING:
            return ""
        return str(self.description.get("state_text") or "the chips do not answer")[:500]

    def __repr__(self) -> str:
        words = "".join(f", {flag}" for flag in self.flags)
        return (
            f"<StreamInfo of {self.stream!r}: {self.kind}, {len(self.labels)} columns at {self.rate_sps:g} SPS, "
            f"{self.frame_samples} sample(s) a frame{words}>"
        )

    def index(self, label: str) -> int:
        """Row of a channel. Raises KeyError with the labels there are."""
        with suppress(ValueError):
            return self.labels.index(label)
        hint, there = meant(label, self.labels), ", ".join(self.labels)
        raise KeyError(f"no channel {label!r}{hint} in {self.stream!r}; there are {there}")


class Frame:
    """One frame under lease. Its own hold ends when the next frame is taken, on `release`, or at the end of a `with`;
    the lease ends when the last array on it is gone, so that memory never changes under a reader.

    Threads: a frame belongs to the thread that took it; arrays on it may go anywhere.
    """

    __slots__ = ("_array", "_native", "descriptor", "info", "missed")

    def __init__(self, native: Any, info: StreamInfo, missed: int) -> None:
        self._native = native  # keeps the memory of the descriptor
        self.descriptor = ffi.cast(DESCRIPTOR, native)  # its first member
        """The whole record as the writer filled it (struct eegd_descriptor *), good while this frame object lives."""
        self.info = info
        self.missed = missed
        """Frames that this reader missed just before this one."""
        lease = ffi.gc(native.slab, lib.eegd_inlet_release)
        descriptor, stride, n_channels = self.descriptor, native.plane_stride, len(info.labels)
        if descriptor.n_channels != n_channels:
            raise ProtocolError(
                f"stream {info.stream!r}: {n_channels} channels described, {descriptor.n_channels} sent"
            )
        memory = memoryview(ffi.buffer(lease, stride * n_channels)).toreadonly()
        # ndarray itself would look through the memoryview, and let its flag of writing be set.
        planes = np.frombuffer(memory, np.float32)
        shape = n_channels, descriptor.n_samples
        self._array: NDArray[np.float32] | None = np.ndarray(shape, np.float32, planes, strides=(stride, 4))

    @property
    def data(self) -> NDArray[np.float32]:
        """(n_channels, n_samples) float32, read-only, zero copy; microvolts, or the units of a features stream."""
        if self._array is None:
            raise FrameReleased(
                f"frame {self.frame_number} of {self.info.stream!r} was released; keep frame.data or frame.copy()"
            )
        return self._array

    def __getitem__(self, label: str) -> NDArray[np.float32]:
        """One channel's samples by its label."""
        return self.data[self.info.index(label)]  # type: ignore[no-any-return]

    def copy(self) -> NDArray[np.float32]:
        """A copy that holds no lease, (n_channels, n_samples) float32."""
        return self.data.copy()

    def inplace(self) -> NDArray[np.float32]:
        """The samples for changing them where they are. Only inside a chain: elsewhere it raises FrameShared."""
        raise FrameShared(
            f"frame {self.frame_number} of {self.info.stream!r} is shared with all readers of the stream and cannot be "
            "changed in place; write `out`, or a copy (frame.copy())"
        )

    def codes(self) -> NDArray[np.int32]:
        """The chip's own codes, (n_channels, n_samples) int32. Raises TypeError on a stream that has none."""
        if len(self.info.lsb_uv) != len(self.info.labels):
            raise TypeError(f"stream {self.info.stream!r} of kind {self.info.kind} carries no codes")
        lsb = np.array(self.info.lsb_uv) * np.array(self.info.signs)
        codes: NDArray[np.int32] = np.rint(self.data.astype(np.float64) / lsb[:, None]).astype(np.int32)
        return codes

    def times_ns(self) -> NDArray[np.float64]:
        """Fitted time of every sample, CLOCK_MONOTONIC ns, (n_samples,) float64."""
        return self.time_ns + self.period_ns * np.arange(self.n_samples, dtype=np.float64)

    def release(self) -> None:
        """Ends the frame's own hold; harmless when repeated."""
        self._array = None

    def __enter__(self) -> Frame:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __len__(self) -> int:
        return self.n_samples

    def __repr__(self) -> str:
        words = "".join(f", {name}" for name in self.flag_names)
        return (
            f"<Frame {self.frame_number} of {self.info.stream!r}: samples {self.sample_index}"
            f"…{self.sample_index + self.n_samples - 1}, lost_before {self.lost_before}{words}>"
        )

    @property
    def stream_epoch(self) -> int:
        return self.info.stream_epoch

    @property
    def frame_number(self) -> int:
        return int(self.descriptor.frame_number)

    @property
    def sample_index(self) -> int:
        """Index of the first sample in its stream epoch; counts on across losses."""
        return int(self.descriptor.sample_index)

    @property
    def n_samples(self) -> int:
        return int(self.descriptor.n_samples)

    @property
    def drdy_ns(self) -> int:
        """The first sample's DRDY edge as stamped, CLOCK_MONOTONIC ns."""
        return int(self.descriptor.drdy_ns)

    @property
    def time_ns(self) -> float:
        """The first sample's fitted time, CLOCK_MONOTONIC ns."""
        return float(self.descriptor.time_ns)

    @property
    def period_ns(self) -> float:
        """Fitted sample period in ns."""
        return float(self.descriptor.period_ns)

    @property
    def publish_ns(self) -> int:
        return int(self.descriptor.publish_ns)

    @property
    def wall_time_ns(self) -> float:
        """The first sample's time on the wall clock, ns since 1970: fitted time plus the offset at publishing."""
        return self.time_ns + int(self.descriptor.wall_offset_ns)

    @property
    def lost_before(self) -> int:
        """Samples that the writer lost just before this frame."""
        return int(self.descriptor.lost_before)

    @property
    def flags(self) -> int:
        return int(self.descriptor.flags)

    @property
    def flag_names(self) -> tuple[str, ...]:
        return flag_names(self.flags)

    def _labels_of(self, mask: int) -> tuple[str, ...]:
        return tuple(label for index, label in enumerate(self.info.labels) if mask >> index & 1) if mask else ()

    @property
    def railed(self) -> tuple[str, ...]:
        """Labels of channels at or beyond 90 % of full scale within this frame."""
        return self._labels_of(self.descriptor.railed)

    @property
    def flat(self) -> tuple[str, ...]:
        """Labels of channels that gave the very same code while others moved."""
        return self._labels_of(self.descriptor.flat)

    @property
    def lead_off(self) -> tuple[str, ...]:
        """Labels of channels whose electrode the chip reports as off."""
        return self._labels_of(self.descriptor.lead_off)

    @property
    def status_or(self) -> tuple[int, ...]:
        """24-bit status word of each chip, OR-ed over the frame (raw streams)."""
        return tuple(self.descriptor.status_or)

    @property
    def status_and(self) -> tuple[int, ...]:
        return tuple(self.descriptor.status_and)

    @property
    def source(self) -> Any:
        """Derived streams: the input frame and sample range that this came from (struct eegd_descriptor_source)."""
        return ffi.cast("struct eegd_descriptor_source *", ffi.addressof(self.descriptor, "status_or"))[0]
