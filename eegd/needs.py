"""What a plugin needs of its input, declared on its class and checked before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from eegd.errors import NeedsUnmet
from eegd.frame import StreamInfo

__all__ = ["INPUT_KINDS", "Needs"]

INPUT_KINDS = ("raw", "filtered", "features")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Both limits of a range are allowed values. Raises TypeError where nothing could meet it."""

    rate_sps: tuple[float, float] = (0, math.inf)
    n_channels: tuple[float, float] = (1, math.inf)
    """Channels, or columns of a features stream."""
    kinds: tuple[str, ...] = ("raw", "filtered")

    def __post_init__(self) -> None:
        for name in ("rate_sps", "n_channels"):
            low, high = getattr(self, name)
            if not low <= high:
                raise TypeError(f"Needs.{name} = {low:g} to {high:g}: the first is the smaller one")
        if not self.kinds or not set(self.kinds) <= set(INPUT_KINDS):
            raise TypeError(f"Needs.kinds = {self.kinds!r}: some of {', '.join(INPUT_KINDS)}")

    def check(self, plugin: str, info: StreamInfo) -> None:
        """Raises NeedsUnmet, which names the plugin, every need that is not met, and what the input has."""
        unmet = []
        if info.kind not in self.kinds:
            unmet.append(f"an input of kind {' or '.join(self.kinds)}, and {info.stream!r} is of kind {info.kind}")
        if not self.rate_sps[0] <= info.rate_sps <= self.rate_sps[1]:
            unmet.append(f"{_range(self.rate_sps, 'SPS')}, and {info.stream!r} has {info.rate_sps:g}")
        if not self.n_channels[0] <= len(info.labels) <= self.n_channels[1]:
            unmet.append(f"{_range(self.n_channels, 'channels')}, and {info.stream!r} has {len(info.labels)}")
        if unmet:
            raise NeedsUnmet(f"plugin {plugin!r} needs {'; '.join(unmet)}")

    def describe(self) -> Mapping[str, object]:
        """As plain JSON types; a limit that there is not is null."""
        return {
            "rate_sps": [limit if math.isfinite(limit) else None for limit in self.rate_sps],
            "n_channels": [limit if math.isfinite(limit) else None for limit in self.n_channels],
            "kinds": list(self.kinds),
        }


def _range(limits: tuple[float, float], unit: str) -> str:
    low, high = limits
    if high == math.inf:
        return f"at least {low:g} {unit}"
    return f"{low:g} {unit}" if low == high else f"{low:g} to {high:g} {unit}"
