"""Re-referencing: which channels make the reference, which are changed, and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eegd.errors import NeedsUnmet, ParamError
from eegd.frame import StreamInfo
from eegd.output import output_description
from eegd.params import assign_params, check_params, parse_words
from eegd.plugin_source import load_plugin

LABELS = ("Fz", "Cz", "A1", "A2", "EOG")
RNG = np.random.default_rng(7)


def info_of(bad: tuple[str, ...] = (), labels: tuple[str, ...] = LABELS, **more: object) -> StreamInfo:
    channels = [
        {"label": label, "unit": "µV", "type": "EOG" if label == "EOG" else "EEG", "bad": label in bad}
        for label in labels
    ]
    described = {
        **{"name": "raw", "kind": "raw", "stream_epoch": 1, "rate_sps": 250.0, "frame_samples": 10, "delay_ns": 6},
        **{"channels": channels, "reference": "Cz", **more},
    }
    return StreamInfo.from_description(described)


def frame_of(at: int = 0, **masks: Any) -> Any:
    n = 10
    data = (RNG.normal(0, 50, (len(LABELS), n)) + 30_000).astype(np.float32)
    state = {"railed": (), "flat": (), "lead_off": (), **masks}
    return SimpleNamespace(data=data, n_samples=n, sample_index=at, time_ns=at * 4e6, period_ns=4e6, **state)


def started(info: StreamInfo | None = None, **values: object) -> Any:
    plugin = load_plugin("reference")()
    assign_params(plugin, check_params(type(plugin), values))
    plugin.accept(info or info_of())
    plugin.start(plugin.info)
    return plugin


def referenced(plugin: Any, frame: Any) -> NDArray[np.float32]:
    out = np.full(frame.data.shape, np.nan, np.float32)
    assert plugin.process(frame, out) is None
    in_place = frame.data.copy()
    plugin.process_inplace(in_place, SimpleNamespace(**{**vars(frame), "data": in_place}))
    np.testing.assert_array_equal(in_place, out)
    return out


def expected(frame: Any, members: list[int]) -> NDArray[np.float64]:
    data: NDArray[np.float64] = frame.data.astype(np.float64)
    mean = data[members].mean(axis=0)
    data[:4] -= mean
    return data


def test_the_common_average_is_of_the_eeg_channels_and_leaves_others_alone() -> None:
    frame = frame_of()
    got = referenced(started(), frame)
    np.testing.assert_allclose(got, expected(frame, [0, 1, 2, 3]), atol=0.01)
    np.testing.assert_allclose(got[:4].mean(axis=0), 0, atol=0.01)
    np.testing.assert_array_equal(got[4], frame.data[4])


def test_linked_mastoids_are_the_mean_of_both() -> None:
    plugin, frame = started(**parse_words(load_plugin("reference"), ["A1,A2"])), frame_of()
    np.testing.assert_allclose(referenced(plugin, frame), expected(frame, [2, 3]), atol=0.01)


def test_one_channel_becomes_zero_against_itself() -> None:
    assert not referenced(started(to="Cz"), frame_of())[1].any()


def test_channels_marked_bad_do_not_count_but_are_referenced() -> None:
    frame = frame_of()
    got = referenced(started(info_of(bad=("Cz",))), frame)
    np.testing.assert_allclose(got, expected(frame, [0, 2, 3]), atol=0.01)


@pytest.mark.parametrize("mask", ["railed", "flat", "lead_off"])
def test_a_channel_that_is_railed_flat_or_off_counts_in_no_frame_in_which_it_is(mask: str) -> None:
    plugin = started()
    cases: list[tuple[list[int], dict[str, Any]]] = [
        ([0, 1, 2, 3], {}),
        ([0, 1, 3], {mask: ("A1", "EOG")}),
        ([0, 1, 2, 3], {}),
    ]
    for members, masks in cases:
        frame = frame_of(**masks)
        np.testing.assert_allclose(referenced(plugin, frame), expected(frame, members), atol=0.01)


def test_who_is_left_out_is_told_when_it_changes_and_at_most_once_a_second() -> None:
    plugin, told = started(), []
    plugin.post = lambda label, **facts: told.append((facts["sample_index"], label))
    out = np.zeros((5, 10), np.float32)
    for number in range(100):
        flickers: dict[str, Any] = {"railed": ("A1",)} if number % 2 else {}
        plugin.process(frame_of(10 * number, **flickers), out)
    assert told[0] == (10, "reference without A1 (railed, flat or off)")
    indices = np.array([index for index, _ in told])
    assert (np.diff(indices) >= 250).all()
    assert told[1][1] == "reference with all its channels again"


def test_a_frame_without_enough_good_channels_is_an_error_that_names_them() -> None:
    with pytest.raises(ValueError, match="too few channels for a reference: A1, A2, Cz are railed, flat or off"):
        started().process(frame_of(flat=("A1", "A2", "Cz")), np.zeros((5, 10), np.float32))


def test_a_change_that_is_refused_leaves_the_reference_as_it_was() -> None:
    plugin = started(info_of(bad=(LABELS[0],)))
    before = plugin.outputs(plugin.info)
    assign_params(plugin, {"to": (LABELS[0],)})
    plugin.accept(plugin.info)
    with pytest.raises(ParamError, match="too few"):
        plugin.changed(("to",))
    assign_params(plugin, {"to": "all"})
    plugin.accept(plugin.info)
    assert plugin.outputs(plugin.info) == before
    frame = frame_of(railed=(LABELS[1],))
    np.testing.assert_allclose(referenced(plugin, frame), expected(frame, [2, 3]), atol=0.01)


def test_what_it_is_measured_against_is_told_to_readers() -> None:
    def told(plugin: Any) -> object:
        return output_description(plugin, plugin.info, plugin.outputs(plugin.info), "raw")["reference"]

    assert told(started()) == "average of Fz, Cz, A1, A2"
    assert told(started(info_of(bad=("Cz",)))) == "average of Fz, A1, A2, without Cz (bad)"
    assert told(started(to="A1,A2")) == "mean of A1, A2"
    assert told(started(info_of(bad=("A2",)), to="A1,A2")) == "A1, without A2 (bad)"


@pytest.mark.parametrize(
    ("info", "to", "error", "text"),
    [
        (info_of(labels=("Fz",)), "all", NeedsUnmet, "plugin 'reference' needs at least 2 channels, and 'raw' has 1"),
        (info_of(wiring="bipolar"), "all", NeedsUnmet, "needs channels with one reference; those of 'raw' are bipolar"),
        (info_of(), "A1,M2", ParamError, "reference: to: no channel M2; the input has Fz, Cz, A1, A2, EOG"),
        (info_of(bad=("A1",)), "A1", ParamError, "reference: to = A1: too few are left .* marked bad .*: A1"),
    ],
)
def test_an_input_without_a_reference_is_refused(info: StreamInfo, to: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        started(info, to=to)
