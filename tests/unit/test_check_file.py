"""The kept check: written whole, readable by the group, and never a reason to fail."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from eegd.check_file import CheckFile, state_dir
from eegd.errors import ConfigError, EegdError

RESULT = {"channels": [{"label": "Oz", "numbers": {"offset_mv": 1.5}}], "verdict": "green"}


def test_a_kept_check_is_read_back_and_its_mode_is_0640_under_any_umask(tmp_path: Path) -> None:
    file = CheckFile(tmp_path)
    before = os.umask(0o000)
    try:
        file.keep(RESULT)
    finally:
        os.umask(before)
    assert file.last() == RESULT
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    file.keep({**RESULT, "verdict": "red"})
    assert os.listdir(tmp_path) == ["check.json"]


@pytest.mark.parametrize("result", [None, [], "x", {}, {"channels": 3}])
def test_what_is_no_result_is_refused_and_the_one_before_stays(tmp_path: Path, result: object) -> None:
    file = CheckFile(tmp_path)
    file.keep(RESULT)
    with pytest.raises(ConfigError, match="as `eegctl check` sends it"):
        file.keep(result)
    assert file.last() == RESULT


def test_a_directory_that_is_not_there_is_told_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(EegdError, match=r"away/check\.json: the check cannot be kept"):
        CheckFile(tmp_path / "away").keep(RESULT)


@pytest.mark.parametrize("content", [b"", b'{"channels": [', b"[1]", b"\xff\xfe"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, content: bytes) -> None:
    file = CheckFile(tmp_path)
    file.path.write_bytes(content)
    assert file.last() is None


def test_the_state_directory_of_the_service_comes_before_the_runtime_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert state_dir(tmp_path) == tmp_path
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/eegd:/var/lib/other")
    assert state_dir(tmp_path) == Path("/var/lib/eegd")
