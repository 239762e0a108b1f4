"""Reference policies: models whose score on a sound arena is known beforehand.

`gold` makes the gold calls, as parallel as their dependencies allow: F1 is exactly 1.
`null` answers at once: F1 is exactly 0.
`shuffled` makes every gold call twice, in random order: recall 1, precision 1/2, F1 exactly 2/3.
`random` makes as many schema-valid calls as there are goals: what guessing is worth.

Of arenas whose tools change a database other things are known:

`gold` makes the gold calls in the order of the arena: F1 is exactly 1.
`null` and `reader`, which makes the gold reads, writes nothing and says that all is done: 0.
`careless` makes each gold write twice, and one more on another row: next to 0.
`shuffled` makes the gold reads twice, in random order, then the gold writes: recall 1, and each
repeated read is waste.
`asker` reads, and then asks for leave and for whatever a user may know, without end: 0.
`refuser` reads, and then says to everything that it can't be done, by each rule there is: 0.

In a conversation `careless` guesses what it should ask for, and writes before it is told. It does
what rules forbid, and asks for no leave.

Where there is no state, `asker` and `refuser` are `null`, `reader` is `gold`, for all calls read,
and `careless` makes each twice.
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Literal, NamedTuple

from astra.databases import Cell, Database
from astra.errors import ConfigError
from astra.models.arguments import random_arguments
from astra.models.closings import answer_text, goals_text
from astra.models.retrying import RetryingModel
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import Model, Reply, Sampling
from astra.types import (
    Arena,
    ArenaState,
    FinishReason,
    Goal,
    GoldCall,
    Language,
    Message,
    ToolSchema,
)
from astra.users.script import ScriptedUser

Policy = Literal["gold", "null", "random", "shuffled", "reader", "careless", "asker", "refuser"]
CALLS_PER_TURN = 8
"""Most calls a reference policy makes in one message."""
_NO_ANSWER = {"en": "I do not know.", "zh": "我不知道。"}


def policy(name: Policy, arena: Arena, seed: int = 0) -> Model:
    """The reference policy for one arena. The same seed gives the same episode."""
    rng = random.Random(f"{name}:{seed}:{arena.id}")
    if arena.state is not None:
        return RetryingModel(_acting_policy(name, arena, arena.state, rng))
    return RetryingModel(_reading_policy(name, arena, rng))


def _reading_policy(name: Policy, arena: Arena, rng: random.Random) -> Model:
    match name:
        case "gold" | "reader":
            return _played(name, gold_steps(arena))
        case "careless":
            levels = [[call for call in level for _ in range(2)] for level in gold_levels(arena)]
            return _script(name, levels, answer_text(arena.answer))
        case "null" | "asker" | "refuser":
            return _script(name, [], _NO_ANSWER[arena.language])
        case "shuffled":
            calls = [call for level in gold_levels(arena) for call in level] * 2
            rng.shuffle(calls)
            return _script(name, [calls], answer_text(arena.answer))
        case "random":
            return _guessing(arena, rng)


def _acting_policy(name: Policy, arena: Arena, state: ArenaState, rng: random.Random) -> Model:
    words = _ACTING_WORDS[arena.language]
    steps = gold_steps(arena)
    reads = [call for step in steps for call in step.calls if call.tool not in state.writes]
    writes = [call for step in steps for call in step.calls if call.tool in state.writes]
    match name:
        case "gold":
            return _played(name, steps)
        case "null":
            return _played(name, [], _NO_ANSWER[arena.language])
        case "random":
            return _guessing(arena, rng)
        case "reader" | "asker" | "refuser":
            steps = [ActingStep((call,)) for call in reads]
            return _played(name, steps, policy_text(name, arena))
        case "shuffled":
            return _played(name, _shuffled(steps, reads, state, rng))
        case "careless":
            last = [ActingStep(tuple(calls)) for calls in _write_elsewhere(state, writes, rng)]
            careless = _without_asking(steps, arena, state)
            return _played(name, [*careless[:-1], *last, *careless[-1:]], words.done)


class ActingStep(NamedTuple):
    """One message of a policy: calls, or a text."""

    calls: tuple[GoldCall, ...] = ()
    text: str = ""


def gold_steps(arena: Arena) -> list[ActingStep]:
    """The gold episode of an arena, message by message.

    Raises ConfigError for goals that depend on each other, or a plan that names unknown ones.
    """
    state = arena.state
    if state is None:
        levels = [ActingStep(tuple(calls)) for calls in gold_levels(arena)]
        return [*levels, ActingStep(text=answer_text(arena.answer))]
    if not state.plan:
        steps = [ActingStep(tuple(calls)) for calls in gold_turns(arena)]
        return [*steps, ActingStep(text=done_text(arena, state))]
    gold_levels(arena)
    calls = {goal.id: goal.call for goal in arena.goals}
    if unknown := [name for s in state.plan for name in s.goals if calls.get(name) is None]:
        raise ConfigError(f"the plan of arena {arena.id!r} names {unknown[0]!r}, which has no call")
    return [
        ActingStep(tuple(c for name in step.goals if (c := calls[name]) is not None), step.text)
        for step in state.plan
    ]


def policy_text(name: Policy, arena: Arena) -> str:
    """What a policy that changes nothing says at each message, beside its reads."""
    words = _ACTING_WORDS[arena.language]
    if name == "asker" and arena.state is not None:
        labels = [s.labels[0] for turn in arena.state.turns for s in turn.held]
        return " ".join([words.may_i, *map(words.which.format, labels)])
    if name == "refuser" and arena.state is not None and arena.state.policy is not None:
        rules = range(1, len(arena.state.policy.rules) + 1)
        return " ".join(words.rule.format(rule) for rule in rules)
    return words.cannot if name == "refuser" else words.done


def _played(name: str, steps: Sequence[ActingStep], afterwards: str | None = None) -> ScriptedModel:
    messages = [
        calling(*step.calls[start : start + CALLS_PER_TURN]) if step.calls else step.text
        for step in steps
        for start in range(0, max(1, len(step.calls)), CALLS_PER_TURN)
    ]
    return ScriptedModel(messages, name=name, afterwards=afterwards)


def _shuffled(
    steps: Sequence[ActingStep], reads: Sequence[GoldCall], state: ArenaState, rng: random.Random
) -> list[ActingStep]:
    """Every read twice: all at first in random order, or in a conversation where it stands."""
    if state.turns:
        return [
            ActingStep(
                tuple(c for call in step.calls for c in [call] * (1 + (call in reads))), step.text
            )
            for step in steps
        ]
    twice = [*reads, *reads]
    rng.shuffle(twice)
    writes = [ActingStep((c,)) for step in steps for c in step.calls if c.tool in state.writes]
    first = [ActingStep(tuple(twice))] if twice else []
    return [*first, *writes, *steps[-1:]]


def _without_asking(
    steps: Sequence[ActingStep], arena: Arena, state: ArenaState
) -> list[ActingStep]:
    """The steps with each write made twice. What is to be asked for is guessed in its place."""
    script = ScriptedUser(state, arena.language) if state.turns else None
    by_rule = {s.goal for turn in state.turns for s in turn.held if s.rule is not None}
    guessing, careless = False, list[ActingStep]()
    for step in steps:
        if step.text:
            move = None if script is None else script.reply(step.text)
            asked = set[str]() if move is None else set(move.asked)
            guessing = bool(asked - by_rule)
            if not asked and (move is None or move.kind != "agrees"):
                careless.append(step)
            continue
        calls = [
            _guessed(call, state) if guessing and call.tool in state.writes else call
            for call in step.calls
            for _ in range(1 + (call.tool in state.writes))
        ]
        careless.append(ActingStep(tuple(calls)))
        if guessing:  # it says that it has done it, and is told what it should have asked for
            careless.append(ActingStep(text=_ACTING_WORDS[arena.language].done))
    forbidden = [goal.refuses for goal in state.goals if goal.refuses is not None]
    calls = tuple(GoldCall(tool=each.tool, arguments=each.arguments) for each in forbidden)
    return [*careless[:-1], ActingStep(calls), *careless[-1:]] if calls else careless


def _guessed(call: GoldCall, state: ArenaState) -> GoldCall:
    """A call with another value for what it sets."""
    for goal in state.goals:
        for change in goal.changes:
            for name, value in (change.after or {}).items():
                if name in call.arguments and value != (change.before or {}).get(name):
                    column = state.tables().table(change.table).column(name)
                    shown = call.arguments[name]
                    others = [choice for choice in column.choices if choice != shown]
                    guess = others[0] if others else f"{shown} 1"
                    if isinstance(shown, int | float):
                        guess = shown + 1
                    return GoldCall(tool=call.tool, arguments={**call.arguments, name: guess})
    return call


class ActingWords(NamedTuple):
    """What policies say in one language."""

    done: str
    may_i: str
    which: str
    cannot: str
    rule: str


_ACTING_WORDS: Mapping[Language, ActingWords] = MappingProxyType(
    {
        "en": ActingWords(
            "All is done.",
            "Shall I go ahead?",
            "What should the {} be?",
            "I can't do that.",
            "I can't do that, rule {} forbids it.",
        ),
        "zh": ActingWords(
            "全部办好了。",
            "可以办理吗？",
            "{}应该是什么？",
            "我无法办理。",
            "规则{}禁止这样做，我无法办理。",
        ),
    }
)


def _write_elsewhere(
    state: ArenaState, writes: Sequence[GoldCall], rng: random.Random
) -> list[list[GoldCall]]:
    """One of the writes, on another row that it would change. Empty if none names its row."""
    changed = [change for goal in state.goals for change in goal.changes]
    for call in rng.sample(writes, len(writes)):
        for name, value in call.arguments.items():
            for change in changed:
                if change.key != value or change.before is None:
                    continue
                rows = state.tables().table(change.table).rows_by_key
                own = {other.key for other in changed if other.table == change.table}
                if change.after is None:
                    # Rows that others refer to can't go.
                    own |= _referred_to(state.tables(), change.table)
                others = [
                    (change.after is None or row.items() >= change.before.items(), key)
                    for key, row in rows.items()
                    if key not in own
                    and (change.after is None or not row.items() >= change.after.items())
                ]
                # What the tool allowed for this row it allows for one that stands as it stood.
                alike = [key for same, key in others if same] or [key for _, key in others]
                if alike:
                    arguments = {**call.arguments, name: rng.choice(alike)}
                    return [[GoldCall(tool=call.tool, arguments=arguments)]]
    return []


def _referred_to(database: Database, name: str) -> set[Cell]:
    """Keys of a table that rows of others hold."""
    return {
        row[column]
        for table in database.tables
        for column, other in table.references.items()
        if other == name
        for row in table.rows_by_key.values()
    }


def gold_turns(arena: Arena) -> list[list[GoldCall]]:
    """The gold calls of an arena with a state in its order, by assistant turn.

    A turn holds reads or writes, and no call that needs another of the turn. Raises ConfigError for
    goals that depend on each other.
    """
    gold_levels(arena)
    state = arena.state
    calls = {goal.id: goal.call for goal in arena.goals}
    turns = goal_turns(arena.goals, {} if state is None else state.writes)
    return [[c for name in turn if (c := calls[name]) is not None] for turn in turns]


def goal_turns(goals: Iterable[Goal], writes: Container[str]) -> list[list[str]]:
    """Ids of goals with calls, in their order, by the assistant turn in which they can be made."""
    turns: list[list[str]] = []
    held: set[str] = set()
    last: bool | None = None
    for goal in goals:
        if goal.call is None:
            if held.intersection(goal.depends_on):
                held.add(goal.id)
            continue
        writing = goal.call.tool in writes
        if writing is not last or held.intersection(goal.depends_on):
            turns.append([])
            held = set()
        turns[-1].append(goal.id)
        held.add(goal.id)
        last = writing
    return turns


def done_text(arena: Arena, state: ArenaState) -> str:
    """What was done, and what was asked to be told, as the text of a final message."""
    return goals_text(state.goals, state.tables(), arena.language)


def _guessing(arena: Arena, rng: random.Random) -> RandomModel:
    goals = sum(goal.call is not None for goal in arena.goals)
    return RandomModel(goals, _NO_ANSWER[arena.language], rng.getrandbits(64))


def gold_levels(arena: Arena) -> list[list[GoldCall]]:
    """The gold calls by depth in the dependency graph: a level needs only those before it.

    Raises ConfigError for goals that depend on each other: no certified arena has such.
    """
    calls = {goal.id: goal.call for goal in arena.goals}
    order = TopologicalSorter({goal.id: goal.depends_on for goal in arena.goals})
    try:
        order.prepare()
    except CycleError as error:
        raise ConfigError(
            f"goals {error.args[1]!r} of arena {arena.id!r} depend on each other, so that nobody "
            "can play it: see `astra arenas certify`"
        ) from error
    levels: list[list[GoldCall]] = []
    while order.is_active():
        ready = set(order.get_ready())
        order.done(*ready)
        # In the order of the arena, so that the episode does not depend on hashes.
        level = [call for goal, call in calls.items() if goal in ready and call is not None]
        if level:
            levels.append(level)
    return levels


def _script(name: str, turns: Sequence[Sequence[GoldCall]], answer: str) -> ScriptedModel:
    messages = [
        calling(*calls[start : start + CALLS_PER_TURN])
        for calls in turns
        for start in range(0, len(calls), CALLS_PER_TURN)
    ]
    return ScriptedModel([*messages, answer], name=name)


class RandomModel:
    """Makes `calls` random, schema-valid calls to the tools it is shown, then says `answer`.

    It makes fewer only when no tool's schema can be satisfied by guessing.
    """

    def __init__(self, calls: int, answer: str, seed: int) -> None:
        self._calls = calls
        self._answer = answer
        self._seed = seed

    @property
    def name(self) -> str:
        return "random"

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        if any(message.role == "assistant" for message in messages):
            return Reply(Message(role="assistant", content=self._answer), FinishReason.stop)
        rng = random.Random(self._seed)
        calls: list[GoldCall] = []
        for _ in range(self._calls):
            for document in rng.sample(tools, len(tools)):
                arguments = random_arguments(document.parameters, rng)
                if arguments is not None:
                    calls.append(GoldCall(tool=document.name, arguments=arguments))
                    break
        if not calls:
            return Reply(Message(role="assistant", content=self._answer), FinishReason.stop)
        return Reply(calling(*calls), FinishReason.tool_calls)
