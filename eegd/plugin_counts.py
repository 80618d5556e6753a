"""What became of a plugin's input, for the status."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counts"]


@dataclass(slots=True)
class Counts:
    """Over all epochs of the input. Written by the main thread alone."""

    state: str = "starting"
    frames_in: int = 0
    frames_out: int = 0
    errors: int = 0
    """Frames on which the plugin raised; they were skipped."""
    missed: int = 0
    """Input frames that never reached this process."""
    overruns: int = 0
    """Output frames for which there was no free slab."""
