"""Reads recordings for replay: raw ADS1299 frames, OpenBCI text, EDF, BDF and CSV.

Nothing is guessed or repaired: a file that does not follow its format is refused with the place and what was
expected there. Lines, frames and columns are counted from 1, bytes from 0.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegd.errors import ReplayError

__all__ = ["FORMATS", "Recording", "load_recording"]

FORMATS = ("pieeg", "openbci", "edf", "bdf", "csv")

# Bytes of one conversion of 1 to 4 chips with 8 channels each (SBAS499C section 9.4.4.2).
FRAME_BYTES = (27, 54, 81, 108)

MICROVOLTS = {"v": 1e6, "mv": 1e3, "uv": 1.0, "µv": 1.0, "μv": 1.0, "âµv": 1.0, "nv": 1e-3}

NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One recording in memory. Either `frames` or `uv` is there, C-contiguous and read-only."""

    path: str
    format: str
    """One of FORMATS; what was found where "auto" was asked for."""
    rate_sps: float | None
    """As the file states it; None where the format has no place for it."""
    n_channels: int
    labels: tuple[str, ...]
    """One per channel; empty for raw frames."""
    frames: NDArray[np.uint8] | None = None
    """(n_samples, bytes of a conversion): what the chips clocked out, verbatim."""
    uv: NDArray[np.float64] | None = None
    """(n_samples, n_channels) microvolts, electrode minus reference."""
    left_out: tuple[str, ...] = ()
    """Labels of signals in the file that are not voltages (triggers, respiration)."""

    @property
    def n_samples(self) -> int:
        data = self.frames if self.frames is not None else self.uv
        return 0 if data is None else len(data)


def load_recording(path: str | Path, format: str = "auto") -> Recording:
    """Reads a whole recording into memory. Raises ReplayError for whatever it cannot read."""
    name = str(path)
    if format not in ("auto", *FORMATS):
        raise ReplayError(f"{name}: format {format!r} is unknown; known are auto, {', '.join(FORMATS)}")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ReplayError(f"{name}: {error.strerror}") from error
    if format == "auto":
        format = detect_format(data, name)
    if format == "pieeg":
        return read_pieeg(data, name)
    if format == "openbci":
        return read_openbci(data, name)
    if format == "csv":
        return read_csv(data, name)
    return read_edf(data, name, format)


def detect_format(data: bytes, name: str) -> str:
    """The format by the first bytes. Raises ReplayError where they fit none."""
    if data[:8] == b"0       ":
        return "edf"
    if data[:8] == b"\xffBIOSEMI":
        return "bdf"
    start = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] == b"[":
        return "pieeg"
    if start[:1] == b"%":
        return "openbci"
    cells = start.split(b"\n")[0].decode("utf-8", "replace").split(",")
    if all(cell.strip().isprintable() and cell.strip() and not is_number(cell) for cell in cells):
        return "csv"
    raise ReplayError(
        f"{name}: starts with {data[:8]!r}, which none of the formats {', '.join(FORMATS)} does; "
        "state the format if you know it"
    )


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    array = np.ascontiguousarray(array)
    array.setflags(write=False)
    return array


def is_number(cell: str) -> bool:
    return NUMBER.fullmatch(cell) is not None and bool(np.isfinite(float(cell)))


# Raw frames as text: [192, 0, 8, …][192, 0, 8, …]

SPACE, COMMA, OPEN, CLOSE, DIGIT = 1, 2, 3, 4, 5
CLASSES = np.zeros(256, np.uint8)
CLASSES[list(b" \t\r\n")] = SPACE
CLASSES[list(b"0123456789")] = DIGIT
CLASSES[list(b",[]")] = (COMMA, OPEN, CLOSE)
SPOKEN = {COMMA: "','", OPEN: "'['", CLOSE: "']'", DIGIT: "a number"}


