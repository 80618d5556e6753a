"""Every fault of the emulated board: counted by its cause, explained to the last sample, and over by itself."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults import bench
from tests.faults.bench import Case, Result
from tests.faults.cases import CASES

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory

BY_NAME = {case.name: case for case in CASES}


@cache
def result_of(name: str) -> Result:
    """Each takes up to ten seconds: once is enough for all that is asked of it."""
    return bench.run_case(BY_NAME[name])


def losses_of(counted: dict[str, int]) -> dict[str, int]:
    return {label: n for label, n in counted.items() if label.startswith(("loss.", "bad."))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_counted_by_cause_and_no_sample_is_wrong_or_unexplained(case: Case) -> None:
    result = result_of(case.name)
    assert result.wrong == 0
    assert result.unexplained == 0
    for label, n in case.counted.items():
        assert result.counted.get(label, 0) == n or (case.at_least and result.counted.get(label, 0) > n), result
    if not case.at_least and not any(label.startswith("loss.") for label in case.counted):
        assert losses_of(result.counted) == {}
    if not case.at_least and any(label.startswith("bad.") for label in case.counted):
        assert losses_of(result.counted) == losses_of(dict(case.counted))
    assert bool(case.told) == bool(result.recoveries)
    assert case.told in (result.recoveries or [""])[-1]
    assert (result.epochs > 1) == bool(case.told)


def told_gap_s(result: Result) -> float:
    return sum(float(event["without_data_ns"]) for event in result.events if event["kind"] == "epoch") / 1e9


def test_ten_minutes_without_a_board_are_stated_and_leave_the_daemon_and_its_readers_where_they_are() -> None:
    result = result_of("board unplugged for 10 min")
    assert 600 < result.gap_s < 610
    assert told_gap_s(result) == pytest.approx(result.gap_s, abs=0.01)
    assert len([event for event in result.events if event["kind"] == "reader attached"]) == 2  # the same, twice
    texts = [str(report["text"]) for report in result.status]
    assert all(report["recovering"] for report in result.status)
    assert len(texts) > 100 and "attempt 3, chip 1 (chip select 0) is no ADS1299: ID read FFh" in texts[3]
    assert len(result.recoveries) <= 7  # told while the pauses grow, then once a minute, and when it is over


def test_the_register_that_a_brown_out_changed_is_named() -> None:
    [label] = result_of("brown-out, START wired").recoveries
    assert label.startswith("chip restarted (no edge for ")
    assert "chip 1: CONFIG3 (03h): wrote ECh, read 60h" in label


def test_lost_register_writes_are_found_and_written_again() -> None:
    result = result_of("brown-out, then register writes lost")
    assert len(result.recoveries) == 2
    assert "wrote" in result.recoveries[0] and "next attempt in 0.1 s" in result.recoveries[0]


def test_a_lost_bus_is_opened_again_as_often_as_it_takes() -> None:
    result = result_of("line gone (ENODEV), five opens refused")
    assert "board error (No such device): /dev/spidev0.0: No such file or directory" in result.recoveries[0]
    assert result.status[-1]["attempts"] == 5
    assert 11.6 < told_gap_s(result) < 13  # what the pauses before the attempts come to, and power-up


def channel_events(process: Any) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = process.connect().ask("recent_events")["events"]
    return [event for event in events if event["kind"] == "channel state"]


def test_a_channel_that_rails_a_hundred_times_is_a_hundred_pairs_of_events_by_label(daemon: DaemonFactory) -> None:
    fault = {"kind": "RAILED", "at": 500, "count": 250, "period": 500, "channel": 2, "value": -1}
    process = daemon({"sim.source": "quiet", "stream.frame_samples": 50}, wait_readers=1, faults=[fault])
    n_railed = 0
    with process.connect().open(policy="lossless", depth=32, timeout=20) as stream:
        while True:
            with stream.take() as frame:
                assert frame.railed in ((), ("C3",))
                n_railed += frame.railed == ("C3",)
                if frame.sample_index > 500 + 99 * 500 + 250 + 130:
                    break
        events = channel_events(process)[:200]
        status = process.status()
    assert [event["label"] for event in events] == ["C3: railed", "C3: no longer railed"] * 100
    assert all((event["channel"], event["state"]) == ("C3", "railed") for event in events)
    assert [event["on"] for event in events] == [True, False] * 100
    starts = [event["sample_index"] for event in events[::2]]
    assert all(later - earlier == 500 for earlier, later in pairwise(starts))
    assert n_railed >= 500
    assert status["events"]["dropped"] == 0


def test_an_electrode_that_comes_off_a_hundred_times_is_a_hundred_pairs_of_events_by_label(
    daemon: DaemonFactory,
) -> None:
    """Seen by the chip's comparators: 6 nA drive an open input to the supply, which gain 1 does not call railed."""
    fault = {"kind": "ELECTRODE_OFF", "at": 500, "count": 250, "period": 500, "channel": 2}
    overrides = {"sim.source": "quiet", "stream.frame_samples": 50, "board.lead_off_mode": "dc"}
    process = daemon({**overrides, "montage.lead_off": True, "montage.gain": 1}, wait_readers=1, faults=[fault])
    n_off = 0
    with process.connect().open(policy="lossless", depth=32, timeout=20) as stream:
        while True:
            with stream.take() as frame:
                assert frame.lead_off in ((), ("C3",))
                n_off += frame.lead_off == ("C3",)
                if frame.sample_index > 500 + 99 * 500 + 250 + 130:
                    break
        events = channel_events(process)[:200]
    assert [event["label"] for event in events] == ["C3: electrode off", "C3: electrode on again"] * 100
    assert all(event["channel"] == "C3" for event in events)
    assert n_off >= 500


def test_a_channel_that_is_railed_stands_in_the_status_and_is_told_once_over_a_new_epoch(daemon: DaemonFactory) -> None:
    fault = {"kind": "RAILED", "at": 300, "count": 0, "channel": 1, "value": 1}
    process = daemon({"sim.source": "quiet"}, wait_readers=1, faults=[fault])
    with process.connect().open(policy="lossless", depth=32, timeout=20) as stream:
        while stream.take().sample_index < 1000:
            pass
        assert process.status()["channels"] == {"Fp2": ["railed"]}
        process.connect().ask("board", settings={"rate": "500"})
        while stream.n_epochs < 2 or stream.take().sample_index < 2000:
            stream.take()
        assert process.status()["channels"] == {"Fp2": ["railed"]}
    assert [event["label"] for event in channel_events(process)] == ["Fp2: railed"]
