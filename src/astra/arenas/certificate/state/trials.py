"""Episodes of an arena with a state, played call by call as a rollout would, many in one process.

Each trial begins at the first state: going back to it costs less than a process of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from astra.arenas.certificate.arena_under_test import (
    LIMITS,
    CheckFinding,
    NamedCall,
    call_evidence,
    is_error,
)
from astra.arenas.certificate.state.interrupts import INTERRUPTED, interruptible
from astra.arenas.tables.profile.words import singular_name
from astra.databases import Cell, DatabaseTable, RowChange
from astra.episodes import Score
from astra.errors import ConfigError, SandboxBadResult, SandboxDied, SandboxLimit
from astra.models.policies import gold_steps
from astra.protocols import RESTORE, CallOutcome, Sandbox, SandboxEpisode, SandboxSession
from astra.rewards import score_calls
from astra.types import (
    Arena,
    ArenaState,
    CallRecord,
    CallStatus,
    GoldCall,
    Json,
    Message,
    Tool,
    ToolCallRequest,
    ToolSchema,
    canonical_json,
)

DUMP = "certificate_rows_of_all_tables"
# As one text: the owner looks at each value of a result, and these go through other hands.
_DUMP_SOURCE = """\
import json

def {name}():
    return json.dumps({{
        table: [list(row.values()) for row in DATABASE.execute(sql).fetchall()]
        for table, sql in {tables!r}.items()
    }})
"""
Rows = dict[str, dict[Cell, dict[str, Cell]]]
"""Table -> key -> row."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message without calls, in a trial."""

    text: str


TrialStep = NamedCall | Said
"""One message of the agent."""
CallKey = tuple[int, ...]
"""The numbers of the writing calls before a call, and its own."""


@dataclass(frozen=True)
class Trial:
    """What an episode did."""

    arena: Arena
    steps: tuple[TrialStep, ...]
    outcomes: tuple[CallOutcome, ...]
    """Of its calls."""

    @property
    def calls(self) -> list[NamedCall]:
        """What was called, in order."""
        return calls_in(self.steps)

    @cached_property
    def score(self) -> Score:
        """As a rollout with these messages is scored."""
        outcomes = iter(self.outcomes)
        records: list[CallRecord] = []
        messages: list[Message] = []
        for turn, step in enumerate(self.steps):
            if isinstance(step, Said):
                messages.append(Message(role="assistant", content=step.text))
                continue
            records.append(record(step, next(outcomes), turn))
            messages.append(_CALLING)
        return score_calls(self.arena, records, messages=messages, turns=len(self.steps))

    @property
    def strict(self) -> bool:
        """Whether every goal is solved, without damage."""
        return self.score.solved == self.score.goals and not self.score.damage

    @property
    def state(self) -> str | None:
        """Hash of the last state. None if nothing changed."""
        effects = [outcome.effect for outcome in self.outcomes if outcome.effect is not None]
        return effects[-1].state if effects else None


