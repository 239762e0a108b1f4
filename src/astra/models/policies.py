"""Reference policies: models whose score on a sound arena is known beforehand.

`gold` makes the gold calls, as parallel as their dependencies allow: F1 is exactly 1.
`null` answers at once: F1 is exactly 0.
`shuffled` makes every gold call twice, in random order: recall 1, precision 1/2, F1 exactly 2/3.
`random` makes as many schema-valid calls as there are goals: what guessing is worth.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from astra.errors import ConfigError
from astra.models.arguments import random_arguments
from astra.models.scripted import ScriptedModel, calling
from astra.protocols import Model, Reply, Sampling
from astra.types import Arena, FinishReason, GoldCall, Message, Scalar, ToolSchema

Policy = Literal["gold", "null", "random", "shuffled"]
CALLS_PER_TURN = 8
"""Most calls a reference policy makes in one message."""
_NO_ANSWER = {"en": "I do not know.", "zh": "我不知道。"}


def policy(name: Policy, arena: Arena, seed: int = 0) -> Model:
    """The reference policy for one arena. The same seed gives the same episode."""
    rng = random.Random(f"{name}:{seed}:{arena.id}")
    match name:
        case "gold":
            return _script(name, gold_levels(arena), answer_text(arena.answer))
        case "null":
            return _script(name, [], _NO_ANSWER[arena.language])
        case "shuffled":
            calls = [call for level in gold_levels(arena) for call in level] * 2
            rng.shuffle(calls)
            return _script(name, [calls], answer_text(arena.answer))
        case "random":
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
