"""A process that closes its standard error, and what its log is then written to."""

from __future__ import annotations

import subprocess
import sys

CLOSES = """
import os
from eegd.standard_fds import StandardFds
fds = StandardFds()
os.close(1)
os.close(2)
fds.restore()
page = os.memfd_create("page")
assert page > 2, page
os.write(1, b"printed ")
os.write(2, b"logged")
assert os.fstat(page).st_size == 0
fds.close()
"""


def test_after_both_were_closed_they_are_heard_again_and_no_page_lies_there() -> None:
    done = subprocess.run([sys.executable, "-c", CLOSES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "printed logged")


def test_what_is_open_stays_as_it_is() -> None:
    program = (
        "import os; from eegd.standard_fds import StandardFds; f = StandardFds(); f.restore(); os.write(1, b'out')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("out", "")


def test_without_a_standard_error_to_begin_with_nothing_is_heard_and_nothing_fails() -> None:
    program = f"import os; os.close(2)\n{CLOSES}".replace("os.close(2)\nfds", "fds")
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
