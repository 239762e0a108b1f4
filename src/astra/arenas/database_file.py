"""`databases.jsonl` of a run folder of arenas: the databases that arenas with a state begin with.

A row of `arenas.jsonl` names its database by id; many arenas share one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.types import Arena, ArenaRow, Database, Record

DATABASES = "databases"
_CACHED = 32


class DatabaseRow(Record):
    """A row of `databases.jsonl`."""

    id: str
    """`Database.id`."""
    database: Database


class DatabasePool:
    """The databases of a run folder by id. The index is made on the first look-up."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._offsets: dict[str, int] | None = None
        self._read = lru_cache(_CACHED)(self._read_row)

    def of(self, arena: Arena | ArenaRow) -> Database | None:
        """The database that an arena names. None if it has no state. Raises StoreError."""
        if arena.state is None or arena.state.database is None:
            return None
        database = arena.state.database
        return database if isinstance(database, Database) else self._read(database)

    def completed(self, arena: Arena) -> Arena:
        """The arena with its database in place of the id."""
        if arena.state is None:
            return arena
        state = arena.state.model_copy(update={"database": self.of(arena)})
        return arena.model_copy(update={"state": state})

    def _read_row(self, database_id: str) -> Database:
        if self._offsets is None:
            self._offsets = {
                str(row.get("id")): offset for offset, row in self._folder.values(DATABASES)
            }
        offset = self._offsets.get(database_id)
        path = str(self._folder.path / f"{DATABASES}.jsonl")
        if offset is None:
            raise StoreError(
                f"{path!r} holds no database {database_id!r}, which an arena begins with: restore "
                "the file"
            )
        database = self._folder.row_at(DATABASES, offset, DatabaseRow).database
        if database.id != database_id:
            raise StoreError(
                f"{path!r}: database {database_id!r} was changed by hand (its content has the hash "
                f"{database.id!r}): restore the file, or make the arenas again"
            )
        return database


def databases_of(arenas: Iterable[Arena]) -> Iterator[Database]:
    """The databases of arenas, each once, in the order of the arenas."""
    seen: set[str] = set()
    for arena in arenas:
        database = None if arena.state is None else arena.state.database
        if isinstance(database, Database) and database.id not in seen:
            seen.add(database.id)
            yield database
