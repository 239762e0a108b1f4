"""Files of a run folder of arenas: `arenas.jsonl`, `tools.jsonl`, `certificates.jsonl`, and
`databases.jsonl` where arenas have a state.

A row of `arenas.jsonl` names its distractors by id. Each tool is stored once, in `tools.jsonl`,
which is also the pool that distractors are drawn from. It is read through an index of offsets, so
that memory does not grow with the run. `astra.arenas.sets.ArenaSet` reads all three files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal

from astra.arenas.certificates import Certificate
from astra.arenas.database_file import DATABASES, DatabasePool, DatabaseRow, databases_of
from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.runs.repetitions import unique_values
from astra.types import (
    Arena,
    ArenaRow,
    Database,
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
    tools: dict[str, Json],
    certificates: Iterable[Certificate],
) -> None:
    """Write arenas and their certificates, and `tools`, with those that the arenas show, too."""
    # By id: many arenas share a tool, and the first that brings it is named in its row.
    pool = {tool_id: ToolRow.model_validate(row) for tool_id, row in tools.items()}
    databases: dict[str, Database] = {}
    with folder.lock():
        with folder.append(ARENAS) as rows:
            rows.cut(0)
            for arena in arenas:
                rows.append([to_line(arena.row())])
                databases |= {database.id: database for database in databases_of([arena])}
                # Tools over a database can't be shown elsewhere: they would find none.
                own = arena.tools if arena.state is None else ()
                for tool in (*own, *arena.distractors):
                    tool_id = tool.id
                    if tool_id not in pool:
                        pool[tool_id] = ToolRow(
                            id=tool_id, tool=tool, arena=arena.id, split=arena.split
                        )
        with folder.append(TOOLS) as rows:
            rows.cut(0)
            rows.append([to_line(row) for row in pool.values()])
        if databases:
            with folder.append(DATABASES) as rows:
                rows.cut(0)
                rows.append(
                    [to_line(DatabaseRow(id=key, database=d)) for key, d in databases.items()]
                )
        with folder.append(CERTIFICATES) as rows:
            rows.cut(0)
            rows.append([to_line(certificate) for certificate in certificates])
