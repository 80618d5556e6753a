"""What the control thread of a plugin process hears."""

from __future__ import annotations

import select
import signal
import socket
import tempfile
from pathlib import Path

from eegd.output_thread import OutputThread

WAIT_S = 60.0


def test_a_signal_that_the_plugin_has_a_handler_for_is_no_request_to_end() -> None:
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryDirectory(prefix="eegd-", dir="/tmp") as directory, ours, theirs:
        thread = OutputThread("alarmed", Path(directory))
        thread.hear_signals(theirs.fileno())
        ours.send(bytes([signal.SIGALRM, signal.SIGUSR1]))
        while thread.call(lambda: select.select([theirs], [], [], 0)[0]):
            pass  # until it was read
        assert not thread.stopping.is_set()
        ours.send(bytes([signal.SIGALRM, signal.SIGTERM]))
        assert thread.stopping.wait(WAIT_S)
        assert thread.end_reason == "stopped"
        thread.deafen(theirs.fileno())
        thread.close()