def read_pieeg(data: bytes, name: str) -> Recording:
    """Frames of 27 decimal bytes (54, 81 or 108 with more chips) in brackets, whitespace anywhere between."""
    text = np.frombuffer(data, np.uint8)
    classes = CLASSES[text]
    if (stray := np.flatnonzero(classes == 0)).size:
        at = int(stray[0])
        raise ReplayError(f"{name}: byte {at} is {data[at : at + 1]!r}; expected digits, commas, brackets and spaces")
    digit = classes == DIGIT
    beyond = np.zeros(1, bool)
    first = np.flatnonzero(digit & ~np.concatenate((beyond, digit[:-1])))
    last = np.flatnonzero(digit & ~np.concatenate((digit[1:], beyond)))
    tokens = np.flatnonzero((classes >= COMMA) & (classes < DIGIT))
    tokens = np.sort(np.concatenate((tokens, first)))
    n_values = check_frames(classes[tokens], tokens, name)
    values = byte_values(text, first, last, n_values, name)
    frames = frozen(values.reshape(-1, n_values))
    return Recording(name, "pieeg", None, 8 * (n_values // 27), (), frames=frames)


def check_frames(kinds: NDArray[np.uint8], places: NDArray[np.intp], name: str) -> int:
    """Checks brackets and commas of every frame against the first one's; returns the numbers in each."""
    if not kinds.size:
        raise ReplayError(f"{name}: holds no frames")
    closing = np.flatnonzero(kinds == CLOSE)
    period = int(closing[0]) + 1 if closing.size else kinds.size
    n_values = (period - 1) // 2
    pattern = np.array([OPEN, *([DIGIT, COMMA] * n_values)[:-1], CLOSE], np.uint8)
    wanted = np.resize(pattern, kinds.size)
    if (wrong := np.flatnonzero(kinds != wanted)).size:
        at = int(wrong[0])
        raise ReplayError(
            f"{name}: frame {at // len(pattern) + 1}, byte {int(places[at])}: {SPOKEN[int(kinds[at])]} "
            f"where {SPOKEN[int(wanted[at])]} was expected"
        )
    if n_values not in FRAME_BYTES:
        raise ReplayError(f"{name}: frame 1 holds {n_values} bytes; expected 27, 54, 81 or 108")
    if kinds.size % period:
        raise ReplayError(f"{name}: frame {kinds.size // period + 1} breaks off; expected {n_values} bytes and ']'")
    return n_values


def byte_values(
    text: NDArray[np.uint8], first: NDArray[np.intp], last: NDArray[np.intp], n_values: int, name: str
) -> NDArray[np.uint8]:
    """The decimal numbers whose digits stand at text[first] … text[last]."""
    length = last - first + 1
    digits = text.astype(np.int32) - ord("0")
    values = digits[last]
    values += np.where(length > 1, 10 * digits[last - 1], 0)
    values += np.where(length > 2, 100 * digits[last - 2], 0)
    if (wrong := np.flatnonzero((length > 3) | (values > 255))).size:
        at = int(wrong[0])
        seen = bytes(text[first[at] : min(last[at], first[at] + 20) + 1]).decode("ascii")
        raise ReplayError(
            f"{name}: frame {at // n_values + 1}, byte {int(first[at])}: {seen} where 0 to 255 was expected"
        )
    return values.astype(np.uint8)


# Text with commas


def read_openbci(data: bytes, name: str) -> Recording:
    """OpenBCI's ODF text: `%` header, a line of column names (newer files), rows; EXG columns in µV."""
    lines = text_lines(data, name)
    n_header = next((i for i, line in enumerate(lines) if not line.startswith("%")), len(lines))
    header, rows = lines[:n_header], lines[n_header:]
    first_line = n_header + 1
    if not rows:
        raise ReplayError(f"{name}: line {first_line}: no samples")
    names = [cell.strip() for cell in rows[0].split(",")]
    stated = header_number(header, "Number of channels", name)
    if is_number(names[0]):
        columns = list(range(1, min(int(stated or 0) + 1, len(names))))
        labels = tuple(f"EXG{i}" for i in range(len(columns)))
    else:
        columns = [i for i, column in enumerate(names) if column.startswith("EXG Channel")]
        labels = tuple(names[i].replace("EXG Channel ", "EXG") for i in columns)
        rows = rows[1:]
    if not columns:
        raise ReplayError(f"{name}: line {first_line}: no EXG columns; expected 'EXG Channel 0' and so on")
    if stated is not None and stated != len(columns):
        raise ReplayError(
            f"{name}: the header states {stated:g} channels, line {first_line} has {len(columns)} EXG columns"
        )
    uv = parse_rows(rows, len(lines) - len(rows) + 1, len(names), columns, name)
    rate = header_number(header, "Sample Rate", name)
    return Recording(name, "openbci", rate, len(columns), labels, uv=uv)


def header_number(header: Sequence[str], key: str, name: str) -> float | None:
    """The number of a line such as `%Sample Rate = 250 Hz`; None where there is no such line."""
    for number, line in enumerate(header, 1):
        left, _, right = line[1:].partition("=")
        if left.strip() == key:
            value = right.strip().removesuffix("Hz").strip()
            if not is_number(value) or not 0 < float(value) <= 1e6:
                raise ReplayError(f"{name}: line {number}: {key} is {right.strip()[:40]!r}; expected a number")
            return float(value)
    return None


def read_csv(data: bytes, name: str) -> Recording:
    """One line of labels, then one row of microvolts per sample."""
    lines = text_lines(data, name)
    labels = tuple(cell.strip().strip('"') for cell in lines[0].split(",")) if lines else ()
    if not labels or any(not label or is_number(label) for label in labels):
        raise ReplayError(f"{name}: line 1: expected labels separated by commas")
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ReplayError(f"{name}: line 1: label {twice!r} stands there twice")
    uv = parse_rows(lines[1:], 2, len(labels), list(range(len(labels))), name)
    return Recording(name, "csv", None, len(labels), labels, uv=uv)


def text_lines(data: bytes, name: str) -> list[str]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReplayError(f"{name}: byte {error.start} is not UTF-8 text") from error
    return text.rstrip("\r\n\t ").replace("\r\n", "\n").split("\n") if text.strip() else []


def parse_rows(
    lines: Sequence[str], first_line: int, n_cells: int, columns: list[int], name: str
) -> NDArray[np.float64]:
    """The given columns of all rows. Each row has n_cells cells; the wanted ones are finite numbers."""
    if not lines:
        raise ReplayError(f"{name}: line {first_line}: no samples")
    try:
        uv = np.loadtxt(lines, np.float64, delimiter=",", comments=None, usecols=columns, ndmin=2)
        good = len(uv) == len(lines) and bool(np.isfinite(uv).all())
    except ValueError:
        good = False
    if good and all(line.count(",") == n_cells - 1 for line in lines):
        return frozen(uv)
    # Only now, line by line: where is it?
    for number, line in enumerate(lines, first_line):
        cells = line.split(",")
        if len(cells) != n_cells:
            raise ReplayError(f"{name}: line {number} has {len(cells)} columns; expected {n_cells}")
        for column in columns:
            if not is_number(cells[column]):
                raise ReplayError(
                    f"{name}: line {number}, column {column + 1}: {cells[column].strip()[:40]!r}; expected a number"
                )
    raise ReplayError(f"{name}: lines {first_line} to {first_line + len(lines) - 1}: expected numbers")


# EDF and BDF


def read_edf(data: bytes, name: str, format: str) -> Recording:
    """All voltage signals of an EDF or BDF file, which must be continuous and share one rate."""
    try:
        import edfio

        read = edfio.read_edf if format == "edf" else edfio.read_bdf
    except (ImportError, AttributeError) as error:
        raise ReplayError(
            f"{name}: reading {format.upper()} needs edfio 0.4.10 or newer: pip install 'eegd[daemon]'"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what edfio repairs with a warning is malformed
            return edf_recording(read(data, header_encoding="latin-1"), name, format)
    except ReplayError:
        raise
    except Exception as error:
        raise ReplayError(f"{name}: not a sound {format.upper()} file: {error}") from error


def edf_recording(file: Any, name: str, format: str) -> Recording:
    if file.reserved[:5] in ("EDF+D", "BDF+D"):
        raise ReplayError(f"{name}: is a discontinuous {file.reserved[:5]} file; expected one without gaps")
    scales = [MICROVOLTS.get(signal.physical_dimension.strip().lower()) for signal in file.signals]
    chosen = [(signal, scale) for signal, scale in zip(file.signals, scales, strict=True) if scale]
    if not chosen:
        found = ", ".join(sorted({repr(signal.physical_dimension) for signal in file.signals})) or "no signals"
        raise ReplayError(f"{name}: no signal in V, mV, uV or nV; found {found}")
    rates = sorted({float(signal.sampling_frequency) for signal, _ in chosen})
    if len(rates) > 1 or not 0 < rates[0] <= 1e6:
        found = ", ".join(f"{rate:g}" for rate in rates)
        raise ReplayError(f"{name}: rates of {found} Hz; expected one rate for all signals")
    uv = np.stack([np.asarray(signal.data, np.float64) * scale for signal, scale in chosen], axis=1)
    if not uv.size or not np.isfinite(uv).all():
        raise ReplayError(f"{name}: {len(uv)} samples, some not finite; expected finite numbers")
    return Recording(
        name,
        format,
        rates[0],
        len(chosen),
        tuple(signal.label for signal, _ in chosen),
        uv=frozen(uv),
        left_out=tuple(s.label for s, scale in zip(file.signals, scales, strict=True) if not scale),
    )
