"""The graph of plugins by names alone: circles and unknown inputs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from eegd.graph import graph_problems, readers_of
from eegd.plugin_check import check_plugins

NAMES = ("a", "b", "c", "d", "e")


def test_a_graph_whose_plugins_end_at_raw_is_sound_in_any_order() -> None:
    inputs = {"c": "b", "a": "raw", "b": "a", "d": "a"}
    assert graph_problems(inputs, ["raw"]) == {}
    assert readers_of("a", inputs) == ["b", "d"]


def test_a_circle_is_named_from_each_plugin_in_it_and_not_from_those_that_read_it() -> None:
    problems = graph_problems({"a": "c", "b": "a", "c": "b", "outside": "a"}, ["raw"])
    assert problems == {
        "a": "plugin 'a': the inputs make a circle: a reads c reads b reads a",
        "b": "plugin 'b': the inputs make a circle: b reads a reads c reads b",
        "c": "plugin 'c': the inputs make a circle: c reads b reads a reads c",
    }


def test_a_plugin_that_reads_itself_is_told_so() -> None:
    assert graph_problems({"a": "a"}, ["raw"]) == {"a": "plugin 'a': reads its own stream"}


def test_an_unknown_input_is_named_with_the_streams_there_are() -> None:
    problems = graph_problems({"a": "eog", "b": "a"}, ["raw", "raw2"])
    assert problems == {"a": "plugin 'a': its input 'eog' is no stream; there are: b, raw, raw2"}


def test_an_input_that_is_nearly_right_is_answered_with_the_stream_that_is_near() -> None:
    problems = graph_problems({"filter": "filtr", "b": "filte"}, ["raw"])
    assert problems["b"] == "plugin 'b': its input 'filte' is no stream (did you mean filter?); there are: filter, raw"
    assert problems["filter"] == "plugin 'filter': its input 'filtr' is no stream; there are: b, raw"


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from((*NAMES, "raw"))))
def test_without_its_problems_every_graph_ends_at_raw(inputs: dict[str, str]) -> None:
    problems = graph_problems(inputs, ["raw"])
    for name in inputs:
        at, seen = name, set()
        while at in inputs and at not in problems:
            assert at not in seen
            seen.add(at)
            at = inputs[at]
        assert at == "raw" or at in problems


# ---- what classes say ----

GOOD = """
from eegd.plugin import Param, Plugin
class Good(Plugin):
    input = "clean"
    positional = ("low",)
    low = Param(1.0, min=0, max=9)
    print("a word that is no answer")
    def process(self, frame, out):
        out[:] = frame.data
"""


def test_plugins_are_looked_at_in_another_process_and_one_that_kills_it_costs_only_itself(
    tmp_path: Path,
) -> None:
    folder = tmp_path
    (folder / "good.py").write_text(GOOD)
    (folder / "kills.py").write_text("import os\nos.abort()\n")
    (folder / "exits.py").write_text("import os\nos._exit(3)\n")
    where = ("--plugin-dir", str(folder))
    found = asyncio.run(
        check_plugins(
            {
                "one": ("one", "--plugin", "good", *where, "7"),
                "kills": ("kills", *where),
                "two": ("two", "--plugin", "good", *where, "--input", "raw", "low=99"),
                "exits": ("exits", *where),
                "none": ("none", *where),
            }
        )
    )
    assert (found["one"].error, found["one"].input, found["one"].values) == ("", "clean", {"low": 7.0})
    assert found["kills"].error == "plugin 'kills': loading it ends the process: SIGABRT"
    assert found["two"].error == "two: low = 99: a number from 0 to 9"
    assert found["exits"].error == "plugin 'exits': loading it ends the process: exit code 3"
    assert found["none"].error.startswith("no plugin 'none'; there are: bandpower,")


def test_loading_a_file_that_starts_a_process_or_writes_where_answers_are_expected_costs_only_itself(
    tmp_path: Path,
) -> None:
    good = "from eegd.plugin import Plugin\nclass Good(Plugin):\n    def process(self, frame, out):\n        pass\n"
    starts = "import os, subprocess\nsubprocess.Popen(['sleep', '1000'])\n"
    (tmp_path / "starts.py").write_text(starts + good)
    (tmp_path / "dies.py").write_text(f"{starts}os._exit(4)\n")
    write = "for fd in map(int, os.listdir('/proc/self/fd')):\n    try:\n        fd > 2 and os.write(fd, b'[1]\\n')\n"
    (tmp_path / "writes.py").write_text(f"{starts}{write}    except OSError:\n        pass\n{good}")
    where = ("--plugin-dir", str(tmp_path))
    found = asyncio.run(check_plugins({name: (name, *where) for name in ("starts", "writes", "dies")}))
    assert (found["starts"].error, found["starts"].input) == ("", "raw")
    assert found["writes"].error.startswith("plugin 'writes': loading it writes '[1]'")
    assert found["dies"].error == "plugin 'dies': loading it ends the process: exit code 4"
