"""Gold episodes of arenas as conversations to learn from.

The gold calls are really made, in the sandbox and through the same rollout as in training and
evaluation, with the distractors that the arena shows. An episode that does not score 1 is an error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing

from astra.core.messages import conversation_to_openai
from astra.errors import HostError
from astra.hosts.arena import ArenaHost, arena_messages
from astra.hosts.arena_user import arena_user
from astra.models.policies import policy
from astra.protocols import Sandbox
from astra.rewards import score_calls
from astra.rollouts.loop import RolloutJob, RolloutLimits, RolloutTask, rollouts
from astra.types import Arena, Json, Message, ToolSchema, Trajectory, canonical_json

_GOLD_TURNS = 1000
"""More than any arena has levels."""


async def gold_rows(
    arenas: Iterable[Arena],
    sandbox: Sandbox,
    *,
    reasoning: bool,
    concurrency: int = 16,
) -> AsyncGenerator[dict[str, Json]]:
    """Rows of `messages` and `tools` in the form that TRL takes, in the order of the arenas.

    `reasoning`: state before each turn's calls which sub-questions they answer. Raises HostError if
    a gold episode breaks or does not solve its arena.
    """
    played: deque[tuple[Arena, list[ToolSchema]]] = deque()

    def jobs() -> Iterator[RolloutJob]:
        for arena in arenas:
            host = ArenaHost(arena, sandbox)
            # Before the first message: what a user brings later stands in their message.
            played.append((arena, list(host.tools())))
            task = RolloutTask(arena.id, arena_messages(arena))
            yield RolloutJob(task, policy("gold", arena), host, arena_user(arena, host))

    episodes = rollouts(jobs(), RolloutLimits(turns=_GOLD_TURNS), concurrency=concurrency)
    async with aclosing(episodes):
        async for trajectory in episodes:
            arena, documents = played.popleft()
            if trajectory.error:
                raise HostError(f"the gold episode of arena {arena.id!r} broke: {trajectory.error}")
            # An arena may have been changed since it was certified: wrong examples are not written.
            f1 = score_calls(
                arena, trajectory.calls, turns=trajectory.turns, messages=trajectory.messages
            ).f1
            if f1 != 1:
                raise HostError(
                    f"the gold episode of arena {arena.id!r} scores {f1!r}: certify it again with "
                    "`astra arenas certify`"
                )
            messages = _with_reasons(arena, trajectory) if reasoning else trajectory.messages
            yield {
                "messages": conversation_to_openai(messages),
                "tools": [document.openai() for document in documents],
                "arena": arena.id,
                "split": arena.split,
                "hops": arena.hops,
            }


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
        # A call that is made again after a fault has said why.
        asked = (questions[keys[call.id]] for call in message.tool_calls)
        reasons = [own.pop(0) for own in asked if own]
        text = " ".join(reasons) or message.content
        messages.append(message.model_copy(update={"content": text}))
    return messages
