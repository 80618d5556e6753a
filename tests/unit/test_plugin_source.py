"""Plugins are found without importing, and loaded with clear errors; those that come with eegd say what matters."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from eegd.errors import PluginError
from eegd.plugin_source import find_plugins, load_plugin

GOOD = """
from eegd.plugin import Param, Plugin
class Good(Plugin):
    gain = Param(2.0, min=0, unit="x")
    def process(self, frame, out):
        out[:] = self.gain * frame.data
"""


def test_the_plugins_that_come_with_eegd_are_found() -> None:
    found = find_plugins()
    assert {"bandpower", "template"} <= found.keys()
    assert found["template"].origin == "included"


def test_finding_imports_nothing(folder: Path) -> None:
    (folder / "bomb.py").write_text("raise SystemExit('imported')")
    (folder / "_helper.py").write_text("")
    (folder / "Notes.py").write_text("")
    found = find_plugins([folder])
    assert found["bomb"].location == str(folder / "bomb.py")
    assert "_helper" not in found
    assert "Notes" not in found


def test_a_directory_of_the_user_goes_before_what_comes_with_eegd(folder: Path) -> None:
    (folder / "template.py").write_text(GOOD)
    assert find_plugins([folder])["template"].origin == "directory"


def test_a_loaded_plugin_is_named_as_its_file(folder: Path) -> None:
    (folder / "my-gain.py").write_text(GOOD)
    plugin = load_plugin("my-gain", [folder])
    assert (plugin.__name__, plugin.name, plugin.kind) == ("Good", "my-gain", "filtered")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1", "no subclass of Plugin in it"),
        ("from eegd.plugin import Plugin", "no subclass of Plugin in it"),
        (GOOD + GOOD.replace("Good", "Other"), r"several plugin classes \(Good, Other\), none named like it"),
        ("from eegd.plugin import Plugin\nclass A(Plugin):\n    kind = 'raw'", "TypeError: A.kind = 'raw': one of"),
        ("from eegd.plugin import *\nclass A(Plugin):\n    input = Param(1.0)", "cannot be named 'input'"),
        (GOOD.replace("2.0, min=0", "2.0, min=3"), "TypeError: default of Good.gain = 2.0: a number, at least 3 x"),
        (GOOD.replace("gain = ", "mode = Param('x', choices=('a', 'b'))\n    gain = "), "Good.mode = 'x': one of a, b"),
        (GOOD.replace("gain = ", "positional = 'gain'\n    gain = "), r"Good.positional = 'gain': .*\('gain',\)"),
        (GOOD.replace("2.0, min=0", "'a', choices='abc'"), "choices = 'abc' of a Param: a tuple"),
        (GOOD.replace("gain = ", "input = ['raw']\n    gain = "), r"Good.input = \['raw'\]: the name of a stream"),
        (GOOD.replace("gain = ", "needs = {'n_channels': 8}\n    gain = "), r"Good.needs = .*: Needs\("),
        ("from eegd.plugin import Needs\nNeeds(n_channels=8)", r"Needs.n_channels = 8: smallest and largest, as in"),
        ("from eegd.plugin import Plugin\nclass A(Plugin): ...", "A has no process"),
        (GOOD.replace("class Good(Plugin):", "class Good(Plugin):\n    kind = 'features'"), "has no outputs"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_named_with_file_and_reason(folder: Path, text: str, reason: str) -> None:
    path = folder / "odd.py"
    path.write_text(text)
    with pytest.raises(PluginError, match=rf"plugin 'odd' \({path}(:\d+)?\): .*{reason}"):
        load_plugin("odd", [folder])


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("import numby", 1, "ModuleNotFoundError: No module named 'numby'"),
        ("\n1 / 0", 2, "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", 1, "SystemExit: 3"),
        ("x = 1\nif x:\n    y = ?\n", 3, "SyntaxError: invalid syntax\n    y = ?\n        ^"),
        ("def f(:\n    pass", 1, "SyntaxError: invalid syntax\n    def f(:\n          ^"),
        ("x = (1,", 1, "SyntaxError: '(' was never closed\n    x = (1,\n        ^"),
        ("if True:\n\tx = 1\n        y = 2\n", 3, "TabError: inconsistent use of tabs and spaces in indentation"),
        ("x = '\x07", 1, "SyntaxError: unterminated string literal (detected at line 1)\n    x = ' \n        ^"),
    ],
)
def test_what_a_file_raises_is_told_once_with_file_line_and_place(
    folder: Path, text: str, line: int, reason: str
) -> None:
    path = folder / "odd.py"
    path.write_text(text)
    with pytest.raises(PluginError) as refused:
        load_plugin("odd", [folder])
    assert str(refused.value).startswith(f"plugin 'odd' ({path}:{line}): {reason}")


def test_an_unknown_plugin_is_refused_with_those_there_are(folder: Path) -> None:
    with pytest.raises(PluginError, match=rf"no plugin 'nosuch'; there are: .*bandpower.*{folder}"):
        load_plugin("nosuch", [folder])


@pytest.mark.parametrize(
    ("name", "dirs", "reason"),
    [
        ("nosuch", ["away"], "{0}/away is no directory"),
        ("good", ["good.py"], "{0}/good.py is no directory"),
        ("good.py", ["."], "a plugin is named without directory and .py: good)"),
        ("mine/good.py", [], "a plugin is named without directory and .py: good, its directory by --plugin-dir mine)"),
        ("Upper", ["."], "{0}/Upper.py has no plugin's name, which is small letters, digits, _ and -"),
        ("filtr", [], "; a directory of yours: --plugin-dir, or dirs in [plugins])"),
    ],
)
def test_what_keeps_a_plugin_from_being_found_is_told(folder: Path, name: str, dirs: list[str], reason: str) -> None:
    for file in ("good.py", "Upper.py"):
        (folder / file).write_text(GOOD)
    with pytest.raises(PluginError) as refused:
        load_plugin(name, [folder / path for path in dirs])
    assert reason.format(folder) in str(refused.value)


def test_a_known_plugin_next_door_is_told_without_more(folder: Path) -> None:
    with pytest.raises(PluginError) as refused:
        load_plugin("filtr", [folder])
    assert str(refused.value).endswith("wavelet")


def test_of_several_classes_the_one_named_like_the_file_is_taken(folder: Path) -> None:
    (folder / "other.py").write_text(GOOD + GOOD.replace("Good", "Other"))
    assert load_plugin("other", [folder]).__name__ == "Other"


def test_the_template_has_less_than_thirty_lines() -> None:
    text = Path(find_plugins()["template"].location).read_text()
    assert len(text.splitlines()) < 30


INCLUDED = sorted(name for name, source in find_plugins().items() if source.origin == "included")


@pytest.mark.parametrize("name", INCLUDED)
def test_a_plugin_that_comes_with_eegd_states_its_delay_its_memory_and_what_a_gap_does(name: str) -> None:
    text = ast.get_docstring(ast.parse(Path(find_plugins()[name].location).read_text())) or ""
    said = text.lower()
    assert "delay" in said
    assert "memory" in said or "keeps" in said
    assert "gap" in said
