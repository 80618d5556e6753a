"""Command lines, exit codes and pictures that need no daemon."""

from __future__ import annotations

import argparse
import builtins
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eegd.cli import eegctl
from eegd.cli import eegd as eegd_cli
from eegd.cli.change import value_of_key
from eegd.cli.common import MissingExtra, Stopper, need_rich
from eegd.cli.follow import Sequence, event_text
from eegd.cli.mark import run_mark
from eegd.cli.plugin import run_plugin
from eegd.cli.screen import band_level, layout_of
from eegd.cli.tables import status_view
from eegd.cli.tail import Line
from eegd.cli.view import BandPowers
from eegd.config import load_config, parse_config
from eegd.errors import EegdError
from eegd.frame import StreamInfo
from eegd.status import raw_description

STATUS: dict[str, Any] = {
    "pid": 4711,
    "uptime_s": 12.0,
    "runtime_dir": "/run/eegd",
    "board": "sim: ADS1299",
    "clock": "real",
    "flags": ["simulated"],
    "n_channels": 8,
    "frame_samples": 4,
    "epochs": 2,
    "rate": {
        "nominal_sps": 1000,
        "effective_sps": 1000.0012,
        "ppm": 1.2,
        "jitter_rms_us": 3.4,
        "late_peak_us": 80.0,
    },
    "samples": 5_400_000,
    "losses": {"missed": 0, "bad": 2, "late": 0, "overrun": 0},
    "bad_by_cause": {"status": 2, "all_00": 0},
    "without_data_ns": 80_000_000,
    "recovery": {"recovering": False, "text": "", "attempts": 0, "since_s": None, "recoveries": 1},
    "channels": {"Oz": ["railed"], "C3": ["flat", "electrode off"]},
    "stream": {
        "state": "running",
        "frames": 1_350_000,
        "pool": {
            "slabs": 50_000,
            "free": 49_998,
            "in_use": 2,
            "peak_in_use": 14,
            "promised": 250,
            "misses": 0,
            "allocations": 1_350_000,
            "bytes": 32_000_000,
            "locked": True,
        },
        "readers": [
            {
                "name": "spectra",
                "pid": 99,
                "state": "active",
                "policy": "queue",
                "lane": "direct",
                "depth": 250,
                "queued": 3,
                "held": 1,
                "sent": 1000,
                "missed": 7,
                "lag_frames": 3,
            }
        ],
    },
    "plugins": [{"name": "bandpower", "state": "running", "pid": 100, "restarts": 0, "last_error": "division by zero"}],
    "warnings": ["slabs could not be locked"],
}


def render(renderable: object, width: int) -> str:
    rich_console = pytest.importorskip("rich.console")
    console = rich_console.Console(width=width, color_system=None, file=io.StringIO())
    console.print(renderable)
    return str(console.file.getvalue())


# ---- command lines ----


def test_every_command_has_a_parser_that_can_be_built_for_completion() -> None:
    def commands(parser: argparse.ArgumentParser) -> set[str]:
        actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        return set(actions[0].choices)

    assert commands(eegd_cli.build_parser()) == {"run", "check-config", "boards", "plugin", "demo"}
    wanted = {"status", "view", "tail", "events", "board", "channel", "reload", "stop", "streams", "info"}
    wanted |= {"doctor", "check", "mark"}
    wanted |= {"plugins", "help", "plugin", "set", "get", "completion"}
    assert commands(eegctl.build_parser()) == wanted


