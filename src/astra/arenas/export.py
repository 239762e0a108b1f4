"""Arenas as rows of a file: in the published layout, or as gold episodes to learn from."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from astra.arenas.formats.rows import to_row
from astra.arenas.gold import gold_rows
from astra.arenas.rename import Renamer
from astra.core.files import replacing, write_file
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
    count = 0

    def lines() -> Iterator[bytes]:
        nonlocal count
        for arena in arenas:
            count += 1
            yield _line(to_row(arena))

    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, lines())
    return ExportedArenas(out, count, count)


async def export_gold(
    arenas: Iterable[Arena],
    out: Path,
    sandbox: Sandbox,
    *,
    reasoning: bool = True,
    renamed_copies: int = 0,
    seed: int = 0,
) -> ExportedArenas:
    """Write gold episodes as conversations with tools, one per line. Their calls are really made.

    `reasoning`: state before each turn's calls which sub-questions they answer. `renamed_copies`:
    further copies of each episode with other names in them, which `seed` decides. Raises HostError
    if an episode does not solve its arena.
    """
    count = 0
    stream: AsyncGenerator[dict[str, Json]] = gold_rows(arenas, sandbox, reasoning=reasoning)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary, temporary.open("wb") as file:
        async with aclosing(stream):
            async for row in stream:
                file.write(_line(row))
                count += 1
        file.flush()

        def episodes() -> Iterator[dict[str, Json]]:
            # From the file: they may be more than memory holds.
            with temporary.open("rb") as written:
                yield from map(json.loads, islice(written, count))

        rename = Renamer(episodes() if renamed_copies else ())
        for copy in range(renamed_copies):
            for index, row in enumerate(episodes()):
                rng = random.Random(f"rename:{seed}:{copy}:{index}")
                file.write(_line({**rename(row, rng), "copy": copy + 1}))
    return ExportedArenas(out, count, count * (1 + renamed_copies))


def _line(row: dict[str, Json]) -> bytes:
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
