"""What chips and their wiring allow: every contradiction in board and montage, in words."""

from __future__ import annotations

from collections import Counter

from eegd.montage import CHIP_INPUTS, Channel, Montage, channel_table, locate_input, n_inputs
from eegd.schema import Problems
from eegd.settings import BoardConfig

__all__ = ["check_board", "check_montage"]

CONTROL_LINES = ("start_line", "reset_line", "pwdn_line")


def check_board(board: BoardConfig, problems: Problems) -> None:
    """Reports what is missing or contradicts itself in [board]. Values are valid one by one."""
    if board.lead_off_current_na >= 6000 and not board.allow_high_lead_off_current:
        problems.add(
            "board",
            "lead_off_current_na",
            "6 and 24 µA need allow_high_lead_off_current = true in the file: "
            "24 µA DC exceeds the 10 µA that IEC 60601-1 allows through a patient",
            board.lead_off_current_na,
        )
    _check_lines(board, problems)
    _check_clocks(board, problems)
    if board.kind != "linux":
        return
    if board.drdy_line is None and board.clocks == "shared":
        problems.add("board", "drdy_line", 'missing; kind = "linux" waits for the edges of this line')
    selects = 1 if board.topology == "daisy" else len(board.chips)
    if len(board.spi) != selects:
        need = f"{selects} {'device' if selects == 1 else 'devices'}"
        problems.add("board", "spi", f"{len(board.chips)} chips as a {board.topology} need {need}", board.spi)
    if len(set(board.spi)) < len(board.spi):
        problems.add("board", "spi", "the same device twice", board.spi)


def _check_lines(board: BoardConfig, problems: Problems) -> None:
    named = [(name, getattr(board, name)) for name in ("drdy_line", "idle_line", *CONTROL_LINES)]
    named += [(name, line) for name in ("drdy_lines", "idle_lines") for line in getattr(board, name)]
    used: dict[str, str] = {}
    for name, line in named:
        if line in used:
            problems.add("board", name, f"already the {used[line]}", line)
        elif line is not None:
            used[line] = name.removesuffix("s")


def _check_clocks(board: BoardConfig, problems: Problems) -> None:
    """With clocks of their own, chips share the SPI bus and nothing else that this computer drives."""
    n_chips = len(board.chips)
    if board.clocks == "shared":
        for name in ("drdy_lines", "idle_lines"):
            if lines := getattr(board, name):
                text = f'one clock has one line: {name.removesuffix("s")} = "{lines[0]}", or clocks = "own"'
                problems.add("board", name, text, lines)
        return
    if n_chips < 2:
        problems.add("board", "clocks", 'one chip has one clock: clocks = "shared"', board.clocks)
    if board.topology == "daisy":
        text = 'the chips of a daisy chain are read in one go and must share a clock: clocks = "shared"'
        problems.add("board", "clocks", text, board.clocks)
    if board.clock_out:
        text = 'gives the first chip\'s clock to the others, which clocks = "own" denies: one of the two'
        problems.add("board", "clock_out", text, True)
    for name in ("drdy_line", "idle_line", *CONTROL_LINES):
        if (line := getattr(board, name)) is None:
            continue
        if name in CONTROL_LINES:
            text = 'one line cannot belong to several chips that start by themselves; with clocks = "own" by command'
        else:
            text = f'with clocks = "own" each chip has one: {name}s, a list of {n_chips}'
        problems.add("board", name, text, line)
    if (board.drdy_lines or board.kind == "linux") and len(board.drdy_lines) != n_chips:
        problems.add("board", "drdy_lines", f"{n_chips} chips need {n_chips} lines, in their order", board.drdy_lines)
    if board.idle_lines and len(board.idle_lines) != n_chips:
        problems.add("board", "idle_lines", f"none, or {n_chips} for {n_chips} chips", board.idle_lines)


def check_montage(montage: Montage, board: BoardConfig, problems: Problems) -> None:
    """Reports what the chips cannot do, or what contradicts itself. Values are valid one by one."""
    if not montage.on:
        problems.add("montage", "", "no channel is on")
    _check_inputs(montage, board, problems)
    for label, count in Counter(channel.label for channel in montage.channels).items():
        if count > 1:
            problems.add(channel_table(label), "label", f"given to {count} channels; labels are unique", label)
    for channel in montage.channels:
        _check_pair(channel, problems)
        _check_senses(channel, board, problems)
    _check_lead_off_loops(montage, problems)


