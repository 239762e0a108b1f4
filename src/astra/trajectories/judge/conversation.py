"""A rollout as judges see it: without the system prompt, messages numbered from 1, in rounds.

A *round* is an assistant's message with calls, and their results; all calls of one message are one
round (spec 1.5).
"""

from __future__ import annotations

from dataclasses import dataclass

from astra.teacher.prompts.judging import ShownCall, ShownMessage
from astra.trajectories.records import RecordedRollout


@dataclass(frozen=True, slots=True)
class ConversationRound:
    """Numbers of the first and the last message of a round."""

    message: int
    """The assistant's message."""
    end: int
    """The last result, or the assistant's message if there is none."""


@dataclass(frozen=True, slots=True)
class JudgedConversation:
    """The messages and rounds of a rollout."""

    messages: tuple[ShownMessage, ...]
    rounds: tuple[ConversationRound, ...]

    @property
    def requests(self) -> tuple[str, ...]:
        """The user's messages."""
        return tuple(message.text for message in self.messages if message.by == "user")

    @property
    def first(self) -> ShownMessage | None:
        """The first assistant message, if there is one."""
        return next((message for message in self.messages if message.by == "assistant"), None)


def judged_conversation(rollout: RecordedRollout) -> JudgedConversation:
    """The conversation of a rollout. Arguments are shown as they were parsed, else as text."""
    calls = {call.id: call for call in rollout.trajectory.calls}
    messages: list[ShownMessage] = []
    rounds: list[ConversationRound] = []
    for message in rollout.trajectory.messages:
        if message.role == "system":
            continue
        number = len(messages) + 1
        shown_calls = tuple(
            ShownCall(
                id=request.id,
                tool=request.tool,
                arguments=calls[request.id].arguments if request.id in calls else request.arguments,
            )
            for request in message.tool_calls
        )
        messages.append(
            ShownMessage(
                number=number,
                by=message.role,
                text=message.content,
                reasoning=message.reasoning,
                calls=shown_calls,
                answers=message.tool_call_id,
            )
        )
        if shown_calls:
            rounds.append(ConversationRound(number, number))
        elif message.role == "tool" and rounds:
            rounds[-1] = ConversationRound(rounds[-1].message, number)
    return JudgedConversation(tuple(messages), tuple(rounds))
