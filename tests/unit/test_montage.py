"""Labels, wiring, signs and scales, and what chips and their wiring allow."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import pytest

from eegd.config import Config, parse_config
from eegd.errors import ConfigError
from eegd.montage import (
    CHIP_INPUTS,
    GAINS,
    STANDARD_LABELS,
    Channel,
    locate_input,
    montage_description,
    standard_montage,
)


def parse(text: str) -> Config:
    return parse_config(text, "t.toml")


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


def channel(**fields: object) -> str:
    values = {str: json.dumps, bool: lambda value: str(value).lower(), int: str}
    lines = [f"{name} = {values[type(value)](value)}" for name, value in fields.items()]  # type: ignore[operator]
    return "\n".join(["[[montage.channel]]", *lines, ""])


@pytest.mark.parametrize("gain", GAINS)
def test_lsb_is_the_exact_value_rounded_once(gain: int) -> None:
    exact = Fraction(4_500_000, 2**23 * gain)
    lsb = Channel(label="Oz", input=1, p="Oz", n="SRB1", gain=gain).lsb_uv
    assert lsb == float(exact)
    assert Channel(label="Oz", input=1, p="Oz", n="SRB1", gain=gain).full_scale_uv == pytest.approx(lsb * 2**23)


def test_lsb_agrees_with_the_datasheet() -> None:
    assert Channel(label="a", input=1, p="a", n="SRB1", gain=24).lsb_uv == 0.022351741790771484
    assert Channel(label="a", input=1, p="a", n="SRB1", gain=1).lsb_uv == 0.5364418029785156


@pytest.mark.parametrize(
    ("wiring", "p", "n", "sign"),
    [("SRB1", "Oz", "SRB1", 1), ("SRB2", "SRB2", "Oz", -1), ("bipolar", "Oz+", "Oz-", 1)],
)
def test_wiring_fills_both_sides_and_the_sign(wiring: str, p: str, n: str, sign: int) -> None:
    montage = parse(f'[montage]\nlabels = ["Oz"]\nwiring = "{wiring}"').montage
    (oz,) = montage.channels
    assert (oz.p, oz.n, oz.sign, montage.wiring) == (p, n, sign, wiring)


def test_a_bipolar_label_names_its_two_electrodes() -> None:
    (pair,) = parse('[montage]\nlabels = ["Fp1-F7"]\nwiring = "bipolar"').montage.channels
    assert (pair.p, pair.n) == ("Fp1", "F7")


@pytest.mark.parametrize("chips", [["ADS1299-4"], ["ADS1299-6"], ["ADS1299"], ["ADS1299"] * 2, ["ADS1299"] * 4])
def test_without_a_montage_every_input_gets_a_standard_label(chips: list[str]) -> None:
    montage = parse(f"[board]\nchips = {json.dumps(chips)}").montage
    count = sum(CHIP_INPUTS[chip] for chip in chips)
    assert [c.label for c in montage.channels] == list(STANDARD_LABELS[:count])
    assert [c.input for c in montage.channels] == list(range(1, count + 1))
    assert montage == standard_montage(chips)


def test_standard_labels_are_32_different_ones() -> None:
    assert len(set(STANDARD_LABELS)) == 32


def test_channel_tables_override_labels_and_add_channels() -> None:
    montage = parse(
        '[montage]\nlabels = ["C3", "C4"]\ngain = 12\nbias = true\n'
        + channel(label="C4", gain=6, bias=False)
        + channel(label="ECG", type="ECG")
        + channel(label="EOG", type="EOG", on=False)
    ).montage
    facts = [(c.label, c.type, c.input, c.gain, c.on, c.bias) for c in montage.channels]
    assert facts == [
        ("C3", "EEG", 1, 12, True, True),
        ("C4", "EEG", 2, 6, True, False),
        ("ECG", "ECG", 3, 12, True, True),
        ("EOG", "EOG", 4, 12, False, False),
    ]
    assert [c.label for c in montage.on] == ["C3", "C4", "ECG"]


def test_inputs_are_counted_through_the_chips() -> None:
    chips = ("ADS1299", "ADS1299-4")
    assert [locate_input(chips, n) for n in (1, 8, 9, 12)] == [(0, 1), (0, 8), (1, 1), (1, 4)]
    with pytest.raises(IndexError):
        locate_input(chips, 13)


@pytest.mark.parametrize("label", ["", "a" * 17, "a b", "a=b", "a:b", "a,b", "Ö", "-x", "SRB1", "SRB2", "a\n"])
def test_labels_that_a_command_line_could_not_name_are_refused(label: str) -> None:
    assert "1 to 16 printable ASCII characters" in refusal("[montage]\n" + channel(label=label))


@pytest.mark.parametrize("label", ["Oz", "Fp1-F7", "a/b", "!\"#$%&'()*+-.", "a" * 16, "SRB3", "~"])
def test_other_printable_labels_are_taken(label: str) -> None:
    assert parse("[montage]\n" + channel(label=label)).montage.channels[0].label == label


REFUSED = {
    "more channels than inputs": (
        '[board]\nchips = ["ADS1299-4"]\n[montage]\nlabels = ["a", "b", "c", "d", "e"]',
        "t.toml: [montage]: 5 channels, but ADS1299-4 has 4 inputs",
    ),
    "input beyond the chips": (
        '[board]\nchips = ["ADS1299", "ADS1299-4"]\n' + channel(label="a", input=13),
        "t.toml: [montage.channel a] input = 13: ADS1299 + ADS1299-4 have 12 inputs",
    ),
    "input twice": (
        channel(label="a", input=3) + channel(label="b", input=3),
        "t.toml: [montage.channel b] input = 3: already taken by a",
    ),
    "label twice": (
        '[montage]\nlabels = ["a", "a"]',
        't.toml: [montage.channel a] label = "a": given to 2 channels; labels are unique',
    ),
    "gain not offered": (
        channel(label="Oz", gain=13),
        "t.toml: [montage.channel Oz] gain = 13: ADS1299 offers 1, 2, 4, 6, 8, 12 or 24",
    ),
    "both references": (
        channel(label="Oz", p="SRB2", n="SRB1"),
        't.toml: [montage.channel Oz] n = "SRB1": p = SRB2 and n = SRB1 are both the reference; '
        "one must be the electrode",
    ),
    "SRB1 at P": (
        channel(label="Oz", p="SRB1", n="Oz"),
        't.toml: [montage.channel Oz] p = "SRB1": SRB1 can only be switched to negative inputs; use n, or p = SRB2',
    ),
    "SRB2 at N": (
        channel(label="Oz", p="Oz", n="SRB2"),
        't.toml: [montage.channel Oz] n = "SRB2": SRB2 can only be switched to positive inputs; use p, or n = SRB1',
    ),
    "SRB1 and bipolar in one chip": (
        channel(label="Oz") + channel(label="ECG", p="A", n="B"),
        't.toml: [montage.channel ECG] n = "B": SRB1 ties all negative inputs of a chip, and Oz '
        "of chip 1 has n = SRB1: make it SRB1 on all or on none",
    ),
    "SRB1 and SRB2 in one chip": (
        channel(label="Oz") + channel(label="O1", p="SRB2"),
        't.toml: [montage.channel O1] n = "O1": SRB1 ties all negative inputs of a chip, and Oz '
        "of chip 1 has n = SRB1: make it SRB1 on all or on none",
    ),
    "same electrode": (
        channel(label="Oz", p="Oz", n="Oz"),
        't.toml: [montage.channel Oz] n = "Oz": the same electrode as p: such a channel measures nothing',
    ),
    "side missing": (
        '[montage]\nwiring = "bipolar"\n' + channel(label="Oz", p="Oz"),
        "t.toml: [montage.channel Oz] n: missing; name the electrode at N",
    ),
    "label missing": (
        channel(gain=24),
        "t.toml: [montage.channel #1] label: missing; 1 to 16 printable ASCII characters without space = : "
        "or comma, no - first, and not SRB1 or SRB2",
    ),
    "bias on a channel that is off": (
        channel(label="a") + channel(label="Oz", on=False, bias=True),
        "t.toml: [montage.channel Oz] bias = true: a channel that is off cannot feed the bias amplifier: "
        "also bias = false",
    ),
    "bias without an amplifier": (
        "[board]\nbias_amplifier = false\n" + channel(label="Oz", bias=True),
        "t.toml: [montage.channel Oz] bias = true: there is no bias drive while [board] bias_amplifier = false",
    ),
    "lead-off on a channel that is off": (
        channel(label="a") + channel(label="Oz", on=False, lead_off=True),
        "t.toml: [montage.channel Oz] lead_off = true: a channel that is off senses nothing: also lead_off = false",
    ),
    "lead-off of two channels through one electrode": (
        channel(label="C3", p="C3", n="A1", lead_off=True) + channel(label="C4", p="C4", n="A1", lead_off=True),
        "t.toml: [montage.channel C4] lead_off = true: electrode A1 already carries the lead-off current of "
        "C3; one channel only",
    ),
    "nothing on": (channel(label="Oz", on=False), "t.toml: [montage]: no channel is on"),
    "daisy chain with unequal gains": (
        '[board]\nchips = ["ADS1299-4", "ADS1299-4"]\ntopology = "daisy"\n'
        '[montage]\nlabels = ["a", "b", "c", "d", "e", "f", "g", "h"]\n' + channel(label="f", gain=12),
        "t.toml: [montage]: a daisy chain gives all its chips the same registers, but "
        "input 2 of chip 1 has gain 24, of chip 2 gain 12",
    ),
    "daisy chain with an input off": (
        '[board]\nchips = ["ADS1299-4", "ADS1299-4"]\ntopology = "daisy"\n'
        '[montage]\nlabels = ["a", "b", "c", "d", "e", "f", "g"]',
        "t.toml: [montage]: a daisy chain gives all its chips the same registers, but "
        "input 4 of chip 1 has state on, of chip 2 state off",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_montage_that_the_chips_cannot_do_is_refused_with_the_reason(case: str) -> None:
    text, message = REFUSED[case]
    assert refusal(text) == message


ACCEPTED = {
    "SRB1 holds for one chip alone": (
        '[board]\nchips = ["ADS1299-4", "ADS1299-4"]\n'
        + channel(label="Oz")
        + channel(label="ECG", input=5, p="A", n="B")
    ),
    "SRB2 and bipolar share a chip": (
        '[montage]\nwiring = "SRB2"\n' + channel(label="Oz") + channel(label="ECG", p="A", n="B")
    ),
    "a channel that is off contradicts nothing": (channel(label="Oz") + channel(label="ECG", p="A", n="B", on=False)),
    "a daisy chain of equal chips": ('[board]\ntopology = "daisy"\nchips = ["ADS1299", "ADS1299", "ADS1299-4"]'),
    "lead-off on all channels of a reference": "[montage]\nlead_off = true\nbias = true",
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_montage_that_works_is_taken(case: str) -> None:
    parse(ACCEPTED[case])


def test_mixed_wiring_is_said() -> None:
    assert parse(ACCEPTED["SRB2 and bipolar share a chip"]).montage.wiring == "mixed"


def test_lead_off_never_drives_a_shared_reference() -> None:
    (c,) = parse('[montage]\nlabels = ["Oz"]\nwiring = "SRB2"\nlead_off = true').montage.channels
    assert c.electrodes == ("Oz",)


def test_description_is_json_in_the_order_of_the_planes() -> None:
    config = parse(
        '[board]\nchips = ["ADS1299-4", "ADS1299-4"]\n[montage]\nwiring = "SRB2"\n'
        'reference = "A1"\nmains_hz = 60\n'
        + channel(label="Oz", input=5, gain=12, bad=True)
        + channel(label="off", input=2, on=False)
        + channel(label="ECG", type="ECG", input=1, p="X", n="Y")
    )
    described = montage_description(config.montage, config.board)
    assert json.loads(json.dumps(described)) == described
    oz, ecg = described.pop("channels")
    assert described == {
        "reference": "A1",
        "ground": "GND",
        "scheme": "10-10",
        "mains_hz": 60,
        "wiring": "mixed",
    }
    assert oz == {
        "label": "Oz",
        "type": "EEG",
        "unit": "µV",
        "gain": 12,
        "lsb_uv": 4.5e6 / 2**23 / 12,
        "full_scale_uv": 375000.0,
        "sign": -1,
        "input": 5,
        "chip": 2,
        "p": "SRB2",
        "n": "Oz",
        "lead_off": False,
        "bad": True,
    }
    assert (ecg["label"], ecg["type"], ecg["chip"], ecg["sign"]) == ("ECG", "ECG", 1, 1)


def test_standard_montage_takes_the_shorthand_keys_and_refuses_others() -> None:
    montage = standard_montage(("ADS1299-4",), wiring="SRB2", gain=1)
    assert (montage.wiring, {c.gain for c in montage.on}) == ("SRB2", {1})
    with pytest.raises(ConfigError, match=re.escape("[montage] gian = 1: unknown key; did you mean gain?")):
        standard_montage(("ADS1299",), gian=1)