def _check_inputs(montage: Montage, board: BoardConfig, problems: Problems) -> None:
    available = n_inputs(board.chips)
    has = f"{' + '.join(board.chips)} {'has' if len(board.chips) == 1 else 'have'} {available} inputs"
    if len(montage.channels) > available:
        problems.add("montage", "", f"{len(montage.channels)} channels, but {has}")
        return
    users: dict[int, str] = {}
    for channel in montage.channels:
        table = channel_table(channel.label)
        if channel.input > available:
            problems.add(table, "input", has, channel.input)
        elif channel.input in users:
            problems.add(table, "input", f"already taken by {users[channel.input]}", channel.input)
        users.setdefault(channel.input, channel.label)
    if all(number <= available for number in users):
        _check_srb1(montage, board, problems)
        if board.clocks == "own":
            _check_streams(montage, board, problems)
        if board.topology == "daisy":
            _check_daisy(montage, board, problems)


def _check_srb1(montage: Montage, board: BoardConfig, problems: Problems) -> None:
    """MISC1's SRB1 bit connects every negative input of its chip (SBAS499C 9.6, MISC1)."""
    for chip in range(len(board.chips)):
        here = [channel for channel in montage.on if locate_input(board.chips, channel.input)[0] == chip]
        tied = [channel.label for channel in here if channel.n == "SRB1"]
        for channel in here if tied else []:
            if channel.n != "SRB1":
                text = f"SRB1 ties all negative inputs of a chip, and {tied[0]} of chip {chip + 1} has n = SRB1"
                problems.add(channel_table(channel.label), "n", f"{text}: make it SRB1 on all or on none", channel.n)


def _check_streams(montage: Montage, board: BoardConfig, problems: Problems) -> None:
    """Each chip is a stream, and a stream has channels."""
    used = {locate_input(board.chips, channel.input)[0] for channel in montage.on}
    for chip in range(len(board.chips)):
        if chip not in used and montage.on:
            text = f"chip {chip + 1} has a clock of its own, hence a stream of its own, but no channel that is on"
            problems.add("montage", "", text)


def _check_daisy(montage: Montage, board: BoardConfig, problems: Problems) -> None:
    """All chips of a chain decode every command at once (SBAS499C 10.1.4), so their registers are equal."""
    users = {locate_input(board.chips, channel.input): channel for channel in montage.on}
    for own in range(1, 9):
        chips = [index for index, chip in enumerate(board.chips) if CHIP_INPUTS[chip] >= own]
        for chip in chips[1:]:
            first, here = _settings(users.get((chips[0], own))), _settings(users.get((chip, own)))
            differing = [name for name in here if here[name] != first[name]]
            for name in differing[:1]:
                problems.add(
                    "montage",
                    "",
                    "a daisy chain gives all its chips the same registers, but "
                    f"input {own} of chip {chips[0] + 1} has {name} {first[name]}, "
                    f"of chip {chip + 1} {name} {here[name]}",
                )


def _settings(channel: Channel | None) -> dict[str, object]:
    """What of a channel stands in registers, in words."""
    if channel is None:
        return dict.fromkeys(("state", "gain", "wiring", "bias", "lead_off"), "off")
    on_off = {True: "on", False: "off"}
    return {
        "state": "on",
        "gain": channel.gain,
        "wiring": channel.wiring,
        "bias": on_off[channel.bias],
        "lead_off": on_off[channel.lead_off],
    }


def _check_pair(channel: Channel, problems: Problems) -> None:
    table = channel_table(channel.label)
    if channel.p == "SRB1":
        problems.add(table, "p", "SRB1 can only be switched to negative inputs; use n, or p = SRB2", channel.p)
    elif channel.n == "SRB2":
        problems.add(table, "n", "SRB2 can only be switched to positive inputs; use p, or n = SRB1", channel.n)
    elif channel.p == "SRB2" and channel.n == "SRB1":
        problems.add(table, "n", "p = SRB2 and n = SRB1 are both the reference; one must be the electrode", "SRB1")
    elif channel.p == channel.n:
        problems.add(table, "n", "the same electrode as p: such a channel measures nothing", channel.n)


def _check_senses(channel: Channel, board: BoardConfig, problems: Problems) -> None:
    table = channel_table(channel.label)
    if channel.bias and not channel.on:
        problems.add(table, "bias", "a channel that is off cannot feed the bias amplifier: also bias = false", True)
    elif channel.bias and not board.bias_amplifier:
        problems.add(table, "bias", "there is no bias drive while [board] bias_amplifier = false", True)
    if channel.lead_off and not channel.on:
        problems.add(table, "lead_off", "a channel that is off senses nothing: also lead_off = false", True)


def _check_lead_off_loops(montage: Montage, problems: Problems) -> None:
    """An electrode that several channels share may carry the current of one of them."""
    carriers: dict[str, str] = {}
    for channel in montage.on:
        for electrode in channel.electrodes if channel.lead_off else ():
            if electrode in carriers:
                text = f"electrode {electrode} already carries the lead-off current of {carriers[electrode]}"
                problems.add(channel_table(channel.label), "lead_off", f"{text}; one channel only", True)
            carriers.setdefault(electrode, channel.label)