@pytest.mark.parametrize("where", [["--runtime-dir", "/d", "status"], ["status", "--runtime-dir", "/d"]])
def test_the_runtime_directory_may_stand_before_or_after_the_command(where: list[str]) -> None:
    assert eegctl.build_parser().parse_args(where).runtime_dir == "/d"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "--seconds", "abc"], "argument --seconds: 'abc': not a number"),
        (["check", "--seconds", "1e9"], "argument --seconds: 1e9: 2 to 600 s"),
        (["check", "--max-mains-uv", "x"], "argument --max-mains-uv: 'x': not a number"),
        (["tail", "--every", "often"], "argument --every: 'often': not a number"),
        (["tail", "--frames", "2.5"], "argument --frames: '2.5': not a whole number"),
        (["doctor", "--frames", "many"], "argument --frames: 'many': not a whole number"),
        (["status", "--watch", "0"], "argument --watch: 0: more than 0 s"),
        (["run", "--wait-readers", "x"], "argument --wait-readers: 'x': not a whole number"),
    ],
)
def test_a_wrong_number_is_told_without_the_names_of_functions(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        (eegd_cli if words[0] == "run" else eegctl).build_parser().parse_args(words)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_an_interrupted_doctor_says_so_with_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eegd.doctor.examine.examine", interrupted)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    args = eegctl.build_parser().parse_args(["doctor", "--simulate", "--json"])
    assert args.function(args) == 130
    assert "interrupted" in capsys.readouterr().err


def overrides(*words: str) -> dict[str, object]:
    return eegd_cli._overrides(eegd_cli.build_parser().parse_args(["run", *words]))


def test_run_turns_its_options_into_keys_of_the_configuration() -> None:
    assert overrides() == {}
    assert overrides("--simulate") == {"board.kind": "sim"}
    assert overrides("--replay", "/a.bdf", "--fast") == {
        "board.kind": "sim",
        "replay.file": "/a.bdf",
        "sim.clock": "virtual",
    }
    assert overrides("--runtime-dir", "/d") == {"daemon.runtime_dir": "/d"}


def test_set_takes_toml_and_plain_words() -> None:
    given = overrides(
        *("--set", "board.rate_sps=500"),
        *("-s", 'plugins.run=["bandpower"]'),
        *("-s", "daemon.log_level=debug"),
    )
    config = load_config(None, given)
    assert config.board.rate_sps == 500
    assert config.plugins.run == ("bandpower",)
    assert config.daemon.log_level == "debug"


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--simulate", "--replay", "x"],
        ["run", "--set", "rate"],
        ["run", "--wait-readers", "-1"],
        ["demo", "--seconds", "0"],
        ["fly"],
        [],
    ],
)
def test_wrong_usage_of_eegd_exits_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        eegd_cli.main(words)
    assert exit_.value.code == 2


@pytest.mark.parametrize(
    "words", [["board"], ["board", "rate"], ["tail", "--frames", "0"], ["status", "--watch", "-1"]]
)
def test_wrong_usage_of_eegctl_exits_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        eegctl.main(words)
    assert exit_.value.code == 2


def test_the_help_of_plugin_add_shows_each_special_word_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        eegctl.main(["plugin", "add", "--help"])
    shown = capsys.readouterr().out
    usage, _, examples = shown.partition("examples:")
    for word in ("as=", "input=", "chain="):
        assert word in usage.splitlines()[0]
        assert re.search(rf"eegctl plugin add .*{word}\w", examples)


@pytest.mark.parametrize("words", [["plugin", "add", "filter"], ["plugin", "remove", "filter"]])
def test_the_runtime_directory_may_come_after_the_action(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert eegctl.main([*words, "--runtime-dir", str(tmp_path)]) == 3
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["statu"], "invalid choice: 'statu' (did you mean status?) (choose from"),
        (["plugin", "ad", "filter"], "invalid choice: 'ad' (did you mean add?) (choose from"),
        ([], "arguments are required: COMMAND (one of status, view, tail, "),
        (["plugin"], "arguments are required: ACTION (one of add, remove, restart)"),
        (["plugin", "add"], "arguments are required: PLUGIN\n"),
        (["plugin", "add", "x", "--plugin-dir", "."], "--plugin-dir (an option of eegctl plugins, eegctl help) ."),
        (["tail", "--channels", ","], "argument --channels: ',': labels with commas between them, such as O1,O2"),
        (["channel", "O1", "gain", "12"], "'gain': NAME=VALUE in one word, such as gain=12"),
        (["board", "rate", "500"], "'rate': NAME=VALUE in one word, such as rate=500"),
        (["tail", "--chanels", "O1"], "unrecognized arguments: --chanels (did you mean --channels?)"),
        (["tail", "--labels", "O1"], "unrecognized arguments: --labels (did you mean --channels?)"),
        (["set", "filter", "--high", "45"], "unrecognized arguments: --high (a parameter has no dashes: high=…)"),
        (["plugin", "add", "filter", "--high", "45"], ": --high (a parameter has no dashes: high=…) 45"),
        (["completion", "bsh"], "argument shell: invalid choice: 'bsh' (did you mean bash?) (choose from"),
    ],
)
def test_a_wrong_command_choice_or_option_is_answered_with_the_nearest(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        eegctl.main(words)
    assert said in capsys.readouterr().err


def test_help_knows_actions_and_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for words, begins in ((["help"], "usage: eegctl [-h]"), (["help", "plugin", "add"], "usage: eegctl plugin add")):
        assert eegctl.main(words) == 0
        assert capsys.readouterr().out.startswith(begins)
    assert eegctl.main(["help", "plugin", "ad"]) == 1
    assert "no plugin or command 'plugin ad' (did you mean add?); commands: add, remove" in capsys.readouterr().err
    assert eegctl.main(["help", "set", "filter"]) == 1
    assert "error: 'set' has no actions; its help: eegctl help set" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["as=", "input:", "chain="])
