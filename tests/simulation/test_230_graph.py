"""Plugins of a running daemon: added, removed and restarted, and graphs that cannot be."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eegd.cli.eegctl import main as eegctl
from eegd.errors import EegdError
from eegd.process import parent_of
from tests.simulation.test_200_plugins import ABORTS, HANGS, by_hand, folder_with, open_when_there, plugin_row

if TYPE_CHECKING:
    from tests.simulation.conftest import DaemonFactory, DaemonProcess

PASSES = """
from eegd.plugin import Plugin
class {name}(Plugin):
    def process(self, frame, out):
        out[:] = frame.data
"""
REAL = {"sim.clock": "real", "sim.source": "pattern"}


def state_of(process: DaemonProcess, name: str) -> str:
    row = next((row for row in process.status()["plugins"] if row["name"] == name), {"state": "none"})
    return str(row["state"])


def is_checking(process: DaemonProcess) -> bool:
    """Plugins are looked at, by a process that does nothing else."""
    paths = [path for path in Path("/proc").glob("[0-9]*") if parent_of(int(path.name)) == process.pid]
    return any(b"eegd.plugin_facts" in (path / "cmdline").read_bytes() for path in paths)


def held(process: DaemonProcess, name: str) -> dict[str, Any]:
    return plugin_row(process.wait_for(lambda s: plugin_row(s, name)["state"] == "held"), name)


def test_two_instances_of_a_plugin_run_under_their_own_names(daemon: DaemonFactory) -> None:
    text = '[plugins.double]\nplugin = "template"\ngain = 2\n[plugins.six]\nplugin = "template"\ngain = 3\n'
    text += 'input = "double"\n'
    process = daemon({**REAL, "plugins.run": ("six", "double")}, text=text)
    client = process.connect()
    raw = client.open("raw", seconds=5)
    six = open_when_there(client, "six", seconds=5)
    frame = six.take()
    double = open_when_there(client, "double", seconds=5)
    assert frame.info.description["input"] == "double"
    assert frame.info.description["params"] == {"gain": 3.0}
    assert client.set("double", gain=1).values == {"gain": 1.0}
    assert double.take() is not None
    assert raw.take() is not None
    process.stop()


def test_what_was_set_survives_a_death_and_a_reload_that_does_not_touch_it(daemon: DaemonFactory, home: Path) -> None:
    process = daemon({**REAL, "plugins.run": ("template",)})
    client = process.connect()
    open_when_there(client, "template").close()
    client.set("template", gain=5)
    os.kill(plugin_row(process.status(), "template")["pid"], signal.SIGKILL)
    process.wait_for(lambda s: plugin_row(s, "template")["restarts"] == 1)
    process.wait_for(lambda s: plugin_row(s, "template")["state"] == "running")
    assert client.get("template", "gain") == 5
    client.ask("plugin_restart", name="template")
    process.wait_for(lambda s: plugin_row(s, "template")["state"] == "running")
    assert client.get("template", "gain") == 5
    client.ask("plugin_restart", name="template", as_configured=True)
    process.wait_for(lambda s: plugin_row(s, "template")["state"] == "running")
    assert client.get("template", "gain") == 1
    process.stop()


def test_plugins_in_a_circle_are_held_with_its_names_and_the_others_run(daemon: DaemonFactory) -> None:
    text = "".join(
        f'[plugins.{name}]\nplugin = "template"\ninput = "{reads}"\n' for name, reads in (("a", "b"), ("b", "a"))
    )
    text += '[plugins.lost]\nplugin = "template"\ninput = "nowhere"\n'
    process = daemon({**REAL, "plugins.run": ("a", "lost", "template", "b")}, text=text)
    assert held(process, "a")["last_error"] == "the inputs make a circle: a reads b reads a"
    assert held(process, "b")["last_error"] == "the inputs make a circle: b reads a reads b"
    assert "its input 'nowhere' is no stream; there are: a, b, raw" in held(process, "lost")["last_error"]
    process.wait_for(lambda s: plugin_row(s, "template")["state"] == "running")
    process.connect().ask("plugin_add", 60.0, plugin="template", **{"as": "nowhere"})
    process.wait_for(lambda s: plugin_row(s, "lost")["state"] == "running")  # its input is there now
    process.stop()


def test_a_plugin_whose_input_others_write_runs_once_that_is_there(daemon: DaemonFactory) -> None:
    process = daemon({**REAL, "plugins.run": ("template",)}, text='[plugins.template]\ninput = "elsewhere"\n')
    assert "its input 'elsewhere' is no stream" in held(process, "template")["last_error"]
    with by_hand(process.directory, "elsewhere", "--plugin", "template"):
        process.wait_for(lambda s: plugin_row(s, "template")["state"] == "running")
        with pytest.raises(EegdError, match="'elsewhere' is not run by this daemon: end it where it runs"):
            process.connect().ask("plugin_remove", name="elsewhere")
    process.stop()


def test_a_plugin_is_added_and_removed_while_the_daemon_runs(
    daemon: DaemonFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    process = daemon(REAL)
    client = process.connect()
    where = ["--runtime-dir", str(process.directory)]
    assert eegctl(["plugin", *where, "add", "template", "as=louder", "gain=2", "input=raw"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("louder: running, reads raw\n")
    assert '[plugins]\nrun = ["louder"]\n\n[plugins.louder]\nplugin = "template"\ninput = "raw"\ngain = 2.0\n' in out
    assert eegctl(["plugin", *where, "add", "bandpower", "input:louder"]) == 0
    capsys.readouterr()
    stream = open_when_there(client, "louder", name="me", policy="latest")
    process.wait_for(lambda s: "me" in plugin_row(s, "louder")["readers"])
    assert eegctl(["plugin", *where, "remove", "louder"]) == 1
    assert "plugin 'louder' is read by bandpower, me; end those first, or use --force" in capsys.readouterr().err
    assert eegctl(["plugin", *where, "remove", "louder", "--force"]) == 0
    assert list(stream) or stream.ended is not None
    process.wait_for(lambda s: [row["name"] for row in s["plugins"]] == ["bandpower"])
    assert eegctl(["plugin", *where, "remove", "louder"]) == 1
    assert "no plugin 'louder' here; there are: bandpower" in capsys.readouterr().err
    process.stop()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"plugin": "nosuch"}, "no plugin 'nosuch'; there are: bandpower"),
    ({"plugin": "bandpower", "words": ["length=99"]}, "bandpower: length = 99: a number from 0.25 to 30 s"),
    ({"plugin": "bandpower", "words": ["--supervised"]}, "parameters are written name=value"),
    ({"plugin": "bandpower", "input": "eog"}, "its input 'eog' is no stream; there are: raw, template"),
    ({"plugin": "bandpower", "input": "../x"}, "../x"),
    ({"plugin": "bandpower", "as": "loop", "input": "loop"}, "plugin 'loop': reads its own stream"),
    ({"plugin": "template"}, "plugin 'template' is there already; remove it first"),
    ({"plugin": "template", "as": "raw"}, "there is a stream 'raw' already"),
    ({"plugin": "template", "as": "eegd"}, "stream name 'eegd': that is the daemon's own"),
    ({"plugin": "template", "as": "Big"}, "'Big': no plugin's name"),
    ({"plugin": 3}, "'plugin' is 3, wanted str"),
    ({}, "'plugin' is missing"),
    ({"plugin": "bandpower", "words": "x"}, "'words' is 'x', wanted list"),
]


def test_an_addition_that_cannot_be_is_refused_with_names(daemon: DaemonFactory) -> None:
    process = daemon({**REAL, "plugins.run": ("template",)})
    client = process.connect()
    open_when_there(client, "template").close()
    for request, reason in REFUSED:
        with pytest.raises(EegdError) as refused:
            client.ask("plugin_add", 60.0, **request)
        assert reason in str(refused.value)
    assert [row["name"] for row in process.status()["plugins"]] == ["template"]
    process.stop()


def test_an_input_may_be_given_among_the_words(daemon: DaemonFactory) -> None:
    process = daemon({**REAL, "plugins.run": ("template",)})
    client = process.connect()
    open_when_there(client, "template").close()
    answer = client.ask("plugin_add", 60.0, plugin="bandpower", words=["input=template"])
    assert answer["table"] == {"input": "template"}
    assert open_when_there(client, "bandpower").info.description["input"] == "template"
    process.stop()


def test_a_plugin_that_had_to_be_killed_can_be_added_again(daemon: DaemonFactory, home: Path) -> None:
    folder = folder_with(home, hangs=HANGS)
    process = daemon({**REAL, "plugins.dirs": (folder,)})
    client = process.connect()
    for _ in range(2):
        client.ask("plugin_add", 60.0, plugin="hangs")
        process.wait_for(lambda s: plugin_row(s, "hangs").get("frames_in", 0) > 0)
        client.ask("plugin_remove", name="hangs")
    assert not (process.directory / "hangs.stream").exists()
    process.stop()


@pytest.mark.slow
def test_a_held_plugin_gets_a_new_budget_by_a_restart(daemon: DaemonFactory, home: Path) -> None:
    folder = folder_with(home, aborts=ABORTS)
    process = daemon({**REAL, "plugins.run": ("aborts",), "plugins.dirs": (folder,)})
    assert plugin_row(process.wait_for(lambda s: state_of(process, "aborts") == "held", 60), "aborts")["restarts"] == 5
    folder_with(home, aborts=ABORTS.replace("os.abort()", "out[:] = 0"))
    process.connect().ask("plugin_restart", name="aborts")
    process.wait_for(lambda s: plugin_row(s, "aborts")["state"] == "running")
    process.stop()


def test_a_reload_with_plugins_that_cannot_be_is_refused_whole_and_a_sound_one_keeps_what_was_added(
    daemon: DaemonFactory,
) -> None:
    process = daemon(REAL)
    client = process.connect()
    client.ask("plugin_add", 60.0, plugin="template", words=["gain=2"])
    open_when_there(client, "template").close()
    client.set("template", gain=3)
    sound = process.config_file.read_text()
    assert "run = []" in sound
    bad = sound.replace("run = []", 'run = ["bandpower", "a", "b", "nosuch"]')
    bad += '[plugins.bandpower]\nlength = 99\n[plugins.a]\nplugin = "template"\ninput = "b"\n'
    process.config_file.write_text(bad + '[plugins.b]\nplugin = "template"\ninput = "a"\n')
    with pytest.raises(EegdError) as refused:
        client.ask("reload", 60.0)
    for reason in ("length = 99", "a reads b reads a", "b reads a reads b", "no plugin 'nosuch'"):
        assert reason in str(refused.value)
    assert [row["name"] for row in process.status()["plugins"]] == ["template"]
    process.config_file.write_text(sound.replace("run = []", 'run = ["bandpower"]'))
    assert client.ask("reload", 60.0)["changed"] == ["plugins.run"]
    process.wait_for(lambda s: {row["name"] for row in s["plugins"]} == {"bandpower", "template"})
    assert client.get("template", "gain") == 3
    process.stop()


def test_an_addition_that_cannot_start_leaves_nothing_behind_and_can_be_repeated(
    daemon: DaemonFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    process = daemon(REAL)
    where = ["--runtime-dir", str(process.connect().directory)]
    assert eegctl(["plugin", *where, "add", "filter", "as=g", "40", "1"]) == 1
    said = capsys.readouterr().err
    assert "eegctl: error: g: held: " in said and "low = 40, high = 1" in said and "it was not added" in said
    assert process.status()["plugins"] == []
    assert eegctl(["plugin", *where, "add", "filter", "as=g", "1", "40"]) == 0
    process.stop()


def test_help_list_and_completion_know_the_directories_of_a_running_daemon(
    daemon: DaemonFactory, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "from eegd.plugin import Param, Plugin\nclass Own(Plugin):\n    positional = ('much',)\n    much = Param(1.0)\n"
    )
    text += "    more = Param(2.0)\n    def process(self, frame, out): out[:] = frame.data\n"
    folder = folder_with(home, own=text)
    process = daemon({**REAL, "plugins.run": ("own",), "plugins.dirs": (folder,)})
    process.wait_for(lambda s: state_of(process, "own") == "running")
    where = ["--runtime-dir", str(process.directory)]
    assert eegctl(["plugins", *where]) == 0
    assert "own  " in capsys.readouterr().out
    assert eegctl(["help", *where, "own"]) == 0
    assert "much  float" in capsys.readouterr().out
    assert eegctl(["complete", "eegctl", "--", *where, "plugin", "add", "ow"]) == 0
    assert capsys.readouterr().out.split("\t")[0] == "own"
    assert eegctl(["complete", "eegctl", "--", *where, "set", "own", "3", "m"]) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["more="]
    process.stop()


def test_changes_by_two_clients_at_once_are_made_one_after_the_other_or_refused_with_what_goes_on(
    daemon: DaemonFactory, home: Path
) -> None:
    flag = home / "flag"
    text = f"import os\nwhile not os.path.exists({str(flag)!r}):\n    pass\n" + PASSES.format(name="Waits")
    folder = folder_with(home, waits=text)
    process = daemon({**REAL, "plugins.run": ("template",), "plugins.dirs": (folder,)})
    client = process.connect()
    with ThreadPoolExecutor() as pool:
        adding = pool.submit(client.ask, "plugin_add", 60.0, plugin="waits")
        process.wait_for(lambda s: is_checking(process))
        others = {
            "reload": pool.submit(client.ask, "reload"),
            "plugin remove template": pool.submit(client.ask, "plugin_remove", name="template"),
        }
        for what, other in others.items():
            with pytest.raises(
                EegdError, match=f"{what}: nothing was changed, since 'plugin add waits' has been going"
            ):
                other.result()
        assert [row["name"] for row in process.status()["plugins"]] == ["template"]
        waiting = pool.submit(client.ask, "plugin_remove", name="template")
        flag.touch()
        assert adding.result()["run"] == ["template", "waits"]
        assert waiting.result()["name"] == "template"
    assert [row["name"] for row in process.status()["plugins"]] == ["waits"]
    process.stop()


def test_a_restart_is_answered_when_the_old_process_is_gone(daemon: DaemonFactory) -> None:
    process = daemon({**REAL, "plugins.run": ("template",)})
    client = process.connect()
    pids = []
    for _ in range(3):
        status = process.wait_for(lambda s: state_of(process, "template") == "running")
        pids.append(status["plugins"][0]["pid"])
        client.ask("plugin_restart", name="template")
        assert not Path(f"/proc/{pids[-1]}").exists()
    assert len(set(pids)) == 3
    process.stop()


@pytest.mark.slow
def test_a_held_plugin_says_so_to_who_asks_for_its_parameters_and_leaves_no_socket(
    daemon: DaemonFactory, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_with(home, kills="import os\n" + PASSES.format(name="Kills") + "        os.kill(os.getpid(), 9)\n")
    process = daemon({**REAL, "plugins.run": ("kills",), "plugins.dirs": (folder,)})
    process.wait_for(lambda s: state_of(process, "kills") == "held", 60.0)
    where = ["--runtime-dir", str(process.directory)]
    assert eegctl(["get", *where, "kills"]) == 1
    said = capsys.readouterr().err
    assert "plugin 'kills' is held since " in said
    assert "SIGKILL, without a word; `eegctl plugin restart kills` starts it again" in said
    assert eegctl(["set", *where, "kills", "1"]) == 1
    assert "is held since" in capsys.readouterr().err
    assert not (process.directory / "kills.stream").exists()
    assert process.connect().streams() == ["raw"]
    process.stop()


def test_a_killed_plugin_of_others_is_no_input(daemon: DaemonFactory) -> None:
    process = daemon(REAL)
    client = process.connect()
    with by_hand(process.directory, "template") as other:
        open_when_there(client, "template").close()
        other.kill()
        other.wait()
    assert (process.directory / "template.stream").exists()
    assert client.streams() == ["raw"]
    with pytest.raises(EegdError, match=r"its input 'template' is no stream; there are: .*raw"):
        client.ask("plugin_add", plugin="bandpower", input="template")
    process.stop()


def test_the_list_of_plugins_has_instances_and_chains(
    daemon: DaemonFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[plugins.slow]\nplugin = "template"\n[plugins.both]\nchain = ["reference", "again=template"]\n'
    process = daemon({**REAL, "plugins.run": ("slow", "both", "template")}, text=text)
    process.wait_for(lambda s: {row["state"] for row in s["plugins"]} == {"running"})
    where = ["--runtime-dir", str(process.directory)]
    assert eegctl(["plugins", *where, "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)["instances"]}
    assert {name: (row["plugin"], row["chain"], row["input"]) for name, row in found.items()} == {
        "slow": ("template", [], "raw"),
        "both": (None, ["reference", "again=template"], "raw"),
        "template": ("template", [], "raw"),
    }
    assert all(row["state"] == "running" and row["pid"] for row in found.values())
    assert eegctl(["plugins", *where]) == 0
    said = capsys.readouterr().out
    assert "also here: slow (template, running), both (chain of reference, again=template; running)" in said
    process.stop()
