"""A rollout as judges see it: without the system message, its messages numbered from 1, in rounds.

A *round* is an assistant's message with calls, and their results; calls of one message are one
round (spec 1.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from astra.teacher.prompts.judging import ShownCall, ShownMessage
from astra.trajectories.records import RecordedRollout
from astra.types import CallRecord, Json, Message, ToolCallRequest


@dataclass(frozen=True, slots=True)
class ConversationRound:
    """Where a round stands among the messages."""

    message: int
    """Number of the assistant's message."""
    end: int
    """Number of its last result, or of the message itself when none came back."""


@dataclass(frozen=True, slots=True)
class JudgedConversation:
    """What there is to judge."""

    messages: tuple[ShownMessage, ...]
    rounds: tuple[ConversationRound, ...]

    @property
    def asked(self) -> tuple[str, ...]:
        """The user's messages."""
        return tuple(message.text for message in self.messages if message.by == "user")

    @property
    def first(self) -> ShownMessage | None:
        """The first assistant message; None: there is none."""
        return next((message for message in self.messages if message.by == "assistant"), None)

    def until(self, number: int) -> tuple[ShownMessage, ...]:
        """The messages up to and with a number."""
        return self.messages[:number]


def judged_conversation(rollout: RecordedRollout) -> JudgedConversation:
    """The view of a rollout. Arguments are shown as they were parsed, or as text."""
    calls = {call.id: call for call in rollout.trajectory.calls}
    told = [message for message in rollout.trajectory.messages if message.role != "system"]
    shown = tuple(_shown(number, message, calls) for number, message in enumerate(told, start=1))
    return JudgedConversation(shown, tuple(_rounds(shown)))


def shown_call(call: CallRecord) -> ShownCall:
    """A call alone."""
    return ShownCall(id=call.id, tool=call.tool, arguments=call.arguments)


def _shown(number: int, message: Message, calls: dict[str, CallRecord]) -> ShownMessage:
    def arguments(request: ToolCallRequest) -> Json:
        return calls[request.id].arguments if request.id in calls else request.arguments

    return ShownMessage(
        number=number,
        by="tool" if message.role == "tool" else "user" if message.role == "user" else "assistant",
        text=message.content,
        reasoning=message.reasoning,
        calls=tuple(
            ShownCall(id=request.id, tool=request.tool, arguments=arguments(request))
            for request in message.tool_calls
        ),
        answers=message.tool_call_id,
    )


def _rounds(messages: Sequence[ShownMessage]) -> list[ConversationRound]:
    rounds: list[ConversationRound] = []
    for message in messages:
        if message.calls:
            rounds.append(ConversationRound(message.number, message.number))
        elif message.by == "tool" and rounds:
            rounds[-1] = ConversationRound(rounds[-1].message, message.number)
    return rounds
