"""check-config: everything that a start would refuse, or would hold a plugin for, at once."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from eegd.cli import eegd as command
from eegd.config import examine_config
from eegd.start_check import check_start


def found(tmp_path: Path, text: str) -> list[str]:
    """What is wrong, without the file's name."""
    file = tmp_path / "lab.toml"
    file.write_text(text)
    config, problems = examine_config(file)
    check_start(config, problems)
    assert all(line.startswith(f"{file}: ") for line in problems.lines)
    return [line.removeprefix(f"{file}: ") for line in problems.lines]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[sim]\ntriggers = "dmo"', "[sim] triggers = 'dmo' (did you mean demo?): \"demo\", or a file of lines"),
        ('[replay]\nfile = "/no/such.bdf"', '[replay] file = "/no/such.bdf": No such file or directory'),
        ("[daemon]\ncpu = 1023", "[daemon] cpu = 1023: this computer has cores 0 to "),
        ('[daemon]\ngroup = "nosuch_"', '[daemon] group = "nosuch_": no such group on this computer; make it with'),
        (
            '[daemon]\nruntime_dir = "~/eegd"',
            '[daemon] runtime_dir = "~/eegd": a path from the root on, such as /run/eegd',
        ),
        ('[daemon]\nruntime_dir = "/dev/null"', '[daemon] runtime_dir = "/dev/null": not a directory'),
        (
            '[daemon]\nruntime_dir = "/dev/null/x"',
            '[daemon] runtime_dir = "/dev/null/x": Not a directory',
        ),
        (f'[daemon]\nruntime_dir = "/{"x" * 90}"', f'[daemon] runtime_dir = "/{"x" * 90}": too long for Unix sockets'),
        ("[board]\nrate_sps = 16000\nsclk_hz = 1000000", "[board] sclk_hz = 1000000: 216 bits take 216.0 µs"),
        (
            '[board]\nchips = ["ADS1299", "ADS1299", "ADS1299", "ADS1299"]\n[montage]\n'
            + "".join(f'[[montage.channel]]\nlabel = "C{n}"\ninput = {n}\n' for n in range(1, 33))
            + "[stream]\npool_mb = 0.25\nframe_ms = 1600.0",
            "[stream] pool_mb = 0.25: holds 4 frames of 32 channels × 400 samples; at least 1",
        ),
        (
            '[plugins]\nrun = ["filtr"]',
            "[plugins] run: no plugin 'filtr' (did you mean filter?); there are: bandpower, ",
        ),
        ('[plugins]\ndirs = "/lab"', '[plugins] dirs = "/lab": a list of paths, 64 at most'),
        ('[plugins]\nrun = ["raw"]', "[plugins] run: raw is the name of a raw stream"),
        ('[plugins]\nrun = ["eegd"]', "[plugins] run: eegd is the name of the daemon"),
        ('[plugins]\nrun=["a"]\n[plugins.a]\nplugin="filtr"', "[plugins.a] plugin = \"filtr\": no plugin 'filtr' (did"),
        (
            '[plugins]\nrun=["filter"]\n[plugins.filter]\nlowe=1',
            "[plugins.filter] lowe = 1: no parameter 'lowe' (did you",
        ),
        ('[plugins]\nrun=["filter"]\n[plugins.filter]\nlow=-1', "[plugins.filter] low = -1: a number from 0 to"),
        ('[plugins]\nrun=["filter"]\n[plugins.filter]\ninput=5', "[plugins.filter] input = 5: the name of a stream"),
        ('[plugins]\nrun=["filter"]\n[plugins.filter]\ninput="eog"', '[plugins.filter] input = "eog": its input'),
        (
            '[plugins]\nrun=["filter"]\n[plugins.filter]\ninput="filter"',
            '[plugins.filter] input = "filter": reads its own',
        ),
        ('[plugins]\nrun=["c"]\n[plugins.c]\nchain=[]', "[plugins.c] chain = []: a list of plugins"),
        ('[plugins]\nrun=["c"]\n[plugins.c]\nchain=["filtr"]', "[plugins.c] chain = [\"filtr\"]: no plugin 'filtr'"),
        (
            '[plugins]\nrun=["c"]\n[plugins.c]\nchain=["filter"]\n[plugins.c.filter]\nlow=-1',
            "[plugins.c] filter.low = -1: a number from 0",
        ),
        (
            '[plugins]\nrun=["reference"]\n[plugins.reference]\nto=["A1"]',
            '[plugins.reference] to = ["A1"]: no channel A1; raw has Fp1, ',
        ),
        (
            '[plugins]\nrun=["b", "p"]\n[plugins.p]\nplugin="bandpower"\n[plugins.b]\nplugin="filter"\ninput="p"',
            "[plugins.b] input = \"p\": it needs an input of kind raw or filtered, and 'p' is of kind features",
        ),
    ],
)
def test_what_a_start_would_refuse_is_refused_with_key_value_and_what_is_allowed(
    text: str, said: str, tmp_path: Path
) -> None:
    lines = found(tmp_path, text)
    assert len(lines) == 1
    assert lines[0].startswith(said)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        '[board]\nrate_sps = 300\ncolour = 1\n[sim]\ntriggers = "dmo"\n[daemon]\ncpu = 1023\n'
        '[plugins]\nrun = ["filtr", "filter", "a", "b"]\n[plugins.filter]\nlowe = 1\nhigh = -1\n'
        '[plugins.a]\nplugin = "template"\ninput = "b"\n[plugins.b]\nplugin = "template"\ninput = "a"\n',
    )
    assert [line.split(":")[0] for line in lines] == [
        "[board] rate_sps = 300",
        "[board] colour = 1",
        "[daemon] cpu = 1023",
        "[plugins] run",
        "[plugins.filter] lowe = 1",
        "[plugins.filter] high = -1",
        '[plugins.a] input = "b"',
        '[plugins.b] input = "a"',
    ]
    assert any("a reads b reads a" in line for line in lines)


