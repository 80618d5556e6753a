"""The emulated board as a configuration says: chips, clock and signal source, behind the Board of real ones.

A recording's channel k plays at chip input k; inputs beyond its last one see 0 V. Raw frames are verbatim.
"""

from __future__ import annotations

import errno
import math
import os
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from eegd._native import ffi, lib
from eegd.board import Board
from eegd.config import Config
from eegd.errors import BoardError, ConfigError
from eegd.montage import CHIP_INPUTS, n_inputs
from eegd.replay import Recording, load_recording
from eegd.synth import head_of, input_wiring

__all__ = ["check_recording", "open_sim_board", "sim_flags"]


READ_LATENCY_NS = 2100
"""From the edge, or the end of the read before, to the first bit: 4 tCLK of the slowest chip. A cascade still fits
four reads of 20 MHz between two edges at 16000 SPS."""


@dataclass(slots=True)
class Source:
    """A `struct eegd_source *` on its way to a board, and the arrays that it reads without owning them."""

    pointer: Any
    keep: tuple[object, ...] = ()


def sim_flags(config: Config) -> int:
    """EEGD_FLAG_SIMULATED or EEGD_FLAG_REPLAY: what every frame of this board is marked with."""
    return int(lib.EEGD_FLAG_REPLAY if config.replay.file is not None else lib.EEGD_FLAG_SIMULATED)


def open_sim_board(config: Config) -> Board:
    """Powers up emulated chips with their source. The caller closes the board.

    ReplayError for a recording that cannot be read, ConfigError for one that does not fit the configuration.
    """
    source = make_source(config)
    sim = sim_config(config)
    error = ffi.new("int *")
    pointer = lib.eegd_board_sim_open(sim, source.pointer, error)  # owns the source from here on
    if pointer == ffi.NULL:
        raise BoardError(f"emulated board: {os.strerror(-error[0])}") from OSError(-error[0], "open")
    return Board(pointer, keep=source.keep)


def sim_config(config: Config) -> Any:
    """A new `struct eegd_sim_config *`. A daisy chain shares chip select 0; lines are wired where named."""
    board = config.board
    sim = ffi.new("struct eegd_sim_config *")
    lib.eegd_sim_defaults(sim)
    sim.n_chips = len(board.chips)
    for chip, model in enumerate(board.chips):
        sim.n_channels[chip] = CHIP_INPUTS[model]
        sim.cs[chip] = 0 if board.topology == "daisy" else chip
        sim.ppm[chip] = config.sim.fclk_ppm
    sim.fclk_hz = board.fclk_hz
    sim.virtual_clock = config.sim.clock == "virtual"
    sim.strict = config.sim.chip == "strict"
    sim.lead_in = board.discard
    sim.start_wired = board.start_line is not None
    sim.reset_wired = board.reset_line is not None
    sim.pwdn_wired = board.pwdn_line is not None
    sim.external_reference = not board.internal_reference
    sim.seed = config.sim.seed
    sim.latency_ns = READ_LATENCY_NS
    if config.replay.file is None and config.sim.source == "quiet":
        sim.noise = lib.EEGD_NOISE_ALL
    return sim


def make_source(config: Config) -> Source:
    """The recording if there is one, else what [sim] source says."""
    inputs = n_inputs(config.board.chips)
    if config.replay.file is not None:
        recording = load_recording(config.replay.file, config.replay.format)
        check_recording(recording, config)
        return replay_source(recording, config, inputs)
    if config.sim.source == "synthetic":
        return synthetic_source(config)
    if config.sim.source == "sine":
        wiring = input_wiring(config.montage, inputs)
        sim = config.sim
        return checked(lib.eegd_source_sine(sim.sine_hz, sim.sine_uv, inputs, array("uint8_t", wiring), 0))
    if config.sim.source == "pattern":
        return checked(lib.eegd_source_pattern(inputs, 0))
    return checked(lib.eegd_source_constant(ffi.NULL, ffi.NULL, 0, 0, 0, 0, 0))


def check_recording(recording: Recording, config: Config) -> None:
    """Raises ConfigError, with both numbers, where a recording does not fit the configured board."""
    board, name = config.board, f"[replay] file {recording.path}"
    rate = recording.rate_sps
    if rate is not None and not math.isclose(rate, board.rate_sps, rel_tol=1e-6):
        raise ConfigError(f"{name}: recorded at {rate:g} SPS, but [board] rate_sps = {board.rate_sps}")
    chips, inputs = " + ".join(board.chips), n_inputs(board.chips)
    if recording.frames is not None:
        found, wanted = recording.frames.shape[1], sum(3 + 3 * CHIP_INPUTS[model] for model in board.chips)
        if found != wanted:
            raise ConfigError(f"{name}: conversions of {found} bytes, but [board] chips {chips} send {wanted}")
    elif recording.n_channels > inputs:
        raise ConfigError(f"{name}: {recording.n_channels} channels, but [board] chips {chips} have {inputs} inputs")


def replay_source(recording: Recording, config: Config, inputs: int) -> Source:
    loop = config.replay.loop
    if recording.frames is not None:
        n, width = recording.frames.shape
        source = lib.eegd_source_frames(array("uint8_t", recording.frames), n, width, loop)
        return checked(source, recording.frames)
    assert recording.uv is not None
    n, width = recording.uv.shape
    wiring = input_wiring(config.montage, inputs)[:width]
    source = lib.eegd_source_recording(array("double", recording.uv), n, width, array("uint8_t", wiring), loop)
    return checked(source, recording.uv)


def synthetic_source(config: Config) -> Source:
    head = head_of(config.montage, config.sim.seed)
    synth = ffi.new("struct eegd_synth_config *")
    synth.seed = config.sim.seed
    synth.mains_hz = config.montage.mains_hz
    synth.n_electrodes = len(head.electrodes)
    synth.weights = array("float", head.weights)  # all four are copied by the constructor
    synth.noise_uv = array("float", head.noise_uv)
    synth.drift_uv = array("float", head.drift_uv)
    synth.offset_uv = array("float", head.offset_uv)
    synth.p, synth.n = list(head.p), list(head.n)
    synth.srb1, synth.srb2 = head.srb1, head.srb2
    return checked(lib.eegd_source_synth(synth))


def array(kind: str, values: NDArray[Any]) -> Any:
    """A pointer into `values`, good while they live."""
    assert values.flags.c_contiguous and values.dtype.itemsize == ffi.sizeof(kind)
    return ffi.cast(f"{kind} *", values.ctypes.data)


def checked(pointer: Any, *keep: object) -> Source:
    if pointer == ffi.NULL:
        raise BoardError("emulated board: its signal source cannot be made") from OSError(errno.ENOMEM, "source")
    return Source(pointer, keep)
