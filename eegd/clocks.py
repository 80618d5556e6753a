"""Chips with clocks of their own: one configuration, and one stream, per clock.

Sample k of one chip is at no fixed time from sample k of another, so nothing here pairs them.
"""

from __future__ import annotations

from dataclasses import replace

from eegd.config import Config
from eegd.montage import Montage, locate_input

__all__ = ["split_clocks", "stream_names"]


def stream_names(config: Config) -> tuple[str, ...]:
    """Names of the raw streams, one per clock: `raw`, `raw2` …"""
    n_clocks = len(config.board.chips) if config.board.clocks == "own" else 1
    return ("raw", *(f"raw{number}" for number in range(2, n_clocks + 1)))


def split_clocks(config: Config) -> list[Config]:
    """One configuration per clock, in order of the chips: what a board with that chip alone would have.

    Inputs count from the chip's own first one; labels stay. The second and later chips drive no bias electrode.
    """
    if config.board.clocks == "shared":
        return [config]
    return [_of_chip(config, chip) for chip in range(len(config.board.chips))]


def _of_chip(config: Config, chip: int) -> Config:
    board, sim = config.board, config.sim

    def own(values: tuple[str, ...]) -> tuple[str, ...]:
        return values[chip : chip + 1]

    return replace(
        config,
        board=replace(
            board,
            chips=own(board.chips),
            clocks="shared",
            spi=own(board.spi),
            drdy_line=next(iter(own(board.drdy_lines)), None),
            idle_line=next(iter(own(board.idle_lines)), None),
            drdy_lines=(),
            idle_lines=(),
            first_chip=chip,
        ),
        sim=replace(
            sim,
            fclk_ppm=sim.fclk_ppm + chip * sim.clock_spread_ppm,
            clock_spread_ppm=0.0,
            seed=(sim.seed + chip) % 2**32,  # else their noise would be alike
        ),
        montage=(montage := _of_montage(config.montage, board.chips, chip)),
        detectors=tuple(row for row in config.detectors if row.channel in {one.label for one in montage.on}),
        chip_markers=tuple(replace(row, chip=1) for row in config.chip_markers if row.chip == chip + 1),
    )


def _of_montage(montage: Montage, chips: tuple[str, ...], chip: int) -> Montage:
    places = [(channel, *locate_input(chips, channel.input)) for channel in montage.channels]
    mine = tuple(replace(channel, input=number) for channel, its_chip, number in places if its_chip == chip)
    return replace(montage, channels=mine)
