"""Changing a configuration by commands, and what each change costs."""

from __future__ import annotations

import re

import pytest

from eegd.changes import classify_changes, with_board, with_channel
from eegd.config import Config, load_config, parse_config
from eegd.daemon import _without
from eegd.errors import ConfigError

DEFAULT = load_config(None)
RATES = "ADS1299 offers 250, 500, 1000, 2000, 4000, 8000 or 16000"


def parse(text: str) -> Config:
    return parse_config(text, "eegd.toml")


def test_every_changed_key_is_named_with_what_it_costs() -> None:
    old = parse('[montage]\nlabels = ["C3", "C4"]\n[plugins]\nrun = ["a"]\n[plugins.a]\nx = 1\n')
    new = parse(
        '[board]\nrate_sps = 500\nkind = "linux"\ndrdy_line = "GPIO26"\nspi = ["/dev/spidev0.0"]\n'
        '[montage]\nlabels = ["C3", "Cz"]\nmains_hz = 60\n'
        '[[montage.channel]]\nlabel = "C3"\ngain = 12\nbad = true\n[stream]\nframe_samples = 1\n'
        '[plugins]\nrun = ["a", "b"]\n[plugins.a]\nx = 2\n[daemon]\nlog_level = "debug"\n'
    )
    live, reconfigure, restart = classify_changes(old, new)
    assert live == [
        "montage.mains_hz",
        "montage.channel.C3.bad",
        "montage.channel.C4.label",
        "montage.channel.C4.p",
        "plugins.run",
        "daemon.log_level",
        "plugins.a.x",
    ]
    assert reconfigure == [
        "board.rate_sps",
        "montage.channel.C3.gain",
        "stream.frame_ms",
        "stream.frame_samples",
    ]
    assert restart == ["board.kind", "board.spi", "board.drdy_line"]


def test_channels_that_come_go_or_move_reconfigure() -> None:
    two = parse('[montage]\nlabels = ["C3", "C4"]')
    one = parse('[montage]\nlabels = ["C3"]')
    swapped = parse('[[montage.channel]]\nlabel = "C4"\ninput = 2\n[[montage.channel]]\nlabel = "C3"\ninput = 1\n')
    assert classify_changes(two, one) == ([], ["montage.channel.C4"], [])
    assert classify_changes(one, two) == ([], ["montage.channel.C4"], [])
    assert classify_changes(two, swapped) == ([], ["montage.channel"], [])
    marked = with_channel(swapped, "C3", {"bad": "yes"})
    assert classify_changes(two, marked) == (["montage.channel.C3.bad"], ["montage.channel"], [])


def test_another_reference_reconfigures() -> None:
    srb1, srb2 = parse('[montage]\nlabels = ["Oz"]'), parse('[montage]\nlabels = ["Oz"]\nwiring = "SRB2"')
    assert classify_changes(srb1, srb2) == ([], ["montage.channel.Oz.p", "montage.channel.Oz.n"], [])


def test_a_removed_plugin_parameter_is_a_live_change() -> None:
    assert classify_changes(parse("[plugins.a]\nx = 1"), DEFAULT) == (["plugins.a.x"], [], [])


# Commands


def test_board_command_takes_words() -> None:
    config = with_board(DEFAULT, {"rate": "500", "clock_out": "yes", "gpio": "0x80", "input": "shorted"})
    board = config.board
    assert (board.rate_sps, board.clock_out, board.gpio, board.input) == (500, True, 0x80, "shorted")
    assert classify_changes(DEFAULT, config)[1:] == (
        ["board.rate_sps", "board.clock_out", "board.gpio", "board.input"],
        [],
    )
    assert with_board(DEFAULT, {"frame_samples": "5"}).samples_per_frame == 5
    assert with_board(with_board(DEFAULT, {"frame_samples": "5"}), {"frame_ms": "8"}).samples_per_frame == 2


