"""A model that says what it is told to: for tests, demonstrations and recorded conversations."""

from __future__ import annotations

from collections.abc import Sequence

from astra.errors import ModelBadReply
from astra.protocols import Reply, Sampling
from astra.types import (
    FinishReason,
    GoldCall,
    Json,
    Message,
    ToolCallRequest,
    ToolSchema,
    canonical_json,
)


class ScriptedModel:
    """Gives the k-th reply to a conversation that holds k assistant messages.

    It keeps no state, so one instance can hold many conversations at once. Asked for more than
    it has, it says `afterwards`, or raises `ModelBadReply` if that is None.
    """

    def __init__(
        self,
        replies: Sequence[Reply | Message | str],
        name: str = "scripted",
        afterwards: str | None = None,
    ) -> None:
        made: list[Reply] = []
        for reply in replies:
            if isinstance(reply, str):
                reply = Message(role="assistant", content=reply)
            if isinstance(reply, Message):
                finish = FinishReason.tool_calls if reply.tool_calls else FinishReason.stop
                reply = Reply(reply, finish)
            made.append(reply)
        self._replies = tuple(made)
        self._name = name
        self._afterwards = afterwards

    @property
    def name(self) -> str:
        return self._name

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        turn = sum(message.role == "assistant" for message in messages)
        if turn >= len(self._replies):
            if self._afterwards is not None:
                said = Message(role="assistant", content=self._afterwards)
                return Reply(said, FinishReason.stop)
            raise ModelBadReply(
                f"the script of {self._name!r} has {len(self._replies)} replies and was asked "
                f"for number {turn + 1}; end it with a message without calls"
            )
        return self._replies[turn]


def calling(*calls: GoldCall | tuple[str, dict[str, Json]], text: str = "") -> Message:
    """An assistant message that makes these calls at once."""
    pairs = [(c.tool, c.arguments) if isinstance(c, GoldCall) else c for c in calls]
    return Message(
        role="assistant",
        content=text,
        tool_calls=tuple(
            ToolCallRequest(id=f"call_{index}", tool=tool, arguments=canonical_json(arguments))
            for index, (tool, arguments) in enumerate(pairs)
        ),
    )
