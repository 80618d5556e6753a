"""eegd: an EEG acquisition daemon for ADS1299 boards, and the client for its streams.

>>> import eegd
>>> with eegd.connect() as eeg, eeg.open("raw") as stream:
...     for frame in stream:
...         print(frame.time_ns, frame["Oz"].mean())
"""

from eegd.block import Block, Gap
from eegd.client import Client, connect
from eegd.errors import EegdError
from eegd.frame import Frame, StreamInfo
from eegd.stream import MissedFrames, Stream

__version__ = "0.1.0"

__all__ = ["Block", "Client", "EegdError", "Frame", "Gap", "MissedFrames", "Stream", "StreamInfo", "connect"]
