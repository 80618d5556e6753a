"""Channels that are railed, near the rail, flat or off, by label (decided in C, native/channel_state.h)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eegd.capture import CHANNEL_STATES, NativeEvent
from eegd.montage import Montage

__all__ = ["ChannelStates"]

SENTENCES: Mapping[str, tuple[str, str]] = {
    "railed": ("railed", "no longer railed"),
    "near the rail": ("near the rail", "no longer near the rail"),
    "flat": ("flat", "moves again"),
    "electrode off": ("electrode off", "electrode on again"),
}


class ChannelStates:
    """What was told of the channels, over the epochs of a stream: labels last, planes may not. Control thread only."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}

    def note(self, montage: Montage, masks: Sequence[int]) -> None:
        """Takes over what a capture thread has in force: a mask of planes for each of CHANNEL_STATES."""
        self._known = {}
        for plane, channel in enumerate(montage.on):
            states = tuple(name for name, mask in zip(CHANNEL_STATES, masks, strict=True) if mask >> plane & 1)
            if states:
                self._known[channel.label] = states

    def masks(self, montage: Montage) -> list[int]:
        """The same for a capture thread to come, which then does not tell it again."""
        return [
            sum(1 << plane for plane, channel in enumerate(montage.on) if name in self._known.get(channel.label, ()))
            for name in CHANNEL_STATES
        ]

    def report(self) -> dict[str, list[str]]:
        """Label and states of each channel that is in any."""
        return {label: list(states) for label, states in self._known.items()}

    @staticmethod
    def told(montage: Montage, event: NativeEvent) -> tuple[str, dict[str, Any]]:
        """Label and facts of an event of kind `channel state`."""
        channel, state, is_on = montage.on[event.source].label, CHANNEL_STATES[event.n], bool(event.b)
        return f"{channel}: {SENTENCES[state][not is_on]}", {"channel": channel, "state": state, "on": is_on}
