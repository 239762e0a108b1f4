"""A user, played by a teacher, who says piece by piece what they want.

They see the words of both sides, like a user does: no calls and no results.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from astra.errors import TeacherError
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.emulation import (
    SIMULATE_USER,
    SimulateUserIn,
    TalkMessage,
    UserBehaviour,
)
from astra.trajectories.records import TrajectoryTask
from astra.types import Message

MOST_TURNS = 4
"""Messages of a simulated user, the opening included."""


class SimulatedUser:
    """The user of one episode. Seed, task and sample decide the behaviour."""

    def __init__(
        self,
        task: TrajectoryTask,
        teacher: Teacher,
        *,
        sample: int = 0,
        seed: int = 0,
        max_turns: int = MOST_TURNS,
    ) -> None:
        self._task = task
        self._teacher = teacher
        self._max_turns = max_turns
        rng = random.Random(f"user:{seed}:{task.id}:{sample}")
        self.behaviour = rng.choice(list(UserBehaviour))
        stated = [
            str(source.value)
            for call in task.plan
            for source in call.arguments.values()
            if source.call is None and isinstance(source.value, str | int | float)
        ]
        self._values = tuple(
            value for value in dict.fromkeys(stated) if value and value in task.request
        )

    async def open(self) -> str:
        """The first message. Raises TeacherError if there is none."""
        message = await self._say(())
        if message is None:
            raise TeacherError(f"the user of task {self._task.id!r} has nothing to open with")
        return message

    async def reply(self, messages: Sequence[Message]) -> str | None:
        """The next message. None: the user is satisfied, or out of turns."""
        talk = tuple(
            TalkMessage(by=message.role, text=message.content)
            for message in messages
            if message.role in ("user", "assistant") and message.content
        )
        if sum(each.by == "user" for each in talk) >= self._max_turns:
            return None
        return await self._say(talk)

    async def _say(self, talk: tuple[TalkMessage, ...]) -> str | None:
        prompt = SimulateUserIn(
            language=self._task.language,
            behaviour=self.behaviour,
            request=self._task.request,
            values=self._values,
            talk=talk,
        )
        turn = await self._teacher.ask(SIMULATE_USER, prompt)
        return None if turn.done or not turn.message.strip() else turn.message
