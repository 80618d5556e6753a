"""eegd: an EEG acquisition daemon for ADS1299 boards, and the client for its streams.

>>> import eegd
>>> with eegd.connect() as eeg, eeg.open("raw") as stream:
...     for frame in stream:
...         print(frame.time_ns, frame["Oz"].mean())
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eegd.block import Block, Gap
    from eegd.client import Client, connect
    from eegd.errors import EegdError
    from eegd.frame import Frame, StreamInfo
    from eegd.stream import MissedFrames, Stream

__version__ = "0.1.0"

__all__ = ["Block", "Client", "EegdError", "Frame", "Gap", "MissedFrames", "Stream", "StreamInfo", "connect"]

HOMES = {
    **{"Block": "block", "Gap": "block", "Client": "client", "connect": "client", "EegdError": "errors"},
    **{"Frame": "frame", "StreamInfo": "frame", "MissedFrames": "stream", "Stream": "stream"},
}


def __getattr__(name: str) -> object:
    """Names of `__all__`, and modules, at their first use: the commands must not wait for NumPy to hear Ctrl-C."""
    if name in HOMES:
        value: object = getattr(import_module(f"eegd.{HOMES[name]}"), name)
        globals()[name] = value
        return value
    if not name.startswith("_"):
        try:
            return import_module(f"eegd.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"eegd.{name}":
                raise
    raise AttributeError(f"module 'eegd' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
