"""Recordings are read exactly; what is not one is refused, with the place and what was expected there."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegd.errors import ReplayError
from eegd.replay import FORMATS, Recording, load_recording

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PIEEG = DATA / "PiEEG_eeg_data_3.txt"
OPENBCI = DATA / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"

FRAME = [192, 0, 8, *range(24)]
FRAME_LENGTH = len(str(FRAME))
ODF = "%OpenBCI Raw EXG Data\n%Number of channels = 2\n%Sample Rate = 250 Hz\n"
ODF_COLUMNS = "Sample Index, EXG Channel 0, EXG Channel 1, Timestamp (Formatted)\n"
ODF_ROWS = "0, 1.25, -3.5, 12:00:53.329\n1, 2.25, 4e1, 12:00:53.333\n"

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "recording"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"the recording {path.name} is not there")


def refusal(path: Path, format: str = "auto") -> str:
    with pytest.raises(ReplayError) as caught:
        load_recording(path, format)
    assert str(path) in str(caught.value)
    return str(caught.value)


# The real recordings


@pytest.mark.data
@needs(PIEEG)
def test_the_pieeg_recording_has_19250_frames_with_its_marker() -> None:
    recording = load_recording(PIEEG)
    frames = recording.frames
    assert recording.format == "pieeg" and recording.n_channels == 8 and recording.rate_sps is None
    assert frames is not None and frames.shape == (19250, 27) and frames.dtype == np.uint8
    assert (frames[:, :3] == (192, 0, 8)).all()
    text = PIEEG.read_text()
    numbers = text.replace("[", "").replace("]", ",").replace(" ", "").rstrip(",\n").split(",")
    assert frames.tobytes() == bytes(int(number) for number in numbers)


@pytest.mark.data
@needs(OPENBCI)
def test_the_openbci_recording_has_22490_rows_of_8_channels() -> None:
    recording = load_recording(OPENBCI)
    uv = recording.uv
    assert recording.format == "openbci" and recording.rate_sps == 250 and recording.n_samples == 22490
    assert uv is not None and uv.shape == (22490, 8)
    assert recording.labels == tuple(f"EXG{i}" for i in range(8))
    rows = [line.split(",") for line in OPENBCI.read_text().splitlines()[5:]]
    assert uv[0].tolist() == [float(cell) for cell in rows[0][1:9]]
    assert uv[-1].tolist() == [float(cell) for cell in rows[-1][1:9]]


# Raw frames


@pytest.mark.parametrize("n_chips", [1, 2, 3, 4])
def test_frames_of_one_to_four_chips_are_read(write: Write, n_chips: int) -> None:
    path = write((str(FRAME * n_chips) + "\n" + str(FRAME * n_chips)).replace(" ", ""))
    recording = load_recording(path)
    assert recording.frames is not None and recording.frames.shape == (2, 27 * n_chips)
    assert recording.n_channels == 8 * n_chips
    assert recording.frames.tolist() == [FRAME * n_chips] * 2
    assert not recording.frames.flags.writeable


@given(st.lists(st.binary(min_size=27, max_size=27), min_size=1, max_size=20))
def test_any_bytes_written_as_frames_come_back(tmp_path_factory: pytest.TempPathFactory, frames: list[bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "frames.txt"
    path.write_text("".join(str(list(frame)) for frame in frames))
    recording = load_recording(path, "pieeg")
    assert recording.frames is not None and recording.frames.tobytes() == b"".join(frames)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no frames"),
        ("  \n", "holds no frames"),
        ("[1, 2]", "frame 1 holds 2 bytes; expected 27, 54, 81 or 108"),
        (f"{FRAME}{FRAME[:-1]}", f"frame 2, byte {2 * FRAME_LENGTH - 5}: ']' where ',' was expected"),
        (f"{FRAME}{[*FRAME, 1]}", f"frame 2, byte {2 * FRAME_LENGTH - 1}: ',' where ']' was expected"),
        (f"{FRAME}{FRAME}"[:-1], "frame 2 breaks off"),
        (str(FRAME).replace("192", "256"), "frame 1, byte 1: 256 where 0 to 255 was expected"),
        (str(FRAME).replace("192", "0192"), "0192 where 0 to 255 was expected"),
        (str(FRAME).replace("192", "1 92"), "frame 1, byte 3: a number where ',' was expected"),
        (str(FRAME).replace("192", "-192"), "byte 1 is b'-'; expected digits"),
        (str(FRAME).replace("192,", ",,"), "frame 1, byte 1: ',' where a number was expected"),
        (f"{FRAME},{FRAME}", "',' where '[' was expected"),
        ("5", "a number where '[' was expected"),
    ],
)
def test_malformed_frames_are_refused_with_their_place(write: Write, text: str, said: str) -> None:
    assert said in refusal(write(text), "pieeg")


# OpenBCI


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_openbci_columns_are_found_by_name(write: Write, ending: str) -> None:
    recording = load_recording(write((ODF + ODF_COLUMNS + ODF_ROWS).replace("\n", ending)))
    assert recording.format == "openbci" and recording.rate_sps == 250
    assert recording.uv is not None and recording.uv.tolist() == [[1.25, -3.5], [2.25, 40.0]]


def test_openbci_without_column_names_takes_the_columns_after_the_index(write: Write) -> None:
    recording = load_recording(write(ODF + ODF_ROWS))
    assert recording.uv is not None and recording.uv.tolist() == [[1.25, -3.5], [2.25, 40.0]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ODF, "line 4: no samples"),
        (ODF + ODF_COLUMNS, "line 5: no samples"),
        (ODF.replace("250 Hz", "fast") + ODF_COLUMNS + ODF_ROWS, "line 3: Sample Rate is 'fast'"),
        (ODF.replace("250 Hz", "-250 Hz") + ODF_COLUMNS + ODF_ROWS, "line 3: Sample Rate is '-250 Hz'"),
        (ODF.replace("= 2", "= 3") + ODF_COLUMNS + ODF_ROWS, "states 3 channels, line 4 has 2 EXG columns"),
        (ODF + "Sample Index, Accel\n0, 1\n", "line 4: no EXG columns"),
        (ODF + "0, 1.25\n", "states 2 channels, line 4 has 1 EXG columns"),
        (ODF.replace("= 2", "= 1e6") + "0, 1.25\n", "states 1e+06 channels"),
        (ODF + ODF_COLUMNS + ODF_ROWS + "2, 3, nan, x\n", "line 7, column 3: 'nan'; expected a number"),
        (ODF + ODF_COLUMNS + ODF_ROWS + "2, 1e999, 3, x\n", "line 7, column 2: '1e999'"),
        (ODF + ODF_COLUMNS + ODF_ROWS + "2, 1_0, 3, x\n", "line 7, column 2: '1_0'"),
        (ODF + ODF_COLUMNS + ODF_ROWS + "2, 3\n", "line 7 has 2 columns; expected 4"),
        (ODF + ODF_COLUMNS + "\n" + ODF_ROWS, "line 5 has 1 columns; expected 4"),
        (ODF + ODF_COLUMNS + ODF_ROWS + "2, 3, 4, x, y\n", "line 7 has 5 columns; expected 4"),
    ],
)
def test_malformed_openbci_text_is_refused_with_line_and_column(write: Write, text: str, said: str) -> None:
    assert said in refusal(write(text), "openbci")


# CSV


def test_csv_has_labels_and_microvolts(write: Write) -> None:
    recording = load_recording(write('\ufeff"Cz", Pz\r\n1.5,-2\r\n3,4\r\n\r\n'))
    assert recording.format == "csv" and recording.labels == ("Cz", "Pz") and recording.rate_sps is None
    assert recording.uv is not None and recording.uv.tolist() == [[1.5, -2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: expected labels"),
        ("1,2\n3,4\n", "line 1: expected labels"),
        ("Cz,,Pz\n1,2,3\n", "line 1: expected labels"),
        ("Cz,Cz\n1,2\n", "label 'Cz' stands there twice"),
        ("Cz,Pz\n", "line 2: no samples"),
        ("Cz,Pz\n1,2\n1;2\n", "line 3 has 1 columns; expected 2"),
        ("Cz,Pz\n1,2\n1,\n", "line 3, column 2: ''; expected a number"),
        (b"Cz,Pz\n1,\xff\n", "byte 8 is not UTF-8 text"),
    ],
)
def test_malformed_csv_is_refused_with_line_and_column(write: Write, text: str | bytes, said: str) -> None:
    assert said in refusal(write(text), "csv")


# EDF and BDF


def edf_bytes(kind: str, signals: list[tuple[str, str, np.ndarray[Any, Any], float]]) -> bytes:
    edfio = pytest.importorskip("edfio")
    signal_class, file_class = getattr(edfio, f"{kind.title()}Signal"), getattr(edfio, kind.title())
    made = []
    for label, unit, data, rate in signals:
        low, high = float(np.floor(data.min())) - 1, float(np.ceil(data.max())) + 1
        made.append(signal_class(data, rate, label=label, physical_dimension=unit, physical_range=(low, high)))
    return bytes(file_class(made).to_bytes())


WAVE = 100 * np.sin(np.arange(500) / 7)


@pytest.mark.parametrize(("kind", "steps"), [("edf", 2**16), ("bdf", 2**24)])
def test_an_edfio_file_comes_back_within_half_a_step(write: Write, kind: str, steps: int) -> None:
    path = write(edf_bytes(kind, [("Cz", "uV", WAVE, 250), ("Pz", "mV", WAVE, 250), ("Resp", "bpm", WAVE, 250)]))
    recording = load_recording(path)
    assert recording.format == kind and recording.rate_sps == 250
    assert recording.labels == ("Cz", "Pz") and recording.left_out == ("Resp",)
    assert recording.uv is not None and recording.uv.shape == (500, 2)
    step_uv = 202 / (steps - 1)
    assert np.abs(recording.uv[:, 0] - WAVE).max() <= 0.51 * step_uv
    assert np.abs(recording.uv[:, 1] - 1000 * WAVE).max() <= 510 * step_uv


@pytest.mark.parametrize(("unit", "scale"), [("V", 1e6), ("mV", 1e3), ("uV", 1.0), ("nV", 1e-3)])
def test_every_voltage_unit_becomes_microvolts(write: Write, unit: str, scale: float) -> None:
    uv = load_recording(write(edf_bytes("edf", [("Cz", unit, WAVE, 250)]))).uv
    assert uv is not None
    np.testing.assert_allclose(uv[:, 0] / scale, WAVE, atol=0.002)


@pytest.mark.parametrize("micro", [b"\xb5V", "µV".encode()])
def test_the_micro_sign_is_understood_in_two_encodings(write: Write, micro: bytes) -> None:
    data = edf_bytes("edf", [("Cz", "uV", WAVE, 250)])
    data = data.replace(b"uV      ", micro.ljust(8))
    assert load_recording(write(data)).uv is not None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data[:-1], "not a sound EDF file"),
        (lambda data: data[:300], "not a sound EDF file"),
        (lambda data: data[:236] + b"-1      " + data[244:], "not a sound EDF file"),
        (lambda data: data[:192] + b"EDF+D" + data[197:], "discontinuous"),
        (lambda data: data.replace(b"uV ", b"bpm"), "no signal in V, mV, uV or nV; found 'bpm'"),
    ],
)
def test_a_spoilt_edf_file_is_refused(write: Write, spoil: Callable[[bytes], bytes], said: str) -> None:
    assert said in refusal(write(spoil(edf_bytes("edf", [("Cz", "uV", WAVE, 250)]))), "edf")


def test_signals_of_two_rates_are_refused(write: Write) -> None:
    path = write(edf_bytes("edf", [("Cz", "uV", WAVE, 250), ("Pz", "uV", WAVE[:250], 125)]))
    assert "rates of 125, 250 Hz; expected one rate" in refusal(path)


def test_edf_without_edfio_names_what_to_install(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def no_edfio(name: str, *args: Any) -> Any:
        if name == "edfio":
            raise ImportError(name)
        return real_import(name, *args)

    path = write(b"0       ")
    monkeypatch.setattr(builtins, "__import__", no_edfio)
    assert "pip install 'eegd[daemon]'" in refusal(path)


# Which format


@pytest.mark.parametrize("format", ["auto", *FORMATS])
def test_a_missing_file_is_refused(tmp_path: Path, format: str) -> None:
    assert "No such file" in refusal(tmp_path / "absent", format)


def test_an_unknown_format_is_refused(write: Write) -> None:
    assert "format 'xdf' is unknown; known are auto, pieeg" in refusal(write("["), "xdf")


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"1,2,3\n", b"\n", b"PK\x03\x04"])
def test_content_of_no_known_format_is_refused(write: Write, content: bytes) -> None:
    assert "none of the formats" in refusal(write(content))


def load_or_refuse(path: Path, format: str) -> Recording | None:
    try:
        return load_recording(path, format)
    except ReplayError as error:
        assert str(path) in str(error)
        return None


def check_sound(recording: Recording | None) -> None:
    if recording is None:
        return
    assert recording.n_samples > 0
    if recording.uv is not None:
        assert recording.uv.shape == (recording.n_samples, recording.n_channels)
        assert np.isfinite(recording.uv).all()
    else:
        assert recording.frames is not None


@settings(deadline=None, max_examples=300)
@given(content=st.binary(max_size=600), format=st.sampled_from(["auto", *FORMATS]))
def test_random_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, format: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage"
    path.write_bytes(content)
    check_sound(load_or_refuse(path, format))


TELLING = st.sampled_from(b"0123456789-+. ,[]%eN\n\xff")
SOUND = {
    "pieeg": (str(FRAME) * 3).encode(),
    "openbci": (ODF + ODF_COLUMNS + ODF_ROWS).encode(),
    "csv": b"Cz,Pz\n1.5,-2\n3,4\n",
    "edf": b"",
    "bdf": b"",
}


@settings(deadline=None, max_examples=500)
@given(
    format=st.sampled_from(FORMATS),
    cut=st.integers(0, 5000),
    changes=st.lists(st.tuples(st.integers(0, 800), TELLING | st.integers(0, 255)), max_size=4),
    asked=st.booleans(),
)
def test_mutated_recordings_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    format: str,
    cut: int,
    changes: list[tuple[int, int]],
    asked: bool,
) -> None:
    content = bytearray(SOUND[format] or edf_bytes(format, [("Cz", "uV", WAVE, 250), ("Pz", "mV", WAVE, 250)]))
    for place, value in changes:
        content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(content[: cut or None])
    check_sound(load_or_refuse(path, format if asked else "auto"))
