"""Draws arenas that change a database, one numbered candidate after the other.

Some candidates share a database, which is cut for them from the user's tables. A candidate depends
on the tables, the options and its number alone.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

from astra.arenas.difficulty import UNSET, DialSettings
from astra.arenas.rounding import TOOL_ROUNDING
from astra.arenas.stateful.conversations import (
    PlannedTurn,
    asked_tools,
    calls_of,
    request,
    with_conversation,
)
from astra.arenas.stateful.cut import Cut, TableRows
from astra.arenas.stateful.declared import tables_to_write
from astra.arenas.stateful.expected import ExpectedChanges
from astra.arenas.stateful.mentions import Mentions, TaskCall
from astra.arenas.stateful.operations import TASK_KINDS
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.policy.apply import FEWEST_GOALS, PoliciesOfDatabase
from astra.arenas.stateful.tools import DatabaseTool, DatabaseToolWriter
from astra.arenas.stateful.turns import gold_plan, state_goals, user_turns
from astra.arenas.stateful.words import STATEMENT, WORDS
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.arenas.tables.source import CandidateTableArena, numbered_candidates
from astra.configs.arenas import ConversationKind
from astra.errors import ConfigError, Rejected
from astra.service_policies import ServicePolicy
from astra.types import (
    Arena,
    ArenaState,
    Goal,
    GoldCall,
    Json,
    Language,
    Matcher,
    Scenario,
    Target,
    canonical_json,
    content_hash,
)

T = TypeVar("T")

PER_DATABASE = 5
"""Candidates that share a database."""
MAX_DRAWS = 60
_TRIES = 30
"""Draws of one task of a kind before it is given up."""
TOOLS = (12, 20)
"""Fewest and most tools of an arena, where the tables have so many."""


@dataclass(frozen=True, slots=True)
class StateSourceOptions:
    """What to draw."""

    hops: tuple[int, int] = (1, 5)
    languages: Mapping[Language, float] = field(default_factory=lambda: {"en": 1.0})
    test_share: float = 0.2
    seed: int = 0
    kinds: frozenset[str] | None = None
    """Kinds of tasks. None: all."""
    user_turns: tuple[int, int] = (1, 1)
    """Fewest and most turns of the user. A missing tool or a revision adds one."""
    conversations: tuple[ConversationKind, ...] = ()
    """What happens in conversations. As many arenas as of each have none of it."""
    dials: DialSettings = UNSET
    """Of all arenas."""
    service_policy: bool = False
    """Whether each arena has rules that the agent has to keep."""

    @property
    def talks(self) -> bool:
        """Whether arenas have a user who answers."""
        return self.user_turns[1] > 1 or bool(self.conversations) or self.service_policy


class MakesMentions(Protocol):
    """Makes the words for the rows of one database."""

    def __call__(self, cut: Cut, writer: Any, tools: Sequence[DatabaseTool]) -> Mentions: ...


@dataclass(frozen=True, slots=True)
class StateWorld:
    """What arenas of one language are drawn over."""

    rows: TableRows
    writer: DatabaseToolWriter
    tools: Sequence[DatabaseTool]
    """One entry for each thing that a tool does: several may be the same tool."""
    mentions: MakesMentions = Mentions


class StateSource:
    """Draws candidates over a set of tables."""

    def __init__(self, tables: Tables, schema: Schema, options: StateSourceOptions) -> None:
        worlds: dict[Language, StateWorld] = {}
        for language in options.languages:
            found = tables_to_write(tables.connection, schema, language)
            rows = TableRows.read(tables.connection, found, language)
            writer = DatabaseToolWriter(schema, found, language)
            worlds[language] = StateWorld(rows, writer, writer.all())
        self._open(worlds, options, "tables")

    @classmethod
    def of_worlds(
        cls, worlds: Mapping[Language, StateWorld], options: StateSourceOptions, name: str
    ) -> Self:
        """Over what was read from elsewhere. `name`: what arenas tell as their source."""
        source = cls.__new__(cls)
        source._open(worlds, options, name)
        return source

    def _open(
        self, worlds: Mapping[Language, StateWorld], options: StateSourceOptions, name: str
    ) -> None:
        self._options = options
        self.worlds = worlds
        self._name = name
        if not any(tool.writes for world in worlds.values() for tool in world.tools):
            raise ConfigError(
                "nothing in these tables can be changed: a table needs a key (a column of "
                "different values without gaps) and a column such as a status, an address, a price "
                "or a stock"
            )
        self.draws: Counter[str] = Counter()
        """Outcome -> number of draws that ended so."""
        self._requests: set[str] = set()
        self._databases: dict[int, _Database] = {}

    def candidates(self) -> Iterator[CandidateTableArena]:
        """Candidates 0, 1, 2, …; ends after `MAX_FAILURES` failures in a row."""
        return numbered_candidates(f"state-{self._options.seed}", self._candidate)

    def _database(self, number: int) -> _Database:
        found = self._databases.get(number)
        if found is None:
            for old in self._databases.values():
                old.expected.close()
            self._databases.clear()
            rng = random.Random(f"{self._options.seed}:database:{number}")
            language = _share(list(self._options.languages.items()), number)
            share = self._options.test_share
            test = int((number + 1) * share + 0.5) > int(number * share + 0.5)
            world = self.worlds[language]
            cut = world.rows.cut(
                rng, "test" if test else "train", self._options.seed, self._options.test_share
            )
            mentions = world.mentions(cut, world.writer, world.tools)
            found = self._databases[number] = _Database(
                language,
                cut,
                TaskParts(mentions),
                ExpectedChanges(cut.database),
                list({tool.tool.name: tool for tool in world.tools}.values()),
                PoliciesOfDatabase(mentions) if self._options.service_policy else None,
            )
        return found

    def _candidate(self, key: str, number: int) -> Arena:
        rng = random.Random(f"{self._options.seed}:{number}")
        database = self._database(number // PER_DATABASE)
        kinds = [
            kind
            for kind in TASK_KINDS
            if (self._options.kinds is None or kind in self._options.kinds)
            and (kind != "cancel" or any(tool.operation == kind for tool in database.tools))
        ]
        count = rng.randint(*self._options.user_turns)
        conversation = rng.choice((None, *self._options.conversations))
        # Once for all draws: rules that forbid are harder to find.
        forbid = database.policies is not None and rng.random() < 0.5
        for _ in range(MAX_DRAWS):
            turns = self._turns(database, kinds, rng, count)
            if not turns or not self._fits(turns):
                self.draws["no task of that size"] += 1
                continue
            if conversation is not None:
                turns = with_conversation(conversation, database.parts, turns, rng)
                if turns is None:
                    self.draws[f"no {conversation}"] += 1
                    continue
            policy = None
            if database.policies is not None:
                ruled = database.policies.draw(turns, rng, forbid=forbid)
                if ruled is None or not self._fits(ruled.turns):
                    self.draws["no policy"] += 1
                    continue
                turns, policy = ruled
            try:
                arena = self._arena(key, database, turns, conversation, policy, rng)
            except Rejected as rejected:
                self.draws[rejected.check] += 1
                continue
            asked = canonical_json(
                [goal.model_dump(mode="json")["changes"] for goal in arena.state.goals]
                if arena.state
                else []
            )
            if asked in self._requests:
                self.draws["duplicate"] += 1
                continue
            self._requests.add(asked)
            self.draws["built"] += 1
            return arena
        low, high = self._options.hops
        raise Rejected("plan", f"no request of {low} to {high} calls in {MAX_DRAWS} draws")

    def _fits(self, turns: Sequence[PlannedTurn]) -> bool:
        """Whether each turn takes as many calls as there may be."""
        low, high = self._options.hops
        return all(low <= len(calls) <= high for calls in calls_of(turns))

    def _turns(
        self, database: _Database, kinds: Sequence[str], rng: random.Random, count: int
    ) -> list[PlannedTurn] | None:
        """So many turns about different rows. None if one of them asks for nothing."""
        turns: list[PlannedTurn] = []
        before: list[Task] = []
        for number in range(count):
            tasks = self._draw(database, kinds, rng, before)
            if not any(task.goals for task in tasks):
                return None
            before += tasks
            text = request(database.parts, tasks, number, rng)
            turns.append(PlannedTurn(text, tuple(tasks)))
        return turns

    def _draw(
        self, database: _Database, kinds: Sequence[str], rng: random.Random, before: Sequence[Task]
    ) -> list[Task]:
        """Tasks for one request, about other rows than each other and those before."""
        tasks: list[Task] = []
        wanted = rng.choices((1, 2, 3), (6, 3, 1))[0]
        if self._options.service_policy and not before:
            wanted = FEWEST_GOALS
        for _ in range(wanted):
            task = _task(rng.choice(kinds), database.parts, rng)
            if task is None:
                continue
            size = sum(len(each.calls) for each in (*tasks, task))
            apart = all(task.apart_from(other) for other in (*before, *tasks))
            if size <= self._options.hops[1] and apart:
                tasks.append(task)
        return tasks

    def _arena(
        self,
        key: str,
        database: _Database,
        turns: Sequence[PlannedTurn],
        conversation: ConversationKind | None,
        policy: ServicePolicy | None,
        rng: random.Random,
    ) -> Arena:
        cut, language = database.cut, database.language
        goals = state_goals(turns, database.expected, WORDS[language])
        calls = calls_of(turns)
        steps = _steps([call for of_turn in calls for call in of_turn])
        shown = self._shown(database, turns, rng)
        writes = {tool.tool.name: tool.writes for tool in shown if tool.writes}
        answer = str(steps[-1].answer)
        talks = self._options.talks
        draft = Arena(
            id="",
            question=turns[0].text,
            answer=answer,
            answer_target=Target(matcher=Matcher.text, value=answer),
            goals=tuple(steps),
            tools=tuple(tool.tool for tool in shown),
            scenario=Scenario.single_hop if len(steps) == 1 else Scenario.multi_hop,
            language=language,
            domain=shown[0].tool.domain,
            split=cut.split,
            state=ArenaState(
                database=cut.database,
                now=cut.now,
                writes=writes,
                free={
                    table.name: tuple(c.name for c in table.columns if c.system_date)
                    for table in self.worlds[language].writer.tables.values()
                    if any(c.system_date for c in table.columns)
                },
                goals=tuple(goals),
                policy=policy,
                turns=user_turns(turns, goals) if talks else (),
                plan=gold_plan(
                    turns,
                    goals,
                    steps,
                    calls,
                    writes,
                    cut.database,
                    language,
                    presses=policy is not None and policy.presses,
                )
                if talks
                else (),
            ),
            provenance={
                "source": self._name,
                "key": key,
                "seed": self._options.seed,
                "kinds": [task.kind for turn in turns for task in turn.tasks],
            }
            | ({"conversation": conversation or "plain"} if talks else {})
            | ({"dials": dials} if (dials := self._options.dials.provenance()) else {}),
        )
        return draft.with_content_id()

    def _shown(
        self, database: _Database, turns: Sequence[PlannedTurn], rng: random.Random
    ) -> list[DatabaseTool]:
        """The tools that are needed or asked for, those that look things up around them, others."""
        asked = asked_tools(turns)
        tables = {tool.table for tool in asked}
        for name in tuple(tables):
            tables |= set(database.parts.tables[name].references.values())
        needed = {tool.tool.name for tool in asked} | {
            tool.tool.name
            for tool in database.tools
            if tool.operation in ("find", "get") and tool.table in tables
        }
        others = [tool for tool in database.tools if tool.tool.name not in needed]
        size = rng.randint(*TOOLS) - len(needed)
        extra = rng.sample(others, max(0, min(size, len(others))))
        names = needed | {tool.tool.name for tool in extra}
        shown = [tool for tool in database.tools if tool.tool.name in names]
        rng.shuffle(shown)
        return shown


@dataclass(frozen=True, slots=True)
class _Database:
    """A cut with what is drawn over it."""

    language: Language
    cut: Cut
    parts: TaskParts
    expected: ExpectedChanges
    tools: list[DatabaseTool]
    policies: PoliciesOfDatabase | None


def _share(weights: Sequence[tuple[T, float]], number: int) -> T:
    """The choice of a number in a sequence that keeps to the weights from the start."""
    total = sum(weight for _, weight in weights)
    made, chosen = [0] * len(weights), 0
    for step in range(number + 1):
        missing = [
            weight / total * (step + 1) - n for (_, weight), n in zip(weights, made, strict=True)
        ]
        chosen = missing.index(max(missing))
        made[chosen] += 1
    return weights[chosen][0]


def _task(kind: str, parts: TaskParts, rng: random.Random) -> Task | None:
    """A task of a kind. None if the database has none to offer in some tries."""
    for _ in range(_TRIES):
        if (task := TASK_KINDS[kind](parts, rng)) is not None:
            return task
    return None


def _steps(calls: Sequence[TaskCall]) -> list[Goal]:
    """The gold calls as goals: a call depends on those that found what it is about."""
    goals: list[Goal] = []
    found: dict[str, str] = {}
    for number, call in enumerate(calls, start=1):
        identity = f"g{number}"
        depends_on = {
            found[content_hash(value)]
            for value in call.arguments.values()
            if content_hash(value) in found
        }
        if call.tool.writes:
            # Writes keep the order of the request.
            depends_on |= {goal.id for goal in goals[-1:]}
        goals.append(
            Goal(
                id=identity,
                question=call.question.removeprefix(STATEMENT),
                answer=call.answer,
                call=GoldCall(tool=call.tool.tool.name, arguments=call.tool.named(call.arguments)),
                target=Target(
                    matcher=_matcher(call.answer),
                    value=call.answer,
                    field=call.result_field,
                    key=call.key,
                    relative=TOOL_ROUNDING,
                ),
                depends_on=tuple(sorted(depends_on, key=lambda name: int(name[1:]))),
                operation=call.tool.operation,
            )
        )
        if not call.tool.writes:
            found.setdefault(content_hash(call.answer), identity)
    return goals


def _matcher(answer: Json) -> Matcher:
    number = isinstance(answer, int | float) and not isinstance(answer, bool)
    return Matcher.number if number else Matcher.exact
