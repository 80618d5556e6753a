"""Candidates for the word at the cursor, from parsers, plugin classes and configuration keys."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from eegd.cli import complete, eegctl, eegd, sources
from eegd.cli.sources import Candidate
from eegd.plugin_source import find_plugins


def offered(line: str) -> list[str]:
    """What is offered at the end of a command line."""
    command, *words = line.split(" ")
    parser = {"eegctl": eegctl, "eegd": eegd}[command].build_parser()
    return [candidate.text for candidate in complete.candidates(parser, words[:-1], words[-1])]


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                found[sub.prog] = sub
                found |= subparsers(sub)
                assert sub.prog.endswith(name)
    return found


def test_commands_are_offered_as_the_parser_has_them() -> None:
    assert offered("eegctl s") == ["status", "set", "stop", "streams"]
    assert offered("eegctl plugin ") == ["add", "remove", "restart"]
    assert "check-config" in offered("eegd ")


def test_after_a_value_by_place_only_what_is_not_given_yet_is_offered() -> None:
    whole = offered("eegctl plugin add filter ")
    assert whole[:2] == ["low=", "high="] and whole[-3:] == ["input=", "as=", "chain="]
    assert offered("eegctl plugin add filter 1 ") == whole[1:]
    assert offered("eegctl plugin add filter high=40 ")[:2] == ["low=", "notch="]
    assert offered("eegctl plugin add filter high:40 1 ")[0] == "notch="
    assert offered("eegctl plugin add filter low=1 h") == ["high="]
    assert offered("eegd plugin filter 1 h") == ["high="]
    assert "as=" not in offered("eegd plugin filter ")


def test_a_chain_is_offered_plugins_and_then_the_parameters_of_its_stages() -> None:
    plugins = sorted(find_plugins())
    assert offered("eegctl plugin add clean chain=") == [f"chain={name}" for name in plugins]
    assert offered("eegctl plugin add clean chain=filter,re") == ["chain=filter,reference"]
    assert "chain=filter,filter" not in offered("eegctl plugin add clean chain=filter,")
    assert offered("eegctl plugin add clean chain=filter,mains=fi") == ["chain=filter,mains=filter"]
    after = offered("eegctl plugin add clean chain=filter,mains=filter filter.low=1 ")
    assert after[:2] == ["filter.high=", "filter.notch="] and "mains.low=" in after
    assert "filter.low=" not in after and "chain=" not in after and after[-2:] == ["input=", "as="]
    assert offered("eegctl plugin add clean chain=filter filter.notch=") == [
        f"filter.notch={choice}" for choice in ("off", "50", "60")
    ]
    assert offered("eegd plugin clean --chain filter,ref") == ["filter,reference"]
    assert offered("eegd plugin clean --chain filter filter.l") == ["filter.low="]


def test_a_plugin_is_never_offered_its_own_stream_as_input(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [Candidate(name, "stream") for name in ("filter", "raw", "slow")]
    monkeypatch.setattr(sources, "streams", lambda given, current: there)
    assert offered("eegctl plugin add filter input=") == ["input=raw", "input=slow"]
    assert offered("eegctl plugin add filter as=slow input=") == ["input=filter", "input=raw"]
    assert offered("eegd plugin filter --input ") == ["raw", "slow"]


def test_plugins_that_others_run_are_offered_to_set_and_get_and_not_to_remove(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = {"plugins": [{"name": "filter", "state": "running"}], "streams": [{"name": "raw"}, {"name": "raw2"}]}
    there = [Candidate(name, "stream") for name in ("filter", "mine", "raw", "raw2")]
    monkeypatch.setattr(sources, "streams", lambda given, current: there)
    monkeypatch.setattr(sources, "_asked", lambda given, operation: {"status": status})
    assert offered("eegctl set ") == offered("eegctl get ") == ["filter", "mine"]
    assert offered("eegctl plugin remove ") == ["filter"]


def test_choices_of_a_parameter_come_after_its_sign() -> None:
    assert offered("eegctl plugin add filter notch=") == ["notch=off", "notch=50", "notch=60"]
    assert offered("eegctl plugin add filter notch:5") == ["notch:50"]
    assert offered("eegctl plugin add bandpower relative=") == ["relative=true", "relative=false"]
    assert offered("eegctl plugin add filter low=") == []


def test_a_parameter_shows_type_range_unit_default_and_sentence() -> None:
    parser = eegctl.build_parser()
    [low] = complete.candidates(parser, ["plugin", "add", "filter"], "low")
    assert low == Candidate("low=", "float, 0 to 8000 Hz, default 1: Lower corner of the band, -3 dB; 0: no high pass")


def test_a_text_shows_its_type_and_length_and_may_hold_signs_where_its_place_is(tmp_path: Path) -> None:
    (tmp_path / "noted.py").write_text(
        "from eegd.plugin import Param, Plugin\n"
        "class Noted(Plugin):\n"
        "    positional = ('note', 'gain')\n"
        "    note = Param('', max=30, doc='What it says')\n"
        "    gain = Param(1.0)\n"
        "    def process(self, frame, out):\n"
        "        out[:] = frame.data\n"
    )
    parser, words = eegd.build_parser(), ["plugin", "--plugin-dir", str(tmp_path), "noted"]
    [note] = complete.candidates(parser, words, "note")
    assert note == Candidate("note=", "text, up to 30 characters, default empty: What it says")
    for given, left in (("at 12:30 = x", "gain="), ("gain=2", "note=")):
        first, *_ = complete.candidates(parser, [*words, given], "")
        assert first.text == left
    assert complete.candidates(parser, words, "note=") == []


def test_keys_of_the_configuration_and_their_values_are_offered() -> None:
    assert offered("eegctl board rat") == ["rate="]
    assert offered("eegctl board rate=") == [f"rate={sps}" for sps in (250, 500, 1000, 2000, 4000, 8000, 16000)]
    assert offered("eegctl board rate=500 rat") == []
    assert offered("eegctl channel Oz gain=1") == ["gain=1", "gain=12"]
    assert "kind=" not in offered("eegctl board ")  # it can only be changed in the file


def test_options_are_offered_once_and_their_choices_too() -> None:
    assert offered("eegctl tail --num") == ["--numbers"]
    assert offered("eegctl tail --numbers --num") == []
    assert offered("eegd run --set a.b=1 --se") == ["--set"]  # may be repeated
    assert offered("eegd run --board piee") == offered("eegd run --board=piee".replace("=", " ")) != []
    assert offered("eegd run --board=piee") == ["--board=pieeg", "--board=pieeg-16"]
    assert offered("eegctl --runtime-dir /tmp sta") == ["status"]


def test_plugins_and_boards_are_offered_by_name() -> None:
    assert offered("eegctl help ") == sorted(find_plugins())
    assert offered("eegd boards dais") == ["daisy"]


@pytest.mark.parametrize("line", ["eegctl nope ", "eegctl status extra ", "eegctl set ", "eegctl set nope x", "eegd "])
def test_a_line_that_leads_nowhere_or_needs_a_daemon_offers_nothing_and_does_not_fail(
    line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("EEGD_RUNTIME_DIR", str(tmp_path))
    assert line == "eegd " or offered(line) == []


def test_every_entry_names_an_argument_that_a_parser_has() -> None:
    from eegd.runner import build_parser

    parsers = subparsers(eegctl.build_parser()) | subparsers(eegd.build_parser()) | {"eegd plugin": build_parser()}
    for prog, dest in complete.VALUES:
        assert dest in {action.dest for action in parsers[prog]._actions}, (prog, dest)


def test_what_goes_wrong_is_not_said_at_a_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    assert eegctl.main(["complete", "eegctl", "--", "plugin", "add", "no such", ""]) == 0
    assert eegctl.main(["complete", "nope", "--", ""]) == 0
    assert eegctl.main(["complete"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and "Traceback" not in captured.out


def test_what_a_plugin_prints_as_it_is_loaded_is_no_candidate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "print('welcome')\nfrom eegd.plugin import Plugin\nclass Loud(Plugin):\n    '''Prints.'''\n"
    text += "    def process(self, frame, out): ...\n"
    (tmp_path / "loud.py").write_text(text)
    assert complete.print_candidates("eegd", ["plugin", "--plugin-dir", str(tmp_path), ""]) == 0
    out = capsys.readouterr().out
    assert "loud\tPrints" in out and "welcome" not in out