def test_a_special_word_without_a_value_is_refused_with_what_it_is_for(word: str) -> None:
    args = eegctl.build_parser().parse_args(["plugin", "add", "filter", word])
    with pytest.raises(ValueError, match=f"^{word} is without a value; {word[:-1]}=[A-Z]+"):
        run_plugin(None, args)  # type: ignore[arg-type]


class Asked:
    """A client whose daemon has these answers."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.marked: list[str] = []

    def ask(self, operation: str, **_: object) -> Any:
        return self.answers[operation]

    def mark(self, label: str, **_: object) -> dict[str, Any]:
        self.marked.append(label)
        return {"number": 1, "label": label, "sample_index": None, "uncertainty_ns": None, "no_sample": "none yet"}


def test_a_plugin_that_died_as_it_started_is_not_well_while_it_starts_again() -> None:
    row = {"name": "bad", "state": "starting", "restarts": 1, "last_error": "NameError: nosuch", "input": "raw"}
    client: Any = Asked(plugin_restart={"set": {}}, status={"status": {"plugins": [row]}})
    with pytest.raises(EegdError, match=r"^bad: has died, and is started again: NameError: nosuch$"):
        run_plugin(client, eegctl.build_parser().parse_args(["plugin", "restart", "bad"]))
    row |= {"state": "running"}
    assert run_plugin(client, eegctl.build_parser().parse_args(["plugin", "restart", "bad"])) == 0


def test_words_of_a_mark_make_one_text_and_its_stream_must_be_a_raw_one() -> None:
    client: Any = Asked(info={"streams": [{"name": "raw"}]})
    assert run_mark(client, eegctl.build_parser().parse_args(["mark", "eyes", "closed", "--value", "2"])) == 0
    assert client.marked == ["eyes closed"]
    with pytest.raises(EegdError, match=r"^'rw' is no raw stream \(did you mean raw\?\)"):
        run_mark(client, eegctl.build_parser().parse_args(["mark", "x", "--stream", "rw"]))


def test_a_kind_of_which_there_is_no_event_is_answered_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    client: Any = Asked(recent_events={"events": [_event(1)]})
    args = eegctl.build_parser().parse_args(["events", "--kind", "overun"])
    assert args.function(client, args) == 0
    assert "no event of kind 'overun' (did you mean overrun?); lately there were: epoch" in capsys.readouterr().err


def test_a_plugin_by_hand_where_no_daemon_was_is_refused_in_one_line(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "eegd.runner", "filter", "--runtime-dir", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"ERROR: {tmp_path / 'none'}: no such directory, so no daemon runs there; start one with: "
        "eegd run --runtime-dir D\n"
    )


# ---- without a daemon ----


def test_check_config_prints_what_reads_back_to_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert eegd_cli.main(["check-config"]) == 0
    assert parse_config(capsys.readouterr().out, "printed") == load_config(None)


def test_check_config_names_every_error_and_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text('[board]\nrate_sps = 300\ncolour = "red"\n')
    assert eegd_cli.main(["check-config", str(file)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all(line.startswith(f"eegd: error: {file}: [board]") for line in said)


def test_check_config_refuses_what_a_start_would_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "eegd.toml"
    file.write_text("[board]\nrate_sps = 16000\nsclk_hz = 1000000\n")
    assert eegd_cli.main(["check-config", str(file)]) == 2
    assert "sclk_hz = 1000000: 216 bits take 216.0 µs" in capsys.readouterr().err


def test_run_refuses_a_bad_key_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert eegd_cli.main(["run", "--simulate", "--set", "board.rate_sps=300"]) == 2
    assert "command line: [board] rate_sps = 300: ADS1299 offers 250" in capsys.readouterr().err


def test_fast_is_refused_on_a_real_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "linux.toml"
    file.write_text('[board]\nkind = "linux"\ndrdy_line = "GPIO26"\nspi = ["/dev/spidev0.0"]\n')
    assert eegd_cli.main(["run", "--config", str(file), "--fast"]) == 2
    assert "--fast: only the emulated chip" in capsys.readouterr().err


def test_eegctl_without_a_daemon_exits_with_3_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert eegctl.main(["--runtime-dir", str(tmp_path), "status"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("eegctl: error: ")
    assert said.count("\n") == 1


@pytest.fixture
def no_rich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import importlib

    def refuse(name: str, package: str | None = None) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    yield


@pytest.mark.usefixtures("no_rich")
def test_without_rich_the_remedy_is_named() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'eegd\[tools\]'"):
        need_rich("eegctl status")


@pytest.mark.parametrize("module", ["eegd", "eegctl", "tail", "follow", "change", "view", "demo"])
def test_only_tables_and_the_screen_import_rich(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def watched(name: str, *rest: Any, **more: Any) -> Any:
        assert name.partition(".")[0] != "rich"
        return real(name, *rest, **more)

    import importlib
    import sys

    full = f"eegd.cli.{module}"
    monkeypatch.delitem(sys.modules, full, raising=False)
    monkeypatch.setattr(builtins, "__import__", watched)
    importlib.import_module(full)


# ---- pictures ----


@pytest.mark.parametrize("width", [60, 80, 120])
def test_status_fits_the_terminal(width: int) -> None:
    text = render(status_view(STATUS), width)
    assert max(map(len, text.splitlines())) <= width


def test_a_narrow_terminal_loses_columns_and_no_digits() -> None:
    text = render(status_view(STATUS), 60)
    assert "promised" not in text
    assert all(number in text for number in ("50 000", "49 998", "3 · 12 ms"))
    assert "…" not in text


def test_status_says_rate_losses_pool_readers_and_warnings() -> None:
    text = render(status_view(STATUS), 120)
    for words in (
        "SIMULATED – not a person",
        "1000 SPS nominal, 1000.0012 effective (+1.2 ppm), jitter 3.4 µs",
        "5 400 000 in all 2 epochs, 2 lost: missed 0, bad 2, late 0, overrun 0",
        "bad conversions by cause: status 2",
        "2, 80 ms without data between them",
        "Oz railed; C3 flat and electrode off",
        "49 998",
        "32.0 MB",
        "3 · 12 ms",
        "slabs could not be locked",
        "bandpower: division by zero",
    ):
        assert words in text


def test_status_says_how_far_a_recovery_is() -> None:
    words = "stalled: attempt 3, chip 1 is no ADS1299: ID read FFh, since 12 s"
    recovery = {"recovering": True, "text": words, "attempts": 3, "since_s": 12.1, "recoveries": 0}
    assert words in render(status_view({**STATUS, "recovery": recovery}), 120)
    assert "recovering" not in render(status_view(STATUS), 120)


def test_status_tells_counts_of_this_epoch_from_those_of_all() -> None:
    labels = ("in this stream epoch", "in all 2 epochs", "pool, counts of this", "readers of raw, counts of this")
    several = render(status_view(STATUS), 120)
    assert "1 350 000 of 4 samples, 4 ms each in this stream epoch; running" in several
    assert all(label in several for label in labels)
    first = render(status_view({**STATUS, "epochs": 1}), 120)
    assert not any(label in first for label in labels)


def test_status_lists_detectors_with_what_they_told_and_dropped() -> None:
    detectors = [
        {"name": "blink", "kind": "change", "channel": "Fp1", "posted": 1234, "dropped": 56, "debug": False},
        {
            "name": "button",
            "kind": "chip marker",
            "chip": 2,
            "pins": ["GPIO1"],
            "posted": 7,
            "dropped": 0,
            "debug": True,
        },
    ]
    text = render(status_view({**STATUS, "detectors": detectors}), 100)
    assert "detectors of raw" in text
    assert re.search(r"blink +change +Fp1 +1 234 +56", text)
    assert re.search(r"button +chip marker +chip 2: GPIO1 +7 +0 +on", text)
    assert "detectors" not in render(status_view(STATUS), 100)


def test_status_between_two_epochs_has_no_pool_and_no_readers() -> None:
    status = {**STATUS, "rate": {"nominal_sps": 1000}, "stream": {"state": "between epochs", "readers": []}}
    text = render(status_view(status), 100)
    assert "1000 SPS nominal, not measured yet" in text
    assert "between epochs" in text


@pytest.mark.parametrize("n_channels", [1, 8, 32])
@pytest.mark.parametrize(("width", "height"), [(30, 6), (80, 24), (120, 40), (300, 100)])
def test_the_view_shares_out_any_terminal(n_channels: int, width: int, height: int) -> None:
    layout = layout_of(width, height, n_channels, 5, 4)
    assert 1 <= layout.n_channels <= n_channels
    assert layout.n_channels * layout.rows <= max(1, height - 6)
    used = layout.label + layout.trace + 1 + layout.scale + layout.rms + 5 * layout.band
    assert used == width


def test_band_bars_are_logarithmic_for_powers_and_linear_for_shares() -> None:
    assert band_level(10.0, "µV²") == pytest.approx(0.5)
    assert band_level(0.0, "µV²") == 0
    assert band_level(1e9, "µV²") == 1
    assert band_level(0.25, "1") == 0.25


def _info(**changes: object) -> StreamInfo:
    config = load_config(None)
    return StreamInfo.from_description({**raw_description(config, 1), "stream_epoch": 1, **changes})


def test_band_powers_are_found_by_channel_and_band() -> None:
    rows = [{"label": "Oz.alpha", "unit": "µV²"}, {"label": "x", "unit": "µV²", "channel": "Pz", "band": "beta"}]
    powers = BandPowers()
    powers.take(_info(kind="features", channels=rows), np.array([1.5, 2.5], np.float32))
    assert powers.values == {"Oz": {"alpha": 1.5}, "Pz": {"beta": 2.5}}
    assert powers.bands == ("alpha", "beta")
    assert powers.units == "µV²"


class FakeFrame:
    """As much of a frame as a line takes."""

    sample_index = 0
    wall_time_ns = 0.0

    def __init__(self, data: np.ndarray) -> None:
        self.data = data
        self.n_samples = data.shape[1]


def test_a_line_of_numbers_shows_the_last_sample_of_the_channels_asked_for() -> None:
    line = Line(_info(), ["O1", "Fp1"], numbers=True)
    line.add(FakeFrame(np.arange(16, dtype=np.float32).reshape(8, 2)))  # type: ignore[arg-type]
    assert line.take(None).split()[1:] == ["O1", "13.0", "µV", "Fp1", "1.00", "µV"]


def test_a_line_of_features_shows_their_latest_values() -> None:
    info = _info(kind="features", channels=[{"label": "O1.alpha", "unit": "µV²"}])
    line = Line(info, None, numbers=False)
    line.add(FakeFrame(np.array([[5.0, 7.0]], np.float32)))  # type: ignore[arg-type]
    assert line.take(None).split()[-2:] == ["7.00", "µV²"]


def test_a_line_is_cut_at_whole_channels_and_says_how_many_are_missing() -> None:
    line = Line(_info(), None, numbers=False)
    line.add(FakeFrame(np.zeros((8, 4), np.float32)))  # type: ignore[arg-type]
    text = line.take(80)
    assert len(text) <= 80
    assert text.endswith("… 6 more")


def test_a_channel_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(KeyError, match="no channel 'Xx' in 'raw'; there are Fp1, Fp2"):
        Line(_info(), ["Xx"], numbers=True)


def test_old_and_new_values_of_a_changed_key_are_found_in_the_description() -> None:
    description = raw_description(load_config(None), 1)
    assert value_of_key(description, "board.rate_sps") == 250
    assert value_of_key(description, "montage.channel.O1.gain") == 24
    assert value_of_key(description, "stream.frame_ms") == "1 samples"
    assert value_of_key(description, "daemon.log_level") is None


# ---- events ----


def _event(number: int, time_ns: int = 0) -> dict[str, Any]:
    return {"number": number, "time_ns": time_ns, "kind": "epoch", "label": "x", "wall_time_ns": 0}


def test_an_event_is_written_as_one_line_with_its_facts() -> None:
    event = json.loads(
        '{"number": 3, "kind": "overrun", "label": "2 samples lost: overrun", "value": 17.5, "sample_index": 123456,'
        '"fraction": 0.0, "time_ns": 5, "wall_time_ns": 500000000, "source": "capture", "uncertainty_ns": null,'
        '"waited_ns": 80000000}'
    )
    text = event_text(event)
    assert "capture: 2 samples lost: overrun = 17.5  sample 123 456  (waited 80 ms)" in text


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"kind": "parameter", "label": "armed false → true", "value": 1.0}, "trigger: armed false → true"),
        ({"kind": "parameter", "label": "low 1 → 0.123457", "value": 0.1234567}, "trigger: low 1 → 0.123457"),
        ({"kind": "marker", "label": "tone", "value": 1.0}, "trigger: tone = 1"),
        ({"kind": "marker", "label": "tone 12", "value": 1.0}, "trigger: tone 12 = 1"),
        ({"kind": "marker", "label": "tone 12", "value": 12}, "trigger: tone 12"),
        ({"kind": "marker", "label": "tone", "value": float("inf")}, "trigger: tone = –"),
        ({"kind": "detection", "label": "O1", "value": 81.3412}, "trigger: O1 = 81.3"),
        ({"kind": "plugin started", "label": "trigger"}, "trigger"),
        ({"kind": "plugin added", "label": "trigger, reads raw"}, "trigger, reads raw"),
        ({"kind": "plugin added", "label": "trigger2, reads raw"}, "trigger: trigger2, reads raw"),
    ],
)
def test_an_event_says_its_value_and_its_source_only_where_the_label_does_not(facts: dict[str, Any], said: str) -> None:
    text = event_text({"number": 1, "wall_time_ns": 0, "time_ns": 0, "source": "trigger", **facts})
    assert text.partition("  ")[2].removeprefix(f"{facts['kind']:<15}  ") == said


def test_events_are_shown_once_and_in_order() -> None:
    seen = Sequence()
    assert seen.fresh([_event(4), _event(5)]) == [_event(4), _event(5)]
    assert seen.take(_event(6))
    assert not seen.take(_event(6))
    assert not seen.take(_event(8))
    assert seen.fresh([_event(n) for n in range(4, 9)]) == [_event(7), _event(8)]


def test_events_of_a_daemon_that_was_started_anew_are_all_shown() -> None:
    seen = Sequence()
    seen.fresh([_event(0), _event(1)])
    again = [_event(0, 9), _event(1, 9), _event(2, 9)]
    assert seen.fresh(again) == again


def test_a_signal_ends_a_wait_at_once() -> None:
    import os
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with Stopper() as stopper:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopper.wait(60.0)
    assert signal.getsignal(signal.SIGTERM) == before


RING = {"posted": 12, "taken": 12, "dropped": 0, "depth": 0, "peak": 3, "capacity": 1024, "healthy": 1}


def test_status_shows_what_carries_events_and_which_of_it_has_dropped_some() -> None:
    stream = {**STATUS, "name": "raw", "event_rings": {"faults": RING, "markers": {**RING, "dropped": 7, "healthy": 0}}}
    text = render(status_view({**STATUS, "streams": [stream], "published": RING, "marker_lines": None}), 120)
    rows = {line.split("  ")[0].strip(): line for line in text.splitlines()}
    assert "healthy" in rows["faults"] and "1 024" in rows["faults"]
    assert "dropped some" in rows["markers"] and "7" in rows["markers"]
    assert "healthy" in rows["published"] and "marker lines" not in text
