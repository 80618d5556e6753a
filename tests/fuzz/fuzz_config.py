"""Configuration files and command-line settings: whatever they hold, out comes a Config, or a ConfigError that says
where and what. A Config prints as a file that reads back to an equal one."""

from __future__ import annotations

import random
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from eegd.changes import with_board, with_channel
from eegd.config import (
    TABLES,
    Config,
    effective_toml,
    load_config,
    parse_config,
)
from eegd.errors import ConfigError
from eegd.montage import CHANNEL_KEYS, MONTAGE_KEYS
from eegd.schema import keys_of
from tests.fuzz.common import alive, main, mutate_bytes, odd_value, watched

ROOT = Path(__file__).resolve().parents[2]
KEYS = {table: tuple(keys_of(cls)) for table, cls in TABLES.items()} | {"montage": tuple(MONTAGE_KEYS)}
WORDS = ("ADS1299", "ADS1299-4", "daisy", "cascade", "SRB1", "SRB2", "bipolar", "virtual", "Oz", "Cz", "EEG", "linux")
SETTINGS = (*KEYS["board"], *KEYS["stream"], "rate", "nonsense", "label", *CHANNEL_KEYS)


def sections() -> list[str]:
    """The tables of the shipped files, with every key that is commented out there taken in."""
    found = []
    for name in ("eegd.toml", "minimal.toml"):
        text = re.sub(r"(?m)^# ?(\w+ = |\[)", r"\1", (ROOT / "config" / name).read_text())
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        found += re.split(r"(?m)^(?=\[(?!\[))", "\n".join(lines))
    return [section for section in found if section.strip()]


def toml(rng: random.Random, value: Any) -> str:
    """A value in TOML's spelling, now and then in none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(rng, item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml(rng, item)}' for key, item in value.items()) + "}"
    if isinstance(value, str):
        return rng.choice(('"{}"', "'{}'", '"""{}"""', "{}")).format(value)
    if value is None:
        return rng.choice(("1979-05-27T07:32:00Z", "07:32:00", "1979-05-27", "0xFF", "1_000", "+5", ""))
    return str(value)


def random_value(rng: random.Random) -> Any:
    if rng.randrange(3) == 0:
        return rng.choice((*WORDS, 250, 500, 16000, 24, 12, True, False, [*WORDS[:2]], ["Oz", "Oz"], ["ADS1299"] * 4))
    return odd_value(rng)


def random_tree(rng: random.Random) -> str:
    """Known and unknown keys in known and unknown tables, with values of any type."""
    lines = []
    for _ in range(rng.randrange(1, 4)):
        table = rng.choice((*KEYS, "montage.channel", "plugins.bandpower", "boards", "a.b.c"))
        keys = KEYS.get(table, tuple(CHANNEL_KEYS))
        lines.append(f"[[{table}]]" if table == "montage.channel" or rng.randrange(15) == 0 else f"[{table}]")
        for _ in range(rng.randrange(5)):
            key = rng.choice(keys) if rng.randrange(8) else rng.choice(("x", "a.b", '""', "rate-sps", '"a b"', "1"))
            lines.append(f"{key} = {toml(rng, random_value(rng))}")
    return "\n".join(lines) + "\n"


def mutated_lines(rng: random.Random, parts: list[str]) -> str:
    """A shipped table or two in which values are replaced and lines dropped, doubled or swapped."""
    lines = "".join(f"{part}\n" for part in rng.sample(parts, rng.randrange(1, 3))).splitlines()
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(lines))
        key, equals, _ = lines[at].partition(" = ")
        action = rng.randrange(5)
        if action == 0:
            lines[at : at + 1] = []
        elif action == 1:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        elif equals:
            lines[at] = f"{key} = {toml(rng, random_value(rng))}"
        lines = lines or [""]
    return "\n".join(lines)


def bulky(rng: random.Random) -> str:
    """Much of one thing: what a parser may take long for."""
    n = rng.choice((100, 1000, 2000))
    piece = rng.choice(
        ("[a]\n", "[[a]]\n", "a.", "[", "{a=", "a=1\n", '"', "'''", "\\", "[[montage.channel]]\n", "1,\n", "x")
    )
    wrap = rng.choice(
        ("{}", "a = {}", "[{}]", "[[{}]]", "a = [{}]", "{} = 1", '[plugins."{}"]', '[board]\nchips = ["{}"]')
    )
    return wrap.replace("{}", piece * n)[:60_000]


def overrides(rng: random.Random) -> dict[str, object]:
    """As from the command line."""
    found: dict[str, object] = {}
    for _ in range(rng.randrange(3)):
        table = rng.choice((*KEYS, "nonsense", "plugins.bandpower"))
        found[f"{table}.{rng.choice((*KEYS.get(table, ()), 'x'))}"] = random_value(rng)
    return found


def check_refusal(error: ConfigError, name: str) -> None:
    """Every line names its source, then a table, a key or a line, then what is allowed; in few printable words."""
    lines = str(error).splitlines()
    assert 1 <= len(lines) <= 31, error
    for line in lines:
        source, place, text = (*line.split(": ", 2), "", "")[:3]
        assert source in {name, "command line"}, line
        whole_file = re.match(r"(longer than|not UTF-8|nested too deep|and more)", place)
        assert whole_file or (place and text) or re.match(r"line \d+|end of document", place), line
        assert line.isprintable() and len(line) < 5000, line


def check_config(config: Config) -> None:
    again = parse_config(effective_toml(config), "printed")
    assert again == config, effective_toml(config)


def one_file(rng: random.Random, parts: list[str], path: Path) -> str:
    kind = rng.choice(("bytes", "lines", "lines", "tree", "tree", "bulk" if rng.randrange(20) == 0 else "tree"))
    if kind == "bytes":
        data = mutate_bytes(rng, rng.choice(parts).encode())
    elif kind == "lines":
        data = mutated_lines(rng, parts).encode("utf-8", "surrogatepass")
    else:
        data = (bulky(rng) if kind == "bulk" else random_tree(rng)).encode("utf-8", "surrogatepass")
    given = overrides(rng) if rng.randrange(8) == 0 else {}
    path.write_bytes(data)
    try:
        config = load_config(path, given)
    except ConfigError as error:
        check_refusal(error, str(path))
        return f"{kind}: refused"
    except Exception:
        print(f"input: {data!r}\noverrides: {given!r}", file=sys.stderr)
        raise
    check_config(config)
    return f"{kind}: accepted"


def random_settings(rng: random.Random) -> dict[str, str]:
    """name=value as eegctl sends them."""
    return {rng.choice(SETTINGS): str(random_value(rng))[:5000] for _ in range(rng.randrange(1, 4))}


def one_setting(rng: random.Random, config: Config) -> str:
    settings = random_settings(rng)
    try:
        if rng.randrange(2):
            check_config(with_board(config, settings))
        else:
            check_config(with_channel(config, rng.choice(("Oz", "Cz", "Fp1", "nobody", "\n")), settings))
    except ConfigError as error:
        check_refusal(error, "built-in defaults")
        return "setting: refused"
    except Exception:
        print(f"settings: {settings!r}", file=sys.stderr)
        raise
    return "setting: accepted"


def run(n: int, seed: int) -> Counter[str]:
    """n files and settings."""
    rng = random.Random(seed)
    parts = sections()
    defaults = load_config(None)
    outcome: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as directory, watched():
        path = Path(directory) / "fuzz.toml"
        for _ in range(n):
            alive()
            outcome[one_setting(rng, defaults) if rng.randrange(5) == 0 else one_file(rng, parts, path)] += 1
    return outcome


if __name__ == "__main__":
    main("config", run)
