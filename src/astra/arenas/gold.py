"""Gold episodes of arenas as conversations to learn from.

The gold calls are really made, in the sandbox and through the same rollout as in training and
evaluation, with the distractors that the arena shows. An episode that does not score 1 is an error.
Some episodes are played a second time with a mistake in them.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncGenerator, Container, Iterable, Iterator
from contextlib import aclosing
from itertools import count

from astra.arenas.mistakes import with_mistake
from astra.core.messages import conversation_to_openai
from astra.errors import HostError
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import arena_user
from astra.models.policies import gold_steps, playing
from astra.protocols import Sandbox
from astra.rewards import score_calls
from astra.rollouts.loop import RolloutJob, RolloutLimits, RolloutTask, rollouts
from astra.types import (
    Arena,
    CallStatus,
    Json,
    Message,
    ToolSchema,
    Trajectory,
    canonical_json,
)

_GOLD_TURNS = 1000
"""More than any arena has levels."""
_REFUSED = (CallStatus.tool_error, CallStatus.unknown_tool, CallStatus.schema_violation)


async def gold_rows(
    arenas: Iterable[Arena],
    sandbox: Sandbox,
    *,
    reasoning: bool,
    mistakes: float = 0.0,
    seed: int = 0,
    concurrency: int = 16,
) -> AsyncGenerator[dict[str, Json]]:
    """Rows of `messages` and `tools` in the form that TRL takes, in the order of the arenas.

    `reasoning`: state before each turn's calls which sub-questions they answer. `mistakes`: the
    share of arenas, drawn by `seed`, that have a second row, in which a call fails and is then made
    as it should be; the failing message has weight 0. Raises HostError if a gold episode breaks or
    does not solve its arena.
    """
    played: deque[tuple[Arena, list[ToolSchema], bool]] = deque()

    def jobs() -> Iterator[RolloutJob]:
        for arena in arenas:
            host = ArenaHost(arena, sandbox)
            # Before the first message: what a user brings later stands in their message.
            tools = list(host.tools())
            task = RolloutTask(arena.id, arena_messages(arena))
            steps = gold_steps(arena)
            played.append((arena, tools, False))
            yield RolloutJob(task, playing("gold", steps), host, arena_user(arena, host))
            rng = random.Random(f"mistake:{seed}:{arena.id}")
            wrong = with_mistake(steps, tools, rng) if rng.random() < mistakes else None
            if wrong is not None:
                host = ArenaHost(arena, sandbox)
                played.append((arena, tools, True))
                yield RolloutJob(task, playing("mistaken", wrong), host, arena_user(arena, host))

    episodes = rollouts(jobs(), RolloutLimits(turns=_GOLD_TURNS), concurrency=concurrency)
    async with aclosing(episodes):
        async for trajectory in episodes:
            arena, documents, mistaken = played.popleft()
            if trajectory.error:
                raise HostError(f"the gold episode of arena {arena.id!r} broke: {trajectory.error}")
            score = score_calls(
                arena, trajectory.calls, turns=trajectory.turns, messages=trajectory.messages
            )
            wrong_turns = {call.turn for call in trajectory.calls if call.status in _REFUSED}
            if mistaken and (not wrong_turns or score.recall != 1):
                continue  # the tool took the call, or it spoiled what came after
            # An arena may have been changed since it was certified: wrong examples are not written.
            if not mistaken and score.f1 != 1:
                raise HostError(
                    f"the gold episode of arena {arena.id!r} scores {score.f1!r}: certify it again "
                    "with `astra arenas certify`"
                )
            messages = _with_reasons(arena, trajectory) if reasoning else trajectory.messages
            row: dict[str, Json] = {
                "messages": _weighted(conversation_to_openai(messages), wrong_turns),
                "tools": [document.openai() for document in documents],
                "arena": arena.id,
                "split": arena.split,
                "hops": arena.hops,
            }
            yield row | {"mistake": True} if mistaken else row


def _weighted(messages: list[dict[str, Json]], unlearned: Container[int]) -> list[dict[str, Json]]:
    """The messages, those of the given assistant turns with weight 0."""
    turns = count()
    return [
        message | {"weight": 0}
        if message["role"] == "assistant" and next(turns) in unlearned
        else message
        for message in messages
    ]


def _with_reasons(arena: Arena, trajectory: Trajectory) -> list[Message]:
    """The messages; one with calls begins with the sub-questions that its calls answer."""

    def spelled(tool: str, arguments: Json) -> tuple[str, str]:
        return tool, canonical_json(arguments)

    # Several goals may have the same call: each call takes the next of their questions.
    questions: dict[tuple[str, str], list[str]] = {}
    for goal in arena.goals:
        if goal.call is not None:
            call_key = spelled(goal.call.tool, goal.call.arguments)
            questions.setdefault(call_key, []).append(goal.question)
    keys = {call.id: spelled(call.tool, call.arguments) for call in trajectory.calls}
    messages: list[Message] = []
    for message in trajectory.messages:
        # A call that is made again after a fault has said why; a wrong one answers no question.
        asked = (questions.get(keys[call.id], []) for call in message.tool_calls)
        reasons = [own.pop(0) for own in asked if own]
        text = " ".join(reasons) or message.content
        messages.append(message.model_copy(update={"content": text}))
    return messages
