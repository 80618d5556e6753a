"""A recording of a person through `filter` and `bandpower`: as scipy computes it, with what was done in it to be seen.

The file does not say when the eyes were closed; the alpha waves at the back of the head do.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import signal

from tools import plot_alpha

OPENBCI = Path(__file__).resolve().parents[3] / "shared/data/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not OPENBCI.exists(), reason=f"the recording {OPENBCI.name} is not there"),
]


@pytest.fixture(scope="module")
def recording() -> tuple[np.ndarray, tuple[str, ...], float]:
    return plot_alpha.load(OPENBCI)


@pytest.fixture(scope="module")
def analysis(recording: tuple[np.ndarray, tuple[str, ...], float]) -> plot_alpha.Analysis:
    return plot_alpha.by_plugins(*recording)


def test_a_recording_through_filter_and_bandpower_is_what_scipy_makes_of_it(
    recording: tuple[np.ndarray, tuple[str, ...], float], analysis: plot_alpha.Analysis
) -> None:
    samples, powers = plot_alpha.apart(analysis, plot_alpha.by_scipy(*recording))
    assert len(analysis.powers_uv2) == (22_490 - 500) // 50 + 1
    assert samples < 1e-3
    assert powers < 1e-3


def test_alpha_rises_at_the_back_of_the_head_and_falls_again(analysis: plot_alpha.Analysis) -> None:
    times = analysis.times_s()

    def alpha(label: str, begin: float, end: float) -> float:
        return float(np.median(analysis.band(label, "alpha")[(times >= begin) & (times < end)]))

    for label in ("EXG6", "EXG7"):
        assert alpha(label, 30, 75) > 2 * alpha(label, 18, 28)
        assert alpha(label, 30, 75) > 2 * alpha(label, 76, 82)
        assert alpha(label, 30, 75) > 2 * alpha("EXG0", 30, 75)


def test_blinks_stand_out_at_the_front(analysis: plot_alpha.Analysis) -> None:
    trace = analysis.filtered_uv[analysis.labels.index("EXG0")]
    blinks = signal.find_peaks(-trace, height=100, distance=25)[0] / analysis.rate_sps
    assert sum((blinks > 4) & (blinks < 7)) >= 5
    assert sum((blinks > 15) & (blinks < 17)) >= 3
    assert not sum((blinks > 20) & (blinks < 75))


def test_the_picture_has_both_panels_and_all_their_points(analysis: plot_alpha.Analysis) -> None:
    picture = ElementTree.fromstring(plot_alpha.draw(analysis))
    lines = [line.attrib["points"].split() for line in picture.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(points) for points in lines] == [2 * plot_alpha.WIDTH, len(analysis.powers_uv2)]
    assert all(np.isfinite(float(number)) for points in lines for point in points for number in point.split(","))
