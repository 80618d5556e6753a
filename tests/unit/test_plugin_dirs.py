"""Which of a daemon's plugin directories a command line loads plugins from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eegd.cli import plugin_dirs
from eegd.cli.plugin_dirs import daemon_dirs


@pytest.fixture
def alien(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runtime directory of another user's daemon."""
    monkeypatch.setattr(plugin_dirs, "_owner", lambda path: os.getuid() + 1)
    return Path("/nowhere")


def named(*dirs: Path) -> dict[str, object]:
    return {"plugin_dirs": [str(path) for path in dirs]}


def test_of_a_daemon_of_one_s_own_all_are_looked_through(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert daemon_dirs(tmp_path, named(tmp_path / "open")) == [str(tmp_path / "open")]


def test_of_another_user_s_daemon_only_those_that_he_cannot_change(tmp_path: Path, alien: Path) -> None:
    made = {}
    for name, mode in (("closed", 0o755), ("everybody", 0o777), ("sticky", 0o1777), ("group", 0o775)):
        made[name] = tmp_path / name
        made[name].mkdir()
        made[name].chmod(mode)
    (tmp_path / "everybody" / "inner").mkdir()
    (tmp_path / "sticky" / "inner").mkdir(mode=0o755)
    link = tmp_path / "closed" / "link"
    link.symlink_to(tmp_path / "everybody" / "inner")
    every = [*made.values(), made["everybody"] / "inner", made["sticky"] / "inner", link, tmp_path / "none"]
    good = [made["closed"], made["sticky"] / "inner"]
    assert daemon_dirs(alien, named(*every)) == [str(path) for path in good]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_what_belongs_to_him_is_not_loaded(tmp_path: Path, alien: Path) -> None:
    (tmp_path / "his").mkdir()
    assert daemon_dirs(alien, named(tmp_path / "his")) == [str(tmp_path / "his")]
    os.chown(tmp_path / "his", 12345, -1)
    assert daemon_dirs(alien, named(tmp_path / "his")) == []
    (tmp_path / "his" / "inner").mkdir()
    assert daemon_dirs(alien, named(tmp_path / "his" / "inner")) == []
