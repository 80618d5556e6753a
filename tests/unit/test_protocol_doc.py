"""docs/protocol.md against the C headers: every field's offset and type, every constant, and nothing left out."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
HEADERS = {
    "eegd_segment_header": "layout.h",
    "eegd_lease_page": "layout.h",
    "eegd_message": "layout.h",
    "eegd_descriptor": "descriptor.h",
    "eegd_descriptor_source": "descriptor.h",
    "header": "counters_private.h",
    "entry": "counters_private.h",
}
SIZES = {"u32": 4, "u64": 8, "i64": 8, "f64": 8, "u32[4]": 16, "char[112]": 112, "u64[]": 0}


@dataclass(frozen=True, slots=True)
class Row:
    struct: str
    offset: int
    type: str
    field: str


def offset_rows() -> list[Row]:
    """Rows of all tables whose first column is `offset`; the struct is the last one named before the table."""
    rows, text, inside = [], "", False
    for line in DOCUMENT.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        inside = line.startswith("| offset ") or (inside and line.startswith("|"))
        if not inside:
            text += line + " "
        elif cells[0].isdigit():
            struct = [name for name in re.findall(r"`struct\s+(\w+)`", text) if name in HEADERS][-1]
            rows.append(Row(struct, int(cells[0]), cells[1], cells[2].strip("`")))
    return rows


ROWS = offset_rows()
CONSTANTS = {name: int(value) for name, value in re.findall(r"^\| `(EEGD_\w+)` \| (\d+) \|", DOCUMENT, re.MULTILINE)}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Offsets, sizes and constants as a C compiler sees them."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    lines = [f'printf("{name} %lld\\n", (long long)({name}));' for name in CONSTANTS]
    for row in ROWS:
        place = f"{row.struct}.{row.field}"
        lines.append(f'printf("{place} %zu\\n", offsetof(struct {row.struct}, {row.field}));')
        if row.type != "u64[]":
            lines.append(f'printf("{place}.size %zu\\n", sizeof(((struct {row.struct} *)0)->{row.field}));')
    lines += [f'printf("{name}.size %zu\\n", sizeof(struct {name}));' for name in HEADERS]
    lines += ['printf("page magic %lld\\n", (long long)EEGD_PAGE_MAGIC);']
    lines += ['printf("segment magic %lld\\n", (long long)EEGD_SEGMENT_MAGIC);']
    lines += ['printf("counters magic %lld\\n", (long long)MAGIC);']
    source = tmp_path_factory.mktemp("layout") / "layout.c"
    includes = '#define _GNU_SOURCE\n#include <stdio.h>\n#include "layout.h"\n#include "counters_private.h"\n'
    source.write_text(includes + "int main(void)\n{\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
    program = source.with_suffix("")
    subprocess.run([compiler, "-std=gnu11", f"-I{ROOT / 'native'}", "-o", program, source], check=True)
    output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.rsplit(" ", 1) for line in output.splitlines())}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.struct}.{row.field}")
def test_each_documented_offset_and_size_is_the_compilers(row: Row, measured: dict[str, int]) -> None:
    assert measured[f"{row.struct}.{row.field}"] == row.offset
    if row.type != "u64[]":
        assert measured[f"{row.struct}.{row.field}.size"] == SIZES[row.type]


@pytest.mark.parametrize("struct", HEADERS)
def test_each_field_of_a_shared_struct_is_documented(struct: str) -> None:
    text = (ROOT / "native" / HEADERS[struct]).read_text(encoding="utf-8")
    match = re.search(rf"^struct {struct} {{$(.*?)^}};$", text, re.DOTALL | re.MULTILINE)
    assert match is not None
    body = re.sub(r"/\*.*?\*/", "", match[1], flags=re.DOTALL)
    fields = set(re.findall(r"(\w+)(?:\[\w*\])?;", body))
    hidden = {name for name in fields if name.startswith("reserved") or name.endswith("_pad")}
    assert {row.field for row in ROWS if row.struct == struct} == fields - hidden


@pytest.mark.parametrize("name", CONSTANTS)
def test_each_documented_constant_is_the_headers(name: str, measured: dict[str, int]) -> None:
    assert measured[name] == CONSTANTS[name]


def test_flags_kinds_and_states_are_all_documented() -> None:
    text = "".join((ROOT / "native" / name).read_text(encoding="utf-8") for name in ("descriptor.h", "layout.h"))
    names = set(re.findall(r"#define (EEGD_(?:FLAG|KIND|LEASE)_\w+)", text)) - {"EEGD_LEASE_FRAME_MAX"}
    assert names <= CONSTANTS.keys()


def test_magic_numbers_and_record_sizes_are_as_documented(measured: dict[str, int]) -> None:
    magics = [int(text, 16) for text in re.findall(r"`magic` \| (0x[0-9a-f]{16})", DOCUMENT)]
    assert magics == [measured["segment magic"], measured["page magic"], measured["counters magic"]]
    assert measured["eegd_segment_header.size"] == 256
    assert measured["eegd_descriptor.size"] == measured["header.size"] == measured["entry.size"] == 128
    assert measured["eegd_message.size"] == measured["eegd_descriptor_source.size"] == 32
