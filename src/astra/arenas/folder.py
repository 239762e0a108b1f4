"""Files of a run folder of arenas: `arenas.jsonl`, `tools.jsonl`, `certificates.jsonl`, and
`databases.jsonl` where arenas have a state.

A row of `arenas.jsonl` names its distractors by id. Each tool is stored once, in `tools.jsonl`,
which is also the pool that distractors are drawn from. It is read through an index of offsets, so
that memory does not grow with the run. `astra.arenas.sets.ArenaSet` reads all three files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from typing import Literal

from astra.arenas.certificates import Certificate
from astra.arenas.database_file import DATABASES, DatabasePool, DatabaseRow, databases_of
from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import JsonlLog, to_line
from astra.runs.repetitions import unique_values
from astra.types import (
    Arena,
    ArenaRow,
    Distractor,
    DistractorReference,
    Json,
    Record,
    Tool,
    arena_id,
    canonical_json,
)

ARENAS = "arenas"
TOOLS = "tools"
CERTIFICATES = "certificates"
_CACHED_TOOLS = 256


class ToolRow(Record):
    """A row of `tools.jsonl`: a tool that can be another arena's distractor."""

    id: str
    """`Tool.id`."""
    tool: Tool
    arena: str
    """Id of the arena, without distractors, that the tool was made for."""
    split: Literal["train", "test"]
    """Split of that arena; train arenas never show tools of test arenas."""


class ToolPool:
    """The tools of a run folder by id. The index is made on the first look-up."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._offsets: dict[str, int] | None = None
        self._read = lru_cache(_CACHED_TOOLS)(self._read_row)

    def __getitem__(self, tool_id: str) -> Tool:
        """The tool of that id; StoreError if the folder does not hold it."""
        return self._read(tool_id).tool

    def _read_row(self, tool_id: str) -> ToolRow:
        if self._offsets is None:
            self._offsets = {
                str(row.get("id")): offset for offset, row in self._folder.values(TOOLS)
            }
        offset = self._offsets.get(tool_id)
        if offset is None:
            path = str(self._folder.path / f"{TOOLS}.jsonl")
            raise StoreError(
                f"{path!r} holds no tool {tool_id!r}, which an arena shows as a distractor: "
                "restore the file"
            )
        row = self._folder.row_at(TOOLS, offset, ToolRow)
        if row.tool.id != tool_id:
            raise StoreError(
                f"tool {tool_id!r} of {str(self._folder.path)!r} was changed by hand (its content "
                f"has the hash {row.tool.id!r}): restore the files, or see `astra arenas certify`"
            )
        return row

    def distractors(self, references: Iterable[DistractorReference]) -> list[Distractor]:
        """The tools that an arena's references name, in their order. Raises StoreError."""
        distractors: list[Distractor] = []
        for reference in references:
            tool = self[reference.tool]
            # The name stands in the row as well, for readers of the file: both must agree.
            if reference.name != tool.name:
                raise StoreError(
                    f"an arena calls tool {reference.tool!r} {reference.name!r}, but it is named "
                    f"{tool.name!r}: restore the files, or make the arenas again"
                )
            distractors.append(Distractor.of(tool, reference.band, reference.similarity))
        return distractors


def pool_rows(folder: RunFolder, split: Literal["train", "test"]) -> Iterator[Json]:
    """Rows of `tools.jsonl` that arenas of a split may show: those of `train` only its own."""
    # Else a tool of a line that stands twice would be drawn twice as often.
    unique = unique_values(folder, TOOLS, lambda row: hash(canonical_json(row)))
    rows = (row for _, row in unique)
    return rows if split == "test" else (row for row in rows if row["split"] == "train")


def complete_arena(row: ArenaRow, pool: ToolPool, databases: DatabasePool) -> Arena:
    """The arena of a row, with its distractors and its database.

    Raises StoreError for a row that was changed after it got its id: no certificate covers it.
    """
    actual = arena_id(row.model_dump(mode="json"))
    if actual != row.id:
        raise StoreError(
            f"arena {row.id!r} was changed by hand (its content has the hash {actual!r}): restore "
            "the files, or see `astra arenas certify`"
        )
    return row.arena(pool.distractors(row.distractors), databases.of(row))


def write_arenas(
    folder: RunFolder,
    arenas: Iterable[Arena],
    tools: Iterable[Json],
    certificates: Iterable[Certificate],
) -> None:
    """Write arenas and their certificates, and rows of `tools`, with the tools that arenas show.

    What is written is not kept: folders may be larger than memory.
    """
    with folder.lock(), ExitStack() as files:
        # Of tools and databases: many arenas share one, and the first that brings it writes it.
        known: set[str] = set()

        def emptied(name: str) -> JsonlLog:
            log = files.enter_context(folder.append(name))
            log.cut(0)
            return log

        def write(log: JsonlLog, row: ToolRow | DatabaseRow) -> None:
            known.add(row.id)
            log.append([to_line(row)])

        rows, pool = emptied(ARENAS), emptied(TOOLS)
        for row in map(ToolRow.model_validate, tools):
            if row.id not in known:
                write(pool, row)
        stored: JsonlLog | None = None
        for arena in arenas:
            rows.append([to_line(arena.row())])
            for database in databases_of([arena]):
                if database.id not in known:
                    stored = emptied(DATABASES) if stored is None else stored
                    write(stored, DatabaseRow(id=database.id, database=database))
            # Tools over a database can't be shown elsewhere: they would find none.
            own = arena.tools if arena.state is None else ()
            for tool in (*own, *arena.distractors):
                if tool.id not in known:
                    write(pool, ToolRow(id=tool.id, tool=tool, arena=arena.id, split=arena.split))
        log = emptied(CERTIFICATES)
        for certificate in certificates:
            log.append([to_line(certificate)])
