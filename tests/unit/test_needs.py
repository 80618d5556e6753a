"""What a plugin needs of its input: told before anything starts, with the need and what there is."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from eegd.errors import NeedsUnmet, PluginError
from eegd.frame import StreamInfo
from eegd.needs import Needs
from eegd.plugin import Plugin


def info_of(n: int = 8, rate_sps: float = 250.0, kind: str = "raw") -> StreamInfo:
    labels = tuple(f"C{n}" for n in range(n))
    return StreamInfo("in", kind, 1, rate_sps, labels, ("µV",) * n, 1, 0, (), (), (1,) * n, {})


@pytest.mark.parametrize("info", [info_of(), info_of(1), info_of(32, 16000), info_of(kind="filtered")])
def test_a_plugin_that_declares_nothing_takes_raw_and_filtered_streams_of_any_size(info: StreamInfo) -> None:
    Needs().check("any", info)


@pytest.mark.parametrize(
    ("needs", "info", "text"),
    [
        (
            Needs(),
            info_of(kind="features"),
            "plugin 'p' needs an input of kind raw or filtered, and 'in' is of kind features",
        ),
        (Needs(rate_sps=(500, math.inf)), info_of(), "plugin 'p' needs at least 500 SPS, and 'in' has 250"),
        (Needs(rate_sps=(1, 100)), info_of(), "plugin 'p' needs 1 to 100 SPS, and 'in' has 250"),
        (Needs(n_channels=(2, 4)), info_of(1), "plugin 'p' needs 2 to 4 channels, and 'in' has 1"),
        (Needs(n_channels=(4, 4)), info_of(5), "plugin 'p' needs 4 channels, and 'in' has 5"),
        (
            Needs(n_channels=(2, 4), rate_sps=(0, 125), kinds=("features",)),
            info_of(),
            "plugin 'p' needs an input of kind features, and 'in' is of kind raw; 0 to 125 SPS, and 'in' has 250; "
            "2 to 4 channels, and 'in' has 8",
        ),
    ],
)
def test_each_need_that_is_not_met_is_named_with_what_the_input_has(needs: Needs, info: StreamInfo, text: str) -> None:
    with pytest.raises(NeedsUnmet) as refused:
        needs.check("p", info)
    assert str(refused.value) == text


def test_both_ends_of_a_range_are_good() -> None:
    needs = Needs(n_channels=(2, 4), rate_sps=(250, 500))
    for n, rate in ((2, 250), (4, 500)):
        needs.check("p", info_of(n, rate))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"rate_sps": (500, 250)}, "rate_sps"), ({"kinds": ("cooked",)}, "kinds"), ({"kinds": ()}, "kinds")],
)
def test_needs_that_nothing_could_meet_are_refused_where_they_are_written(arguments: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        Needs(**arguments)


def test_needs_are_described_as_plain_json() -> None:
    text = json.dumps(Needs(n_channels=(2, math.inf)).describe(), allow_nan=False)
    assert json.loads(text) == {"rate_sps": [0, None], "n_channels": [2, None], "kinds": ["raw", "filtered"]}


def test_a_plugin_is_not_started_on_an_input_that_it_cannot_use() -> None:
    class Pair(Plugin):
        needs = Needs(n_channels=(2, 2))

    plugin = Pair()
    with pytest.raises(PluginError, match="plugin 'pair' needs 2 channels, and 'in' has 8"):
        plugin.accept(info_of())
    assert not hasattr(plugin, "info")
    plugin.accept(info_of(2))
    assert plugin.info.labels == ("C0", "C1")
