"""Arenas of a run folder, each with the working tools of its distractors.

`arenas.jsonl` is streamed; `tools.jsonl`, the pool that distractors are drawn from, is read through
an index of offsets, so that memory does not grow with the run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.types import Arena, Record, Tool, arena_id

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
        return self._folder.row_at(TOOLS, offset, ToolRow)

    def distractors(self, arena: Arena) -> list[Tool]:
        """The tools shown beside the arena's own, in its order."""
        tools = [self[distractor.tool] for distractor in arena.distractors]
        for distractor, tool in zip(arena.distractors, tools, strict=True):
            if distractor.name != tool.name:
                raise StoreError(
                    f"arena {arena.id!r} calls tool {distractor.tool!r} {distractor.name!r}, but "
                    f"it is named {tool.name!r}: restore the file, or make the arenas again"
                )
        return tools


def hash_problem(arena: Arena, distractors: Iterable[Tool]) -> str:
    """What no longer has the hash that names it, the arena or a distractor's tool; "" if all do."""
    found = arena_id(arena.model_dump(mode="json"))
    if found != arena.id:
        return f"the arena's content has the hash {found!r}"
    for declared, tool in zip(arena.distractors, distractors, strict=True):
        if tool.id != declared.tool:
            return f"tool {declared.tool!r} has content with the hash {tool.id!r}"
    return ""


def read_arenas(
    path: Path, split: Literal["train", "test"] | None = None, ids: Collection[str] | None = None
) -> Iterator[tuple[Arena, list[Tool]]]:
    """The arenas of a run folder with the tools of their distractors, one at a time.

    `ids`: only those; StoreError at the end if one of them was not found, and for an arena that
    was changed after it had got its id, for no certificate speaks of it.
    """
    folder = RunFolder.open(path)
    pool = ToolPool(folder)
    missing = None if ids is None else set(ids)
    for arena in folder.rows(ARENAS, Arena):
        if missing is not None:
            if arena.id not in missing:
                continue
            missing.discard(arena.id)
        if split is None or arena.split == split:
            distractors = pool.distractors(arena)
            if problem := hash_problem(arena, distractors):
                raise StoreError(
                    f"arena {arena.id!r} of {str(path)!r} was changed by hand ({problem}): restore "
                    "the files, or see `astra arenas certify`"
                )
            yield arena, distractors
    if missing:
        raise StoreError(
            f"{str(path)!r} holds no arena {sorted(missing)[0]!r} ({len(missing)} of the ids asked "
            "for are missing): see `astra arenas stats` for what it holds"
        )


def find_arena(path: Path, id_prefix: str) -> tuple[Arena, list[Tool]]:
    """The one arena whose id begins so; StoreError if there is none, or more than one."""
    folder = RunFolder.open(path)
    found: dict[str, int] = {}
    first: str | None = None
    for offset, row in folder.values(ARENAS):
        arena_id = str(row.get("id"))
        first = first or arena_id
        if arena_id.startswith(id_prefix):
            found[arena_id] = offset
    if id_prefix in found:
        found = {id_prefix: found[id_prefix]}
    if not found:
        known = f"ids look like {first!r}" if first else "it holds no arenas"
        raise StoreError(f"{str(path)!r} holds no arena {id_prefix!r}: {known}")
    if len(found) > 1:
        some = ", ".join(repr(arena_id) for arena_id in list(found)[:3])
        raise StoreError(
            f"{len(found)} arenas of {str(path)!r} begin with {id_prefix!r} ({some}, …): give more "
            "of the id"
        )
    arena = folder.row_at(ARENAS, next(iter(found.values())), Arena)
    return arena, ToolPool(folder).distractors(arena)
