"""Arenas whose tools change a database: where an episode begins and what has to change."""

from __future__ import annotations

import datetime
from typing import ClassVar, Literal, Self

from pydantic import field_validator

from astra.databases import Database, DatabaseEpisode, RowChange
from astra.records import GrownRecord, Json, Record, Scalar
from astra.service_policies import ServicePolicy
from astra.targets import Target

GoalKind = Literal["change", "say", "ask", "cannot", "refuse"]
"""change: rows. say: a fact is told. ask: the user is asked for a value that they held back, before
anything is written. cannot: the agent says that no tool does what is asked for. refuse: the agent
looks up why a rule forbids what is asked for, says so, and does not do it."""


class Refusal(GrownRecord):
    """What a rule of the arena's policy forbids."""

    later: ClassVar[frozenset[str]] = frozenset({"after"})

    rule: int
    """Its number."""
    reasons: tuple[str, ...] = ()
    """What names the reason in a message, besides the number: any of these."""
    fact: Target | None
    """What a read has to return before: by it the rule holds. None: it holds by `after`."""
    after: tuple[str, ...] = ()
    """Of a limit: the changes that come first. Refusing counts only if they are solved."""
    tool: str
    """The call that would do what is forbidden."""
    arguments: dict[str, Json]


class StateGoal(GrownRecord):
    """What an episode has to bring about: rows that change, or something that is said."""

    later: ClassVar[frozenset[str]] = frozenset({"told"})

    id: str
    question: str
    """The part of the request."""
    kind: GoalKind = "change"
    turn: int = 0
    """User turn in which it is asked for. It has to be solved before that turn ends."""
    until: int | None = None
    """User turn from which it need not hold any more: a later wish overrides it."""
    of: str = ""
    """Of `ask` and `cannot`: the change that it leads to, or the refusal, where what is asked for
    decides. It counts only if that is solved."""
    changes: tuple[RowChange, ...] = ()
    """Of a change: the rows as they were and as they must be. Columns that are free (see
    `ArenaState`) are not compared, nor are the keys of new rows."""
    says: Target | None = None
    """Of a fact: what a call must have returned and a message must hold."""
    told: Target | None = None
    """Of a fact that is told in another unit than calls return it in: what a message must hold."""
    refuses: Refusal | None = None
    """Of `refuse`: what and why."""
    named_by: tuple[tuple[Scalar, ...], ...] = ()
    """What a message names that says exactly what is to be done: one of each of these."""
    confirm: bool = False
    """Of a change: whether the user has to agree to such a message before it is made."""


class HeldValue(GrownRecord):
    """A value that the user tells when they are asked for it, and not before."""

    later: ClassVar[frozenset[str]] = frozenset({"rule", "value"})

    goal: str
    """The `ask` goal."""
    labels: tuple[str, ...]
    """What the value is called in a question: any of these."""
    choices: tuple[str, ...] = ()
    """Values that there are to choose from: whoever names two of them asks for it, too."""
    told: str
    """What the user says then."""
    rule: int | None = None
    """Of a value that a rule has the agent ask for: its number. The user knows of no rule, and so
    does not wait to be asked. None: a value that the request left out."""
    value: str = ""
    """Of a value that a rule has the agent ask for: what is told."""


class ScriptTurn(Record):
    """What the user says at one turn of a conversation."""

    text: str
    """Of the first turn: the question of the arena."""
    held: tuple[HeldValue, ...] = ()
    brings: tuple[str, ...] = ()
    """Tools that can be called from here on. Before that they are not shown."""


class GoldStep(Record):
    """One message of the agent in the gold episode: calls, or a text without calls."""

    goals: tuple[str, ...] = ()
    """Ids of the arena's goals whose calls are made, in their order."""
    text: str = ""


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
    turns: tuple[ScriptTurn, ...] = ()
    """What the user says, the question first. Empty: the question is all, and nobody answers."""
    policy: ServicePolicy | None = None
    """Rules that the agent has to keep. None: all is allowed that tools do."""
    plan: tuple[GoldStep, ...] = ()
    """The gold episode of a conversation, one step for each message of the agent. Empty without
    `turns`: the gold calls in order, then a text."""

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

    @property
    def withheld(self) -> frozenset[str]:
        """Tools that the user brings in the course of the conversation."""
        return frozenset(name for turn in self.turns for name in turn.brings)

    def tables(self) -> Database:
        """The database itself. Raises ValueError for the stored form, which only names it."""
        if not isinstance(self.database, Database):
            raise ValueError(f"the database {self.database!r} was not loaded with its arena")
        return self.database

    def episode(self) -> DatabaseEpisode:
        """What a sandbox needs of it."""
        return DatabaseEpisode(database=self.tables(), now=self.now, writes=self.writes)
