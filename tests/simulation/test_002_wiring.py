"""Known inputs through every wiring, gain and chain of chips: sign and microvolts at the reader, the chip's codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eegd.block import Block
from eegd.pattern import check_pattern, pattern_codes
from eegd.stream import Stream

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory

WAIT_S = 30.0
FULL_SCALE = 2**23
GAINS = (1, 2, 4, 6, 8, 12, 24)
SIGN = {"SRB1": 1, "SRB2": -1, "bipolar": 1}

Array = NDArray[Any]


def read_all(stream: Stream) -> tuple[Array, Array]:
    """(data, codes) of every frame to the end of the stream."""
    frames = [(frame.copy(), frame.codes()) for frame in stream]
    return np.concatenate([data for data, _ in frames], axis=1), np.concatenate([c for _, c in frames], axis=1)


def lsb_uv(gain: int) -> float:
    return 4.5e6 / 2**23 / gain


def write_codes(path: Path, codes: Array, gains: list[int]) -> Path:
    """A recording of the electrode voltages that lie on the middle of these codes, (n, n_channels)."""
    volts = codes * np.array([lsb_uv(gain) for gain in gains])
    header = ",".join(f"c{k}" for k in range(codes.shape[1]))
    path.write_text(header + "\n" + "".join(",".join(f"{v:.4f}" for v in row) + "\n" for row in volts))
    return path


def some_codes(n: int, n_channels: int) -> Array:
    """Codes of all sizes and both signs, with steps of one LSB and values close to the rails."""
    codes = np.random.default_rng(7).integers(-FULL_SCALE + 4, FULL_SCALE - 4, (n, n_channels))
    codes[: n // 2] >>= 12
    codes[:5] = np.array([0, 1, -1, FULL_SCALE - 8, -FULL_SCALE + 8])[:, None]
    return codes


@pytest.mark.parametrize("wiring", ["SRB1", "SRB2", "bipolar"])
def test_a_known_voltage_has_its_sign_and_size_in_each_wiring_and_codes_are_the_chips(
    daemon: DaemonFactory, tmp_path: Path, wiring: str
) -> None:
    gains = [24, 12, 8, 6, 4, 2, 1, 24]
    wanted = some_codes(200, 8)
    path = write_codes(tmp_path / "known.csv", wanted, gains)
    labels = [f"E{k}-F{k}" if wiring == "bipolar" else f"E{k}" for k in range(8)]
    rows = [
        f'[[montage.channel]]\nlabel = "{label}"\ngain = {gain}\n' for label, gain in zip(labels, gains, strict=True)
    ]
    text = f'[montage]\nwiring = "{wiring}"\n' + "".join(rows)
    process = daemon({"replay.file": str(path), "stream.frame_samples": 16}, wait_readers=1, text=text)
    client = process.connect()
    info = client.info
    assert info.labels == tuple(labels) and info.signs == (SIGN[wiring],) * 8
    assert [channel["gain"] for channel in info.description["channels"]] == gains
    sides = {"SRB1": ("E0", "SRB1"), "SRB2": ("SRB2", "E0"), "bipolar": ("E0", "F0")}[wiring]
    assert (info.description["channels"][0]["p"], info.description["channels"][0]["n"]) == sides
    with client.open(policy="lossless", timeout=WAIT_S) as stream:
        data, codes = read_all(stream)
    assert np.array_equal(codes, SIGN[wiring] * wanted.T)  # what the chip measures between P and N
    lsb = np.array([lsb_uv(gain) for gain in gains])[:, None]
    assert np.array_equal(data, (wanted.T * lsb).astype(np.float32))  # electrode minus reference
    assert process.wait() == (0, "200 samples, 0 lost")


@pytest.mark.parametrize("wiring", ["SRB1", "SRB2", "bipolar"])
def test_a_sine_arrives_with_its_phase_and_amplitude_in_each_wiring(daemon: DaemonFactory, wiring: str) -> None:
    overrides = {"sim.source": "sine", "sim.sine_hz": 5.0, "sim.sine_uv": 1500.0, "montage.wiring": wiring}
    process = daemon({**overrides, "board.rate_sps": 1000}, wait_readers=1)
    with process.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        block: Block = stream.read(seconds=1.0)
        signs = stream.info.signs
    wanted = 1500 * np.sin(2 * np.pi * 5.0 * block.sample_index / 1000)
    assert np.abs(block.data - wanted).max() <= 0.5 * lsb_uv(24) + 0.0015  # of an LSB, and whole nanovolts
    assert signs == (SIGN[wiring],) * 8
    spans = np.diff(block.times_ns)
    assert np.abs(spans - 1e6).max() < 100  # ns
    code, summary = process.stop()
    assert code == 0 and summary.endswith(", 0 lost")


@pytest.mark.parametrize("wiring", ["SRB1", "SRB2"])
def test_rails_keep_their_sign_and_are_marked(daemon: DaemonFactory, tmp_path: Path, wiring: str) -> None:
    path = tmp_path / "rails.csv"
    path.write_text("a,b,c\n" + "1e6,-1e6,1000\n" * 8)
    process = daemon({"replay.file": str(path), "montage.wiring": wiring, "stream.frame_samples": 8}, wait_readers=1)
    with process.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        frame = stream.take()
        labels = stream.info.labels
        assert frame.railed == labels[:2]
        top, bottom = FULL_SCALE - 1, -FULL_SCALE
        codes = (top, bottom) if wiring == "SRB1" else (bottom, top)
        assert frame.codes()[:2].tolist() == [[codes[0]] * 8, [codes[1]] * 8]
        assert (frame[labels[0]] > 187_499).all() and (frame[labels[1]] < -187_499).all()
        assert np.abs(frame[labels[2]] - 1000).max() < 0.02


CHAINS = [
    (("ADS1299",), "cascade"),
    (("ADS1299-4",), "daisy"),
    (("ADS1299", "ADS1299-4"), "cascade"),
    (("ADS1299-6", "ADS1299-6"), "cascade"),
    (("ADS1299", "ADS1299", "ADS1299"), "daisy"),
    (("ADS1299-4", "ADS1299-6", "ADS1299"), "cascade"),
    (("ADS1299", "ADS1299", "ADS1299", "ADS1299"), "cascade"),
    (("ADS1299", "ADS1299", "ADS1299", "ADS1299"), "daisy"),
    (("ADS1299-4", "ADS1299-4", "ADS1299-4", "ADS1299-4"), "daisy"),
]


@pytest.mark.parametrize(
    ("chips", "topology"),
    CHAINS,
    ids=[f"{topology}-{'+'.join(c[7:] or '8' for c in chips)}" for chips, topology in CHAINS],
)
def test_every_byte_is_right_through_every_chain_of_chips(
    daemon: DaemonFactory, chips: tuple[str, ...], topology: str
) -> None:
    overrides = {
        "board.chips": chips,
        "board.topology": topology,
        "board.start_line": "START" if len(chips) > 1 else None,
        "sim.source": "pattern",
        "board.rate_sps": 500,
        "stream.frame_samples": 20,
        "montage.gain": 12,
    }
    process = daemon(overrides, wait_readers=1)
    with process.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        n_inputs = sum({"ADS1299": 8, "ADS1299-6": 6, "ADS1299-4": 4}[chip] for chip in chips)
        for n_frames, frame in zip(range(100), stream, strict=False):
            assert frame.sample_index == 20 * n_frames
            codes = frame.codes()
            assert codes.shape == (n_inputs, 20)
            assert check_pattern(codes, frame.sample_index) == 0
            words = frame.status_or[: len(chips)]
            assert all(word >> 20 == 0xC for word in words) and set(frame.status_or[len(chips) :]) <= {0}
    code, summary = process.stop()
    assert code == 0 and summary.endswith(", 0 lost")


@pytest.mark.parametrize(
    ("topology", "inputs", "off"),
    [("cascade", [11, 2, 8, 1, 12, 5], [3, 9]), ("daisy", [9, 6, 1, 10, 2, 5], [3, 11])],  # of 8 + 4
)
def test_channels_that_are_off_or_in_another_order_do_not_move_the_others(
    daemon: DaemonFactory, topology: str, inputs: list[int], off: list[int]
) -> None:
    gains = {k: GAINS[k % 7] if topology == "cascade" else GAINS[k % 4] for k in inputs}  # a chain: alike in all chips
    rows = [f'label = "I{k}"\ninput = {k}\ngain = {gains[k]}\n' for k in inputs]
    rows[2:2] = [f'label = "off{k}"\ninput = {k}\non = false\n' for k in off]
    text = "[montage]\n" + "".join(f"[[montage.channel]]\n{row}" for row in rows)
    overrides = {
        "board.chips": ("ADS1299", "ADS1299-4"),
        "board.topology": topology,
        "board.start_line": "START",
        "sim.source": "pattern",
        "stream.frame_samples": 25,
    }
    process = daemon(overrides, wait_readers=1, text=text)
    with process.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        assert stream.info.labels == tuple(f"I{k}" for k in inputs)
        for _, frame in zip(range(40), stream, strict=False):
            wanted = pattern_codes(frame.sample_index, frame.n_samples, 12)[[k - 1 for k in inputs]]
            assert np.array_equal(frame.codes(), wanted)
            lsb = np.array([lsb_uv(gains[k]) for k in inputs])[:, None]
            assert np.array_equal(frame.data, (wanted * lsb).astype(np.float32))
            assert np.array_equal(frame[f"I{inputs[4]}"], frame.data[4])
    assert process.stop()[0] == 0


def test_mixed_gains_and_references_on_one_chip_keep_the_chips_codes(daemon: DaemonFactory) -> None:
    rows = [
        f'label = "{"bipolar" if k % 2 else "ref"}{k}"\ngain = {GAINS[k % 7]}\n'
        + (f'p = "A{k}"\nn = "B{k}"\n' if k % 2 else f'p = "SRB2"\nn = "E{k}"\n')
        for k in range(8)
    ]
    text = "[montage]\n" + "".join(f"[[montage.channel]]\n{row}" for row in rows)
    process = daemon({"sim.source": "pattern"}, wait_readers=1, text=text)
    with process.connect().open(policy="lossless", timeout=WAIT_S) as stream:
        assert stream.info.signs == (-1, 1) * 4
        for _, frame in zip(range(100), stream, strict=False):
            codes = frame.codes()
            assert check_pattern(codes, frame.sample_index) == 0
            scale = np.array([s * lsb_uv(GAINS[k % 7]) for k, s in enumerate(stream.info.signs)])[:, None]
            assert np.array_equal(frame.data, (codes * scale).astype(np.float32))


@pytest.mark.parametrize(("input_", "flag"), [("test_signal", "test signal"), ("shorted", "shorted")])
def test_signals_that_are_not_a_persons_are_marked_everywhere(daemon: DaemonFactory, input_: str, flag: str) -> None:
    process = daemon({"board.input": input_, "board.rate_sps": 1000}, wait_readers=1)
    client = process.connect()
    assert client.info.flags == ("simulated", flag)
    assert process.status()["flags"] == ["simulated", flag]
    with client.open(policy="lossless", timeout=WAIT_S) as stream:
        blocks = []
        for _, frame in zip(range(500), stream, strict=False):
            assert {"simulated", flag} <= set(frame.flag_names)
            blocks.append(frame.copy())
    data = np.concatenate(blocks, axis=1)
    if input_ == "shorted":
        assert 0.05 < data.std() < 2.0 and np.abs(data.mean(axis=1)).max() < 1.0
    else:
        # ± 1.875 mV, SBAS499C section 9.3.1.1.3
        assert np.abs(np.abs(data) - 1875).max() < 20 and (data > 0).any() and (data < 0).any()