class StateTrials:
    """The trials of one certificate. A context: it closes its sandbox session."""

    def __init__(self, arena: Arena, state: ArenaState, sandbox: Sandbox, seed: int) -> None:
        self.arena = arena
        self.state = state
        self.tools = {tool.name: tool for tool in arena.tools}
        self.database = state.tables()
        self._sandbox = sandbox
        self._seed = seed
        self._stack = AsyncExitStack()
        self._session: SandboxSession | None = None
        self._key_tables: dict[tuple[str, str], list[DatabaseTable]] = {}
        self._outcomes: dict[CallKey, CallOutcome] = {}
        self._numbers: dict[str, int] = {}
        # With the calls themselves, so that no other object gets the identity of one.
        self._numbered: dict[int, tuple[NamedCall, int]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @cached_property
    def gold(self) -> list[TrialStep]:
        """The gold episode, one call a message. It ends with a text."""
        steps: list[TrialStep] = []
        try:
            planned = gold_steps(self.arena)
        except ConfigError as error:
            raise CheckFinding(str(error)) from error
        for step in planned:
            steps += [NamedCall(c.tool, c.arguments, f"gold call {c.tool!r}") for c in step.calls]
            if not step.calls:
                steps.append(Said(step.text))
        return steps

    @property
    def gold_calls(self) -> list[NamedCall]:
        """The calls of the gold episode."""
        return calls_in(self.gold)

    @property
    def gold_writes(self) -> list[tuple[int, NamedCall]]:
        """Those of them that may change something, with their places in the gold episode."""
        return [
            (place, step)
            for place, step in enumerate(self.gold)
            if isinstance(step, NamedCall) and self.writes(step)
        ]

    def key_table(self, tool: str, name: str, value: Json = None) -> DatabaseTable | None:
        """The table whose keys a parameter of a tool takes; of several that fit, one that the tool
        writes. `value`: a key that it took."""
        found = self._key_tables.get((tool, name))
        if found is None:
            plain = _letters(name.removeprefix("from_").removeprefix("to_"))
            written = self.state.writes.get(tool, ())
            found = [self.database.table(other) for other in self._tables_by_name.get(plain, ())]
            found.sort(key=lambda table: table.name not in written)
            self._key_tables[tool, name] = found
        if value is not None:
            # Keys in lists and whole rows of other kinds are no keys.
            found = [t for t in found if isinstance(value, str | int) and value in t.rows_by_key]
        return found[0] if found else None

    @cached_property
    def _tables_by_name(self) -> dict[str, list[str]]:
        """The letters of a name that a key has somewhere -> the tables that it is a key of."""
        named: dict[str, list[str]] = defaultdict(list)
        for table in self.database.tables:
            for column, other in table.references.items():
                named[_letters(column)].append(other)
        for table in self.database.tables:
            key = _letters(table.key)
            for name in dict.fromkeys((key, f"{_letters(singular_name(table.name))}{key}")):
                named[name].append(table.name)
        return named

    def writes(self, call: NamedCall | GoldCall) -> bool:
        """Whether a call is of a tool that may change something."""
        return call.tool in self.state.writes

    async def play(
        self, trials: Sequence[Sequence[TrialStep]], *, whole: bool = False
    ) -> list[Trial]:
        """Play episodes, each from the first state. Raises CheckFinding where a tool breaks.

        A call that was made before, after the same writes, is not made again: modules are fresh for
        each call and reading tools can't write, so it would do and return the same. Where that is
        itself to be shown, `whole` episodes are played.
        """
        session = await self.main_session()
        keys = [self._keys(trial) for trial in trials]
        requests: list[tuple[str, dict[str, Json]]] = []
        asked: list[tuple[int, int, NamedCall] | None] = []
        coming: set[CallKey] = set()
        for number, trial in enumerate(trials):
            new = [whole or (k not in self._outcomes and k not in coming) for k in keys[number]]
            coming.update(keys[number])
            last = max((place for place, is_new in enumerate(new) if is_new), default=-1)
            if last >= 0:
                requests.append(RESTORE)
                asked.append(None)
            for place, call in enumerate(calls_in(trial)[: last + 1]):
                if new[place] or self.writes(call):
                    requests.append((call.tool, call.arguments))
                    asked.append((number, place, call))
        made: dict[tuple[int, int], CallOutcome] = {}
        for request, outcome in zip(asked, await session.call_many(requests), strict=True):
            if request is not None:
                number, place, call = request
                made[number, place] = self._outcome(call, outcome)
                self._outcomes[keys[number][place]] = made[number, place]
        played: list[Trial] = []
        for number, trial in enumerate(trials):
            outcomes = (
                made.get((number, place)) or self._outcomes[key]
                for place, key in enumerate(keys[number])
            )
            played.append(Trial(self.arena, tuple(trial), tuple(outcomes)))
        return played

    def _keys(self, trial: Sequence[TrialStep]) -> list[CallKey]:
        """Of each call of a trial: the writing calls up to it, and the call itself."""
        keys: list[CallKey] = []
        before: tuple[int, ...] = ()
        for call in calls_in(trial):
            number = self._number_of(call)
            keys.append((*before, number))
            if self.writes(call):
                before = keys[-1]
        return keys

    def _number_of(self, call: NamedCall) -> int:
        """A number for each call: equal calls have one."""
        known = self._numbered.get(id(call))
        if known is None:
            text = canonical_json([call.tool, call.arguments])
            number = self._numbers.setdefault(text, len(self._numbers))
            known = self._numbered[id(call)] = (call, number)
        return known[1]

    async def main_session(self) -> SandboxSession:
        """The session in which trials are played, with tools that interrupt the gold writes."""
        if self._session is None:
            named = dict.fromkeys(call.tool for _, call in self.gold_writes)
            tools = [self.tools[name] for name in named if name in self.tools]
            self._session = await self.session(SandboxEpisode(self._seed), tools)
        return self._session

    async def session(
        self, episode: SandboxEpisode, interrupts: Sequence[Tool] = ()
    ) -> SandboxSession:
        """A session of its own, with a tool that returns all rows, and `interrupts` once more such
        that their calls can be stopped in the middle."""
        database = self.state.episode()
        writes = {INTERRUPTED + tool.name: database.writes[tool.name] for tool in interrupts}
        database = database.model_copy(update={"writes": {**database.writes, **writes}})
        options = replace(episode, database=database, limits=LIMITS)
        tools = [*self.arena.tools, self._dump(), *map(interruptible, interrupts)]
        session = await self._sandbox.open(tools, options)
        return await self._stack.enter_async_context(session)

    def _outcome(self, call: NamedCall, outcome: object) -> CallOutcome:
        if isinstance(outcome, SandboxDied | SandboxLimit | SandboxBadResult):
            raise CheckFinding(
                f"{call.description} ended in {type(outcome).__name__}: {str(outcome)[:300]}",
                call=call_evidence(call),
            ) from outcome
        if isinstance(outcome, BaseException):
            raise outcome
        assert isinstance(outcome, CallOutcome)
        return outcome

    def _dump(self) -> Tool:
        tables = {
            table.name: 'SELECT * FROM "{}" ORDER BY "{}"'.format(
                table.name.replace('"', '""'), table.key.replace('"', '""')
            )
            for table in self.database.tables
        }
        document = ToolSchema(
            name=DUMP, description="", parameters={"type": "object", "properties": {}}
        )
        return Tool(document=document, source=_DUMP_SOURCE.format(name=DUMP, tables=tables))

    def first_rows(self) -> Rows:
        """All rows as an episode begins."""
        return {table.name: dict(table.rows_by_key) for table in self.database.tables}

    def compared(self, table: str, row: dict[str, Cell] | None) -> dict[str, Cell] | None:
        """A row without what tools choose."""
        free = self.state.free.get(table, ())
        return None if row is None else {n: v for n, v in row.items() if n not in free}


_CALLING = Message(role="assistant", tool_calls=(ToolCallRequest(id="0", tool="", arguments="{}"),))
"""In the place of a message with a call: only that it has one counts for what is said."""


def calls_in(steps: Sequence[TrialStep]) -> list[NamedCall]:
    """The calls among the messages of a trial."""
    return [step for step in steps if isinstance(step, NamedCall)]


def _letters(name: str) -> str:
    """A name without its spelling: `petId` and `pet_id` are one."""
    return "".join(c for c in name.casefold() if c.isalnum())


def record(call: NamedCall, outcome: CallOutcome, turn: int) -> CallRecord:
    """A call as a rollout records it."""
    failed = outcome.failure is not None or is_error(outcome.value)
    return CallRecord(
        id=str(turn),
        turn=turn,
        tool=call.tool,
        arguments=call.arguments,
        status=CallStatus.tool_error if failed else CallStatus.ok,
        result=outcome.value,
        effect=outcome.effect,
    )


def apply_changes(rows: Rows, changes: Sequence[RowChange]) -> None:
    """Make changes in rows, apart from any tool."""
    for change in changes:
        table = rows[change.table]
        if change.after is None:
            del table[change.key]
        else:
            table[change.key] = {**table.get(change.key, {}), **change.after}


def changed_rows(first: Rows, last: Rows) -> list[tuple[str, Cell, Json, Json]]:
    """Table, key, row before and after, where they differ."""
    return [
        (table, key, rows.get(key), last[table].get(key))
        for table, rows in first.items()
        for key in sorted({*rows, *last[table]}, key=str)
        if rows.get(key) != last[table].get(key)
    ]
