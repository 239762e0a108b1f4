"""Arenas whose tools change a database: where an episode begins and what has to change."""

from __future__ import annotations

import datetime
from typing import Literal, Self

from pydantic import field_validator

from astra.databases import Database, DatabaseEpisode, RowChange
from astra.records import Record
from astra.targets import Target


class StateGoal(Record):
    """What an episode has to bring about: rows that change, or a fact that is told."""

    id: str
    question: str
    """The part of the request."""
    kind: Literal["change", "say"] = "change"
    turn: int = 0
    """User turn in which it is asked for."""
    changes: tuple[RowChange, ...] = ()
    """Of a change: the rows as they were and as they must be. Columns that are free (see
    `ArenaState`) are not compared, nor are the keys of new rows."""
    says: Target | None = None
    """Of a fact: what a call must have returned and a message must hold."""


class ArenaState(Record):
    """The changing part of an arena. Its `goals`, not those of the arena, are what is rewarded:

    the arena's are the calls of one way to bring them about, reads included.
    """

    database: Database | str | None
    """As the episode begins. In a run folder its id; the rows stand in `databases.jsonl`."""
    now: str
    """Time of the first call, ISO 8601 to the minute."""
    writes: dict[str, tuple[str, ...]]
    """Tool -> tables that it may write. Tools that are not named only read."""
    free: dict[str, tuple[str, ...]] = {}
    """Table -> columns that are not compared: keys and times that tools choose."""
    goals: tuple[StateGoal, ...]
    turns: tuple[str, ...] = ()
    """What the user says after the question, one message a turn."""

    @field_validator("now")
    @classmethod
    def _is_a_time(cls, now: str) -> str:
        datetime.datetime.fromisoformat(now)  # raises ValueError
        return now

    def reference(self) -> Self:
        """The stored form."""
        if isinstance(self.database, Database):
            return self.model_copy(update={"database": self.database.id})
        return self

    def tables(self) -> Database:
        """The database itself. Raises ValueError for the stored form, which only names it."""
        if not isinstance(self.database, Database):
            raise ValueError(f"the database {self.database!r} was not loaded with its arena")
        return self.database

    def episode(self) -> DatabaseEpisode:
        """What a sandbox needs of it."""
        return DatabaseEpisode(database=self.tables(), now=self.now, writes=self.writes)
