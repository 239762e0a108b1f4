"""Draws arenas that change a database, one numbered candidate after the other.

Some candidates share a database, which is cut for them from the user's tables. A candidate depends
on the tables, the options and its number alone.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Self, TypeVar

from astra.arenas.difficulty import LevelDraw
from astra.arenas.stateful.conversations import (
    PlannedTurn,
    asked_tools,
    calls_of,
    request,
    with_conversation,
)
from astra.arenas.stateful.cut import TableRows
from astra.arenas.stateful.declared import tables_to_write
from astra.arenas.stateful.expected import ExpectedChanges
from astra.arenas.stateful.operations import TASK_KINDS
from astra.arenas.stateful.operations.base import Task, TaskParts
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.stateful.policy.apply import FEWEST_GOALS
from astra.arenas.stateful.policy.draw import DECIDERS
from astra.arenas.stateful.policy.facts import operation_of
from astra.arenas.stateful.tools import DatabaseTool
from astra.arenas.stateful.turns import call_goals, gold_plan, state_goals, user_turns
from astra.arenas.stateful.words import WORDS
from astra.arenas.stateful.worlds import DatabaseView, StateWorld, WorldDatabase, world_of_tables
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.arenas.tables.source import CandidateTableArena, numbered_candidates
from astra.configs.arenas import ConversationKind
from astra.errors import ConfigError, Rejected
from astra.service_policies import RuleEffect, ServicePolicy
from astra.types import (
    Arena,
    ArenaState,
    Language,
    Matcher,
    Scenario,
    Target,
    canonical_json,
)

T = TypeVar("T")

PER_DATABASE = 5
"""Candidates that share a database."""
MAX_DRAWS = 60
_TRIES = 30
"""Draws of one task of a kind before it is given up."""
_DECIDER_DRAWS = MAX_DRAWS // 4
"""Draws after which it is a rule that forbids that decides: questions and limits fit fewer."""
_TURN_TRIES = 4
"""Draws of one turn among several that are long."""
TOOLS = (12, 20)
"""Fewest and most tools of an arena, where the tables have so many."""


class StateSource:
    """Draws candidates over a set of tables."""

    def __init__(self, tables: Tables, schema: Schema, options: StateSourceOptions) -> None:
        worlds: dict[Language, StateWorld] = {}
        for language in options.languages:
            found = tables_to_write(tables.connection, schema, language)
            rows = TableRows.read(tables.connection, found, language)
            worlds[language] = world_of_tables(rows, schema, language)
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
        self._levels = LevelDraw(options.levels)
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
        self._databases: dict[int, WorldDatabase] = {}

    def candidates(self) -> Iterator[CandidateTableArena]:
        """Candidates 0, 1, 2, …; ends after `MAX_FAILURES` failures in a row."""
        return numbered_candidates(f"state-{self._options.seed}", self._candidate)

    def _database(self, number: int) -> WorldDatabase:
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
            found = self._databases[number] = WorldDatabase(
                language, world, cut, ExpectedChanges(cut.database)
            )
        return found

    def _candidate(self, key: str, number: int) -> Arena:
        return self._levels.draw(partial(self._drawn, key, number), self.draws)

    def _drawn(self, key: str, number: int, level: int | None) -> Arena:
        rng, options = random.Random(f"{self._options.seed}:{number}"), self._options.at(level)
        database = self._database(number // PER_DATABASE)
        view = database.view(options)
        kinds = [
            kind
            for kind in TASK_KINDS
            if (options.kinds is None or kind in options.kinds)
            and (not options.dials.tasks or kind in options.dials.tasks)
            and (kind != "cancel" or any(tool.operation == kind for tool in view.tools))
        ]
        count = rng.randint(*options.user_turns)
        conversation = rng.choice((None, *options.conversations))
        if conversation is not None and options.service_policy:
            # Something happens where one thing is asked for, and rules need a request of several.
            count = max(count, 2)
        # Once for all draws: rules that forbid are harder to find.
        forbid = view.policies is not None and rng.random() < 0.5
        decider: RuleEffect = "forbid"
        if view.policies is not None:
            decider = rng.choices(list(DECIDERS), list(DECIDERS.values()))[0]
        for attempt in range(MAX_DRAWS):
            if attempt == _DECIDER_DRAWS:
                decider = "forbid"
            turns = self._turns(
                view,
                kinds,
                rng,
                count,
                options,
                single=conversation is not None,
                again=decider == "limit",
            )
            if not turns or not options.fits(calls_of(turns)):
                self.draws["no task of that size"] += 1
                continue
            if conversation is not None:
                turns = with_conversation(conversation, view.parts, turns, rng)
                # Of a level all turns count, those too that the conversation brings.
                if turns is None or (level and not options.fits(calls_of(turns))):
                    self.draws[f"no {conversation}"] += 1
                    continue
            policy = None
            if view.policies is not None:
                ruled = view.policies.draw(turns, rng, forbid=forbid, decider=decider)
                # Where a tool is missing there is nothing to call.
                if ruled is None or not options.fits([*filter(None, calls_of(ruled.turns))]):
                    self.draws["no policy"] += 1
                    continue
                turns, policy = ruled
            try:
                arena = self._arena(
                    key, database, view, turns, conversation, policy, rng, level, options
                )
            except Rejected as rejected:
                self.draws[rejected.check] += 1
                continue
            goals = arena.state.goals if arena.state else ()
            asked = canonical_json([goal.model_dump(mode="json")["changes"] for goal in goals])
            if asked in self._requests:
                self.draws["duplicate"] += 1
                continue
            self._requests.add(asked)
            self.draws["built"] += 1
            return arena
        low, high = options.dials.hops or options.hops
        raise Rejected("plan", f"no request of {low} to {high} calls in {MAX_DRAWS} draws")

    def _turns(
        self,
        view: DatabaseView,
        kinds: Sequence[str],
        rng: random.Random,
        count: int,
        options: StateSourceOptions,
        *,
        single: bool,
        again: bool,
    ) -> list[PlannedTurn] | None:
        """So many turns about different rows. None if one of them asks for nothing.

        `single`: where dials say how much is asked for, one turn asks for one thing. `again`: what
        comes first is asked for several times.
        """
        turns: list[PlannedTurn] = []
        before: list[Task] = []
        alone = rng.randrange(count) if single and options.dials.parts else None
        for number in range(count):
            wanted = 1 if number == alone else None
            for _ in range(_TURN_TRIES if options.dials.parts else 1):
                tasks = self._draw(view, kinds, rng, before, options, wanted, again=again)
                if any(task.goals for task in tasks):
                    break
            else:
                return None
            before += tasks
            text = request(view.parts, tasks, number, rng)
            turns.append(PlannedTurn(text, tuple(tasks)))
        return turns

    def _draw(
        self,
        view: DatabaseView,
        kinds: Sequence[str],
        rng: random.Random,
        before: Sequence[Task],
        options: StateSourceOptions,
        wanted: int | None,
        *,
        again: bool,
    ) -> list[Task]:
        """Tasks for one request, about other rows than each other and those before.

        `wanted`: their number. None: as the dials say, or as without them. `again`: each but the
        last of the first request does what the first one does, where that can be limited.
        """
        tasks: list[Task] = []
        dials = options.dials
        if dials.parts is None:
            wanted = rng.choices((1, 2, 3), (6, 3, 1))[0]
            if options.service_policy and not before:
                wanted = FEWEST_GOALS
        elif wanted is None:
            wanted = rng.randint(*dials.parts)
        most = (dials.hops or options.hops)[1]
        for _ in range(wanted or 0):
            if dials.tasks:
                kind = rng.choices(kinds, [dials.tasks[kind] for kind in kinds])[0]
            else:
                kind = rng.choice(kinds)
            first = next(iter(tasks), None)
            if again and not before and first is not None and len(tasks) + 1 < (wanted or 0):
                task = _task_again(first, view.parts, rng)
            else:
                task = _task(kind, view.parts, rng)
            if task is None:
                continue
            size = sum(len(each.calls) for each in (*tasks, task))
            apart = all(task.apart_from(other) for other in (*before, *tasks))
            if size <= most and apart:
                tasks.append(task)
        return tasks

    def _arena(
        self,
        key: str,
        database: WorldDatabase,
        view: DatabaseView,
        turns: Sequence[PlannedTurn],
        conversation: ConversationKind | None,
        policy: ServicePolicy | None,
        rng: random.Random,
        level: int | None,
        options: StateSourceOptions,
    ) -> Arena:
        cut, language = database.cut, database.language
        goals = state_goals(turns, database.expected, WORDS[language])
        calls = calls_of(turns)
        steps = call_goals([call for of_turn in calls for call in of_turn])
        shown = _shown(view, turns, rng, options.dials.tools or TOOLS)
        writes = {tool.tool.name: tool.writes for tool in shown if tool.writes}
        answer = str(steps[-1].answer)
        talks = options.talks
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
            | ({} if level is None else {"level": level})
            | ({"dials": dials} if (dials := options.dials.provenance()) else {}),
        )
        return draft.with_content_id()


def _shown(
    view: DatabaseView, turns: Sequence[PlannedTurn], rng: random.Random, count: tuple[int, int]
) -> list[DatabaseTool]:
    """The tools that are needed or asked for, those that look things up around them, others."""
    asked = asked_tools(turns)
    tables = {tool.table for tool in asked}
    for name in tuple(tables):
        tables |= set(view.parts.tables[name].references.values())
    needed = {tool.tool.name for tool in asked} | {
        tool.tool.name
        for tool in view.tools
        if tool.operation in ("find", "get") and tool.table in tables
    }
    others = [tool for tool in view.tools if tool.tool.name not in needed]
    size = rng.randint(*count) - len(needed)
    extra = rng.sample(others, max(0, min(size, len(others))))
    names = needed | {tool.tool.name for tool in extra}
    shown = [tool for tool in view.tools if tool.tool.name in names]
    rng.shuffle(shown)
    return shown


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


def _task_again(first: Task, parts: TaskParts, rng: random.Random) -> Task | None:
    """A task that does the same to another row. None if the database has none in some tries."""
    done = [operation_of(call) for call in first.calls if call.tool.writes]
    for _ in range(_TRIES):
        task = TASK_KINDS[first.kind](parts, rng)
        if task is None or not task.apart_from(first):
            continue
        if [operation_of(call) for call in task.calls if call.tool.writes] == done:
            return task
    return None


def _task(kind: str, parts: TaskParts, rng: random.Random) -> Task | None:
    """A task of a kind. None if the database has none to offer in some tries."""
    for _ in range(_TRIES):
        if (task := TASK_KINDS[kind](parts, rng)) is not None:
            return task
    return None
