"""A user who says what they want piece by piece, played by a teacher.

They see what a user sees: the words of both sides, no calls and no results.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from astra.errors import TeacherError
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.emulation import (
    SIMULATE_USER,
    SimulateUserIn,
    TalkMessage,
    UserBehaviour,
)
from astra.trajectories.records import TrajectoryTask
from astra.types import Json, Message

MOST_TURNS = 4
"""Messages of a simulated user, the opening included."""


class SimulatedUser:
    """One talk about one task. The behaviour is drawn by the seed, the task and the sample."""

    def __init__(
        self,
        task: TrajectoryTask,
        teacher: Teacher,
        *,
        sample: int = 0,
        seed: int = 0,
        most: int = MOST_TURNS,
    ) -> None:
        self._task = task
        self._teacher = teacher
        self._most = most
        rng = random.Random(f"user:{seed}:{task.id}:{sample}")
        self.behaviour = rng.choice(list(UserBehaviour))

    async def open(self) -> str:
        """The first message. TeacherError when there is none."""
        said = await self._say(())
        if said is None:
            raise TeacherError(f"the user of task {self._task.id!r} has nothing to open with")
        return said

    async def reply(self, messages: Sequence[Message]) -> str | None:
        """What is said next; None: they have what can be had, or have said enough."""
        talk = tuple(
            TalkMessage(by=message.role, text=message.content)
            for message in messages
            if message.role in ("user", "assistant") and message.content
        )
        if sum(each.by == "user" for each in talk) >= self._most:
            return None
        return await self._say(talk)

    async def _say(self, talk: tuple[TalkMessage, ...]) -> str | None:
        given = SimulateUserIn(
            language=self._task.language,
            behaviour=self.behaviour,
            request=self._task.request,
            values=tuple(_values(self._task)),
            talk=talk,
        )
        turn = await self._teacher.ask(SIMULATE_USER, given)
        return None if turn.done or not turn.message.strip() else turn.message


def _values(task: TrajectoryTask) -> Iterator[str]:
    """The values of the plan that the request states, each once."""
    seen: set[str] = set()
    for call in task.plan:
        for source in call.arguments.values():
            text = _text(source.value) if source.call is None else ""
            if text and text in task.request and text not in seen:
                seen.add(text)
                yield text


def _text(value: Json) -> str:
    return str(value) if isinstance(value, str | int | float) else ""
