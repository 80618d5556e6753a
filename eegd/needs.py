"""What a plugin needs of its input, declared on its class and checked before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eegd.errors import NeedsUnmet
from eegd.frame import StreamInfo

__all__ = ["INPUT_KINDS", "Needs", "unmet_needs"]

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
            limits: object = getattr(self, name)
            if not isinstance(limits, (tuple, list)) or len(limits) != 2:
                raise TypeError(f"Needs.{name} = {limits!r:.60}: smallest and largest, as in (2, 32)")
            low, high = limits
            if not low <= high:
                raise TypeError(f"Needs.{name} = {low:g} to {high:g}: the first is the smaller one")
        if not self.kinds or not set(self.kinds) <= set(INPUT_KINDS):
            raise TypeError(f"Needs.kinds = {self.kinds!r}: some of {', '.join(INPUT_KINDS)}")

    def check(self, plugin: str, info: StreamInfo) -> None:
        """Raises NeedsUnmet, which names the plugin, every need that is not met, and what the input has."""
        unmet = unmet_needs(self.describe(), info.stream, info.kind, info.rate_sps, len(info.labels))
        if unmet:
            raise NeedsUnmet(f"plugin {plugin!r} needs {'; '.join(unmet)}")

    def describe(self) -> Mapping[str, object]:
        """As plain JSON types; a limit that there is not is null."""
        return {
            "rate_sps": [limit if math.isfinite(limit) else None for limit in self.rate_sps],
            "n_channels": [limit if math.isfinite(limit) else None for limit in self.n_channels],
            "kinds": list(self.kinds),
        }


def unmet_needs(
    needs: Mapping[str, Any], stream: str, kind: str, rate_sps: float | None, n_channels: int | None
) -> list[str]:
    """Every need, as described, that this stream does not meet, with what it has. None: that is not known."""
    unmet = []
    if kind not in needs["kinds"]:
        unmet.append(f"an input of kind {' or '.join(needs['kinds'])}, and {stream!r} is of kind {kind}")
    for key, unit, has in (("rate_sps", "SPS", rate_sps), ("n_channels", "channels", n_channels)):
        low, high = (math.inf if limit is None else limit for limit in needs[key])
        if has is not None and not low <= has <= high:
            unmet.append(f"{_range((low, high), unit)}, and {stream!r} has {has:g}")
    return unmet


def _range(limits: tuple[float, float], unit: str) -> str:
    low, high = limits
    if high == math.inf:
        return f"at least {low:g} {unit}"
    return f"{low:g} {unit}" if low == high else f"{low:g} to {high:g} {unit}"