BOARD_REFUSED = {
    ("rate", "300"): f"[board] rate_sps = 300: {RATES}",
    ("rate", "fast"): '[board] rate_sps = "fast": ADS1299 offers 250, 500, 1000, 2000, 4000, 8000 or 16000',
    ("clock_out", "maybe"): '[board] clock_out = "maybe": yes or no',
    ("kind", "linux"): '[board] kind = "linux": can only be changed in the file',
    ("allow_high_lead_off_current", "yes"): '[board] allow_high_lead_off_current = "yes": '
    "can only be changed in the file",
    ("rat", "3"): '[board] rat = "3": unknown key; did you mean rate?',
    ("frame_ms", "nan"): "[stream] frame_ms = nan: a number from 0.001 to 1600 ms",
}


@pytest.mark.parametrize(("name", "word"), BOARD_REFUSED)
def test_board_command_refuses_as_the_file_does(name: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_board(DEFAULT, {name: word})
    assert str(caught.value) == f"command line: {BOARD_REFUSED[name, word]}"


def test_board_command_is_checked_against_the_rest() -> None:
    config = parse("[stream]\nframe_ms = 100")
    with pytest.raises(ConfigError, match=r"eegd.toml: .*800 samples at 8000 SPS"):
        with_board(config, {"rate": "8000"})
    with pytest.raises(ConfigError, match="IEC 60601-1"):
        with_board(DEFAULT, {"lead_off_current_na": "6000"})


def test_channel_command_changes_one_channel() -> None:
    config = with_channel(DEFAULT, "O1", {"gain": "12", "bad": "yes", "on": "off"})
    channels = {channel.label: channel for channel in config.montage.channels}
    assert (channels["O1"].gain, channels["O1"].bad, channels["O1"].on) == (12, True, False)
    assert classify_changes(DEFAULT, config) == (
        ["montage.channel.O1.bad"],
        ["montage.channel.O1.gain", "montage.channel.O1.on"],
        [],
    )
    assert with_channel(config, "O1", {"gain": 24, "bad": False, "on": True}) == DEFAULT


def test_channel_command_renames_the_electrode_with_the_channel() -> None:
    config = with_channel(DEFAULT, "O1", {"label": "Oz"})
    assert (config.montage.channels[6].label, config.montage.channels[6].p) == ("Oz", "Oz")
    assert classify_changes(DEFAULT, config) == (["montage.channel.O1.label", "montage.channel.O1.p"], [], [])


def test_channel_command_refuses_as_the_file_does() -> None:
    cases = {
        ("O1", "gain", "13"): "[montage.channel O1] gain = 13: ADS1299 offers 1, 2, 4, 6, 8, 12 or 24",
        ("O1", "gian", "12"): '[montage.channel O1] gian = "12": unknown key; did you mean gain?',
        ("o1", "gain", "12"): "[montage]: no channel 'o1'; did you mean O1?",
        ("O1", "label", "O2"): "label",
    }
    for (label, name, word), message in cases.items():
        with pytest.raises(ConfigError, match=re.escape(message)):
            with_channel(DEFAULT, label, {name: word})


def test_marker_lines_and_trigger_words_need_a_restart_and_a_reload_leaves_them_as_they_are() -> None:
    old = parse('[[marker]]\nname = "button"\nline = "GPIO20"\n')
    new = parse(
        '[board]\nrate_sps = 500\n[[marker]]\nname = "button"\nline = "GPIO21"\n'
        '[[marker]]\nname = "door"\nline = "GPIO22"\n'
        '[trigger]\nlines = ["GPIO5"]\n[sim]\ntriggers = "demo"\n'
    )
    live, reconfigure, restart = classify_changes(old, new)
    assert (live, reconfigure) == ([], ["board.rate_sps"])
    assert set(restart) == {"marker.button", "marker.door", "trigger.lines", "sim.triggers"}
    kept = _without(new, old, restart)
    assert (kept.markers, kept.trigger, kept.sim) == (old.markers, old.trigger, old.sim)
    assert kept.board.rate_sps == 500
