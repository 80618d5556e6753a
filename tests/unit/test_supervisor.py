"""What the supervisor refuses before it starts anything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from eegd.errors import ParamError
from eegd.settings import PluginsConfig
from eegd.supervisor import Supervisor


class Events:
    def post(self, kind: str, label: str, *, value: float | None = None, source: str = "eegd", **facts: Any) -> None:
        raise AssertionError(f"{kind}: {label}")


@pytest.mark.parametrize("word", ["--supervised", "-d", "-1e3", "-1,2", "-5.", "-.x", "-inf", "--", "-"])
def test_a_word_that_a_command_line_would_take_for_an_option_needs_the_name_of_its_parameter(
    directory: Path, word: str
) -> None:
    async def add() -> None:
        await Supervisor(directory, PluginsConfig(), Events()).add("detect", words=["100", word])

    with pytest.raises(ParamError, match=r"parameters are written name=value"):
        asyncio.run(add())
