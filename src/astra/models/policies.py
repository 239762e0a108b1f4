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

Where there is no state, `reader` is `gold`, for all calls read, and `careless` makes each twice.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from astra.databases import shown_cell
from astra.errors import ConfigError
from astra.models.arguments import random_arguments
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import Model, Reply, Sampling
from astra.types import (
    Arena,
    ArenaState,
    FinishReason,
    GoldCall,
    Message,
    Scalar,
    ToolSchema,
)

Policy = Literal["gold", "null", "random", "shuffled", "reader", "careless"]
CALLS_PER_TURN = 8
"""Most calls a reference policy makes in one message."""
_NO_ANSWER = {"en": "I do not know.", "zh": "我不知道。"}


def policy(name: Policy, arena: Arena, seed: int = 0) -> Model:
    """The reference policy for one arena. The same seed gives the same episode."""
    rng = random.Random(f"{name}:{seed}:{arena.id}")
    if arena.state is not None:
        return _acting_policy(name, arena, arena.state, rng)
    match name:
        case "gold" | "reader":
            return _script(name, gold_levels(arena), answer_text(arena.answer))
        case "careless":
            levels = [[call for call in level for _ in range(2)] for level in gold_levels(arena)]
            return _script(name, levels, answer_text(arena.answer))
        case "null":
            return _script(name, [], _NO_ANSWER[arena.language])
        case "shuffled":
            calls = [call for level in gold_levels(arena) for call in level] * 2
            rng.shuffle(calls)
            return _script(name, [calls], answer_text(arena.answer))
        case "random":
            return _guessing(arena, rng)


def _acting_policy(name: Policy, arena: Arena, state: ArenaState, rng: random.Random) -> Model:
    turns = gold_turns(arena)
    reads = [call for turn in turns for call in turn if call.tool not in state.writes]
    writes = [call for turn in turns for call in turn if call.tool in state.writes]
    done = done_text(arena, state)
    match name:
        case "gold":
            return _script(name, turns, done)
        case "null":
            return _script(name, [], _NO_ANSWER[arena.language])
        case "random":
            return _guessing(arena, rng)
        case "reader":
            return _script(name, [[call] for call in reads], done)
        case "shuffled":
            twice = reads * 2
            rng.shuffle(twice)
            return _script(name, [twice, *([call] for call in writes)], done)
        case "careless":
            careless = [
                [call for call in turn for _ in range(1 + (call in writes))] for turn in turns
            ]
            return _script(name, [*careless, *_write_elsewhere(state, writes, rng)], done)


def _write_elsewhere(
    state: ArenaState, writes: Sequence[GoldCall], rng: random.Random
) -> list[list[GoldCall]]:
    """One of the writes, on another row that it would change. Empty if none names its row."""
    changed = [change for goal in state.goals for change in goal.changes]
    for call in rng.sample(writes, len(writes)):
        for name, value in call.arguments.items():
            for change in changed:
                if change.key != value or change.before is None or change.after is None:
                    continue
                rows = state.tables().table(change.table).rows_by_key
                own = {other.key for other in changed if other.table == change.table}
                others = [
                    (row.items() >= change.before.items(), key)
                    for key, row in rows.items()
                    if key not in own and not row.items() >= change.after.items()
                ]
                # What the tool allowed for this row it allows for one that stands as it stood.
                alike = [key for same, key in others if same] or [key for _, key in others]
                if alike:
                    arguments = {**call.arguments, name: rng.choice(alike)}
                    return [[GoldCall(tool=call.tool, arguments=arguments)]]
    return []


def gold_turns(arena: Arena) -> list[list[GoldCall]]:
    """The gold calls of an arena with a state in its order, by assistant turn.

    A turn holds reads or writes, and no call that needs another of the turn. Raises ConfigError for
    goals that depend on each other.
    """
    gold_levels(arena)
    state = arena.state
    writes = {} if state is None else state.writes
    turns: list[list[GoldCall]] = []
    held: set[str] = set()
    last: bool | None = None
    for goal in arena.goals:
        if goal.call is None:
            if held.intersection(goal.depends_on):
                held.add(goal.id)
            continue
        writing = goal.call.tool in writes
        if writing is not last or held.intersection(goal.depends_on):
            turns.append([])
            held = set()
        turns[-1].append(goal.call)
        held.add(goal.id)
        last = writing
    return turns


def done_text(arena: Arena, state: ArenaState) -> str:
    """What was done, and what was asked to be told, as the text of a final message."""
    tables, chinese = state.tables(), arena.language == "zh"
    parts: list[str] = []
    for goal in state.goals:
        if goal.says is not None:
            parts.append(answer_text(goal.says.value))
        for change in goal.changes:
            row = f"{change.table} {change.key}"
            if change.after is None or change.before is None:
                word = ("删除", "新建") if chinese else ("deleted ", "created ")
                parts.append(word[change.after is not None] + row)
                continue
            columns = tables.table(change.table)
            parts += [
                f"{row}: {name} = {shown_cell(columns.column(name), value)}"
                for name, value in change.after.items()
            ]
    return f"已完成：{'；'.join(parts)}。" if chinese else f"Done: {'; '.join(parts)}."


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


def answer_text(answer: Scalar | tuple[Scalar, ...]) -> str:
    """An answer as the text of a final message."""
    return ", ".join(map(str, answer)) if isinstance(answer, tuple) else str(answer)


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
