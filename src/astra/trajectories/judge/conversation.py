"""A rollout as judges see it: without the system prompt, messages numbered from 1, in rounds.

A *round* is an assistant's message with calls, and their results; all calls of one message are one
round (spec 1.5). A *user turn* is what a user says, and all that follows until they speak again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from astra.teacher.prompts.judging import ShownCall, ShownMessage
from astra.trajectories.records import RecordedRollout

RESULT_CHARACTERS = 2000
"""Longest result that a judge sees of a part of the conversation that it does not judge."""


@dataclass(frozen=True, slots=True)
class ConversationRound:
    """Numbers of the first and the last message of a round."""

    message: int
    """The assistant's message."""
    end: int
    """The last result, or the assistant's message if there is none."""
    turn: int
    """User turn, from 1."""


@dataclass(frozen=True, slots=True)
class JudgedTurn:
    """Numbers of the messages of a user turn."""

    request: int
    """The user's message."""
    first: int | None
    """The first assistant message. None: there is none."""
    end: int
    """The last message."""


@dataclass(frozen=True, slots=True)
class JudgedConversation:
    """The messages, rounds and user turns of a rollout."""

    messages: tuple[ShownMessage, ...]
    rounds: tuple[ConversationRound, ...]
    turns: tuple[JudgedTurn, ...]

    def turn_of(self, number: int) -> int:
        """The user turn, from 1, of a message."""
        return max(1, sum(turn.request <= number for turn in self.turns))


def judged_conversation(rollout: RecordedRollout) -> JudgedConversation:
    """The conversation of a rollout. Arguments are shown as they were parsed, else as text."""
    calls = {call.id: call for call in rollout.trajectory.calls}
    messages: list[ShownMessage] = []
    rounds: list[ConversationRound] = []
    turns: list[JudgedTurn] = []
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
        if message.role == "user":
            turns.append(JudgedTurn(number, None, number))
        elif turns:
            turn = turns[-1]
            opens = turn.first is None and message.role == "assistant"
            turns[-1] = JudgedTurn(turn.request, number if opens else turn.first, number)
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
            rounds.append(ConversationRound(number, number, max(1, len(turns))))
        elif message.role == "tool" and rounds:
            last = rounds[-1]
            rounds[-1] = ConversationRound(last.message, number, last.turn)
    return JudgedConversation(tuple(messages), tuple(rounds), tuple(turns))


def cut(messages: Sequence[ShownMessage], whole: Collection[int] = ()) -> tuple[ShownMessage, ...]:
    """The messages with long results cut, but for those with the numbers `whole`."""
    return tuple(
        message
        if message.by != "tool" or message.number in whole or len(message.text) <= RESULT_CHARACTERS
        else message.model_copy(update={"text": _cut(message.text)})
        for message in messages
    )


def _cut(text: str) -> str:
    half = RESULT_CHARACTERS // 2
    return f"{text[:half]} … ({len(text) - 2 * half} characters left out) … {text[-half:]}"
