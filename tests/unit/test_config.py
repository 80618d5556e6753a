"""Reading, refusing and printing a configuration."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegd.changes import classify_changes, with_board, with_channel
from eegd.clocks import split_clocks
from eegd.config import (
    RATES_SPS,
    TABLES,
    Config,
    effective_toml,
    load_config,
    parse_config,
)
from eegd.detector_config import ROWS
from eegd.errors import ConfigError
from eegd.montage import CHANNEL_KEYS, GAINS, ChannelDefaults
from eegd.schema import check_value, keys_of, toml_value

CONFIG_DIR = Path(__file__).parents[2] / "config"
DEFAULT = load_config(None)
RATES = "ADS1299 offers 250, 500, 1000, 2000, 4000, 8000 or 16000"
CHIPS = "a list of 1 to 4 of ADS1299, ADS1299-6 or ADS1299-4"
PLAIN_SAYS = "a finite number, a text of at most 400 characters, true, false, or a list of these"
LINUX = '[board]\nkind = "linux"\ndrdy_line = "GPIO26"\nspi = ["/dev/spidev0.0"]\n'


def parse(text: str, overrides: dict[str, object] | None = None) -> Config:
    return parse_config(text, "eegd.toml", overrides)


def refusal(text: str, overrides: dict[str, object] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, overrides)
    return str(caught.value)


# Values


REFUSED = {
    "[board]\nrate_sps = 300": f"[board] rate_sps = 300: {RATES}",
    "[board]\nrate_sps = true": f"[board] rate_sps = true: {RATES}",
    '[board]\nrate_sps = "250"': f'[board] rate_sps = "250": {RATES}, without quotes',
    "[board]\nrate_sps = 250.0": f"[board] rate_sps = 250.0: {RATES}",
    '[board]\nkind = "real"': '[board] kind = "real": allowed: sim or linux',
    "[board]\nchips = []": f"[board] chips = []: {CHIPS}",
    '[board]\nchips = "ADS1299"': f'[board] chips = "ADS1299": {CHIPS}',
    "[board]\ndiscard = -1": "[board] discard = -1: a whole number from 0 to 1000 conversions",
    "[board]\ngpio = 256": "[board] gpio = 256: a byte, 0x00 to 0xFF",
    "[board]\nbias_amplifier = 1": "[board] bias_amplifier = 1: true or false",
    '[board]\nspi = ["/dev/spidev10.0"]': '[board] spi = ["/dev/spidev10.0"]: a list of up to 4 '
    "devices such as /dev/spidev0.0; bus 10 is a Raspberry Pi 5's boot flash",
    "[sim]\nfclk_ppm = nan": "[sim] fclk_ppm = nan: a number from -25000 to 25000 ppm",
    "[sim]\nfclk_ppm = -inf": "[sim] fclk_ppm = -inf: a number from -25000 to 25000 ppm",
    "[montage]\nmains_hz = 55": "[montage] mains_hz = 55: allowed: 50 or 60",
    "[stream]\nmax_readers = 64": "[stream] max_readers = 64: a whole number from 1 to 63 readers",
    '[daemon]\nruntime_dir = ""': '[daemon] runtime_dir = "": a path from the root on, such as /run/eegd',
    '[daemon]\ngroup = "a\\nb"': '[daemon] group = "a\\u000ab": the name of a group of this system',
    "[daemon]\ncpu = 2020-01-01": '[daemon] cpu = "2020-01-01": a whole number from 0 to 1023',
    "[board]\nrate_sp = 300": "[board] rate_sp = 300: unknown key; did you mean rate_sps?",
    "[replay]\nxyz = 1": "[replay] xyz = 1: unknown key; allowed: file, format or loop",
    "[bord]\nrate_sps = 250": "[bord]: unknown table; did you mean board?",
    "rate_sps = 250": "rate_sps = 250: outside any table; belongs below [board]",
    "rate = 250": "rate = 250: outside any table; did you mean rate_sps, below [board]?",
    '[daemon]\nrt_priority = "9x"': '[daemon] rt_priority = "9x": a whole number from 0 to 99',
    "board = 3": "board = 3: must be a table of keys",
    "[[board]]": "board = [{}]: must be a table of keys",
    "[stream]\nframe_ms = 4\nframe_samples = 2": "[stream] frame_samples = 2: give frame_ms or frame_samples, not both",
    "[board]\nrate_sps = 8000\n[stream]\nframe_ms = 100": "[stream] frame_ms = 100.0: "
    "800 samples at 8000 SPS; a frame holds at most 400, 50 ms at this rate",
    "[stream]\nframe_samples = 401": "[stream] frame_samples = 401: a whole number from 1 to 400 samples",
    "[board]\nlead_off_current_na = 24000": "[board] lead_off_current_na = 24000: 6 and 24 µA need "
    "allow_high_lead_off_current = true in the file: 24 µA DC exceeds the 10 µA that IEC 60601-1 allows "
    "through a patient",
    '[board]\nkind = "linux"\nspi = ["/dev/spidev0.0"]': "[board] drdy_line: missing; "
    'kind = "linux" waits for the edges of this line',
    LINUX + 'chips = ["ADS1299", "ADS1299"]': '[board] spi = ["/dev/spidev0.0"]: 2 chips as a cascade need 2 devices',
    LINUX + 'reset_line = "GPIO26"': '[board] reset_line = "GPIO26": already the drdy_line',
    LINUX + '[replay]\nfile = "x.txt"': '[replay] file = "x.txt": a recording is played through the '
    "emulated chip: "
    '[board] kind = "sim"',
    '[plugins]\nrun = ["a", "a"]': "[plugins] run: a is named 2 times",
    "[detector]\nname = 1": "detector = {…}: up to 32 tables, each written as [[detector]]",
    '[[detector]]\nname = "x"\nchannel = "fp1"\nthreshold_uv = 1': '[detector x] channel = "fp1": no channel that is '
    "on; did you mean Fp1?",
    '[[detector]]\nname = "x"\nchannel = "O1"': "[detector x] threshold_uv: missing; "
    'kind = "change" needs a number of µV',
    '[[detector]]\nname = "x"\nchannel = "O1"\nthreshold_uv = 1\ndc_removal_hz = 100': "[detector x] "
    "dc_removal_hz = 100.0: at 250 SPS the corner is at most 62.5 Hz",
    '[[detector]]\nname = "x"\nchannel = "O1"\nkind = "stream"': "[detector x] interval_s: missing; "
    'kind = "stream" needs it, or interval_samples',
    '[[detector]]\nname = "x"\nchannel = "O1"\nkind = "stream"\nthreshold_uv = 1\ninterval_s = 1': "[detector x] "
    'threshold_uv = 1.0: only kind = "change" has a threshold',
    '[[detector]]\nname = "x"\nchannel = "O1"\nthreshold_uv = true': "[detector x] threshold_uv = true: "
    "a number from -4500000 to 4500000 µV",
    '[[detector]]\nchannel = "O1"\nthreshold_uv = 1': "[detector #1] name: missing; a letter, then up to 31 letters, "
    "digits, . _ or -",
    '[[chip_marker]]\nname = "b"\npins = ["GPIO5"]': '[chip_marker b] pins = ["GPIO5"]: a list of 1 to 4 of GPIO1, '
    "GPIO2, GPIO3 or GPIO4",
    '[[chip_marker]]\nname = "b"\npins = ["GPIO1"]\nchip = 2': "[chip_marker b] chip = 2: the board has 1",
    '[board]\ngpio = 0x80\n[[chip_marker]]\nname = "b"\npins = ["GPIO1", "GPIO2"]': "[chip_marker b] pins = "
    '["GPIO1", "GPIO2"]: [board] gpio = 0x80 drives GPIO1 and GPIO2; 0x83 leaves what this marker needs as inputs',
    '[[chip_marker]]\nname = "b"\npins = ["GPIO1", "GPIO2"]\nedge = "rising"': '[chip_marker b] edge = "rising": '
    'several pins make a word, which has no edge: edge = "both"',
    "[plugins.a]\nx = nan": f"[plugins.a] x = nan: {PLAIN_SAYS}",
    '[plugins.a]\nchain = ["b"]\n[plugins.a.b]\nx = {y = 1}': f"[plugins.a] b.x = {{…}}: {PLAIN_SAYS}",
    "[plugins.a]\nx = {y = 1}": f"[plugins.a] x = {{…}}: {PLAIN_SAYS}",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_bad_value_names_file_table_key_value_and_what_is_allowed(text: str) -> None:
    assert refusal(text) == f"eegd.toml: {REFUSED[text]}"


def test_all_problems_of_a_file_are_told_at_once() -> None:
    lines = refusal("[board]\nrate_sps = 1\nkind = 2\n[sim]\nseed = -1\n[nothing]").splitlines()
    assert len(lines) == 4
    assert all(line.startswith("eegd.toml: [") for line in lines)


def test_endless_problems_are_cut_short() -> None:
    lines = refusal("[board]\n" + "".join(f"k{n} = {n}\n" for n in range(5000))).splitlines()
    assert len(lines) == 31
    assert lines[-1] == "eegd.toml: and more"


def test_whole_numbers_are_taken_for_numbers() -> None:
    assert parse("[stream]\nframe_ms = 8").stream.frame_ms == 8.0
    assert isinstance(parse("[stream]\nframe_ms = 8").stream.frame_ms, float)


def test_permission_allows_high_lead_off_currents() -> None:
    text = "[board]\nlead_off_current_na = 24000\nallow_high_lead_off_current = true"
    assert parse(text).board.lead_off_current_na == 24000


@pytest.mark.parametrize(
    ("text", "samples"),
    [
        ("[stream]\nframe_ms = 4", 1),
        ("[stream]\nframe_ms = 0.1", 1),
        ("[stream]\nframe_samples = 16", 16),
        ("[board]\nrate_sps = 16000", 64),
        ("[board]\nrate_sps = 16000\n[stream]\nframe_ms = 25", 400),
    ],
)
def test_frame_length_is_at_least_one_sample(text: str, samples: int) -> None:
    assert parse(text).samples_per_frame == samples


def test_names_from_the_file_are_quoted_where_they_could_garble_a_terminal() -> None:
    message = refusal('[plugins]\nx = 1\n[plugins."\\u001b[2J"]\n["\\n"]\n')
    assert message.splitlines()[0].startswith('eegd.toml: ["\\u000a"]: unknown table')
    assert "\x1b" not in message


# Files


def test_syntax_errors_name_line_and_column() -> None:
    assert re.fullmatch(r"eegd\.toml: line 2, column \d+: .+", refusal("[board]\nrate_sps = = 3"))


def test_unreadable_files_say_why(tmp_path: Path) -> None:
    latin, huge, fifo = tmp_path / "latin.toml", tmp_path / "huge.toml", tmp_path / "fifo"
    latin.write_bytes(b"[board]\n# \xe4\n")
    huge.write_bytes(b"#" * 300_000)
    os.mkfifo(fifo)
    reasons = {
        tmp_path / "none.toml": "cannot be read: No such file or directory",
        tmp_path: "a directory, not a file",
        latin: "line 2: not UTF-8 text (byte 0xE4)",
        huge: "longer than 64 KiB; this is no configuration file",
        fifo: "not a regular file",
        Path("/dev/zero"): "not a regular file",
        Path("a\0b"): "cannot be read: embedded null byte",
    }
    for path, reason in reasons.items():
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert str(caught.value) == f"{path}: {reason}"


def test_byte_order_mark_and_dos_line_ends_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "dos.toml"
    path.write_bytes("\ufeff[board]\r\nrate_sps = 500\r\n".encode())
    config = load_config(path)
    assert (config.board.rate_sps, config.path) == (500, str(path))


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 4000,
        f"a = {'9' * 4080}",
        f"a = 0x{'f' * 4080}",
        f"[daemon]\ncpu = 0x{'f' * 4080}",
        "a" + ".a" * 2000 + " = 1",
        "a" + ".a" * 60_000 + " = 1",
    ],
)
def test_monstrous_values_are_refused(text: str) -> None:
    assert refusal(text).startswith("eegd.toml: ")


# Overrides


def test_overrides_win_and_none_is_not_given() -> None:
    text = "[board]\nrate_sps = 250\n[stream]\nframe_ms = 8"
    config = parse(text, {"board.rate_sps": 500, "replay.file": None, "stream.frame_samples": 3})
    assert (config.board.rate_sps, config.replay.file, config.samples_per_frame) == (500, None, 3)
    assert parse("", {"replay.file": Path("r.txt")}).replay.file == "r.txt"


def test_a_bad_override_is_blamed_on_the_command_line() -> None:
    assert refusal("[sim]\nseed = -1", {"board.rate_sps": 300}).splitlines() == [
        "command line: [board] rate_sps = 300: ADS1299 offers 250, 500, 1000, 2000, 4000, 8000 or 16000",
        "eegd.toml: [sim] seed = -1: a whole number from 0 to 4294967295",
    ]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("rate", "rate = 500: outside any table"),
        ("board", "board = 500: must be a table"),
        ("bord.rate_sps", "[bord]: unknown table; did you mean board?"),
        ("sim.nope", "[sim] nope = 500: unknown key"),
        ("plugins.x.y.z", "[plugins.x] y = {…}: a finite number"),
    ],
)
def test_an_override_that_belongs_nowhere_is_blamed_on_the_command_line(key: str, said: str) -> None:
    assert refusal("", {key: 500}).startswith(f"command line: {said}")


def test_what_the_file_says_is_not_blamed_on_an_override_beside_it() -> None:
    assert refusal("board = 500", {"board.rate_sps": 500}).startswith("eegd.toml: board = 500: must be a table")
    assert refusal("[bord]\nrate_sps = 250", {"bord.gpio": 0}).startswith("eegd.toml: [bord]: unknown table")


# The files that come with eegd


def test_minimal_file_is_short_and_valid() -> None:
    config = load_config(CONFIG_DIR / "minimal.toml")
    assert config.plugins.run == ("bandpower",)
    assert len((CONFIG_DIR / "minimal.toml").read_text().splitlines()) < 25


def test_explained_file_changes_nothing() -> None:
    assert load_config(CONFIG_DIR / "eegd.toml") == DEFAULT


def explained_keys() -> list[tuple[str, str, str]]:
    """(table, key, value) of every line `key = value`, commented out or not."""
    found, table = [], ""
    for line in (CONFIG_DIR / "eegd.toml").read_text(encoding="utf-8").splitlines():
        if header := re.fullmatch(r"(?:# )?\[{1,2}([a-zA-Z_.]+)\]{1,2}", line):
            table = header[1]
        elif entry := re.fullmatch(r"(?:# )?([a-z0-9_]+) = (.+)", line):
            found.append((table, entry[1], entry[2]))
    return [entry for entry in found if entry[0] != "plugins.NAME"]


def test_explained_file_has_every_key_once_in_order_of_data_flow() -> None:
    expected = {f"{table}.{name}" for table, cls in TABLES.items() for name in keys_of(cls)}
    expected |= {f"montage.{name}" for name in keys_of(ChannelDefaults)}
    expected |= {f"montage.channel.{name}" for name in CHANNEL_KEYS}
    expected |= {f"{table}.{name}" for table, (_, cls, _) in ROWS.items() for name in keys_of(cls)}
    names = [f"{table}.{name}" for table, name, _ in explained_keys()]
    assert set(names) == expected
    assert len(names) == len(expected)
    tables = list(dict.fromkeys(name.split(".")[0] for name in names))
    assert [table for table in tables if table not in ROWS] == list(TABLES)
    assert tables.index("stream") < tables.index("detector") < tables.index("plugins")


@pytest.mark.parametrize(("table", "name", "value"), explained_keys())
def test_explained_values_are_the_defaults(table: str, name: str, value: str) -> None:
    shown = tomllib.loads(f"x = {value}")["x"]
    if table == "montage.channel":
        assert check_value(CHANNEL_KEYS[name], shown) == getattr(DEFAULT.montage.channels[0], name)
        return
    row = ROWS[table][1] if table in ROWS else TABLES[table]
    cls = ChannelDefaults if table == "montage" and name in keys_of(ChannelDefaults) else row
    default = {field.name: field.default for field in dataclasses.fields(cls)}[name]
    read = check_value(keys_of(cls)[name], shown) if shown != [] else ()
    assert default in (read, None, dataclasses.MISSING) or name == "labels"


# Detectors


DETECTORS = """
[[detector]]
name = "blink"
channel = "Fp1"
threshold_uv = 75
[[detector]]
name = "level"
channel = "O1"
kind = "stream"
interval_s = 0.1
[[chip_marker]]
name = "button"
chip = 2
pins = ["GPIO1", "GPIO3"]
[board]
chips = ["ADS1299", "ADS1299"]
"""


def test_detectors_print_and_read_back() -> None:
    config = parse(DETECTORS)
    assert [row.name for row in config.detectors] == ["blink", "level"]
    assert (config.detectors[1].interval(250), config.detectors[1].interval(16000)) == (25, 1600)
    assert config.chip_markers[0].hold == 1
    taken(config)
    assert with_board(config, {"rate": "500"}).detectors == config.detectors


def test_a_name_is_given_to_one_detector_only() -> None:
    message = refusal(DETECTORS.replace('"button"', '"blink"'))
    assert message == 'eegd.toml: [chip_marker blink] name = "blink": given twice; names of detectors are unique'


def test_a_changed_detector_is_a_live_change() -> None:
    config = parse(DETECTORS)
    assert classify_changes(config, parse(DETECTORS.replace("75", "80"))) == (["detector.blink"], [], [])
    without = parse(DETECTORS.replace('name = "button"', 'name = "other"'))
    assert classify_changes(config, without) == (["chip_marker.button", "chip_marker.other"], [], [])


def test_a_channel_with_a_detector_cannot_go_without_it() -> None:
    with pytest.raises(ConfigError, match=r'\[detector blink\] channel = "Fp1": no channel that is on'):
        with_channel(parse(DETECTORS), "Fp1", {"on": "no"})


def test_each_clock_gets_the_detectors_of_its_chip() -> None:
    first, second = split_clocks(parse(DETECTORS.replace("[board]", '[board]\nclocks = "own"')))
    assert [row.name for row in first.detectors] == ["blink", "level"]
    assert first.chip_markers == ()
    assert [(row.name, row.chip) for row in second.chip_markers] == [("button", 1)]
    assert second.detectors == ()


# Printing


def test_effective_output_says_units_and_choices() -> None:
    lines = effective_toml(DEFAULT).splitlines()
    assert "rate_sps = 250  # SPS" in lines
    assert 'kind = "sim"  # sim or linux' in lines
    assert "gpio = 0x0F" in lines
    assert "# drdy_line is not set" in lines


# Whatever is thrown at it


KEYS = sorted(
    {name for cls in [*TABLES.values(), *(cls for _, cls, _ in ROWS.values())] for name in keys_of(cls)}
    | set(CHANNEL_KEYS)
    | set(keys_of(ChannelDefaults))
    | {"channel", "NAME"}
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["sim", "linux", "daisy", "SRB1", "SRB2", "bipolar", "ADS1299", "ADS1299-4", "Oz", "GPIO26"])
    | st.sampled_from([250, 500, 16000, 24, 12, 1, 0])
    | st.dates()
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=12,
)
# EEGD_FUZZ asks for more examples of each kind.
SLOW = settings(
    max_examples=int(os.environ.get("EEGD_FUZZ", "100")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def taken(config: Config) -> None:
    """What is accepted must also print and read back."""
    assert parse_config(effective_toml(config), "again") == config


def test_the_longest_texts_and_long_lists_print_as_lines_that_read_back() -> None:
    texts = ["\x07" * 400, "\U000e0001" * 400, '"' * 400]
    values = "".join(f"text_{i} = {toml_value(text)}\n" for i, text in enumerate(texts))
    config = parse(f"[plugins.mine]\n{values}list = {toml_value(texts)}\nmany = {toml_value([*range(3000)])}\n")
    assert config.plugins.params["mine"]["list"] == texts
    taken(config)
    with pytest.raises(ConfigError, match="text of at most 400 characters"):
        parse(f"[plugins.mine]\nx = '{'x' * 401}'\n")


@SLOW
@given(
    st.dictionaries(
        st.sampled_from([*TABLES, *ROWS]),
        st.dictionaries(st.sampled_from(KEYS), TREES, max_size=5) | TREES,
        max_size=4,
    )
)
def test_any_tree_is_taken_or_refused_with_config_error(tree: dict[str, Any]) -> None:
    overrides: dict[str, object] = {}
    for table, value in tree.items():
        pairs = value.items() if isinstance(value, dict) else [("", value)]
        overrides |= {f"{table}.{name}" if name else table: item for name, item in pairs}
    try:
        config = parse("", overrides)
    except ConfigError as error:
        assert "\n\n" not in str(error)
        assert all(line.isprintable() for line in str(error).split("\n"))
    else:
        taken(config)


@SLOW
@given(
    st.sampled_from(["minimal.toml", "eegd.toml"]),
    st.lists(
        st.tuples(st.integers(0, 20_000), st.integers(0, 6), st.text(max_size=4) | st.sampled_from("=[]{}\"'#\n.,0")),
        min_size=1,
        max_size=4,
    ),
)
def test_mutated_files_raise_nothing_but_config_error(name: str, edits: list[tuple[int, int, str]]) -> None:
    text = (CONFIG_DIR / name).read_text(encoding="utf-8").replace("\n# ", "\n")
    for place, length, new in edits:
        at = place % len(text)
        text = text[:at] + new + text[at + length :]
    try:
        config = parse(text)
    except ConfigError:
        return
    taken(config)


@SLOW
@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing_but_config_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.toml"
    path.write_bytes(data)
    with contextlib.suppress(ConfigError):
        load_config(path)


PLAIN = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
LABELS = st.from_regex(r"[A-Za-z0-9!-+/_~.]{1,16}", fullmatch=True).filter(lambda label: label not in ("SRB1", "SRB2"))


@st.composite
def valid_overrides(draw: st.DrawFn) -> dict[str, object]:
    labels = draw(st.lists(LABELS, min_size=1, max_size=8, unique=True))
    rows = [
        {"label": label, "gain": draw(st.sampled_from(GAINS)), "bad": draw(st.booleans())}
        for label in draw(st.sets(st.sampled_from(labels)))
    ]
    overrides: dict[str, object] = {
        "board.rate_sps": draw(st.sampled_from(RATES_SPS)),
        "board.gpio": draw(st.integers(0, 255)),
        "board.chips": ["ADS1299", *draw(st.lists(st.sampled_from(["ADS1299", "ADS1299-6"]), max_size=3))],
        "sim.fclk_ppm": draw(st.floats(-25_000, 25_000)),
        "montage.labels": labels,
        "montage.wiring": draw(st.sampled_from(["SRB1", "SRB2", "bipolar"])),
        "montage.bias": draw(st.booleans()),
        "montage.reference": draw(st.from_regex(r"[ -~]{1,32}", fullmatch=True)),
        "montage.channel": rows,
        draw(st.sampled_from(["stream.frame_samples", "daemon.cpu"])): draw(st.integers(1, 400)),
    }
    for plugin in draw(st.sets(st.sampled_from(["bandpower", "my-filter", "x_1"]))):
        params = st.dictionaries(NAMES, PLAIN | st.lists(PLAIN, max_size=3), max_size=3)
        overrides[f"plugins.{plugin}"] = draw(params)
    return overrides


@SLOW
@given(valid_overrides())
def test_effective_output_reads_back_to_an_equal_configuration(overrides: dict[str, object]) -> None:
    config = parse("", overrides)
    taken(config)
    assert classify_changes(config, parse(effective_toml(config))) == ([], [], [])


@SLOW
@given(st.sampled_from(KEYS) | st.text(max_size=8), st.text(max_size=12), st.sampled_from(["O1", "Fp1", "no"]))
def test_any_command_raises_nothing_but_config_error(name: str, word: str, label: str) -> None:
    with contextlib.suppress(ConfigError):
        taken(with_board(DEFAULT, {name: word}))
    with contextlib.suppress(ConfigError):
        taken(with_channel(DEFAULT, label, {name: word}))


def test_the_tables_of_a_chains_stages_become_parameters_named_after_them() -> None:
    config = parse('[plugins.clean]\nchain = ["reference", "filter"]\ninput = "raw"\n[plugins.clean.filter]\nlow = 1\n')
    assert config.plugins.params["clean"] == {"chain": ["reference", "filter"], "input": "raw", "filter.low": 1}
    assert parse(effective_toml(config)).plugins == config.plugins
    changed = parse_config(effective_toml(config), "eegd.toml", {"plugins.clean.filter.low": 2})
    assert changed.plugins.params["clean"]["filter.low"] == 2
