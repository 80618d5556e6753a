"""Montage: which electrode sits at which chip input, against which reference, at which gain.

Sign: a slab holds electrode minus reference, whichever side of the input pair the reference is on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eegd.schema import LIVE, RECONFIGURE, Problems, key, keys_of, read_table

if TYPE_CHECKING:
    from eegd.settings import BoardConfig

__all__ = [
    "CHIP_INPUTS",
    "GAINS",
    "STANDARD_LABELS",
    "VREF_UV",
    "Channel",
    "Montage",
    "channel_changes",
    "channel_table",
    "locate_input",
    "montage_description",
    "n_inputs",
    "read_montage",
    "standard_montage",
]

CHIP_INPUTS = {"ADS1299": 8, "ADS1299-6": 6, "ADS1299-4": 4}
GAINS = (1, 2, 4, 6, 8, 12, 24)
VREF_UV = 4.5e6
"""The chip's internal reference, 4.5 V: ± full scale at gain 1."""

STANDARD_LABELS = (
    *("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"),
    *("F7", "F8", "F3", "F4", "T7", "T8", "P3", "P4"),
    *("Fz", "Cz", "Pz", "Oz", "FC5", "FC6", "CP5", "CP6"),
    *("FC1", "FC2", "CP1", "CP2", "AF3", "AF4", "PO3", "PO4"),
)
"""Labels when no montage is given: whatever the number of inputs, its first ones cover the head evenly."""

