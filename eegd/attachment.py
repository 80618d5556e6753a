"""A reader's attachment to a stream over its epochs: to the present one, and anew to each that comes after it."""

from __future__ import annotations

import time

import zmq

from eegd.errors import AttachRefused, DaemonNotRunning, EegdError, StreamEnded, StreamLost
from eegd.inlet import AttachRequest, End, Inlet
from eegd.readiness import Readiness

__all__ = ["RETRY_S", "Attachment"]

RETRY_S = 0.02


class Attachment:
    """Owns the inlet of the present epoch, and the descriptor that tells when there is something to take.

    Threads: one at a time.
    """

    def __init__(self, request: AttachRequest, timeout: float | None) -> None:
        """Attaches. timeout: how long a recovery of the chips is waited for, in seconds. Raises what Inlet raises."""
        self.request = request
        self.n_epochs = 1
        """Stream epochs seen, this one included."""
        self.ended: End | None = None
        """How the stream ended, once it has."""
        self.may_renew = True
        """False: whoever takes frames has no time to attach again now, and gets StreamLost."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._readiness: Readiness | None = None
        """Behind `fileno()`, from its first use on."""
        self.inlet = Inlet(request, self._context, timeout)

    @property
    def is_open(self) -> bool:
        """False once the stream has ended, and where it was lost and has not come back yet."""
        return self.inlet.pointer is not None

    def renew(self, deadline: float | None) -> None:
        """Attaches to the next epoch. deadline on time.monotonic, None waits without limit.

        Raises StreamEnded where there will be none, StreamLost at the deadline, AttachRefused.
        """
        if self._readiness is not None:
            self._readiness.unwatch(self.inlet)
        self.inlet.close()
        if not self.may_renew:
            raise StreamLost(f"stream {self.request.stream!r} is between two epochs")
        self.inlet = self._next_inlet(deadline)
        self.n_epochs += 1
        if self._readiness is not None:
            self._readiness.watch(self.inlet)

    def _next_inlet(self, deadline: float | None) -> Inlet:
        while True:
            try:
                return Inlet(self.request, self._context)
            except AttachRefused:
                raise
            except StreamEnded as error:
                self.ended = End(error.reason, error.totals)
                raise
            except (DaemonNotRunning, StreamLost) as error:
                if deadline is not None and time.monotonic() > deadline:
                    raise StreamLost(
                        f"stream {self.request.stream!r} was lost and has not come back: {error}"
                    ) from None
            time.sleep(RETRY_S)

    def fileno(self) -> int:
        """Readable while a frame (or the end) can be taken without waiting, over all epochs. Lane zeromq, or
        EegdError."""
        if self.request.lane != "zeromq":
            raise EegdError("fileno() needs lane='zeromq'; a futex, on which lane 'direct' waits, has no descriptor")
        if self._readiness is None:
            self._readiness = Readiness(self.inlet)
        return self._readiness.fileno()

    def update_readiness(self) -> None:
        """To be called after each take."""
        if self._readiness is not None:
            self._readiness.update(self.inlet)

    def close(self) -> None:
        """For good. Arrays that are still held stay valid."""
        self.inlet.close()
        if self._readiness is not None:
            self._readiness.close()
