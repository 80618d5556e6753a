"""What `eegctl plugins` and `eegctl help` tell, without a daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eegd.cli import eegctl

GOOD = '''"""Scales."""
from eegd.plugin import Needs, Param, Plugin

class Scale(Plugin):
    """Times a factor; "quoted" `text` $HOME."""

    positional = ("factor",)
    needs = Needs(rate_sps=(250, 4000))
    factor = Param(kind="float", min=0, max=9, unit="x", doc="How much")
    mode = Param("soft", choices=("soft", "hard"), doc="How")
    note = Param("", max=40, doc="What it says")

    def process(self, frame, out):
        out[:] = frame.data
'''


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    (tmp_path / "scale.py").write_text(GOOD)
    (tmp_path / "broken.py").write_text("raise RuntimeError('half written')\n")
    return ["--runtime-dir", str(tmp_path / "none"), "--plugin-dir", str(tmp_path)]


def test_a_faulty_file_is_listed_with_its_reason_and_the_list_goes_on(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert eegctl.main(["plugins", *place, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in told["plugins"]}
    assert told["instances"] == []
    assert told["daemon"] is False and "half written" in rows["broken"]["error"]
    assert rows["scale"]["origin"] == "directory" and rows["bandpower"]["kind"] == "features"
    assert all(row["state"] is None for row in rows.values())
    assert eegctl.main(["plugins", *place]) == 0
    text = capsys.readouterr().out
    assert "half written" in text and "parameters: factor, mode" in text


def test_help_tells_order_range_unit_default_and_needs_of_a_plugin(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert eegctl.main(["help", "scale", *place]) == 0
    text = capsys.readouterr().out
    assert "usage: eegctl plugin add scale FACTOR [mode=…]" in text
    assert "note  text: a text of up to 40 characters, none of them a control character; default empty" in text
    assert "required, value 1 without a name" in text and "default soft" in text
    assert "250 to 4000 SPS" in text
    assert eegctl.main(["help", "scale", *place, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["position"]) for row in facts["parameters"]] == [
        ("factor", 1),
        ("mode", None),
        ("note", None),
    ]
    assert [facts["parameters"][2][key] for key in ("kind", "default", "max")] == ["text", "", 40]
    assert facts["needs"] == {"rate_sps": [250, 4000], "n_channels": [1, None], "kinds": ["raw", "filtered"]}


def test_help_of_a_command_is_its_own_and_of_nothing_names_what_there_is(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert eegctl.main(["help", "status", *place]) == 0
    assert "--watch" in capsys.readouterr().out
    assert eegctl.main(["help", "nonsense", *place]) == 1
    told = capsys.readouterr().err
    assert "'nonsense'" in told and "scale" in told and "status" in told


def test_help_of_what_is_nowhere_names_the_option_for_a_directory_of_ones_own(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert eegctl.main(["help", "nonsense", *place[:2]]) == 1
    assert capsys.readouterr().err.endswith("a plugin in a directory of yours: --plugin-dir\n")
