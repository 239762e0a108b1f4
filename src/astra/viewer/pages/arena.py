"""One arena: question, goals, tools, gold calls, what it changes, certificate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from astra.arenas.certificates import Certificate, defect_of
from astra.arenas.database_file import DatabasePool
from astra.arenas.folder import CERTIFICATES, ToolPool, complete_arena
from astra.databases import Cell, Database, DatabaseTable, RowChange, shown_cell
from astra.errors import AstraError
from astra.types import Arena, ArenaRow, ArenaState, Distractor
from astra.viewer.goal_graph import goal_graph
from astra.viewer.pages.asked import Asked, Row, Shown
from astra.viewer.row_index import RowQuery
from astra.viewer.shelf import Run


class CellChange(NamedTuple):
    """A cell before and after, as it is read."""

    before: str
    after: str
    changed: bool


class ChangedRow(NamedTuple):
    """A row of a table that is to change, or has changed."""

    key: str | int
    kind: str
    """`new`, `gone` or `changed`."""
    cells: list[CellChange]


class ChangedTable(NamedTuple):
    """The rows of a table that change, side by side with what they were."""

    name: str
    columns: list[str]
    rows: list[ChangedRow]
    others: int
    """Rows that stay as they are."""


@dataclass(frozen=True)
class ReadArena:
    """An arena as far as its files can be read."""

    arena: Arena
    problem: str
    """What is wrong with the files: an arena that was changed is shown, and told."""


def read_arena(row: Row) -> ReadArena:
    """The arena of a row with its distractors and database, where they are to be had."""
    folder = row.run.folder
    stored = row.record(ArenaRow)
    tools, databases = ToolPool(folder), DatabasePool(folder)
    try:
        return ReadArena(complete_arena(stored, tools, databases), "")
    except AstraError as error:
        problem = str(error)
    distractors: list[Distractor] = []
    database: Database | None = None
    for reference in stored.distractors:
        try:
            distractors += tools.distractors([reference])
        except AstraError:
            continue
    with suppress(AstraError):
        database = databases.of(stored)
    return ReadArena(stored.arena(distractors, database), problem)


def find_certificate(run: Run, arena_id: str) -> Certificate | None:
    """The last certificate of an arena in the folder, or None."""
    offset = run.index(next(each for each in run.listings if each.name == "arenas")).beside(
        arena_id
    )
    return None if offset is None else run.folder.row_at(CERTIFICATES, offset, Certificate)


def arena_page(asked: Asked, row: Row) -> Shown:
    """`RUN/arenas/ID.html`."""
    read = read_arena(row)
    arena = read.arena
    certificate, problem = None, ""
    try:
        certificate = find_certificate(row.run, arena.id)
    except AstraError as error:
        problem = str(error)
    state = arena.state
    return "arena.html", {
        "title": f"Arena {arena.id}",
        "row": row,
        "arena": arena,
        "graph": goal_graph(arena.goals),
        "state": state,
        "tables": [] if state is None else state_changes(state, wanted_changes(state)),
        "database": _database(state),
        "certificate": certificate,
        "defect": "" if certificate is None else defect_of(certificate.model_dump(mode="json")),
        "writes": {} if state is None else state.writes,
        "problems": [text for text in (read.problem, problem) if text],
        "played": [
            (run, listing)
            for run in asked.shelf.runs().values()
            for listing in run.listings
            if listing.name in ("episodes", "credit")
            and asked.index(run, listing).find(RowQuery(arena.id), start=0, count=1).total
        ],
    }


def _database(state: ArenaState | None) -> Database | None:
    return state.database if state is not None and isinstance(state.database, Database) else None


def wanted_changes(state: ArenaState) -> list[RowChange]:
    """What the goals of a state bring about, in their order."""
    return [change for goal in state.goals for change in goal.changes]


def state_changes(state: ArenaState, changes: Iterable[RowChange]) -> list[ChangedTable]:
    """Changes by table, the rows as they were and as they are afterwards."""
    database = _database(state)
    if database is None:
        return []
    by_table: dict[str, list[RowChange]] = {}
    for change in changes:
        by_table.setdefault(change.table, []).append(change)
    return [
        _changed_table(table, by_table[table.name])
        for table in database.tables
        if table.name in by_table
    ]


def _changed_table(table: DatabaseTable, changes: Sequence[RowChange]) -> ChangedTable:
    before: dict[Cell, Mapping[str, Cell] | None] = {}
    after: dict[Cell, dict[str, Cell] | None] = {}
    for change in changes:
        stored = table.rows_by_key.get(change.key)
        before.setdefault(change.key, stored)
        if change.after is None:
            after[change.key] = None
        else:
            # An update names only the columns that it changed.
            after[change.key] = {**(after.get(change.key) or stored or {}), **change.after}
    rows = [_changed_row(table, key, before[key], after[key]) for key in before]
    touched = sum(old is not None for old in before.values())
    names = [column.name for column in table.columns]
    return ChangedTable(table.name, names, rows, len(table.rows) - touched)


def _changed_row(
    table: DatabaseTable,
    key: Cell,
    old: Mapping[str, Cell] | None,
    new: Mapping[str, Cell] | None,
) -> ChangedRow:
    cells: list[CellChange] = []
    for column in table.columns:
        was = "" if old is None else shown_cell(column, old.get(column.name))
        now = "" if new is None else shown_cell(column, new.get(column.name))
        cells.append(CellChange(was, now, was != now))
    kind = "new" if old is None else "gone" if new is None else "changed"
    return ChangedRow(key if key is not None else "", kind, cells)
