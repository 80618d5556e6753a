"""A frame inside a chain: what the stage before gave, with all that the chain's own input said of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eegd.frame import Frame, StreamInfo

__all__ = ["StageFrame"]

NOTHING = np.empty((0, 0), np.float32)


class StageFrame(Frame):
    """Numbers, sample indices, times, flags and masks are those of the chain's input frame; data and info are those of
    the stage before. Main thread of a plugin process; it has no lease of its own."""

    __slots__ = ("_owned", "_shared_info")

    def __init__(self, frame: Frame, info: StreamInfo, data: NDArray[np.float32]) -> None:
        self._native = frame._native
        self.descriptor = frame.descriptor
        self._shared_info = frame.info
        self._owned = data
        self._array = None
        self.info = info
        self.missed = frame.missed

    @property
    def data(self) -> NDArray[np.float32]:
        """A view of the samples, read-only; made when it is asked for, as stages that work in place do not."""
        if self._array is None and self._owned is not NOTHING:
            self._array = self._owned.view()
            self._array.flags.writeable = False
        return super().data

    def inplace(self) -> NDArray[np.float32]:
        """The samples for changing them where they are; the chain is their only owner."""
        _ = self.data  # raises where it was released
        return self._owned

    def release(self) -> None:
        super().release()
        self._owned = NOTHING

    def _labels_of(self, mask: int) -> tuple[str, ...]:
        """Masks are by the channels of the chain's input."""
        if not mask:
            return ()
        labels = enumerate(self._shared_info.labels)
        return tuple(label for index, label in labels if mask >> index & 1 and label in self.info.labels)