def test_one_bad_value_hides_no_other_in_its_table_or_in_a_row_beside_it(tmp_path: Path) -> None:
    lines = found(
        tmp_path,
        '[plugins]\nrun = ["filter"]\n[plugins.filter]\nmemory_mb = "x"\nlow = "1 Hz"\nhigh = -1\n'
        '[[detector]]\nname = "a"\nchannel = "Fp9"\nthreshold_uv = 1\n'
        '[[detector]]\nname = "b"\nchannel = "Fp1"\nkind = "steam"\n',
    )
    assert [line.partition(":")[0] for line in lines] == [
        '[detector b] kind = "steam"',
        '[plugins.filter] memory_mb = "x"',
        '[detector a] channel = "Fp9"',
        "[plugins.filter] low = '1 Hz'",
        "[plugins.filter] high = -1",
    ]
    assert lines[0].endswith("allowed: change or stream; did you mean stream?")


def test_needs_are_checked_through_plugins_whose_rate_is_that_of_their_input(tmp_path: Path) -> None:
    (tmp_path / "fast.py").write_text(
        "from eegd.plugin import Needs, Plugin\n\nclass Fast(Plugin):\n"
        "    needs = Needs(rate_sps=(500, 4000), n_channels=(16, 32))\n"
        "    def process(self, frame, out):\n        out[:] = frame.data\n"
    )
    file = f'[plugins]\nrun = ["fast", "filter"]\ndirs = ["{tmp_path}"]\n[plugins.fast]\ninput = "filter"\n'
    (line,) = found(tmp_path, file)
    assert line == "[plugins.fast] input = \"filter\": it needs 500 to 4000 SPS, and 'filter' has 250"
    (line,) = found(tmp_path, file.replace('"filter"\n', '"raw"\n'))
    assert line.endswith("it needs 500 to 4000 SPS, and 'raw' has 250; 16 to 32 channels, and 'raw' has 8")


def test_tables_of_plugins_that_do_not_run_are_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lab.toml"
    file.write_text('[plugins]\ndirs = ["/no/such"]\n[plugins.filtr]\nlow = 1\n')
    assert command.main(["check-config", str(file)]) == 0
    said = capsys.readouterr()
    assert "[plugins.filtr]" in said.out
    assert said.err.splitlines() == [
        f'eegd: warning: {file}: [plugins] dirs = "/no/such": no directory; plugins in it cannot be found',
        f"eegd: warning: {file}: [plugins.filtr]: no plugin 'filtr' (did you mean filter?); "
        "there are: bandpower, detect, filter, reference, template, trigger, wavelet (/no/such is no directory)",
    ]


def test_the_check_makes_no_directory_and_judges_one_that_is_there(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="e", dir="/tmp") as parent:
        wanted = Path(parent) / "s"
        text = f'[daemon]\nruntime_dir = "{wanted}"\n'
        assert found(tmp_path, text) == []
        assert not wanted.exists()
        wanted.mkdir()
        wanted.chmod(0o777)
        (line,) = found(tmp_path, text)
        assert line == f'[daemon] runtime_dir = "{wanted}": writable for everybody (mode 777)'
