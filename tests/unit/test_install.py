"""The editable install is found from anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_script_beside_a_folder_called_eegd_still_finds_the_package(tmp_path: Path) -> None:
    (tmp_path / "eegd").mkdir()
    (tmp_path / "read.py").write_text("import eegd, eegd_plugins; print(eegd.connect.__name__)")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "read.py")], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout == "connect\n", done.stderr
