"""What a kind of task is, and what all kinds need to draw one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from astra.arenas.stateful.cut import Row
from astra.arenas.stateful.expected import SqlStatement
from astra.arenas.stateful.mentions import Mention, Mentions, TaskCall
from astra.arenas.stateful.roles import WritableTable, is_final
from astra.arenas.stateful.tools import DatabaseTool
from astra.arenas.stateful.values import NewValue, NewValues
from astra.databases import Cell
from astra.service_policies import ServiceOperation
from astra.states import HeldValue, Refusal
from astra.types import Scalar, Target


@dataclass(frozen=True, slots=True)
class UpdateParts:
    """What a request to change one column of one row is put together from."""

    mention: Mention
    value: NewValue


@dataclass(frozen=True, slots=True)
class PlannedRefusal:
    """What a request asks for and a rule forbids."""

    refusal: Refusal
    fact: str
    """What the rule holds by, in words."""
    after: ServiceOperation | None = None
    """Of a limit: what was done as often as it may be. The goals of `refusal` are not set yet."""


@dataclass(frozen=True, slots=True)
class PlannedQuestion:
    """What a rule has the agent ask before something is done."""

    held: HeldValue
    """Its `goal` is not set yet."""
    text: str
    """How the agent asks for it."""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that a request asks for."""

    kind: str
    text: str
    calls: tuple[TaskCall, ...]
    goals: tuple[tuple[str, tuple[SqlStatement, ...]], ...]
    """What is asked for in words, and the statements that bring it about: one a goal."""
    rows: frozenset[tuple[str, Cell]]
    """Rows that it changes."""
    relies_on: frozenset[tuple[str, str]]
    """As of a mention: what its words and conditions are true by."""

    update: UpdateParts | None = None
    """Of a change of one column of one row."""
    says: tuple[str, Target] | None = None
    """What is to be told, in words and as a value. Then there are no `goals`."""
    told: Target | None = None
    """The same as it is said, where tools return it in another unit."""
    refusal: PlannedRefusal | None = None
    """Of what is forbidden. Then there are no `goals`."""
    named_by: tuple[tuple[tuple[Scalar, ...], ...], ...] = ()
    """Of each write: as of a goal. Empty where there is no policy."""
    asks: tuple[PlannedQuestion, ...] = ()
    """What the user is asked for before, because a rule says so."""
    confirm: bool = False
    """Whether the user has to agree before it is done."""
    also: tuple[DatabaseTool, ...] = ()
    """Tools of what is asked for and not done, as under a condition that does not hold. Were they
    not shown, the tools would tell the condition."""

    @property
    def changes(self) -> frozenset[tuple[str, str]]:
        """Table and column of what it changes; "" for rows that come or go."""
        return frozenset(
            change
            for call in self.calls
            for change in (call.tool.changes if call.changes is None else call.changes)
        )

    def apart_from(self, other: Task) -> bool:
        """Whether both can be done in either order, and the words of each stay true."""
        return not (
            self.rows & other.rows
            or self.changes & other.relies_on
            or self.relies_on & other.changes
            or self.kind == other.kind == "create"
        )


class TaskParts:
    """The parts that tasks over one database are put together from."""

    def __init__(self, mentions: Mentions) -> None:
        self.mentions = mentions
        self.cut = mentions.cut
        self.tables = mentions.tables
        self.words = mentions.words
        self.tools = mentions.tools
        self.values = NewValues(mentions)

    def target(
        self, rng: random.Random, fits: Callable[[WritableTable], bool]
    ) -> tuple[WritableTable, Cell] | None:
        """A row that may be changed, of a table that fits."""
        tables = [t for t in self.tables.values() if fits(t) and self.cut.targets[t.name]]
        if not tables:
            return None
        table = rng.choice(tables)
        key = rng.choice(self.cut.targets[table.name])
        return None if self.is_over(table, self.mentions.row(table.name, key)) else (table, key)

    def is_over(self, table: WritableTable, row: Row) -> bool:
        """Whether a row is in a status for good: nobody asks for changes of a closed ticket."""
        return table.status is not None and is_final(str(row[table.status.name]))


class TaskKind(Protocol):
    """A kind of task."""

    def __call__(self, parts: TaskParts, rng: random.Random) -> Task | None:
        """A task. None if this draw led to none."""
        ...
