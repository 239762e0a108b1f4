"""A user with a script: says its messages one after the other, and answers what they are asked.

They see the words of both sides, like a user does: no calls and no results. A teacher speaks for
them only where the assistant asks something; else the script's own words are said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from astra.teacher.prompt import Teacher
from astra.teacher.prompts.emulation import (
    SIMULATE_USER,
    SimulateUserIn,
    TalkMessage,
    UserBehaviour,
)
from astra.trajectories.records import TrajectoryTask, UserScript
from astra.types import Message

_QUESTION = re.compile(r"[?？]")


class SimulatedUser:
    """The user of one episode."""

    def __init__(
        self, task: TrajectoryTask, script: UserScript, teacher: Teacher, *, max_turns: int
    ) -> None:
        """`max_turns`: messages of the user, the opening and answers to questions included."""
        self._task = task
        self._script = script
        self._teacher = teacher
        self._max_turns = max_turns
        self._said = 0
        """Wishes that were said, or passed over."""

    async def reply(self, messages: Sequence[Message]) -> str | None:
        """The next message. None: the user is satisfied, or out of turns."""
        talk = tuple(
            TalkMessage(by=message.role, text=message.content)
            for message in messages
            if message.role in ("user", "assistant") and message.content
        )
        if sum(each.by == "user" for each in talk) >= self._max_turns:
            return None
        left = list(self._script.wishes[self._said :])
        asked = bool(talk) and talk[-1].by == "assistant" and _QUESTION.search(talk[-1].text)
        # A refusal answers a question; where none is asked, there is nothing to refuse.
        while left and not asked and left[0].behaviour is UserBehaviour.refusal:
            del left[0]
            self._said += 1
        wish = left[0] if left else None
        if not asked:
            self._said += wish is not None
            return None if wish is None else wish.message
        prompt = SimulateUserIn(
            language=self._task.language,
            request=self._task.request,
            behaviour=None if wish is None else wish.behaviour,
            wish="" if wish is None else wish.message,
            talk=talk,
        )
        turn = await self._teacher.ask(SIMULATE_USER, prompt)
        if turn.done or not turn.message.strip():
            return None
        self._said += turn.wish_said and wish is not None
        return turn.message
