"""`databases.jsonl` of a run folder of arenas: the databases that arenas with a state begin with.

A row of `arenas.jsonl` names its database by id; many arenas share one.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from functools import lru_cache
from os import SEEK_END
from tempfile import TemporaryFile
from typing import Self

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


class DatabaseSpool:
    """Databases that candidates bring, on disk: a long run brings more than memory holds."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - closed with the spool
        self._places: dict[str, tuple[int, int]] = {}
        """Id -> where it begins, and its bytes."""

    def add(self, databases: Iterable[Database]) -> None:
        """Keep databases, each once."""
        for database in databases:
            if database.id not in self._places:
                # Not as JSON: what can't be written as a row is that row's failure, later.
                pickled = pickle.dumps(database)
                self._places[database.id] = self._file.seek(0, SEEK_END), len(pickled)
                self._file.write(pickled)

    def __contains__(self, database_id: str) -> bool:
        return database_id in self._places

    def row(self, database_id: str) -> DatabaseRow:
        """The row of a database. KeyError if it was not kept."""
        start, size = self._places[database_id]
        self._file.seek(start)
        return DatabaseRow(id=database_id, database=pickle.loads(self._file.read(size)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()


def databases_of(arenas: Iterable[Arena]) -> Iterator[Database]:
    """The databases of arenas, each once, in the order of the arenas."""
    seen: set[str] = set()
    for arena in arenas:
        database = None if arena.state is None else arena.state.database
        if isinstance(database, Database) and database.id not in seen:
            seen.add(database.id)
            yield database
