"""Arenas as rows of a file: in the published layout, or as gold episodes to learn from."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Literal, NamedTuple

from astra.arenas.formats.rows import to_row
from astra.arenas.gold import gold_rows
from astra.arenas.rename import Renamer
from astra.core.files import write_file
from astra.protocols import Sandbox
from astra.types import Arena, Json

ArenaFormat = Literal["astra-rl", "sft"]


class ExportedArenas(NamedTuple):
    """What an export wrote."""

    path: Path
    arenas: int
    rows: int


def export_rows(arenas: Iterable[Arena], out: Path) -> ExportedArenas:
    """Write arenas in the layout of the published data, one per line."""
    count = _write(out, map(to_row, arenas))
    return ExportedArenas(out, count, count)


async def export_gold(
    arenas: Iterable[Arena],
    out: Path,
    sandbox: Sandbox,
    *,
    reasoning: bool = True,
    mistakes: float = 0.0,
    renamed_copies: int = 0,
    seed: int = 0,
) -> ExportedArenas:
    """Write gold episodes as conversations with tools, one per line. Their calls are really made.

    `reasoning`: state before each turn's calls which sub-questions they answer. `mistakes`: share
    of arenas with a second episode, in which a call fails and is corrected. `renamed_copies`:
    further copies of each episode with other names in them. `seed` decides both. Raises HostError
    if an episode does not solve its arena.
    """
    stream: AsyncGenerator[dict[str, Json]] = gold_rows(
        *(arenas, sandbox), reasoning=reasoning, mistakes=mistakes, seed=seed
    )
    async with aclosing(stream):
        rows = [row async for row in stream]
    copies: list[dict[str, Json]] = []
    rename = Renamer(rows if renamed_copies else ())
    for copy in range(renamed_copies):
        for index, row in enumerate(rows):
            rng = random.Random(f"rename:{seed}:{copy}:{index}")
            copies.append({**rename(row, rng), "copy": copy + 1})
    count = sum("mistake" not in row for row in rows)
    return ExportedArenas(out, count, _write(out, [*rows, *copies]))


def _write(out: Path, rows: Iterable[dict[str, Json]]) -> int:
    """Write all rows or none; returns their number."""
    out.parent.mkdir(parents=True, exist_ok=True)
    count = 0

    def lines() -> Iterable[bytes]:
        nonlocal count
        for row in rows:
            count += 1
            yield json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"

    write_file(out, lines())
    return count
