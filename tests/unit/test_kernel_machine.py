# SPDX-License-Identifier: MIT
"""The pure parts of the kernel tests: names, versions, job files, what scripts say. No emulated computer is started."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.kernel.host import ROOT, HostError, missing_packages
from tests.kernel.image import codename, key_of, pypi_requirements
from tests.kernel.linux import correct_paths, digest, first_dependency, module_sources
from tests.kernel.machine import JOB_BYTES, Outcome, write_job
from tests.kernel.run import job_files, print_outcome, rows_of, scripts, skipped


def test_the_guest_is_of_the_release_of_this_debian() -> None:
    assert codename('PRETTY_NAME="Debian GNU/Linux 12"\nVERSION_CODENAME=bookworm\nID=debian\n') == "bookworm"


def test_a_system_that_is_no_debian_is_refused_by_name() -> None:
    with pytest.raises(HostError, match="Fedora Linux 40"):
        codename('PRETTY_NAME="Fedora Linux 40"\nID=fedora\nVERSION_CODENAME=""\n')


def test_the_kernel_release_is_what_the_mirror_has_now() -> None:
    text = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n  Conflicts: something\n"
    assert first_dependency(text, "linux-image-") == "linux-image-6.1.0-56-amd64"


def test_a_mirror_without_kernels_is_told_with_the_remedy() -> None:
    with pytest.raises(HostError, match=r"no linux-image-.*apt-get update"):
        first_dependency("linux-image-amd64\n", "linux-image-")


def test_headers_find_their_common_part_where_they_were_unpacked(tmp_path: Path) -> None:
    makefile = tmp_path / "Makefile"
    makefile.write_text("include /usr/src/linux-headers-6.1.0-56-common/Makefile\n")
    correct_paths(makefile, Path("/a/new"))
    correct_paths(makefile, Path("/a/b"))  # again, after the folder has moved
    assert makefile.read_text() == "include /a/b/usr/src/linux-headers-6.1.0-56-common/Makefile\n"


def test_the_module_is_built_from_the_chip_model_of_the_c_core() -> None:
    names = {path.name for path in module_sources()}
    assert {"chip.c", "chip_port.c", "pattern.c", "Kbuild", "wire.c"} <= names
    assert "synth.c" not in names


def test_a_changed_source_has_another_digest(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("int a;")
    before = digest([source])
    source.write_text("int b;")
    assert digest([source]) != before


def test_keys_tell_parts_apart() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")


def test_the_guest_gets_the_versions_that_the_project_asks_for() -> None:
    text = (
        '[project]\ndependencies = ["numpy>=1.24", "scipy"]\n'
        '[project.optional-dependencies]\ndaemon = ["spidev>=3.6", "gpiod>=2.2"]\n'
    )
    assert pypi_requirements(text) == ["numpy>=1.24", "gpiod>=2.2"]


def test_what_is_missing_is_named_by_its_debian_package(tmp_path: Path) -> None:
    missing = missing_packages(str(tmp_path), tmp_path / "bios.bin")
    assert {"qemu-system-x86", "mmdebstrap", "seabios"} <= set(missing)


def test_a_job_is_a_tar_file_of_the_size_of_its_disk(tmp_path: Path) -> None:
    disk, script = tmp_path / "job", tmp_path / "a.py"
    script.write_text("pass")
    write_job(disk, {"guest/a.py": script, "recording.bin": b"\xc0\0\x08"})
    assert disk.stat().st_size == JOB_BYTES
    with tarfile.open(disk) as tar:
        assert tar.getnames() == ["guest/a.py", "recording.bin"]


def test_a_job_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="more than the"):
        write_job(tmp_path / "job", {"big": bytes(JOB_BYTES)})


def test_scripts_are_picked_up_by_their_file_names(tmp_path: Path) -> None:
    for name in ("test_b", "test_a", "hour", "kit"):
        (tmp_path / f"{name}.py").touch()
    assert scripts([], tmp_path) == ["test_a", "test_b"]
    assert scripts(["hour"], tmp_path) == ["hour"]
    with pytest.raises(HostError, match=r"no such script: test_c; there are hour, kit, test_a, test_b"):
        scripts(["test_c"], tmp_path)


def test_rows_are_found_among_what_a_script_prints() -> None:
    assert rows_of('hello\n@ROW {"test": "x", "lost": 0}\nEND') == [{"test": "x", "lost": 0}]


def test_a_skipped_script_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    text = "@SKIP there is no recording\n"
    assert skipped(text) == "there is no recording"
    assert print_outcome("test_recording", Outcome(0, text, "", 3.0))
    assert "skipped  (3 s): there is no recording" in capsys.readouterr().out


def test_a_script_that_never_ended_has_failed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.kernel.machine.BUILD", tmp_path)
    assert not print_outcome("hour", Outcome(None, "half a line", "", 300.0))
    assert "it did not come to an end" in capsys.readouterr().out


def test_a_program_that_is_not_there_is_refused_before_anything_starts() -> None:
    with pytest.raises(HostError, match="KERNEL_SCRIPT=/nowhere: there is no such file"):
        job_files("/nowhere")


# Starts a process that would never end, and says so.
HOLDER = """
import signal, sys
from pathlib import Path
from tests.kernel.machine import running
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.default_int_handler)
with open(sys.argv[1], "w") as lock, open(sys.argv[2], "wb") as out:
    import fcntl
    fcntl.flock(lock, fcntl.LOCK_EX)
    with running(["sleep", "infinity"], 0, out, lock) as process:
        while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\\n":
            pass  # before that nothing has told the kernel yet to end it with its parent
        print(process.pid, flush=True)
        process.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_no_emulated_computer_behind(tmp_path: Path, number: signal.Signals) -> None:
    lock = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(lock), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as holder:
        assert holder.stdout is not None
        child = os.pidfd_open(int(holder.stdout.readline()))
        holder.send_signal(number)
        holder.wait()
    with os.fdopen(child) as ended:  # readable once the process has ended
        assert select.select([ended], [], [], 30)[0], "the child lives on"
    with lock.open() as free:
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)  # what the child held until its end
