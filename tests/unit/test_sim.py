"""The emulated board's sources: EEG that looks like one, codes that check themselves, exact replay."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eegd._native import ffi, lib
from eegd.ads1299 import Ads1299, conversion_layout
from eegd.board import Board
from eegd.config import Config, parse_config
from eegd.errors import BoardError, ConfigError, ReplayError
from eegd.montage import GAINS, Montage, standard_montage
from eegd.pattern import check_pattern, find_pattern, pattern_codes
from eegd.replay import load_recording
from eegd.sim import make_source, open_sim_board, sim_flags
from eegd.synth import electrode_position, head_of

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PIEEG = DATA / "PiEEG_eeg_data_3.txt"
OPENBCI = DATA / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"

Array = NDArray[Any]


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"the recording {path.name} is not there")


def config_of(text: str = "", **overrides: object) -> Config:
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return parse_config(text, "test.toml", {"sim.clock": "virtual", **dotted})


# Sources by themselves


@contextmanager
def source_of(config: Config) -> Iterator[Any]:
    source = make_source(config)
    try:
        yield source.pointer
    finally:
        lib.eegd_source_free(source.pointer)


def electrode_uv(config: Config, seconds: float, rate_sps: int = 250) -> Array:
    """(n_channels, n) electrode minus reference, straight from the source."""
    channels = config.montage.channels
    period_ns, inputs = 10**9 // rate_sps, ffi.new("struct eegd_inputs *")
    pins = [np.frombuffer(ffi.buffer(side), np.int64) for side in (inputs.p_nv, inputs.n_nv)]
    uv = np.empty((len(channels), int(seconds * rate_sps)))
    at = [channel.input - 1 for channel in channels]
    srb1, srb2 = (np.array([side in (c.p, c.n) for c in channels]) for side in ("SRB1", "SRB2"))
    sign = np.array([channel.sign for channel in channels]) / 1000
    with source_of(config) as source:
        for k in range(uv.shape[1]):
            assert source.ops.next(source, k, k * period_ns, period_ns, inputs) == 1
            p = np.where(srb2, inputs.srb2_nv, pins[0][at])
            n = np.where(srb1, inputs.srb1_nv, pins[1][at])
            uv[:, k] = sign * (p - n)
    return uv


def power(uv: Array, rate_sps: int = 250, seconds: float = 4) -> tuple[Array, Array]:
    """Averaged periodogram (Hann, no overlap) in µV²/Hz."""
    size = int(seconds * rate_sps)
    blocks = uv[..., : uv.shape[-1] // size * size].reshape(*uv.shape[:-1], -1, size)
    window = np.hanning(size)
    spectra = np.fft.rfft((blocks - blocks.mean(axis=-1, keepdims=True)) * window)
    density = 2 * (np.abs(spectra) ** 2).mean(axis=-2) / (rate_sps * (window**2).sum())
    return np.fft.rfftfreq(size, 1 / rate_sps), density


def band(freqs: Array, density: Array, low: float, high: float) -> Array:
    """Mean density between two frequencies."""
    return np.asarray(density[..., (freqs >= low) & (freqs <= high)].mean(axis=-1))


@pytest.fixture(scope="module")
def eeg() -> dict[str, Array]:
    """Two minutes of the standard 16-channel montage, by label."""
    config = config_of(board__chips=("ADS1299", "ADS1299"))
    uv = electrode_uv(config, 120)
    return {channel.label: row for channel, row in zip(config.montage.channels, uv, strict=True)}


def test_background_falls_as_one_over_f(eeg: dict[str, Array]) -> None:
    freqs, density = power(eeg["C3"])
    fit = (freqs >= 1) & (freqs <= 40)
    slope = np.polyfit(np.log(freqs[fit]), np.log(density[fit]), 1)[0]
    assert -1.5 < slope < -0.8
    background = np.sqrt(density[(freqs >= 0.5) & (freqs <= 45)].sum() * 0.25)
    assert 6 < background < 15


def test_alpha_is_strongest_at_the_back(eeg: dict[str, Array]) -> None:
    freqs, density = power(np.stack([eeg["O1"], eeg["Fp1"]]))
    peak = band(freqs, density, 9, 11) / band(freqs, density, 14, 18)
    assert peak[0] > 20 and peak[1] < 4
    top = freqs[(freqs > 5) & (freqs < 20)][density[0, (freqs > 5) & (freqs < 20)].argmax()]
    assert 9.5 <= top <= 10.5


def test_alpha_comes_and_goes(eeg: dict[str, Array]) -> None:
    seconds = eeg["O1"].reshape(-1, 250)
    freqs, density = power(seconds[:, np.newaxis, :].reshape(len(seconds), 250), seconds=1)
    alpha = band(freqs, density, 9, 11)
    assert np.percentile(alpha, 85) > 10 * np.percentile(alpha, 15)


def blink_times(uv: Array) -> Array:
    """Where 60 ms stand out by more than 60 µV over the 5 s around, at least 0.5 s apart."""
    centred = uv - uv.mean()
    short, long = (np.convolve(centred, np.ones(n) / n, "same") for n in (15, 1251))
    above = short - long > 60
    times = np.flatnonzero(above[1:] & ~above[:-1]) / 250
    return np.asarray(times[np.diff(times, prepend=-1) > 0.5])


def test_blinks_are_on_the_forehead_every_3_to_6_seconds(eeg: dict[str, Array]) -> None:
    times = blink_times(eeg["Fp1"])
    assert 18 <= len(times) <= 42
    assert np.diff(times).min() > 2.5 and np.diff(times).max() < 7
    assert blink_times(eeg["O1"]).size == 0
    height = np.percentile(eeg["Fp1"] - np.median(eeg["Fp1"]), 99.5)
    assert 60 < height < 220


def test_muscle_bursts_are_at_the_temples(eeg: dict[str, Array]) -> None:
    freqs, density = power(np.stack([eeg["T7"], eeg["O2"]]))
    temple, back = band(freqs, density, 60, 95)
    assert temple > 1.5 * back


def test_mains_is_a_few_microvolts_after_the_reference(eeg: dict[str, Array]) -> None:
    freqs, density = power(np.stack([eeg["C3"], eeg["C4"], eeg["F3"], eeg["P4"]]))
    amplitude = np.sqrt(2 * 0.25 * density[:, np.abs(freqs - 50) <= 0.5].sum(axis=1))
    assert amplitude.max() < 8 and amplitude.max() > 0.3


def test_neighbours_are_alike_and_distant_electrodes_less_so(eeg: dict[str, Array]) -> None:
    quiet = {label: np.diff(eeg[label]) for label in ("P3", "P7", "F4")}
    near = np.corrcoef(quiet["P3"], quiet["P7"])[0, 1]
    far = np.corrcoef(quiet["P3"], quiet["F4"])[0, 1]
    assert near > 0.25 and near > far + 0.1


def test_electrodes_have_offsets_of_some_millivolts(eeg: dict[str, Array]) -> None:
    offsets = np.abs([row.mean() for row in eeg.values()])
    assert offsets.max() < 20_000 and np.median(offsets) > 500


def test_the_same_seed_gives_the_same_eeg() -> None:
    assert np.array_equal(electrode_uv(config_of(), 4), electrode_uv(config_of(), 4))


def test_another_seed_gives_other_eeg() -> None:
    one, two = electrode_uv(config_of(), 4), electrode_uv(config_of(sim__seed=2), 4)
    assert np.corrcoef(np.diff(one[2]), np.diff(two[2]))[0, 1] < 0.2


def test_the_spectrum_does_not_depend_on_the_rate() -> None:
    slow, fast = electrode_uv(config_of(), 100), electrode_uv(config_of(), 100, 1000)
    (freqs, density), (fast_freqs, fast_density) = power(slow[2]), power(fast[2], 1000)
    for low, high in ((1, 3), (3, 8), (15, 25), (25, 40)):
        ratio = band(freqs, density, low, high) / band(fast_freqs, fast_density, low, high)
        assert 0.7 < ratio < 1.4, (low, high)


def test_wiring_does_not_change_what_is_seen() -> None:
    srb1, srb2 = (electrode_uv(config_of(f'[montage]\nwiring = "{w}"'), 2) for w in ("SRB1", "SRB2"))
    assert np.array_equal(srb1, srb2)


def test_a_bipolar_pair_sees_the_difference_of_its_electrodes() -> None:
    text = '[montage]\nwiring = "bipolar"\nlabels = ["Fp1-F7", "F7-T7", "Fp1-T7"]'
    uv = electrode_uv(config_of(text), 2)
    assert np.abs(uv[0] + uv[1] - uv[2]).max() <= 0.002


@pytest.mark.parametrize("wiring", ["SRB1", "SRB2", "bipolar"])
def test_an_ecg_channel_beats(wiring: str) -> None:
    text = f'[montage]\nwiring = "{wiring}"\nlabels = ["Heart"]\n[[montage.channel]]\nlabel="Heart"\ntype="ECG"'
    uv = electrode_uv(config_of(text), 30)[0]
    steps = np.diff(uv, n=2)
    above = steps < -0.45 * np.abs(steps).max()
    beats = np.flatnonzero(above[1:] & ~above[:-1])
    beats = beats[np.concatenate(([True], np.diff(beats) > 75))]
    assert 27 <= len(beats) <= 41
    assert 700 < (uv - np.median(uv)).max() < 1500


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [("Cz", 0, 0), ("Fpz", 0, 0.9), ("Oz", 0, -0.9), ("T3", -1, 0), ("T8", 1, 0), ("A1", -1.05, -0.2)],
)
def test_names_of_the_10_20_system_have_their_places(name: str, x: float, y: float) -> None:
    assert electrode_position(name) == pytest.approx((x, y))


@pytest.mark.parametrize("name", ["EXG1", "C", "1", "Q3", "C0", "REF", "F123", ""])
def test_other_names_have_no_place(name: str) -> None:
    assert electrode_position(name) is None


def test_unknown_labels_still_get_eeg_that_differs() -> None:
    labels = ", ".join(f'"ch{i}"' for i in range(8))
    uv = electrode_uv(config_of(f"[montage]\nlabels = [{labels}]"), 20)
    deviations = np.diff(uv).std(axis=1)
    assert (deviations > 1).all() and len(set(deviations.tolist())) == 8


@given(st.integers(1, 32))
def test_every_pin_of_a_head_has_an_electrode_or_none(n: int) -> None:
    montage = standard_montage(["ADS1299"] * 4)
    montage = Montage(channels=montage.channels[:n])
    head = head_of(montage, 1)
    assert len(head.electrodes) == n + 1 and head.srb1 == n and head.srb2 == 255
    assert head.p[:n].tolist() == list(range(n)) and (head.p[n:] == 255).all() and (head.n == 255).all()
    assert np.isfinite(head.weights).all()


# The check pattern


@given(st.integers(0, 2**40), st.integers(1, 32))
def test_python_and_c_agree_on_the_pattern(index: int, n_inputs: int) -> None:
    codes = pattern_codes(index, 3, n_inputs)
    assert codes.shape == (n_inputs, 3) and codes.dtype == np.int32
    for step in range(3):
        wanted = [lib.eegd_pattern_code(index + step, c) for c in range(n_inputs - 1)]
        checksum = lib.eegd_pattern_checksum(index + step, ffi.new("int32_t[]", wanted or [0]), n_inputs - 1)
        assert codes[:, step].tolist() == [*wanted, checksum]


@given(st.integers(0, 2**40), st.integers(-(2**20), 2**20), st.integers(2, 32))
def test_the_pattern_tells_its_index(index: int, error: int, n_inputs: int) -> None:
    codes = pattern_codes(index, 1, n_inputs)
    assert find_pattern(codes, max(0, index + error)) == index


@given(st.integers(0, 2**30), st.integers(0, 7), st.integers(0, 99), st.integers(0, 23))
def test_one_wrong_bit_is_one_wrong_conversion(index: int, row: int, column: int, bit: int) -> None:
    codes = pattern_codes(index, 100, 8)
    assert check_pattern(codes, index) == 0
    codes[row, column] ^= 1 << bit
    assert check_pattern(codes, index) == 1
    if row:
        assert find_pattern(codes[:, column:], index + column) is None


def test_a_shifted_pattern_is_wrong_everywhere() -> None:
    assert check_pattern(pattern_codes(7, 50, 4), 8) == 50


def test_no_conversions_have_no_index() -> None:
    assert find_pattern(np.zeros((8, 0), np.int32)) is None


# End to end through chips, registers and SPI


@contextmanager
def running(config: Config) -> Iterator[Board]:
    with open_sim_board(config) as board:
        chips = Ads1299(board, config.board, config.montage)
        chips.power_up()
        chips.configure()
        chips.start()
        for _ in range(config.board.discard):
            read_conversion(board, config)
        yield board


def read_conversion(board: Board, config: Config) -> bytes | None:
    """The bytes of the next conversion; None when the source is over."""
    try:
        edge = board.wait(10**9)
    except BoardError as error:
        assert isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENODATA
        return None
    assert edge is not None
    transfers = conversion_layout(config.board, config.montage).transfers
    return b"".join(board.transfer(bytes(n), cs=cs, speed_hz=config.board.sclk_hz) for cs, n in transfers)


def read_codes(config: Config, n: int | None = None) -> tuple[Array, bytes]:
    """(codes (n_planes, n), all bytes): n conversions, or all until the source is over."""
    with running(config) as board:
        conversions: list[bytes] = []
        while n is None or len(conversions) < n:
            conversion = read_conversion(board, config)
            if conversion is None:
                break
            conversions.append(conversion)
    raw = b"".join(conversions)
    table = np.frombuffer(raw, np.uint8).reshape(len(conversions), -1).astype(np.int32)
    offsets = conversion_layout(config.board, config.montage).channel_offsets
    codes = [(table[:, o] << 16 | table[:, o + 1] << 8 | table[:, o + 2]) << 8 >> 8 for o in offsets]
    return np.stack(codes), raw


def lsb_of(config: Config) -> Array:
    return np.array(conversion_layout(config.board, config.montage).lsb_uv)[:, np.newaxis]


@pytest.mark.data
@needs(PIEEG)
def test_recorded_frames_arrive_byte_for_byte() -> None:
    config = config_of(replay__file=str(PIEEG))
    _, raw = read_codes(config)
    frames = load_recording(PIEEG).frames
    assert frames is not None and raw == frames.tobytes()


@pytest.mark.data
@needs(OPENBCI)
@pytest.mark.parametrize("gain", GAINS)
def test_recorded_microvolts_come_back_within_half_an_lsb(gain: int) -> None:
    config = config_of(f"[montage]\ngain = {gain}", replay__file=str(OPENBCI))
    codes, _ = read_codes(config, 2000)
    uv = load_recording(OPENBCI).uv
    assert uv is not None
    lsb = lsb_of(config)
    assert np.abs(codes * lsb - uv[:2000].T).max() <= 0.5 * lsb.max() * (1 + 1e-9)


@pytest.mark.data
@needs(OPENBCI)
def test_the_whole_openbci_recording_arrives() -> None:
    codes, _ = read_codes(config_of(replay__file=str(OPENBCI)))
    uv = load_recording(OPENBCI).uv
    assert uv is not None and codes.shape == (8, 22490)
    lsb = 4.5e6 / 2**23 / 24
    assert np.abs(codes * lsb - uv.T).max() <= 0.5 * lsb * (1 + 1e-9)


ROWS = [(0.0, 100.0, -100.0), (62.5, -187_499.0, 3.0), (200_000.0, -200_000.0, 1e6)]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "recording.csv"
    path.write_text("a,b,c\n" + "".join(",".join(map(str, row)) + "\n" for row in ROWS))
    return path


@pytest.mark.parametrize("wiring", ["SRB1", "SRB2", "bipolar"])
def test_each_wiring_gives_electrode_minus_reference(csv: Path, wiring: str) -> None:
    config = config_of(f'[montage]\nwiring = "{wiring}"', replay__file=str(csv))
    codes, _ = read_codes(config)
    lsb = lsb_of(config)
    uv = codes[:3] * lsb[:3]
    full = 187_500.0
    wanted = np.clip(np.array(ROWS).T, -full, full)
    assert np.abs(uv - wanted).max() <= np.abs(lsb).max() * 1.001  # one LSB where it clips on the positive side
    assert (np.sign(lsb) == (-1 if wiring == "SRB2" else 1)).all()
    assert (codes[3:] == 0).all()


def test_a_looped_recording_begins_again(csv: Path) -> None:
    codes, _ = read_codes(config_of(replay__file=str(csv), replay__loop=True), 7)
    assert np.array_equal(codes[:, :3], codes[:, 3:6]) and np.array_equal(codes[:, 0], codes[:, 6])


@pytest.mark.parametrize("topology", ["cascade", "daisy"])
@pytest.mark.parametrize("n_chips", [1, 2, 4])
def test_the_pattern_arrives_intact_through_every_chain(topology: str, n_chips: int) -> None:
    config = config_of(
        board__chips=("ADS1299",) * n_chips,
        board__topology=topology,
        board__start_line="gpiochip0:17",
        sim__source="pattern",
    )
    codes, _ = read_codes(config, 300)
    assert codes.shape == (8 * n_chips, 300)
    first = find_pattern(codes)
    assert first == 0
    assert check_pattern(codes, first) == 0


def test_a_sine_has_its_size_on_every_input() -> None:
    config = config_of(sim__source="sine", sim__sine_hz=10.0, sim__sine_uv=1000.0)
    codes, _ = read_codes(config, 250)
    uv = codes * lsb_of(config)
    assert np.abs(uv.std(axis=1) * np.sqrt(2) - 1000).max() < 0.1
    assert (uv == uv[0]).all()


def test_quiet_electrodes_show_the_noise_of_the_chip() -> None:
    config = config_of(sim__source="quiet")
    codes, _ = read_codes(config, 2000)
    noise_uv = (codes * lsb_of(config)).std(axis=1)
    assert ((noise_uv > 0.10) & (noise_uv < 0.20)).all()  # 0.14 µV at gain 24 and 250 SPS (SBAS499C table 1)


def test_synthetic_eeg_through_the_chip_is_the_source_rounded() -> None:
    config = config_of()
    codes, _ = read_codes(config, 500)
    uv = electrode_uv(config, 2)
    assert np.abs(codes * lsb_of(config) - uv).max() <= 0.52 * np.abs(lsb_of(config)).max()


# What does not fit is refused


def refusal(config: Config) -> str:
    with pytest.raises(ConfigError) as caught:
        open_sim_board(config)
    return str(caught.value)


def test_a_recording_of_another_rate_is_refused_with_both_rates(tmp_path: Path) -> None:
    path = tmp_path / "odf.txt"
    path.write_text("%Number of channels = 1\n%Sample Rate = 200 Hz\n0, 1.5\n")
    assert "recorded at 200 SPS, but [board] rate_sps = 250" in refusal(config_of(replay__file=str(path)))


def test_more_channels_than_inputs_are_refused_with_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("a,b,c,d,e\n1,2,3,4,5\n")
    config = config_of(replay__file=str(path), board__chips=("ADS1299-4",))
    assert "5 channels, but [board] chips ADS1299-4 have 4 inputs" in refusal(config)


def test_frames_of_another_board_are_refused_with_both_lengths(tmp_path: Path) -> None:
    path = tmp_path / "frames.txt"
    path.write_text(str([192, 0, 0] + [0] * 24))
    config = config_of(replay__file=str(path), board__chips=("ADS1299", "ADS1299"))
    assert "conversions of 27 bytes, but [board] chips ADS1299 + ADS1299 send 54" in refusal(config)


def test_a_missing_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="No such file"):
        open_sim_board(config_of(replay__file=str(tmp_path / "absent")))


def test_flags_say_what_the_data_are() -> None:
    assert sim_flags(config_of()) == lib.EEGD_FLAG_SIMULATED
    assert sim_flags(config_of(replay__file="x.txt")) == lib.EEGD_FLAG_REPLAY
