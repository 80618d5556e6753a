"""The programs in examples/ and the snippets of the README do what their text says, against a running daemon."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.conftest import DaemonFactory, DaemonProcess

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
N_SAMPLES = 600
FRAME = re.compile(r"frame (\d+) sample (\d+) n (\d+) lost (\d+) time (\d+\.\d+) s:((?: \S+)+)")
REAL_TIME = {"sim.clock": "real"}
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.M)
PROGRAMS = [snippet for snippet in SNIPPETS if "Plugin" not in snippet]
PLUGINS = [snippet for snippet in SNIPPETS if "Plugin" in snippet]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/reader.c, compiled by the command in its first comment, with every warning an error."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    program = tmp_path_factory.mktemp("examples") / "reader"
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-Inative"]
    subprocess.run([compiler, *flags, "-o", program, "examples/reader.c"], cwd=ROOT, check=True)
    return program


@pytest.fixture
def recording(home: Path) -> Path:
    """Eight channels, each with a ramp of its own."""
    path = home / "recording.csv"
    ramps = np.arange(N_SAMPLES)[:, None] * 0.25 + np.arange(8) * 1000
    rows = [",".join(f"{value:.2f}" for value in row) for row in ramps]
    path.write_text("Fp1,Fp2,C3,C4,P7,P8,O1,O2\n" + "\n".join(rows) + "\n")
    return path


def start(d: DaemonProcess, command: list[str | Path], output: Path) -> subprocess.Popen[bytes]:
    """A program on this daemon, its output in a file, so that it never waits for us."""
    with output.open("wb") as file:
        return subprocess.Popen(
            command,
            cwd=d.home,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "EEGD_RUNTIME_DIR": str(d.directory)},
        )


def finish(program: subprocess.Popen[bytes], output: Path, timeout: float = 30) -> str:
    """Its output, once it has ended well."""
    try:
        code = program.wait(timeout)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()
        pytest.fail(f"does not end within {timeout:g} s:\n{output.read_text()}")
    assert code == 0, output.read_text()
    return output.read_text()


def run_example(d: DaemonProcess, name: str, *arguments: str) -> str:
    d.connect()
    output = d.home / "output"
    return finish(start(d, [sys.executable, EXAMPLES / name, *arguments], output), output)


# ---- the reader in C ----


@pytest.mark.parametrize("n_samples", [1, 7])
def test_c_reader_prints_what_a_python_reader_takes_until_the_replay_is_over(
    daemon: DaemonFactory, reader: Path, recording: Path, n_samples: int
) -> None:
    d = daemon({"replay.file": str(recording), "stream.frame_samples": n_samples}, wait_readers=2)
    client = d.connect()
    program = start(d, [reader, d.directory / "raw.stream", "lossless"], d.home / "printed")
    taken = {}
    with client.open("raw", policy="lossless") as stream:
        for frame in stream:
            first = [float(f"{value:.9g}") for value in frame.data[:, 0]]
            taken[frame.frame_number] = (frame.sample_index, frame.n_samples, frame.lost_before, first)
    text = finish(program, d.home / "printed")
    printed = {
        int(number): (int(sample), int(n), int(lost), [float(value) for value in values.split()])
        for number, sample, n, lost, _, values in FRAME.findall(text)
    }
    assert printed == taken
    assert sum(n for _, n, _, _ in printed.values()) == N_SAMPLES
    assert f"{len(taken)} frames, 0 missed" in text
    assert '"reason":"replay over"' in text
    assert d.wait()[0] == 0


def test_c_reader_takes_what_is_queued_and_ends_when_the_daemon_is_killed(daemon: DaemonFactory, reader: Path) -> None:
    d = daemon(REAL_TIME)
    d.connect()
    program = start(d, [reader, d.directory / "raw.stream"], d.home / "printed")
    d.wait_for(lambda status: any(row["sent"] > 20 for row in status["stream"]["readers"]))
    d.kill()
    text = finish(program, d.home / "printed")
    numbers = [int(number) for number, *_ in FRAME.findall(text)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) > 20
    assert text.endswith(" 0 missed; the writer is gone\n")


def test_c_reader_with_policy_latest_counts_what_was_replaced(daemon: DaemonFactory, reader: Path) -> None:
    d = daemon(REAL_TIME)
    d.connect()
    program = start(d, [reader, d.directory / "raw.stream", "latest"], d.home / "printed")
    d.wait_for(lambda status: any(row["sent"] > 50 for row in status["stream"]["readers"]))
    d.stop()
    text = finish(program, d.home / "printed")
    numbers = [int(number) for number, *_ in FRAME.findall(text)]
    n_missed = numbers[-1] - numbers[0] + 1 - len(numbers)
    assert f"{len(numbers)} frames, {n_missed} missed" in text


def test_c_reader_shows_the_writers_reason_when_it_is_refused(daemon: DaemonFactory, reader: Path) -> None:
    d = daemon(REAL_TIME)
    d.connect()
    result = subprocess.run(
        [reader, d.directory / "raw.stream", "fastest"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "one of queue, latest, lossless" in result.stderr


# ---- the examples in Python ----


def test_print_alpha_prints_the_occipital_channels_every_second(daemon: DaemonFactory) -> None:
    lines = run_example(daemon(REAL_TIME), "print_alpha.py", "2").splitlines()
    assert len(lines) == 2
    assert all(re.fullmatch(r"O1 +\d+\.\d µV  O2 +\d+\.\d µV", line) for line in lines)


def test_frames_to_numpy_writes_samples_times_and_labels(daemon: DaemonFactory) -> None:
    d = daemon({"sim.source": "pattern"})
    text = run_example(d, "frames_to_numpy.py", "eeg.npz", "2")
    assert text == "eeg.npz: 8 channels, 500 samples, 0 gaps\n"
    with np.load(d.home / "eeg.npz") as file:
        assert file["uv"].shape == (8, 500)
        assert list(np.diff(file["sample_index"])) == [1] * 499
        assert list(file["labels"]) == ["Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"]
        assert list(file["not_a_person"]) == ["simulated"]


def test_watch_losses_prints_the_counters_when_they_move(daemon: DaemonFactory) -> None:
    text = run_example(daemon(REAL_TIME), "watch_losses.py", "1")
    assert re.match(r"\d+ samples; lost: missed 0, bad 0, late 0, overrun 0\n", text)


def test_async_reader_reports_while_it_reads(daemon: DaemonFactory) -> None:
    text = run_example(daemon(REAL_TIME), "async_reader.py", "2.5")
    assert re.match(r"\d+ samples, 0 lost, 0 missed frames\n", text)


@pytest.mark.parametrize("name", ["print_alpha.py", "frames_to_numpy.py", "watch_losses.py", "async_reader.py"])
def test_ctrl_c_ends_an_example_without_a_traceback(daemon: DaemonFactory, name: str) -> None:
    d = daemon(REAL_TIME)
    d.connect()
    output = d.home / "output"
    words = ["eeg.npz", "1000"] if name == "frames_to_numpy.py" else []
    program = start(d, [sys.executable, EXAMPLES / name, *words], output)
    if name == "watch_losses.py":
        while "samples; lost" not in output.read_text():
            assert program.poll() is None, output.read_text()
    else:
        d.wait_for(has_read(20))
    program.send_signal(signal.SIGINT)
    program.wait(30)
    text = output.read_text()
    assert "Traceback" not in text and "KeyboardInterrupt" not in text
    if name == "frames_to_numpy.py":
        assert (program.returncode, text) == (1, "interrupted, nothing was written\n")
        assert not (d.home / "eeg.npz").exists()
    else:
        assert program.returncode == 0


# ---- the README ----


def has_read(n: int) -> Callable[[dict[str, object]], bool]:
    """Whether a reader got so many frames, or has left again."""

    def look(status: dict[str, object]) -> bool:
        stream = status["stream"]
        assert isinstance(stream, dict)
        return any(row["sent"] >= n for row in stream["readers"])

    return look


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_each_program_of_the_readme_runs_until_its_stream_ends(daemon: DaemonFactory, number: int) -> None:
    d = daemon({**REAL_TIME, "board.rate_sps": 500})
    d.connect()
    output = d.home / "output"
    program = start(d, [sys.executable, "-c", PROGRAMS[number]], output)
    if "for frame in" in PROGRAMS[number]:
        d.wait_for(has_read(20))
        d.stop()
    assert finish(program, output)


@pytest.mark.parametrize("number", range(len(PLUGINS)))
def test_each_plugin_of_the_readme_gives_a_stream(daemon: DaemonFactory, number: int) -> None:
    pytest.importorskip("eegd.supervisor")
    d = daemon(REAL_TIME)
    [name] = re.findall(r"^class (\w+)\(Plugin\)", PLUGINS[number], re.MULTILINE)
    (d.home / "plugins").mkdir()
    (d.home / "plugins" / f"{name.lower()}.py").write_text(PLUGINS[number], encoding="utf-8")
    client = d.connect()
    output = d.home / "output"
    program = start(
        d, [sys.executable, "-m", "eegd.runner", name.lower(), "--plugin-dir", str(d.home / "plugins")], output
    )
    try:
        while name.lower() not in client.streams():
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(0.01)
                pytest.fail(output.read_text())
        with client.open(name.lower(), timeout=20) as stream:
            frame = stream.take()
            assert frame.data.shape[0] == len(stream.info.labels)
            assert "simulated" in frame.flag_names
    finally:
        program.terminate()
        program.wait(20)


def test_the_readme_has_programs_and_a_plugin() -> None:
    assert PROGRAMS
    assert PLUGINS