# Printable ASCII without space, = : and comma, so that `eegctl channel Oz gain=12` can name any channel.
LABEL = r"(?!-|SRB[12]$)[!-+\--9;<>-~]{1,16}"
LABEL_SAYS = "1 to 16 printable ASCII characters without space = : or comma, no - first, and not SRB1 or SRB2"
ELECTRODE = r"[!-~]{1,32}"
ELECTRODE_SAYS = "an electrode's name of 1 to 32 printable ASCII characters without space, or"
PLACE, PLACE_SAYS = r"[ -~]{1,32}", "1 to 32 printable ASCII characters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One electrode input. Immutable; synchronization: none required."""

    label: str = key(doc="Name of the channel, unique.", pattern=LABEL, says=LABEL_SAYS, change=LIVE)
    type: str = key("EEG", "What it measures.", allowed=("EEG", "EOG", "ECG", "EMG", "MISC"), change=LIVE)
    input: int = key(
        doc="Chip input, from 1, counted through the chips: with chips of 8 and 4 inputs, 9 is the second "
        "chip's first.",
        low=1,
        high=32,
        change=RECONFIGURE,
    )
    gain: int = key(24, "Gain of the amplifier.", allowed=GAINS, says="ADS1299 offers", change=RECONFIGURE)
    on: bool = key(True, "Off powers the input down and shorts it.", change=RECONFIGURE)
    p: str = key(
        doc="Electrode at the positive input, or SRB2.",
        pattern=ELECTRODE,
        says=f"{ELECTRODE_SAYS} SRB2",
        change=RECONFIGURE,
    )
    n: str = key(
        doc="Electrode at the negative input, or SRB1.",
        pattern=ELECTRODE,
        says=f"{ELECTRODE_SAYS} SRB1",
        change=RECONFIGURE,
    )
    bias: bool = key(False, "Its electrodes feed the bias amplifier.", change=RECONFIGURE)
    lead_off: bool = key(
        False,
        "Its own electrodes, never a reference on SRB1 or SRB2, carry the lead-off current.",
        change=RECONFIGURE,
    )
    bad: bool = key(False, "Marked as unusable; still acquired.", change=LIVE)

    @property
    def sign(self) -> int:
        """What turns the chip's P minus N into electrode minus reference: −1 where the reference is on P."""
        return -1 if self.p == "SRB2" else 1

    @property
    def lsb_uv(self) -> float:
        """Microvolts at the electrode per code, always positive."""
        return VREF_UV / 2**23 / self.gain

    @property
    def full_scale_uv(self) -> float:
        """The input range is ± this."""
        return VREF_UV / self.gain

    @property
    def wiring(self) -> str:
        """SRB1, SRB2 or bipolar."""
        return self.n if self.n == "SRB1" else self.p if self.p == "SRB2" else "bipolar"

    @property
    def electrodes(self) -> tuple[str, ...]:
        """The electrodes of its own, P first."""
        return tuple(name for name in (self.p, self.n) if name not in ("SRB1", "SRB2"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Montage:
    """All channels, and what they share. Immutable; synchronization: none required."""

    reference: str = key("REF", "What SRB1 or SRB2 is wired to.", pattern=PLACE, says=PLACE_SAYS, change=LIVE)
    ground: str = key("GND", "What BIASOUT is wired to.", pattern=PLACE, says=PLACE_SAYS, change=LIVE)
    scheme: str = key(
        "10-10", "Placement that the labels follow.", allowed=("10-20", "10-10", "10-5", "other"), change=LIVE
    )
    mains_hz: int = key(50, "Mains frequency.", unit="Hz", allowed=(50, 60), change=LIVE)
    channels: tuple[Channel, ...]

    @property
    def on(self) -> tuple[Channel, ...]:
        """The channels that are on, in file order: the planes of a slab."""
        return tuple(channel for channel in self.channels if channel.on)

    @property
    def wiring(self) -> str:
        """SRB1, SRB2 or bipolar when all channels that are on agree, else mixed."""
        kinds = {channel.wiring for channel in self.on}
        return kinds.pop() if len(kinds) == 1 else "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDefaults:
    """Shorthand keys of [montage], for all channels; a channel's own table may say otherwise."""

    labels: tuple[str, ...] = key(
        (),
        "Labels of the inputs in order.",
        pattern=LABEL,
        low=1,
        high=32,
        says=f"a list of up to 32 labels, each {LABEL_SAYS}",
    )
    wiring: str = key("SRB1", "Where the reference is.", allowed=("SRB1", "SRB2", "bipolar"))
    gain: int = key(24, "Gain of every channel.", allowed=GAINS, says="ADS1299 offers")
    bias: bool = key(False, "Every channel that is on feeds the bias amplifier.")
    lead_off: bool = key(False, "Lead-off sensing on every channel that is on.")


CHANNEL_KEYS = keys_of(Channel)
DESCRIBED = ("label", "type", "gain", "lsb_uv", "full_scale_uv", "sign", "input", "p", "n", "lead_off", "bad")
MONTAGE_KEYS = {**keys_of(Montage), **keys_of(ChannelDefaults)}


def n_inputs(chips: Sequence[str]) -> int:
    """Inputs of all chips together."""
    return sum(CHIP_INPUTS[chip] for chip in chips)


def locate_input(chips: Sequence[str], number: int) -> tuple[int, int]:
    """Chip index from 0 and its own input from 1. IndexError beyond the last input."""
    for index, chip in enumerate(chips):
        if number <= CHIP_INPUTS[chip]:
            return index, number
        number -= CHIP_INPUTS[chip]
    raise IndexError("no such input")


def standard_montage(chips: Sequence[str], **defaults: Any) -> Montage:
    """Every input in use. `defaults` are wiring, gain, bias and lead_off as in [montage]."""
    problems = Problems("standard montage")
    montage = read_montage(defaults, chips, problems)
    problems.stop()
    return montage


def read_montage(tree: object, chips: Sequence[str], problems: Problems) -> Montage:
    """The montage of a [montage] table, its values valid one by one; check_montage judges them together."""
    values = read_table(MONTAGE_KEYS, "montage", tree, problems, elsewhere=("channel",))
    shared = {name: values.pop(name) for name in keys_of(ChannelDefaults) if name in values}
    defaults = ChannelDefaults(**shared)
    tables = tree.get("channel", []) if isinstance(tree, dict) else []
    if not isinstance(tables, list | tuple) or len(tables) > 32:
        problems.add("montage", "channel", "up to 32 tables, each written as [[montage.channel]]", tables)
        tables = []
    labels = defaults.labels or (() if tables else STANDARD_LABELS[: n_inputs(chips)])
    rows: list[dict[str, Any]] = [{"label": label} for label in labels]
    for number, table in enumerate(tables, start=1):
        _merge_channel_table(rows, len(labels), number, table, problems)
    return Montage(**values, channels=tuple(_fill_channels(rows, defaults, problems)))


def _merge_channel_table(
    rows: list[dict[str, Any]], n_labels: int, number: int, table: object, problems: Problems
) -> None:
    label = table.get("label") if isinstance(table, dict) else None
    where = (
        channel_table(label) if isinstance(label, str) and re.fullmatch(LABEL, label) else f"montage.channel #{number}"
    )
    values = read_table(CHANNEL_KEYS, where, table, problems)
    if "label" not in values:
        if label is None:
            problems.add(where, "label", f"missing; {LABEL_SAYS}")
        return
    for row in rows[:n_labels]:
        if row["label"] == label:
            row.update(values)
            return
    rows.append(values)


def _fill_channels(rows: list[dict[str, Any]], defaults: ChannelDefaults, problems: Problems) -> list[Channel]:
    channels: list[Channel] = []
    for row in rows:
        is_on = row.get("on", True)
        filled: dict[str, Any] = {
            "input": channels[-1].input + 1 if channels else 1,
            "gain": defaults.gain,
            "bias": defaults.bias and is_on,
            "lead_off": defaults.lead_off and is_on,
            **row,
        }
        filled["p"], filled["n"] = _sides(row, defaults.wiring)
        for side in ("p", "n"):
            if filled[side] is None:
                text = f"missing; name the electrode at {side.upper()}"
                problems.add(channel_table(row["label"]), side, text)
        channels.append(Channel(**filled))
    return channels


def _sides(row: dict[str, Any], wiring: str) -> tuple[str | None, str | None]:
    """What is at P and at N where the table does not say both; None where that cannot be known."""
    label, p, n = row["label"], row.get("p"), row.get("n")
    if p is None and n is None:
        if wiring == "bipolar":
            first, dash, second = label.partition("-")
            return (first, second) if dash and second else (f"{label}+", f"{label}-")
        return (label, "SRB1") if wiring == "SRB1" else ("SRB2", label)
    if p is None:
        p = label if n == "SRB1" else "SRB2" if wiring == "SRB2" else None
    if n is None:
        n = label if p == "SRB2" else "SRB1" if wiring == "SRB1" else None
    return p, n


def channel_table(label: str) -> str:
    """What error lines call a channel's table."""
    return f"montage.channel {label}"


def channel_changes(old: Montage, new: Montage) -> list[tuple[str, str]]:
    """(key, cost) of what differs between the channels of two montages, which are matched by input."""
    before = {channel.input: channel for channel in old.channels}
    after = {channel.input: channel for channel in new.channels}
    changes = []
    for number in sorted(before.keys() | after.keys()):
        was, now = before.get(number), after.get(number)
        if was is None or now is None:
            label = next(channel.label for channel in (was, now) if channel)
            changes.append((f"montage.channel.{label}", RECONFIGURE))
            continue
        for name, rule in CHANNEL_KEYS.items():
            if getattr(was, name) != getattr(now, name):
                # An electrode's new name touches no register unless a reference came or went.
                renamed = name in ("p", "n") and was.wiring == now.wiring
                changes.append((f"montage.channel.{was.label}.{name}", LIVE if renamed else rule.change))
    if before.keys() == after.keys() and list(before) != list(after):  # the planes change places
        changes.append(("montage.channel", RECONFIGURE))
    return changes


def montage_description(montage: Montage, board: BoardConfig) -> dict[str, Any]:
    """The montage for a stream's description: plain JSON types, its channels in the order of the planes."""
    channels = []
    for channel in montage.on:
        row: dict[str, Any] = {name: getattr(channel, name) for name in DESCRIBED}
        row |= {"unit": "µV", "chip": board.first_chip + locate_input(board.chips, channel.input)[0] + 1}
        channels.append(row)
    described = {name: getattr(montage, name) for name in keys_of(Montage)}
    return {**described, "wiring": montage.wiring, "channels": channels}
