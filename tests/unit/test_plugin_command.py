"""The command line of a plugin's process, as the configuration makes it."""

from __future__ import annotations

import json

import pytest

from eegd.config import parse_config
from eegd.errors import ConfigError
from eegd.plugin_command import input_of, limit_of, plugin_command

TEXT = """
[plugins]
run = ["alpha"]
dirs = ["/lab"]
memory_mb = 300

[plugins.alpha]
low = 8
input = "clean"
memory_mb = 150.5
hang_s = 2
"""


def test_what_is_no_parameter_is_not_given_as_one() -> None:
    settings = parse_config(TEXT, "test.toml").plugins
    words = plugin_command(settings, "alpha")
    assert json.loads(words[words.index("--params") + 1]) == {"low": 8}
    assert words[words.index("--input") + 1] == "clean" == input_of(settings, "alpha")
    assert words[words.index("--plugin-dir") + 1] == "/lab"


def test_a_plugin_s_own_limits_go_before_those_of_all() -> None:
    settings = parse_config(TEXT, "test.toml").plugins
    assert [limit_of(settings, "alpha", key) for key in ("memory_mb", "hang_s")] == [150.5, 2.0]
    assert [limit_of(settings, "beta", key) for key in ("memory_mb", "hang_s")] == [300.0, 10.0]
    words = plugin_command(settings, "alpha")
    assert words[words.index("--memory-mb") + 1] == "150.5"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("hang_s = -1", "[plugins.alpha] hang_s = -1: a number from 0 to 86400 s"),
        ('memory_mb = "all"', '[plugins.alpha] memory_mb = "all": a number from 0 to 1000000 MB'),
    ],
)
def test_a_limit_that_cannot_be_is_refused_where_it_stands(line: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(f"[plugins.alpha]\n{line}\n", "test.toml")
    assert str(refused.value) == f"test.toml: {says}"
