"""The plugin `filter` as a process of a real daemon: a recording of a person, and a thousand changes while it runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eegd import design
from eegd.stream import Stream
from tests.simulation.test_200_plugins import Taken, open_when_there, read_to_end, replayed
from tests.unit.test_filter import RATE_SPS, ideal
from tools import plot_alpha

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory

OPENBCI = Path(__file__).resolve().parents[3] / "shared/data/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"
N_CHANGES = 1000

CHAIN = """
[plugins.filter]
notch = 60
[plugins.bandpower]
input = "filter"
"""


@pytest.mark.data
@pytest.mark.skipif(not OPENBCI.exists(), reason=f"the recording {OPENBCI.name} is not there")
def test_a_recording_through_filter_and_bandpower_is_what_scipy_makes_of_it(daemon: DaemonFactory) -> None:
    overrides = {"replay.file": str(OPENBCI), "plugins.run": ("filter", "bandpower"), "stream.frame_samples": 10}
    process = daemon(overrides, wait_readers=2, text=CHAIN)
    client = process.connect()
    streams = [open_when_there(client, name, policy="lossless") for name in ("bandpower", "filter")]
    streams.append(client.open("raw", policy="lossless", timeout=30.0))
    with ThreadPoolExecutor() as threads:
        power, filtered, raw = threads.map(read_to_end, streams)
    assert process.wait()[0] == 0
    labels = streams[-1].info.labels
    uv = np.concatenate([frame.data for frame in raw], axis=1)
    assert uv.shape == (8, 22_490)
    ours = plot_alpha.Analysis(
        labels,
        RATE_SPS,
        np.concatenate([frame.data for frame in filtered], axis=1),
        np.concatenate([frame.data for frame in power], axis=1).T.reshape(len(power), 8, 5),
    )
    samples, powers = plot_alpha.apart(ours, plot_alpha.by_scipy(uv, labels, RATE_SPS))
    assert samples < 1e-3
    assert powers < 1e-3


def test_a_thousand_changes_while_a_sine_runs_give_the_cross_faded_ideal_and_cost_no_frame(
    daemon: DaemonFactory,
) -> None:
    overrides = {"sim.clock": "real", "sim.source": "sine", "sim.sine_uv": 50.0, "plugins.run": ("filter",)}
    process = daemon({**overrides, "stream.frame_samples": 1}, wait_readers=2)
    client = process.connect()
    filtered = open_when_there(client, "filter", seconds=20)
    raw = client.open("raw", seconds=20, timeout=30.0)
    rng = np.random.default_rng(7)
    with ThreadPoolExecutor() as threads:
        readings = [threads.submit(read_to_end, stream) for stream in (raw, filtered)]
        answers = []
        for _ in range(N_CHANGES):
            low, high = float(rng.uniform(0.3, 5)), float(rng.uniform(15, 100))
            answers.append((client.set("filter", low=low, high=high), low, high))
        process.stop()
        before, after = (reading.result() for reading in readings)
    assert_none_missing(raw, before)
    assert_none_missing(filtered, after)
    numbers: list[Any] = [answer.frame_number for answer, _, _ in answers]
    assert all(np.diff(numbers) > 0)
    assert [answer.sample_index for answer, _, _ in answers] == numbers  # frames of one sample, nothing lost
    changes = {
        number: design.band_pass(low, high, RATE_SPS, 2)
        for number, (_, low, high) in zip(numbers, answers, strict=True)
    }
    x = np.concatenate([frame.data for frame in before], axis=1)
    y = np.concatenate([frame.data for frame in after], axis=1)
    assert after[0].source[0] == before[0].number == 0
    expected = ideal(x[:, : y.shape[1]], 1, {0: design.band_pass(1, 40, RATE_SPS, 2), **changes}, 0.1)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_in_a_chain_it_works_in_place_and_gives_the_same(daemon: DaemonFactory, home: Path) -> None:
    chain = '[plugins.both]\nchain = ["template", "filter"]\n[plugins.both.filter]\nhigh = 30\n'
    text = chain + "[plugins.filter]\nhigh = 30\n"
    _, (_, alone, both), _ = replayed(daemon, home, ("filter", "both"), text=text)
    assert sum(frame.n_samples for frame in both) == 2500
    for one, other in zip(alone, both, strict=True):
        np.testing.assert_array_equal(one.data, other.data)


def assert_none_missing(stream: Stream, frames: list[Taken]) -> None:
    assert stream.n_epochs == 1
    assert stream.missed == 0
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert len(frames) >= N_CHANGES
